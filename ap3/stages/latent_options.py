"""Options of the stages that measure a baseline's variants under the latent laws."""

from pathlib import Path
from typing import Annotated

import typer

from ap3.errors import UserError

Layers = Annotated[
    list[Path],
    typer.Argument(
        help="Fine-tuned layers, VARIANT.safetensors, each with its VARIANT.csv beside it."
    ),
]
FeaturesFile = Annotated[
    Path, typer.Option(help="Features of the frozen trunk, as `ap3 features` writes them.")
]
CovarianceFile = Annotated[Path, typer.Option(help="Covariance, as `ap3 covariance` writes it.")]
Scope = Annotated[str, typer.Option(help="What was fine-tuned: head (the last layer only) or all.")]
Df = Annotated[float, typer.Option(help="Degrees of freedom of the Student-t law.")]
Groups = Annotated[
    int | None,
    typer.Option(help="Group means that locate the Student-t law; all weights if not given."),
]
Examples = Annotated[
    int | None,
    typer.Option(min=1, help="Training examples that curvature and predictions are taken on."),
]
OwnLaws = Annotated[
    list[str] | None,
    typer.Option(
        "--law", help="A latent law of your own, package.module:function; can be given repeatedly."
    ),
]


def is_head(scope: str) -> bool:
    """Say whether only the last layer was fine-tuned; a scope of another name is refused."""
    if scope not in ("head", "all"):
        raise UserError(f"scope is {scope!r}, but must be head or all.")
    return scope == "head"
