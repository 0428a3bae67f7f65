"""Tables come back as they were written, or are refused by the name of the file and of the place."""

import numpy as np
import pandas as pd
import pytest

from ap3.errors import UserError
from ap3.files import csv_tables

TABLE = pd.DataFrame({"dataset": ["a", "b"], "epoch": [0, 1], "ap2": [1 / 3, np.nan]})


def written(path, change):
    csv_tables.write(TABLE, path)
    path.write_text(path.read_text(encoding="utf-8").replace(*change), encoding="utf-8")
    return path


def test_a_table_comes_back_to_the_last_bit(tmp_path):
    path = tmp_path / "a.csv"
    csv_tables.write(TABLE, path)
    pd.testing.assert_frame_equal(csv_tables.read(path, "dataset", "epoch", values=["ap2"]), TABLE)
    other = written(tmp_path / "b.csv", ("b,1", "c,1"))
    other.write_text(other.read_text(encoding="utf-8").replace("a,0", "d,0"), encoding="utf-8")
    assert list(csv_tables.read_all([path, other], "dataset")["dataset"]) == ["a", "b", "d", "c"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("b,1", "b,one"), "a number belongs, in line 3 of the column epoch, it has 'one'"),
        (("b,1,", "b,1,x"), "a number belongs, in line 3 of the column ap2, it has 'x'"),
        (("b,1", "b,"), "a value belongs, in line 3 of the column epoch, it has 'nan'"),
        (("ap2", "ap"), "lacks the columns ap2; "),
        (("b,1", 'b,"1'), "is no CSV table"),
    ],
)
def test_a_damaged_table_is_refused(tmp_path, change, said):
    path = written(tmp_path / "a.csv", change)
    with pytest.raises(UserError) as refused:
        csv_tables.read(path, "dataset", "epoch", values=["ap2"])
    assert said in str(refused.value)
    assert str(refused.value).startswith(str(path))
    assert str(refused.value).endswith("make it again.")


def test_a_name_out_of_a_table_does_nothing_to_a_terminal(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("epoch,\x1b[2J\n1,one\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"the column \\x1b\[2J, it has 'one'"):
        csv_tables.read(path, "epoch")
    path.write_text("dataset,epoch\n\u202ea,0\n\u202ea,0\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"was there before \(\\u202ea, 0\)"):
        csv_tables.read_all([path], "dataset", "epoch")


def test_tables_without_rows_and_no_tables_are_refused(tmp_path):
    csv_tables.write(TABLE[:0], tmp_path / "a.csv")
    with pytest.raises(UserError, match=r"a\.csv has no rows"):
        csv_tables.read_all([tmp_path / "a.csv"], "dataset")
    with pytest.raises(UserError, match="at least one table"):
        csv_tables.read_all([])


def test_a_row_that_was_there_before_is_refused(tmp_path):
    path = written(tmp_path / "a.csv", ("b,1", "a,0"))
    with pytest.raises(UserError, match=r"a\.csv has a row that was there before \(a, 0\); "):
        csv_tables.read_all([path], "dataset", "epoch")
    csv_tables.write(TABLE, path)
    csv_tables.write(TABLE, tmp_path / "b.csv")
    with pytest.raises(UserError, match=r"b\.csv has a row that was there before"):
        csv_tables.read_all([path, tmp_path / "b.csv"], "dataset", "epoch")


def test_a_number_of_many_digits_is_a_number(tmp_path):
    path = written(tmp_path / "a.csv", ("b,1,", f"b,1,{'9' * 40}"))
    assert list(csv_tables.read(path, "dataset", "epoch", values=["ap2"])["ap2"]) == [1 / 3, 1e40]


def test_a_name_that_looks_like_a_number_stays_a_name(tmp_path):
    path = written(tmp_path / "a.csv", ("b,1", "007,1"))
    assert list(csv_tables.read(path, "dataset")["dataset"]) == ["a", "007"]
    path.write_text(path.read_text(encoding="utf-8").replace("a,0", "8,0"), encoding="utf-8")
    assert list(csv_tables.read(path, "dataset")["dataset"]) == ["8", "007"]


def test_any_column_but_of_names_holds_numbers_or_truths(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("dataset,seen\na,x\nb,x\n", encoding="utf-8")
    with pytest.raises(UserError, match="a number belongs, in line 2 of the column seen"):
        csv_tables.read(path, "dataset")
    path.write_text("dataset,seen\na,True\nb,\nc,False\n", encoding="utf-8")
    assert list(csv_tables.read(path, "dataset")["seen"].dropna()) == [True, False]
