"""How much of each layer to prune under a budget, from a scan: `ap3.allocate`."""

import json
from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from ap3.config.schema import nearest
from ap3.diagnosing import outside
from ap3.diagnosing.allocations import WAYS, Counts, Layer, Layers, predicted, total_cost
from ap3.diagnosing.damage import Mean, Tally, of_examples
from ap3.diagnosing.result import Result
from ap3.diagnosing.scan import Scan, broken
from ap3.errors import InvalidTypeError, InvalidValueError
from ap3.files import storage
from ap3.files.safe_names import listed
from ap3.latent.vectors import to_numpy
from ap3.machine.progress import counted
from ap3.networks.batches import checked
from ap3.networks.logits import call, device_of, evaluating, first_logits
from ap3.pruning.masks import pruning_mask

MEASURED = ("kl_predictions", "pd_loss", "pd_accuracy", "flips")

_DAMAGE = ["pd_accuracy", "kl_predictions"]
"""By which ways are sorted. Where much is pruned a few images dominate the KL, and the way of least KL
may lose more answers than others: `bench/allocation.py` counts both choices."""


class Allocation(Result):
    """A row for each way to allocate, that of least measured damage first.

    Parameters
    ----------
    table
        `allocation`, `weights_left`, `flops_left` (shares of the layers scanned), what single layers
        predict (`predicted_calibrated`, `predicted_curves`: KL of predictions in nats), and what was
        measured with all layers pruned: `kl_predictions`, `pd_loss`, `pd_accuracy`, `flips`, each
        with its standard error under `…_se`.
    verdict, remarks
        Sentences, as of an `Explanation`.
    chosen
        The way that loses least accuracy, of several the one of least measured KL; the calibrated
        one where nothing was measured.
    counts
        How many weights of each layer go, by way and layer.
    scan
        What it was made from.
    """

    shown = ("allocation", "weights_left", "predicted_calibrated", *MEASURED[:3])

    def __init__(
        self,
        table: pd.DataFrame,
        verdict: str,
        remarks: list[str],
        chosen: str,
        counts: Mapping[str, Counts],
        scan: Scan,
    ) -> None:
        super().__init__(table, verdict, remarks)
        self.chosen, self.counts, self.scan = chosen, counts, scan

    def ratios(self, way: str | None = None) -> dict[str, float]:
        """Return the ratio of each layer.

        Parameters
        ----------
        way
            Of the allocations in the table; the chosen one if None.
        """
        counts = self._counts(way)
        weights = _weights(self.scan)
        return {layer: count / weights[layer].numel() for layer, count in counts.items()}

    def to_json(self, path: str | PathLike[str], way: str | None = None) -> None:
        """Write the ratios as JSON: an object by layer.

        Parameters
        ----------
        path
            Of the file.
        way
            As `ratios` takes it.
        """
        text = json.dumps(self.ratios(way), indent=2) + "\n"
        storage.write_atomically(Path(path), lambda partial: partial.write_text(text, "utf-8"))

    def state(self, way: str | None = None) -> dict[str, Tensor]:
        """Return the state dict of the pruned network; a tied weight is pruned under all its names.

        Parameters
        ----------
        way
            As `ratios` takes it.
        """
        network, counts = self.scan.network, self._counts(way)
        pruned = {id(w): new for w, new in _pruned(self.scan, counts).values()}
        held = dict(network.named_parameters(remove_duplicate=False))
        return {
            name: pruned.get(id(held[name]), tensor) if name in held else tensor
            for name, tensor in network.state_dict().items()
        }

    def save(self, path: str | PathLike[str], way: str | None = None) -> None:
        """Write the pruned network as a safetensors file.

        Parameters
        ----------
        path
            Of the file.
        way
            As `ratios` takes it.
        """
        from safetensors.torch import save_file

        state = {name: tensor.contiguous().clone() for name, tensor in self.state(way).items()}
        storage.write_atomically(Path(path), lambda partial: save_file(state, partial))

    def torch_calls(self, way: str | None = None) -> str:
        """Return calls of `torch.nn.utils.prune` that prune `network` alike, to paste.

        Every module that holds a tied weight gets the mask of the first.

        Parameters
        ----------
        way
            As `ratios` takes it.
        """
        lines, weights = ["from torch.nn.utils import prune", ""], _weights(self.scan)
        for layer, count in self._counts(way).items():
            if count:
                lines += _calls(_holders(self.scan.network, weights[layer]), count)
        return "\n".join(lines) + "\n"

    def _counts(self, way: str | None) -> Counts:
        chosen = self.chosen if way is None else way
        _refuse_way(chosen)
        return self.counts[chosen]


