"""Where the demo's wall time goes, and what Snakemake itself costs: planning, checking, redrawing.

The demo runs in a copy of this repository, with two cores. Every `ap3` command in it is timed from
outside, its imports by Python's own clock (`-X importtime`). What neither core spends on a stage's
own work is imports, planning, scheduling and waiting.

    python bench/workflow.py
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import NamedTuple

from measuring import conditions, write_ratios

from ap3.machine.warm import PLACE

ROOT = Path(__file__).parents[1]
PARTS = ("ap3", "workflow", "profiles", "envs", "Snakefile", "config.yaml")
CORES = 2
EACH_BY_ITSELF = {PLACE: ""}  # stages start in processes of their own

# Stands in for `ap3` in the copy: runs it, and notes when, how long it imported, and how large it was.
SHIM = """\
#!{python} -SE
import json, os, re, resource, subprocess, sys, time
start = time.time()
environment = dict(os.environ, PYTHONPROFILEIMPORTTIME="1")
done = subprocess.run(["{ap3}", *sys.argv[1:]], env=environment, stderr=subprocess.PIPE, text=True)
end = time.time()
imports, rest = 0, []
for line in done.stderr.splitlines(keepends=True):
    found = re.match(r"import time: +(\\d+) \\|", line)
    if found:
        imports += int(found[1])
    elif not line.startswith("import time:"):
        rest.append(line)
sys.stderr.write("".join(rest))
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
with open("{records}", "a") as file:
    note = dict(stage=sys.argv[1], start=start, end=end, imports=imports / 1e6, peak=peak / 1024)
    file.write(json.dumps(note) + "\\n")
sys.exit(done.returncode)
"""


class Job(NamedTuple):
    """One command of the demo: seconds since the epoch, seconds of imports, MiB at its peak."""

    stage: str
    start: float
    end: float
    imports: float
    peak: float

    @property
    def work(self) -> float:
        """Seconds spent on what the stage is for."""
        return self.end - self.start - self.imports


class Copy:
    """A copy of the repository that Snakemake runs in."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.records = folder / "ap3", folder / "records"
        for part in PARTS:
            source = ROOT / part
            copy = shutil.copytree if source.is_dir() else shutil.copy
            (self.folder / part).parent.mkdir(parents=True, exist_ok=True)
            copy(source, self.folder / part)
        programs = folder / "bin"
        programs.mkdir()
        ap3 = shutil.which("ap3") or sys.exit("bench/workflow.py needs the command ap3 on PATH")
        text = SHIM.format(python=sys.executable, ap3=ap3, records=self.records)
        (programs / "ap3").write_text(text, encoding="utf-8")
        (programs / "ap3").chmod(0o755)
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.plain = os.environ | {"PATH": path, "PYTHONPATH": str(self.folder)}
        noted = {"PATH": f"{programs}{os.pathsep}{path}", **EACH_BY_ITSELF}
        self.noted = self.plain | noted

    def snakemake(
        self, *arguments: str, environment: dict[str, str] | None = None
    ) -> tuple[float, float, str]:
        """Run Snakemake, its jobs noted; returns when it began, how long it took, and what it said."""
        start = time.time()
        done = subprocess.run(
            ["snakemake", "--cores", str(CORES), *arguments],
            cwd=self.folder,
            env=environment or self.noted,
            capture_output=True,
            text=True,
            encoding="utf-8",
        )
        took, said = time.time() - start, done.stdout + done.stderr
        if done.returncode:
            sys.exit(f"snakemake {' '.join(arguments)} failed:\n{said}")
        return start, took, said

    def jobs(self) -> list[Job]:
        """All commands that have run so far."""
        return [
            Job(**json.loads(line))
            for line in self.records.read_text(encoding="utf-8").splitlines()
        ]


