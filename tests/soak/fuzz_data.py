"""Two classes of noise as a data set, and an archive as CIFAR-10's is built."""

import io
import sys
import tarfile
from pathlib import Path

import numpy as np

from ap3.datasets.images import Images

sys.path.append(str(Path(__file__).parents[1] / "unit"))

from raw_files import cifar10_members


def small_images() -> Images:
    """Forty training and twenty test images of 16 × 16 pixels."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (60, 3, 16, 16), dtype=np.uint8)
    labels = np.arange(60) % 2
    return Images("noise", ("a", "b"), pixels[:40], labels[:40], pixels[40:], labels[40:])


def cifar_archive() -> bytes:
    """Six batches of three images."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content in cifar10_members().items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()
