"""What goes wrong with a study on the test cluster, on purpose, in mid-run."""

import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

import psutil
from cluster import Cluster, wait_for

SLOW = 600  # seconds that a job may take to come so far, on a machine that does much else
TRAINS = 3  # seconds of processor time after which a stage has imported torch and is at work


def rule(job: dict[str, str]) -> str:
    """Name the rule that a job runs."""
    return job["Comment"].partition("_wildcards")[0].removeprefix("rule_")


@dataclass
class Workflow:
    """A Snakemake that runs a study, in a folder of its own, on a cluster."""

    cluster: Cluster
    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def printed(self) -> str:
        return (self.folder / "printed").read_text(encoding="utf-8")


def caught(workflow: Workflow, stage: str, used: float = 0) -> psutil.Process:
    """Wait for a process of a stage, until it has used some seconds of processor time."""
    found: list[psutil.Process] = []

    def look() -> bool:
        assert workflow.process.poll() is None, workflow.printed
        every = psutil.process_iter()
        found[:] = [each for each in every if _works(each, workflow.folder, stage, used)]
        return bool(found)

    wait_for(f"a busy {stage}", look, SLOW, every=0.05)
    return found[0]


def _works(process: psutil.Process, folder: Path, stage: str, used: float) -> bool:
    try:
        command = process.cmdline()
        if len(command) < 3 or not command[1].endswith("/ap3") or command[2] != stage:
            return False
        times = process.cpu_times()
        return process.cwd() == str(folder) and times.user + times.system >= used
    except psutil.Error:
        return False


def job_of(process: psutil.Process) -> str:
    return process.environ()["SLURM_JOB_ID"]


def break_node_while(workflow: Workflow, stage: str) -> str:
    """Break the node during a stage, and mend it once the job waits again; return the job."""
    job = job_of(caught(workflow, stage, TRAINS))
    workflow.cluster.break_node()
    wait_for("the job to wait", lambda: workflow.cluster.state(job) == "PENDING", 60)
    workflow.cluster.mend_node()
    return job


def cancel_while(workflow: Workflow, stage: str) -> str:
    """Cancel the job of a stage in mid-run."""
    job = job_of(caught(workflow, stage, TRAINS))
    workflow.cluster.ask("scancel", job)
    return job


def hang(workflow: Workflow, stage: str) -> str:
    """Let a stage hang, in a job that has a minute."""
    process = caught(workflow, stage)
    process.suspend()
    job = job_of(process)
    workflow.cluster.ask("scontrol", "update", f"JobId={job}", "TimeLimit=1")
    return job


class Watch:
    """Notes twice a second which GPU jobs hold the GPU, and which wait for it."""

    def __init__(self, cluster: Cluster) -> None:
        self.seen: list[tuple[set[str], set[str]]] = []
        self._cluster = cluster
        self._over = Event()
        self._thread = Thread(target=self._look, daemon=True)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.5):
            with suppress(subprocess.SubprocessError):  # a controller that is busy answers later
                self._note(self._cluster.jobs())

    def _note(self, jobs: list[dict[str, str]]) -> None:
        jobs = [job for job in jobs if "gpu" in job.get("TresPerJob", "")]
        holding = {job["JobId"] for job in jobs if job["JobState"] in ("RUNNING", "COMPLETING")}
        waiting = {job["JobId"] for job in jobs if job["JobState"] == "PENDING"}
        self.seen.append((holding, waiting))
