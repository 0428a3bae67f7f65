"""Configurations, valid and broken, drawn from the schema; and what must hold of every one."""

import copy
import math
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st

from ap3 import datasets
from ap3.config.variants import MODES
from ap3.errors import UserError
from ap3.study.settings import read_studies

ROOT = Path(__file__).parents[2]
SCHEMA = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text(encoding="utf-8"))

MODELS = ["small_alexnet", "small_vgg", "small_resnet", "small_vit", "resnet50", "vgg16"]


def from_schema(schema: dict[str, Any], root: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Draw values that `schema` takes, for the part of JSON schema that ours is written in."""
    if "$ref" in schema:
        return from_schema(root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    if "anyOf" in schema:
        return st.one_of([from_schema(part, root) for part in schema["anyOf"]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return st.one_of([_KINDS[kind](schema, root) for kind in types])


def _numbers(schema: dict[str, Any], root: dict[str, Any]) -> st.SearchStrategy[float]:
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    return st.floats(
        low,
        high,
        exclude_min="exclusiveMinimum" in schema,
        exclude_max="exclusiveMaximum" in schema,
        allow_nan=False,
        allow_infinity=False,
    )


def _lists(schema: dict[str, Any], root: dict[str, Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(
        from_schema(schema["items"], root),
        min_size=schema.get("minItems", 0),
        max_size=3,
        unique=True,
    )


def _objects(schema: dict[str, Any], root: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    if "properties" not in schema:
        names = st.from_regex("[a-z][a-z0-9_]{0,5}", fullmatch=True)
        entries = from_schema(schema["additionalProperties"], root)
        return st.dictionaries(names, entries, min_size=1, max_size=2)
    drawn = {key: from_schema(part, root) for key, part in schema["properties"].items()}
    needed = {key: drawn.pop(key) for key in schema.get("required", ())}
    found = st.fixed_dictionaries(needed, optional=drawn)
    return found.filter(bool) if "minProperties" in schema else found


_KINDS: dict[str, Any] = {
    "null": lambda schema, root: st.none(),
    "boolean": lambda schema, root: st.booleans(),
    "integer": lambda schema, root: st.integers(schema.get("minimum"), schema.get("maximum", 400)),
    "number": _numbers,
    "string": lambda schema, root: st.from_regex(schema.get("pattern", "^[ -~]{1,8}$(?!\n)")),
    "array": _lists,
    "object": _objects,
}


def _planned() -> dict[str, Any]:
    """The schema, where what names something names what exists and no study lacks a place."""
    schema = copy.deepcopy(SCHEMA)
    parts = schema["$defs"]
    names = {"enum": datasets.names()}
    parts["dataset"] = {"anyOf": [names, parts["dataset"] | {"type": "object"}]}
    parts["dataset"]["anyOf"][1]["properties"]["dataset"] = names
    parts["network"]["properties"]["model"] = {"enum": MODELS}
    parts["network"]["properties"]["weights"] = {"enum": ["none", "mine.pth"]}
    study = parts["study"]["properties"]
    study["image_size"] = {"enum": [16, 224]}
    study["data"]["required"] = [*study["data"]["properties"]]
    study["pruning"]["properties"]["modes"]["items"] = {"enum": [*MODES]}
    study["latent"]["properties"]["own"]["items"] = {"enum": ["json.decoder:JSONDecoder"]}
    study["figures"] = {"enum": [None, ["fig01"]]}
    parts["study"]["required"] += ["image_size"]
    return schema


def named(config: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Let `study` be one that there is."""
    names = st.sampled_from([*config["studies"]])
    return names.map(lambda name: config | {"study": name})


def reconciled(config: dict[str, Any]) -> dict[str, Any]:
    """Make what goes together only in some ways go together: layers, scope, allocation, figures."""
    for study in config["studies"].values():
        pruning, finetuning = study["pruning"], study["finetuning"]
        scope = finetuning.get("scope", "head")
        if scope == "head":
            pruning.pop("layers", None)
        else:
            pruning.pop("random_masks", None)
        if scope != "none" and finetuning.get("epochs") is None:
            finetuning["epochs"] = 1
        if scope == "none" or pruning.get("layers", "last") != "last":
            study.pop("figures", None)
        else:
            pruning.pop("allocation", None)
        _ask_once(study)
    return config


def _ask_once(study: dict[str, Any]) -> None:
    """Let every pair of data set and network be asked for in one way."""
    entries: dict[str, Any] = {}
    for slot, entry in study["data"].items():
        name = entry if isinstance(entry, str) else entry["dataset"]
        study["data"][slot] = entries.setdefault(name, entry)
    networks: dict[str, Any] = {}
    others = study["networks"].get("others", {})
    for group in ({k: v for k, v in study["networks"].items() if k != "others"}, others):
        for network in group.values():
            first = networks.setdefault(network["model"], network)
            place = {key: network[key] for key in ("data",) if key in network}
            mine = {key: value for key, value in first.items() if key != "data"} | place
            network.clear()
            network.update(mine)


likely = from_schema(_planned(), _planned()).map(reconciled).flatmap(named)
"""Configurations that are right."""

_SCALARS: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from([0, -1, 10**30, 2.0, 1e308, math.nan, math.inf, "5e-4", "../..", "\0", "a b"]),
)
_anything: st.SearchStrategy[Any] = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=8) | st.integers(), inner, max_size=3)
    ),
    max_leaves=6,
)


