"""Draw docs/images/claim.png from docs/results: the claim, and where it breaks: `python docs/claim.py`.

AP2 against the signed PD of the test loss, before fine-tuning, after it, and after it measured from the
control. Above each panel stands how often AP2 orders two networks as the PD does.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from ap3.config.variants import CONTROL
from ap3.figures import look

RESULTS = Path(__file__).parent / "results/fashion"
PICTURE = Path(__file__).parent / "images/claim.png"
MODEL = "resnet18"
PD = "test_pd_loss_signed"


def main() -> None:
    """Draw the picture anew."""
    measures = pd.read_csv(RESULTS / "measures.csv.xz")
    measures = measures[measures["model"] == MODEL]
    counted = pd.read_csv(next(iter(sorted(RESULTS.glob("agreement_summary.csv*")))))
    counted = counted[counted["model"] == MODEL]
    last = int(measures["epoch"].max())
    panels = [
        ("before fine-tuning", 0, "baseline"),
        ("after fine-tuning", last, "baseline"),
        ("after, from the control", last, "control"),
    ]
    figure, axes = plt.subplots(1, 3, figsize=(9.5, 3.3), layout="constrained")
    for place, (title, epoch, reference) in zip(axes, panels, strict=True):
        _draw(place, _points(measures, epoch, reference))
        place.set_title(f"{title}\n{_said(counted, epoch, reference)}", fontsize=7.5)
        place.set_xlabel("AP2" + " from the control" * (reference == "control"))
    axes[0].set_ylabel("change of the test loss (nats)")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(PICTURE, dpi=130)


def _points(measures: pd.DataFrame, epoch: int, reference: str) -> pd.DataFrame:
    """Return AP2 and the signed PD of every pruned network of every trial."""
    at = measures[measures["epoch"] == epoch]
    pruned = at[at["mode"] != CONTROL]
    if reference == "baseline":
        return pruned[["mode", "ratio", "ap2", PD]]
    drift = at[at["mode"] == CONTROL].set_index("trial")[PD]
    moved = pruned[PD] - pruned["trial"].map(drift)
    return pruned[["mode", "ratio"]].assign(ap2=pruned["ap2_from_control"], **{PD: moved})


def _draw(place: plt.Axes, points: pd.DataFrame) -> None:
    for mode, one in look.mode_looks(list(points["mode"].unique())).items():
        mine = points[points["mode"] == mode]
        place.scatter(
            mine["ap2"],
            mine[PD],
            12 + 30 * mine["ratio"],
            one.color,
            marker=one.marker,
            label=one.label,
        )
    place.axhline(0, color="0.6", linewidth=0.8)
    place.set_xscale("log")
    place.set_yscale("symlog", linthresh=0.01)
    place.margins(0.08)
    place.autoscale_view()
    place.tick_params(labelsize=8)


def _said(counted: pd.DataFrame, epoch: int, reference: str) -> str:
    """Say how often AP2 orders two networks as the PD does, and between what that stands."""
    chosen = counted[
        (counted["epoch"] == epoch)
        & (counted["reference"] == reference)
        & (counted["among"] == "all")
        & (counted["statistic"] == "agreement")
    ].set_index(["pd", "measure"])["mean"]
    lines = []
    names = {"ap2": "AP2", "lookup": "look-up", "ceiling": "ceiling"}
    for title, column in (("by |PD|", PD.removesuffix("_signed")), ("signed", PD)):
        shares = [
            f"{name} {chosen[column, measure]:.0%}"
            for measure, name in names.items()
            if (column, measure) in chosen
        ]
        lines.append(f"{title}: {', '.join(shares)}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
