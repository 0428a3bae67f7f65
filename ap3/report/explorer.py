"""The interactive view: every variant's measure beside its PD, along fine-tuning and at one epoch.

Vega-Lite by way of Altair. A page embeds the specification, its data and the libraries, so that it
works without a network.
"""

import json
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from ap3.config.variants import CONTROL
from ap3.explaining.averages import METRICS
from ap3.figures import look
from ap3.files.csv_tables import ROW
from ap3.measuring import catalogue

PDS = {"accuracy": "accuracy (% points)", "loss": "loss (nats)"}
SPLITS = {"test": "test", "train": "training"}
CONTROLS = "#explorer-controls"

# What the menus choose, as expressions of Vega.
_NAMES = {measure.column: measure.name for measure in catalogue.MEASURES}
_METRIC_NAME = f"(({json.dumps(_NAMES)})[chosen_metric] || chosen_metric)"
_PD_NAME = f"('PD, ' + ({json.dumps(SPLITS)})[chosen_split] + ' ' + ({json.dumps(PDS)})[chosen_pd])"

_DIGITS = 5


def metrics_of(measures: pd.DataFrame) -> dict[str, str]:
    """Return the metrics of a table by column, those of laws of the user's own last."""
    known = [name for name in METRICS if name in measures]
    return {name: look.measure_name(name) for name in [*known, *catalogue.own_columns(measures)]}


def data(measures: pd.DataFrame) -> pd.DataFrame:
    """Return the columns that the view shows, rounded, one row per variant, epoch and trial."""
    metrics = list(metrics_of(measures))
    differences = [f"{split}_pd_{kind}" for split in SPLITS for kind in PDS]
    chosen = measures[[*ROW, *metrics, *differences]].copy()
    for column in [*metrics, *differences]:
        chosen[column] = _rounded(chosen[column].to_numpy(float) * look.factor(column))
    return chosen


def specification(measures: pd.DataFrame) -> dict[str, Any]:
    """Return the view of a study's measures as a Vega-Lite specification, its data inside."""
    rows = data(measures)
    looks = _looks(rows)
    modes = alt.selection_point(name="modes", fields=["mode"], bind="legend")
    ratios = alt.selection_point(name="ratios", fields=["ratio"], bind="legend")
    base = _chosen(alt.Chart(rows))
    curves = [_curves(base, looks, column, modes, ratios) for column in ("metric", "pd")]
    view = alt.hconcat(
        _scatter(base, looks, modes, ratios), alt.vconcat(*curves, spacing=12), spacing=36
    )
    with alt.data_transformers.enable("default", max_rows=None):
        return (
            view.add_params(*_menus(rows), _epoch(rows))
            .configure_view(stroke=None)
            .configure_axis(gridColor="#ececec", domainColor="#999", tickColor="#999")
            .configure_legend(orient="bottom", symbolSize=70, columnPadding=14)
            .to_dict()
        )


def _menus(rows: pd.DataFrame) -> list[alt.Parameter]:
    """Return the menus: each a parameter of the view."""
    trials = {int(trial): f"trial {trial}" for trial in sorted(rows["trial"].unique())}
    named = {
        "dataset": ("data set", {name: look.name_title(name) for name in rows["dataset"].unique()}),
        "model": ("model", {name: look.name_title(name) for name in rows["model"].unique()}),
        "metric": ("metric", metrics_of(rows)),
        "split": ("split", SPLITS),
        "pd": ("PD of", PDS),
        "trial": ("trials", {0: "mean of all"} | trials),
    }
    return [
        alt.param(
            name=f"chosen_{key}",
            value=next(iter(options)),
            bind=alt.binding_select(
                options=list(options), labels=list(options.values()), name=name, element=CONTROLS
            ),
        )
        for key, (name, options) in named.items()
    ]


def _epoch(rows: pd.DataFrame) -> alt.Parameter:
    first, last = int(rows["epoch"].min()), int(rows["epoch"].max())
    slider = alt.binding_range(min=first, max=last, step=1, name="epoch", element=CONTROLS)
    return alt.param(name="chosen_epoch", value=last, bind=slider)


def _chosen(chart: alt.Chart) -> alt.Chart:
    """Keep what the menus choose, take the mean over several trials, and put zeros on a floor."""
    by = ["dataset", "model", "mode", "ratio", "epoch"]
    return (
        chart.transform_filter("datum.dataset == chosen_dataset && datum.model == chosen_model")
        .transform_filter("chosen_trial == 0 || datum.trial == chosen_trial")
        .transform_calculate(
            raw_metric="datum[chosen_metric]", raw_pd="datum[chosen_split + '_pd_' + chosen_pd]"
        )
        .transform_aggregate(
            metric="mean(raw_metric)", pd="mean(raw_pd)", n="count()",
            pd_least="min(raw_pd)", pd_most="max(raw_pd)", groupby=[*by],
        )
        .transform_calculate(
            metric_above="datum.metric > 0 ? datum.metric : null",
            pd_above="datum.pd > 0 ? datum.pd : null",
            variant=f"datum.mode == '{CONTROL}' ? 'not pruned' : datum.mode + ' ' + datum.ratio",
            spread="datum.n > 1 ? format(datum.pd_least, '.3~g') + ' to ' +"
            " format(datum.pd_most, '.3~g') + ', n = ' + datum.n : 'one trial'",
        )
        .transform_joinaggregate(metric_floor="min(metric_above)", pd_floor="min(pd_above)")
        .transform_calculate(
            metric_shown="datum.metric > 0 ? datum.metric : (datum.metric_floor || 1) / 2",
            pd_shown="datum.pd > 0 ? datum.pd : (datum.pd_floor || 1) / 2",
            floor="(datum.pd_floor || 1) / 2",
        )
    )  # fmt: skip


