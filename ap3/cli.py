"""The command line: `ap3 STAGE …` for each stage of a study, `ap3 compare` for any two networks.

The stages import what they need when they run, so that help and light stages start at once.
"""

import sys
from typing import Annotated

import typer

from ap3 import __version__
from ap3.errors import UserError
from ap3.stages.agreement import agreement
from ap3.stages.baseline import baseline
from ap3.stages.bounds import bounds
from ap3.stages.compare import compare
from ap3.stages.covariance import covariance
from ap3.stages.data import data
from ap3.stages.depth import depth
from ap3.stages.features import features
from ap3.stages.fetch import fetch
from ap3.stages.figure import figure
from ap3.stages.finetune import finetune
from ap3.stages.measure import measure
from ap3.stages.prune import prune
from ap3.stages.subset import subset
from ap3.stages.tables import tables
from ap3.stages.theory import theory
from ap3.stages.weights import weights

_STAGES = (
    fetch,
    data,
    subset,
    weights,
    baseline,
    features,
    prune,
    finetune,
    covariance,
    measure,
    bounds,
    tables,
    theory,
    agreement,
    depth,
    figure,
)

app = typer.Typer(
    help="Explain network pruning by AP2 and AP3. The stages of a study, in the order of the data:",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for _stage in (*_STAGES, compare):
    _help, _, _ = (_stage.__doc__ or "").partition("\n\n    Raises")
    app.command(_stage.__name__, help=_help)(_stage)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"ap3 {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Take the options that stand before the stage."""


def main() -> None:
    """Run the command line; a user's mistake ends in one sentence and exit status 2."""
    try:
        app()
    except UserError as error:
        sys.exit(_complain(str(error)))
    except OSError as error:
        where = f" {error.filename!r}" if error.filename else ""
        sys.exit(_complain(f"the system refused{where}: {error.strerror or error}."))


def _complain(sentence: str) -> int:
    print(f"ap3: {sentence}", file=sys.stderr)
    return 2
