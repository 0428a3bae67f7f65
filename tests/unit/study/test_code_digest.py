"""What counts as an edit of code: what a module and all that it imports do, wherever they lie."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pythons import other_pythons

import ap3
import ap3.study.code_digest as code_digest
from ap3.errors import UserError

NET = "def net(classes, size):\n    return 1\n"
STAGES = [f"ap3.stages.{path.stem}" for path in Path(ap3.__file__).parent.glob("stages/*.py")]


def forget() -> None:
    for remembered in vars(code_digest).values():
        if hasattr(remembered, "cache_clear"):
            remembered.cache_clear()


@pytest.fixture
def digest(tmp_path, monkeypatch):
    """Writes files, then gives a digest of a module or of what else is asked for."""
    monkeypatch.syspath_prepend(tmp_path)

    def written(files: dict[str, str], what=lambda: code_digest.code_digest("nets")) -> str:
        for name, content in files.items():
            (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
            (tmp_path / name).write_text(content, encoding="utf-8")
        forget()
        return what()

    return written


@pytest.mark.parametrize("line", ["import layers", "from layers import width"])
def test_a_file_beside_the_users_network_counts(digest, line):
    first = digest({"nets.py": f"{line}\n{NET}", "layers.py": "width = 1\n"})
    assert digest({"layers.py": "width = 2\n"}) != first
    assert digest({"layers.py": "width = 1  # pixels\n"}) == first


def test_another_package_of_the_users_counts_to_the_module(digest):
    files = {
        "blocks/__init__.py": "",
        "blocks/conv.py": "width = 1\n",
        "blocks/other.py": "a = 1\n",
    }
    for network in ("nets.py", "packed/nets.py"):
        module = network.removesuffix(".py").replace("/", ".")

        def asked(module=module):
            return code_digest.code_digest(module)

        first = digest({**files, network: f"from blocks.conv import width\n{NET}"}, asked)
        assert digest({"blocks/other.py": "a = 2\n"}, asked) == first
        assert digest({"blocks/conv.py": "width = 2\n"}, asked) != first


def test_a_network_made_of_ours_counts_ours(digest):
    first = digest({"nets.py": f"from ap3.models import small\n{NET}"})
    assert "ap3.models.small" in code_digest.closure("nets")
    assert "ap3.training.sgd" not in code_digest.closure("nets")
    assert digest({"nets.py": NET}) != first


def test_installed_libraries_are_not_followed(digest):
    digest({"nets.py": f"import json\nimport numpy\nfrom torch import nn\n{NET}"})
    assert code_digest.closure("nets") == {"nets"}


def test_what_is_no_python_is_named_with_its_line(digest):
    for name, module in (("nets.py", "nets"), ("packed/nets.py", "packed.nets")):
        with pytest.raises(UserError, match=rf"{name}, line 2, is no Python; correct the line"):
            digest({name: "\ndef net(:\n"}, lambda module=module: code_digest.code_digest(module))


def test_of_a_registry_the_functions_count_and_the_tables_do_not(digest, monkeypatch):
    files = {"nets.py": f"TABLE = {{'a': 1}}\n{NET}"}
    monkeypatch.setattr(code_digest, "TABLES", frozenset({"nets"}))
    first = digest(files)
    assert digest({"nets.py": f"TABLE = {{'a': 1, 'b': 2}}\n{NET}"}) == first
    assert digest({"nets.py": f"TABLE = {{'a': 1}}\n{NET.replace('1', '2')}"}) != first


@pytest.mark.parametrize(
    "names", [code_digest.TABLES, code_digest.SILENT], ids=["tables", "silent"]
)
def test_modules_that_count_in_part_exist(names):
    assert all(code_digest._source(name) for name in names)


def test_a_module_that_moves_and_a_package_that_is_renamed_change_nothing(digest):
    one = {
        "nets.py": f"from blocks.conv import width\n{NET}",
        "blocks/__init__.py": '"""Blocks."""',
        "blocks/conv.py": "from blocks.base import area as size\nwidth = size\n",
        "blocks/base.py": "area = 4\n",
    }
    first = digest(one)
    two = {
        "nets.py": f"from layers.deep.conv import width\n{NET}",
        "layers/__init__.py": '"""Layers."""',
        "layers/deep/__init__.py": "",
        "layers/deep/conv.py": "from layers.other import area as size\nwidth = size\n",
        "layers/other.py": "area = 4\n",
    }
    assert digest(two) == first
    assert digest({"layers/other.py": "area = 5\n"}) != first


@pytest.mark.parametrize("line", ["from {} import f", "import {} as f"])
def test_to_import_from_another_module_counts(digest, line):
    files = {"one.py": "f = 1\n", "two.py": "f = 2\n"}
    asked = f"{line.format('one')}\nfrom two import f as g\n{NET}"
    swapped = f"{line.format('two')}\nfrom one import f as g\n{NET}"
    assert digest(files | {"nets.py": asked}) != digest({"nets.py": swapped})


def test_modules_that_differ_in_what_they_import_alone_are_told_apart(digest):
    files = {
        "one.py": "f = 1\n",
        "two.py": "f = 2\n",
        "through_one.py": "from one import f\ng = f\n",
        "through_two.py": "from two import f\ng = f\n",
    }
    asked = f"from through_one import g as a\nfrom through_two import g as b\n{NET}"
    swapped = f"from through_two import g as a\nfrom through_one import g as b\n{NET}"
    assert digest(files | {"nets.py": asked}) != digest({"nets.py": swapped})


def test_modules_that_import_one_another_have_a_digest(digest):
    files = {"nets.py": f"import other\n{NET}", "other.py": "import nets\nvalue = 1\n"}
    assert digest(files) == digest({}) != digest({"other.py": "import nets\nvalue = 2\n"})


def test_relative_imports_are_followed(digest):
    def asked():
        return code_digest.code_digest("packed.nets")

    files = {"packed/__init__.py": "", "packed/nets.py": f"from .layers import width\n{NET}"}
    first = digest(files | {"packed/layers.py": "width = 1\n"}, asked)
    assert digest({"packed/nets.py": f"from packed.layers import width\n{NET}"}, asked) == first
    assert digest({"packed/layers.py": "width = 2\n"}, asked) != first


WORDY = """
import sys
from bars import counted