def _looks(rows: pd.DataFrame) -> dict[str, Any]:
    """Return the channels that tell variants apart, as in the figures: modes by colour."""
    modes = [mode for mode in rows["mode"].unique() if mode != CONTROL]
    colors = [each.color for each in look.mode_looks(modes).values()]
    ratios = sorted(rows["ratio"].unique())
    return {
        "color": alt.Color(
            "mode:N",
            title="mode",
            scale=alt.Scale(domain=[*modes, CONTROL], range=[*colors, "#8a8a8a"]),
        ),
        "size": alt.Size("ratio:O", title="ratio", scale=alt.Scale(domain=ratios, range=[40, 260])),
        "tooltip": [
            alt.Tooltip("variant:N", title="variant"),
            alt.Tooltip("epoch:Q", title="epoch"),
            alt.Tooltip("metric:Q", title="metric", format=".4~g"),
            alt.Tooltip("pd:Q", title="PD", format=".4~g"),
            alt.Tooltip("spread:N", title="PD of trials"),
        ],
    }


def _axis(column: str, side: type[alt.X] | type[alt.Y], title: str | None = None) -> Any:
    """Return a logarithmic axis of the metric or the PD, a little wider than its values."""
    axis = alt.Axis(title=title, format=".3~g", tickCount=6)
    return side(f"{column}_shown:Q", scale=alt.Scale(type="log", nice=False, padding=12), axis=axis)


def _title(expression: str) -> alt.TitleParams:
    """Return a title that follows the menus."""
    return alt.TitleParams(alt.ExprRef(expression), anchor="start", fontSize=13)


def _floor(chart: alt.Chart) -> alt.LayerChart:
    """Mark where a PD of exactly zero stands, if there is one."""
    least = chart.transform_aggregate(at="min(pd_shown)", least="min(pd)").encode(y="at:Q")
    there = alt.condition("datum.least == 0", alt.value(1), alt.value(0))
    line: alt.Chart = least.mark_rule(strokeDash=[3, 3], color="#888").encode(opacity=there)
    word = least.mark_text(align="left", dx=4, dy=-6, x=0, color="#555").encode(
        text=alt.value("PD exactly zero"), opacity=there
    )
    return line + word


def _scatter(
    base: alt.Chart, looks: dict[str, Any], modes: alt.Parameter, ratios: alt.Parameter
) -> alt.LayerChart:
    """Draw each variant at the chosen epoch: its metric across, its PD up."""
    at = base.transform_filter("datum.epoch == chosen_epoch")
    seen = modes & ratios
    points = at.mark_point(filled=True, stroke="white", strokeWidth=0.8).encode(
        x=_axis("metric", alt.X, "metric"),
        y=_axis("pd", alt.Y, "PD"),
        opacity=alt.when(seen).then(alt.value(0.95)).otherwise(alt.value(0.08)),
        **looks,
    )
    title = _title(f"{_PD_NAME} + ' against ' + {_METRIC_NAME} + ', epoch ' + chosen_epoch")
    drawn = _floor(at) + points.add_params(modes, ratios)  # by the layer whose legends they are
    return drawn.properties(width=430, height=400, title=title)


def _curves(
    base: alt.Chart, looks: dict[str, Any], column: str, modes: alt.Parameter, ratios: alt.Parameter
) -> alt.LayerChart | alt.FacetChart:
    """Draw the metric or the PD of each variant along fine-tuning, the chosen epoch marked."""
    seen = modes & ratios
    title = "fine-tuning epoch" if column == "pd" else None
    epochs = alt.Axis(title=title, tickMinStep=1, format="d")
    x = alt.X("epoch:Q", axis=epochs)
    channels = {"x": x, "y": _axis(column, alt.Y), "color": looks["color"], "detail": "variant:N"}
    faded = alt.when(seen).then(alt.value(0.9)).otherwise(alt.value(0.06))
    width = alt.StrokeWidth("ratio:O", legend=None, scale=alt.Scale(range=[0.6, 2.8]))
    lines = base.mark_line().encode(opacity=faded, strokeWidth=width, **channels)
    dots = base.mark_point(filled=True, size=26).encode(
        opacity=faded, tooltip=looks["tooltip"], **channels
    )
    now = (
        alt.Chart(alt.Data(values=[{}]))
        .transform_calculate(at="chosen_epoch")
        .mark_rule(color="#555", strokeDash=[2, 3])
        .encode(x=alt.X("at:Q", axis=epochs))
    )
    heading = _title((_METRIC_NAME if column == "metric" else _PD_NAME) + " + ' along fine-tuning'")
    floor = [_floor(base)] if column == "pd" else []
    return alt.layer(*floor, now, lines, dots).properties(width=470, height=172, title=heading)


def _rounded(values: np.ndarray) -> np.ndarray:
    """Round to five significant digits: what a reader can see, at half the size of the page."""
    with np.errstate(divide="ignore", invalid="ignore"):
        powers = np.where(values == 0, 0, np.floor(np.log10(np.abs(values))))
    scale = 10.0 ** (_DIGITS - 1 - powers)
    return np.round(values * scale) / scale
