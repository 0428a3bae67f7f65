"""What the Snakemake workflow catalog asks of a repository for its standard usage."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


def test_the_repository_has_what_the_catalog_looks_for():
    readme = (ROOT / "README.md").read_text(encoding="utf-8").lower()
    assert "snakemake" in readme
    assert "workflow" in readme
    assert (ROOT / "workflow/Snakefile").is_file()
    assert list((ROOT / "workflow/rules").glob("*.smk"))
    assert (ROOT / "config/README.md").is_file()
    # What Snakedeploy copies beside the workflow that it makes.
    assert (ROOT / "config/config.yaml").samefile(ROOT / "config.yaml")


def test_the_catalogs_file_says_how_it_is_used():
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text(encoding="utf-8"))[
        "usage"
    ]
    assert set(usage) <= {"mandatory-flags", "software-stack-deployment", "report"}
    deployment = usage["software-stack-deployment"]
    assert set(deployment) == {"conda", "apptainer", "apptainer+conda"}
    texts = {
        path.name: path.read_text(encoding="utf-8")
        for path in (ROOT / "workflow/rules").glob("*.smk")
    }
    with_rules = {name for name, text in texts.items() if re.search(r"^ *rule\b.*:$", text, re.M)}
    with_conda = {name for name, text in texts.items() if "conda:" in text}
    assert len(with_rules) > 20
    assert deployment["conda"] == (with_conda == with_rules)


def test_an_issue_template_is_a_form():
    for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"):
        form = yaml.safe_load(path.read_text(encoding="utf-8"))
        if path.name != "config.yml":
            assert {"name", "description", "body"} <= set(form)
            assert all({"type", "attributes"} <= set(part) for part in form["body"])
