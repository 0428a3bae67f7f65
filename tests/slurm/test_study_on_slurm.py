"""A mini-study on a real Slurm while jobs are cancelled, hang and lose their node.

One run goes through all of it, because each of its jobs costs seconds of waiting; the tests look at
what came out of it.
"""

import os
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest
from cluster import Cluster
from sabotage import SLOW, Watch, Workflow, break_node_while, cancel_while, hang, rule

ROOT = Path(__file__).parents[2]

CONFIG = """
study: mini
studies:
  mini:
    trials: 2
    image_size: 16
    data: {ten_classes: digits, hundred_classes: digits}
    networks:
      vgg: {model: small_vgg, epochs: 8, learning_rate: 0.05}
    training: {batch_size: 64}
    pruning: {modes: [lowest, random], ratios: [0.5]}
    finetuning: {epochs: 3}
    figures: [fig03]
"""

PARTITIONS = """
partitions:
  cpu: {max_mem_mb: 256000}
  gpu: {max_mem_mb: 256000, max_gpu: 1}
"""

# The profile as it is, but for waiting: here files are seen at once and jobs take seconds.
HASTY = ["--slurm-init-seconds-before-status-checks", "1", "--latency-wait", "5"]
# Two trainings at once need 32,000 MB: the 24,000 are for each job.
SITE = ["--slurm-partition-config", "partitions.yaml"]
LIMITS = ["--resources", "gpu=32", "runtime=2000", "mem_mb=24000"]

GPU_RULES = {"baseline", "features", "finetune_mini"}
CPU_RULES = {"data", "prune_mini", "covariance", "measure_mini", "bounds_mini"}

Jobs = list[dict[str, str]]


def start(folder: Path, *arguments: str, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start Snakemake in a folder of its own, which keeps what it prints."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    with (folder / "printed").open("w", encoding="utf-8") as printed:
        return subprocess.Popen(
            [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), *arguments],
            cwd=folder,
            env=environment | {"PATH": path},
            stdout=printed,
            stderr=printed,
        )


def on_slurm(cluster: Cluster, folder: Path, *arguments: str) -> Workflow:
    options = ["--workflow-profile", str(ROOT / "profiles/slurm"), *LIMITS, *HASTY, *SITE]
    return Workflow(
        cluster, folder, start(folder, *options, *arguments, environment=cluster.environment)
    )


def prepared(folder: Path, config: str = CONFIG) -> Path:
    (folder / "config.yaml").write_text(config, encoding="utf-8")
    (folder / "partitions.yaml").write_text(PARTITIONS, encoding="utf-8")
    return folder


@dataclass
class Run:
    """A study that went through everything, and the same study made locally."""

    folder: Path
    local: Path
    printed: str
    jobs: Jobs
    watch: Watch
    lost: str
    cancelled: str
    late: str

    def attempts(self, job: str) -> Jobs:
        """List the jobs that are attempts at the same as `job`, in their order."""
        comment = next(each["Comment"] for each in self.jobs if each["JobId"] == job)
        return [each for each in self.jobs if each["Comment"] == comment]


@pytest.fixture(scope="module")
def run(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder, local = (prepared(tmp_path_factory.mktemp(name)) for name in ("remote", "local"))
    processes = []
    with Watch(cluster) as watch:
        try:
            there = on_slurm(cluster, folder)
            processes.append(there.process)
            lost = break_node_while(there, "baseline")
            cancelled = cancel_while(there, "baseline")
            late = hang(there, "prune")
            # Only now, when the cluster mostly waits for the time limit.
            here = start(local, "--cores", "1", environment=dict(os.environ))
            processes.append(here)
            there.process.wait(SLOW)
            here.wait(SLOW)
        finally:
            for process in processes:
                process.kill()
                process.wait()
    assert there.process.returncode == 0, there.printed
    assert here.returncode == 0, (local / "printed").read_text(encoding="utf-8")
    return Run(folder, local, there.printed, cluster.jobs(), watch, lost, cancelled, late)


def contents(folder: Path) -> dict[str, str]:
    """Digest each table and each file of weights of a study."""
    results = folder / "results"
    files = [*results.rglob("*.csv"), *results.rglob("*.safetensors")]
    return {str(file.relative_to(results)): sha256(file.read_bytes()).hexdigest() for file in files}


def test_the_result_equals_the_local_one_to_the_bit(run):
    assert contents(run.folder) == contents(run.local)
    assert len(contents(run.local)) > 20
    assert (run.folder / "results/mini/figures/fig03.pdf").stat().st_size > 1000


def test_two_gpu_jobs_never_share_the_gpu(run):
    assert max(len(holding) for holding, _ in run.watch.seen) == 1
    assert any(holding and waiting for holding, waiting in run.watch.seen)


def test_jobs_ask_for_a_gpu_where_they_use_one_and_light_jobs_stay_out_of_the_queue(run):
    asked = defaultdict(set)
    for job in run.jobs:
        asked[job.get("TresPerJob"), job["Partition"]].add(rule(job))
    assert asked == {("gres:gpu:1", "gpu"): GPU_RULES, (None, "cpu"): CPU_RULES}


def test_a_job_that_lost_its_node_runs_again_with_what_it_asked_for(run):
    (lost,) = (job for job in run.jobs if job["JobId"] == run.lost)
    assert int(lost["Restarts"]) >= 1
    assert lost["MinMemoryNode"] == "16000M"
    assert lost["TimeLimit"] == "1-00:00:00"


def test_a_cancelled_job_is_tried_again_with_more_up_to_the_limits_of_the_site(run):
    first, second = run.attempts(run.cancelled)
    assert first["JobState"] == "CANCELLED"
    assert second["JobState"] == "COMPLETED"
    assert [job["MinMemoryNode"] for job in (first, second)] == ["16000M", "24000M"]
    assert [job["TimeLimit"] for job in (first, second)] == ["1-00:00:00", "1-09:20:00"]


def test_a_job_over_its_time_limit_is_tried_again_with_more(run):
    first, second = run.attempts(run.late)
    assert first["JobState"] == "TIMEOUT"
    assert second["JobState"] == "COMPLETED"
    assert [job["MinMemoryNode"] for job in (first, second)] == ["4000M", "8000M"]
    assert second["TimeLimit"] == "01:00:00"


def test_nothing_else_was_tried_twice(run):
    again = [job["JobId"] for job in run.jobs if job["JobState"] != "COMPLETED"]
    assert sorted(again) == sorted([run.cancelled, run.late])


def test_each_attempt_has_a_log_that_the_terminal_names(run):
    for job in run.jobs:
        log = Path(job["StdOut"])
        assert log.is_relative_to(run.folder / f"results/logs/slurm/rule_{rule(job)}")
        assert log.stat().st_size > 0
        assert str(log) in run.printed


def test_a_second_run_submits_nothing(run, cluster):
    again = on_slurm(cluster, run.folder)
    assert again.process.wait(SLOW) == 0
    assert "Nothing to be done" in again.printed
    assert len(cluster.jobs()) == len(run.jobs)


def test_a_mistake_in_the_configuration_is_told_before_anything_is_submitted(cluster, tmp_path):
    before = len(cluster.jobs())
    refused = on_slurm(cluster, prepared(tmp_path), "--config", 'studies={"mini": {"trails": 3}}')
    assert refused.process.wait(SLOW) == 1
    assert "did you mean 'trials'?" in refused.printed
    assert len(cluster.jobs()) == before
