"""Write docs/configuration.md from the schema of the configuration: `python docs/configuration.py`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

DOCS = Path(__file__).parent
PAGE = DOCS / "configuration.md"
SCHEMA = DOCS.parent / "workflow/schemas/config.schema.yaml"

HEAD = """\
# Configuration

After this page you can write a study of your own, and know what every key of it means.

`config.yaml` holds your choices and, under `studies`, your studies; those of `workflow/studies/` are
there as well, and a study of your own may change any key of them. A mistake is answered in one
sentence, with the nearest right name, before any job starts. Every key there is stands below, made
from the schema that checks them by `python docs/configuration.py`.

A file of your own, given as `--configfile mine.yaml`, is merged into `config.yaml` key by key; so is
`--config study=paper device=cuda` on the command line.
Snakemake refuses a nested key there, such as `studies.demo.trials=3`: put it into such a file.
"""

TITLES = {
    "": "Top level",
    "study": "A study",
    "dataset": "A data set in a place",
    "network": "A network",
    "training": "Training",
}


def main() -> None:
    """Write the page anew."""
    PAGE.write_text(page(yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))), encoding="utf-8")


def page(schema: dict[str, Any]) -> str:
    """Lay out the keys of a schema: a table for each of its parts."""
    parts = {"": schema} | schema["$defs"]
    tables = [_section(name, part, schema) for name, part in parts.items()]
    return "\n".join([HEAD, *tables])


def _section(name: str, part: dict[str, Any], schema: dict[str, Any]) -> str:
    lines = [f"## {TITLES.get(name, name)}", "", "| key | value | default | what it is |"]
    lines += ["|---|---|---|---|", *_rows(part, schema), ""]
    return "\n".join(lines)


def _rows(part: dict[str, Any], schema: dict[str, Any], prefix: str = "") -> Iterator[str]:
    required = part.get("required", [])
    for key, entry in part["properties"].items():
        default = "**required**" if key in required else _default(entry)
        cells = [f"`{prefix}{key}`", _values(entry), default, entry.get("description", "")]
        yield "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"
        if "properties" in entry:
            yield from _rows(entry, schema, f"{prefix}{key}.")


def _default(entry: dict[str, Any]) -> str:
    if "default" not in entry or isinstance(entry["default"], dict):
        return "–"
    value = entry["default"]
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def _values(entry: dict[str, Any]) -> str:
    if "$ref" in entry:
        target = entry["$ref"].rpartition("/")[2]
        title = TITLES.get(target, target)
        return f"[{title[0].lower()}{title[1:]}](#{title.lower().replace(' ', '-')})"
    if "enum" in entry:
        return ", ".join(f"`{value}`" for value in entry["enum"])
    if "title" in entry:
        return str(entry["title"])
    kinds = entry["type"] if isinstance(entry["type"], list) else [entry["type"]]
    if kinds == ["array"]:
        return f"list: {_values(entry['items'])}"
    if kinds == ["object"] and isinstance(entry.get("additionalProperties"), dict):
        return f"by name: {_values(entry['additionalProperties'])}"
    words = {"string": "text", "object": "keys below", "null": "`null`", "boolean": "true or false"}
    return " or ".join(words.get(kind, kind) for kind in kinds) + _limits(entry)


def _limits(entry: dict[str, Any]) -> str:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    limits = [f"{sign} {entry[name]:g}" for name, sign in signs.items() if name in entry]
    return f" {', '.join(limits)}" if limits else ""


if __name__ == "__main__":
    main()
