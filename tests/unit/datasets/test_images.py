import numpy as np
import pytest
from raw_files import random_images

from ap3.datasets.images import Images
from ap3.errors import UserError
from ap3.files import storage


def parts(**changed):
    whole = {
        "train_images": random_images(6, 1, 4, 4),
        "train_labels": np.array([0, 1, 2, 0, 1, 2]),
        "test_images": random_images(3, 1, 4, 4, seed=1),
        "test_labels": np.array([2, 1, 0]),
    }
    return whole | changed


def make(**changed):
    return Images("toy", ("a", "b", "c"), **parts(**changed))


def test_a_round_trip_through_a_file_keeps_everything(tmp_path):
    images = make()
    images.save(tmp_path / "toy.safetensors")
    again = Images.load(tmp_path / "toy.safetensors")
    assert (again.name, again.classes) == ("toy", ("a", "b", "c"))
    for key, array in parts().items():
        assert getattr(again, key).dtype == array.dtype
        np.testing.assert_array_equal(getattr(again, key), array)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"train_labels": np.array([0, 1, 2, 0, 1, 3])}, "must be 0 to 2, found 3 at image 5"),
        ({"test_labels": np.array([2, -1, 0])}, "must be 0 to 2, found -1 at image 1"),
        ({"train_labels": np.array([0, 1, 0, 0, 1, 1])}, r"class 2 \(c\) has none"),
        ({"test_labels": np.array([2, 0, 0])}, r"test split: .* class 1 \(b\) has none"),
        ({"test_labels": np.array([2, 1, 0, 0])}, "found 3 images and 4 labels"),
        ({"test_labels": np.array([2, 1, 0], np.int32)}, "found int32"),
        ({"train_images": random_images(6, 4, 4)}, r"found uint8 \(6, 4, 4\)"),
        ({"train_images": np.zeros((6, 1, 4, 4))}, "found float64"),
        ({"test_images": random_images(3, 2, 4, 4)}, "1 or 3"),
        ({"test_images": random_images(3, 1, 5, 4)}, "for training are 1×4×4 and .* 1×5×4"),
    ],
)
def test_what_does_not_fit_is_refused(changed, sentence):
    with pytest.raises(UserError, match=sentence):
        make(**changed)


def test_an_empty_split_lacks_every_class():
    with pytest.raises(UserError, match=r"class 0 \(a\) has none"):
        make(test_images=random_images(0, 1, 4, 4), test_labels=np.zeros(0, np.int64))


def test_a_file_with_something_else_is_refused(tmp_path):
    storage.save(tmp_path / "weights.safetensors", {"weight": np.zeros(3)})
    with pytest.raises(UserError, match="holds no decoded data set"):
        Images.load(tmp_path / "weights.safetensors")
