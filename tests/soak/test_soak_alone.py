"""The soak runs as `make soak` starts it, without the paths that pytest adds."""

import os
import subprocess
import sys

import kills
import pytest

pytestmark = pytest.mark.slow


def test_it_attacks_files_and_writes_its_table(tmp_path):
    script, out = kills.ROOT / "tests/soak/soak.py", tmp_path / "soak.csv"
    options = ["--only", "files", "--minutes", "0", "--out", str(out)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run([sys.executable, script, *options], check=True, cwd=tmp_path, env=environment)
    assert "file, cut short" in out.read_text(encoding="utf-8")
