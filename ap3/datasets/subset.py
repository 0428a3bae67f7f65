"""A data set with fewer training images, for quick studies of slow networks."""

from dataclasses import replace

import numpy as np

from ap3.datasets.images import Images
from ap3.errors import InvalidValueError


def subset_of(images: Images, examples: int) -> Images:
    """Keep `examples` training images, the same share of each class, in their order.

    Which ones depends on nothing but the labels and the number. The test split stays whole.

    Raises
    ------
    UserError
        If there are not more training images than that, or not so many as classes.

    Examples
    --------
    >>> from ap3 import datasets
    >>> len(subset_of(datasets.get("digits").decode(), 100).train_labels)
    100
    """
    from sklearn.model_selection import train_test_split

    count, classes = len(images.train_labels), len(images.classes)
    if not classes <= examples <= count - classes:
        raise InvalidValueError(
            f"{images.name} has {count} training images of {classes} classes, so {classes} to "
            f"{count - classes} examples can be taken, not {examples}; change examples."
        )
    kept, _ = train_test_split(
        np.arange(count), train_size=examples, stratify=images.train_labels, random_state=0
    )
    kept.sort()
    return replace(
        images, train_images=images.train_images[kept], train_labels=images.train_labels[kept]
    )
