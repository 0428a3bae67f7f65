"""What networks see: crops and flips have torchvision's distribution, pixels its values."""

import numpy as np
import pytest
import torch
from scipy.stats import binomtest, ks_2samp
from torchvision.transforms import RandomResizedCrop
from torchvision.transforms import functional as tv

from ap3.errors import UserError
from ap3.models.preprocessing import View, crop_boxes, random_flip, random_resized_crop, resize

DRAWS = 8000


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (64, 48), (12, 60), (60, 12), (3, 3)])
def test_crops_have_the_distribution_of_torchvision(height, width):
    """Kolmogorov and Smirnov's test of every coordinate, of area and aspect, and of the centres."""
    torch.manual_seed(1)
    transform, image = RandomResizedCrop(8), torch.zeros(1, height, width)
    theirs = np.array(
        [transform.get_params(image, transform.scale, transform.ratio) for _ in range(DRAWS)]
    ).T
    ours = crop_boxes(DRAWS, height, width, generator()).numpy().T

    def seen(boxes):
        top, left, tall, wide = boxes
        return [top, left, tall, wide, tall * wide, wide / tall, top + tall / 2, left + wide / 2]

    for mine, other in zip(seen(ours), seen(theirs), strict=True):
        assert ks_2samp(mine, other).pvalue > 1e-3


def test_crops_stay_inside():
    top, left, tall, wide = crop_boxes(DRAWS, 20, 33, generator()).T
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (top + tall <= 20).all()
    assert (left + wide <= 33).all()
    assert (tall > 0).all()
    assert (wide > 0).all()


def test_cropped_pixels_are_those_of_torchvision():
    """Where a crop is scaled up, as small pictures are for networks trained at 224 pixels."""
    images = torch.randint(0, 256, (30, 3, 16, 20), dtype=torch.uint8, generator=generator())
    cropped = random_resized_crop(images, 24, generator(3))
    boxes = crop_boxes(30, 16, 20, generator(3)).tolist()
    for image, box, ours in zip(images, boxes, cropped, strict=True):
        theirs = tv.resized_crop(image.float(), *box, [24, 24], antialias=True)
        torch.testing.assert_close(ours, theirs, rtol=0, atol=2e-3)


def test_resized_pixels_are_those_of_torchvision():
    images = torch.randint(0, 256, (4, 3, 16, 16), dtype=torch.uint8, generator=generator())
    for size in (8, 16, 24):
        theirs = tv.resize(images.float(), [size, size], antialias=True)
        torch.testing.assert_close(resize(images, size), theirs, rtol=0, atol=1e-3)


def test_an_unknown_augmentation_is_refused():
    images = torch.zeros(1, 1, 4, 4, dtype=torch.uint8)
    with pytest.raises(UserError, match="is 'crops', but must be one of none, flip, crop"):
        View(4).augmented(images, "crops", generator())


def test_half_of_the_images_are_mirrored():
    images = torch.arange(3.0).expand(DRAWS, 1, 1, 3)
    flipped = random_flip(images, generator())
    mirrored = (flipped == images.flip(-1)).flatten(1).all(1)
    assert torch.equal(flipped[~mirrored], images[~mirrored])
    assert binomtest(int(mirrored.sum()), DRAWS).pvalue > 1e-3


def test_what_a_network_sees_is_normalised_as_by_torchvision():
    view = View(16, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    images = torch.randint(0, 256, (4, 3, 16, 16), dtype=torch.uint8, generator=generator())
    theirs = tv.normalize(images / 255, view.mean, view.std)
    torch.testing.assert_close(view.still(images), theirs, rtol=1e-5, atol=1e-5)
    grey = images[:, :1]
    torch.testing.assert_close(view.still(grey), view.still(grey.expand(-1, 3, -1, -1)))
