"""Pages of the documentation as a reader follows them: files to save, then commands to type.

A fence whose first line is a comment with a file's name is a file; a fence in `sh` is typed.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NAME = re.compile(r"# (\w+\.\w+|Snakefile)\n")


def fences(page: str) -> list[tuple[str, str]]:
    """List the languages and texts of a page's fences, in order."""
    return _FENCE.findall((ROOT / page).read_text(encoding="utf-8"))


def save(page: str, folder: Path) -> list[str]:
    """Save the files that a page shows; give their names."""
    named = [(found[1], text) for _, text in fences(page) if (found := _NAME.match(text))]
    for name, text in named:
        (folder / name).write_text(text, encoding="utf-8")
    return [name for name, _ in named]


def commands(page: str) -> list[str]:
    """List what a page says to type, a fence each."""
    return [text for language, text in fences(page) if language == "sh"]


def type_in(text: str, folder: Path) -> str:
    """Type commands in `folder`; give what they print, and fail if one does."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT), "COLUMNS": "120"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=1800,  # what hangs ends; a busy machine does not,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
