"""Explain network pruning: AP2, AP3 and the performance difference of pruned networks.

`compare` measures any network's pruned version layer by layer; `read_weights` reads the two from
files. `pruning_mask` prunes a layer as the paper does. `ap2` and the laws of `ap3.latent` are the
distances themselves. What goes wrong by a user's hand is a `UserError`.

Everything here is imported when it is first asked for: `import ap3` itself loads no library.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ap3 import latent
    from ap3.comparing.layer_table import compare
    from ap3.errors import UserError
    from ap3.files.state_dicts import read as read_weights
    from ap3.metrics import ap2
    from ap3.pruning.masks import pruning_mask

__all__ = ["UserError", "__version__", "ap2", "compare", "latent", "pruning_mask", "read_weights"]
__version__ = "0.1.0"

_PLACES = {
    "UserError": "ap3.errors:UserError",
    "ap2": "ap3.metrics:ap2",
    "compare": "ap3.comparing.layer_table:compare",
    "latent": "ap3.latent:",
    "pruning_mask": "ap3.pruning.masks:pruning_mask",
    "read_weights": "ap3.files.state_dicts:read",
}


def __getattr__(name: str) -> Any:
    """Import a public name, and the libraries that it needs, when it is first asked for."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _PLACES[name].partition(":")
    found = import_module(module)
    globals()[name] = getattr(found, attribute) if attribute else found
    return globals()[name]


def __dir__() -> list[str]:
    """List the public names, imported or not."""
    return sorted(__all__)
