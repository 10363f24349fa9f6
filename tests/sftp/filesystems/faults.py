"""A server between a client of S3 and its server, which gets things wrong as it is told."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from nacre.limits import MIB
from nacre.sftp.filesystems.fsspec import FsspecFilesystem
from nacre.sftp.protocol.attributes import Attributes
from nacre.sftp.protocol.messages import OpenFlag
from sftp.filesystems.objects import object_store

ALWAYS = 1_000_000

_OVER = 60.0
"""Seconds after which a silent answer ends all the same."""


@dataclass
class Fault:
    """What goes wrong with a request.

    :ivar kind: an HTTP status; or ``silent``, ``drop`` (the connection ends without an answer) or
        ``cut`` (it ends in the middle of the answer's body).
    :ivar method: the request's method.
    :ivar text: what the request's path has in it.
    :ivar times: how many requests still go wrong.
    :ivar after: how many go right before.
    """

    kind: int | str
    method: str
    text: str = ""
    times: int = ALWAYS
    after: int = 0
    seen: int = 0

    def meets(self, method: str, path: str) -> bool:
        if method != self.method or self.text not in path:
            return False
        self.seen += 1
        if self.seen <= self.after or self.times <= 0:
            return False
        self.times -= 1
        return True


@dataclass
class Between:
    """The server: its port, its faults, and the requests that came."""

    behind: tuple[str, int]
    port: int = 0
    faults: list[Fault] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def fault_of(self, method: str, path: str) -> int | str | None:
        with self.lock:
            self.requests.append((method, path))
            return next((one.kind for one in self.faults if one.meets(method, path)), None)

    def count(self, method: str, text: str = "") -> int:
        with self.lock:
            return sum(one[0] == method and text in one[1] for one in self.requests)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    between: Between

    def log_message(self, format: str, *words: Any) -> None:
        pass

    def _serve(self) -> None:
        kind = self.between.fault_of(self.command, self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if kind == "silent":
            self.between.over.wait(_OVER)
        if kind in ("silent", "drop"):
            self.close_connection = True
        elif isinstance(kind, int):
            self._refuse(kind)
        else:
            self._pass(body, cut=kind == "cut")

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _serve

    def _refuse(self, status: int) -> None:
        code = {500: "InternalError", 503: "SlowDown"}[status]
        text = f"<Error><Code>{code}</Code><Message>not now</Message></Error>".encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    def _pass(self, body: bytes, *, cut: bool) -> None:
        there = HTTPConnection(*self.between.behind, timeout=_OVER)
        try:
            there.request(self.command, self.path, body, dict(self.headers))
            answer = there.getresponse()
            content = answer.read()
        finally:
            there.close()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "connection", "date", "server"):
                self.send_header(name, value)
        if answer.getheader("Content-Length") is None:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            with suppress(OSError):
                self.wfile.write(content[: len(content) // 2] if cut else content)
        self.close_connection = self.close_connection or cut


@contextmanager
def between(behind: tuple[str, int]) -> Iterator[Between]:
    """Serve on a port of the system's choice in front of the server ``behind``."""
    made = Between(behind)
    handler = type("Handler", (_Handler,), {"between": made})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    made.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.over.set()
        server.shutdown()
        server.server_close()
        thread.join(30)


class Faulty:
    """A prefix of a bucket, seen through a server with faults; ``behind`` sees it without."""

    def __init__(self, middle: Between, **config: Any) -> None:
        import s3fs

        self.middle = middle
        self.behind = object_store()
        self.bucket = uuid.uuid4().hex
        self.behind.mkdir(self.bucket)
        client = s3fs.S3FileSystem(
            endpoint_url=middle.url, skip_instance_cache=True, config_kwargs=config
        )
        self.files: Any = FsspecFilesystem(client, f"{self.bucket}/prefix")

    def fail(self, kind: int | str, method: str, text: str = "", **more: int) -> None:
        self.middle.faults.append(Fault(kind, method, text, **more))

    def there(self) -> list[str]:
        self.behind.invalidate_cache()
        start = f"{self.bucket}/prefix/"
        return sorted(name.removeprefix(start) for name in self.behind.find(self.bucket))

    def open_uploads(self) -> list[Any]:
        found = self.behind.call_s3("list_multipart_uploads", Bucket=self.bucket)
        return list(found.get("Uploads", []))

    def put(self, path: str, content: bytes) -> None:
        self.behind.pipe_file(f"{self.bucket}/prefix/{path}", content)


def read(files: Any, path: str) -> bytes:
    """Return what is in a file."""
    file = files.open(path, OpenFlag.READ, Attributes())
    try:
        return bytes(file.pread(64 * MIB, 0))
    finally:
        file.close()
