"""What users bring along, named `package.module:function`: networks, data, criteria, latent laws.

Naming something so runs the code of its module: it is the user's own, in the configuration.
"""

import inspect
import re
from collections.abc import Callable, Iterable
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from ap3.errors import InvalidValueError

_FOLDER = "folder:"
_OTHERS = ("timm:", _FOLDER)


def is_own(name: str) -> bool:
    """Tell `package.module:function` from the names that ap3 and its libraries give.

    Examples
    --------
    >>> is_own("my_networks:tiny"), is_own("resnet18"), is_own("timm:resnet10t")
    (True, False, False)
    """
    return ":" in name and not name.startswith(_OTHERS)


def own_modules(names: Iterable[str]) -> list[str]:
    """Name the modules of the user's own functions among `names`.

    Examples
    --------
    >>> own_modules(["lowest", "my_scores:crit"])
    ['my_scores']
    """
    return [module_of(name) for name in names if is_own(name)]


def is_folder(name: str) -> bool:
    """Tell a data set of image files, `folder:PATH`, from all others."""
    return name.startswith(_FOLDER)


def folder_of(name: str) -> Path:
    """Return the folder in `folder:PATH`.

    Examples
    --------
    >>> folder_of("folder:pictures/birds").as_posix()
    'pictures/birds'
    """
    return Path(name.removeprefix(_FOLDER)).expanduser()


def module_of(name: str) -> str:
    """Name the module in `package.module:function`."""
    return name.partition(":")[0]


def function_of(name: str) -> str:
    """Name the function in `package.module:function`."""
    return name.partition(":")[2]


def folder_name(name: str) -> str:
    """Name what a data set or network has in `results`: no colon, which some systems refuse.

    Of a folder of images it is the folder's own name, and what tells its path from others.

    Examples
    --------
    >>> folder_name("my_networks:tiny"), folder_name("timm:resnet10t"), folder_name("resnet18")
    ('my_networks.tiny', 'timm.resnet10t', 'resnet18')
    >>> folder_name("folder:pictures/birds")
    'folder.birds-e58f'
    """
    if is_folder(name):
        readable = re.sub(r"[^\w.-]+", "_", folder_of(name).name)
        return f"folder.{readable}-{sha256(name.encode()).hexdigest()[:4]}"
    return name.replace(":", ".")


def is_importable(name: str) -> tuple[bool, str]:
    """Say whether Python finds the module in `name` and, if not, what to do. Nothing of it runs.

    Examples
    --------
    >>> is_importable("no.such:network")[1]
    "its module 'no.such' is not found; put its folder on PYTHONPATH, or install it."
    """
    module = module_of(name)
    try:
        found = find_spec(module) is not None
    except MemoryError:
        raise
    except Exception:  # a parent package runs when its module is looked for
        found = False
    return found, (
        ""
        if found
        else f"its module {module!r} is not found; put its folder on PYTHONPATH, or install it."
    )


def load(name: str, what: str, arguments: tuple[str, ...]) -> Callable[..., Any]:
    """Import a function of the user's.

    Parameters
    ----------
    name
        `package.module:function`.
    what, arguments
        What it makes and what it takes, in words, for the refusal.

    Raises
    ------
    UserError
        If it cannot be imported, or does not take so many arguments.

    Examples
    --------
    >>> load("textwrap:indent", "quotation", ("text", "prefix"))("well", "> ")
    '> well'
    """
    try:
        function: Callable[..., Any] = resolve_name(name)
        inspect.signature(function).bind(*arguments)
    except MemoryError:
        raise
    except Exception as error:  # importing runs the user's own code
        counts = ("without arguments", "of one argument: ", "of two arguments: ")
        takes = counts[len(arguments)] + " and ".join(arguments)
        raise InvalidValueError(
            f"the {what} {name!r} cannot be imported ({type(error).__name__}: {error}); "
            "expected package.module:function of a module that Python finds, for example through "
            f"PYTHONPATH, and a function {takes}."
        ) from error
    return function
