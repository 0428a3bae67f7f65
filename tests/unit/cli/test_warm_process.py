"""What a warm process runs is what the command would have done by itself: words, files, status, end."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from importlib.util import find_spec

import psutil
import pytest
from small_data import blobs

from ap3.cli.warm_process import LIBRARIES, OF_TRAINING, STAGES, modules_of
from ap3.machine.warm import PLACE
from ap3.training.resume import SECONDS

STAGE = [sys.executable, "-c", "from ap3.cli import main; main()"]


SERVE = [sys.executable, "-P", "-c", "from ap3.cli import warm_process; warm_process.main()"]


@contextmanager
def served(place, **others):
    """Start a warm process at `place`, and end it."""
    command = [*SERVE, str(place)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, env=os.environ | others) as process:
        while not place.exists():
            assert process.poll() is None
            time.sleep(0.01)
        yield process
        process.stdin.close()
        assert process.wait(60) == 0
    assert not place.parent.exists()


@pytest.fixture(scope="module")
def warm(tmp_path_factory):
    """Give a warm process and the place of its socket."""
    place = tmp_path_factory.mktemp("warm") / "socket"
    with served(place) as process:
        yield psutil.Process(process.pid), place


@pytest.fixture
def folder(tmp_path):
    blobs().save(tmp_path / "data.safetensors")
    return tmp_path


def answers(place):
    with socket.socket(socket.AF_UNIX) as line:
        return line.connect_ex(str(place)) == 0


def environment(place, **others):
    return os.environ | {PLACE: str(place), SECONDS: "0"} | others


def run(folder, place, *arguments, **others):
    return subprocess.run(
        [*STAGE, *arguments],
        cwd=folder,
        env=environment(place, **others),
        capture_output=True,
        text=True,
        encoding="utf-8",
    )


def training(epochs):
    command = ["baseline", "--data", "data.safetensors", "--model", "small_vgg"]
    command += ["--image-size", "16", "--epochs", str(epochs), "--batch-size", "20"]
    command += ["--learning-rate", "0.01", "--device", "cpu"]
    return [*command, "--checkpoint", "c.safetensors", "--history", "h.csv"]


@contextmanager
def started(folder, place, **options):
    """Give a long training once it has kept an epoch; kill it."""
    others = options.pop("others", {})
    with subprocess.Popen(
        [*STAGE, *training(5000)],
        cwd=folder,
        env=environment(place, **others),
        stderr=subprocess.PIPE,
        encoding="utf-8",
        **options,
    ) as process:
        try:
            while not (folder / "c.resume.safetensors").exists():
                assert process.poll() is None
                time.sleep(0.05)
            yield process
        finally:
            process.kill()


def test_all_that_it_imports_is_there():
    for name in (*OF_TRAINING, *LIBRARIES, *modules_of(*STAGES)):
        assert find_spec(name), name


@pytest.mark.parametrize(
    "arguments",
    [
        ["--version"],
        ["prune", "lowest-0.5", "--checkpoint", "none.safetensors", "--out", "p.safetensors"],
        ["prune"],
        ["baseline", "--data", "data.safetensors", "--model", "no_such_network"],
    ],
)
def test_words_and_status_are_the_same(folder, warm, arguments):
    alone, here = (run(folder, place, *arguments) for place in ("", warm[1]))
    assert (here.returncode, here.stdout, here.stderr) == (
        alone.returncode,
        alone.stdout,
        alone.stderr,
    )


def test_files_have_the_same_bits(folder, warm):
    made = []
    for place in ("", warm[1]):
        done = run(folder, place, *training(2))
        assert done.returncode == 0, done.stderr
        names = ("c.safetensors", "h.csv")
        made.append([(folder / name).read_bytes() for name in names])
        for name in names:
            (folder / name).unlink()
    assert made[0] == made[1]


def test_it_runs_in_a_fork(folder, warm):
    with started(folder, warm[1]) as process:
        (fork,) = warm[0].children()
        assert fork.cwd() == str(folder)
        assert not psutil.Process(process.pid).children()
    fork.wait(60)
    assert not (folder / "c.safetensors").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_passed_on(folder, warm, number):
    with started(folder, warm[1]) as process:
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said.strip()) == (
        130,
        "ap3: interrupted; nothing is half-written, and the same command makes what is missing.",
    )
    assert not warm[0].children()


def test_a_fork_that_is_killed_kills_whoever_asked(folder, warm):
    with started(folder, warm[1]) as process:
        (fork,) = warm[0].children()
        fork.kill()
        assert process.wait(60) == -signal.SIGKILL


def test_a_signal_that_is_ignored_stays_so(folder, warm):
    def ignore():
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    with started(folder, warm[1], preexec_fn=ignore) as process:
        process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        process.terminate()
        assert process.wait(60) == 130


@pytest.mark.parametrize("others", [{"PYTHONPATH": "elsewhere"}, {PLACE: "/no/such/socket"}])
def test_a_command_that_it_does_not_suit_runs_by_itself(folder, warm, others):
    with started(folder, warm[1], others=others) as process:
        assert not warm[0].children()
        process.terminate()
        assert process.wait(60) == 130


def test_a_closed_output_is_a_closed_output(folder, warm):
    done = subprocess.run(
        [*STAGE, "--version"],
        cwd=folder,
        env=environment(warm[1]),
        stderr=subprocess.PIPE,
        encoding="utf-8",
        preexec_fn=lambda: os.close(1),
    )
    assert done.returncode == 3
    assert done.stderr == "ap3: standard output is closed; give it a place, such as > FILE.\n"


@pytest.mark.parametrize("way", ["the end of standard input", "SIGTERM"])
def test_it_ends_once_its_stages_have(folder, tmp_path_factory, way):
    place = tmp_path_factory.mktemp("warm") / "socket"
    with served(place) as process, started(folder, place) as stage:
        if way == "SIGTERM":
            process.terminate()
        else:
            process.stdin.close()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        assert stage.poll() is None
        assert run(folder, place, "--version").returncode == 0  # by itself
        stage.terminate()
        assert stage.wait(60) == 130


TALKATIVE = """
from torch import nn

