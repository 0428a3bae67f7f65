"""A copy of this checkout that tests may edit, run and plan."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]

MINI = """
study: mini
device: cpu
studies:
  mini:
    seed: 2
    trials: 2
    threads: 1
    image_size: 16
    data: {ten_classes: digits, hundred_classes: digits}
    networks:
      vgg: {model: small_vgg, epochs: 2, learning_rate: 0.05}
    training: {batch_size: 64, momentum: 0.9}
    pruning: {modes: [lowest, highest], ratios: [0.3, 0.8]}
    finetuning: {epochs: 2}
    figures: [fig01, fig03]
"""


@dataclass(frozen=True)
class Checkout:
    """A folder with the workflow, the package and a configuration."""

    folder: Path

    @classmethod
    def make(cls, folder: Path, config: str = MINI) -> "Checkout":
        for part in ("ap3", "envs", "profiles", "workflow"):
            shutil.copytree(
                ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__")
            )
        shutil.copy(ROOT / "Snakefile", folder)
        (folder / "config.yaml").write_text(config, encoding="utf-8")
        return cls(folder)

    def command(self, *arguments: str) -> dict[str, Any]:
        """Arguments of `subprocess` that run Snakemake here, with the package that lies here."""
        scripts = Path(sys.executable).parent
        environment = {"PATH": f"{scripts}:{os.environ['PATH']}", "PYTHONPATH": str(self.folder)}
        return {
            "args": ["snakemake", "--cores", "2", *arguments],
            "cwd": self.folder,
            "env": os.environ | environment,
        }

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        command = self.command(*arguments)
        command["env"] |= environment
        return subprocess.run(**command, capture_output=True, text=True, timeout=1200, check=False)


class Planner:
    """Asks one process of `planner.py` for dry runs."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "plan.log"
        self.process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("planner.py")],
            env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def ask(
        self, checkout: Checkout, *arguments: str, path: Iterable[Path] = (), **environment: str
    ) -> str:
        """Run Snakemake in a checkout, with the folders `path` before all; give what it prints."""
        request = {
            "folder": str(checkout.folder),
            "path": [*map(str, path), str(checkout.folder)],
            "environment": environment,
            "arguments": ["--cores", "2", *arguments],
            "log": str(self.log),
        }
        print(json.dumps(request), file=self.process.stdin, flush=True)
        status = self.process.stdout.readline()
        printed = self.log.read_text(encoding="utf-8")
        assert status == "0\n", printed
        return printed

    def jobs(self, checkout: Checkout, *targets: str, path: Iterable[Path] = ()) -> set[str]:
        """Name the jobs that a dry run plans, by their messages."""
        printed = self.ask(checkout, "--dry-run", *targets, path=path)
        jobs = set(re.findall(r"^Job \d+: (.+)$", printed, re.MULTILINE))
        assert bool(jobs) != ("Nothing to be done" in printed), printed
        # Written down again after any change of them.
        return {job for job in jobs if not job.startswith("Settings of study")}

    def entries(self, checkout: Checkout, *targets: str) -> dict[str, str]:
        """Name the entry in the cache of every output that may lie there."""
        printed = self.ask(
            checkout,
            "--dry-run",
            "--forceall",
            "--cache",
            "--",
            *targets,
            SNAKEMAKE_OUTPUT_CACHE=str(checkout.folder),
        )
        return dict(re.findall(r"^entry (\S+) (\S+)$", printed, re.MULTILINE))

    def close(self) -> None:
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


def configured(config: str, changes: dict[str, Any]) -> str:
    """Change keys of the study `mini`, given by their path, such as finetuning.epochs."""
    content = yaml.safe_load(config)
    for path, value in changes.items():
        place = content["studies"]["mini"]
        *way, last = path.split(".")
        for key in way:
            place = place.setdefault(key, {})
        place[last] = value
    return yaml.safe_dump(content, sort_keys=False)
