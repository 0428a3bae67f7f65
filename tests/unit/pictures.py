"""Image files in folders for their classes."""

from pathlib import Path

import numpy as np
from PIL import Image


def paint(
    folder: Path,
    classes: tuple[str, ...],
    each: int,
    mode: str = "RGB",
    size: tuple[int, int] = (12, 12),
) -> None:
    """Write so many images (width, height) of every class to `folder`, numbered by name."""
    generator = np.random.default_rng(0)
    for name in classes:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(each):
            shape = (*size[::-1], 3) if mode == "RGB" else size[::-1]
            pixels = generator.integers(256, size=shape, dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number:02}.png")
