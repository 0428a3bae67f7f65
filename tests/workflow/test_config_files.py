"""A configuration with a mistake ends before any job, in sentences of ours."""

import re

import pytest
import yaml
from checkout import MINI, Checkout, configured


@pytest.fixture(scope="module")
def refused(tmp_path_factory):
    """Plan with a configuration that is refused; give the sentences."""
    checkout = Checkout.make(tmp_path_factory.mktemp("config") / "checkout")

    def plan(config, *options):
        (checkout.folder / "config.yaml").write_text(config, encoding="utf-8")
        done = checkout.run("--dry-run", *options)
        printed = done.stderr + done.stdout
        assert done.returncode == 1, printed
        assert "Traceback" not in printed
        _, _, said = printed.partition("The configuration is not right.\n")
        assert said, printed
        return said.strip()

    return plan


@pytest.mark.parametrize("name", ["report", "default", "weights", "fig01", "finetune_mini"])
def test_a_study_may_not_be_called_as_a_rule_is(refused, name):
    config = MINI.replace("study: mini", f"study: {name}").replace("  mini:", f"  {name}:")
    assert refused(config).startswith(f"studies is {name!r}, but must be a name of at most 64")


def test_no_rule_has_a_name_that_a_study_may_have(tmp_path):
    checkout = Checkout.make(tmp_path / "checkout")
    schema = yaml.safe_load(
        (checkout.folder / "workflow/schemas/config.schema.yaml").read_text(encoding="utf-8")
    )
    allowed = re.compile(schema["properties"]["studies"]["propertyNames"]["pattern"])
    rules = checkout.run("--list-rules").stdout.split()
    assert {"all", "default", "weights", "report_mini", "fig01"} <= set(rules)
    published = [
        study
        for file in (checkout.folder / "workflow/studies").glob("*.yaml")
        for study in yaml.safe_load(file.read_text(encoding="utf-8"))
    ]
    assert [rule for rule in rules if allowed.match(rule)] == sorted(["mini", *published])


@pytest.mark.parametrize(("key", "value"), [("weights", "{mine}.pth"), ("model", "timm:{net}")])
def test_braces_in_a_name_are_refused(refused, key, value):
    said = refused(configured(MINI, {f"networks.vgg.{key}": value}))
    assert said.startswith(f"studies.mini.networks.vgg.{key} is {value!r}, but must be a name ")
    assert said.endswith("control characters.")


def test_keys_given_twice_and_numbers_that_are_not_decimal_are_refused_with_their_lines(refused):
    twice = MINI.replace("    seed: 2\n", "    seed: 010\n    trials: 1\n")
    assert refused(twice).splitlines() == [
        "config.yaml, line 6: YAML reads 010 as the number 8; write a decimal number.",
        "config.yaml, line 8: the key trials was there before, in line 7; keep one of them.",
    ]


def test_a_mistake_of_yaml_is_told_with_its_line(refused):
    assert refused(MINI.replace("    trials: 2\n", "   trials: 2\n")).startswith(
        "config.yaml, line 7: this is no YAML ("
    )


def test_a_file_given_by_configfile_is_read_as_carefully(refused, tmp_path):
    more = tmp_path / "more.yaml"
    more.write_text("device: cpu\nstudies: {mini: {trials: 1:30}}\n", encoding="utf-8")
    assert refused(MINI, "--configfile", str(more)) == (
        f"{more}, line 2: YAML reads 1:30 as the number 90; write a decimal number."
    )


def test_numbers_within_braces_on_the_command_line_are_told_to_be_texts(refused):
    assert refused(MINI, "--config", "studies={mini: {trials: 1}}").splitlines() == [
        "studies.mini.trials is '1', but must be a whole number. Write 1.",
        "Within braces --config makes texts of all numbers; put them into a file, and give that by "
        "--configfile.",
    ]
