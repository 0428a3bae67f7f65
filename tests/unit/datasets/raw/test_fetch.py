import errno
import io
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from local_server import BUSY, CUT, MISSING, STALL, serve, wait_until
from raw_files import remote

from ap3 import datasets
from ap3.datasets.raw import download
from ap3.datasets.raw.fetch import fetch
from ap3.errors import UserError

NAME = "cifar-10-python.tar.gz"
CONTENT = bytes(range(256)) * 4000


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch, tmp_path):
    monkeypatch.setattr(download, "_FIRST_WAIT", 0.001)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")


@pytest.fixture
def server():
    with serve() as running:
        running.files[NAME] = CONTENT
        yield running


@pytest.fixture
def target(tmp_path):
    return tmp_path / "raw" / NAME


def served(server, content=CONTENT):
    return remote(NAME, content, server.url)


def left(target: Path) -> list[str]:
    return sorted(path.name for path in target.parent.iterdir())


# Downloads


def test_a_download_arrives_whole_and_alone(server, target):
    fetch(served(server), target)
    assert target.read_bytes() == CONTENT
    assert left(target) == [NAME]
    assert server.ranges == [None]


def test_a_cut_connection_is_resumed_where_it_broke(server, target):
    server.faults = [CUT, CUT]
    fetch(served(server), target)
    assert target.read_bytes() == CONTENT
    half = len(CONTENT) // 2
    assert server.ranges == [None, f"bytes={half}-", f"bytes={half + half // 2}-"]


def test_a_part_left_by_a_killed_process_is_resumed(server, target):
    target.parent.mkdir()
    target.with_name(f"{NAME}.part").write_bytes(CONTENT[:1000])
    fetch(served(server), target)
    assert target.read_bytes() == CONTENT
    assert server.ranges == ["bytes=1000-"]
    assert left(target) == [NAME]


def test_a_whole_part_needs_no_request(server, target):
    target.parent.mkdir()
    target.with_name(f"{NAME}.part").write_bytes(CONTENT)
    fetch(served(server), target)
    assert target.read_bytes() == CONTENT
    assert server.ranges == []


def test_a_server_without_ranges_is_asked_for_the_whole_again(server, target):
    server.knows_ranges = False
    server.faults = [CUT]
    fetch(served(server), target)
    assert target.read_bytes() == CONTENT
    assert server.ranges == [None, f"bytes={len(CONTENT) // 2}-"]


def test_a_busy_server_is_asked_again(server, target, capsys):
    server.faults = [BUSY, BUSY]
    fetch(served(server), target)
    assert target.read_bytes() == CONTENT
    assert capsys.readouterr().err.count("the server answered 503") == 2


def test_a_stalled_server_is_asked_again(server, target, monkeypatch):
    monkeypatch.setattr(download, "_TIMEOUT", (5, 0.2))
    server.faults = [STALL]
    fetch(served(server), target)
    assert target.read_bytes() == CONTENT


def test_waits_grow_and_start_anew_after_progress(server, target, monkeypatch):
    waits = []
    monkeypatch.setattr(download.time, "sleep", waits.append)
    server.faults = [BUSY, BUSY, BUSY, CUT, BUSY]
    fetch(served(server), target)
    assert waits == pytest.approx([0.001, 0.002, 0.004, 0.001, 0.002])


def test_a_server_that_stays_busy_is_given_up(server, target):
    server.faults = [BUSY] * 20
    with pytest.raises(UserError, match=r"could not be downloaded .* answered 503 .* data_dir"):
        fetch(served(server), target)
    assert len(server.ranges) == download._TRIES


def test_a_server_that_always_cuts_without_ranges_is_given_up(server, target):
    server.knows_ranges = False
    server.faults = [CUT] * 20
    with pytest.raises(UserError, match="the connection broke off"):
        fetch(served(server), target)
    assert len(server.ranges) < 10


def test_what_a_server_does_not_have_is_asked_once(server, target):
    server.faults = [MISSING]
    with pytest.raises(UserError, match=r"answered 404 .*; check the connection, or put the file"):
        fetch(served(server), target)
    assert len(server.ranges) == 1


def test_without_a_network_one_sentence_says_what_to_do(server, target):
    file = replace(served(server), url=f"http://127.0.0.1:1/{NAME}")
    with pytest.raises(UserError) as refusal:
        fetch(file, target)
    sentence = str(refusal.value)
    assert "could not be downloaded from http://127.0.0.1:1/" in sentence
    assert sentence.endswith("put the file into a folder and name that as data_dir.")
    assert "\n" not in sentence


