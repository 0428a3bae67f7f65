"""What pruning did to one network over data, layer by layer and whole: `ap3.explain`."""

from collections.abc import Iterable, Mapping, Sized
from os import PathLike
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from ap3.comparing.what_was_done import is_wrong_way_round
from ap3.diagnosing import outside
from ap3.diagnosing.damage import QUANTITIES, Mean, Tally, of_examples, of_first_order, spelled
from ap3.diagnosing.layer_laws import LayerLaws, columns
from ap3.diagnosing.pruned_state import Pruned, changes
from ap3.diagnosing.result import Result
from ap3.files.safe_names import listed
from ap3.latent.vectors import Vector
from ap3.machine.progress import counted
from ap3.networks.batches import Batch, checked
from ap3.networks.first_order import DIFFERENCE, NONE
from ap3.networks.layers import parameters
from ap3.networks.logits import Tensors, device_of, evaluating
from ap3.networks.replay import Replay

REST = "(everything else)"
"""The row of what differs and is no layer: biases, norms, buffers."""

_WHOLE = object()
_LAST = ("gauss_newton",)


class Explanation(Result):
    """A row for each layer that differs, and for everything else that does, biggest damage first.

    Parameters
    ----------
    table
        `layer`, `weights`, `sparsity`, `ap2`, AP3 in nats (`ap3_gaussian`, `ap3_student_t`,
        `gauss_newton`: ½ E Var_p(JΔ)), and of the change of this layer alone `pd_loss` (nats),
        `pd_accuracy`, `kl_predictions`, `slope` and `flips`, each with its standard error under
        `…_se`; `share`: of the network's PD of the loss.
    verdict
        What it says, in one sentence; ± are 95 % intervals.
    remarks
        What a reader has to know, such as what became of BatchNorm.
    network
        The same of the whole network: sums of AP2 and AP3, the joint Gauss–Newton form, and what all
        changes do together.
    single_layers
        Sum of the rows' PDs of the loss.
    together
        The network's PD less that sum: what single layers do not add up to.
    """

    shown = ("layer", "sparsity", "ap2", "ap3_gaussian", "gauss_newton", "pd_loss", "pd_accuracy")

    def __init__(
        self,
        table: pd.DataFrame,
        verdict: str,
        remarks: list[str],
        network: dict[str, float],
        single_layers: Mean,
        together: Mean,
    ) -> None:
        super().__init__(table, verdict, remarks)
        self.network, self.single_layers, self.together = network, single_layers, together

    def narrow(self) -> pd.DataFrame:
        """Return the columns that are printed, with a last row for the network."""
        return Result(self._with_network()[[*self.shown]], "", []).narrow()

    def to_csv(self, path: str | PathLike[str] | None = None) -> str | None:
        """Write the table as CSV, or return it as text, with a last row for the network.

        Parameters
        ----------
        path
            Of the file; None returns the text.
        """
        return Result(self._with_network(), "", []).to_csv(path)

    def _with_network(self) -> pd.DataFrame:
        return pd.concat([self.table, pd.DataFrame([self.last_row])], ignore_index=True)

    @property
    def last_row(self) -> dict[str, Any]:
        """The row of the network, below those of the layers."""
        return {"layer": "network"} | self.network


def explain(network: nn.Module, pruned: Pruned, batches: Iterable[Any]) -> Explanation:
    """Explain what pruning did to a network: the performance difference, and which layer did it.

    One pass over the batches. For each it runs the network, the pruned one, every changed layer
    alone from that layer on, and for each a forward-mode pass. Evaluation mode; the network is left
    as it was.

    Parameters
    ----------
    network
        The baseline: any module that returns logits (N, classes), or an object with `logits`.
    pruned
        The pruned network: a module of the same architecture, its state dict, or the path of a
        checkpoint. A fine-tuned one will do: a layer's change is then all that became of it.
    batches
        Iterable of (input, label) pairs, such as a DataLoader; labels are whole numbers from 0.

    Returns
    -------
    Explanation
        Prints as a verdict and a table; `.table`, `.network`, `.to_csv()`.

    Raises
    ------
    UserError
        If the two networks do not fit, or the batches do not fit the network.

    Examples
    --------
    >>> torch.manual_seed(0); network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    <torch...>
    >>> state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    >>> state["0.weight"][:4] = 0
    >>> found = explain(network, state, [(torch.randn(50, 4), torch.randint(3, (50,)))])
    >>> found.table[["layer", "sparsity"]].to_dict("records")
    [{'layer': '0', 'sparsity': 0.5}]
    >>> bool(abs(found.network["pd_loss"] - found.network["slope"]
    ...          - found.network["kl_predictions"]) < 1e-7)
    True
    """
    moved, remarks = changes(network, pruned)
    # BatchNorm counts batches there, which no output depends on.
    moved = {n: new for n, new in moved.items() if not n.endswith("num_batches_tracked")}
    layers = {layer: name for layer, name in parameters(network).items() if name in moved}
    groups = {layer: {name: moved[name]} for layer, name in layers.items()}
    rest = {name: tensor for name, tensor in moved.items() if name not in layers.values()}
    if rest:
        groups[REST] = rest
    tally = Tally()
    with evaluating(network):
        runs = Replay(network)
        steps = (
            (batch, key)
            for batch in checked(batches, device_of(network))
            for key in (None, *groups)
        )
        total = len(batches) * (1 + len(groups)) if isinstance(batches, Sized) else None
        for batch, key in counted(steps, "layers", total):
            if key is None:
                before = runs.record(batch)
                _judge(tally, _WHOLE, runs, batch, before, moved)
                first_order = torch.zeros_like(before)
            else:
                _judge(tally, key, runs, batch, before, groups[key])
                change = _first_order(runs, network, groups[key])
                first_order += change
                tally.add(key, {"gauss_newton": of_first_order(before, change)})
            if key == next(reversed(groups), None):
                tally.add(_WHOLE, {"gauss_newton": of_first_order(before, first_order)})
    said = [
        *_turned(network, layers, moved),
        *_norms(network, rest),
        *_outside(network, rest),
        *_derivatives(runs, groups),
    ]
    remarks = [*remarks, *said]
    return _explanation(network, tally, layers, groups, remarks)


