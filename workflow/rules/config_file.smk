# Before Snakemake reads config.yaml, which would put a mistake in it down to the Snakefile.
# Needs: nothing. Gives: `stop`; no rules.

import sys
from pathlib import Path

from ap3.study import door


def stop(sentence):
    """End the workflow before any job, without the places in this file that an exception shows."""
    logger.error(str(sentence))
    sys.exit(1)


if workflow.modifier.is_main_snakefile() and Path("config.yaml").is_file():
    mistake = door.yaml_mistake(Path("config.yaml"))
    if mistake:
        stop(f"The configuration is not right.\n{mistake}")
