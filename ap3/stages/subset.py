"""Stage `subset`: some of a data set's training images."""

from pathlib import Path
from typing import Annotated

import typer

from ap3.stages import options


def subset(
    data: options.Data,
    examples: Annotated[int, typer.Option(min=1, help="How many training images to take.")],
    out: Annotated[Path, typer.Option(help="Where the smaller data set goes (safetensors).")],
) -> None:
    """Take some of the training images, the same share of each class; the test split stays whole.

    Example: ap3 subset --data digits.safetensors --examples 500 --out digits.500.safetensors

    Raises
    ------
    UserError
        If there are not so many, or fewer are wanted than there are classes.
    """
    from ap3.datasets.images import Images
    from ap3.datasets.subset import subset_of

    subset_of(Images.load(data), examples).save(out)
