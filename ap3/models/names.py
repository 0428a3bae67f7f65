"""Names of networks and of weights, checked without building any.

Imports nothing heavy unless a name is odd.
"""

from ap3.config import user_code
from ap3.config.schema import nearest

FACTORIES = {
    "small_alexnet": "ap3.models.small:small_alexnet",
    "small_vgg": "ap3.models.small:small_vgg",
    "small_resnet": "ap3.models.small:small_resnet",
    "small_vit": "ap3.models.small:small_vit",
}
"""Our own networks, and where each is built. One line adds one."""

PAPER = ("alexnet", "resnet50", "vgg16", "vit_b_16")
"""torchvision's names of the paper's networks (Sec. 5.1)."""

FASHION = ("alexnet", "resnet18", "shufflenet_v2_x0_5")
"""Those of study `fashion`. For the networks listed here torchvision need not be imported."""

NO_WEIGHTS = "none"

WEIGHT_FILES = (".pth", ".pt", ".safetensors")
"""How the name of a file of weights ends."""


def listed() -> list[str]:
    """Name the networks that need not be looked up."""
    return list(dict.fromkeys([*FACTORIES, *PAPER, *FASHION]))


def is_known(name: str) -> tuple[bool, str]:
    """Say whether a network has this name and, if not, what would be right.

    Of the user's own factories only the module is looked for; timm's networks are taken on trust
    until they are built.

    Examples
    --------
    >>> is_known("small_vgg")
    (True, '')
    >>> is_known("smal_vgg")[1].endswith("did you mean 'small_vgg'?")
    True
    >>> is_known("no.such:network")[1]
    "its module 'no.such' is not found; put its folder on PYTHONPATH, or install it."
    """
    if name in (*FACTORIES, *PAPER, *FASHION) or name.startswith("timm:"):
        return True, ""
    if user_code.is_own(name):
        return user_code.is_importable(name)
    from torchvision import models

    names = models.list_models(module=models)
    if name in names:
        return True, ""
    return False, (
        f"must be one of {', '.join(FACTORIES)}, a classifier of torchvision, timm:NAME or "
        f"package.module:function{nearest(name, [*FACTORIES, *names])}"
    )


def are_known(weights: str, name: str) -> tuple[bool, str]:
    """Say whether the network `name` can have these `weights` and, if not, what would be right.

    Examples
    --------
    >>> are_known("DEFAULT", "resnet50"), are_known("trained/mine.pth", "small_vgg")
    ((True, ''), (True, ''))
    >>> are_known("DEFAULT", "small_vgg")[0]
    False
    """
    if weights == NO_WEIGHTS or is_file(weights):
        return True, ""
    if name in FACTORIES or ":" in name:
        return False, (
            "must be none or a file whose name ends in "
            f"{', '.join(WEIGHT_FILES)}, since {name} is no network of torchvision."
        )
    if weights == "DEFAULT":
        return True, ""
    from torchvision import models

    known = [entry.name for entry in models.get_model_weights(name)]
    if weights in known:
        return True, ""
    return False, (
        f"must be none, DEFAULT, {', '.join(known)}, or a file whose name ends in "
        f"{', '.join(WEIGHT_FILES)}."
    )


def is_file(weights: str) -> bool:
    """Tell the path of a file of weights from a name of weights."""
    return weights.endswith(WEIGHT_FILES)
