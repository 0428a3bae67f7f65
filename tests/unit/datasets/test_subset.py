import numpy as np
import pytest
from small_data import blobs

from ap3.datasets.images import Images
from ap3.datasets.subset import subset_of
from ap3.errors import UserError
from ap3.stages.subset import subset


def test_every_class_keeps_its_share_and_the_test_split_stays_whole():
    whole = blobs(train=90, test=20, classes=3)
    part = subset_of(whole, 30)
    assert np.bincount(part.train_labels).tolist() == [10, 10, 10]
    assert (part.test_images == whole.test_images).all()
    assert (part.test_labels == whole.test_labels).all()
    assert part.name == whole.name


def test_images_keep_their_labels_and_their_order():
    whole = blobs(train=90, classes=3)
    whole.train_images[:, 0, 0, 0] = np.arange(90)
    part = subset_of(whole, 40)
    places = part.train_images[:, 0, 0, 0].astype(int)
    assert (np.diff(places) > 0).all()
    assert (part.train_labels == whole.train_labels[places]).all()


def test_the_same_images_are_taken_every_time():
    parts = [subset_of(blobs(train=90), 31).train_images for _ in range(2)]
    assert np.array_equal(*parts)


@pytest.mark.parametrize("examples", [2, 88, 90, 1000])
def test_what_cannot_be_taken_is_refused(examples):
    with pytest.raises(UserError, match=f"3 to 87 examples can be taken, not {examples}"):
        subset_of(blobs(train=90, classes=3), examples)


@pytest.mark.parametrize("examples", [3, 87])
def test_the_least_and_the_most_can_be_taken(examples):
    part = subset_of(blobs(train=90, classes=3), examples)
    assert len(part.train_labels) == examples


def test_the_stage_writes_a_data_set(tmp_path):
    blobs(train=40).save(tmp_path / "all.safetensors")
    subset(tmp_path / "all.safetensors", 10, tmp_path / "some.safetensors")
    assert len(Images.load(tmp_path / "some.safetensors").train_labels) == 10
