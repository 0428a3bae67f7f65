"""HTTP that does not give up easily: goes on where it stopped, tries again, with longer waits."""

import sys
import time
from pathlib import Path

import requests
import urllib3

from ap3.datasets.raw.progress import progress
from ap3.datasets.sources import RemoteFile
from ap3.errors import DownloadError

# A server is given up after as many failures in a row that brought nothing new.
_TRIES = 5
_FIRST_WAIT = 1.0  # seconds, doubled after each failure
_TIMEOUT = (10.0, 60.0)  # seconds to connect, and between two pieces
_PIECE = 2**16
_PASSING = (408, 425, 429, 500, 502, 503, 504)


def complete(file: RemoteFile, part: Path) -> None:
    """Download into `part` whatever it lacks of `file`.

    Raises
    ------
    UserError
        If the server cannot be reached, or does not serve the file.
    """
    failures, furthest = 0, _size(part)
    while file.size is None or _size(part) < file.size:
        try:
            _receive(file, part)
            return
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            failures = failures + 1 if _size(part) <= furthest else 1
            furthest = max(furthest, _size(part))
            if failures == _TRIES or not _may_pass(error):
                raise DownloadError(
                    f"{file.name} could not be downloaded from {file.url} ({_cause(error)}); check "
                    "the connection, or put the file into a folder and name that as data_dir."
                ) from error
            wait = _FIRST_WAIT * 2 ** (failures - 1)
            print(f"{file.name}: {_cause(error)}; next try in {wait:g} s", file=sys.stderr)
            time.sleep(wait)


def _receive(file: RemoteFile, part: Path) -> None:
    """Append to `part` what follows in one answer of the server."""
    have = _size(part)
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with requests.get(file.url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
        if have and response.status_code == requests.codes.requested_range_not_satisfiable:
            return  # nothing follows; the digest tells whether the part is the file
        response.raise_for_status()
        resumed = response.status_code == requests.codes.partial_content
        have = have if resumed else 0
        follows = int(response.headers.get("Content-Length", sys.maxsize))
        size = have + follows if file.size is None else file.size
        how = "ab" if resumed else "wb"
        with part.open(how) as stream, progress(file.name, size, have) as advance:
            for piece in response.raw.stream(_PIECE, decode_content=False):
                stream.write(piece)
                advance(len(piece))
                # Enough to fail the check, however much more the server would send.
                if stream.tell() > size:
                    return


def _may_pass(error: Exception) -> bool:
    response = getattr(error, "response", None)
    return response is None or response.status_code in _PASSING


def _cause(error: Exception) -> str:
    response = getattr(error, "response", None)
    if response is not None:
        return f"the server answered {response.status_code} {response.reason}"
    missed = isinstance(error, requests.RequestException)
    return f"{'no connection' if missed else 'the connection broke off'}, {type(error).__name__}"


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
