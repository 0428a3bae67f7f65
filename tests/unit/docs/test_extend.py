"""The page on extending: it names what may be said, all of it and nothing else."""

import re
from importlib.resources import files
from pathlib import Path

import yaml

PAGE = Path(__file__).parents[3] / "docs/extend.md"


def test_every_key_of_a_figure_stands_on_the_page():
    kinds = yaml.safe_load((files("ap3.figures") / "schema.yaml").read_text(encoding="utf-8"))
    known = {key for kind in kinds["kinds"].values() for key in kind["properties"]}
    section = PAGE.read_text(encoding="utf-8").split("## A figure of your own")[1]
    rows = re.findall(r"^\| (`.*?`) \|", section.split("\n## ")[0], re.MULTILINE)
    assert sorted(re.findall(r"`(\w+)`", " ".join(rows))) == sorted(known)