def test_another_file_is_refused_named_and_removed(server, target):
    server.files[NAME] = CONTENT[::-1]
    with pytest.raises(UserError, match=rf"{server.url}/{NAME} is refused.*SHA-256"):
        fetch(served(server), target)
    assert left(target) == []


def test_a_stale_part_is_refused_and_the_next_try_succeeds(server, target):
    target.parent.mkdir()
    target.with_name(f"{NAME}.part").write_bytes(b"something else")
    with pytest.raises(UserError, match="is refused"):
        fetch(served(server), target)
    fetch(served(server), target)
    assert target.read_bytes() == CONTENT


def test_a_longer_answer_is_not_read_to_its_end(server, target):
    server.files[NAME] = CONTENT * 50
    with pytest.raises(UserError, match="is refused") as refusal:
        fetch(served(server), target)
    received = int(str(refusal.value).split(" has ")[1].split()[0])
    assert len(CONTENT) < received <= len(CONTENT) + download._PIECE
    assert left(target) == []


def test_what_is_there_is_not_downloaded_again(server, target):
    fetch(served(server), target)
    fetch(served(server), target)
    assert len(server.ranges) == 1


# One host, one download


def in_another_process(file, target):
    code = (
        "import sys; from pathlib import Path; from ap3.datasets.raw.fetch import fetch; "
        "from ap3.datasets.sources import RemoteFile; "
        f"fetch({file!r}, Path({str(target)!r}))"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, encoding="utf-8"
    )


def test_two_processes_never_download_from_one_host_at_once(server, target):
    first_in, may_end = threading.Event(), threading.Event()
    server.hold = lambda: (first_in.set(), may_end.wait(20))
    jobs = [in_another_process(served(server), target.with_name(f"{n}.gz")) for n in "ab"]
    assert first_in.wait(20)
    # One is in, the other says that it waits; only then may the first go on.
    waiting = threading.Event()
    readers = [
        threading.Thread(target=lambda job=job: job.stderr.readline() and waiting.set())
        for job in jobs
    ]
    for reader in readers:
        reader.start()
    assert waiting.wait(20)
    assert server.active == 1
    may_end.set()
    for job, reader in zip(jobs, readers, strict=True):
        assert job.wait(20) == 0
        reader.join()
        job.stderr.close()
    assert server.most_active == 1
    assert left(target) == ["a.gz", "b.gz"]


