"""One offline page of a result: verdict, ranked table, curves, what to do. No script from elsewhere."""

from collections.abc import Iterable
from html import escape
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ap3.diagnosing.allocate import Allocation
from ap3.diagnosing.explain import REST, Explanation
from ap3.diagnosing.result import Result, cell
from ap3.diagnosing.scan import Scan
from ap3.files.storage import write_atomically

_WIDTH, _HEIGHT, _EDGE = 640, 300, 40
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222;
background:#fff}h1{font-size:1.3rem}h2{font-size:1.05rem;margin-top:2rem}.table{max-height:32rem;
overflow:auto;border:1px solid #ddd}table{border-collapse:collapse;font-variant-numeric:tabular-nums;
width:100%}th,td{padding:.2rem .6rem;text-align:right;white-space:nowrap}th:first-child,
td:first-child{text-align:left}th{position:sticky;top:0;background:#f4f4f4;cursor:pointer}
tr{content-visibility:auto;contain-intrinsic-height:1.8rem}tbody tr:nth-child(even){background:#fafafa}
tfoot td{position:sticky;bottom:0;background:#f4f4f4;font-weight:600}
input{font:inherit;padding:.2rem .5rem;margin:.5rem 0;width:16rem}pre{background:#f4f4f4;padding:.8rem;
overflow:auto;max-height:24rem}svg{max-width:100%}polyline:hover{stroke:#000;stroke-width:3}
.note{color:#555}
"""

_SCRIPT = """
const table=document.querySelector('table'),body=table.tBodies[0];
table.tHead.addEventListener('click',event=>{const head=event.target.closest('th');if(!head)return;
const column=head.cellIndex,down=head.dataset.down!=='yes';head.dataset.down=down?'yes':'no';
const value=row=>{const text=row.cells[column].textContent,number=Number(text.replaceAll(',',''));
return text==='–'?-Infinity:isNaN(number)?text:number};
const rows=[...body.rows];rows.sort((a,b)=>{const x=value(a),y=value(b);
const order=x<y?-1:x>y?1:0;return down?-order:order});body.append(...rows)});
document.querySelector('input').addEventListener('input',event=>{const wanted=event.target.value;
for(const row of body.rows)row.hidden=!row.cells[0].textContent.includes(wanted)});
"""


def write(result: Result, path: str | PathLike[str]) -> None:
    """Write the page of a result.

    Parameters
    ----------
    result
        Of `explain`, `scan` or `allocate`.
    path
        Of the HTML file.
    """
    text = page(result)
    write_atomically(Path(path), lambda partial: partial.write_text(text, "utf-8"))


def page(result: Result) -> str:
    """Return the page as HTML.

    Parameters
    ----------
    result
        Of `explain`, `scan` or `allocate`.
    """
    title = {Explanation: "What pruning did", Scan: "How sensitive each layer is"}.get(
        type(result), "How much of each layer to prune"
    )
    parts = [
        f"<h1>{title}</h1>",
        f"<p>{escape(_sentence(result.verdict))}</p>",
        _picture(result),
        "<h2>What to do</h2>",
        _advice(result),
        f"<h2>{'Allocations' if isinstance(result, Allocation) else 'Layers'}</h2>",
        f"<p class=note>A click on a heading sorts. …_se are standard errors.{_whole(result)}</p>",
        "<input placeholder='part of a name' aria-label='show rows whose name holds'>",
        _table(result.table, result.last_row if isinstance(result, Explanation) else None),
        *(f"<p class=note>{escape(remark)}</p>" for remark in result.remarks),
    ]
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title>"
        "<meta name=viewport content='width=device-width'>"
        f"<style>{_STYLE}</style><body>{''.join(parts)}<script>{_SCRIPT}</script></body></html>\n"
    )


def _whole(result: Result) -> str:
    is_explained = isinstance(result, Explanation)
    return " The row of the network is of all changes together." if is_explained else ""


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _table(table: pd.DataFrame, last: dict[str, Any] | None) -> str:
    """Write the rows, and below them, where it stays when they are sorted, that of the whole network."""
    head = "".join(f"<th>{escape(str(name))}" for name in table)
    body = "\n".join(_row(values) for values in table.itertuples(index=False))
    foot = ""
    if last is not None:
        foot = f"<tfoot>{_row(last.get(str(name), np.nan) for name in table)}</tfoot>"
    return f"<div class=table><table><thead><tr>{head}</thead><tbody>{body}</tbody>{foot}</table></div>"


def _row(values: Iterable[Any]) -> str:
    return f"<tr>{''.join(map(_cell, values))}"


def _cell(value: Any) -> str:
    is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not is_number:
        return f"<td>{escape(str(value))}"
    return f"<td>{cell(int(value) if isinstance(value, int | np.integer) else float(value))}"


def _advice(result: Result) -> str:
    if isinstance(result, Allocation):
        calls = escape(result.torch_calls())
        return (
            f"<p>Prune by the allocation <b>{escape(result.chosen)}</b>, then fine-tune, and judge it "
            f"on data that the choice did not see:</p><pre>{calls}</pre>"
        )
    if isinstance(result, Scan):
        next_step = {
            "weights": "<code>ap3.allocate(scan, budget)</code> turns the curves into a ratio for each "
            "layer.",
            "channels": "Coupled layers lose their channels together; the remarks name them.",
        }
        return (
            "<p>Leave layers whose curve rises early nearly whole, and prune those whose curve stays "
            f"flat. {next_step[result.unit]}</p>"
        )
    return f"<p>{escape(_advice_on(result))}</p>" if isinstance(result, Explanation) else ""


def _advice_on(found: Explanation) -> str:
    if found.table.empty:
        return "Nothing differs: see whether the second file is the pruned one."
    loss, error = found.network["pd_loss"], found.network["pd_loss_se"]
    lost, its_error = found.network["pd_accuracy"], found.network["pd_accuracy_se"]
    if not abs(loss) > 1.96 * error and lost > 1.96 * its_error:
        return (
            "Answers change for the worse while the loss does not: look at the layers whose pd_accuracy "
            "is largest, and fine-tune."
        )
    if not abs(loss) > 1.96 * error:
        return (
            "These examples show no damage: there may be room to prune more, or take more examples."
        )
    if loss < 0:
        return "The pruned network does better on these examples: nothing needs to be mended."
    if found.together.is_sure and found.together.value > 0.5 * loss:
        return (
            "Most of the damage is done by layers together. Where there is BatchNorm, estimate its "
            "running statistics again on training images; else prune less everywhere, or fine-tune "
            "the whole network."
        )
    first = found.table.iloc[0]
    name = str(first["layer"])
    if name == REST:
        return (
            "Most is done outside the layers: look first at biases, norms, running statistics, and weights "
            "that a remark says are in no layer."
        )
    return (
        f"Prune less of {name} ({first['sparsity']:.0%} of it is zero) and more of the layers at the end "
        "of the table; ap3.scan and ap3.allocate say how much of each."
    )


def _picture(result: Result) -> str:
    if isinstance(result, Scan):
        return _curves(result.table)
    if isinstance(result, Explanation):
        rows = result.table.head(12)
        return _bars(
            [str(name) for name in rows["layer"]],
            rows["pd_loss"].tolist(),
            (1.96 * rows["pd_loss_se"]).tolist(),
            "PD of the loss by each layer's change alone / nats",
        )
    if "pd_accuracy" in result.table:
        rows = result.table
        return _bars(
            [str(name) for name in rows["allocation"]],
            (100 * rows["pd_accuracy"]).tolist(),
            (196 * rows["pd_accuracy_se"]).tolist(),
            "accuracy lost / points",
        )
    return ""


def _bars(names: list[str], values: list[float], margins: list[float], title: str) -> str:
    """Draw horizontal bars with 95 % intervals, each with its numbers at the right."""
    if not names:
        return ""
    most = max((abs(v) + m for v, m in zip(values, margins, strict=True) if m == m), default=0) or 1
    low = min(0.0, *(v - m for v, m in zip(values, margins, strict=True) if m == m), 0.0)
    left, right, step = 220, 140, 22
    scale = (_WIDTH - left - right) / (most - low)

    def x(value: float) -> float:
        return left + (value - low) * scale

    parts = []
    for place, (name, value, margin) in enumerate(zip(names, values, margins, strict=True)):
        y = 24 + step * place
        short = name if len(name) <= 30 else f"{name[:12]}…{name[-17:]}"
        begin, width = min(x(0), x(value)), abs(x(value) - x(0))
        said = f"{value:.2g}" + (f" ± {margin:.2g}" if margin == margin else "")
        parts.append(
            f"<text x={left - 8} y={y + 11} text-anchor=end>{escape(short)}</text>"
            f"<rect x={begin:.1f} y={y} width={width:.1f} height=14 fill='{_COLOURS[0]}'>"
            f"<title>{escape(name)}: {cell(value)} ± {cell(margin)}</title></rect>"
            f"<path d='M{x(value - margin):.1f} {y + 7}H{x(value + margin):.1f}' stroke='#222'/>"
            f"<text x={_WIDTH} y={y + 11} text-anchor=end>{said.replace('-', '−')}</text>"
        )
    height = 30 + step * len(names)
    head = f"<text x={left} y=14 fill='#555'>{escape(title)}, ± 95 %</text>"
    return _svg(height, head + "".join(parts))


def _curves(table: pd.DataFrame) -> str:
    """Draw a curve of KL for each layer; the most sensitive ones in colour, any with its name."""
    top = float(table["kl_predictions"].max()) or 1.0
    order = table.groupby("layer", sort=False)["kl_predictions"].max()
    ranked = [str(name) for name in order.sort_values(ascending=False).index]
    width, height = _WIDTH - _EDGE - 190, _HEIGHT - 2 * _EDGE
    lines, legend = [], []
    for place, name in reversed(list(enumerate(ranked))):
        mine = table[table["layer"].astype(str) == name]
        points = " ".join(
            f"{_EDGE + width * ratio:.0f},{_EDGE + height * (1 - max(kl, 0) / top):.1f}"
            for ratio, kl in [(0, 0), *zip(mine["ratio"], mine["kl_predictions"], strict=True)]
        )
        is_named = place < len(_COLOURS)
        colour = _COLOURS[place] if is_named else "#ccc"
        lines.append(
            f"<polyline points='{points}' fill=none stroke='{colour}' stroke-width="
            f"{2 if is_named else 1}><title>{escape(name)}</title></polyline>"
        )
        if is_named:
            short = name if len(name) <= 24 else f"{name[:9]}…{name[-14:]}"
            y = _EDGE + 18 * place
            legend.append(
                f"<text x={_EDGE + width + 14} y={y + 5} fill='{colour}'>{escape(short)}</text>"
            )
    axes = (
        f"<path d='M{_EDGE} {_EDGE}V{_EDGE + height}H{_EDGE + width}' fill=none stroke='#555'/>"
        f"<text x={_EDGE} y={_EDGE - 10} fill='#555'>KL of the predictions, up to {top:.3g} nats</text>"
        f"<text x={_EDGE + width} y={_EDGE + height + 18} text-anchor=end fill='#555'>"
        "share of the layer pruned, 0 to 1</text>"
    )
    return _svg(_HEIGHT, axes + "".join(lines) + "".join(legend))


def _svg(height: int, content: str) -> str:
    return (
        f"<svg viewBox='0 0 {_WIDTH} {height}' width={_WIDTH} font-size=12 role=img>{content}</svg>"
    )
