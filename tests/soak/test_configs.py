"""A short cut of the fuzzing of configurations; `make soak` draws thousands."""

import json
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import configs
import near_configs
import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings

BRIEFLY = settings(
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@settings(BRIEFLY, max_examples=40)
@given(configs.likely)
def test_a_right_configuration_can_be_planned(config):
    assert configs.verdict(config) == "planned"


@settings(BRIEFLY, max_examples=100)
@given(configs.broken())
def test_a_broken_configuration_ends_in_sentences(config):
    assert configs.verdict(config) in ("planned", "refused")


DRAW = """
import json
from hypothesis import HealthCheck, Phase, given, seed, settings
import configs, near_configs

@seed(0)
@settings(max_examples=100, deadline=None, database=None, phases=[Phase.generate],
          suppress_health_check=list(HealthCheck))
@given(near_configs.nearly())
def draw(config):
    print(json.dumps(configs.refusals(config)))

draw()
"""


def test_nearly_right_ones_are_planned_and_refused_for_many_reasons():
    # In a process of its own: Hypothesis draws constants out of all modules that are imported.
    done = subprocess.run(
        [sys.executable, "-c", DRAW],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=True,
        encoding="utf-8",
    )
    found = [json.loads(line) for line in done.stdout.splitlines()]
    refused = [sentences for sentences in found if sentences]
    assert 0.2 < len(refused) / len(found) < 0.9
    keys = {key_of(sentence) for sentences in refused for sentence in sentences}
    assert len(keys) >= 20


def key_of(sentence):
    unknown = re.match("there is no key '(.*?)'", sentence)
    return unknown[1] if unknown else re.sub(r"\[\d+\]", "", sentence.split()[0]).split(".")[-1]


@pytest.mark.parametrize("kind", near_configs.KINDS)
def test_each_kind_of_mistake_ends_in_sentences(kind):
    @settings(BRIEFLY, max_examples=15)
    @given(near_configs.nearly((kind,)))
    def draw(config):
        assert configs.verdict(config) in ("planned", "refused")

    draw()


@pytest.mark.slow
@settings(BRIEFLY, max_examples=3)
@given(configs.likely | configs.broken() | near_configs.nearly())
def test_snakemake_plans_what_is_right_and_refuses_the_rest(config):
    assert configs.dry_run(config) in ("planned", "refused")


BROKEN = {
    "no YAML": "study: [",
    "no mapping": "- study",
    "a number for a name": "1: 2",
    "a whole number with a fraction": "study: a\nstudies: {a: {trials: 2.0}}",
    "an endless number": "study: a\nstudies: {a: {trials: .inf}}",
    "gigabytes of aliases": "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
    + "".join(f"{y}: &{y} [{', '.join([f'*{x}'] * 10)}]\n" for x, y in pairwise("abcdefghi"))
    + "study: *i",
    "a figure that lacks its data": "study: demo\nstudies: {paper: {figures: [fig99]}}",
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["no YAML", "gigabytes of aliases", "an endless number"])
def test_snakemake_ends_a_broken_one_before_any_job(tmp_path, kind):
    (tmp_path / "config.yaml").write_text(BROKEN[kind], encoding="utf-8")
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(configs.ROOT / "Snakefile")]
    done = subprocess.run(
        [*command, "--cores", "1"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        encoding="utf-8",
    )
    said = done.stdout + done.stderr
    assert done.returncode == 1
    assert "Traceback" not in said
    assert "Job " not in said
    assert not (tmp_path / "results").exists()
    assert len(said) < 5000


@pytest.mark.parametrize("kind", sorted(set(BROKEN) - {"no YAML"}))
def test_each_known_mistake_is_refused(kind):
    assert configs.verdict(yaml.safe_load(BROKEN[kind])) == "refused"