def test_two_hosts_are_used_at_once(server, target):
    server.hold = lambda: wait_until(lambda: server.most_active == 2)
    names = (f"http://{host}:{server.server_port}/{NAME}" for host in ("127.0.0.1", "localhost"))
    threads = [
        threading.Thread(
            target=fetch, args=(replace(served(server), url=url), target.with_name(f"{n}.gz"))
        )
        for n, url in enumerate(names)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.most_active == 2
    assert left(target) == ["0.gz", "1.gz"]


def test_two_processes_after_one_file_download_it_once(server, target):
    may_end = threading.Event()
    server.hold = lambda: may_end.wait(20)
    jobs = [in_another_process(served(server), target) for _ in "ab"]
    threading.Timer(1.5, may_end.set).start()
    for job in jobs:
        job.communicate(timeout=30)
    assert [job.returncode for job in jobs] == [0, 0]
    assert target.read_bytes() == CONTENT
    assert len(server.ranges) == 1


@pytest.mark.parametrize("home", ["/dev/null", "/proc/none"])
def test_without_a_home_to_write_to_turns_are_taken_in_the_temporary_folder(
    server, target, monkeypatch, home
):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", home)
    monkeypatch.setattr("tempfile.tempdir", str(target.parents[1]))
    fetch(served(server), target)
    assert target.read_bytes() == CONTENT
    (folder,) = target.parents[1].glob("ap3-hosts-*")
    assert [lock.name for lock in folder.iterdir()] == [f"127.0.0.1_{server.server_port}.lock"]


# Progress


def test_a_log_gets_a_line_for_every_tenth(server, target, capsys):
    fetch(served(server), target)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 10
    assert lines[-1] == f"{NAME}: 100 % of 1.0 MB"


def test_a_terminal_gets_a_bar(server, target, on_terminal):
    shown = on_terminal(lambda: fetch(served(server), target))
    assert NAME in shown
    assert "1.0/1.0 MB" in shown


# Files already on disk


@pytest.mark.parametrize("place", [NAME, f"cifar10/{NAME}"])
def test_data_dir_serves_without_a_network(tmp_path, target, place):
    source = tmp_path / "disk" / place
    source.parent.mkdir(parents=True)
    source.write_bytes(CONTENT)
    fetch(remote(NAME, CONTENT), target, tmp_path / "disk")
    assert target.read_bytes() == CONTENT
    assert not target.samefile(source)
    assert left(target) == [NAME]


def test_data_dir_may_start_at_home(tmp_path, target, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / NAME).write_bytes(CONTENT)
    fetch(remote(NAME, CONTENT), target, Path("~"))
    assert target.read_bytes() == CONTENT


def test_a_data_dir_of_nobody_is_named_with_its_setting(tmp_path, target):
    with pytest.raises(UserError, match="data_dir is ~nosuchuser/data, and the home of that user"):
        fetch(remote(NAME, CONTENT), target, Path("~nosuchuser/data"))


def test_a_data_dir_that_is_gone_is_named_with_its_setting(tmp_path, target):
    with pytest.raises(UserError) as refusal:
        fetch(remote(NAME, CONTENT), target, tmp_path / "disk")
    said = str(refusal.value)
    assert said.startswith(f"data_dir is {tmp_path / 'disk'}, which is no folder; ")
    assert not target.parent.exists()


def test_a_data_dir_that_goes_away_under_a_copy_is_told_from_a_full_disk(
    tmp_path, target, monkeypatch
):
    class Failing(io.BytesIO):
        def read(self, size=-1):
            if self.tell():
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return super().read(1000)

    source, opened = tmp_path / NAME, Path.open
    source.write_bytes(CONTENT)

    def open_(path, *how):
        return Failing(CONTENT) if path == source else opened(path, *how)

    monkeypatch.setattr(Path, "open", open_)
    with pytest.raises(UserError) as refusal:
        fetch(remote(NAME, CONTENT), target, tmp_path)
    said = str(refusal.value)
    assert said.startswith(f"{source} could not be read to its end (Input/output error); ")
    assert "data_dir" in said
    assert "make room" not in said
    assert refusal.value.status == 3
    assert left(target) == []


def test_a_file_missing_in_data_dir_is_named_with_both_places(tmp_path, target):
    (tmp_path / "disk").mkdir()
    with pytest.raises(UserError) as refusal:
        fetch(remote(NAME, CONTENT), target, tmp_path / "disk")
    for place in (tmp_path / "disk" / NAME, tmp_path / "disk" / "cifar10" / NAME):
        assert str(place) in str(refusal.value)
    assert not target.parent.exists()


@pytest.mark.parametrize("content", [CONTENT[:1000], b"", CONTENT + b"x", CONTENT[::-1]])
def test_a_half_or_wrong_file_in_data_dir_is_refused(tmp_path, target, content):
    (tmp_path / NAME).write_bytes(content)
    with pytest.raises(UserError) as refusal:
        fetch(remote(NAME, CONTENT), target, tmp_path)
    assert str(refusal.value).startswith(f"{tmp_path / NAME} is refused")
    assert f"it has {len(content)} bytes" in str(refusal.value)
    assert f"expected were {len(CONTENT)} bytes" in str(refusal.value)
    assert (tmp_path / NAME).read_bytes() == content
    assert left(target) == []


DEBIAN = Path("/usr/share/datasets")


@pytest.mark.skipif(
    not (DEBIAN / "fashion-mnist").is_dir(), reason="Debian's dataset-fashion-mnist is missing"
)
def test_debians_package_is_a_data_dir(tmp_path):
    for file in datasets.get("fashion-mnist").files:
        fetch(file, tmp_path / file.name, DEBIAN)
    assert len(list(tmp_path.iterdir())) == 4


# A disk without room


def test_a_full_disk_under_a_download_gets_one_sentence(server, target):
    target.parent.mkdir()
    part = target.with_name(f"{NAME}.part")
    part.symlink_to("/dev/full")
    with pytest.raises(UserError, match=f"{target} could not be written .*No space left"):
        fetch(served(server), target)
    assert left(target) == []


def test_a_full_disk_under_a_copy_gets_one_sentence(tmp_path, target, monkeypatch):
    def no_room(path):
        yield CONTENT[:1000]
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    (tmp_path / NAME).write_bytes(CONTENT)
    monkeypatch.setattr("ap3.datasets.raw.fetch._pieces", no_room)
    with pytest.raises(UserError, match=f"{target} could not be written .*No space left"):
        fetch(remote(NAME, CONTENT), target, tmp_path)
    assert left(target) == []


def test_a_folder_that_cannot_be_made_gets_one_sentence(server, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"could not be written .*choose another folder"):
        fetch(served(server), tmp_path / "file" / NAME)
