"""Without a package that the page is made with, one sentence says which, before any work."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = Path(sys.executable).with_name("ap3")


@pytest.mark.parametrize("package", ["jinja2", "vl_convert"])
def test_a_package_that_is_missing_is_named(tmp_path, package):
    (tmp_path / f"{package}.py").write_text(
        f"raise ModuleNotFoundError('No module', name={package!r})\n", encoding="utf-8"
    )
    done = subprocess.run(
        [COMMAND, "report", "results/demo", "--out", str(tmp_path / "page")],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 2
    assert f"the report needs {package}, which is not installed" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "page").exists()
