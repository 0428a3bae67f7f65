"""The table of a comparison, with the sentences and the totals that belong to it."""

from math import isnan
from textwrap import fill
from typing import Any, Self

import pandas as pd

from ap3.comparing.cells import RANKED_BY, shortened, spelled
from ap3.comparing.page import fragment
from ap3.config.schema import nearest
from ap3.errors import InvalidValueError

_WIDTH = 80
_SHOWN = ("version", "layer", "weights", "sparsity", "ap2", "ap3_gaussian", "kind")
_LONGEST = {"version": 16, "kind": 18}
_SHORTEST_NAME = 12


class Comparison(pd.DataFrame):
    """A row per layer; shown, a verdict, the first columns and the totals, within 80 characters.

    Every other use is that of a `DataFrame`, and what is selected from it is a plain one.

    Parameters
    ----------
    data, index, columns, dtype, copy
        As of a `DataFrame`; `ap3.compare` makes a table with its sentences and totals.

    Examples
    --------
    >>> import ap3, torch
    >>> table = ap3.compare({"fc.weight": torch.eye(2)}, {"fc.weight": torch.zeros(2, 2)})
    >>> table["ap2"].tolist(), table.totals["sparsity"].tolist()
    ([2.0], [1.0])
    >>> table.verdict
    'pruned: zeroed whole in 1 of 1 layers, 100 % of 4 weights are zero; not fine-tuned after it.'
    """

    @classmethod
    def of(
        cls,
        rows: list[dict[str, Any]],
        verdict: str = "",
        remarks: list[str] | None = None,
        total: dict[str, Any] | None = None,
    ) -> Self:
        """Make a table of one pruned network.

        Parameters
        ----------
        rows
            Columns by name, of each layer.
        verdict
            What was done to the network.
        remarks
            What else a reader has to know.
        total
            The same columns of the whole network.
        """
        table = cls(rows)
        table.attrs = {
            "verdict": verdict,
            "verdicts": {},
            "remarks": list(remarks or []),
            "totals": [total] if total else [],
        }
        return table

    @classmethod
    def joined(cls, tables: list[Self], names: list[str], remarks: list[str]) -> Self:
        """Put the tables of several versions of one baseline together.

        Parameters
        ----------
        tables
            One of each version.
        names
            Of the versions; one that is alone may have none.
        remarks
            On the baseline.
        """
        if names == [""]:
            (table,) = tables
            table.attrs["remarks"] = [*remarks, *table.remarks]
            return table
        parts = [pd.DataFrame(t).assign(version=n) for n, t in zip(names, tables, strict=True)]
        rows = pd.concat(parts, ignore_index=True)
        joined = cls(rows[["version", *(c for c in rows.columns if c != "version")]])
        totals = [{"version": n} | t.attrs["totals"][0] for n, t in zip(names, tables, strict=True)]
        joined.attrs = {
            "verdict": _of_several(totals) if len(tables) > 1 else tables[0].verdict,
            "verdicts": {n: t.verdict for n, t in zip(names, tables, strict=True)},
            "remarks": [*remarks, *_of_all(tables, names)],
            "totals": totals,
        }
        return joined

    @property
    def verdict(self) -> str:
        """What was done to the network, or which version is nearest, in one sentence."""
        return str(self.attrs.get("verdict", ""))

    @property
    def verdicts(self) -> dict[str, str]:
        """What was done to each of several versions, by its name; empty for one."""
        return dict(self.attrs.get("verdicts", {}))

    @property
    def remarks(self) -> list[str]:
        """What was done to get at the weights, and what was not compared: sentences."""
        return list(self.attrs.get("remarks", []))

    @property
    def totals(self) -> pd.DataFrame:
        """A row for each whole network, of all its layers: AP2 and each AP3 are sums."""
        return pd.DataFrame(self.attrs.get("totals", []))

    def ranked(self, by: str = RANKED_BY, most: int | None = None) -> Self:
        """Sort the rows: numbers with the largest first, texts by the alphabet.

        Parameters
        ----------
        by
            A column.
        most
            How many rows to keep; all if None. The totals stay those of all.

        Raises
        ------
        UserError
            If there is no such column.

        Examples
        --------
        >>> table = Comparison.of([{"layer": "a", "ap2": 1.0}, {"layer": "b", "ap2": 2.0}])
        >>> list(table.ranked("ap2")["layer"])
        ['b', 'a']
        """
        if by not in self.columns:
            known = [str(name) for name in self.columns]
            raise InvalidValueError(
                f"no column is called {by}{nearest(by, known)} The columns are {', '.join(known)}."
            )
        is_number = pd.api.types.is_numeric_dtype(self[by])
        rows = pd.DataFrame(self).sort_values(by, ascending=not is_number, kind="stable")
        ranked = type(self)(rows.head(len(rows) if most is None else most).reset_index(drop=True))
        ranked.attrs = self.attrs
        return ranked

    @property
    def sentences(self) -> list[str]:
        """The verdict, and that of each of several versions."""
        all_of_them = [self.verdict, *(f"{name}: {v}" for name, v in self.verdicts.items())]
        return [sentence for sentence in all_of_them if sentence]

    def __repr__(self) -> str:
        parts = [fill(sentence, _WIDTH) for sentence in self.sentences]
        parts.append(as_text(self))
        parts += [fill(remark, _WIDTH) for remark in self.remarks]
        return "\n".join(parts)

    __str__ = __repr__

    def _repr_html_(self) -> str:
        return fragment(pd.DataFrame(self), self.totals, self.sentences, self.remarks)


