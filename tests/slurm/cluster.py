"""A Slurm cluster of one machine: real daemons on loopback, in a folder and on ports of its own.

Nothing outside the folder is touched. The daemons run in the foreground as children that the
kernel ends together with this process, however it ends.
"""

import os
import pwd
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

DAEMONS = ("munged", "slurmctld", "slurmd")
CLIENTS = ("sbatch", "srun", "squeue", "scancel", "scontrol", "sinfo", "sacct", "sshare")
SYSTEM = f"{os.environ['PATH']}{os.pathsep}/usr/sbin{os.pathsep}/sbin"


def absent() -> list[str]:
    """Name the programs of Slurm that this machine lacks."""
    return [name for name in (*DAEMONS, "sbatch", "setpriv") if not shutil.which(name, path=SYSTEM)]


class Cluster:
    """Starts on `with`, and leaves no process behind."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.host = socket.gethostname().partition(".")[0]
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}
        conf = folder / "etc" / "slurm.conf"
        # Jobs inherit the mark, so that those of a dead node can be told from any other process.
        self.environment = os.environ | {
            "PATH": f"{folder}/bin{os.pathsep}{SYSTEM}",
            "SLURM_CONF": str(conf),
            "AP3_TEST_CLUSTER": str(folder),
        }

    def __enter__(self) -> "Cluster":
        for name in ("bin", "etc", "log", "run", "spool", "state"):
            (self.folder / name).mkdir(mode=0o755, parents=True)
        self._configure()
        try:
            key = self.folder / "etc" / "munge.key"
            key.touch(mode=0o600)
            key.write_bytes(os.urandom(128))
            run, log = self.folder / "run", self.folder / "log"
            self._start(
                "munged",
                "--foreground",
                "--force",  # in a folder that only this user may enter
                f"--key-file={key}",
                f"--socket={run}/munge.sock",
                f"--pid-file={run}/munged.pid",
                f"--seed-file={run}/munged.seed",
                f"--log-file={log}/munged.log",
            )
            wait_for("munged", (run / "munge.sock").exists, 20)
            self._start("slurmctld", "-D", "-i")
            self._start("slurmd", "-D")
            wait_for("an idle node", lambda: self.node_state() == "idle", 60)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if "slurmctld" in self._daemons:
            with suppress(subprocess.SubprocessError):
                self.ask("scancel", "--user", str(os.getuid()))
                wait_for("cancelled jobs to end", lambda: not self.ask("squeue", "-h"), 20)
        for name in reversed(list(self._daemons)):
            self._stop(name)
        for process in self._steps():
            process.kill()

    def ask(self, *command: str) -> str:
        """Run a Slurm command and return what it prints."""
        return subprocess.run(
            command,
            env=self.environment,
            check=True,
            capture_output=True,
            text=True,
            timeout=30,
            encoding="utf-8",
        ).stdout.strip()

    def node_state(self) -> str:
        """Say what the controller thinks of the node; nothing while it does not answer."""
        with suppress(subprocess.SubprocessError):
            return self.ask("sinfo", "--noheader", "--partition", "cpu", "--format", "%T")
        return ""

    def jobs(self) -> list[dict[str, str]]:
        """List all jobs, ended ones too, each with the fields of `scontrol show job`."""
        lines = self.ask("scontrol", "--oneliner", "show", "jobs").splitlines()
        records = (dict(re.findall(r"(\S+?)=(\S*)", line)) for line in lines)
        return [record for record in records if "JobId" in record]

    def state(self, job: str) -> str:
        """Say how a job is doing."""
        return next(each["JobState"] for each in self.jobs() if each["JobId"] == job)

    def break_node(self) -> None:
        """Let the node die as by a power cut, and let the controller know."""
        self._daemons["slurmd"].kill()
        for process in self._steps():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._stop("slurmd")
        self.ask("scontrol", "update", f"NodeName={self.host}", "State=DOWN", "Reason=test")

    def mend_node(self) -> None:
        """Bring the node up again."""
        self._start("slurmd", "-D")
        self.ask("scontrol", "update", f"NodeName={self.host}", "State=RESUME")
        wait_for("the node to come back", lambda: self.node_state() in {"idle", "mixed"}, 60)

    def _configure(self) -> None:
        controller_port, node_port = _free_ports(2)
        filled = (Path(__file__).with_name("slurm.conf")).read_text(encoding="utf-8")
        for word, value in {
            "host": self.host,
            "folder": str(self.folder),
            "user": pwd.getpwuid(os.getuid()).pw_name,
            "controller_port": str(controller_port),
            "node_port": str(node_port),
        }.items():
            filled = filled.replace(f"{{{word}}}", value)
        (self.folder / "etc" / "slurm.conf").write_text(filled, encoding="utf-8")
        (self.folder / "etc" / "gres.conf").write_text(
            "Name=gpu File=/dev/zero\n", encoding="utf-8"
        )
        # Inside a job the executor plugin forgets SLURM_CONF before it calls srun.
        for client in CLIENTS:
            wrapper = self.folder / "bin" / client
            found = shutil.which(client, path=SYSTEM)
            if found:
                wrapper.write_text(
                    f'#!/bin/sh\nSLURM_CONF={self.folder}/etc/slurm.conf exec {found} "$@"\n',
                    encoding="utf-8",
                )
                wrapper.chmod(0o755)

    def _start(self, name: str, *options: str) -> None:
        with (self.folder / "log" / f"{name}.out").open("ab") as out:
            self._daemons[name] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", name, *options],
                env=self.environment,
                stdout=out,
                stderr=out,
            )

    def _stop(self, name: str) -> None:
        daemon = self._daemons.pop(name)
        daemon.terminate()
        try:
            daemon.wait(20)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()

    def _steps(self) -> list[psutil.Process]:
        """Find the processes of running jobs: Slurm's own keepers of them, and all below these."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                marked = process.environ().get("AP3_TEST_CLUSTER") == str(self.folder)
                if marked and process.name() == "slurmstepd":
                    found += [process, *process.children(recursive=True)]
        return found


def wait_for(what: str, holds: Callable[[], object], seconds: float, every: float = 0.25) -> None:
    """Wait until `holds`."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds} s in vain for {what}")
        time.sleep(every)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
