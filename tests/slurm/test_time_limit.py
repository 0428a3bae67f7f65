"""A baseline that takes longer than its job may goes on in the next attempt from its last epoch."""

import os
import re
from pathlib import Path

from cluster import wait_for
from sabotage import SLOW, caught, job_of, rule
from test_study_on_slurm import CONFIG, contents, on_slurm, prepared, start

LONG = CONFIG.replace("trials: 2", "trials: 1").replace("epochs: 8", "epochs: 12")
RUN = Path("results/mini/digits/small_vgg/trial1")


def test_a_baseline_goes_on_in_the_next_attempt(cluster, tmp_path_factory, monkeypatch):
    # After each epoch, where else it would be every ten seconds.
    monkeypatch.setitem(cluster.environment, "AP3_RESUME_SECONDS", "0")
    before = {each["JobId"] for each in cluster.jobs()}
    folder, local = (prepared(tmp_path_factory.mktemp(name), LONG) for name in ("limit", "local"))
    there = on_slurm(cluster, folder, "--until", "baseline")
    try:
        training = caught(there, "baseline")
        wait_for(
            "an epoch that is kept", (folder / RUN / "baseline.resume.safetensors").exists, SLOW
        )
        # What takes long stands still, which costs the tests nothing, and the limit comes soon.
        training.suspend()
        cluster.ask("scontrol", "update", f"JobId={job_of(training)}", "TimeLimit=1")
        here = start(local, "--cores", "1", "--until", "baseline", environment=dict(os.environ))
        assert here.wait(SLOW) == 0
        there.process.wait(SLOW)
    finally:
        there.process.kill()
        there.process.wait()
    assert there.process.returncode == 0, there.printed
    jobs = [job for job in cluster.jobs() if job["JobId"] not in before]
    first, second = (job for job in jobs if rule(job) == "baseline")
    assert [first["JobState"], second["JobState"]] == ["TIMEOUT", "COMPLETED"]
    assert first["TimeLimit"] == "00:01:00"
    said = (folder / RUN / "logs/baseline.log").read_text(encoding="utf-8")
    assert int(re.findall(r"going on after epoch (\d+)\.", said)[0]) >= 1
    assert contents(folder) == contents(local)