class Talkative(nn.Sequential):
    def forward(self, images):
        print("words")
        return 1 / 0

def build(classes, size):
    return Talkative(nn.Flatten(), nn.Linear(3 * size * size, classes))
"""


def test_what_was_said_before_a_defect_is_not_lost(folder, tmp_path_factory):
    place = tmp_path_factory.mktemp("warm") / "socket"
    (folder / "talkative.py").write_text(TALKATIVE, encoding="utf-8")
    own = {"PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])}
    asked = ["talkative:build" if word == "small_vgg" else word for word in training(1)]
    with served(place, **own):
        alone, here = (run(folder, where, *asked, **own) for where in ("", place))
    assert (here.returncode, here.stdout) == (alone.returncode, alone.stdout)
    assert "words" in here.stdout
    assert here.stderr.splitlines()[-1] == alone.stderr.splitlines()[-1]


def test_a_library_that_is_broken_disturbs_nobody_else(folder, tmp_path_factory):
    place = tmp_path_factory.mktemp("warm") / "socket"
    (folder / "pyro").mkdir()
    (folder / "pyro/__init__.py").write_text("raise AttributeError", encoding="utf-8")
    own = {"PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])}
    with served(place, **own) as process, started(folder, place, others=own) as stage:
        while answers(place):
            time.sleep(0.1)
        assert run(folder, place, "--version", **own).returncode == 0  # by itself
        assert (stage.poll(), process.poll()) == (None, None)
        stage.terminate()
        assert stage.wait(60) == 130


def test_broken_libraries_of_trainings_end_it_in_order(folder, tmp_path_factory):
    place = tmp_path_factory.mktemp("warm") / "socket"
    for name in ("torchvision", "pandas"):
        (folder / f"{name}.py").write_text("raise AttributeError", encoding="utf-8")
    own = {"PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])}
    with served(place, **own) as process:
        assert run(folder, place, "--version", **own).returncode == 0  # by itself
        assert process.wait(60) == 0


REFUSES = """
import os
fork, count = os.fork, []

def refuse_the_second():
    count.append(0)
    if len(count) == 2:
        raise BlockingIOError
    return fork()

os.fork = refuse_the_second
"""


def test_a_fork_that_the_system_refuses_disturbs_nobody_else(folder, tmp_path_factory):
    place = tmp_path_factory.mktemp("warm") / "socket"
    (folder / "sitecustomize.py").write_text(REFUSES, encoding="utf-8")
    own = {"PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])}
    with served(place, **own) as process, started(folder, place, others=own) as stage:
        assert run(folder, place, "--version", **own).returncode == 0  # by itself
        assert (stage.poll(), process.poll()) == (None, None)
        stage.terminate()
        assert stage.wait(60) == 130
