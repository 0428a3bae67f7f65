import numpy as np
import pytest
from raw_files import TINY_IDS, jpeg, put, random_images, tiny_members, zipped

from ap3.errors import UserError

ARCHIVE = "tiny-imagenet-200.zip"
ROOT = "tiny-imagenet-200"
TRAIN = f"{ROOT}/train/{TINY_IDS[1]}/images/{TINY_IDS[1]}_1.JPEG"
ANNOTATIONS = f"{ROOT}/val/val_annotations.txt"


def decode(folder, content):
    return put(folder, "tiny-imagenet", {ARCHIVE: content}, (6, 3)).decode(folder)


def test_the_folders_become_images(tmp_path):
    images = decode(tmp_path, zipped(tiny_members()))
    # Labels follow the sorted ids, not the order of wnids.txt.
    assert images.classes == ("goldfish", "Egyptian cat", "mushroom")
    assert images.train_images.shape == (6, 3, 64, 64)
    np.testing.assert_array_equal(images.train_labels, [0, 0, 1, 1, 2, 2])
    brightness = images.train_images.mean(axis=(1, 2, 3))
    np.testing.assert_allclose(brightness, [40, 41, 0, 1, 80, 81], atol=1)


def test_grey_images_become_three_equal_channels(tmp_path):
    members = tiny_members()
    grey = random_images(1, 64, 64)[0]
    members[TRAIN] = jpeg(grey)
    image = decode(tmp_path, zipped(members)).train_images[1]
    np.testing.assert_array_equal(image[0], image[1])
    np.testing.assert_array_equal(image[0], image[2])
    np.testing.assert_allclose(image[0], grey, atol=25)


def test_colours_keep_their_channels(tmp_path):
    members = tiny_members()
    red = np.zeros((64, 64, 3), np.uint8)
    red[..., 0] = 250
    members[TRAIN] = jpeg(red)
    image = decode(tmp_path, zipped(members)).train_images[1]
    np.testing.assert_allclose(image.mean(axis=(1, 2)), [250, 0, 0], atol=3)


def test_the_labels_of_the_test_split_come_from_the_annotations(tmp_path):
    members = tiny_members()
    members[ANNOTATIONS] = "".join(
        f"val_{number}.JPEG\t{wnid}\t0\t0\t9\t9\n"
        for number, wnid in zip((2, 0, 1), TINY_IDS, strict=True)
    ).encode()
    images = decode(tmp_path, zipped(members))
    np.testing.assert_array_equal(images.test_labels, [1, 0, 2])
    brightness = images.test_images.mean(axis=(1, 2, 3))
    np.testing.assert_allclose(brightness, [220, 200, 210], atol=1)


def test_a_missing_training_image_is_noticed(tmp_path):
    members = tiny_members()
    del members[TRAIN]
    with pytest.raises(UserError, match=r"must hold 6 training and 3 test images.* 5 and 3"):
        decode(tmp_path, zipped(members))
