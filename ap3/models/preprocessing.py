"""From stored bytes to what a network sees: resizing, augmentation, normalisation, in batches."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from ap3.errors import InvalidValueError
from ap3.machine.device import send

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

AUGMENTATIONS = ("none", "flip", "crop", "crop-flip")

_CROP_AREA = (0.08, 1.0)
_CROP_ASPECT = (3 / 4, 4 / 3)
_CROP_TRIES = 10


@dataclass(frozen=True)
class View:
    """How a network looks at images.

    Attributes
    ----------
    size
        Height and width of the network's input, in pixels.
    mean, std
        Of each of three channels, on the scale 0 to 1. One grey channel is seen as three.
    """

    size: int
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD

    def still(self, images: Tensor) -> Tensor:
        """Resize and normalise uint8 `images` (N, 1 or 3, H, W) to float32 (N, 3, size, size)."""
        return self._normalise(resize(images, self.size))

    def augmented(self, images: Tensor, how: str, generator: torch.Generator) -> Tensor:
        """Like `still`, with random crops and flips as `how` (one of `AUGMENTATIONS`) says.

        Raises
        ------
        UserError
            If there is no such augmentation.
        """
        if how not in AUGMENTATIONS:
            known = ", ".join(AUGMENTATIONS)
            raise InvalidValueError(f"augmentation is {how!r}, but must be one of {known}.")
        flip = "flip" in how
        if "crop" in how:
            pixels = random_resized_crop(images, self.size, generator, flip)
        else:
            pixels = resize(images, self.size)
            if flip:
                pixels = random_flip(pixels, generator)
        return self._normalise(pixels)

    def _normalise(self, pixels: Tensor) -> Tensor:
        """Bring pixels of 0 to 255 to zero mean and unit deviation; one channel becomes three."""
        shift, scale = send(255 * torch.tensor([self.mean, self.std]), pixels.device)
        return (pixels - shift[:, None, None]).div_(scale[:, None, None])


def resize(images: Tensor, size: int) -> Tensor:
    """Scale `images` (N, C, H, W) to (N, C, size, size), bilinearly with antialiasing, as float32."""
    pixels = images.float()
    if images.shape[-2:] == (size, size):
        return pixels
    return F.interpolate(pixels, size=(size, size), mode="bilinear", antialias=True)


def random_flip(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror each image with probability one half."""
    flipped = _flipped(pixels, generator)
    return torch.where(flipped[:, None, None, None], pixels.flip(-1), pixels)


def _flipped(images: Tensor, generator: torch.Generator) -> Tensor:
    return send(torch.rand(len(images), generator=generator) < 0.5, images.device)


def random_resized_crop(
    images: Tensor, size: int, generator: torch.Generator, flip: bool = False
) -> Tensor:
    """Cut a random box out of each image and scale it to (size, size), as float32.

    The boxes have the distribution of torchvision's `RandomResizedCrop`: an area of 8 to 100 % of
    the image, an aspect of 3/4 to 4/3. All images are sampled in one call of `grid_sample`.
    With `flip` it reads every second of them, on average, from right to left, as `random_flip` does.
    """
    height, width = images.shape[-2:]
    boxes = send(crop_boxes(len(images), height, width, generator), images.device)
    top, left, box_height, box_width = boxes.float().unbind(1)
    steps = (torch.arange(size, device=images.device) + 0.5) / size
    rows = _clamped(top, box_height, steps) * 2 / height - 1
    columns = _clamped(left, box_width, steps) * 2 / width - 1
    if flip:
        columns = torch.where(_flipped(images, generator)[:, None], columns.flip(1), columns)
    grid = torch.stack(
        [columns[:, None, :].expand(-1, size, -1), rows[:, :, None].expand(-1, -1, size)], dim=-1
    )
    return F.grid_sample(
        images.float(), grid, mode="bilinear", padding_mode="border", align_corners=False
    )


def _clamped(start: Tensor, length: Tensor, steps: Tensor) -> Tensor:
    """Sample positions inside each box: none lies so near its edge as to see a pixel beyond it."""
    inside = torch.minimum(length[:, None] * steps, (length - 0.5)[:, None]).clamp_min(0.5)
    return start[:, None] + inside


def crop_boxes(count: int, height: int, width: int, generator: torch.Generator) -> Tensor:
    """Draw `count` boxes (top, left, height, width) in whole pixels: shape (count, 4).

    Of ten draws the first that fits is taken; where none fits, the largest centred box of an
    admissible aspect, as torchvision does.
    """
    area = torch.empty(count, _CROP_TRIES).uniform_(*_CROP_AREA, generator=generator)
    log_aspect = torch.empty(count, _CROP_TRIES).uniform_(
        *map(math.log, _CROP_ASPECT), generator=generator
    )
    aspect = log_aspect.exp()
    box_width = (height * width * area * aspect).sqrt().round().long()
    box_height = (height * width * area / aspect).sqrt().round().long()
    fits = (box_width > 0) & (box_width <= width) & (box_height > 0) & (box_height <= height)
    first = fits.long().argmax(1, keepdim=True)
    sizes = torch.cat([box_height.gather(1, first), box_width.gather(1, first)], dim=1)
    space = torch.tensor([height, width]) - sizes
    corners = (torch.rand(count, 2, generator=generator) * (space + 1)).long().clamp_min(0)
    boxes = torch.cat([corners, sizes], dim=1)
    boxes[~fits.any(1)] = _largest_centred(height, width)
    return boxes


def _largest_centred(height: int, width: int) -> Tensor:
    low, high = _CROP_ASPECT
    box_width, box_height = width, height
    if width / height < low:
        box_height = round(width / low)
    elif width / height > high:
        box_width = round(height * high)
    return torch.tensor(
        [(height - box_height) // 2, (width - box_width) // 2, box_height, box_width]
    )
