"""Explain network pruning: AP2, AP3 and the performance difference of pruned networks.

`compare` measures any network's pruned version layer by layer; `read_weights` reads the two from
files. With data, `explain` says what pruning did, `scan` how sensitive every layer is, and `allocate`
how much of each to prune. `pruning_mask` prunes a layer as the paper does. `ap2` and the laws of
`ap3.latent` are the distances themselves. What goes wrong by a user's hand is a `UserError`.

Everything here is imported when it is first asked for: `import ap3` itself loads no library.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ap3 import latent
    from ap3.comparing.layer_table import compare
    from ap3.diagnosing.allocate import allocate
    from ap3.diagnosing.explain import explain
    from ap3.diagnosing.scan import scan
    from ap3.errors import UserError
    from ap3.files.state_dicts import read as read_weights
    from ap3.metrics import ap2
    from ap3.pruning.masks import pruning_mask

__all__ = [
    "UserError",
    "__version__",
    "allocate",
    "ap2",
    "compare",
    "explain",
    "latent",
    "pruning_mask",
    "read_weights",
    "scan",
]
__version__ = "0.1.0"

_PLACES = {
    "UserError": "ap3.errors:UserError",
    "allocate": "ap3.diagnosing.allocate:allocate",
    "ap2": "ap3.metrics:ap2",
    "compare": "ap3.comparing.layer_table:compare",
    "explain": "ap3.diagnosing.explain:explain",
    "latent": "ap3.latent:",
    "pruning_mask": "ap3.pruning.masks:pruning_mask",
    "read_weights": "ap3.files.state_dicts:read",
    "scan": "ap3.diagnosing.scan:scan",
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
