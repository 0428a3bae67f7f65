"""The page: the parts of the report in one HTML file that asks for nothing else."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from ap3 import __version__
from ap3.machine.progress import counted
from ap3.report import conditions, explorer, glance, vega
from ap3.report.cards import Card, card
from ap3.report.flow import flow
from ap3.report.results import Results
from ap3.report.sheets import number, sheets

_READY = 'document.documentElement.dataset.ready = "yes";'
_FILTERED = ("model", "data set", "metric", "PD")  # the labels that figures are chosen by


def render(results: Results) -> str:
    """Return the page of a study as HTML."""
    with vega.being_made() as script:
        return _rendered(results, script)


def _rendered(results: Results, vega_script: Callable[[], str]) -> str:
    study = results.study
    with ThreadPoolExecutor() as pool:  # Pillow lets others run while it works
        each = partial(card, study=study)
        made = pool.map(each, results.figures, results.figures.values())
        cards = list(counted(made, "figures", len(results.figures)))
    environment = Environment(
        loader=PackageLoader("ap3.report", "."),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "duration": duration}
    return environment.get_template("page.html").render(
        study=study.name,
        size=glance.size(results),
        findings=glance.findings(results),
        cards=cards,
        choices={name: _values(cards, name) for name in _FILTERED},
        sheets=sheets(results.tables),
        flow=flow(study, results.records),
        settings=conditions.settings(study),
        took=conditions.took(study, results.records),
        versions=conditions.versions(results.records),
        recorded=len(results.records),
        complete=json.dumps(dict(study.settings), indent=2, ensure_ascii=False),
        version=__version__,
        made=datetime.now(UTC).strftime("%d %B %Y, %H:%M UTC"),
        style=Markup(_text("page.css")),
        script=Markup(f"{_text('page.js')}\n{_text('page.explore.js')}\n{_READY}"),
        explorer=_embedded(_explored(results)),
        vega=Markup(vega_script()),
        over_layers=study.over_layers,
    )


def _explored(results: Results) -> dict[str, Any]:
    tables = results.tables
    if results.study.over_layers:
        return explorer.network_data(tables["measures"], tables["ranking"])
    return explorer.data(tables["measures"], tables.get("agreement"))


def duration(seconds: float) -> str:
    """Write a time span.

    >>> duration(4.25), duration(312), duration(7300)
    ('4.2 s', '5 min 12 s', '2 h 1 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _values(cards: list[Card], name: str) -> list[str]:
    """List the values that a label has on any figure."""
    return list(dict.fromkeys(value for each in cards for value in each.labels.get(name, [])))


def _embedded(value: object) -> Markup:
    """Return `value` as JSON that may stand inside a script of a page."""
    return Markup(
        json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    )


def _text(name: str) -> str:
    return (files("ap3.report") / name).read_text(encoding="utf-8")
