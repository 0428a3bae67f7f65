"""The command line: its table of contents, the examples of its help, what its exit statuses mean."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from typer.testing import CliRunner

from ap3.cli import commands
from ap3.datasets.images import Images
from ap3.machine.job_log import Record

STAGES = [stage for chapter in commands.CHAPTERS.values() for stage in chapter]
COMMANDS = [*STAGES, commands.compare]
WITH_DATA = [commands.explain, commands.scan, commands.allocate]
OF_STUDIES = [commands.plan, commands.findings]
NEED_A_NETWORK = {"fetch", "weights"}
NEED_A_STUDY = {"depth", "report"}


def ap3(*arguments, **options):
    command = [sys.executable, "-c", "from ap3.cli import main; main()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **options)


def example(stage):
    """Return the example of a stage's help, as it is shown."""
    shown = (
        CliRunner().invoke(commands.app, [stage.__name__, "--help"], env={"COLUMNS": "400"}).output
    )
    return re.search(r"Example:\s+(ap3 .*?)\s*\n", shown).group(1).split()


def test_help_is_a_table_of_contents():
    shown = CliRunner().invoke(commands.app, ["--help"], env={"COLUMNS": "100"}).output
    places = [shown.index(chapter) for chapter in commands.CHAPTERS]
    assert places == sorted(places)
    for command in [*COMMANDS, *WITH_DATA, *OF_STUDIES]:
        assert re.search(rf"│ {command.__name__} +[A-Z]", shown), command
    assert "Exit status" in shown


@pytest.mark.parametrize(
    "command", [*COMMANDS, *WITH_DATA, *OF_STUDIES], ids=lambda one: one.__name__
)
def test_every_command_has_help_and_an_example_of_itself(command):
    assert example(command)[:2] == ["ap3", command.__name__]
    shown = CliRunner().invoke(commands.app, [command.__name__, "--help"]).output
    assert "Raises" not in shown
    assert "--------" not in shown


@pytest.mark.slow
def test_the_examples_work_one_after_the_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for command in COMMANDS:
        name = command.__name__
        if command is commands.compare:
            shutil.copy("baseline.safetensors", "pruned.safetensors")
        if name in NEED_A_NETWORK | NEED_A_STUDY:
            continue
        words = [
            str(path.relative_to(tmp_path))
            for word in example(command)[1:]
            for path in (sorted(tmp_path.glob(word)) or [tmp_path / word])
        ]
        done = CliRunner().invoke(commands.app, words)
        assert done.exit_code == 0, (words, done.output, done.exception)
        if command is not commands.compare:
            assert Record.last(done.stderr).stage == name
    assert (tmp_path / "fig03.pdf").read_bytes().startswith(b"%PDF")


def test_a_mistake_of_the_user_is_a_sentence_and_status_2(tmp_path):
    done = ap3("data", "--dataset", "digis", "--out", str(tmp_path / "a.safetensors"))
    assert done.returncode == 2
    assert done.stderr.startswith("ap3: there is no data set 'digis'")
    assert "did you mean 'digits'?" in done.stderr
    assert done.stderr.count("\n") == 1
    assert ap3("dat").returncode == 2


@pytest.mark.parametrize("option", ["--learning-rate", "--momentum", "--weight-decay"])
def test_no_part_of_a_recipe_is_negative(option):
    needed = ("data", "model", "checkpoint", "history", "epochs", "batch-size", "learning-rate")
    words = [word for name in needed for word in (f"--{name}", "1")]
    done = CliRunner().invoke(commands.app, ["baseline", *words, option, "-0.5"])
    assert done.exit_code == 2
    assert f"'{option}'" in done.output


def test_what_the_system_refuses_is_a_sentence_and_status_3(tmp_path):
    (tmp_path / "file").touch()
    done = ap3("data", "--dataset", "digits", "--out", str(tmp_path / "file" / "a.safetensors"))
    assert done.returncode == 3
    assert "could not be written" in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_interruption_is_status_130():
    code = (
        "import sys, time; from ap3 import cli; from ap3.cli import commands; sys.argv = ['ap3', 'wait']\n"
        "@commands.app.command()\n"
        "def wait(): print('on', flush=True); time.sleep(60)\n"
        "commands.command = commands.typer.main.get_command(commands.app)\ncli.main()"
    )
    command = [sys.executable, "-c", code]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, encoding="utf-8") as child:
        assert child.stdout.readline() == "on\n"
        child.send_signal(signal.SIGINT)
        _, said = child.communicate(timeout=30)
    assert child.returncode == 130
    assert "Traceback" not in said


def test_what_waits_for_the_end_of_the_process_runs():
    code = """
import atexit, sys, threading
from ap3.cli import main
atexit.register(print, "last words")
threading.Thread(target=lambda: [threading.main_thread().join(60), print("of a thread")]).start()
print("no line", end="", file=sys.stderr)
sys.argv = ["ap3", "--version"]
main()
"""
    done = run_buffered(code)
    assert done.returncode == 0
    assert done.stdout.splitlines()[1:] == ["of a thread", "last words"]
    assert done.stderr == "no line"


