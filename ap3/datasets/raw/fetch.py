"""One raw file, from `data_dir` or from the network, named only after its digest was checked."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from ap3.datasets.raw.checksum import check, matches
from ap3.datasets.raw.download import complete
from ap3.datasets.raw.turn import turn
from ap3.datasets.sources import RemoteFile
from ap3.errors import MissingFileError, SystemRefusedError, UserError
from ap3.files.storage import write_atomically

_PIECE = 1 << 20  # bytes


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
        _copy(file, _find(file, _in_full(data_dir)), target)


def _in_full(data_dir: Path) -> Path:
    try:
        return data_dir.expanduser()
    except RuntimeError as error:
        raise MissingFileError(
            f"data_dir is {data_dir}, and the home of that user is not known; write it in full."
        ) from error


def _find(file: RemoteFile, data_dir: Path) -> Path:
    if not data_dir.is_dir():
        raise MissingFileError(
            f"data_dir is {data_dir}, which is no folder; bring it back (is its disk mounted?), "
            f"correct it, or leave it empty to download {file.name}."
        )
    places = (data_dir / file.dataset / file.name, data_dir / file.name)
    for place in places:
        if place.is_file():
            return place
    raise MissingFileError(
        f"data_dir has no {file.name}: neither {places[0]} nor {places[1]} is a file; put it there "
        f"(it comes from {file.url}), or leave data_dir empty to download it."
    )


def _copy(file: RemoteFile, source: Path, target: Path) -> None:
    def write(copy: Path) -> None:
        with copy.open("wb") as stream:
            for piece in _pieces(source):
                stream.write(piece)
        # The copy is checked, since the source may change while it is read.
        check(copy, file, origin=source)

    write_atomically(target, write)


def _pieces(source: Path) -> Iterator[bytes]:
    """Read a file of data_dir, which may be a disk that goes away; its faults are not the copy's."""
    try:
        with source.open("rb") as stream:
            while piece := stream.read(_PIECE):
                yield piece
    except OSError as error:
        raise SystemRefusedError(
            f"{source} could not be read to its end ({error.strerror}); see that data_dir is still "
            "there and can be read, or leave data_dir empty to download the file."
        ) from error


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
    except UserError:
        raise
    except OSError as error:
        if error.errno == errno.ENOSPC:
            part.unlink(missing_ok=True)
        raise SystemRefusedError(
            f"{target} could not be written ({error.strerror or error}); make room there, or "
            "choose another folder that can be written to."
        ) from error
