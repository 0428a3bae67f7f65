"""Images of the user's own in folders for their classes."""

import struct
import zlib

import numpy as np
import pytest
from pictures import paint
from PIL import Image

from ap3 import datasets
from ap3.datasets.folder import LARGEST_SIDE
from ap3.errors import UserError
from ap3.stages.data import data
from ap3.study.provenance import dataset_digest

NAME = "folder:{}"


def test_both_splits_are_read_in_the_order_of_names(tmp_path):
    paint(tmp_path / "train", classes=("wren", "heron"), each=3)
    paint(tmp_path / "val", classes=("wren", "heron"), each=2)
    images = datasets.get(NAME.format(tmp_path)).decode()
    assert images.classes == ("heron", "wren")
    assert images.train_images.shape == (6, 3, 12, 12)
    assert images.test_images.shape == (4, 3, 12, 12)
    assert images.train_labels.tolist() == [0, 0, 0, 1, 1, 1]


def test_test_stands_before_val(tmp_path):
    for split, each in (("train", 3), ("val", 2), ("test", 1)):
        paint(tmp_path / split, classes=("heron", "wren"), each=each)
    assert len(datasets.get(NAME.format(tmp_path)).decode().test_labels) == 2


def test_without_splits_every_fifth_image_of_a_class_is_for_testing(tmp_path):
    paint(tmp_path, classes=("heron", "wren"), each=11)
    images = datasets.get(NAME.format(tmp_path)).decode()
    assert np.bincount(images.test_labels).tolist() == [2, 2]
    assert np.bincount(images.train_labels).tolist() == [9, 9]
    fifth = np.array(Image.open(tmp_path / "heron/04.png")).transpose(2, 0, 1)
    np.testing.assert_array_equal(images.test_images[0], fifth)


def test_grey_images_stay_grey_and_the_smallest_gives_the_size(tmp_path):
    paint(tmp_path, classes=("a", "b"), each=5, mode="L", size=(20, 14))
    paint(tmp_path, classes=("a",), each=1, mode="L", size=(9, 30))
    images = datasets.get(NAME.format(tmp_path)).decode()
    assert images.train_images.shape[1:] == (1, 9, 9)


def test_one_coloured_image_makes_all_of_three_channels(tmp_path):
    paint(tmp_path, classes=("a", "b"), each=5, mode="L")
    paint(tmp_path, classes=("a",), each=1, mode="RGB")
    assert datasets.get(NAME.format(tmp_path)).decode().train_images.shape[1] == 3


def test_large_images_are_scaled_down(tmp_path):
    paint(tmp_path, classes=("a", "b"), each=5, size=(300, 400))
    assert datasets.get(NAME.format(tmp_path)).decode().test_images.shape[-1] == LARGEST_SIDE


def test_the_stage_writes_them(tmp_path):
    paint(tmp_path / "pictures", classes=("a", "b"), each=5)
    data(NAME.format(tmp_path / "pictures"), tmp_path / "out.safetensors")
    read = datasets.images.Images.load(tmp_path / "out.safetensors")
    assert read.name == NAME.format(tmp_path / "pictures")


def test_a_file_added_or_changed_is_another_source(tmp_path):
    paint(tmp_path, classes=("a", "b"), each=5)
    digests = [dataset_digest(NAME.format(tmp_path)) for _ in range(2)]
    paint(tmp_path, classes=("a",), each=6)
    assert digests[0] == digests[1] != dataset_digest(NAME.format(tmp_path))


@pytest.mark.parametrize(
    ("folders", "sentence"),
    [
        ({}, "holds no images in folders for their classes"),
        ({"train": ("a", "b")}, "has a folder train, but neither test nor val beside it"),
        ({"train": ("a", "b"), "val": ("a",)}, "'b' stands in one of them only"),
    ],
)
def test_another_layout_is_refused(tmp_path, folders, sentence):
    for folder, classes in folders.items():
        paint(tmp_path / folder, classes=classes, each=2)
    with pytest.raises(UserError, match=sentence):
        datasets.get(NAME.format(tmp_path)).decode()


def test_what_is_no_image_is_named(tmp_path):
    paint(tmp_path, classes=("a", "b"), each=5)
    (tmp_path / "b/broken.jpg").write_text("no image", encoding="utf-8")
    with pytest.raises(UserError, match=r"b/broken.jpg cannot be read as an image .*; remove it"):
        datasets.get(NAME.format(tmp_path)).decode()


def test_an_image_cut_short_is_named(tmp_path):
    paint(tmp_path, classes=("a", "b"), each=5, size=(64, 64))
    whole = (tmp_path / "b/00.png").read_bytes()
    (tmp_path / "b/00.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"b/00.png cannot be read as an image"):
        datasets.get(NAME.format(tmp_path)).decode()


def test_a_small_file_of_a_huge_image_is_named(tmp_path):
    """Its header, of 400 million pixels, is enough to refuse it."""
    paint(tmp_path, classes=("a", "b"), each=5)
    path = tmp_path / "b/00.png"
    content = bytearray(path.read_bytes())
    content[16:24] = struct.pack(">II", 20_000, 20_000)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    path.write_bytes(bytes(content))
    with pytest.raises(UserError, match=r"b/00.png cannot be read as an image .*400000000 pixels"):
        datasets.get(NAME.format(tmp_path)).decode()


def test_a_class_with_too_few_images_to_test_is_told(tmp_path):
    paint(tmp_path, classes=("a",), each=5)
    paint(tmp_path, classes=("b",), each=3)
    with pytest.raises(UserError, match=r"test split: every class needs images, but class 1 \(b\)"):
        datasets.get(NAME.format(tmp_path)).decode()
