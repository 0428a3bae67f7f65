"""The report draws the stages as the rules have them."""

import json
import re

import networkx as nx
import pytest
import yaml
from checkout import MINI, ROOT, Checkout

from ap3.report.flow import graph
from ap3.study.settings import read_studies

SCHEMA = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text("utf-8"))
STUDIES = ("mini", "fashion", "fashion_all", "paper")


def drawn_by_snakemake(printed: str, study: str) -> nx.DiGraph:
    """Read a graph of rules, a study's own rules under their stage's name, needs that follow left out."""
    names = dict(re.findall(r'^\s*(\d+)\[label = "([\w-]+)"', printed, re.MULTILINE))
    stages = {number: name.removesuffix(f"_{study}") for number, name in names.items()}
    arrows = re.findall(r"^\s*(\d+) -> (\d+)", printed, re.MULTILINE)
    whole = nx.DiGraph((stages[one], stages[two]) for one, two in arrows)
    whole.remove_nodes_from({study, "settings", "default", "all"} & set(whole))
    return nx.transitive_reduction(whole)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Checkout:
    return Checkout.make(tmp_path_factory.mktemp("flow") / "checkout", MINI)


@pytest.mark.parametrize("study", STUDIES)
def test_the_picture_of_the_stages_is_that_of_the_rules(planner, checkout, study):
    printed = planner.ask(
        checkout, "--rulegraph", "dot", "--forceall", "--", f"results/{study}/report.html"
    )
    config = yaml.safe_load(MINI)
    for name in ("fashion", "paper"):
        config["studies"] |= yaml.safe_load(
            (ROOT / f"workflow/studies/{name}.yaml").read_text(encoding="utf-8")
        )
    settings = read_studies(json.loads(json.dumps(config)), SCHEMA)[study]
    ours, theirs = graph(settings), drawn_by_snakemake(printed, study)
    assert set(ours.nodes) == set(theirs.nodes)
    assert set(ours.edges) == set(theirs.edges)
