"""Pretrained weights in a file: read without running any code of it, and given to a network."""

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import safe_open
from torch import Tensor, nn
from torchvision.models.vision_transformer import VisionTransformer, interpolate_embeddings

from ap3 import storage
from ap3.checkpoints import load_state, read_identity
from ap3.errors import UserError
from ap3.models.names import WEIGHT_FILES
from ap3.views import View

State = dict[str, Tensor]

_WRAPPERS = ("state_dict", "model_state_dict", "model")
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

        A state dict may be a safetensors file, or what `torch.save` wrote, alone or under the key
        state_dict, model_state_dict or model. Of pickled files tensors and plain containers are
        read, and nothing else.

        Raises
        ------
        UserError
            If the file is missing, damaged, or holds something else.
        """
        if not path.is_file():
            raise UserError(f"the weights file {path} does not exist; correct its path.")
        if path.suffix not in WEIGHT_FILES:
            raise UserError(f"{path} must end in {', '.join(WEIGHT_FILES)} to be read as weights.")
        content, metadata = (
            _read_safetensors(path) if path.suffix == ".safetensors" else (_unpickle(path), {})
        )
        return cls(metadata.get("weights", path.name), _state(content, path), _view(metadata, path))

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
        if isinstance(network, VisionTransformer) and "encoder.pos_embedding" in state:
            state = dict(interpolate_embeddings(network.image_size, network.patch_size, state))
        last = {f"{head}.{part}": own[f"{head}.{part}"] for part in ("weight", "bias")}
        if any(name not in state or state[name].shape != last[name].shape for name in last):
            state |= last
        _check_finite(state, self.name)
        load_state(network, state, self.name)


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


def _read_safetensors(path: Path) -> tuple[State, dict[str, Any]]:
    try:
        with safe_open(path, framework="pt") as file:
            ours = storage.is_ours(file.metadata())
            state = {} if ours else {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except Exception as error:  # a damaged header may fail in any way
        raise _unreadable(path, error) from error
    if not ours:
        return state, {}
    arrays, metadata = storage.load(path)
    return {name: torch.from_numpy(array) for name, array in arrays.items()}, metadata


def _unpickle(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle may fail in any way
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> UserError:
    cause, _, _ = str(error).partition("\n")
    return UserError(
        f"{path} cannot be read as weights ({cause}); give a state dict as a safetensors file or "
        "as torch.save writes it."
    )


def _state(content: Any, path: Path) -> State:
    """Take the state dict out of what wraps it."""
    for key in _WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not content:
        raise UserError(f"{path} holds {type(content).__name__}, but must hold a state dict.")
    for name, tensor in content.items():
        if not isinstance(tensor, Tensor):
            raise UserError(
                f"{path} holds {type(tensor).__name__} under {name!r}, but a state dict holds only "
                "tensors by name; save the network's state_dict()."
            )
    return {str(name): tensor.detach() for name, tensor in content.items()}


def _view(metadata: dict[str, Any], path: Path) -> View | None:
    """Find how a network looked at images in the metadata of a file of ours."""
    if "identity" in metadata:
        return read_identity(path, metadata).view
    seen = metadata.get("view")
    return View(seen["size"], tuple(seen["mean"]), tuple(seen["std"])) if seen else None


def _check_finite(state: State, name: str) -> None:
    wrong = [tensor for tensor, values in state.items() if not values.isfinite().all()]
    if wrong:
        raise UserError(
            f"{name} holds values that are not finite, in {', '.join(wrong[:3])}"
            f"{', …' if len(wrong) > 3 else ''}; choose other weights."
        )
