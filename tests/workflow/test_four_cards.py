"""Four cards on one node: `snakemake --cores 16 --resources gpu=4` keeps all of them at work."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent

CONFIG = """
study: four
studies:
  four:
    trials: 6
    threads: 4
    image_size: 16
    data: {ten_classes: digits, hundred_classes: digits}
    networks:
      vgg: {model: small_vgg, epochs: 1, learning_rate: 0.05}
    training: {batch_size: 64}
    pruning: {modes: [lowest], ratios: [0.5]}
    finetuning: {epochs: 1}
    figures: [fig03]
"""


def program(path, text):
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


@pytest.fixture
def node(tmp_path):
    """The environment of a node whose cards and stages are played."""
    for name in ("bin", "work", "locks"):
        (tmp_path / name).mkdir()
    (tmp_path / "config.yaml").write_text(CONFIG, encoding="utf-8")
    bash = "#!/bin/bash\n"
    program(tmp_path / "bin/nvidia-smi", f"{bash}for i in 0 1 2 3; do echo GPU $i; done\n")
    run = f'exec "{sys.executable}" "{HERE / "ap3_on_cards.py"}" "$@"\n'
    program(tmp_path / "bin/ap3", bash + run)
    path = [tmp_path / "bin", Path(sys.executable).parent, os.environ["PATH"]]
    return os.environ | {
        "PATH": os.pathsep.join(map(str, path)),
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(HERE.parent / "unit")]),
        "CUDA_VISIBLE_DEVICES": "0,1,2,3",
        "AT_WORK": str(tmp_path / "work"),
        "TMPDIR": str(tmp_path / "locks"),
    }


def snakemake(folder, environment, *asked):
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), *asked],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_all_four_are_at_work_with_jobs_of_their_own(tmp_path, node):
    snakemake(tmp_path, node, "--cores", "16", "--resources", "gpu=4", "--until", "baseline")
    cards = (tmp_path / "work/done").read_text(encoding="utf-8").split()
    assert len(cards) == 6
    assert set(cards) == {f"card-{number}" for number in range(4)}


def test_jobs_of_a_card_get_their_cores_first(tmp_path, node):
    """Jobs of the CPU alone, of all cores each, could let the only card idle for minutes."""
    program(tmp_path / "bin/nvidia-smi", "#!/bin/bash\necho GPU 0\n")
    alone = node | {"CUDA_VISIBLE_DEVICES": "0"}
    snakemake(tmp_path, alone, "--cores", "4", "--until", "measure_four", "bounds_four")
    stages = (tmp_path / "work/stages").read_text(encoding="utf-8").split()
    assert [stages.count(stage) for stage in ("finetune", "measure", "bounds")] == [6, 6, 6]
    last = max(number for number, stage in enumerate(stages) if stage == "finetune")
    assert not {"measure", "bounds"} & set(stages[:last])
