"""What a file must hold is asked for by name and form; a defect of ours is never a damaged file."""

from dataclasses import dataclass

import numpy as np
import pytest

from ap3.errors import InvalidFileError
from ap3.files import content, storage


@dataclass(frozen=True)
class Place:
    name: str
    number: int
    share: float
    sizes: tuple[int, ...] = ()


WHOLE = {"name": "a", "number": 1, "share": 0.5, "sizes": [1, 2]}


def test_a_record_is_read_back():
    assert content.record({"place": WHOLE}, "place", Place) == Place("a", 1, 0.5, (1, 2))


def test_whole_numbers_are_numbers_and_defaults_may_be_left_out():
    found = content.record({"place": {"name": "a", "number": 1, "share": 1}}, "place", Place)
    assert found == Place("a", 1, 1.0)
    assert type(found.share) is float


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        [],
        None,
        {"place": None},
        {"place": []},
        {"place": WHOLE | {"more": 1}},
        {"place": {"name": "a", "number": 1}},
        {"place": WHOLE | {"name": 1}},
        {"place": WHOLE | {"number": True}},
        {"place": WHOLE | {"number": 1.0}},
        {"place": WHOLE | {"share": "x"}},
        {"place": WHOLE | {"sizes": 3}},
        {"place": WHOLE | {"sizes": [1, "x"]}},
        {"place": WHOLE | {"sizes": {"1": 2}}},
    ],
)
def test_a_record_of_another_form_is_none(metadata):
    with pytest.raises(content.ContentError):
        content.record(metadata, "place", Place)


@pytest.mark.parametrize(
    "arrays", [{}, {"a": np.ones(())}, {"a": np.ones(3, int)}, {"a": np.ones((3, 1))}]
)
def test_an_array_of_another_form_is_none(arrays):
    with pytest.raises(content.ContentError):
        content.array(arrays, "a", "f", 1)


def test_what_a_file_lacks_is_told_with_the_name_of_the_file(tmp_path):
    with (
        pytest.raises(
            InvalidFileError, match=r"x holds no layer \(there is no array 'a'\); delete"
        ),
        storage.holding(tmp_path / "x", "layer"),
    ):
        content.array({}, "a")


@pytest.mark.parametrize(
    "defect",
    [
        lambda: None.shape,
        lambda: {}["a"],
        lambda: [][0],
        lambda: len(3),
        lambda: np.ones(3).reshape(2),
        lambda: 1 / 0,
    ],
)
def test_a_defect_of_ours_is_no_damaged_file(tmp_path, defect):
    with (
        pytest.raises((AttributeError, LookupError, TypeError, ValueError, ArithmeticError)) as one,
        storage.holding(tmp_path / "x", "layer"),
    ):
        defect()
    assert not isinstance(one.value, InvalidFileError)
