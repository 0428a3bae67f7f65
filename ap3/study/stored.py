"""The settings of a study as the workflow left them in its folder."""

import json
from pathlib import Path

from ap3.errors import InvalidFileError, MissingFileError
from ap3.files import content
from ap3.study.settings import Study

SETTINGS = "settings.json"


def read_study(path: Path) -> Study:
    """Read a study from its `settings.json`, which holds its name and every default.

    Raises
    ------
    UserError
        If the file is missing or holds something else.
    """
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
        name = content.entry(settings, "name", str)
        del settings["name"]
        return Study(name, settings)
    except FileNotFoundError as error:
        raise MissingFileError(
            f"{path} does not exist; give the folder of a study that snakemake has made."
        ) from error
    except ValueError as error:
        raise InvalidFileError(
            f"{path} holds no settings of a study ({error}); give the settings.json that snakemake wrote "
            "into the study's folder in results."
        ) from error
