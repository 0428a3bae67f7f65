"""What the last layer sees: the outputs of the frozen trunk, once for all pruned variants."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor, nn

from ap3 import storage
from ap3.evaluation import EVALUATION_BATCH, logits_of
from ap3.models.head import without_head
from ap3.seeds import derive
from ap3.views import View

if TYPE_CHECKING:  # reading features needs no torchvision, which takes seconds to import
    from ap3.checkpoints import Checkpoint
    from ap3.datasets.images import Images

_ARRAYS = ("train", "train_labels", "test", "test_labels", "views")


@dataclass(frozen=True, eq=False)
class Features:
    """Inputs of the last layer, on the CPU, as float32.

    Attributes
    ----------
    train, test
        Of the images as they are, (N, d).
    train_labels, test_labels
        (N,).
    views
        Of augmented views of the training images, (views, N, d). Without augmentation there is one
        view, which is `train`.
    """

    train: Tensor
    train_labels: Tensor
    test: Tensor
    test_labels: Tensor
    views: Tensor

    @classmethod
    def extract(
        cls,
        checkpoint: "Checkpoint",
        data: "Images",
        views: int,
        augmentation: str,
        device: torch.device,
    ) -> Self:
        """Run the trunk of `checkpoint`, in evaluation mode, over both splits and every view."""
        view, identity = checkpoint.identity.view, checkpoint.identity
        images = torch.from_numpy(data.train_images)
        with without_head(checkpoint.model, identity.head) as trunk:
            train = logits_of(trunk, images, view, device).flatten(1).cpu()
            test = (
                logits_of(trunk, torch.from_numpy(data.test_images), view, device).flatten(1).cpu()
            )
            if augmentation == "none":
                seen = train[None]
            else:
                names = (data.name, identity.model, identity.trial, "views")
                generator = torch.Generator().manual_seed(derive(identity.seed, *names))
                augmented = (
                    _augmented(trunk, images, view, device, augmentation, generator)
                    for _ in range(views)
                )
                seen = torch.stack(list(augmented))
        labels = (torch.from_numpy(data.train_labels), torch.from_numpy(data.test_labels))
        return cls(train, labels[0], test, labels[1], seen)

    def save(self, path: Path) -> None:
        """Write the features; a view that is `train` itself is not written twice."""
        arrays = {name: getattr(self, name).numpy() for name in _ARRAYS}
        if self.views.data_ptr() == self.train.data_ptr():
            del arrays["views"]
        storage.save(path, arrays)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote."""
        arrays, _ = storage.load(path)
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
        tensors.setdefault("views", tensors["train"][None])
        return cls(**tensors)


@torch.no_grad()
def _augmented(
    trunk: nn.Module,
    images: Tensor,
    view: View,
    device: torch.device,
    augmentation: str,
    generator: torch.Generator,
) -> Tensor:
    """Run the trunk over one random view of `images`; (N, d) on the CPU."""
    trunk.eval()
    batches = images.split(EVALUATION_BATCH)
    outputs = [
        trunk(view.augmented(batch.to(device), augmentation, generator)) for batch in batches
    ]
    return torch.cat(outputs).flatten(1).cpu()
