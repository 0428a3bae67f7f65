# The files of the configuration as YAML, before Snakemake reads config.yaml, whose mistakes it would
# put down to the Snakefile.
# Needs: nothing. Gives: `stop`; no rules.

import sys
from pathlib import Path

from ap3.study import door


def stop(sentence):
    """End the workflow before any job, without the places in this file that an exception shows."""
    logger.error(str(sentence))
    sys.exit(1)


# In a module the files are the other workflow's.
if workflow.modifier.is_main_snakefile():
    files = dict.fromkeys(map(Path, ("config.yaml", *workflow.configfiles)))
    surprises = [
        sentence
        for file in files
        if file.is_file()
        for sentence in (door.yaml_mistake(file), *door.yaml_surprises(file))
        if sentence
    ]
    if surprises:
        stop("The configuration is not right.\n" + "\n".join(surprises))
