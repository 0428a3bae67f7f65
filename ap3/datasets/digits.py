"""The 1,797 handwritten digits that scikit-learn ships: 8×8 pixels, grey, ten classes."""

from pathlib import Path

import numpy as np

from ap3.datasets.images import Images

_TEST = 360
_BRIGHTEST = 16


def decode(raw: Path | None = None) -> Images:
    """Return the digits, 1,437 to train and 360 to test; `raw` is not needed.

    The published values 0 to 16 are scaled to 0 to 255. The split is stratified by class and
    always the same one.
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    pixels = np.rint(digits.images * (255 / _BRIGHTEST)).astype(np.uint8)[:, None]
    labels = digits.target.astype(np.int64)
    train, test = train_test_split(
        np.arange(len(labels)), test_size=_TEST, stratify=labels, random_state=0
    )
    classes = tuple(str(name) for name in digits.target_names)
    return Images("digits", classes, pixels[train], labels[train], pixels[test], labels[test])
