"""Stage `report`: a whole study as one HTML page."""

from pathlib import Path
from typing import Annotated

import typer


def report(
    folder: Annotated[Path, typer.Argument(help="Folder of a study, such as results/demo.")],
    out: Annotated[
        Path | None,
        typer.Option(help="Where the page goes (HTML); report.html in that folder if not given."),
    ] = None,
) -> None:
    """Put a study on one page: an interactive view, every figure and table, and the conditions.

    The page holds all that it shows and asks for no network.

    Example: ap3 report results/demo
    """
    from ap3.errors import MissingPackageError

    try:
        from ap3.report.page import render
    except ImportError as error:
        raise MissingPackageError(
            f"the report needs {error.name}, which is not installed; run "
            "pip install '.[report]' in your checkout of it."
        ) from error
    from ap3.files.storage import write_atomically
    from ap3.report.results import Results

    page, path = render(Results.read(folder)).encode(), out or folder / "report.html"
    write_atomically(path, lambda partial: partial.write_bytes(page))
    if out is None:
        print(f"The page is {path}.")
