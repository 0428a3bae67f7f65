"""Pretrained weights in a file: read without running any code of it, and given to a network."""

import re
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from ap3.errors import InvalidFileError, InvalidValueError
from ap3.files import shards, state_dicts, storage
from ap3.models.checkpoint import load_state, read_identity
from ap3.models.preprocessing import View

State = dict[str, Tensor]

_DENSE_LAYER = re.compile(r"(denselayer\d+\.(?:norm|conv))\.(\d\.)")
_AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")


@dataclass(frozen=True, eq=False)
class Pretrained:
    """The weights of a network that was trained before.

    Attributes
    ----------
    name
        What they are called.
    state
        Tensors by the network's own names.
    view
        How that network looked at images; None where the file does not say.
    """

    name: str
    state: State
    view: View | None = None

    def save(self, path: Path) -> None:
        """Write everything to the safetensors file `path`."""
        view = asdict(self.view) if self.view else None
        arrays = {name: tensor.numpy() for name, tensor in self.state.items()}
        storage.save(path, arrays, weights=self.name, view=view)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a file that `save` wrote, a checkpoint of `ap3 baseline`, or any state dict.

        What was done to get at the weights of others' files is said on the standard error.

        Parameters
        ----------
        path
            Of one file: a study follows its content.

        Raises
        ------
        UserError
            If the file is missing, damaged, or holds something else.
        """
        if path.is_dir() or path.name.endswith(shards.INDEX):
            raise InvalidValueError(
                f"{path} is no single file, which a study could follow; give one file with all "
                "weights (model.state_dict() in safetensors or by torch.save)."
            )
        if not storage.is_ours(path):
            tensors = state_dicts.plain(state_dicts.read(path))
            for remark in tensors.remarks:
                print(f"{path}: {remark}", file=sys.stderr)
            state = {name: _detached(tensor, f"{path}: {name}") for name, tensor in tensors.items()}
            return cls(path.name, state)
        arrays, metadata = storage.load(path)
        state = {name: torch.from_numpy(array) for name, array in arrays.items()}
        return cls(metadata.get("weights", path.name), state, _view(metadata, path))

    def give_to(self, network: nn.Module, head: str) -> None:
        """Put the weights into `network`, whose last layer is called `head`.

        The last layer keeps what it has where its shape differs. A vision transformer for images
        of another size gets its position embedding interpolated.

        Raises
        ------
        UserError
            If these are weights of another network, or not finite.
        """
        own = network.state_dict()
        state = _modern(self.state, own)
        if "encoder.pos_embedding" in state:
            state = _interpolated(state, network)
        weight, bias = f"{head}.weight", f"{head}.bias"
        if weight in state and state[weight].shape == own[weight].shape:
            state.setdefault(bias, torch.zeros_like(own[bias]))  # a layer without one adds nothing
        else:
            state |= {weight: own[weight], bias: own[bias]}
        _check_finite(state, self.name)
        load_state(network, state, self.name)


def _detached(tensor: Any, what: str) -> Tensor:
    """Make a dense tensor of what a file holds, for a network to keep; `what` is named in a refusal."""
    try:
        return torch.as_tensor(tensor).detach().to_dense()
    except TypeError as error:
        raise InvalidValueError(
            f"{what} holds values of type {tensor.dtype}, which torch has not; give numbers, such as "
            "model.state_dict() by torch.save."
        ) from error


def _interpolated(state: State, network: nn.Module) -> State:
    """Bring the position embedding of a vision transformer of torchvision to another size."""
    from torchvision.models.vision_transformer import VisionTransformer, interpolate_embeddings

    if not isinstance(network, VisionTransformer):
        return state
    return dict(interpolate_embeddings(network.image_size, network.patch_size, state))


def _modern(state: State, own: State) -> State:
    """Bring what old versions of torchvision wrote to the names of today's networks."""
    # DenseNet's layers had other names, batch normalisation no counters; GoogLeNet's and
    # Inception's files hold branches that only training sees, which we build them without.
    renamed = {_DENSE_LAYER.sub(r"\1\2", name): tensor for name, tensor in state.items()}
    counters = {name: own[name] for name in own if name.endswith("num_batches_tracked")}
    return {
        name: tensor
        for name, tensor in (counters | renamed).items()
        if name in own or not name.startswith(_AUXILIARY)
    }


def _view(metadata: dict[str, Any], path: Path) -> View | None:
    """Find how a network looked at images in the metadata of a file of ours."""
    if "identity" in metadata:
        return read_identity(path, metadata).view
    seen = metadata.get("view")
    return View(seen["size"], tuple(seen["mean"]), tuple(seen["std"])) if seen else None


def _check_finite(state: State, name: str) -> None:
    wrong = [tensor for tensor, values in state.items() if not values.isfinite().all()]
    if wrong:
        raise InvalidFileError(
            f"{name} holds values that are not finite, in {', '.join(wrong[:3])}"
            f"{', …' if len(wrong) > 3 else ''}; choose other weights."
        )