def _of_several(totals: list[dict[str, Any]]) -> str:
    """Say which version is nearest to the baseline, and which farthest."""
    known = [total for total in totals if not isnan(total[RANKED_BY])]
    if len(known) < 2:
        return f"{len(totals)} pruned versions of one baseline."
    near, *_, far = sorted(known, key=lambda total: float(total[RANKED_BY]))
    return (
        f"of {len(totals)} pruned versions {near['version']} is nearest to the baseline (AP3 "
        f"{near[RANKED_BY]:.3g}, AP2 {near['ap2']:.3g}) and {far['version']} is farthest from it (AP3 "
        f"{far[RANKED_BY]:.3g}, AP2 {far['ap2']:.3g})."
    )


def _of_all(tables: list[Any], names: list[str]) -> list[str]:
    """Collect remarks, those of all versions once."""
    shared = [r for r in tables[0].remarks if all(r in table.remarks for table in tables)]
    single = [
        f"{name}: {remark}"
        for name, table in zip(names, tables, strict=True)
        for remark in table.remarks
        if remark not in shared
    ]
    return [*shared, *single]


def with_totals(table: Comparison) -> pd.DataFrame:
    """Put the totals below the rows.

    Parameters
    ----------
    table
        As `ap3.compare` returns it.
    """
    rows, totals = pd.DataFrame(table), table.totals
    if totals.empty:
        return rows
    return pd.DataFrame([*rows.to_dict("records"), *totals.to_dict("records")])[[*rows.columns]]


def as_text(table: Comparison) -> str:
    """Spell the columns that fit on a narrow terminal; of many rows, the first and the last.

    Parameters
    ----------
    table
        As `ap3.compare` returns it.
    """
    rows = with_totals(table)
    names = [name for name in _SHOWN if name in rows.columns]
    texts = {name: [spelled(value) for value in rows[name]] for name in names}
    for name in _LONGEST.keys() & texts.keys():
        texts[name] = [shortened(text, _LONGEST[name]) for text in texts[name]]
    if "layer" in texts:
        rest = sum(max(map(len, [name, *texts[name]])) + 1 for name in names if name != "layer")
        most = max(_WIDTH - rest, _SHORTEST_NAME)
        texts["layer"] = [shortened(text, most) for text in texts["layer"]]
    most_rows = pd.get_option("display.max_rows")
    return str(pd.DataFrame(texts).to_string(index=False, max_rows=most_rows))
