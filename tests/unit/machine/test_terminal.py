"""The wheel on a terminal takes nothing away from what a command prints into a file."""

import os
import pty
import subprocess
import sys

from ap3.machine import terminal

CODE = """
import sys
from ap3.machine.terminal import rest, wheel
with wheel("ap3 compare"):
    print("first")
    rest()
    print("second")
"""


def test_what_is_printed_under_a_wheel_goes_where_standard_output_goes(tmp_path):
    primary, secondary = pty.openpty()
    with (tmp_path / "out").open("w", encoding="utf-8") as out:
        subprocess.run([sys.executable, "-c", CODE], stdout=out, stderr=secondary, check=True)
    os.close(secondary)
    os.close(primary)
    assert (tmp_path / "out").read_text(encoding="utf-8") == "first\nsecond\n"


def test_without_a_terminal_there_is_no_wheel(capsys):
    with terminal.wheel("ap3 compare"):
        terminal.rest()
    assert capsys.readouterr().err == ""