def allocate(
    scan: Scan,
    budget: float,
    of: str = "weights",
    batches: Iterable[Any] | None = None,
    measure: bool = True,
) -> Allocation:
    """Choose a ratio for each layer, so that a budget of weights or of FLOPs is left.

    Six ways are put side by side: by the calibrated law, by the measured curves, uniform, by global
    magnitude, by LAMP and by ERK. What they do is predicted from the scan, which saw single layers
    only, and measured over the batches, in one pass for all. The way that loses least accuracy is
    chosen, and of several that of least KL of the predictions.

    Parameters
    ----------
    scan
        What `ap3.scan` found with mode `lowest`, of single weights.
    budget
        Share of the scanned layers' weights (or FLOPs) that may stay, above 0 and below 1: of 0.2 a
        fifth stays and 80 % are pruned.
    of
        `weights` or `flops`: multiplications with a weight, per example. What is not multiplied, such as
        embeddings, saves none of these and is left whole.
    batches
        To measure on; those of the scan if None.
    measure
        Whether to measure at all.

    Returns
    -------
    Allocation
        Prints as a verdict and a table; `.ratios()`, `.to_json()`, `.save()`, `.torch_calls()`.

    Raises
    ------
    UserError
        If the budget is none, the scan is of another mode or unit or of nothing that is multiplied (of
        FLOPs), or its batches can be gone through once only.

    Examples
    --------
    >>> from ap3.diagnosing.scan import scan
    >>> torch.manual_seed(0); network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    <torch...>
    >>> data = [(torch.randn(50, 4), torch.randint(3, (50,)))]
    >>> found = allocate(scan(network, data), 0.25)
    >>> sum(found.counts["calibrated"].values()), len(found.table)
    (42, 6)
    """
    refuse(budget, of)
    layers = _layers(scan, of)
    costly = {name: layer for name, layer in layers.items() if layer.cost > 0}
    if not costly:
        raise InvalidValueError(
            "no weight of the layers scanned is multiplied, as embeddings are looked up in; allocate "
            "with of='weights'."
        )
    amount = (1 - budget) * total_cost(costly)
    if of == "weights":
        amount = round(amount)
    counts = {
        way: dict.fromkeys(layers, 0) | spread(costly, amount) for way, spread in WAYS.items()
    }
    tally = (
        _measured(scan, counts, scan.batches if batches is None else batches) if measure else None
    )
    rows = []
    flops = scan.table.drop_duplicates("layer").set_index("layer")["uses"].to_dict()
    for way, mine in counts.items():
        left = {layer: layers[layer].size - count for layer, count in mine.items()}
        whole = {layer: layers[layer].size for layer in mine}
        row: dict[str, Any] = {
            "allocation": way,
            "weights_left": sum(left.values()) / sum(whole.values()),
            "flops_left": _share(left, whole, flops),
            **predicted(layers, mine, amount / total_cost(layers)),
        }
        rows.append(row | (tally.columns(way, MEASURED) if tally else {}))
    table = pd.DataFrame(rows)
    if tally:
        table = table.sort_values(_DAMAGE, kind="stable").reset_index(drop=True)
    chosen = str(table["allocation"].iloc[0])
    verdict = _verdict(table, tally, f"{100 * budget:g} % of the {_unit(scan, of)} left")
    remarks = [*_remarks(scan, batches, tally), *_outside(scan, counts[chosen])]
    remarks += broken(table, "allocation") if tally else []
    if free := [name for name in layers if name not in costly]:
        remarks.append(f"left whole, since none of its weights is multiplied: {listed(free)}.")
    return Allocation(table, verdict, remarks, chosen, counts, scan)


def _share(left: Counts, whole: Counts, cost: Mapping[str, float]) -> float:
    """Share of the cost that is left; NaN of no cost."""
    total = sum(whole[layer] * cost[layer] for layer in whole)
    return sum(left[layer] * cost[layer] for layer in left) / total if total else np.nan


def refuse(budget: float, of: str, way: str | None = None) -> None:
    """Refuse what `allocate` cannot take, before a scan is waited for.

    Raises
    ------
    UserError
        If the budget is no share between 0 and 1, or is not of weights or multiplications, or if there
        is no such way.
    """
    if isinstance(budget, bool) or not isinstance(budget, int | float) or not 0 < budget < 1:
        raise InvalidValueError(
            f"the budget is {budget!r}, but must be the share that stays, above 0 and below 1."
        )
    if of not in ("weights", "flops"):
        raise InvalidValueError(f"of is {of!r}, but must be weights or flops.")
    if way is not None:
        _refuse_way(way)


def _refuse_way(way: str) -> None:
    if way not in WAYS:
        raise InvalidValueError(
            f"the allocation is {way!r}, but must be one of {', '.join(WAYS)}{nearest(way, WAYS)}"
        )


def _layers(scan: Scan, of: str) -> Layers:
    if not isinstance(scan, Scan):
        raise InvalidTypeError(
            f"allocate takes what ap3.scan returned, but was given {type(scan).__name__}."
        )
    if scan.unit != "weights":
        raise InvalidValueError(
            f"the scan pruned {scan.unit}, but an allocation spreads single weights; scan with "
            "unit='weights'."
        )
    if scan.mode != "lowest":
        raise InvalidValueError(
            f"the scan pruned by mode {scan.mode!r}, but an allocation prunes the weights of lowest "
            "magnitude; scan with mode='lowest'."
        )
    found = {}
    for layer, rows in scan.table.groupby("layer", sort=False):
        weight = _weights(scan)[str(layer)]
        squares = np.sort(np.square(to_numpy(weight).astype(np.float64)), axis=None)
        found[str(layer)] = Layer(
            squares,
            tuple(weight.shape),
            1.0 if of == "weights" else float(rows["uses"].iloc[0]),
            rows["ratio"].to_numpy(np.float64),
            rows["kl_predictions"].to_numpy(np.float64),
        )
    return found


