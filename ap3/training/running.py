"""How a network is run: in which order of memory, as it is or translated by torch.compile.

Networks that are compared have to be run in one way: another order or a translation rounds
otherwise, in bfloat16 by up to a hundredth in an example's loss.
"""

import shutil
from typing import cast

import torch
from torch import nn

from ap3.errors import SystemRefusedError

_COMPILERS = ("cc", "gcc", "clang", "cl")


def running(model: nn.Module, channels_last: bool = False, compile: bool = False) -> nn.Module:
    """Lay `model` out in place, and return what runs it.

    Parameters
    ----------
    model
        The network.
    channels_last
        Whether its weights keep their channels last in memory.
    compile
        Whether torch.compile translates it. What is returned then is another module, which shares
        weights and mode with the network; `nn.Module.compile` has no effect on an `nn.Sequential`
        in torch 2.11.

    Raises
    ------
    UserError
        If it is to be translated, and there is no C compiler.

    Examples
    --------
    >>> layer = nn.Linear(2, 1)
    >>> running(layer) is layer
    True
    """
    if channels_last:
        model.to(memory_format=torch.channels_last)
    if not compile:
        return model
    if not any(map(shutil.which, _COMPILERS)):
        raise SystemRefusedError(
            "compile needs a C compiler, but neither cc, gcc nor clang was found; install one, or "
            "leave compile out."
        )
    return cast(nn.Module, torch.compile(model, dynamic=False))


def is_translated(model: nn.Module) -> bool:
    """Tell whether `running` translated this."""
    return hasattr(model, "_orig_mod")
