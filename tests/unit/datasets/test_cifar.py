import contextlib
import pickle
import pickletools
import tarfile
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from raw_files import (
    cifar10_batch,
    cifar10_members,
    cifar100_members,
    put,
    python2_pickle,
    tar_gz,
)

from ap3.errors import UserError

ARCHIVE = "cifar-10-python.tar.gz"
BATCH = "cifar-10-batches-py/data_batch_2"
META = "cifar-10-batches-py/batches.meta"


def decode(tmp_path, changed=(), *more):
    members = cifar10_members() | dict(changed)
    return put(tmp_path, "cifar10", {ARCHIVE: tar_gz(members, *more)}, (15, 3)).decode(tmp_path)


def test_cifar10_batches_become_images(tmp_path):
    images = decode(tmp_path)
    plain = [pickle.loads(content, encoding="bytes") for content in cifar10_members().values()]
    train = np.concatenate([batch[b"data"] for batch in plain[:5]])
    np.testing.assert_array_equal(images.train_images, train.reshape(-1, 3, 32, 32))
    np.testing.assert_array_equal(images.test_images.reshape(3, -1), plain[5][b"data"])
    np.testing.assert_array_equal(images.train_labels, [0, 1, 2] * 5)
    assert images.classes == ("class 0", "class 1", "class 2")


def test_cifar100_takes_the_fine_labels(tmp_path):
    content = tar_gz(cifar100_members())
    dataset = put(tmp_path, "cifar100", {"cifar-100-python.tar.gz": content}, (6, 4))
    images = dataset.decode(tmp_path)
    np.testing.assert_array_equal(images.train_labels, [0, 1, 2, 3, 0, 1])
    np.testing.assert_array_equal(images.test_labels, [3, 2, 1, 0])
    assert images.classes == ("apple", "aquarium_fish", "baby", "bear")


def test_the_pickles_of_these_tests_are_written_as_python_2_did():
    codes = {code.name for code, *_ in pickletools.genops(cifar10_members()[BATCH])}
    assert "SHORT_BINSTRING" in codes
    assert codes.isdisjoint({"BINUNICODE", "SHORT_BINBYTES", "BINBYTES"})


class Code:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def test_code_in_a_pickle_does_not_run(tmp_path):
    marker = tmp_path / "it ran"
    evil = pickle.dumps({b"data": Code(marker.touch), b"labels": [0]}, protocol=2)
    with pytest.raises(UserError, match="does not hold the batches of cifar10"):
        decode(tmp_path, {BATCH: evil})
    assert not marker.exists()
    pickle.loads(evil)
    assert marker.exists()


@pytest.mark.parametrize(
    "value",
    [
        Code(eval, "1 + 1"),
        Code(getattr, "", "join"),
        Code(np.load, "x"),
        np.float64(3),
        np.arange(3.0),
        np.array(["text"]),
    ],
)
def test_nothing_but_arrays_of_bytes_is_admitted(tmp_path, value):
    evil = pickle.dumps({b"data": value, b"labels": [0, 1, 2]}, protocol=2)
    with pytest.raises(UserError, match="does not hold the batches of cifar10"):
        decode(tmp_path, {BATCH: evil})


@pytest.mark.parametrize(
    "batch",
    [
        {b"labels": [0, 1, 2]},
        {b"data": cifar10_batch([0, 1, 2])[b"data"]},
        cifar10_batch([0, 1, 2]) | {b"labels": ["a", "b", "c"]},
        cifar10_batch([0, 1, 2]) | {b"data": np.zeros((3, 3071), np.uint8)},
        cifar10_batch([0, 1, 2]) | {b"data": [1, 2, 3]},
        [],
    ],
)
def test_a_batch_of_another_form_is_refused(tmp_path, batch):
    with pytest.raises(UserError, match="does not hold the batches of cifar10"):
        decode(tmp_path, {BATCH: python2_pickle(batch)})


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        ([0, 1, 3], "must be 0 to 2, found 3 at image 5"),
        ([0, 1], "must hold 15 training and 3 test images.* 14 and 3"),
    ],
)
def test_labels_are_checked(tmp_path, labels, sentence):
    with pytest.raises(UserError, match=sentence):
        decode(tmp_path, {BATCH: python2_pickle(cifar10_batch(labels))})


