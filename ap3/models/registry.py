"""From a network's name to the network.

Four kinds of name are understood: our own (`small_vgg`, listed in `ap3.models.names`), any
classifier of torchvision (`resnet50`), `timm:NAME` where timm is installed, and the user's own
`package.module:function`, called with the number of classes and the image size.
"""

import difflib
import importlib
from collections.abc import Callable

from torch import nn
from torchvision import models

from ap3.errors import UserError
from ap3.models.names import FACTORIES, is_known

Factory = Callable[[int, int], nn.Module]


def build(name: str, classes: int, image_size: int) -> nn.Module:
    """Make the network called `name`, untrained, from torch's global random state.

    Parameters
    ----------
    name
        Of one of the four kinds that the module describes.
    classes
        Number of outputs.
    image_size
        Height and width of the images it will see, in pixels.

    Raises
    ------
    UserError
        If there is no such network, or it cannot be imported.
    """
    if name.startswith("timm:"):
        return _from_timm(name.removeprefix("timm:"), classes)
    if name in FACTORIES or ":" in name:
        return _import(FACTORIES.get(name, name))(classes, image_size)
    return _from_torchvision(name, classes, image_size)


def _from_torchvision(name: str, classes: int, image_size: int) -> nn.Module:
    known, hint = is_known(name)
    if not known:
        raise UserError(f"the network is {name!r}, but {hint}")
    options = {"image_size": image_size} if name.startswith("vit_") else {}
    if name in ("googlenet", "inception_v3"):
        options["aux_logits"] = False
    return models.get_model(name, weights=None, num_classes=classes, **options)


def _from_timm(name: str, classes: int) -> nn.Module:
    try:
        import timm
    except ImportError as error:
        raise UserError(f"timm:{name} needs timm; install it into the environment.") from error
    if not timm.is_model(name):
        nearest = difflib.get_close_matches(name, timm.list_models(), n=1)
        hint = f"; did you mean {nearest[0]}?" if nearest else ""
        raise UserError(f"timm has no network called {name!r}{hint}")
    return timm.create_model(name, pretrained=False, num_classes=classes)


def _import(path: str) -> Factory:
    """Import the factory `package.module:function`."""
    module, _, function = path.partition(":")
    try:
        return getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise UserError(
            f"the network factory {path!r} cannot be imported ({error}); expected package.module:function "
            "of a module that Python finds, for example through PYTHONPATH."
        ) from error
