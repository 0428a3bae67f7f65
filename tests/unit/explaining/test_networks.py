"""What is told of studies over any layers, on tables whose answers are planted."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from ap3.explaining import additivity, damage_size, network_ranking


def planted(noise: float = 0.0, trials: int = 3, models: int = 2, seed: int = 0) -> pd.DataFrame:
    """Sixty allocations at two ratios: the Gaussian's damage, and AP2 that knows the ratio alone."""
    draw = np.random.default_rng(seed)
    rows = []
    for model in range(models):
        for trial in range(1, trials + 1):
            for number in range(60):
                ratio = (0.2, 0.6)[number % 2]
                damage = 10 ** (3 * ratio - 2 + draw.normal(0, 0.3))
                seen = damage * 10 ** draw.normal(0, noise)
                rows.append(
                    {
                        **{"dataset": "d", "model": f"m{model}", "trial": trial, "mode": "lowest"},
                        **{"ratio": ratio, "allocation": f"random {number}", "epoch": 0},
                        **{
                            "batch_norm": ("none", "kept")[model],
                            "ap2": ratio + 1e-3 * draw.normal(),
                        },
                        **{"ap3_gaussian": 5 * seen, "ap3_gauss_newton": seen},
                        **{"kl_predictions": damage, "kl_single_layers": seen},
                    }
                    | {
                        f"{split}_pd_{what}{sign}": damage
                        for split in ("train", "test")
                        for what in ("loss", "accuracy")
                        for sign in ("", "_signed")
                    }
                    | {"test_pd_loss_se": 1e-9}
                )
            rows.append(rows[-1] | {"allocation": "none", "mode": "control", "ratio": 0.0})
            rows.append(rows[-2] | {"allocation": "only conv", "ap2": 1e9})
    return pd.DataFrame(rows)


def test_rho_is_that_of_scipy_and_leaves_control_and_single_layers_out():
    table = planted(noise=0.2)
    ranked = network_ranking.ranking(table)
    one = ranked[(ranked["measure"] == "ap3_gaussian") & (ranked["pd"] == "test_pd_loss")]
    mine = one[(one["model"] == "m0") & (one["trial"] == 2)].set_index("among")
    chosen = table[(table["model"] == "m0") & (table["trial"] == 2)].iloc[:60]
    for among, some in {
        "all": chosen,
        "ratio 0.2": chosen[chosen["ratio"] == 0.2],
    }.items():
        expected = spearmanr(some["ap3_gaussian"], some["test_pd_loss"]).statistic
        assert mine.loc[among, "rho"] == pytest.approx(expected, abs=1e-12)
        assert mine.loc[among, "n"] == len(some)


def test_what_knows_the_ratio_alone_orders_nothing_within_it():
    summary = network_ranking.summarise(network_ranking.ranking(planted()))
    whole = summary[(summary["model"] == "all networks") & (summary["pd"] == "test_pd_loss")]
    rho = whole[whole["statistic"] == "rho"].set_index(["among", "measure"])["mean"]
    assert rho["all", "ap2"] > 0.6
    assert abs(rho["within ratios", "ap2"]) < 0.2
    assert rho["within ratios", "ap3_gaussian"] == pytest.approx(1)
    gain = whole[(whole["statistic"] == "gain") & (whole["among"] == "within ratios")]
    certain = gain.set_index("measure").loc["ap3_gaussian"]
    assert certain["low"] > 0.7
    assert certain["n"] == 6
    assert certain["p_value"] < 1e-3


def test_a_network_without_batch_norm_stands_beside_either_state():
    table = planted()
    both = pd.concat([table, table[table["model"] == "m1"].assign(batch_norm="estimated")])
    whole = network_ranking.with_all_networks(both)
    counts = whole[whole["model"] == "all networks"].groupby("batch_norm")["trial"].count()
    assert counts["kept"] == counts["estimated"] == len(table)


def test_a_sum_that_is_the_damage_errs_in_no_pair_and_another_in_half():
    exact = additivity.summarise(additivity.additivity(planted()))
    assert (exact["share_wrong"].dropna() == 0).all()
    assert exact["log10_together_to_sum"].dropna().abs().max() < 1e-12
    pairs = exact[exact["model"] == "m0"]["pairs"].sum()
    assert pairs == 3 * 2 * (30 * 29 // 2)
    table = planted()
    table["kl_single_layers"] = np.random.default_rng(5).uniform(size=len(table))
    blind = additivity.summarise(additivity.additivity(table))
    wrong = (blind["share_wrong"] * blind["pairs"]).sum() / blind["pairs"].sum()
    assert wrong == pytest.approx(0.5, abs=0.05)


def test_variants_without_a_sum_are_in_no_pair():
    table = planted()
    table["kl_single_layers"] = np.random.default_rng(5).uniform(size=len(table))
    whole = additivity.additivity(table)
    is_gone = table["ratio"] == 0.2
    table.loc[is_gone, "kl_single_layers"] = np.nan
    found = additivity.additivity(table)
    left = additivity.additivity(table[~is_gone])
    pd.testing.assert_frame_equal(found, left)
    assert 0 < found["pairs"].sum() < whole["pairs"].sum()


def test_a_measure_that_differs_by_rounding_orders_nothing():
    table = planted(trials=1, models=1)
    table["ap2"] = 3.0 * (1 + 1e-13 * np.random.default_rng(5).uniform(size=len(table)))
    ranking = network_ranking.ranking(table)
    assert ranking.loc[ranking["measure"] == "ap2", "rho"].isna().all()


def test_the_size_is_off_by_what_is_planted_and_intervals_cover_as_they_say():
    table = planted(noise=0.2, trials=40, models=1)
    summary = damage_size.summarise(damage_size.sizes(table)).set_index(["measure", "how"])
    median = 0.2 * 0.6745  # of |normal|
    assert summary.loc[("ap3_gauss_newton", "as it is"), "decades"] == pytest.approx(
        median, rel=0.1
    )
    # The fit sees a planted spread of the damage itself, and so does a little better.
    assert summary.loc[("ap3_gauss_newton", "fitted"), "decades"] == pytest.approx(median, rel=0.15)
    assert summary.loc[("ap3_gaussian", "fitted"), "coverage"] == pytest.approx(0.9, abs=0.03)
    assert ("ap3_gaussian", "as it is") not in summary.index  # it is in no unit of the damage


def test_pds_within_their_noise_are_not_judged():
    table = planted(trials=1, models=1)
    table.loc[:19, "test_pd_loss_se"] = 1e9
    found = damage_size.sizes(table)
    assert set(found[found["how"] == "as it is"]["judged"]) == {40}


def test_a_size_is_fitted_only_where_every_third_has_allocations():
    table = planted(trials=1, models=1)
    table["ratio"] = np.arange(len(table)) / len(table)  # one allocation at each ratio
    assert set(damage_size.sizes(table)["how"]) == {"as it is"}


def test_no_interval_reaches_beyond_what_can_be():
    table = network_ranking.ranking(planted(trials=2, models=1))
    table["rho"] = np.where(table["trial"] == 1, 0.9, -0.9)
    summary = network_ranking.summarise(table)
    of_rho = summary[summary["statistic"] == "rho"]
    assert of_rho["low"].min() == -1
    assert of_rho["high"].max() == 1
