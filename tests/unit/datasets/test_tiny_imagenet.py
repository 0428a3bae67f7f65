import contextlib
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from raw_files import TINY_IDS, jpeg, put, random_images, tiny_members, zipped

from ap3.errors import UserError

ARCHIVE = "tiny-imagenet-200.zip"
ROOT = "tiny-imagenet-200"
TRAIN = f"{ROOT}/train/{TINY_IDS[1]}/images/{TINY_IDS[1]}_1.JPEG"
ANNOTATIONS = f"{ROOT}/val/val_annotations.txt"


def decode(folder, content):
    return put(folder, "tiny-imagenet", {ARCHIVE: content}, (6, 3)).decode(folder)


def without(name):
    members = tiny_members()
    del members[name]
    return zipped(members)


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


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        (
            TRAIN,
            jpeg(random_images(1, 64, 32, 3)[0]),
            r"_1.JPEG must be 64×64 pixels, but is 32×64",
        ),
        (TRAIN, jpeg(random_images(1, 64, 64, 3)[0])[:900], "_1.JPEG is no whole JPEG"),
        (TRAIN, b"GIF89a", "_1.JPEG is no whole JPEG"),
        (TRAIN, b"", "_1.JPEG is no whole JPEG"),
        (ANNOTATIONS, b"val_0.JPEG n02124075\n", "val_annotations.txt must name"),
        (ANNOTATIONS, b"val_0.JPEG\tn99999999\n", "of class n99999999, which wnids.txt lacks"),
        (ANNOTATIONS, b"../../x.JPEG\tn02124075\n", "holds no .*x.JPEG"),
        (ANNOTATIONS, b"val_0.JPEG\tn02124075\n", r"test split: .* class 0 \(goldfish\) has none"),
        (f"{ROOT}/wnids.txt", b"\xff\xfe", "of class n01443537, which wnids.txt lacks"),
    ],
)
def test_a_damaged_member_gets_one_sentence(tmp_path, name, content, sentence):
    with pytest.raises(UserError, match=sentence):
        decode(tmp_path, zipped(tiny_members() | {name: content}))


@pytest.mark.parametrize(
    "name", [ANNOTATIONS, f"{ROOT}/wnids.txt", f"{ROOT}/val/images/val_1.JPEG"]
)
def test_a_missing_member_is_named(tmp_path, name):
    with pytest.raises(UserError, match=f"holds no {name}"):
        decode(tmp_path, without(name))


def test_a_missing_training_image_is_noticed(tmp_path):
    with pytest.raises(UserError, match=r"must hold 6 training and 3 test images.* 5 and 3"):
        decode(tmp_path, without(TRAIN))


def test_a_truncated_archive_is_refused(tmp_path):
    content = zipped(tiny_members())
    for length in (0, 100, len(content) // 2, len(content) - 30):
        with pytest.raises(UserError, match="cut short or damaged"):
            decode(tmp_path, content[:length])


def member(name, **attributes):
    info = zipfile.ZipInfo(name)
    for key, value in attributes.items():
        setattr(info, key, value)
    return info


@pytest.mark.parametrize(
    "info",
    [
        member("/etc/ap3-was-here"),
        member("../outside"),
        member("..\\outside"),
        member(f"{ROOT}/train/../../../outside"),
        member(f"{ROOT}/link", external_attr=0o120777 << 16),
    ],
)
def test_members_that_lead_outside_are_refused(tmp_path, info):
    raw = tmp_path / "raw"
    with pytest.raises(UserError, match=r"is refused: its member .* leads outside"):
        decode(raw, zipped(tiny_members(), (info, b"/etc/passwd")))
    assert [path.name for path in tmp_path.rglob("*")] == ["raw", ARCHIVE]


@pytest.mark.parametrize(
    "info",
    [
        member(f"{ROOT}/bomb", compress_type=zipfile.ZIP_DEFLATED),
        member(f"{ROOT}/small", compress_type=zipfile.ZIP_LZMA),
    ],
)
def test_members_that_inflate_without_bound_are_refused(tmp_path, info):
    content = bytes(17 * 2**20) if info.filename.endswith("bomb") else b"x"
    with pytest.raises(UserError, match="may inflate to more than 16777216 bytes"):
        decode(tmp_path, zipped(tiny_members(), (info, content)))


CONTENT = zipped(tiny_members(train=1))


@settings(max_examples=100, deadline=None)
@given(st.integers(0, len(CONTENT) - 1), st.integers(1, 255))
def test_a_flipped_byte_is_refused_or_harmless(tmp_path_factory, position, flip):
    content = bytearray(CONTENT)
    content[position] ^= flip
    folder = tmp_path_factory.mktemp("raw")
    dataset = put(folder, "tiny-imagenet", {ARCHIVE: bytes(content)}, (3, 3))
    with contextlib.suppress(UserError):
        assert dataset.decode(folder).train_images.shape == (3, 3, 64, 64)


PICTURE = jpeg(random_images(1, 64, 64, 3)[0])


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 700) | st.integers(0, len(PICTURE) - 1),
    st.integers(0, 255),
    st.none() | st.integers(0, len(PICTURE)),
)
def test_a_damaged_picture_is_refused_or_has_the_right_size(
    tmp_path_factory, position, byte, length
):
    picture = bytearray(PICTURE)
    picture[position] = byte
    content = zipped(tiny_members() | {TRAIN: bytes(picture[:length])})
    with contextlib.suppress(UserError):
        images = decode(tmp_path_factory.mktemp("raw"), content)
        assert images.train_images.shape == (6, 3, 64, 64)
