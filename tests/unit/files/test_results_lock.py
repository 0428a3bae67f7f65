"""One workflow to a results folder; what an orphan of an earlier one makes is dropped."""

import os
import subprocess
import sys
import textwrap

import pytest

from ap3.errors import UserError
from ap3.files import results_lock
from ap3.files.storage import write_atomically

TAKE = """
    import sys
    from pathlib import Path
    from ap3.files import results_lock
    results_lock.take(Path("results"))
    print("taken", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def owner(tmp_path):
    """Starts processes that take a results folder and hold it."""
    started = []

    def start():
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(TAKE)],
            cwd=tmp_path,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        started.append(process)
        assert process.stdout.readline() == b"taken\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AP3_RUN", raising=False)
    monkeypatch.setattr(results_lock, "_held", [])
    yield tmp_path / "results"
    for file in results_lock._held:
        file.close()


def test_the_second_is_told_who_the_first_is(owner, here):
    first = owner()
    with pytest.raises(UserError) as refusal:
        results_lock.take(here)
    assert f"another workflow is writing to {here} (process {first.pid} on " in str(refusal.value)
    assert "wait until it ends, or stop it." in str(refusal.value)


def test_the_lock_dies_with_its_process(owner, here):
    first = owner()
    first.kill()
    first.wait()
    results_lock.take(here)
    with pytest.raises(UserError, match=f"process {os.getpid()} on"):
        results_lock.take(here)


def test_an_orphan_writes_nothing_once_a_later_workflow_has_the_folder(owner, here, monkeypatch):
    results_lock.take(here)
    target = here / "a.csv"
    write_atomically(target, lambda path: path.write_text("mine", encoding="utf-8"))
    for file in results_lock._held:
        file.close()
    owner()
    with pytest.raises(UserError, match="a later workflow has taken"):
        write_atomically(target, lambda path: path.write_text("orphan's", encoding="utf-8"))
    assert target.read_text(encoding="utf-8") == "mine"
    assert sorted(path.name for path in here.iterdir()) == [".lock", "a.csv"]


def test_a_stage_run_by_hand_writes_at_any_time(owner, here):
    owner()
    write_atomically(here / "a.csv", lambda path: path.write_text("mine", encoding="utf-8"))
    assert (here / "a.csv").read_text(encoding="utf-8") == "mine"


def test_a_folder_that_cannot_be_written_to_is_refused_in_a_sentence(here):
    here.write_text("a file where the folder should be", encoding="utf-8")
    with pytest.raises(UserError, match=r"cannot be written to .*; make it writable, or run in"):
        results_lock.take(here)


def test_what_a_killed_writer_left_goes_away_with_the_next_write(here):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    here.mkdir()
    host = os.uname().nodename
    left = here / f".a.{host}.{gone.pid}.x1.csv"
    mine = here / f".a.{host}.{os.getpid()}.x2.csv"
    elsewhere = here / f".a.elsewhere.{gone.pid}.x3.csv"
    for path in (left, mine, elsewhere):
        path.write_text("half", encoding="utf-8")
    write_atomically(here / "a.csv", lambda path: path.write_text("whole", encoding="utf-8"))
    assert sorted(here.iterdir()) == sorted([mine, elsewhere, here / "a.csv"])


def test_a_lock_that_is_a_link_is_refused_and_what_it_leads_to_kept(here):
    here.mkdir()
    precious = here.parent / "precious.txt"
    precious.write_text("numbers", encoding="utf-8")
    (here / ".lock").symlink_to(precious)
    with pytest.raises(UserError, match=r"\.lock is a link, and .*; remove the link\.$"):
        results_lock.take(here)
    assert precious.read_text(encoding="utf-8") == "numbers"


def test_a_results_folder_that_leads_nowhere_is_refused_by_where_it_leads(here):
    here.symlink_to("nowhere")
    with pytest.raises(UserError, match="is a link to nowhere, which does not exist; "):
        results_lock.take(here)
