"""Explain network pruning: AP2, AP3 and the performance difference of pruned networks.

`ap3.compare(state_dict, pruned_state_dict)` measures any network's pruned version, layer by layer.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ap3.comparison import compare

__all__ = ["__version__", "compare"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import `compare`, and with it torch and pandas, only when it is asked for."""
    if name != "compare":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ap3.comparison import compare

    return compare
