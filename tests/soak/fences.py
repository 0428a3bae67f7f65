"""What a reader of files may do at most, held against what it does."""

import os
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_MEGABYTE = 1 << 20
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGING = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.chmod")
_CHANGING += ("os.chown", "os.truncate", "os.mkfifo", "os.mknod", "os.utime")
_RUNNING = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "socket.connect")

_inside: list[Path] = []  # folders that may be written to, while somebody watches
_crossed: list[str] = []


@contextmanager
def writing_only_to(folder: Path) -> Iterator[None]:
    """Fail if Python writes to another place than `folder` within the `with` block, or starts code.

    There it may open hidden files alone for writing, which is what is renamed once it is whole.
    """
    if _watch not in _watching:
        sys.addaudithook(_watch)
        _watching.append(_watch)
    bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    _crossed.clear()
    _inside.append(folder.resolve())
    try:
        yield
    finally:
        _inside.pop()
        sys.dont_write_bytecode = bytecode
    assert not _crossed, _crossed


_watching: list[Any] = []


def _watch(event: str, given: tuple[Any, ...]) -> None:
    if not _inside:
        return
    if event in _RUNNING:
        _crossed.append(f"{event} {given}")
    elif event in _CHANGING or (event == "open" and given[2] & _WRITING):
        places = given[:2] if event in ("os.rename", "os.link", "os.symlink") else given[:1]
        for place in places:
            if isinstance(place, str | bytes | os.PathLike):
                _check(event, Path(os.fsdecode(place)))


def _check(event: str, place: Path) -> None:
    path = place.parent.resolve() / place.name
    inside = path == _inside[-1] or _inside[-1] in path.parents
    hidden = event != "open" or path.name.startswith(".") or path.is_dir()
    if not (inside and hidden) and path != Path(os.devnull):
        _crossed.append(f"{event} {path}")


@contextmanager
def memory(megabytes: int) -> Iterator[None]:
    """Let this process take no more memory than so much above what it has."""
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (_taken() + megabytes * _MEGABYTE, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


@contextmanager
def seconds(most: float) -> Iterator[None]:
    """Fail once this process has computed for so long within the `with` block."""

    def over(*_: object) -> None:
        raise AssertionError(f"it took over {most} seconds of the processor")

    before = signal.signal(signal.SIGPROF, over)
    signal.setitimer(signal.ITIMER_PROF, most)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _taken() -> int:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    [line] = [line for line in status.splitlines() if line.startswith("VmData:")]
    return int(line.split()[1]) * 1024
