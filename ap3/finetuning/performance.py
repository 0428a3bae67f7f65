"""The performance difference (PD) of a pruned network, with the standard error of its pairing."""

from ap3.training.evaluation import PerExample


def columns(split: str, baseline: PerExample, pruned: PerExample) -> dict[str, float]:
    """Put one variant's outcomes (N,) on one split beside its baseline's, as columns of a log.

    The PD of Def. 2.8 is the size of the mean of a paired difference. `…_signed` is that mean,
    positive where the pruned network does worse, and `…_se` its standard error.
    """
    row = {
        f"{split}_examples": len(pruned.loss),
        f"{split}_loss": pruned.loss.mean().item(),
        f"{split}_accuracy": pruned.correct.mean().item(),
    }
    paired = {
        "loss": pruned.loss - baseline.loss,
        "accuracy": baseline.correct - pruned.correct,
    }
    for quantity, differences in paired.items():
        name, signed = f"{split}_pd_{quantity}", differences.mean(-1).item()
        row[name] = abs(signed)
        row[f"{name}_signed"] = signed
        row[f"{name}_se"] = (differences.std(-1) / len(differences) ** 0.5).item()
    return row
