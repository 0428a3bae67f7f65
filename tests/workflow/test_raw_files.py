"""Raw files through the workflow: from a server with faults, or from a folder on disk."""

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest
from local_server import BUSY, CUT, serve
from raw_files import cifar10_members, cifar100_members, put, tar_gz, tiny_members, zipped

from ap3.datasets.images import Images

ROOT = Path(__file__).parents[2]

SMALL = {
    "cifar10": ({"cifar-10-python.tar.gz": tar_gz(cifar10_members())}, (15, 3)),
    "cifar100": ({"cifar-100-python.tar.gz": tar_gz(cifar100_members())}, (6, 4)),
    "tiny-imagenet": ({"tiny-imagenet-200.zip": zipped(tiny_members())}, (6, 3)),
}

# Runs when a Python starts: the small data sets become the published ones.
SITECUSTOMIZE = """
import json
from pathlib import Path

from ap3 import datasets
from ap3.datasets.dataset import DataSet
from ap3.datasets.sources import RemoteFile

def described(entry):
    files = [RemoteFile(**file | {"sha256": tuple(file["sha256"])}) for file in entry["files"]]
    return DataSet(**entry | {"files": tuple(files)})


entries = json.loads(Path(__file__).with_name("registry.json").read_text())
small = {entry["name"]: described(entry) for entry in entries}
datasets._REGISTRY = tuple(small.get(known.name, known) for known in datasets._REGISTRY)
"""


class Workflow:
    """The workflow in a folder of its own, its data sets small and served from this machine."""

    def __init__(self, folder: Path, server) -> None:
        self.folder, self.server, self.disk = folder, server, folder / "disk"
        self.data = folder / "results" / "data"
        (folder / "config.yaml").write_text(
            (ROOT / "config.yaml").read_text(encoding="utf-8"), encoding="utf-8"
        )
        datasets = [put(self.disk, name, *SMALL[name], server.url) for name in SMALL]
        (folder / "registry.json").write_text(
            json.dumps([asdict(one) for one in datasets]), encoding="utf-8"
        )
        (folder / "sitecustomize.py").write_text(SITECUSTOMIZE, encoding="utf-8")

    def make(self, *names: str, options: tuple[str, ...] = ()) -> tuple[int, str]:
        """Decode data sets; returns the exit status and all that is printed."""
        targets = [f"results/data/{name}.safetensors" for name in names]
        command = [sys.executable, "-m", "snakemake", *targets, "--cores", "4"]
        options = (*options, "--snakefile", str(ROOT / "Snakefile"), "--resources", "gpu=1")
        variables = {
            "PYTHONPATH": f"{ROOT}{os.pathsep}{self.folder}",
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "NO_PROXY": "127.0.0.1",
        }
        done = subprocess.run(
            [*command, *options],
            cwd=self.folder,
            env=os.environ | variables,
            capture_output=True,
            text=True,
            encoding="utf-8",
        )
        return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def workflow(tmp_path_factory):
    with serve() as server:
        for contents, _ in SMALL.values():
            server.files |= contents
        yield Workflow(tmp_path_factory.mktemp("raw"), server)


@pytest.mark.slow
def test_faults_pass_and_one_host_is_asked_for_one_file_at_a_time(workflow):
    server = workflow.server
    server.faults = [BUSY, CUT]
    server.hold = lambda: time.sleep(0.3)
    status, printed = workflow.make(*SMALL)
    server.hold = lambda: None
    assert status == 0, printed
    # A limit on the command line replaces those of the profile, and this one is not among them.
    assert server.most_active == 1
    assert len(server.ranges) == len(SMALL) + 2
    assert "the server answered 503" in printed
    for name, (contents, counts) in SMALL.items():
        for file in contents:
            assert f"{file}: 100 % of" in printed
        images = Images.load(workflow.data / f"{name}.safetensors")
        assert (len(images.train_labels), len(images.test_labels)) == counts


@pytest.mark.slow
def test_taking_files_from_elsewhere_re_makes_nothing(workflow):
    elsewhere = ("--dry-run", "--config", f"data_dir={workflow.disk}")
    _, printed = workflow.make(*SMALL, options=elsewhere)
    assert "Nothing to be done" in printed


@pytest.mark.slow
def test_a_wrong_file_is_refused_named_and_not_unpacked(workflow):
    [(name, content)] = SMALL["cifar100"][0].items()
    (workflow.data / "raw" / "cifar100" / name).unlink()
    (workflow.data / "cifar100.safetensors").unlink()
    workflow.server.files[name] = content[::-1]
    status, printed = workflow.make(*SMALL)
    assert status == 1
    assert f"ap3: {workflow.server.url}/{name} is refused" in printed
    assert "Traceback" not in printed
    left = {path.name for path in workflow.data.rglob("*") if path.is_file()}
    assert not any("100" in path for path in left)
    assert {"cifar10.safetensors", "tiny-imagenet.safetensors"} <= left


@pytest.mark.slow
def test_data_dir_needs_no_network(workflow):
    asked = len(workflow.server.ranges)
    status, printed = workflow.make(*SMALL, options=("--config", f"data_dir={workflow.disk}"))
    assert status == 0, printed
    assert len(workflow.server.ranges) == asked
    assert len(Images.load(workflow.data / "cifar100.safetensors").classes) == 4
