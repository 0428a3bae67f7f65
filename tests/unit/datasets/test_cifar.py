import pickle
import pickletools

import numpy as np
import pytest
from raw_files import (
    cifar10_batch,
    cifar10_members,
    cifar100_members,
    put,
    python2_pickle,
    tar_gz,
)

from ap3 import datasets
from ap3.errors import UserError

ARCHIVE = "cifar-10-python.tar.gz"
BATCH = "cifar-10-batches-py/data_batch_2"
META = "cifar-10-batches-py/batches.meta"


def decode(tmp_path, changed=()):
    members = cifar10_members() | dict(changed)
    return put(tmp_path, "cifar10", {ARCHIVE: tar_gz(members)}, (15, 3)).decode(tmp_path)


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


class Code:
    def __init__(self, function):
        self.function = function

    def __reduce__(self):
        return self.function, ()


def test_an_archive_other_than_the_published_is_never_unpickled(tmp_path):
    marker = tmp_path / "it ran"
    evil = pickle.dumps({b"data": Code(marker.touch), b"labels": [0]}, protocol=2)
    (tmp_path / ARCHIVE).write_bytes(tar_gz(cifar10_members() | {BATCH: evil}))
    with pytest.raises(UserError, match=f"{ARCHIVE} is refused.*SHA-256"):
        datasets.get("cifar10").decode(tmp_path)
    assert not marker.exists()
