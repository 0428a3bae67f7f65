"""Tables come back as they were written, or are refused by the name of the file and of the place."""

import numpy as np
import pandas as pd
import pytest

from ap3 import tables
from ap3.errors import UserError

TABLE = pd.DataFrame({"dataset": ["a", "b"], "epoch": [0, 1], "ap2": [1 / 3, np.nan]})


def written(path, change):
    tables.write(TABLE, path)
    path.write_text(path.read_text().replace(*change))
    return path


def test_a_table_comes_back_to_the_last_bit(tmp_path):
    path = tmp_path / "a.csv"
    tables.write(TABLE, path)
    pd.testing.assert_frame_equal(tables.read(path, "dataset", "epoch", values=["ap2"]), TABLE)
    assert len(tables.read_all([path, path], "dataset")) == 4


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
        tables.read(path, "dataset", "epoch", values=["ap2"])
    assert said in str(refused.value)
    assert str(refused.value).startswith(str(path))
    assert str(refused.value).endswith("make it again.")


def test_tables_without_rows_and_no_tables_are_refused(tmp_path):
    tables.write(TABLE[:0], tmp_path / "a.csv")
    with pytest.raises(UserError, match=r"a\.csv has no rows"):
        tables.read_all([tmp_path / "a.csv"], "dataset")
    with pytest.raises(UserError, match="at least one table"):
        tables.read_all([])
