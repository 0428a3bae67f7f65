"""What a job took: a line at the end of its log, and the way back from a log to numbers."""

import re
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Self

from ap3 import __version__
from ap3.machine.terminal import LONG, wheel

_PACKAGES = ("numpy", "scipy", "pandas", "matplotlib", "torch", "torchvision")
_LINE = re.compile(
    r"^ap3 (?P<stage>\w+): (?P<seconds>[\d.]+) s, (?P<megabytes>\d+) MB, on (?P<device>.+?)"
    r"; (?P<versions>.+)$",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Record:
    r"""One job: seconds of wall time, peak memory of the process in MB, where it ran, with what.

    >>> text = str(Record("prune", 1.25, 310, "cpu", {"Python": "3.12.1", "numpy": "2.1.0"}))
    >>> text
    'ap3 prune: 1.2 s, 310 MB, on cpu; Python 3.12.1, numpy 2.1.0'
    >>> Record.last(f"other words\n{text}\n").versions["numpy"]
    '2.1.0'
    """

    stage: str
    seconds: float
    megabytes: int
    device: str
    versions: dict[str, str]

    def __str__(self) -> str:
        versions = ", ".join(f"{name} {number}" for name, number in self.versions.items())
        took = f"{self.seconds:.1f} s, {self.megabytes} MB, on {self.device}"
        return f"ap3 {self.stage}: {took}; {versions}"

    @classmethod
    def now(cls, stage: str, seconds: float) -> Self:
        """Record this process, which has worked on `stage`."""
        import platform

        loaded = [name for name in _PACKAGES if name in sys.modules]
        versions = {"ap3": __version__, "Python": platform.python_version()}
        versions |= {name: sys.modules[name].__version__ for name in loaded}
        kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return cls(stage, seconds, kilobytes // 1000, _device(), versions)

    @classmethod
    def last(cls, log: str) -> Self | None:
        """Read the last record of a log, or nothing where it has none."""
        found = list(_LINE.finditer(log))
        if not found:
            return None
        stage, seconds, megabytes, device, listed = found[-1].groups()
        versions = dict(entry.rsplit(" ", 1) for entry in listed.split(", "))
        return cls(stage, float(seconds), int(megabytes), device, versions)


def recorded(stage: Callable[..., None]) -> Callable[..., None]:
    """Let a stage end its log with what it took."""

    @wraps(stage)
    def run(*given: Any, **options: Any) -> None:
        start = time.monotonic()
        stage(*given, **options)
        if not sys.stderr.isatty():
            print(Record.now(stage.__name__, time.monotonic() - start), file=sys.stderr)

    return timed(run)


def timed(command: Callable[..., None]) -> Callable[..., None]:
    """Turn a wheel on a terminal while a command works, and say how long it took if that was long."""

    @wraps(command)
    def run(*given: Any, **options: Any) -> None:
        start = time.monotonic()
        with wheel(f"ap3 {command.__name__}"):
            command(*given, **options)
        seconds = time.monotonic() - start
        if sys.stderr.isatty() and seconds > LONG:
            print(f"{command.__name__}: done in {seconds:.1f} s", file=sys.stderr)

    return run


def _device() -> str:
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return "cpu"
    peak = torch.cuda.max_memory_allocated() // 1_000_000
    return f"{torch.cuda.get_device_name()} ({peak} MB)"
