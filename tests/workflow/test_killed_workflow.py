"""A workflow killed and interrupted in the midst of its jobs; the same command goes on from there.

`make soak` does so hundreds of times.
"""

import random
import re
import signal
import time

import kills
import pytest
from checkout import MINI, Checkout, configured

pytestmark = pytest.mark.slow

TARGET = "results/mini/digits/small_vgg/trial1/finetuned.csv"

FOR_EVER = """
import asyncio


def wait(runner):
    Path("waits").touch()
    threading.Event().wait()


asyncio.Runner.close = wait
"""


def refuse_another(checkout, victim):
    """See that a second workflow on the same results is told of the first, and starts nothing."""
    victim.process.send_signal(signal.SIGSTOP)
    second = checkout.run(TARGET)
    victim.process.send_signal(signal.SIGCONT)
    printed = second.stdout + second.stderr
    assert second.returncode == 1
    assert f"another workflow is writing to results (process {victim.process.pid} on" in printed
    assert "Traceback" not in printed
    assert not re.search(r"^Job \d+: ", printed, re.MULTILINE)


@pytest.fixture
def victims():
    started = []
    yield started
    for victim in started:
        victim.end()


def test_a_workflow_killed_and_interrupted_ends_with_the_same_files(mini, tmp_path, victims):
    checkout = Checkout.make(tmp_path / "hurt")
    command, chance = checkout.command(TARGET)["args"], random.Random(1)
    for way in (kills.KILL, kills.INTERRUPT, kills.TERMINATE):
        victims.append(kills.Victim(command, checkout.folder))
        victims[-1].reach(2)
        if way == kills.KILL:
            refuse_another(checkout, victims[-1])
        time.sleep(chance.uniform(0, 2))
        assert victims[-1].stop(way) != 0
    kills.complete(command, checkout.folder)
    for victim in victims:
        victim.outlive()
    expected = kills.contents(mini.folder / "results")
    found = kills.contents(checkout.folder / "results")
    assert TARGET.removeprefix("results/") in found
    assert found == {path: expected.get(path) for path in found}


@pytest.mark.parametrize("way", [kills.TERMINATE, kills.TERMINATE_ALL])
def test_sigterm_stops_a_workflow_with_its_jobs(tmp_path, victims, way):
    checkout = Checkout.make(tmp_path / "stopped", configured(MINI, {"networks.vgg.epochs": 10**6}))
    target = "results/mini/digits/small_vgg/trial1/baseline.safetensors"
    victims.append(kills.Victim(checkout.command(target)["args"], checkout.folder))
    victims[-1].reach(2)
    assert victims[-1].stop(way) == 1
    victims[-1].outlive()
    printed = victims[-1].printed.read_text(encoding="utf-8")
    assert "Terminating processes on user request" in printed
    assert "Traceback" not in printed


def test_sigterm_ends_a_workflow_that_waits_for_ever(tmp_path, victims):
    checkout = Checkout.make(tmp_path / "stopped", configured(MINI, {"networks.vgg.epochs": 10**6}))
    with (checkout.folder / "Snakefile").open("a", encoding="utf-8") as snakefile:
        # As where the signal comes upon one of its tasks.
        snakefile.write(FOR_EVER)
    target = "results/mini/digits/small_vgg/trial1/baseline.safetensors"
    victims.append(kills.Victim(checkout.command(target)["args"], checkout.folder))
    victims[-1].reach(2)
    assert victims[-1].stop(kills.TERMINATE) == 1
    assert (checkout.folder / "waits").exists()
    victims[-1].outlive()


@pytest.mark.parametrize("job", [1, 2])
def test_sigterm_at_the_end_of_a_job_stops_a_workflow(tmp_path, victims, job):
    checkout = Checkout.make(tmp_path / "stopped")
    victims.append(kills.Victim(checkout.command(TARGET)["args"], checkout.folder))
    victims[-1].reach_the_end_of(job)
    assert victims[-1].stop(kills.TERMINATE) == 1