def net(count: int, title="net"):
    for row in counted(range(count), "rows"):
        print(f"row {row}", file=sys.stderr)
    if count < 0:
        raise ValueError(f"{count} is negative")
    return title
"""


@pytest.mark.parametrize(
    ("old", "new", "counts"),
    [
        ('"rows"', '"lines"', False),
        ('f"row {row}"', '"one more"', False),
        ('f"{count} is negative"', '"give more"', False),
        ("ValueError", "TypeError", True),
        ("range(count)", "range(2 * count)", True),
        ('title="net"', 'title="other"', True),
        ("return title", "return 'title'", True),
        ("count < 0", "count < 1", True),
    ],
)
def test_of_messages_the_words_do_not_count(digest, monkeypatch, old, new, counts):
    monkeypatch.setattr(code_digest, "SILENT", frozenset({"bars"}))
    first = digest({"nets.py": WORDY, "bars.py": "counted = iter\n"})
    assert (digest({"nets.py": WORDY.replace(old, new)}) != first) == counts
    assert digest({"nets.py": WORDY, "bars.py": "counted = list\n"}) == first


def test_imports_for_types_and_the_help_of_options_do_not_count(digest):
    text = (
        "from typing import TYPE_CHECKING\nimport typer\nwidth = typer.Option(1, help='Width.')\n"
    )
    first = digest({"nets.py": text})
    for_types = "if TYPE_CHECKING:\n    from far import Away\n"
    assert digest({"nets.py": text.replace("Width.", "Breadth.") + for_types}) == first
    assert digest({"nets.py": text.replace("(1", "(2")}) != first


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of the package that may be changed."""
    folder = tmp_path_factory.mktemp("copy")
    shutil.copytree(
        Path(ap3.__file__).parent, folder / "ap3", ignore=shutil.ignore_patterns("__pycache__")
    )
    return folder


MOVED = "ap3.config.seeds"


def digests(folder: Path, python: str = sys.executable) -> str:
    """The digests of all stages of a copy, asked for in a process of its own."""
    asked = f"from ap3.study.code_digest import code_digest as d; print([d(s) for s in {STAGES}])"
    done = subprocess.run(
        [python, "-c", asked],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_no_stage_changes_when_a_module_moves_and_its_package_is_renamed(copy):
    before = digests(copy)
    (copy / "ap3" / "latent").rename(copy / "ap3" / "densities")
    new = copy / "ap3" / "chance"
    new.mkdir()
    (new / "__init__.py").write_text('"""Chance."""\n', encoding="utf-8")
    (copy / f"{MOVED.replace('.', '/')}.py").rename(new / "from_names.py")
    package, _, module = MOVED.rpartition(".")
    moves = {
        f"from {MOVED} import": "from ap3.chance.from_names import",
        f"from {package} import {module}\n": f"from ap3.chance import from_names as {module}\n",
        "from ap3 import latent\n": "from ap3 import densities as latent\n",
        "ap3.latent": "ap3.densities",
    }
    for path in copy.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for old, here in moves.items():
            text = text.replace(old, here)
        path.write_text(text, encoding="utf-8")
    assert digests(copy) == before


def test_an_empty_piece_of_an_f_string_does_not_count():
    """Python 3.12 puts one behind a format that ends with another."""
    tree = ast.parse('text = f"{x:<{n}}"')
    spec = tree.body[0].value.values[0].format_spec
    spec.values = [part for part in spec.values if not isinstance(part, ast.Constant) or part.value]
    before = code_digest._spell(tree, frozenset())
    spec.values.append(ast.Constant(""))
    assert code_digest._spell(tree, frozenset()) == before
    spec.values[-1] = ast.Constant(".2f")
    assert code_digest._spell(tree, frozenset()) != before


@pytest.mark.parametrize("python", other_pythons())
def test_the_version_of_python_does_not_count(python):
    here = Path(ap3.__file__).parents[1]
    assert digests(here, python) == digests(here)
