"""Every measure of a pruned network, epoch by epoch, beside the PD of its log.

Some see the weights alone (AP2 and its relatives, AP3 under the weights' own laws), some the
features that the last layer sees as well (the Fisher laws, the Taylor estimate), and one what the
pruned network puts out (the KL of its predictions). PD is what they are to predict.
"""

import numpy as np
import pandas as pd

from ap3.config.seeds import derive
from ap3.measuring import catalogue
from ap3.measuring.case import Case
from ap3.measuring.reference import Reference
from ap3.pruning.pruned import PrunedNetwork


def measures_of(
    reference: Reference,
    tuned: PrunedNetwork,
    log: pd.DataFrame,
    control: PrunedNetwork | None = None,
    frozen: bool = True,
    points: int = 0,
) -> pd.DataFrame:
    """Put the measures of one variant beside its log, a row per epoch.

    Parameters
    ----------
    reference
        The baseline.
    tuned
        The variant, its layers with a leading axis of epochs.
    log
        The variant's log, a row per epoch from 0.
    control
        What was fine-tuned without pruning. With it come the columns `…_from_control`, which
        compare the two at the same epoch and so leave out the drift that both share.
    frozen
        Whether the layers below the last were held (scope `head`). If not, what the variant
        predicts does not follow from the baseline's features, and the KL of predictions is missing.
    points
        Of the Pyro Monte Carlo estimate of the Student-t AP3 at the last epoch; 0 makes none.
    """
    tuned.check_epochs(log["epoch"])
    masks = [layer.mask for layer in tuned.layers.values()]
    about = tuned.about | {
        "epoch": log["epoch"].to_numpy(),
        "weights": sum(mask.size for mask in masks),
        "pruned": sum(int((~mask).sum()) for mask in masks),
    }
    case = Case(reference, tuned, frozen=frozen)
    measured = {one.column: case.value(one) for one in reference.measures}
    if control is not None:
        apart = Case(reference, tuned, control, frozen)
        for one in reference.measures:
            if one.from_control:
                measured[catalogue.from_control(one.column)] = apart.value(one)
    found = pd.DataFrame(about | measured | reference.scales)
    table = found.merge(log.drop(columns=[*tuned.about], errors="ignore"), on="epoch")
    return _with_monte_carlo(table, reference, tuned, points) if points else table


def _with_monte_carlo(
    table: pd.DataFrame, reference: Reference, tuned: PrunedNetwork, points: int
) -> pd.DataFrame:
    """Add the paper's estimate of the Student-t AP3 with its standard error, at the last epoch."""
    origin = tuned.origin
    names = (origin.dataset, origin.model, origin.trial, tuned.variant, "Monte Carlo")
    generator = np.random.default_rng(derive(origin.seed, *names))
    law = reference.law("ap3_student_t")
    last = law.at(tuned.layers[reference.head].weight[-1])
    estimate = law.kl_monte_carlo(last, points, generator)
    columns = ["ap3_student_t_mc", "ap3_student_t_mc_se", "ap3_student_t_mc_points"]
    table[columns] = np.nan
    values = (estimate.value, estimate.standard_error, float(estimate.n))
    table.loc[table.index[-1], columns] = values
    return table
