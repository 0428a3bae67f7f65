"""The plain PyTorch recipe that ap3 is measured against, written the way the paper describes it.

Images go through PIL and torchvision's transforms one by one in two DataLoader workers, as the
paper's Sec. 5.1 and common practice have it; float32; one network, or one pruned variant, at a
time. Nothing of ap3 is used.
"""

from collections.abc import Iterable, Iterator
from statistics import fmean

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.optim import SGD
from torch.optim.lr_scheduler import CosineAnnealingLR
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

WORKERS = 2
CPU = torch.device("cpu")

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Decoded(Dataset[tuple[Tensor, int]]):
    """Images in memory, (N, 3, H, W) of bytes, each transformed when it is asked for."""

    def __init__(self, images: NDArray[np.uint8], labels: NDArray[np.int64], size: int) -> None:
        self.images = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
        self.labels = labels
        self.transform = transforms.Compose(
            [
                transforms.RandomResizedCrop(size),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize(_MEAN, _STD),
            ]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.images[index])), int(self.labels[index])


def loader(
    images: NDArray[np.uint8], labels: NDArray[np.int64], size: int, batch: int
) -> DataLoader:
    """Make the training loader."""
    return DataLoader(
        Decoded(images, labels, size), batch_size=batch, shuffle=True, num_workers=WORKERS
    )


def steps(
    model: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    optimizer: SGD,
    mask: Tensor | None = None,
    device: torch.device = CPU,
) -> Iterator[float]:
    """Train for one epoch, yielding the loss of each step.

    With a `mask` of the last layer's weights a pruned variant is fine-tuned: the whole network is
    passed through forwards and backwards, and the pruned weights stay where they are.
    """
    criterion = nn.CrossEntropyLoss()
    last = list(model.parameters())[-2]
    model.train()
    for some, labels in batches:
        pixels, answers = some.to(device), labels.to(device)
        optimizer.zero_grad()
        loss = criterion(model(pixels), answers)
        loss.backward()
        if mask is not None:
            last.grad *= mask
        optimizer.step()
        yield loss.item()


def epochs(
    model: nn.Module,
    batches: DataLoader[tuple[Tensor, int]],
    learning_rate: float,
    count: int = 10**6,
    device: torch.device = CPU,
) -> Iterator[float]:
    """Train for `count` epochs with cosine annealing, yielding the mean loss of each."""
    optimizer = SGD(model.parameters(), lr=learning_rate, momentum=0.9)
    schedule = CosineAnnealingLR(optimizer, count)
    for _ in range(count):
        yield fmean(steps(model, batches, optimizer, device=device))
        schedule.step()
