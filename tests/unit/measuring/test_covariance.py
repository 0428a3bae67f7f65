"""A file of V and Λ that another hand has changed."""

import numpy as np
import pytest

from ap3.errors import UserError
from ap3.files import storage
from ap3.measuring.covariance import load_covariance


def test_a_seed_that_no_generator_takes_is_refused(tmp_path):
    path = tmp_path / "covariance.safetensors"
    storage.save(path, {"spectrum": np.ones(8)}, rotation="fast", seed=-3)
    with pytest.raises(UserError, match=r"holds no covariance \(the seed is -3\)"):
        load_covariance(path)
