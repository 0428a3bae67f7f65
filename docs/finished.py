"""The folder of a finished study, for the commands that publish one."""

import sys
from pathlib import Path


def finished(study: str, results: Path = Path("results")) -> Path:
    """Return the folder of a study's results; end in one sentence where it has no tables yet."""
    folder = results / study
    if not (folder / "tables").is_dir():
        sys.exit(f"{folder} has no tables; make them first: snakemake --cores all {study}")
    return folder
