"""The commands: `ap3 STAGE …` for each stage of a study, `ap3 compare` for any two networks.

The stages import what they need when they run, so that help and light stages start at once.
"""

import inspect
from collections.abc import Callable
from typing import Annotated

import typer

from ap3 import __version__
from ap3.errors import SystemRefusedError, UserError
from ap3.machine import interruption
from ap3.machine.job_log import recorded, timed
from ap3.stages.agreement import agreement
from ap3.stages.allocate import allocate
from ap3.stages.allocations import allocations
from ap3.stages.baseline import baseline
from ap3.stages.bounds import bounds
from ap3.stages.compare import compare
from ap3.stages.covariance import covariance
from ap3.stages.data import data
from ap3.stages.depth import depth
from ap3.stages.draws import draws
from ap3.stages.evaluate import evaluate
from ap3.stages.explain import explain
from ap3.stages.features import features
from ap3.stages.fetch import fetch
from ap3.stages.figure import figure
from ap3.stages.findings import findings
from ap3.stages.finetune import finetune
from ap3.stages.measure import measure
from ap3.stages.plan import plan
from ap3.stages.prune import prune
from ap3.stages.ranking import ranking
from ap3.stages.report import report
from ap3.stages.scan import scan
from ap3.stages.subset import subset
from ap3.stages.tables import tables
from ap3.stages.theory import theory
from ap3.stages.views import views
from ap3.stages.weights import weights
from ap3.stages.within import within

CHAPTERS: dict[str, tuple[Callable[..., None], ...]] = {
    "1. Data and weights": (fetch, data, subset, weights),
    "2. The network": (baseline, features, views),
    "3. Pruning": (prune, finetune, allocations),
    "4. Measuring": (covariance, measure, draws, bounds, evaluate),
    "5. Tables and figures": (tables, theory, agreement, depth, within, ranking, figure, report),
}

app = typer.Typer(
    epilog="Exit status: 0 done, 1 a defect of ap3 (please report it), "
    f"{UserError.status} a mistake in what was given, {SystemRefusedError.status} the system "
    f"refused (no room, no permission, no memory), {interruption.STATUS} interrupted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _help(stage: Callable[..., None]) -> str:
    """Take the help out of a docstring: no section for callers, the example in lines of its own."""
    # Python 3.13 compiles docstrings without their indentation.
    text, _, _ = inspect.cleandoc(stage.__doc__ or "").partition("\n\nRaises\n------")
    text, _, example = text.partition("\n\nExample: ")
    paragraphs = [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
    return "\n\n".join([*paragraphs, "Example:", " ".join(example.split())])


app.command(rich_help_panel="Any two networks", help=_help(compare))(timed(compare))
for _command in (explain, scan, allocate):
    app.command(rich_help_panel="Your own network, with data", help=_help(_command))(
        timed(_command)
    )
for _chapter, _stages in CHAPTERS.items():
    for _stage in _stages:
        app.command(rich_help_panel=_chapter, help=_help(_stage))(recorded(_stage))
app.command(rich_help_panel="A study before and after", help=_help(plan))(timed(plan))
app.command(rich_help_panel="A study before and after", help=_help(findings))(timed(findings))


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
    """Explain network pruning by AP2, AP3 and the performance difference.

    Compare any two networks; explain, scan and allocate over data of your own; or run a study stage by
    stage, in the order of the data. `snakemake` runs the stages of a whole study; the commands that it
    prints can be run by hand.
    """


command = typer.main.get_command(app)
"""What runs the command line; made here, before a process that has imported it forks."""
