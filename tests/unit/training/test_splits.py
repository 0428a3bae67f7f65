"""What the last layer sees, read back: numbers of the right type, or a sentence."""

import numpy as np
import pytest

from ap3.errors import UserError
from ap3.files import storage
from ap3.training import splits


@pytest.mark.parametrize(("features", "labels"), [("f4", "?"), ("f4", "f4"), ("i8", "i8")])
def test_features_of_another_type_are_refused(tmp_path, features, labels):
    path = tmp_path / "features.safetensors"
    arrays = {}
    for name in splits.SPLITS:
        arrays |= {name: np.ones((3, 2), features), f"{name}_labels": np.ones(3, labels)}
    storage.save(path, arrays)
    with pytest.raises(UserError, match="features with their labels"):
        splits.read_splits(path)
