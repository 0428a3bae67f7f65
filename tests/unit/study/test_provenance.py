"""What results are made from: networks, data sets, libraries, descriptions of figures."""

import os

import pytest

import ap3.study.code_digest as code_digest
import ap3.study.provenance as provenance

NET = "def net(classes, size):\n    return 1\n"


@pytest.fixture
def digest(tmp_path, monkeypatch):
    """Writes files, then gives a digest of a module or of what else is asked for."""
    monkeypatch.syspath_prepend(tmp_path)

    def written(files: dict[str, str], what=lambda: provenance.network_digest("nets:net")) -> str:
        for name, content in files.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(content, encoding="utf-8")
        for remembered in vars(code_digest).values():
            if hasattr(remembered, "cache_clear"):
                remembered.cache_clear()
        return what()

    return written


@pytest.mark.parametrize(
    ("module", "files"),
    [
        ("nets", ("nets.py",)),
        ("packed.nets", ("packed/nets.py", "packed/__init__.py")),
        ("loose.nets", ("loose/nets.py",)),
    ],
    ids=["a file by itself", "a package", "a folder without __init__.py"],
)
def test_of_the_users_network_code_counts_and_comments_do_not(digest, module, files):
    def asked():
        return provenance.network_digest(f"{module}:net")

    first = digest(dict.fromkeys(files, "") | {files[0]: NET}, asked)
    assert digest({files[0]: f'"""A docstring."""\n\n# A comment.\n{NET}'}, asked) == first
    assert digest({files[0]: NET.replace("1", "2")}, asked) != first
    assert digest({files[0]: NET}, asked) == first
    assert provenance.network_digest(f"{module}:other") != first


def test_a_line_of_a_registry_that_leads_elsewhere_changes_its_own_network_only(monkeypatch):
    before = {name: provenance.network_digest(name) for name in provenance.FACTORIES}
    monkeypatch.setitem(provenance.FACTORIES, "small_vgg", "ap3.models.small:small_resnet")
    after = {name: provenance.network_digest(name) for name in provenance.FACTORIES}
    assert {name for name in before if before[name] != after[name]} == {"small_vgg"}


def test_data_sets_differ_by_their_own_module_and_line():
    digests = {provenance.dataset_digest(name) for name in provenance.datasets.names()}
    assert len(digests) == len(provenance.datasets.names())


def test_versions_of_what_trains_a_network_are_named():
    import torch
    import torchvision

    torch_version, torchvision_version = provenance.library_versions().split(", ")
    assert torch.__version__.startswith(torch_version.removeprefix("torch "))
    assert torchvision.__version__.startswith(torchvision_version.removeprefix("torchvision "))
    assert "timm" in provenance.network_digest("timm:resnet18")


@pytest.mark.parametrize(
    ("name", "first", "same", "other"),
    [
        (
            "a.yaml",
            "title: A\nratios: [0.1, 0.3]\n",
            "# B\nratios:\n- 0.1\n- 0.3\ntitle: 'A'\n",
            "b: 1",
        ),
        ("a.mplstyle", "font.size: 8\n", "# big\n\n font.size: 8\n", "font.size: 9\n"),
    ],
)
def test_of_descriptions_and_style_sheets_the_content_counts(tmp_path, name, first, same, other):
    def digest_of(text: str) -> str:
        (tmp_path / name).write_text(text, encoding="utf-8")
        return provenance.content_digest(tmp_path / name)

    assert digest_of(first) == digest_of(same) != digest_of(other)


def test_images_in_linked_folders_count(tmp_path):
    store, pictures = tmp_path / "store", tmp_path / "pictures"
    (store / "heron").mkdir(parents=True)
    pictures.mkdir()
    (store / "heron/1.png").write_bytes(b"one")
    (pictures / "train").symlink_to(store)
    (store / "heron/again").symlink_to(store)  # a circle ends
    before = provenance.dataset_digest(f"folder:{pictures}")
    assert provenance.dataset_digest(f"folder:{pictures}") == before
    (store / "heron/2.png").write_bytes(b"two")
    assert provenance.dataset_digest(f"folder:{pictures}") != before


def test_weights_of_an_older_date_are_other_weights(tmp_path):
    path = tmp_path / "start.pt"
    digests = []
    for content in (b"first", b"other"):
        path.write_bytes(content)
        os.utime(path, (0, 0))
        provenance.weights_digest.cache_clear()  # as in the next run
        digests.append(provenance.weights_digest(str(path)))
    assert len(set(digests)) == 2
    assert provenance.weights_digest(str(tmp_path / "none.pt")) == ""
