"""All tables that say which measure explains the performance difference, by their names."""

from collections.abc import Sequence

import pandas as pd

from ap3.explaining import agreement_summary, mode_contrast, ratio_choice
from ap3.explaining.agreement import agreement
from ap3.explaining.example_intervals import example_intervals, with_intervals
from ap3.explaining.paired_accuracies import LEVEL
from ap3.explaining.trial_grids import Runs


def explained(
    runs: Sequence[Runs], tolerance: float = 0.01, level: float = LEVEL
) -> dict[str, pd.DataFrame]:
    """Count a study.

    Parameters
    ----------
    runs
        The trials of each network.
    tolerance
        PD of the test accuracy that is put up with in the choice of a ratio.
    level
        Of every test; the intervals are of 1 − level.

    Returns
    -------
    dict
        `agreement`, `contrast` and `choice`, each with its `…_summary`.
    """
    counted, intervals = agreement(runs, level), example_intervals(runs, level)
    contrasts, choices = mode_contrast.contrast(runs, level), ratio_choice.choice(runs, tolerance)
    return {
        "agreement": with_intervals(counted, intervals),
        "agreement_summary": agreement_summary.summarise(counted, intervals, level),
        "contrast": contrasts,
        "contrast_summary": mode_contrast.summarise(contrasts, level),
        "choice": choices,
        "choice_summary": ratio_choice.summarise(choices, level),
    }