def _judge(
    tally: Tally, key: Any, runs: Replay, batch: Batch, before: Tensor, changed: Tensors
) -> None:
    tally.add(key, of_examples(before, runs.call(changed) if changed else before, batch.labels))


def _first_order(runs: Replay, network: nn.Module, group: Tensors) -> Tensor:
    """JΔ of what changes among tensors of real or complex numbers."""
    held = dict(network.named_parameters()) | dict(network.named_buffers())
    point = {name: held[name].detach() for name in _differentiable(group)}
    return runs.linear_change(point, {name: group[name] - weight for name, weight in point.items()})


def _differentiable(group: Tensors) -> list[str]:
    return [name for name, new in group.items() if new.is_floating_point() or new.is_complex()]


def _derivatives(runs: Replay, groups: Mapping[str, Tensors]) -> list[str]:
    """Name the layers whose first order is no derivative by torch."""
    ways = {key: runs.derivative(_differentiable(group)) for key, group in groups.items()}
    found = []
    for way, sentence in ((DIFFERENCE, _BY_DIFFERENCES), (NONE, _NOT_FOUND)):
        if mine := [key for key, its in ways.items() if its == way]:
            found.append(sentence.format(listed(mine)))
    return found


_BY_DIFFERENCES = (
    "gauss_newton of {} is by differences in the network's precision: torch's derivatives fail there, or "
    "are not what a small change of the weights does."
)
_NOT_FOUND = (
    "gauss_newton of {} cannot be had: the network has no derivative there, nor differences."
)


def _turned(
    network: nn.Module, layers: Mapping[str, str], moved: Mapping[str, Tensor]
) -> list[str]:
    """Say so where the baseline seems to be the pruned network, by its zeros."""
    pairs = [(network.get_parameter(name), moved[name]) for name in layers.values()]
    lost = sum(int(((old == 0) & (new != 0)).sum()) for old, new in pairs)
    gained = sum(int(((old != 0) & (new == 0)).sum()) for old, new in pairs)
    if not is_wrong_way_round(lost, gained, sum(old.numel() for old, _ in pairs)):
        return []
    return [
        "the baseline and the pruned network seem to be the wrong way round: "
        f"{lost:,} weights are zero in the baseline alone."
    ]


def _explanation(
    network: nn.Module,
    tally: Tally,
    layers: dict[str, str],
    groups: Mapping[str, Tensors],
    remarks: list[str],
) -> Explanation:
    held = dict(network.named_parameters())
    names = [*QUANTITIES, *_LAST]
    whole_pd = tally.examples(_WHOLE, "pd_loss")
    rows = []
    for key, group in groups.items():
        row: dict[str, Any] = {"layer": key, "weights": np.nan, "sparsity": np.nan}
        row |= dict.fromkeys(columns(), np.nan)
        if key in layers:
            [weight] = group.values()
            row["weights"], row["sparsity"] = weight.numel(), float((weight == 0).double().mean())
            row |= LayerLaws(held[layers[key]]).of(weight)
        else:
            row["weights"] = sum(tensor.numel() for tensor in group.values())
        row |= tally.columns(key, names)
        with np.errstate(invalid="ignore"):  # both may be infinite
            row["share"] = row["pd_loss"] / whole_pd.mean() if whole_pd.any() else np.nan
        rows.append(row)
    table = pd.DataFrame(rows, columns=_columns(names))
    table = table.sort_values("pd_loss", ascending=False, kind="stable").reset_index(drop=True)
    whole = _of_network(network, tally, table, names if groups else [*QUANTITIES])
    single: Vector = sum(
        (tally.examples(key, "pd_loss") for key in groups), np.zeros(len(whole_pd))
    )
    with np.errstate(invalid="ignore"):  # both may be infinite
        sums = Mean.of(single), Mean.of(whole_pd - single)
    verdict = _verdict(tally, table, whole, *sums)
    return Explanation(table, verdict, remarks, whole, *sums)


