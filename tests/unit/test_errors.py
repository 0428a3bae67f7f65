"""Errors are of the kind that a caller of a library expects, whatever the command line makes of them."""

import ast
from pathlib import Path

import numpy as np
import pytest

import ap3
from ap3 import errors
from ap3.files import results_lock, storage
from ap3.training.sgd import DivergedError

PACKAGE = Path(ap3.__file__).parent

KINDS = [
    (errors.InvalidValueError, ValueError, 2),
    (errors.InvalidTypeError, TypeError, 2),
    (errors.InvalidFileError, ValueError, 2),
    (errors.MissingFileError, FileNotFoundError, 2),
    (errors.MissingPackageError, ImportError, 2),
    (errors.DownloadError, ConnectionError, 2),
    (errors.SystemRefusedError, OSError, 3),
    (results_lock.TakenError, BlockingIOError, 2),
    (DivergedError, ArithmeticError, 2),
]


@pytest.mark.parametrize(("kind", "builtin", "status"), KINDS)
def test_an_error_is_both_a_user_error_and_one_of_pythons_own(kind, builtin, status):
    error = kind("a sentence.")
    assert isinstance(error, ap3.UserError)
    assert isinstance(error, builtin)
    assert (str(error), error.status) == ("a sentence.", status)


@pytest.mark.parametrize("kind", [kind for kind, *_ in KINDS])
def test_a_sentence_does_nothing_to_a_terminal(kind):
    assert str(kind("no column \x1b[2J\u202e;\nör")) == "no column \\x1b[2J\\u202e;\nör"


def test_wrong_shapes_are_a_value_error():
    with pytest.raises(ValueError, match="shape"):
        ap3.ap2(np.ones((2, 3)), np.ones((3, 2)))


def test_a_missing_file_is_a_file_not_found_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no\.safetensors does not exist"):
        storage.load(tmp_path / "no.safetensors")


def test_a_full_disk_is_an_os_error_and_no_mistake_of_the_users():
    with pytest.raises(OSError, match="could not be written") as refused:
        storage.save(Path("/proc/nowhere/x.safetensors"), {"a": np.ones(1)})
    assert refused.value.status == 3


def test_every_error_has_its_kind():
    bare = [
        f"{path}:{call.lineno}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "UserError"
    ]
    assert bare == []
