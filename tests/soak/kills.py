"""Processes killed at random moments, started again, and compared with one that was left alone."""

import hashlib
import os
import random
import subprocess
import sys
import time
from pathlib import Path

from ap3.resume import SECONDS

ROOT = Path(__file__).parents[2]
ENVIRONMENT = os.environ | {
    SECONDS: "0",
    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}",
}

CONFIG = """
study: mini
device: cpu
studies:
  mini:
    trials: 1
    image_size: 16
    data: {ten_classes: {dataset: digits, examples: 300}}
    networks: {vgg: {model: small_vgg, epochs: 3, learning_rate: 0.02}}
    training: {batch_size: 64}
    pruning: {modes: [lowest], ratios: [0.5]}
    finetuning: {epochs: 2, scope: all}
    latent: {groups: null, examples: 200}
    figures: [fig07]
"""


def training(data: Path, epochs: int) -> list[str]:
    """Return the command that trains a small network on `data` in its folder."""
    command = [sys.executable, "-c", "from ap3.cli import main; main()", "baseline"]
    command += ["--data", str(data), "--model", "small_vgg", "--image-size", "16"]
    command += ["--epochs", str(epochs), "--batch-size", "20", "--learning-rate", "0.01"]
    command += ["--validation", "0.2", "--device", "cpu"]
    return [*command, "--checkpoint", "c.safetensors", "--history", "h.csv"]


def workflow() -> list[str]:
    """Return the command that makes the study of `CONFIG`."""
    snakemake = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    return [*snakemake, "--cores", "2"]


def complete(command: list[str], folder: Path) -> float:
    """Run a command to its end; returns how many seconds it took."""
    start = time.monotonic()
    done = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return time.monotonic() - start


def killed(command: list[str], folder: Path, seconds: float) -> bool:
    """Run a command and kill it, it alone, after so many seconds; False if it ended before."""
    with subprocess.Popen(
        command, cwd=folder, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as child:
        try:
            status = child.wait(seconds)
        except subprocess.TimeoutExpired:
            child.kill()
            return True
    assert status == 0, f"{command} in {folder} ended with {status}"
    return False


def kill_until_done(command: list[str], folder: Path, most: int, chance: random.Random) -> int:
    """Kill a command up to `most` times, each time after up to its own length; then let it end."""
    limit = float((folder / "seconds").read_text())
    for kills in range(most):
        if not killed(command, folder, chance.uniform(0, limit)):
            return kills
    complete(command, folder)
    return most


def contents(folder: Path) -> dict[str, str]:
    """Digest what was made: arrays and tables, by path; logs and figures are left out."""
    made = sorted(path for path in folder.rglob("*") if path.suffix in (".safetensors", ".csv"))
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in made
    }