def _columns(names: list[str]) -> list[str]:
    paired = [part for name in names for part in (name, f"{name}_se")]
    return ["layer", "weights", "sparsity", *columns(), *paired, "share"]


def _of_network(
    network: nn.Module, tally: Tally, table: pd.DataFrame, names: list[str]
) -> dict[str, float]:
    """Put the network's row together: sums over its layers, and all changes together."""
    of_layers = table[table["layer"] != REST]
    weights = sum(network.get_parameter(name).numel() for name in parameters(network).values())
    zeros_elsewhere = 0
    changed = set(of_layers["layer"])
    for layer, name in parameters(network).items():
        if layer not in changed:
            zeros_elsewhere += int((network.get_parameter(name) == 0).sum())
    zeros = float((of_layers["sparsity"] * of_layers["weights"]).sum()) + zeros_elsewhere
    sums = {name: float(of_layers[name].sum(skipna=False)) for name in columns()}
    found = {
        "weights": weights,
        "sparsity": zeros / weights,
        **sums,
        **tally.columns(_WHOLE, names),
    }
    return {"gauss_newton": 0.0, "gauss_newton_se": 0.0} | found


def _norms(network: nn.Module, rest: Tensors) -> list[str]:
    """State what became of BatchNorm's running statistics."""
    kept = [name for name, _ in network.named_buffers() if name.endswith("running_var")]
    if not kept:
        return []
    differing = [name for name in kept if name in rest]
    if differing:
        return [
            f"BatchNorm: the running statistics of {len(differing)} of {len(kept)} layers differ; the "
            f"network's damage is with the pruned network's, every layer alone with the baseline's, and "
            f"{REST} has their part."
        ]
    return ["BatchNorm: running statistics as in the baseline, not estimated again after pruning."]


def _outside(network: nn.Module, rest: Tensors) -> list[str]:
    """Name what could be weights and has no part in the sums over layers."""
    more = {name: tensor.numel() for name, tensor in rest.items() if tensor.ndim >= 2}
    fate = f"have no part in sparsity, AP2 and AP3 (what changed of them is in {REST})"
    return outside.remarks(network, fate, more)


def _verdict(
    tally: Tally, table: pd.DataFrame, whole: dict[str, float], single: Mean, together: Mean
) -> str:
    loss, accuracy = tally.mean(_WHOLE, "pd_loss"), tally.mean(_WHOLE, "pd_accuracy").scaled(100)
    flips = tally.mean(_WHOLE, "flips").scaled(100)
    if table.empty:
        return "the two networks are equal: nothing was pruned."
    turned = f"{spelled(flips.value, flips.margin)} % of answers change"
    if np.isinf(loss.value):
        count = int(np.isinf(tally.examples(_WHOLE, "pd_loss")).sum())
        return (
            f"the pruned network's logits are NaN or infinite for {count:,} of {loss.count:,} examples, "
            f"which count as wrong answers and infinite loss; accuracy {_signed(accuracy.scaled(-1))} "
            f"points, {turned}; most by {listed([table.iloc[0]['layer']])}."
        )
    if not loss.is_sure:
        sentence = (
            f"pruning {'costs' if accuracy.value > 0 else 'gains'} "
            f"{spelled(abs(accuracy.value), accuracy.margin)} points of accuracy; that of the loss, "
            f"{_signed(loss)} nats, cannot be told from zero with {loss.count:,} examples"
            if accuracy.is_sure
            else f"pruning does no harm that {loss.count:,} examples show: loss {_signed(loss)} nats, "
            f"accuracy {_signed(accuracy.scaled(-1))} points"
        )
        return f"{sentence}; {turned}."
    head = (
        f"pruning {'raises' if loss.value > 0 else 'lowers'} the loss by "
        f"{spelled(abs(loss.value), loss.margin)} nats, accuracy {_signed(accuracy.scaled(-1))} points, "
        f"{turned}"
    )
    most = table.iloc[0 if loss.value > 0 else -1]
    alone = Mean(most["pd_loss"], most["pd_loss_se"], loss.count)
    head += f"; most by {listed([most['layer']])}, alone {_signed(alone)} nats"
    if len(table) > 1:
        share = 100 * together.value / loss.value
        head += (
            f"; single layers add up to {spelled(single.value, single.margin)}, so that "
            f"{spelled(share, abs(100 * together.margin / loss.value))} % is done by layers together"
            if together.is_sure
            else f"; single layers add up to it ({spelled(single.value, single.margin)})"
        )
    return head + "."


def _signed(mean: Mean) -> str:
    text = str(mean)
    return text.replace("-", "−", 1) if text.startswith("-") else f"+{text}"