def test_a_class_without_images_is_refused(tmp_path):
    meta = python2_pickle({b"label_names": [b"a", b"b", b"c", b"d"]})
    with pytest.raises(UserError, match=r"class 3 \(d\) has none"):
        decode(tmp_path, {META: meta})


def test_a_truncated_archive_is_refused(tmp_path):
    content = tar_gz(cifar10_members())
    for length in (0, 10, len(content) // 2, len(content) - 4):
        dataset = put(tmp_path, "cifar10", {ARCHIVE: content[:length]}, (15, 3))
        with pytest.raises(UserError, match="cut short or damaged"):
            dataset.decode(tmp_path)


def test_an_archive_without_a_batch_is_refused(tmp_path):
    members = cifar10_members()
    del members[BATCH]
    dataset = put(tmp_path, "cifar10", {ARCHIVE: tar_gz(members)}, (15, 3))
    with pytest.raises(UserError, match=f"holds no {BATCH}"):
        dataset.decode(tmp_path)


def info(name, kind=tarfile.REGTYPE, target=""):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


@pytest.mark.parametrize(
    "member",
    [
        info("/etc/ap3-was-here"),
        info("../outside"),
        info("cifar-10-batches-py/../../outside"),
        info("link", tarfile.SYMTYPE, "/etc/passwd"),
        info("link", tarfile.LNKTYPE, "../outside"),
        info("device", tarfile.CHRTYPE),
        info("holes", tarfile.GNUTYPE_SPARSE),
    ],
)
def test_members_that_lead_outside_are_refused(tmp_path, member):
    raw = tmp_path / "raw"
    with pytest.raises(UserError, match=r"is refused: its member .* leads outside"):
        decode(raw, {}, member)
    assert [path.name for path in tmp_path.rglob("*")] == ["raw", ARCHIVE]


def test_an_archive_that_inflates_without_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("ap3.datasets.cifar._LIMIT", 10_000)
    with pytest.raises(UserError, match="inflates to more than 10000 bytes"):
        decode(tmp_path)


HOSTILE = {
    "a text of 2 GB": b"\x80\x02T" + (2**31 - 1).to_bytes(4, "little") + b"short.",
    "a memo of 4 G entries": b"\x80\x02Nr" + b"\xff" * 4 + b".",
    "a number of 2 GB": b"\x80\x02\x8b" + (2**31 - 1).to_bytes(4, "little") + b"\1.",
    "an array of 2 GB": python2_pickle(np.zeros(1, np.uint8)).replace(
        b"K\x01\x85", b"J" + (2**31 - 1).to_bytes(4, "little") + b"\x85"
    ),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_memory_stays_bounded(tmp_path, content):
    assert content != python2_pickle(np.zeros(1, np.uint8))
    tracemalloc.start()
    with pytest.raises(UserError, match="does not hold the batches of cifar10"):
        decode(tmp_path, {BATCH: content})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # The buffer that the archive is inflated into, and little more.
    assert peak < 300e6


CONTENT = python2_pickle(cifar10_batch([0, 1, 2], seed=2))
MARKUP = len(CONTENT) - 3 * 3072


@settings(max_examples=200, deadline=None)
@given(
    st.integers(0, MARKUP // 2) | st.integers(len(CONTENT) - MARKUP, len(CONTENT) - 1),
    st.integers(0, 255),
    st.none() | st.integers(0, len(CONTENT)),
)
def test_a_damaged_pickle_is_refused_or_gives_images(tmp_path_factory, position, byte, length):
    content = bytearray(CONTENT)
    content[position] = byte
    with contextlib.suppress(UserError):
        images = decode(tmp_path_factory.mktemp("raw"), {BATCH: bytes(content[:length])})
        assert images.train_images.shape == (15, 3, 32, 32)
