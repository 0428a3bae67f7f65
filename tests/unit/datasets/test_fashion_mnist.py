import gzip
import hashlib
from pathlib import Path

import numpy as np
import pytest
from raw_files import FASHION_NAMES, fashion, idx, put, random_images

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


def broken(tmp_path, file, content):
    dataset = put(tmp_path, "fashion-mnist", fashion() | {file: content}, (20, 10))
    return lambda: dataset.decode(tmp_path)


def inflated(file):
    return gzip.decompress(fashion()[file])


IMAGES, LABELS = FASHION_NAMES[0], FASHION_NAMES[1]


@pytest.mark.parametrize(
    ("file", "content", "sentence"),
    [
        (IMAGES, fashion()[IMAGES][:-2000], "cut short or damaged"),
        (IMAGES, b"", "no IDX file"),
        (IMAGES, b"\x1f\x8b\x08", "cut short or damaged"),
        (IMAGES, inflated(IMAGES), "cut short or damaged"),
        (IMAGES, gzip.compress(inflated(IMAGES)[:9]), "no IDX file"),
        (IMAGES, gzip.compress(inflated(IMAGES)[:-5]), "20×28×28 bytes .* holds 15675"),
        (IMAGES, gzip.compress(inflated(IMAGES) + b"x"), "20×28×28 bytes .* holds 15681"),
        (IMAGES, gzip.compress(b"\0\0\x08\x03" + b"\xff" * 12), "holds 0"),
        (IMAGES, gzip.compress(bytes(65 * 2**20)), "inflates to more than 67108864"),
        (IMAGES, idx(random_images(20, 29, 28)), "for training are 1×29×28 and .* 1×28×28"),
        (IMAGES, idx(random_images(19, 28, 28)), "19 images and 20 labels"),
        (LABELS, idx(np.arange(20) % 9), r"class 9 \(Ankle boot\) has none"),
        (LABELS, idx(np.arange(20) % 11), "must be 0 to 9, found 10 at image 10"),
        (LABELS, fashion()[IMAGES], "no IDX file of bytes with 1 axes"),
    ],
)
def test_a_damaged_file_gets_one_sentence(tmp_path, file, content, sentence):
    with pytest.raises(UserError, match=sentence):
        broken(tmp_path, file, content)()


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
    (tmp_path / LABELS).unlink()
    with pytest.raises(UserError, match=f"{LABELS} does not exist; fetch it first"):
        dataset.decode(tmp_path)
