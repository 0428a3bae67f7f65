"""Every text file is read and written as UTF-8, whatever the locale says."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_FOLDERS = ("ap3", "bench", "docs", "tests", "workflow")
_FILES = sorted(
    file
    for folder in _FOLDERS
    for file in (ROOT / folder).rglob("*")
    if file.suffix in (".py", ".smk") and "build" not in file.parts
)
# Whose `open` opens no text, or no file.
_OTHERS = ("archive", "gzip", "Image", "io", "os", "tarfile", "webbrowser", "zipfile")


def unspecified(source: str) -> Iterator[ast.Call]:
    """Find calls that open a text file, or read a program's text, by the encoding of the locale."""
    for call in ast.walk(ast.parse(source)):
        if not isinstance(call, ast.Call) or any(
            word.arg in ("encoding", None) for word in call.keywords
        ):
            continue
        name = getattr(call.func, "attr", getattr(call.func, "id", ""))
        words = {word.arg: getattr(word.value, "value", None) for word in call.keywords}
        texts = [argument.value for argument in call.args if isinstance(argument, ast.Constant)]
        if (
            (name == "read_text" and not call.args)
            or (name == "write_text" and len(call.args) == 1)
            or (name in ("run", "Popen", "check_output") and words.get("text"))
            or (name == "NamedTemporaryFile" and "b" not in words.get("mode", "b"))
            or (
                name in ("open", "fdopen") and _is_text(call, name, [*texts, words.get("mode", "")])
            )
        ):
            yield call


def _is_text(call: ast.Call, name: str, texts: list[object]) -> bool:
    if name == "open" and isinstance(call.func, ast.Attribute):
        owner = call.func.value
        if isinstance(owner, ast.Name) and owner.id in _OTHERS:
            return False
    if call.args and not isinstance(call.args[-1], ast.Constant | ast.Call | ast.BinOp):
        return len(call.args) == 1 and isinstance(call.func, ast.Name)  # a mode by its name
    modes = [text for text in texts if isinstance(text, str) and re.fullmatch("[rwax+bt]+", text)]
    return not any("b" in mode for mode in modes)


@pytest.mark.parametrize("file", _FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_text_is_read_by_the_encoding_of_the_locale(file):
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".smk":  # is not all Python
        assert not re.search(r"_text\((?![^()]*(\([^()]*\))?[^()]*encoding)|\bopen\(", text)
    else:
        found = [call.lineno for call in unspecified(text)]
        assert found == [], f"{file}: give an encoding in these lines"


@pytest.mark.parametrize("encoding", ["iso-8859-1", "ascii"])
def test_a_locale_of_other_letters_reads_and_writes_the_same(tmp_path, encoding):
    environment = {**os.environ, "PYTHONUTF8": "0", "PYTHONIOENCODING": encoding}
    environment |= {"PYTHONWARNDEFAULTENCODING": "1", "LC_ALL": "en_US.ISO-8859-1"}
    code = "from ap3.cli import main; main()"
    for words in (
        ["--help"],
        ["compare", "--help"],
        ["data", "--dataset", "digits", "--out", "a.safetensors"],
    ):
        command = [sys.executable, "-W", "error::EncodingWarning:ap3", "-c", code, *words]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True)
        assert done.returncode == 0, done.stderr
        assert b"Traceback" not in done.stderr
