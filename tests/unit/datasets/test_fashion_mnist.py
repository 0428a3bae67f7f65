import hashlib
from pathlib import Path

import numpy as np
import pytest
from raw_files import FASHION_NAMES, fashion, put, random_images

from ap3 import datasets
from ap3.errors import UserError

DEBIAN = Path("/usr/share/datasets/fashion-mnist")


def test_idx_files_become_images(tmp_path):
    images = put(tmp_path, "fashion-mnist", fashion(), (20, 10)).decode(tmp_path)
    np.testing.assert_array_equal(images.train_images[:, 0], random_images(20, 28, 28))
    np.testing.assert_array_equal(images.test_images[:, 0], random_images(10, 28, 28, seed=1))
    np.testing.assert_array_equal(images.train_labels, np.arange(20) % 10)
    assert images.classes[9] == "Ankle boot"


@pytest.mark.skipif(not DEBIAN.is_dir(), reason="Debian's dataset-fashion-mnist is not installed")
def test_the_real_one_decodes():
    images = datasets.get("fashion-mnist").decode(DEBIAN)
    assert images.train_images.shape == (60_000, 1, 28, 28)
    assert images.test_images.shape == (10_000, 1, 28, 28)
    assert set(np.bincount(images.train_labels)) == {6000}
    assert set(np.bincount(images.test_labels)) == {1000}
    header = bytes.fromhex("000008030000ea600000001c0000001c")
    digest = hashlib.sha256(header + images.train_images.tobytes()).hexdigest()
    assert digest == "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"


def test_fewer_images_than_promised_are_refused(tmp_path):
    dataset = put(tmp_path, "fashion-mnist", fashion(), (60_000, 10_000))
    with pytest.raises(UserError, match=r"must hold 60000 training and 10000 test .* 20 and 10"):
        dataset.decode(tmp_path)


def test_a_file_other_than_the_published_is_never_opened(tmp_path):
    put(tmp_path, "fashion-mnist", fashion(), (20, 10))
    with pytest.raises(UserError, match=r"train-images-idx3-ubyte.gz is refused.*SHA-256"):
        datasets.get("fashion-mnist").decode(tmp_path)


def test_a_missing_file_is_named(tmp_path):
    dataset = put(tmp_path, "fashion-mnist", fashion(), (20, 10))
    (tmp_path / FASHION_NAMES[1]).unlink()
    with pytest.raises(UserError, match=f"{FASHION_NAMES[1]} does not exist; fetch it first"):
        dataset.decode(tmp_path)
