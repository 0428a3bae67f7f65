import hashlib

import numpy as np
from sklearn.datasets import load_digits

from ap3 import datasets


def test_every_digit_is_in_exactly_one_split():
    images = datasets.get("digits").decode()
    assert images.train_images.shape == (1437, 1, 8, 8)
    assert images.test_images.shape == (360, 1, 8, 8)
    published = load_digits()
    rows = np.rint(published.images * 255 / 16).reshape(1797, -1)
    ours = np.concatenate([images.train_images, images.test_images]).reshape(1797, -1)
    labels = np.concatenate([images.train_labels, images.test_labels])
    order = np.lexsort(np.c_[ours, labels].T)
    expected = np.lexsort(np.c_[rows, published.target].T)
    np.testing.assert_array_equal(ours[order], rows[expected])
    np.testing.assert_array_equal(labels[order], published.target[expected])


def test_the_scale_reaches_from_dark_to_bright():
    images = datasets.get("digits").decode()
    assert (images.train_images.min(), images.train_images.max()) == (0, 255)
    assert len(np.unique(images.train_images)) == 17


def test_the_split_is_stratified():
    images = datasets.get("digits").decode()
    share = np.bincount(images.test_labels) / np.bincount(
        np.concatenate([images.train_labels, images.test_labels])
    )
    np.testing.assert_allclose(share, 360 / 1797, atol=0.01)


def test_the_split_never_changes():
    images = datasets.get("digits").decode()
    digest = hashlib.sha256(images.test_labels.tobytes() + images.test_images.tobytes())
    assert digest.hexdigest() == "c1685b4e310ac2630889c39dacf0e596cfec5ffdf5ac984c59a1539301ca657e"