def _weights(scan: Scan) -> dict[str, nn.Parameter]:
    return {layer: scan.network.get_parameter(name) for layer, (name,) in scan.names.items()}


def _holders(network: nn.Module, weight: nn.Parameter) -> list[tuple[str, str]]:
    """Name each module that holds a weight once, whatever its names, with the weight's name in it."""
    return [
        (path, name)
        for path, module in network.named_modules()
        for name, held in module._parameters.items()
        if held is weight
    ]


def _calls(holders: list[tuple[str, str]], count: int) -> list[str]:
    """Spell the calls that prune one weight wherever it is held."""
    (path, name), *others = holders
    mask = f"{path}.{name}_mask" if path else f"{name}_mask"
    return [
        f"prune.l1_unstructured(network.get_submodule({path!r}), {name!r}, {count})",
        *(
            f"prune.custom_from_mask(network.get_submodule({other!r}), {its_name!r}, "
            f"network.get_buffer({mask!r}))"
            for other, its_name in others
        ),
    ]


def _pruned(scan: Scan, counts: Counts) -> dict[str, tuple[Tensor, Tensor]]:
    """Return each layer's weights and its pruned ones, by the full name."""
    found: dict[str, tuple[Tensor, Tensor]] = {}
    for layer, weight in _weights(scan).items():
        ratio = counts[layer] / weight.numel()
        mask = pruning_mask(weight.detach().cpu(), "lowest", ratio).bool().to(weight.device)
        found[scan.names[layer][0]] = (
            weight,
            torch.where(mask, weight.detach(), 0.0).to(weight.dtype),
        )
    return found


def _measured(scan: Scan, counts: Mapping[str, Counts], batches: Iterable[Any]) -> Tally:
    """Run every way over the batches, in one pass; a copy of the layers for each is held."""
    if iter(batches) is batches:
        raise InvalidValueError(
            "the batches can be gone through once only, and the scan has done so; give "
            "batches=… to allocate, such as a list or a DataLoader."
        )
    network, tally = scan.network, Tally()
    changed = {
        way: {name: new for name, (_, new) in _pruned(scan, mine).items()}
        for way, mine in counts.items()
    }
    with evaluating(network):
        for batch in counted(checked(batches, device_of(network)), "batches"):
            before = first_logits(network, batch)
            for way, state in changed.items():
                tally.add(way, of_examples(before, call(network, batch, state), batch.labels))
    return tally


def _remarks(scan: Scan, batches: Any, tally: Tally | None) -> list[str]:
    if tally is None:
        return ["nothing was measured: the damage is predicted from single layers."]
    where = "the batches of the scan" if batches is None else "the batches given to allocate"
    norms = [remark for remark in scan.remarks if remark.startswith("BatchNorm")]
    return [
        f"measured on {where}; the choice is made there, so judge it on others.",
        "predicted_… is the KL of the predictions; single layers say little where it is large.",
        *norms,
    ]


def _outside(scan: Scan, counts: Counts) -> list[str]:
    """Name weights that are in no layer, with the share of all that really stays."""
    network = scan.network
    stay = 1 - sum(counts.values()) / outside.size(network)
    return [
        f"{remark} Of all weights, {stay:.1%} stay."
        for remark in outside.remarks(network, outside.LEFT)
    ]


def _unit(scan: Scan, of: str) -> str:
    """Name what a budget counts; where the scan saw a part of the network, of which."""
    unit = "weights" if of == "weights" else "multiplications"
    seen = sum(weight.numel() for weight in _weights(scan).values())
    return unit if seen == outside.size(scan.network) else f"{unit} of the scanned layers"


def _verdict(table: pd.DataFrame, tally: Tally | None, left: str) -> str:
    best = table.iloc[0]
    head = f"with {left}, "
    if tally is None:
        return f"{head}the calibrated law predicts {best['predicted_calibrated']:.3g} nats."
    parts = [
        f"{_mean(tally, row['allocation'], 'pd_loss')} nats and "
        f"{_mean(tally, row['allocation'], 'pd_accuracy', 100)} points of accuracy"
        for row in (best, table.set_index("allocation").loc[["uniform"]].reset_index().iloc[0])
    ]
    found = f"{head}the allocation {best['allocation']} loses least accuracy: {parts[0]}"
    return f"{found}." if best["allocation"] == "uniform" else f"{found} (uniform: {parts[1]})."


def _mean(tally: Tally, way: str, name: str, factor: float = 1.0) -> Mean:
    return tally.mean(way, name).scaled(factor)
