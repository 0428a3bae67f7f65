"""Processes killed at random moments, started again, and compared with one that was left alone."""

import contextlib
import hashlib
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from ap3.training.resume import SECONDS

ROOT = Path(__file__).parents[2]
_PATIENCE = 600  # seconds

KILL = "kill -9"
KILL_ALL = "kill -9 of all at once"
INTERRUPT = "Ctrl-C"
TERMINATE = "SIGTERM"
TERMINATE_ALL = "SIGTERM to all at once"
WAYS = {
    KILL: (signal.SIGKILL, False),
    KILL_ALL: (signal.SIGKILL, True),
    INTERRUPT: (signal.SIGINT, True),
    TERMINATE: (signal.SIGTERM, False),
    TERMINATE_ALL: (signal.SIGTERM, True),
}
"""How a command is stopped: by which signal, and whether all that it started gets it as well."""

OWN = (ROOT, ROOT / "tests/soak", ROOT / "tests/unit")  # where the study's own functions are

ENVIRONMENT = os.environ | {
    SECONDS: "0",
    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    "PYTHONPATH": os.pathsep.join([*map(str, OWN), os.environ.get("PYTHONPATH", "")]),
}

CONFIG = """
study: mini
device: cpu
studies:
  mini:
    trials: 1
    image_size: 16
    data: {ten_classes: "small_data:blobs"}
    networks: {vgg: {model: "tiny_network:build", epochs: 2, learning_rate: 0.02}}
    training: {batch_size: 20}
    pruning: {modes: [lowest], ratios: [0.5]}
    finetuning: {epochs: 2, scope: all}
    latent: {groups: null, examples: 40}
    figures: [fig07]
"""
"""A study as short as one with a job of every kind can be: nearly all of it is imports."""

TARGETS = ("results/mini/tables/summary.csv", "results/mini/figures/fig07.pdf")


def training(data: Path, epochs: int) -> list[str]:
    """Return the command that trains a small network on `data` in its folder."""
    command = [sys.executable, "-c", "from ap3.cli import main; main()", "baseline"]
    command += ["--data", str(data), "--model", "small_vgg", "--image-size", "16"]
    command += ["--epochs", str(epochs), "--batch-size", "20", "--learning-rate", "0.01"]
    command += ["--validation", "0.2", "--device", "cpu"]
    return [*command, "--checkpoint", "c.safetensors", "--history", "h.csv"]


def workflow() -> list[str]:
    """Return the command that makes `TARGETS` of the study of `CONFIG`, where that is given."""
    snakemake = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    return [*snakemake, "--cores", "2", *TARGETS]


def complete(command: list[str], folder: Path) -> float:
    """Run a command to its end; returns how many seconds it took."""
    start = time.monotonic()
    done = subprocess.run(
        command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return time.monotonic() - start


class Victim:
    """A command in a process group of its own, which is to be killed in mid-run."""

    def __init__(self, command: list[str], folder: Path) -> None:
        self.folder, self.printed = folder, folder.with_name(f"{folder.name}.log")
        with self.printed.open("w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                env=ENVIRONMENT,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def end_after(self, seconds: float) -> bool:
        """Wait for so long; tell whether the command has come to its end, which is a good one."""
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        assert status == 0, f"in {self.folder}: {self.printed.read_text(encoding='utf-8')}"
        return True

    def reach(self, job: int) -> None:
        """Wait until a workflow has started its so-manieth job."""
        self._wait_for(r"^Job \d+: ", job)

    def reach_the_end_of(self, job: int) -> None:
        """Wait until a workflow has ended its so-manieth job, and is busy with noting that down."""
        self._wait_for(r"^Finished jobid", job)

    def _wait_for(self, line: str, times: int) -> None:
        while len(re.findall(line, self.printed.read_text(encoding="utf-8"), re.MULTILINE)) < times:
            assert self.process.poll() is None, self.printed.read_text(encoding="utf-8")
            time.sleep(0.002)

    def stop(self, way: str) -> int:
        """Stop the process in one of `WAYS`; returns its status."""
        number, everything = WAYS[way]
        if everything:
            os.killpg(self.process.pid, number)
        else:
            self.process.send_signal(number)
        return self.process.wait(_PATIENCE)

    def end(self) -> None:
        """End the process and all that is left of what it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def outlive(self) -> None:
        """Wait for the end of the jobs that it has left as orphans.

        Raises
        ------
        TimeoutError
            If one of them goes on and on.
        """
        until = time.monotonic() + _PATIENCE
        while any(self._started(process) for process in psutil.process_iter()):
            if time.monotonic() > until:
                raise TimeoutError(f"a job of {self.process.args} was left behind.")
            time.sleep(0.05)

    def _started(self, process: psutil.Process) -> bool:
        """Tell whether a process is of this command's group, and alive."""
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            return (
                os.getpgid(process.pid) == self.process.pid
                and process.status() != psutil.STATUS_ZOMBIE
            )
        return False


def stop_until_done(
    command: list[str],
    folder: Path,
    seconds: float,
    most: int,
    chance: random.Random,
    ways: Sequence[str] = (KILL, INTERRUPT),
) -> list[str]:
    """Stop a command up to `most` times, each time after up to so many seconds; then let it end.

    Returns in which of the `ways` it was stopped. Where that hit it alone, what it had started
    lives on while it runs again.
    """
    victims, used = [], []
    while len(used) < most:
        victims.append(Victim(command, folder))
        if victims[-1].end_after(chance.uniform(0, seconds)):
            break
        used.append(chance.choice(ways))
        victims[-1].stop(used[-1])
    else:
        complete(command, folder)
    for victim in victims:
        victim.outlive()
    return used


def contents(folder: Path) -> dict[str, str]:
    """Digest what was made: arrays and tables, by path; logs and figures are left out."""
    made = sorted(path for path in folder.rglob("*") if path.suffix in (".safetensors", ".csv"))
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in made
    }
