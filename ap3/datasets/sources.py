"""Where the raw files come from and what they must hold: the one table of sources.

All digests are SHA-256. Those of the CIFAR and Tiny-ImageNet archives and the first of each
Fashion-MNIST file belong to the publishers' files, whose MD5 sums torchvision lists too; the second
of each Fashion-MNIST file belongs to the one in Debian's package dataset-fashion-mnist, which
differs in its gzip header only.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class RemoteFile:
    """A file that somebody publishes.

    Attributes
    ----------
    dataset
        Name of the data set that needs it; of the publisher where it belongs to none.
    name
        What it is called on disk.
    url
        Where to download it.
    size
        Length of what `url` serves, in bytes; None where only the server knows.
    sha256
        The accepted digests, or how they begin, in hexadecimal.
    """

    dataset: str
    name: str
    url: str
    size: int | None
    sha256: tuple[str, ...]


def _fashion_mnist(name: str, size: int, *sha256: str) -> RemoteFile:
    host = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"
    return RemoteFile("fashion-mnist", name, f"{host}/{name}", size, sha256)


FASHION_MNIST = (
    _fashion_mnist(
        "train-images-idx3-ubyte.gz",
        26_421_880,
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7",
    ),
    _fashion_mnist(
        "train-labels-idx1-ubyte.gz",
        29_515,
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056",
    ),
    _fashion_mnist(
        "t10k-images-idx3-ubyte.gz",
        4_422_102,
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa",
    ),
    _fashion_mnist(
        "t10k-labels-idx1-ubyte.gz",
        5_148,
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05",
    ),
)

CIFAR10 = (
    RemoteFile(
        "cifar10",
        "cifar-10-python.tar.gz",
        "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        170_498_071,
        ("6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",),
    ),
)

CIFAR100 = (
    RemoteFile(
        "cifar100",
        "cifar-100-python.tar.gz",
        "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
        169_001_437,
        ("85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",),
    ),
)

TINY_IMAGENET = (
    RemoteFile(
        "tiny-imagenet",
        "tiny-imagenet-200.zip",
        "http://cs231n.stanford.edu/tiny-imagenet-200.zip",
        248_100_043,
        ("6198c8ae015e2b3e007c7841da39ec069199b9aa3bfa943a462022fe5e43c821",),
    ),
)
