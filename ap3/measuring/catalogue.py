"""Every measure of what pruning did, declared once: its column, its names, what it sees, its code.

Measuring, counting, tables, figures and the report all go through `MEASURES`. Importing it is cheap:
the code behind a measure is named by its address and imported when it is computed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pkgutil import resolve_name
from typing import Any, Literal

Sees = Literal["weights", "features", "outputs", "other trials", "true PDs"]

_RANK = {"weights": 0, "features": 1, "outputs": 2}
_OWN = "ap3_own_"
_FROM_CONTROL = "_from_control"


@dataclass(frozen=True)
class Measure:
    """One measure.

    Attributes
    ----------
    column
        Its column in the tables.
    name
        What it is called where many stand side by side.
    sees
        What it may see: the weights alone, the features of the training examples, or what the
        pruned network puts out.
    title
        Its name with what it measures, where it stands alone; `name` if empty.
    law
        `module:function` that sets the measure's latent law up at a layer of the baseline, an
        `ap3.measuring.laws.BaselineLayer`. Its AP3 is the sum over the pruned layers.
    of
        `module:function` that computes another measure of an `ap3.measuring.case.Case`; empty for
        what is known of the variant itself.
    scales
        Columns of the law's own numbers, each with its attribute.
    fixed
        Whether it is one of the pruning itself, whatever it is measured from.
    from_control
        Whether it is measured from the control as well.
    averaged
        Whether its mean over the trials stands in the summary.
    headline
        Whether the report shows it at a glance.
    estimates_pd
        Whether its value, in nats, is itself an estimate of the PD of the loss.
    """

    column: str
    name: str
    sees: Sees = "weights"
    title: str = ""
    law: str = ""
    of: str = ""
    scales: Mapping[str, str] = field(default_factory=dict, hash=False)
    fixed: bool = False
    from_control: bool = False
    averaged: bool = False
    headline: bool = False
    estimates_pd: bool = False

    @property
    def law_name(self) -> str:
        """The name of its latent law: in the column `law`, and within that of its own column."""
        return self.column.removeprefix("ap3_")

    @property
    def axis(self) -> str:
        """What the measure is of, where its title stands beside: AP2, AP3 or its name."""
        return "AP3" if self.law else self.name


def _law(
    column: str, name: str, title: str, law: str, sees: Sees = "weights", **more: Any
) -> Measure:
    return Measure(column, name, sees, title, law, from_control=True, averaged=True, **more)


_DISTANCES = "ap3.measuring.distances"
_LAWS = "ap3.measuring.laws"
_ESTIMATES = "ap3.measuring.loss_estimates"
_OUTPUTS = "ap3.measuring.output_measures"


def _of_outputs(
    column: str, name: str, function: str = "", sees: Sees = "outputs", **more: Any
) -> Measure:
    given = {"from_control": True} | more
    return Measure(column, name, sees, of=f"{_OUTPUTS}:{function or column}", **given)


MEASURES: tuple[Measure, ...] = (
    Measure("ratio", "ratio pruned", fixed=True),
    Measure(
        "magnitude_pruned", "magnitude pruned", of=f"{_DISTANCES}:magnitude_pruned", fixed=True
    ),
    Measure(
        "ap2",
        "AP2",
        title="AP2: squared distance",
        of=f"{_DISTANCES}:squared_distance",
        from_control=True,
        averaged=True,
        headline=True,
    ),
    Measure("relative_frobenius", "relative distance", of=f"{_DISTANCES}:relative_distance"),
    Measure("cosine_distance", "cosine distance", of=f"{_DISTANCES}:cosine"),
    _law(
        "ap3_gaussian",
        "AP3 Gaussian",
        "AP3: Gaussian law, Σ = σ²I",
        f"{_LAWS}:gaussian",
        scales={"gaussian_variance": "variance"},
    ),
    _law(
        "ap3_nondiagonal",
        "AP3 non-diagonal",
        "AP3: Gaussian law, Σ not diagonal",
        f"{_LAWS}:nondiagonal",
        scales={"nondiagonal_scale": "scale"},
    ),
    _law(
        "ap3_student_t",
        "AP3 Student-t",
        "AP3: Student-t law",
        f"{_LAWS}:student_t",
        scales={"student_t_scale": "scale"},
        headline=True,
    ),
    _law(
        "ap3_fisher",
        "AP3 Fisher",
        "AP3: Gaussian law, Fisher precision",
        f"{_LAWS}:fisher",
        "features",
        scales={"fisher_scale": "scale"},
        headline=True,
    ),
    _law(
        "ap3_fisher_diagonal",
        "AP3 diagonal Fisher",
        "AP3: Gaussian law, diagonal Fisher precision",
        f"{_LAWS}:fisher_diagonal",
        "features",
        scales={"fisher_diagonal_scale": "scale", "fisher_damping": "damping"},
    ),
    Measure(
        *("taylor", "Taylor, 2nd order", "features"),
        of=f"{_ESTIMATES}:taylor",
        averaged=True,
        estimates_pd=True,
    ),
    _of_outputs("kronecker_fisher", "Kronecker Fisher", "kronecker", sees="features"),
    Measure("obd", "OBD", "features", of=f"{_ESTIMATES}:obd", fixed=True),
    Measure("snip", "SNIP", "features", of=f"{_ESTIMATES}:snip", fixed=True),
    Measure("wanda", "Wanda", "features", of=f"{_ESTIMATES}:wanda", fixed=True),
    _of_outputs(
        "kl_predictions", "KL of predictions", averaged=True, headline=True, estimates_pd=True
    ),
    _of_outputs("kl_predictions_reverse", "KL, reversed"),
    _of_outputs("jensen_shannon", "Jensen–Shannon"),
    _of_outputs("fisher_both_ends", "Fisher at both ends", estimates_pd=True),
    _of_outputs("mean_slope", "mean slope", from_control=False, estimates_pd=True),
    _of_outputs("output_change", "change of the logits"),
    _of_outputs("cka_distance", "1 − CKA of the logits"),
    _of_outputs("flips", "changed answers"),
)
"""All measures but those by latent laws of the user's, in the order in which they are shown."""

