"""The studies of the configuration and of the workflow, as the workflow reads them."""

from pathlib import Path

import yaml

from ap3.study.settings import Study, read_studies

REPOSITORY = Path(__file__).parents[2]


def read() -> dict[str, Study]:
    """Read all of them, by name."""
    config = yaml.safe_load((REPOSITORY / "config.yaml").read_text(encoding="utf-8"))
    for file in (REPOSITORY / "workflow/studies").glob("*.yaml"):
        config["studies"] |= yaml.safe_load(file.read_text(encoding="utf-8"))
    schema = REPOSITORY / "workflow/schemas/config.schema.yaml"
    return read_studies(config, yaml.safe_load(schema.read_text(encoding="utf-8")))
