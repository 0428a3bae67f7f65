"""One raw file, from `data_dir` or from the network, named only after its digest was checked."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from ap3.datasets.checksum import check, matches
from ap3.datasets.download import complete
from ap3.datasets.sources import RemoteFile
from ap3.datasets.turn import turn
from ap3.errors import UserError
from ap3.storage import write_atomically


def fetch(file: RemoteFile, target: Path, data_dir: Path | None = None) -> None:
    """Put `file` at `target`: a copy out of `data_dir` where that is given, else a download.

    A download goes on where an earlier one stopped, tries again after faults that may pass, and
    waits while another process of this user downloads from the same host.

    Raises
    ------
    UserError
        If the file is missing, cannot be downloaded, or has another digest than it should.
    """
    if data_dir is None:
        _download(file, target)
    else:
        _copy(file, _find(file, data_dir.expanduser()), target)


def _find(file: RemoteFile, data_dir: Path) -> Path:
    places = (data_dir / file.dataset / file.name, data_dir / file.name)
    for place in places:
        if place.is_file():
            return place
    raise UserError(
        f"data_dir has no {file.name}: neither {places[0]} nor {places[1]} is a file; put it there "
        f"(it comes from {file.url}), or leave data_dir empty to download it."
    )


def _copy(file: RemoteFile, source: Path, target: Path) -> None:
    def write(copy: Path) -> None:
        shutil.copyfile(source, copy)
        # The copy is checked, since the source may change while it is read.
        check(copy, file, origin=source)

    write_atomically(target, write)


def _download(file: RemoteFile, target: Path) -> None:
    part = target.with_name(f"{target.name}.part")
    with _disk_faults_explained(target, part), turn(urlsplit(file.url).netloc):
        # Whoever held the turn before may have brought it.
        if matches(target, file):
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        complete(file, part)
        try:
            check(part, file, origin=file.url)
        except UserError:
            part.unlink()
            raise
        part.replace(target)


@contextmanager
def _disk_faults_explained(target: Path, part: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC:
            part.unlink(missing_ok=True)
        raise UserError(
            f"{target} could not be written ({error}); make room, or choose another folder."
        ) from error
