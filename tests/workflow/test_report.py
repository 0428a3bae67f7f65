"""The report: complete, true to the tables, and asking for nothing but itself."""

import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import networkx as nx
import pandas as pd
import pytest

from ap3.errors import UserError
from ap3.report.flow import graph
from ap3.report.results import Results
from ap3.study.settings import Study


class Page(HTMLParser):
    """The tags of a page with what they ask for, and its text by the id of its section."""

    def __init__(self, text):
        super().__init__()
        self.asked, self.ids, self.text, self.section = [], set(), {}, ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.asked += [given[name] for name in ("src", "href", "srcset") if given.get(name)]
        self.ids.add(given.get("id"))
        if tag == "section":
            self.section = given["id"]

    def handle_data(self, data):
        self.text[self.section] = f"{self.text.get(self.section, '')} {data}"


@pytest.fixture(scope="module")
def study(mini):
    done = mini.run("report")
    assert done.returncode == 0, done.stdout + done.stderr
    return mini.folder


@pytest.fixture(scope="module")
def results(study):
    return Results.read(study / "results/mini")


@pytest.fixture(scope="module")
def page(study):
    return Page((study / "results/mini/report.html").read_text(encoding="utf-8"))


def test_the_arrows_are_drawn_in_one_order(study):
    code = (
        "from pathlib import Path; from ap3.report.flow import graph; "
        "from ap3.report.results import Results; "
        "print(graph(Results.read(Path('results/mini')).study).edges)"
    )
    drawn = {  # sets of names are in another order for every seed
        subprocess.check_output(
            [sys.executable, "-c", code], env=os.environ | {"PYTHONHASHSEED": seed}, cwd=study
        )
        for seed in "123"
    }
    assert len(drawn) == 1


def test_the_page_asks_for_nothing_but_itself(page):
    assert page.asked
    for address in page.asked:
        assert address.startswith(("data:", "#")), address[:80]


def test_measures_without_a_column_that_the_page_draws_are_refused(study, tmp_path):
    shutil.copytree(study / "results/mini", tmp_path / "mini")
    path = tmp_path / "mini/tables/measures.csv"
    pd.read_csv(path).drop(columns="train_pd_loss_signed").to_csv(path, index=False)
    with pytest.raises(UserError, match=r"measures.csv lacks the columns train_pd_loss_signed"):
        Results.read(tmp_path / "mini")


def test_every_figure_has_a_caption_and_labels(page):
    assert {"fig03", "agreement", "bounds"} <= page.ids
    said = " ".join(page.text["figures"].split())
    assert said.count("What to look for.") == 4
    for label in ("model small VGG", "data set digits", "mode lowest, highest", "trial 1 to 2"):
        assert label in said


def test_the_conditions_are_those_that_the_logs_say(page, results):
    jobs = [record.stage for record in results.records]
    assert jobs.count("baseline") == jobs.count("finetune") == jobs.count("measure") == 2
    assert jobs.count("data") == jobs.count("agreement") == jobs.count("tables") == 1
    said = " ".join(page.text["conditions"].split())
    for record in results.records:
        for name, number in record.versions.items():
            assert f"{name} {number}" in said
    assert "the last layer only, 2 epochs" in said
    assert "not recorded" not in said


@pytest.mark.parametrize(
    "change",
    [
        {"finetuning": {"scope": "head"}},
        {"finetuning": {"scope": "all"}},
        {"training": {"augmentation": "flip"}},
    ],
    ids=["head", "all", "views"],
)
def test_the_stages_are_those_of_the_workflow(mini, results, change):
    config = f"studies={json.dumps({'mini': change})}"
    printed = mini.run("--rulegraph", "dot", "report", "--config", config).stdout
    names = {
        number: name.removesuffix("_mini")
        for number, name in re.findall(r'(\d+)\[label = "(\w+)"', printed)
    }
    edges = [(names[one], names[two]) for one, two in re.findall(r"(\d+) -> (\d+)", printed)]
    planned = nx.DiGraph(edge for edge in edges if edge[0] != edge[1])
    planned.remove_node("settings")
    ((part, keys),) = change.items()
    settings = results.study.settings
    study = Study("mini", {**settings, part: settings[part] | keys})
    assert set(graph(study).edges) == set(nx.transitive_reduction(planned).edges)


def test_snakemakes_own_report_holds_figures_and_tables(mini, study):
    done = mini.run("--report", "own.html", "report")
    assert done.returncode == 0, done.stdout + done.stderr
    own = (study / "own.html").read_text(encoding="utf-8")
    for words in ("small VGG", "Agreement", "VGG, AP2 beside PD on the test split"):
        assert words in own