def run_buffered(code, **options):
    """Run Python with its output held back, as where it is written to a file."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    command = [sys.executable, "-c", code]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return subprocess.run(command, env=environment, text=True, **options)


@pytest.mark.parametrize(("code", "status"), [(None, 0), (0, 0), (7, 7), ("so it is", 1)])
def test_code_of_the_user_may_end_the_process(code, status):
    done = run_buffered(
        "import sys; from ap3 import cli; from ap3.cli import commands\n"
        f"commands.command = lambda: sys.exit({code!r})\ncli.main()"
    )
    assert done.returncode == status
    assert done.stderr == (f"{code}\n" if status == 1 else "")


def test_a_reader_who_has_had_enough_is_no_mistake():
    reader, writer = os.pipe()
    os.close(reader)
    code = "import sys; from ap3.cli import main; sys.argv = ['ap3', '--version']; main()"
    with os.fdopen(writer, "w", encoding="utf-8") as pipe:
        done = run_buffered(code, stdout=pipe)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.fixture
def two_networks(tmp_path):
    for name in ("a", "b"):
        save_file({"w.weight": np.ones((4, 4), np.float32)}, tmp_path / f"{name}.safetensors")
    return tmp_path


def in_shell(folder, words, where):
    """Run `ap3` with its streams as a shell's redirections have it."""
    code = "from ap3.cli import main; main()"
    command = f"{sys.executable} -c '{code}' {words} {where}"
    return subprocess.run(
        command, cwd=folder, shell=True, capture_output=True, text=True, encoding="utf-8"
    )


COMPARE = "compare a.safetensors b.safetensors"


@pytest.mark.parametrize("how", ["", "--csv", "--json"])
def test_a_table_for_a_closed_output_is_told_in_a_sentence(two_networks, how):
    done = in_shell(two_networks, f"{COMPARE} {how}", ">&-")
    assert done.returncode == 3
    *_, last = done.stderr.splitlines()  # after what is said of the networks
    assert last == "ap3: standard output is closed; give it a place, such as > FILE."
    assert "Traceback" not in done.stderr


def test_a_closed_output_is_nothing_to_a_stage_that_prints_nothing(tmp_path):
    done = in_shell(tmp_path, "data --dataset digits --out d.safetensors", ">&- <&-")
    assert done.returncode == 0, done.stderr
    assert Images.load(tmp_path / "d.safetensors").name == "digits"


@pytest.mark.parametrize("where", ["2>&-", "2>&- <&-"])
def test_a_closed_error_stream_leaves_the_table(two_networks, where):
    expected = in_shell(two_networks, COMPARE, "")
    found = in_shell(two_networks, COMPARE, where)
    assert (found.returncode, found.stdout) == (0, expected.stdout)
    assert in_shell(two_networks, "compare a.safetensors c.safetensors", where).returncode == 2


FULL = Path("/dev/full")


@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
def test_output_that_cannot_be_written_is_told():
    code = "import sys; from ap3.cli import main; sys.argv = ['ap3', '--version']; main()"
    with FULL.open("w", encoding="utf-8") as full:
        done = run_buffered(code, stdout=full)
    assert done.returncode == 3
    assert done.stderr == "ap3: the system refused: No space left on device.\n"


def test_a_defect_is_status_1_with_its_traceback():
    code = (
        "from ap3 import cli; from ap3.cli import commands\n"
        "commands.command = lambda: 1 / 0\ncli.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, encoding="utf-8"
    )
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("ap3 finet", {"finetune"}),
        ("ap3 figure fig1", {f"fig1{i}" for i in range(9)}),
        ("ap3 data --dataset ci", {"cifar10", "cifar100"}),
        ("ap3 baseline --model small_v", {"small_vgg", "small_vit"}),
    ],
)
def test_the_shell_completes_commands_and_names(words, wanted):
    asked = {"_AP3_COMPLETE": "complete_bash", "COMP_WORDS": words}
    asked["COMP_CWORD"] = str(len(words.split()) - 1)
    code = "import sys; sys.argv[0] = 'ap3'; from ap3.cli import main; main()"
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, env=os.environ | asked, capture_output=True, text=True, encoding="utf-8"
    )
    assert set(done.stdout.split()) == wanted


def test_a_record_is_read_back_from_a_log():
    log = "fetching\nap3 prune: 0.1 s, 10 MB, on cpu; Python 3.12.1\nmore\n"
    record = Record(
        "prune", 2.5, 310, "NVIDIA H200 (812 MB)", {"Python": "3.12.1", "torch": "2.11.0"}
    )
    assert Record.last(f"{log}{record}\n") == record
    assert Record.last("nothing\n") is None
