"""An edit of the user's own network re-makes what it trained, as an edit of ours does."""

import ap3.provenance as provenance


def digest_of(folder, monkeypatch, module: str, content: str) -> str:
    path = folder / f"{module.replace('.', '/')}.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    monkeypatch.syspath_prepend(folder)
    for remembered in (provenance._graph, provenance._closure, provenance._tree):
        remembered.cache_clear()
    return provenance.code_digest(module)


def check(tmp_path, monkeypatch, module: str) -> None:
    first = digest_of(tmp_path, monkeypatch, module, "def net(classes, size):\n    return 1\n")
    comment = "# A comment.\ndef net(classes, size):\n    return 1\n"
    assert digest_of(tmp_path, monkeypatch, module, comment) == first
    edited = "def net(classes, size):\n    return 2\n"
    assert digest_of(tmp_path, monkeypatch, module, edited) != first


def test_a_network_in_a_file_by_itself(tmp_path, monkeypatch):
    check(tmp_path, monkeypatch, "lone_networks")


def test_a_network_in_a_package(tmp_path, monkeypatch):
    (tmp_path / "packed_networks").mkdir()
    (tmp_path / "packed_networks" / "__init__.py").touch()
    check(tmp_path, monkeypatch, "packed_networks.nets")


def test_a_network_in_a_folder_without_an_init_file(tmp_path, monkeypatch):
    check(tmp_path, monkeypatch, "loose_networks.nets")
