"""What the explorer shows is what the tables say."""

import pandas as pd
import pytest

from ap3.report import explorer


def row(mode, ratio, trial, epoch, ap2, loss, **more):
    return {
        "dataset": "digits", "model": "vgg", "trial": trial, "mode": mode, "ratio": ratio,
        "epoch": epoch, "ap2": ap2, "ap2_from_control": ap2 / 2, "ap3_gaussian": 0.0,
        "train_pd_loss_signed": -loss, "test_pd_loss_signed": loss,
        "train_pd_accuracy_signed": 0.0, "test_pd_accuracy_signed": 0.015,
    } | more  # fmt: skip


MEASURES = pd.DataFrame(
    [
        row(mode, ratio, trial, epoch, 1.23456789 * trial * ratio, 0.5 * epoch)
        for trial in (1, 2)
        for mode, ratio in (("control", 0.0), ("lowest", 0.3), ("lowest", 0.5))
        for epoch in (0, 1)
    ]
)
COUNTED = pd.DataFrame(
    [
        {
            "dataset": "digits", "model": "vgg", "trial": trial, "epoch": epoch,
            "reference": "baseline", "pd": "test_pd_loss", "among": among, "measure": "ap2",
            "agreement": trial / 4 + epoch / 10,
        }
        for trial in (1, 2) for epoch in (0, 1) for among in ("all", "modes")
    ]
)  # fmt: skip


def test_a_row_for_every_trial_variant_and_epoch():
    found = explorer.data(MEASURES)
    (network,) = found["networks"]
    assert len(network["trial"]) == len(MEASURES)
    assert found["variants"][1] == {"mode": "lowest", "ratio": 0.3}
    assert network["values"]["ap2"][2] == pytest.approx(0.37037)
    assert set(network["values"]["test_pd_accuracy"]) == {1.5}
    assert network["values"]["train_pd_loss"][1] == -0.5


def test_a_measure_that_does_not_vary_is_not_offered():
    assert list(explorer.data(MEASURES)["metrics"]) == ["ap2", "ratio"]


def test_the_agreement_is_that_among_any_two_variants():
    (network,) = explorer.data(MEASURES, COUNTED)["networks"]
    grid = network["agreement"]["baseline test_pd_loss ap2"]
    assert grid == [[0.25, 0.35], [0.5, 0.6]]


def test_beside_it_stands_how_many_pairs_the_examples_tell_apart():
    decided = COUNTED.assign(decided=10 * COUNTED["trial"] + COUNTED["epoch"])
    none = (decided["trial"] == 2) & (decided["epoch"] == 1)
    decided.loc[none, ["decided", "agreement"]] = 0.0, float("nan")
    (network,) = explorer.data(MEASURES, decided)["networks"]
    assert network["decided"] == {"baseline test_pd_loss": [[10.0, 11.0], [20.0, 0.0]]}
    (network,) = explorer.data(MEASURES, COUNTED)["networks"]
    assert network["decided"] == {}


def test_the_agreement_of_each_measure_is_its_own_where_a_case_is_missing_or_unknown():
    ratio = COUNTED.assign(measure="ratio", agreement=COUNTED["agreement"] + 0.3)
    ratio = ratio[(ratio["trial"] == 1) | (ratio["epoch"] == 0)]  # not counted
    another = ratio.assign(trial=3)  # of a trial without measures
    both = pd.concat([ratio, COUNTED, another]).sample(frac=1, random_state=0)
    (network,) = explorer.data(MEASURES, both)["networks"]
    assert network["agreement"] == {
        "baseline test_pd_loss ratio": [[0.55, 0.65], [0.8, None]],
        "baseline test_pd_loss ap2": [[0.25, 0.35], [0.5, 0.6]],
    }


def test_without_the_table_nothing_is_said_to_agree():
    (network,) = explorer.data(MEASURES)["networks"]
    assert network["agreement"] == {}


def test_of_whole_networks_each_state_of_batch_norm_is_seen_by_itself():
    states = [
        MEASURES.assign(allocation="uniform", batch_norm=state, epoch=MEASURES["epoch"])
        for state in ("kept", "estimated")
    ]
    ranking = COUNTED.drop(columns="reference").rename(columns={"agreement": "rho"})
    ranked = pd.concat([ranking.assign(batch_norm=s, mode="lowest") for s in ("kept", "estimated")])
    found = explorer.network_data(pd.concat(states, ignore_index=True), ranked)
    assert [network["model"] for network in found["networks"]] == ["vgg, kept", "vgg, estimated"]
    assert found["titles"]["vgg, kept"] == "vgg, BatchNorm kept"
    assert found["statistic"] == "rho"
    assert found["networks"][0]["agreement"]["baseline test_pd_loss ap2"][1] == [0.5, 0.6]
    assert found["variants"][1]["allocation"] == "uniform"