def warm(copy: Copy, target: str, repeats: int) -> float:
    """Run the whole demo, page included, each stage by itself and from a warm process, in turns."""
    seconds: dict[str, list[float]] = {"each stage by itself": [], "from a warm process": []}
    for _ in range(repeats):
        for took, own in zip(seconds.values(), (EACH_BY_ITSELF, {}), strict=True):
            shutil.rmtree(copy.folder / "results")
            shutil.rmtree(copy.folder / ".snakemake")
            page = f"results/{target}/report.html"
            took.append(copy.snakemake(page, environment=copy.plain | own)[1])
    for way, took in seconds.items():
        print(
            f"  all, {way:24}{median(took):8.1f} s, {min(took):.1f} to {max(took):.1f} (n = {repeats})"
        )
    return median(cold / hot for cold, hot in zip(*seconds.values(), strict=True))


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3, help="runs of each command but the demo")
    parser.add_argument("--target", default="demo", help="the study to run")
    parser.add_argument("--config", type=Path, help="configuration to take in place of ours")
    parser.add_argument("--json", type=Path, help="file for the seconds")
    options = parser.parse_args()
    print(conditions(cores_for_snakemake=CORES))
    with tempfile.TemporaryDirectory() as folder:
        copy = Copy(Path(folder))
        if options.config:
            shutil.copy(options.config, copy.folder / "config.yaml")
        figures = {
            "demo_outside_work_s": demo(copy, options.target),
            **repeated(copy, options.target, options.repeats),
        }
        print(added_ratio(copy, options.target))
        figures["cold_over_warm_demo"] = warm(copy, options.target, options.repeats)
    write_ratios(options.json, figures)


def demo(copy: Copy, target: str) -> float:
    """Run the whole demo; print its table; return the wall seconds outside the stages' work."""
    start, wall, _ = copy.snakemake(target)
    jobs = copy.jobs()
    work, imports = sum(job.work for job in jobs), sum(job.imports for job in jobs)
    planning = min(job.start for job in jobs) - start
    ending = start + wall - max(job.end for job in jobs)
    rest = wall - planning - ending - (work + imports) / CORES
    parts = {
        "the stages' own work": work / CORES,
        "imports": imports / CORES,
        "planning, before the first job": planning,
        "scheduling, and a core without a job": rest,
        "after the last job": ending,
    }
    print(f"{target}: {len(jobs)} commands, {wall:.1f} s of wall time on {CORES} cores (n = 1)")
    for name, part in parts.items():
        print(f"  {name:40}{part:8.1f} s{100 * part / wall:6.0f} %")
    print(_by_stage(jobs))
    return wall - work / CORES


def _by_stage(jobs: list[Job]) -> str:
    stages: dict[str, list[Job]] = defaultdict(list)
    for job in jobs:
        stages[job.stage].append(job)
    lines = [f"  {'stage':14}{'jobs':>6}{'work, s':>10}{'imports, s':>12}{'peak, MiB':>12}"]
    for stage, own in stages.items():
        work, imports = sum(job.work for job in own), sum(job.imports for job in own)
        peak = max(job.peak for job in own)
        lines.append(f"  {stage:14}{len(own):6}{work:10.1f}{imports:12.1f}{peak:12.0f}")
    return "\n".join(lines)


def repeated(copy: Copy, target: str, repeats: int) -> dict[str, float]:
    """Time planning, checking a finished study, and redrawing one figure of it."""
    description = copy.folder / "ap3/figures/fig03.yaml"
    seconds: dict[str, list[float]] = defaultdict(list)
    for _ in range(repeats):
        seconds["plan_paper_s"].append(
            copy.snakemake("--dry-run", "--quiet", "all", "--", "paper")[1]
        )
        _, took, said = copy.snakemake(target)
        if "Nothing to be done" not in said:
            sys.exit(f"a second run of {target} did something:\n{said}")
        seconds["nothing_to_do_s"].append(took)
        text = description.read_text(encoding="utf-8")
        description.write_text(text.replace("title: ", "title: More of ", 1), encoding="utf-8")
        before = len(copy.jobs())
        seconds["redraw_one_figure_s"].append(copy.snakemake(target)[1])
        redrawn = [job.stage for job in copy.jobs()[before:]]
        if redrawn != ["figure"]:
            sys.exit(f"a changed description re-ran {redrawn}, not one figure")
    for name, values in seconds.items():
        print(
            f"  {name:24}{median(values):8.2f} s, {min(values):.2f} to {max(values):.2f} (n = {repeats})"
        )
    return {name: median(values) for name, values in seconds.items()}


def added_ratio(copy: Copy, target: str) -> str:
    """Say what adding one ratio to the finished study would run."""
    config = copy.folder / "config.yaml"
    text = config.read_text(encoding="utf-8")
    config.write_text(re.sub(r"ratios: \[", "ratios: [0.65, ", text, count=1), encoding="utf-8")
    _, _, said = copy.snakemake("--dry-run", target)
    counts = dict(re.findall(r"^([a-z_]+) +(\d+)$", said, re.MULTILINE)).items()
    config.write_text(text, encoding="utf-8")
    if any(rule in ("baseline", "features", "data") for rule, _ in counts):
        sys.exit(f"adding a ratio would train again: {counts}")
    return "  one more ratio re-runs: " + ", ".join(f"{rule} {n}" for rule, n in counts)


if __name__ == "__main__":
    main()
