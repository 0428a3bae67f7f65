"""A web server on this machine that serves bytes, with the faults that real ones have."""

import contextlib
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CUT = "cut"  # half of the answer, then the connection closes
STALL = "stall"  # half of the answer, then nothing
BUSY = "busy"  # 503
MISSING = "missing"  # 404


class Server(ThreadingHTTPServer):
    """Serves `files`; each request takes the next of `faults`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.faults: list[str | None] = []
        self.ranges: list[str | None] = []
        self.knows_ranges = True
        self.hold = lambda: None
        self.active = 0
        self.most_active = 0
        self.count = threading.Lock()
        self.over = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        with self.server.count:
            fault = self.server.faults.pop(0) if self.server.faults else None
            self.server.ranges.append(self.headers["Range"])
            self.server.active += 1
            self.server.most_active = max(self.server.most_active, self.server.active)
        self.server.hold()
        # Counted out before the answer: its reader may ask again before we return.
        with self.server.count:
            self.server.active -= 1
        with contextlib.suppress(ConnectionError):
            self._answer(fault)

    def _answer(self, fault: str | None) -> None:
        if fault in (BUSY, MISSING):
            self.send_error(503 if fault == BUSY else 404)
            return
        content = self.server.files[self.path.lstrip("/")]
        start = 0
        if self.server.knows_ranges and self.headers["Range"]:
            start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        body = content[start:]
        # As Apache does for .gz files; the bytes are meant as they are.
        self.send_header("Content-Encoding", "x-gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if fault else body)
        if fault == STALL:
            self.wfile.flush()
            self.server.over.wait(20)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def serve() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        server.shutdown()
        server.server_close()
        thread.join()


def wait_until(condition, seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end and not condition():
        time.sleep(0.005)
    return condition()
