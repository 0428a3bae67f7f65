"""The data sets by name: one file each, one line here, sources and checksums in `sources`.

Importing this package is cheap; a data set's own module is imported when it decodes.
"""

from ap3.config import user_code
from ap3.config.schema import nearest
from ap3.datasets import sources
from ap3.datasets.dataset import DataSet
from ap3.errors import InvalidValueError

_REGISTRY = (
    DataSet("digits", train=1_437, test=360),
    DataSet("fashion-mnist", train=60_000, test=10_000, files=sources.FASHION_MNIST),
    DataSet("cifar10", train=50_000, test=10_000, files=sources.CIFAR10),
    DataSet("cifar100", train=50_000, test=10_000, files=sources.CIFAR100),
    DataSet("tiny-imagenet", train=100_000, test=10_000, files=sources.TINY_IMAGENET),
)


def names() -> tuple[str, ...]:
    """Return the names of all data sets, the default one first."""
    return tuple(dataset.name for dataset in _REGISTRY)


def get(name: str) -> DataSet:
    """Return the data set called `name`, or the user's, `package.module:function` or `folder:PATH`.

    Raises
    ------
    UserError
        If there is none; the sentence gives the nearest name and all of them.

    Examples
    --------
    >>> get("cifar10").files[0].name
    'cifar-10-python.tar.gz'
    """
    for dataset in _REGISTRY:
        if dataset.name == name:
            return dataset
    if user_code.is_own(name) or user_code.is_folder(name):
        return DataSet(name)
    known = ", ".join(names())
    raise InvalidValueError(
        f"there is no data set {name!r}; known are {known}{nearest(name, names())}"
    )
