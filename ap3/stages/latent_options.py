"""Options of the stages that measure a baseline's variants under the latent laws."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ap3.errors import InvalidValueError

if TYPE_CHECKING:
    from ap3.measuring.laws import Scales

Tuned = Annotated[
    Path,
    typer.Argument(help="Fine-tuned variants, as `ap3 finetune` writes them, the log beside them."),
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
Variance = Annotated[
    str, typer.Option(help="σ² of the Gaussian law: a number, or auto, from the baseline alone.")
]
Beta = Annotated[str, typer.Option(help="β of the non-diagonal law: a number or auto.")]
FisherScale = Annotated[str, typer.Option(help="c of the Fisher laws: a number or auto.")]
Damping = Annotated[str, typer.Option(help="λ of the Fisher laws: a number, or auto, 10⁻³ tr F/n.")]
Share = Annotated[
    str,
    typer.Option(help="What the Student-t law shares with the Gaussian: covariance or scale."),
]
OwnLaws = Annotated[
    list[str] | None,
    typer.Option(
        "--law", help="A latent law of your own, package.module:function; can be given repeatedly."
    ),
]


def scales(variance: str, beta: str, fisher_scale: str, damping: str, share: str) -> "Scales":
    """Read the scales of the laws as they are given on the command line."""
    from ap3.measuring.laws import Scales

    if share not in ("covariance", "scale"):
        raise InvalidValueError(f"share is {share!r}, but must be covariance or scale.")
    given = {"variance": variance, "beta": beta, "fisher_scale": fisher_scale, "damping": damping}
    numbers = {name: _number_or_auto(name, text) for name, text in given.items()}
    return Scales(**numbers, share="scale" if share == "scale" else "covariance")


def _number_or_auto(name: str, text: str) -> float | None:
    try:
        number = None if text == "auto" else float(text)
    except ValueError:
        number = 0.0
    if number is not None and not 0 < number < float("inf"):
        raise InvalidValueError(f"{name} is {text!r}, but must be auto or a number above 0.")
    return number


def is_head(scope: str) -> bool:
    """Say whether only the last layer was fine-tuned; a scope of another name is refused."""
    if scope not in ("head", "all"):
        raise InvalidValueError(f"scope is {scope!r}, but must be head or all.")
    return scope == "head"