@st.composite
def broken(draw: st.DrawFn) -> Any:
    """Change one place of a likely configuration into anything, drop it, or add a key beside it."""
    config = copy.deepcopy(draw(likely))
    part, places = config, []
    _walk(config, places)
    part, key = draw(st.sampled_from(places))
    how = draw(st.sampled_from(["change", "drop", "add"]))
    if how == "drop":
        del part[key]
    elif how == "add" and isinstance(part, dict):
        part[draw(st.text(max_size=8) | st.integers())] = draw(_anything)
    else:
        part[key] = draw(_anything)
    return config


def _walk(part: Any, places: list[tuple[Any, Any]]) -> None:
    entries = part.items() if isinstance(part, dict) else enumerate(part)
    for key, value in entries:
        places.append((part, key))
        if isinstance(value, dict | list):
            _walk(value, places)


def verdict(config: Any) -> str:
    """Check a configuration as the workflow does: `planned`, or `refused` in sentences."""
    return "refused" if refusals(config) else "planned"


def refusals(config: Any) -> list[str]:
    """Check a configuration as the workflow does; say what is wrong with it, in sentences.

    Whatever is not refused must be plannable: all that the rules ask of a study is asked here.
    """
    try:
        studies = read_studies(config, SCHEMA)
    except UserError as refusal:
        sentences = str(refusal).splitlines()
        assert sentences
        for sentence in sentences:
            assert sentence.endswith((".", "?")), sentence
            assert len(sentence) < 2000, sentence
        return sentences
    for study in studies.values():
        assert study.pairs
        assert all(len(str(variant)) < 50 for variant in study.variants)
        for dataset, model in study.pairs:
            recipe = study.recipe(dataset, model) | study.finetuning_recipe(dataset, model)
            assert all(math.isfinite(value) for value in recipe.values() if type(value) is float)
            assert isinstance(study.weights(dataset, model), str)
            assert study.examples(dataset, model) is None or study.examples(dataset, model) > 0
            assert isinstance(study.image_size(dataset, model), int | None)
        for figure in study.figures:
            study.figure_pairs(figure)
        assert len(study.trials) >= 1
    return []


def dry_run(config: Any) -> str:
    """Plan a configuration with Snakemake itself, which must agree with `verdict`.

    Of each study only the first two trials are planned, since hundreds take minutes.
    """
    expected = verdict(config)
    if expected == "planned":
        for study in config["studies"].values():
            if "trials" in study:
                study["trials"] = min(study["trials"], 2)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
        (Path(folder) / "mine.pth").touch()  # the one file that a likely configuration names
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
        done = subprocess.run(
            [*command, "--cores", "1", "--dry-run", "--quiet", "all"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            encoding="utf-8",
        )
        assert not (Path(folder) / "results").exists()
    said = done.stdout + done.stderr
    assert "Traceback" not in said, said
    assert done.returncode == (expected == "refused"), said
    return expected
