"""Small raw files in the formats in which the data sets are published."""

import gzip
import hashlib
import io
import pickle
import struct
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
from PIL import Image

from ap3 import datasets
from ap3.datasets.dataset import DataSet
from ap3.datasets.sources import RemoteFile

FASHION_NAMES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)
TINY_IDS = ("n02124075", "n01443537", "n07734744")


NOWHERE = "http://127.0.0.1:9"


def remote(name: str, content: bytes, url: str = NOWHERE, dataset="cifar10") -> RemoteFile:
    digest = hashlib.sha256(content).hexdigest()
    return RemoteFile(dataset, name, f"{url}/{name}", len(content), (digest,))


def put(
    folder: Path,
    name: str,
    contents: dict[str, bytes],
    counts: tuple[int, int],
    url: str = NOWHERE,
) -> DataSet:
    """Write raw files, and describe the data set `name` as if those were the published ones."""
    folder.mkdir(exist_ok=True)
    for file, content in contents.items():
        (folder / file).write_bytes(content)
    files = tuple(remote(*item, url, name) for item in contents.items())
    return replace(datasets.get(name), train=counts[0], test=counts[1], files=files)


def random_images(count: int, *shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)


# Fashion-MNIST


def idx(array: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return gzip.compress(header + array.astype(np.uint8).tobytes())


def fashion(train: int = 20, test: int = 10) -> dict[str, bytes]:
    arrays = (
        random_images(train, 28, 28),
        np.arange(train) % 10,
        random_images(test, 28, 28, seed=1),
        np.arange(test) % 10,
    )
    return {name: idx(array) for name, array in zip(FASHION_NAMES, arrays, strict=True)}


# CIFAR


class Python2Pickler(pickle._Pickler):
    """Pickles as Python 2 did: text and bytes alike are its 8-bit strings."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def save_string(self, text: bytes | str) -> None:
        content = text.encode("ascii") if isinstance(text, str) else text
        short = len(content) < 256
        self.write(
            pickle.SHORT_BINSTRING + bytes([len(content)])
            if short
            else pickle.BINSTRING + struct.pack("<i", len(content))
        )
        self.write(content)
        self.memoize(text)

    def save_global(self, obj: object, name: str | None = None) -> None:
        module = obj.__module__.replace("numpy._core", "numpy.core")
        self.write(pickle.GLOBAL + f"{module}\n{obj.__name__}\n".encode())
        self.memoize(obj)

    dispatch[bytes] = dispatch[str] = save_string
    dispatch[type] = dispatch[type(len)] = dispatch[type(save_global)] = save_global


def python2_pickle(value: object) -> bytes:
    stream = io.BytesIO()
    Python2Pickler(stream, protocol=2).dump(value)
    return stream.getvalue()


def cifar10_batch(labels: list[int], seed: int = 0) -> dict[bytes, object]:
    return {
        b"batch_label": b"a batch",
        b"labels": labels,
        b"data": random_images(len(labels), 3072, seed=seed),
        b"filenames": [b"image_%d.png" % label for label in labels],
    }


def cifar10_members(classes: int = 3) -> dict[str, bytes]:
    """Five batches and a test batch, each with one image of each class."""
    folder, labels = "cifar-10-batches-py", list(range(classes))
    values: dict[str, object] = {
        f"data_batch_{n}": cifar10_batch(labels, seed=n) for n in range(1, 6)
    }
    values["test_batch"] = cifar10_batch(labels, seed=9)
    values["batches.meta"] = {
        b"num_cases_per_batch": classes,
        b"label_names": [b"class %d" % label for label in labels],
        b"num_vis": 3072,
    }
    return {f"{folder}/{name}": python2_pickle(value) for name, value in values.items()}


def cifar100_members() -> dict[str, bytes]:
    def split(labels: list[int], seed: int) -> dict[bytes, object]:
        return {
            b"filenames": [b"x.png"] * len(labels),
            b"batch_label": b"one",
            b"fine_labels": labels,
            b"coarse_labels": [0] * len(labels),
            b"data": random_images(len(labels), 3072, seed=seed),
        }

    values = {
        "train": split([0, 1, 2, 3, 0, 1], seed=1),
        "test": split([3, 2, 1, 0], seed=2),
        "meta": {
            b"fine_label_names": [b"apple", b"aquarium_fish", b"baby", b"bear"],
            b"coarse_label_names": [b"things"],
        },
    }
    return {f"cifar-100-python/{name}": python2_pickle(value) for name, value in values.items()}


def tar_gz(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        folder = tarfile.TarInfo(next(iter(members)).split("/")[0])
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


# Tiny-ImageNet


def jpeg(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=95)
    return stream.getvalue()


def tiny_members(train: int = 2) -> dict[str, bytes]:
    """`train` training images and one validation image of each class; some of them are grey."""
    root = "tiny-imagenet-200"
    names = zip(TINY_IDS, ("Egyptian cat", "goldfish, Carassius auratus", "mushroom"), strict=True)
    members = {
        f"{root}/wnids.txt": "\n".join(TINY_IDS).encode() + b"\n",
        f"{root}/words.txt": "".join(f"{wnid}\t{name}\n" for wnid, name in names).encode(),
        f"{root}/test/images/test_0.JPEG": jpeg(random_images(1, 64, 64, 3)[0]),
    }
    annotations = ""
    for number, wnid in enumerate(TINY_IDS):
        members[f"{root}/train/{wnid}/{wnid}_boxes.txt"] = f"{wnid}_0.JPEG\t0\t0\t63\t63\n".encode()
        for image in range(train):
            shape = (64, 64) if image == 0 else (64, 64, 3)
            pixels = np.full(shape, 40 * number + image, np.uint8)
            members[f"{root}/train/{wnid}/images/{wnid}_{image}.JPEG"] = jpeg(pixels)
        pixels = np.full((64, 64, 3), 200 + 10 * number, np.uint8)
        members[f"{root}/val/images/val_{number}.JPEG"] = jpeg(pixels)
        annotations += f"val_{number}.JPEG\t{wnid}\t0\t0\t63\t63\n"
    members[f"{root}/val/val_annotations.txt"] = annotations.encode()
    return members


def zipped(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()
