"""The commands that set the tables of the theory page."""

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from head_problems import log_of, problem, tuned

from ap3.measuring.bounds import BOUNDS, ON_TEST, bounds_of
from ap3.training.splits import Split

DOCS = Path(__file__).parents[3] / "docs"


def loaded(name):
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


bound_sizes, spectral_chain = loaded("bound_sizes"), loaded("spectral_chain")


@pytest.fixture(scope="module")
def table():
    made, held_out = problem(2), problem(6)
    network = tuned(made)
    test = Split(held_out.features, held_out.labels)
    return bounds_of(made.reference(), [(network, log_of(made, network))], test)


def test_the_page_has_what_is_stored():
    page = bound_sizes.PAGE.read_text(encoding="utf-8")
    assert bound_sizes.with_tables(page) == page
    assert spectral_chain.with_table(page) == page


def test_every_bound_has_its_size(table):
    sizes = bound_sizes.sizes_of(table).set_index(["bound", "phase"])
    mine = table[table["law"] == "gaussian"]
    for name in (*BOUNDS, *ON_TEST):
        ratios = mine.groupby(mine["epoch"] > 0)[f"{name}_over_pd"].median()
        assert sizes.loc[(name, "before"), "median"] == ratios[False]
        assert sizes.loc[(name, "after"), "median"] == ratios[True]
    proved = sizes[~sizes.index.get_level_values("bound").str.endswith(("printed", "one_point"))]
    assert not proved["failing"].any()
    assert sizes.loc[("eq4", "before"), "median"] == pytest.approx(1, rel=1e-5)
    sharper = sizes.loc["cor26_sharp", "median"] / sizes.loc["cor26", "median"]
    assert (sharper > 1).all()
    assert (sizes.loc["eq16_sharp", "median"] < sizes.loc["eq16_printed", "median"]).all()


def test_what_fails_is_counted_and_controls_are_not(table):
    broken = table.assign(best_over_pd=0.5, cor26=2 * table["epsilon"])
    doubled = pd.concat([broken, broken.assign(mode="control")])
    sizes = bound_sizes.sizes_of(doubled).set_index(["bound", "phase"])
    for bound in ("best", "cor26"):
        assert sizes.loc[bound, "failing"].to_dict() == {"before": 1, "after": 2}
        assert sizes.loc[bound, "n"].to_dict() == {"before": 1, "after": 2}


def test_every_layer_of_a_chain_is_pruned_and_none_is_damaged_more():
    import torch

    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.ReLU(), torch.nn.Linear(5, 3))
    rows = [*spectral_chain.of_network(model, torch.randn(9, 6), torch.arange(9) % 3)]
    assert [(row["layer"], row["above"], row["ratio"]) for row in rows] == [
        (layer, above, ratio) for layer, above in (("0", 1), ("2", 0)) for ratio in (0.1, 0.5)
    ]
    assert all(0 < row["pd_loss"] <= row["bound"] for row in rows)
    assert np.isfinite([row["bound"] for row in rows]).all()
