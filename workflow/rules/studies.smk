# The studies of the configuration, read and checked before any rule.
# Needs: config and `stop`. Gives: STUDIES, STUDY, NETWORKS (digests of what builds each network); no rules.

import sys
from pathlib import Path

import yaml
from snakemake.utils import update_config

from ap3.study import door

PUBLISHED = (
    "fashion",
    "fashion_224",
    "fashion_converged",
    "masks",
    "network",
    "paper",
    "replicates",
)


def read_yaml(path):
    """Read a file of the workflow, given relative to this one."""
    text = Path(workflow.source_path(path)).read_text(encoding="utf-8")
    # libyaml's own parser, where PyYAML has it: each start of Snakemake reads a thousand lines here.
    return yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))


# The published studies stand in files of their own; the configuration may change any key of them.
merged = {}
for name in PUBLISHED:
    merged |= read_yaml(f"../studies/{name}.yaml")
if isinstance(config.get("studies"), dict):
    update_config(merged, config["studies"])
    config["studies"] = merged

try:
    STUDIES = door.read_studies(config, read_yaml("../schemas/config.schema.yaml"))
    NETWORKS = {
        model: door.network_digest(model)
        for study in STUDIES.values()
        for _, model in study.pairs
    }
except door.UserError as error:
    within_braces = any(
        isinstance(value, dict) for value in workflow.config_settings.config.values()
    )
    stop(
        f"The configuration is not right.\n{error}"
        + "\nWithin braces --config makes texts of all numbers; put them into a file, and give that "
        "by --configfile." * within_braces
    )
STUDY = STUDIES[config["study"]]
