"""Names of networks, checked without building any. Imports nothing heavy unless a name is odd."""

import difflib

FACTORIES = {
    "small_alexnet": "ap3.models.small:small_alexnet",
    "small_vgg": "ap3.models.small:small_vgg",
    "small_resnet": "ap3.models.small:small_resnet",
    "small_vit": "ap3.models.small:small_vit",
}
"""Our own networks, and where each is built. One line adds one."""

PAPER = ("alexnet", "resnet50", "vgg16", "vit_b_16")
"""torchvision's names of the paper's networks (Sec. 5.1)."""


def is_known(name: str) -> tuple[bool, str]:
    """Say whether a network has this name and, if not, what would be right.

    Networks of timm and of the user's own are taken on trust here; they are looked for when they
    are built.

    Examples
    --------
    >>> is_known("small_vgg")
    (True, '')
    >>> is_known("smal_vgg")[1].endswith("did you mean 'small_vgg'?")
    True
    """
    if name in FACTORIES or name in PAPER or ":" in name:
        return True, ""
    from torchvision import models

    names = models.list_models(module=models)
    if name in names:
        return True, ""
    nearest = difflib.get_close_matches(name, [*FACTORIES, *names], n=1)
    hint = f"; did you mean {nearest[0]!r}?" if nearest else "."
    return False, (
        f"must be one of {', '.join(FACTORIES)}, a classifier of torchvision, timm:NAME or "
        f"package.module:function{hint}"
    )
