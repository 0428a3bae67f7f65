"""A YAML file with two meanings is refused by key and line."""

import json

import pytest
import yaml

from ap3.config.yaml_text import surprises


def said(tmp_path, text):
    path = tmp_path / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return [sentence.removeprefix(f"{path}, ") for sentence in surprises(path)]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("010", 8),
        ("1:30", 90),
        ("-1:30", -90),
        ("0x10", 16),
        ("0b11", 3),
        ("1_000", 1000),
        ("1:30.5", 90.5),
        ("00", 0),
    ],
)
def test_a_number_that_is_not_decimal_is_named_with_what_it_is_read_as(tmp_path, text, number):
    assert yaml.safe_load(text) == number
    assert said(tmp_path, f"a: 1\ntrials: {text}\n") == [
        f"line 2: YAML reads {text} as the number {number}; write a decimal number."
    ]


@pytest.mark.parametrize(
    "text", ["0", "-7", "+7", "10", "0.5", ".5", "5.", "5.0e-4", "-1.5e+3", ".inf", ".nan", "'010'"]
)
def test_a_decimal_number_is_none(tmp_path, text):
    assert said(tmp_path, f"a: {text}\n") == []


@pytest.mark.parametrize("text", ["5e-4", "08", "1:90", "null", "yes", "text", ""])
def test_what_yaml_reads_as_no_number_is_left_to_the_schema(tmp_path, text):
    assert not isinstance(yaml.safe_load(text), int | float) or yaml.safe_load(text) is True
    assert said(tmp_path, f"a: {text}\n") == []


def test_a_key_that_is_there_twice_is_named_with_both_lines(tmp_path):
    text = "studies:\n  demo: {trials: 1, seed: 1, trials: 2}\n  other: {}\n  demo: {}\n"
    assert said(tmp_path, text) == [
        "line 2: the key trials was there before, in line 2; keep one of them.",
        "line 4: the key demo was there before, in line 2; keep one of them.",
    ]


def test_equal_keys_of_different_parts_and_aliases_are_none(tmp_path):
    text = "a: &a {x: 1}\nb: {x: 1, y: *a}\nc: *a\nd: {<<: *a, x: 2}\n? [1, 2]\n: 3\n"
    assert said(tmp_path, text) == []


def test_json_is_yaml(tmp_path):
    assert said(tmp_path, json.dumps({"a": [1, 1.5, {"b": None}]})) == []
    assert said(tmp_path, '{"a": 1, "a": 2}') == [
        "line 1: the key a was there before, in line 1; keep one of them."
    ]


@pytest.mark.parametrize("text", ["", "a: [", "- a\nb: 1\n", "\t:", "!!python/name:os.kill x"])
def test_what_is_no_yaml_or_holds_nothing_is_left_to_the_reader(tmp_path, text):
    assert said(tmp_path, text) == []
