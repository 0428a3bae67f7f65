"""Write docs/tables.md: every table of a study, column by column: `python docs/tables.py`."""

from collections.abc import Iterable
from pathlib import Path

from ap3.study import columns

PAGE = Path(__file__).parent / "tables.md"

HEAD = """\
# Tables and columns

After this page you know what every number in a study's tables is, its unit, and which file defines it.
`python docs/tables.py` makes it from the catalogue of measures
([`ap3/measuring/catalogue.py`](../ap3/measuring/catalogue.py)) and from
[`ap3/study/columns.yaml`](../ap3/study/columns.yaml).

The tables lie in `results/STUDY/tables/`, as CSV with a heading. Numbers are written in full, so that
they read back to the last bit, but for `bounds.csv`, which has seven significant digits. An empty cell
says that the value does not exist there. Shares run from 0 to 1; nats are natural units of information
(1 nat = 1.44 bits); "weight" is the unit of the network's own weights. Δ = ω̃ − ω is the change of the
weights from before pruning, ω, to after, ω̃. [Glossary](glossary.md) explains the words, [Check a
number](check-a-number.md) how to go from a figure to a row.
"""


def main() -> None:
    """Write the page anew."""
    PAGE.write_text(page(), encoding="utf-8")


def page() -> str:
    """Lay out the page."""
    sections = [_section(columns.table(name)) for name in columns.names()]
    everywhere = "\n".join(
        ["## Columns of several tables", "", *_rows(columns.shared(), with_place=False), ""]
    )
    return "\n".join([HEAD, everywhere, *sections])


def _section(table: columns.Table) -> str:
    place = f"[`{table.where}`](../{table.where})"
    lines = [
        f"## {table.name}.csv",
        "",
        f"A row for {table.rows}. Made by {place}.",
        "",
    ]
    if table.columns:
        own = [each.where != table.where for each in table.columns]
        lines += _rows(table.columns, with_place=any(own))
    else:
        lines += ["All its columns are among those of several tables."]
    return "\n".join([*lines, ""])


def _rows(these: Iterable[columns.Column], with_place: bool) -> list[str]:
    heading = ["column", "what it holds", "unit", "defined in"][: 4 if with_place else 3]
    lines = [f"| {' | '.join(heading)} |", f"|{'---|' * len(heading)}"]
    for each in these:
        cells = [f"`{each.name}`", each.holds.replace("|", "\\|"), each.unit]
        if with_place:
            cells.append(f"[`{Path(each.where).name}`](../{each.where})")
        lines.append(f"| {' | '.join(cells)} |")
    return lines


if __name__ == "__main__":
    main()
