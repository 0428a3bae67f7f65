"""A plan is made on a node like those that the study will run on; the cluster is the study's."""

import pytest
from sabotage import SLOW, rule
from test_study_on_slurm import CONFIG, on_slurm, prepared


@pytest.mark.parametrize(
    ("device", "asked"), [("auto", ("gres:gpu:1", "gpu")), ("cpu", (None, "cpu"))]
)
def test_it_asks_for_a_gpu_where_the_study_does(cluster, tmp_path, device, asked):
    before = {each["JobId"] for each in cluster.jobs()}
    config = CONFIG.replace("    trials: 2\n", f"    trials: 2\n    device: {device}\n")
    there = on_slurm(cluster, prepared(tmp_path, config), "plan")
    assert there.process.wait(SLOW) == 0, there.printed
    jobs = [job for job in cluster.jobs() if job["JobId"] not in before]
    assert [(job.get("TresPerJob"), job["Partition"]) for job in jobs if rule(job) == "plan"] == [
        asked
    ]
