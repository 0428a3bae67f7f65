"""Other versions of Python on this machine that ap3 supports.

Usage: python tests/unit/pythons.py, which prints the newest.
"""

import os
import shutil
import subprocess
from pathlib import Path

NEWEST = 14


def other_pythons() -> list[str]:
    """Find an interpreter of each version, on the path or installed by pyenv, that starts."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    found = {}
    for minor in range(11, NEWEST + 1):
        candidates = [shutil.which(f"python3.{minor}")]
        candidates += sorted(map(str, versions.glob(f"3.{minor}.*/bin/python")))
        for candidate in filter(None, candidates):
            done = subprocess.run([candidate, "--version"], capture_output=True, check=False)
            if done.returncode == 0:
                found.setdefault(minor, candidate)
    return list(found.values())


if __name__ == "__main__":
    print(*other_pythons()[-1:])
