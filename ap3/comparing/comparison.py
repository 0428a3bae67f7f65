"""The table of a comparison, with the sentences that belong to it."""

from textwrap import fill
from typing import Any, Self

import pandas as pd

_WIDTH = 80
_SHOWN = ("layer", "weights", "sparsity", "ap2", "ap3_gaussian", "kind")
_DIGITS = 4
_LONGEST_KIND, _SHORTEST_NAME = 18, 12


class Comparison(pd.DataFrame):
    """A row per layer; shown, a verdict and the first columns, within 80 characters.

    Every other use is that of a `DataFrame`, and what is selected from it is a plain one.
    """

    @classmethod
    def of(cls, rows: list[dict[str, Any]], verdict: str, remarks: list[str]) -> Self:
        """Make a table of rows and sentences.

        Parameters
        ----------
        rows
            Columns by name, of each layer.
        verdict
            What was done to the network.
        remarks
            What else a reader has to know.
        """
        table = cls(rows)
        table.attrs = {"verdict": verdict, "remarks": list(remarks)}
        return table

    @property
    def verdict(self) -> str:
        """What was done to the network, in one sentence."""
        return str(self.attrs.get("verdict", ""))

    @property
    def remarks(self) -> list[str]:
        """What was done to get at the weights, and what was not compared: sentences."""
        return list(self.attrs.get("remarks", []))

    def __repr__(self) -> str:
        parts = [fill(self.verdict, _WIDTH)] if self.verdict else []
        parts.append(as_text(pd.DataFrame(self)))
        parts += [fill(remark, _WIDTH) for remark in self.remarks]
        return "\n".join(parts)

    __str__ = __repr__


def narrow(table: pd.DataFrame) -> pd.DataFrame:
    """Take the columns that fit on a narrow terminal, as texts.

    Parameters
    ----------
    table
        As `ap3.compare` returns it.
    """
    names = [name for name in _SHOWN if name in table.columns]
    texts = {name: [spelled(value) for value in table[name]] for name in names}
    if "kind" in texts:
        texts["kind"] = [_short(text, _LONGEST_KIND) for text in texts["kind"]]
    if "layer" in texts:
        rest = sum(max(map(len, [name, *texts[name]])) + 1 for name in names if name != "layer")
        most = max(_WIDTH - rest, _SHORTEST_NAME)
        texts["layer"] = [_short(text, most) for text in texts["layer"]]
    return pd.DataFrame(texts)


def as_text(table: pd.DataFrame) -> str:
    """Spell the columns that fit on a narrow terminal.

    Parameters
    ----------
    table
        As `ap3.compare` returns it.
    """
    return str(narrow(table).to_string(index=False))


def spelled(value: object) -> str:
    """Spell a cell of a table: four digits, thousands separated, a dash for what is missing.

    Parameters
    ----------
    value
        A number or a text.

    Examples
    --------
    >>> spelled(0.123456), spelled(1200), spelled(float("nan"))
    ('0.1235', '1,200', '–')
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return "–" if value != value else f"{value:.{_DIGITS}g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _short(text: str, most: int) -> str:
    """Leave out the middle of a long text."""
    half = most // 2
    return text if len(text) <= most else f"{text[:half]}…{text[len(text) - (most - half - 1) :]}"
