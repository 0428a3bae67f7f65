"""How sensitive every layer of a network is: each pruned alone at several ratios. `ap3.scan`."""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from itertools import chain
from math import isnan
from typing import Any

import numpy as np
import pandas as pd
from torch import nn

from ap3.config.schema import nearest
from ap3.diagnosing import outside
from ap3.diagnosing.damage import Mean, Tally, of_examples
from ap3.diagnosing.pruned_state import refuse_masks
from ap3.diagnosing.result import Result
from ap3.diagnosing.scan_points import ChannelPoints, Points, WeightPoints
from ap3.errors import InvalidValueError
from ap3.files.safe_names import listed
from ap3.machine.progress import counted
from ap3.networks.batches import checked
from ap3.networks.logits import device_of, evaluating
from ap3.networks.replay import Replay

RATIOS = (0.3, 0.5, 0.7, 0.9, 0.98)
"""At which layers are pruned by default; close to 1 where the curves are steep."""


class Scan(Result):
    """A row for each layer and ratio.

    Parameters
    ----------
    table
        `layer` (of coupled layers the first), `weights`, `ratio`, `pruned` (how many weights), `uses`
        (how often a weight is multiplied for one example, on average over all: multiplications are
        weights × uses; 0 for embeddings, which are looked up in, and for what the data do not use), AP2,
        AP3 in nats, and of this pruning `pd_loss` (nats), `pd_accuracy`, `kl_predictions`, `slope`,
        `flips`, each with its standard error under `…_se`. `calibration` is a_l, KL of predictions ÷
        AP3 Gaussian.
    verdict, remarks
        Sentences, as of an `Explanation`.
    network, batches
        What was scanned.
    mode
        How weights were chosen.
    names
        Full names of the parameters that are pruned, by layer.
    unit
        What was pruned, weights or channels.
    """

    shown = (
        "layer",
        "weights",
        "ratio",
        "ap3_gaussian",
        "kl_predictions",
        "pd_loss",
        "pd_accuracy",
    )

    def __init__(
        self,
        table: pd.DataFrame,
        verdict: str,
        remarks: list[str],
        network: nn.Module,
        batches: Iterable[Any],
        mode: str,
        names: Mapping[str, tuple[str, ...]],
        unit: str = "weights",
    ) -> None:
        super().__init__(table, verdict, remarks)
        self.network, self.batches, self.mode, self.names = network, batches, mode, names
        self.unit = unit

    def figure(self, quantity: str = "kl_predictions") -> Any:
        """Draw the curves of all layers, the most sensitive ones named, as a matplotlib figure.

        Parameters
        ----------
        quantity
            A column of the table that holds numbers.

        Raises
        ------
        UserError
            If there is no such column.
        """
        from ap3.diagnosing.curves import draw

        numbers = [*self.table.select_dtypes("number").columns]
        if quantity not in numbers:
            raise InvalidValueError(
                f"a scan draws a column of its table, but none with numbers is called {quantity!r}"
                f"{nearest(quantity, numbers)} The columns are {', '.join(numbers)}; "
                "figure().savefig(path) writes a file."
            )

        return draw(self.table, quantity, self.unit)