SAME_AS_AP2 = ("relative_frobenius", "ap3_gaussian")
"""Columns that order the variants of a layer as AP2 does, exactly."""

YARDSTICKS: tuple[Measure, ...] = (
    Measure("lookup", "look-up of mode, ratio", "other trials"),
    Measure("ceiling", "noise ceiling", "true PDs"),
)
"""What stands among the measures where they are counted, and measures nothing of a network."""

_BY_COLUMN = {measure.column: measure for measure in (*MEASURES, *YARDSTICKS)}

SEES: dict[str, str] = {measure.column: measure.sees for measure in MEASURES}
"""What each measure may see, by its column."""


def own(function: str) -> Measure:
    """Declare the measure of a latent law of the user's, by the name of its function.

    Examples
    --------
    >>> own("My_law").column, own("My_law").name
    ('ap3_own_my_law', 'AP3 My law')
    """
    name = f"AP3 {function.replace('_', ' ')}"
    return Measure(f"{_OWN}{function.lower()}", name, law=function, from_control=True)


def named(column: str) -> Measure:
    """Return the measure of a column, or one that is called like its column.

    Examples
    --------
    >>> named("ap3_student_t").name, named("ap3_own_my_law").name, named("flops").name
    ('AP3 Student-t', 'AP3 my law', 'AP3 flops')
    """
    return _BY_COLUMN.get(column) or own(column.removeprefix(_OWN))


def is_known(column: str) -> bool:
    """Whether a measure of this column is declared here."""
    return column in _BY_COLUMN


def own_columns(columns: Iterable[str]) -> list[str]:
    """Of a table's columns, find those of measures by the user's own laws, from the baseline.

    Examples
    --------
    >>> own_columns(["ap2", "ap3_fisher", "ap3_own_my_law", "ap3_own_my_law_from_control"])
    ['ap3_own_my_law']
    """
    mine = [name for name in columns if name.startswith(_OWN)]
    return [name for name in mine if not name.endswith(_FROM_CONTROL)]


def from_control(column: str) -> str:
    """Name the column of a measure that is taken from the control at the same epoch."""
    return f"{column}{_FROM_CONTROL}"


def computed() -> list[Measure]:
    """List the measures that are computed, distances first, then by what they see."""
    wanted = [measure for measure in MEASURES if measure.law or measure.of]
    return sorted(wanted, key=lambda measure: (not _is_distance(measure), *_place(measure)))


def modules() -> list[str]:
    """Name the modules that compute the measures."""
    return _modules(measure.law or measure.of for measure in computed())


def law_modules() -> list[str]:
    """Name the modules that set up the latent laws."""
    return _modules(measure.law for measure in computed() if measure.law)


def _modules(addresses: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(address.partition(":")[0] for address in addresses))


def function(address: str) -> Any:
    """Import the function behind a measure."""
    return resolve_name(address)


def _is_distance(measure: Measure) -> bool:
    """Tell AP2 and AP3 from the other measures: what depends on the difference of weights alone."""
    return bool(measure.law) or measure.column == "ap2"


def _place(measure: Measure) -> tuple[int, bool]:
    return (0, False) if _is_distance(measure) else (_RANK[measure.sees], measure.fixed)
