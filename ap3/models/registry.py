"""From a network's name to the network.

Four kinds of name are understood: our own (`small_vgg`, listed in `ap3.models.names`), any
classifier of torchvision (`resnet50`), `timm:NAME` where timm is installed, and the user's own
`package.module:function`, called with the number of classes and the image size.
"""

from collections.abc import Callable
from typing import Any

from torch import nn

from ap3.config import user_code
from ap3.config.schema import nearest
from ap3.errors import InvalidTypeError, InvalidValueError, MissingPackageError, UserError
from ap3.models.head import find_head, fit_head
from ap3.models.names import FACTORIES, is_known

Factory = Callable[[int, int], nn.Module]


def build(name: str, classes: int, image_size: int) -> nn.Module:
    """Make the network called `name`, untrained, from torch's global random state.

    Its last linear layer has one output per class, whatever the network came with.

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
        If there is no such network, it cannot be imported, takes no images of this size, or does
        not end in a linear layer.

    Examples
    --------
    >>> build("resnet18", classes=10, image_size=32).fc
    Linear(in_features=512, out_features=10, bias=True)
    """
    make = _factory(name)
    try:
        model = make(classes, image_size)
        head = find_head(model, image_size)
    except (UserError, MemoryError):
        raise
    except Exception as error:  # whatever a network objects to, in its own way
        raise InvalidValueError(
            f"{name} cannot be built for {classes} classes and images of {image_size} × "
            f"{image_size} pixels ({' '.join(str(error).split()) or type(error).__name__}); "
            "choose another image_size or another network."
        ) from error
    fit_head(model, head, classes)
    return model


def _factory(name: str) -> Factory:
    if name.startswith("timm:"):
        return _from_timm(name.removeprefix("timm:"))
    if name in FACTORIES or ":" in name:
        return _import(FACTORIES.get(name, name))
    return _from_torchvision(name)


def _from_torchvision(name: str) -> Factory:
    from torchvision import models  # which takes seconds, and other networks need it not

    known, hint = is_known(name)
    if not known:
        raise InvalidValueError(f"the network is {name!r}, but {hint}")

    def make(classes: int, image_size: int) -> nn.Module:
        options: dict[str, Any] = {}
        if name.startswith("vit_"):
            options = {"image_size": image_size}
        if name.startswith("maxvit_"):
            options = {"input_size": (image_size, image_size)}
        if name in ("googlenet", "inception_v3"):
            # Without the branches that only training sees; with the scale of inputs that goes
            # with torchvision's weights.
            options = {"aux_logits": False, "transform_input": True, "init_weights": True}
        return models.get_model(name, weights=None, num_classes=classes, **options)

    return make


def _from_timm(name: str) -> Factory:
    try:
        import timm
    except ImportError as error:
        raise MissingPackageError(
            f"timm:{name} needs timm; install it into the environment."
        ) from error
    if not timm.is_model(name):
        hint = nearest(name, timm.list_models())
        raise InvalidValueError(
            f"timm has no network called {name!r}; choose one that it has{hint}"
        )
    return lambda classes, image_size: timm.create_model(
        name, pretrained=False, num_classes=classes
    )


def _import(path: str) -> Factory:
    """Import the factory `package.module:function`."""
    factory = user_code.load(path, "network factory", ("number of classes", "image size"))

    def make(classes: int, image_size: int) -> nn.Module:
        model = factory(classes, image_size)
        if not isinstance(model, nn.Module):
            raise InvalidTypeError(
                f"the network factory {path!r} returned {type(model).__name__}, but must return a "
                "torch.nn.Module."
            )
        return model

    return make