def scan(
    network: nn.Module,
    batches: Iterable[Any],
    ratios: Sequence[float] = RATIOS,
    layers: str | Sequence[str] = "all",
    mode: str = "lowest",
    unit: str = "weights",
) -> Scan:
    """Prune every layer alone at every ratio, and measure the damage over data.

    One pass over the batches; each pruning is run from its layer on, which gives what running the
    pruned network gives. Masks are held, a bit for each weight and ratio, and one batch's
    activations. The network is left as it was; evaluation mode, BatchNorm's running statistics as
    they are.

    Parameters
    ----------
    network
        Any module that returns logits (N, classes), or an object with `logits`.
    batches
        Iterable of (input, label) pairs; labels are whole numbers from 0.
    ratios
        Shares of a layer's weights to prune, between 0 and 1.
    layers
        `all`, or names and patterns of the shell; a tied weight is one layer.
    mode
        How weights are chosen, as in `ap3.pruning_mask`; of channels, their norms are the weights.
    unit
        `weights`, of each layer; or `channels`, for which layers that have to lose them together are
        one. Zeros stand for removal, and a group of layers for which they do not is left out and
        named. Needs the package torch-pruning.

    Returns
    -------
    Scan
        Prints as a verdict and a table; `.table`, `.to_csv()`, `.figure()`.

    Raises
    ------
    UserError
        If a ratio is none, a pattern matches no layer, the batches do not fit the network, or
        torch-pruning is missing or cannot follow it.

    Examples
    --------
    >>> import torch
    >>> torch.manual_seed(0); network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    <torch...>
    >>> found = scan(network, [(torch.randn(50, 4), torch.randint(3, (50,)))], ratios=[0.5, 1.0])
    >>> found.table[["layer", "ratio", "pruned"]].to_numpy().tolist()
    [['0', 0.5, 16], ['0', 1.0, 32], ['2', 0.5, 12], ['2', 1.0, 24]]
    """
    shares = _checked_ratios(ratios)
    refuse_masks(network)
    pairs = checked(batches, device_of(network))
    if unit == "weights":
        points: Points = WeightPoints(network, layers, shares, mode)
    elif unit == "channels":
        first = next(pairs)
        pairs = chain([first], pairs)
        points = ChannelPoints(network, layers, shares, mode, first)
    else:
        raise InvalidValueError(f"the unit must be weights or channels, but is {unit!r}.")
    tally, uses, examples = Tally(), dict.fromkeys(points.names, 0.0), 0
    with evaluating(network):
        runs = Replay(network)

        def steps() -> Iterator[tuple[Any, Any]]:
            for batch in pairs:
                yield batch, None
                for key in points.keys:
                    yield batch, key

        total = len(batches) * (1 + len(points.keys)) if isinstance(batches, Sized) else None
        for batch, key in counted(steps(), "prunings", total):
            if key is None:
                before = runs.record(batch)
                examples += len(batch.labels)
                for layer in uses:
                    uses[layer] += points.uses(runs, layer) * len(batch.labels)
            else:
                after = runs.call(points.changed(key))
                tally.add(key, of_examples(before, after, batch.labels))
    untold = [layer for layer, total in uses.items() if isnan(total)]
    uses |= dict.fromkeys(untold, float(examples))
    table = pd.DataFrame(
        [
            {
                "layer": layer,
                "weights": points.sizes[layer],
                "ratio": ratio,
                "pruned": points.counts[layer, ratio],
                "uses": uses[layer] / examples,
                **points.laws[layer, ratio],
                **tally.columns((layer, ratio)),
            }
            for layer, ratio in points.keys
        ]
    )
    table["calibration"] = calibrations(table)
    count = tally.mean(points.keys[0], "pd_loss").count
    said = [*outside.remarks(network, outside.LEFT), *broken(table, "layer")]
    said += [_UNTOLD.format(listed(untold))] if untold else []
    remarks = [*_remarks(network), *points.remarks, *said]
    return Scan(
        table, _verdict(table, count, unit), remarks, network, batches, mode, points.names, unit
    )


_UNTOLD = (
    "how often a weight of {} is multiplied cannot be told; `uses` takes it for once an example."
)


def calibrations(table: pd.DataFrame) -> pd.Series:
    """Return a_l of every row: KL of the predictions ÷ AP3 under N(ω, σ_l²I).

    Parameters
    ----------
    table
        With `kl_predictions` and `ap3_gaussian`.
    """
    own = table["ap3_gaussian"].where(table["ap3_gaussian"] > 0)
    return table["kl_predictions"] / own


def broken(table: pd.DataFrame, column: str) -> list[str]:
    """Say where pruning makes the network put out what is no number.

    Parameters
    ----------
    table
        With `pd_loss`, infinite there.
    column
        Whose entries name the rows.
    """
    names = table.loc[np.isinf(table["pd_loss"]), column].unique()
    if not len(names):
        return []
    return [
        f"{listed(names)}: the logits of some examples are NaN or infinite after pruning; they count "
        "as wrong answers, and their loss as infinite."
    ]


def _checked_ratios(ratios: Sequence[float]) -> list[float]:
    try:
        shares = sorted({float(ratio) for ratio in ratios})
    except (TypeError, ValueError):  # no numbers, or one number or text in place of several
        shares = []
    if not shares or not all(0 < ratio <= 1 for ratio in shares):
        raise InvalidValueError(
            f"the ratios must be at least one number above 0 and at most 1, in a list, but are {ratios!r}."
        )
    return shares


def _remarks(network: nn.Module) -> list[str]:
    said = ["± and …_se are of the examples given; one layer is pruned at a time."]
    if any(name.endswith("running_var") for name, _ in network.named_buffers()):
        said.append("BatchNorm: running statistics as they are, not estimated again after pruning.")
    return said


def _verdict(table: pd.DataFrame, count: int, unit: str) -> str:
    """Say which layer is most and which least sensitive, at the ratio where they differ most."""
    finite = table[np.isfinite(table["kl_predictions"])]
    finite = table if finite.empty else finite
    spread = finite.groupby("ratio")["kl_predictions"].agg(lambda some: some.max() - some.min())
    ratio = float(spread.index[int(np.argmax(spread.to_numpy()))])
    mine = table[table["ratio"] == ratio].sort_values("kl_predictions")
    if len(mine) == 1:
        row = mine.iloc[0]
        mean = Mean(row["kl_predictions"], row["kl_predictions_se"], count)
        of = "the channels of " if unit == "channels" else ""
        return f"pruning {ratio:.0%} of {of}{row['layer']} moves the predictions by {mean} nats."
    parts = []
    for row in (mine.iloc[-1], mine.iloc[0]):
        mean = Mean(row["kl_predictions"], row["kl_predictions_se"], count)
        parts.append(f"{row['layer']} ({mean} nats)")
    by = "of its channels" if unit == "channels" else "alone"
    return (
        f"pruned by {ratio:.0%} {by}, the most sensitive layer is {parts[0]} and the least {parts[1]}, "
        f"by the KL of the predictions over {count:,} examples."
    )
