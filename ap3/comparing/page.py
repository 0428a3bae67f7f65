"""A comparison as one offline page: the verdict, the layers with bars, sorted by a click on a title."""

from html import escape
from importlib.resources import files
from typing import Any

import pandas as pd

from ap3.comparing.cells import RANKED_BY, cut, spelled
from ap3.latent import FULL_PRUNING_KL

_LONGEST = 200
_EXPLAINED = {
    "version": "which pruned version of the baseline",
    "layer": "name of the layer; a tensor of two or more dimensions",
    "weights": "how many weights it has",
    "sparsity": "share of zeros among them in the pruned network",
    "ap2": "squared distance to the baseline, ‖ω − ω̃‖²",
    "relative_distance": "‖ω − ω̃‖/‖ω‖: 0 is untouched, 1 is all pruned",
    "ap3_gaussian": "KL of N(ω, σ²I); pruning a whole layer gives 1.9",
    "ap3_nondiagonal": "KL of the Gaussian law with a random non-diagonal covariance",
    "ap3_student_t": "KL of the Student-t law on means of groups of weights",
    "kind": "what was done to the layer",
    "detail": "which rows, columns or heads; how many levels; which rank",
    "fine_tuned": "whether the weights that are left are not what they were",
}


def page(content: str, title: str) -> str:
    """Write a page that needs nothing else.

    Parameters
    ----------
    content
        What `fragment` wrote.
    title
        What is compared with what.
    """
    template = files("ap3.comparing").joinpath("page.html").read_text("utf-8")
    return template.replace("{{title}}", escape(title)).replace("{{content}}", content)


def fragment(
    table: pd.DataFrame, totals: pd.DataFrame, sentences: list[str], remarks: list[str]
) -> str:
    r"""Write what a page or a notebook shows: sentences and a table.

    Parameters
    ----------
    table
        A row per layer.
    totals
        The same columns of whole networks.
    sentences
        Above the table, the verdict first.
    remarks
        Below it.

    Examples
    --------
    >>> layers = pd.DataFrame([{"layer": "<fc>", "ap2": 1.0}])
    >>> fragment(layers, layers[:0], ["not pruned."], [])[:35]
    '<p class="verdict">not pruned.</p>\n'
    """
    parts = [f'<p class="verdict">{escape(sentence)}</p>' for sentence in sentences]
    names = [str(name) for name in table.columns]
    largest = table[RANKED_BY].max() if RANKED_BY in names else 0
    head = "".join(
        f'<th title="{escape(_EXPLAINED.get(n, "your own law"))}">{escape(n.replace("_", " "))}</th>'
        for n in names
    )
    rows = [_row(row, names, largest) for row in table.to_dict("records")]
    totals = [_row(row, names, 0) for row in totals.to_dict("records")]
    parts.append(
        f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{''.join(rows)}</tbody>\n"
        f"<tfoot>{''.join(totals)}</tfoot>\n</table>"
    )
    if remarks:
        items = "".join(f"<li>{escape(remark)}</li>" for remark in remarks)
        parts.append(f'<ul class="remarks">{items}</ul>')
    return "\n".join(parts)


def _row(row: dict[str, Any], names: list[str], largest: float) -> str:
    return f"<tr>{''.join(_cell(name, row.get(name, ''), largest) for name in names)}</tr>\n"


def _cell(name: str, value: Any, largest: float) -> str:
    if isinstance(value, bool | str):
        return f"<td>{escape(cut(spelled(value), _LONGEST))}</td>"
    look = ' class="number"'
    if name == RANKED_BY and largest > 0 and value > 0:
        colour = f"hsl({120 * (1 - min(value / FULL_PRUNING_KL, 1)):.0f} 60% 80%)"
        share = 100 * value / largest
        look += f' style="background:linear-gradient({colour},{colour}) 0/{share:.1f}% no-repeat"'
    exact = "" if value != value else repr(float(value))
    return f'<td{look} data-value="{exact}">{escape(spelled(value))}</td>'
