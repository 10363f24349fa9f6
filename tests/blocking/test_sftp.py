"""Files of a server without await, and through fsspec."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import nacre
import nacre.blocking

PASSWORD = "open sesame"
CONTENT = hashlib.shake_256(b"blocking").digest(1_500_001)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[nacre.blocking.Server]:
    (tmp_path / "root").mkdir()
    with nacre.blocking.listen(
        host_keys=[nacre.generate("ssh-ed25519")],
        policy=nacre.Users({"alice": PASSWORD}),
        handler=lambda session: None,
        sftp=lambda session: nacre.LocalFilesystem(tmp_path / "root"),
        log=lambda record: None,
    ) as server:
        yield server


OPTIONS: dict[str, Any] = {
    "user": "alice",
    "password": PASSWORD,
    "keys": [],
    "agent": False,
    "trust": nacre.AnyHostKey(),
}


@pytest.fixture
def sftp(server: nacre.blocking.Server) -> Iterator[nacre.blocking.SFTPClient]:
    with nacre.blocking.connect("127.0.0.1", server.port, **OPTIONS) as ssh, ssh.sftp() as sftp:
        yield sftp


def test_files_are_those_of_io(sftp: nacre.blocking.SFTPClient) -> None:
    with sftp.open("/f", "wb") as file:
        assert isinstance(file, io.BufferedWriter)
        shutil.copyfileobj(io.BytesIO(CONTENT), file, 100_000)
    with sftp.open("/f", "rb") as file:
        assert isinstance(file, io.BufferedReader)
        assert hashlib.file_digest(file, "sha256").digest() == hashlib.sha256(CONTENT).digest()
    with sftp.open("/f", "r+b") as file:
        file.seek(1000)
        file.write(b"here")
        file.seek(-10, os.SEEK_END)
        assert file.read() == CONTENT[-10:]
        file.seek(998)
        assert file.read(8) == CONTENT[998:1000] + b"here" + CONTENT[1004:1006]
    with sftp.open("/f", "rb", buffering=0) as raw:
        assert isinstance(raw, io.RawIOBase)
        assert raw.read(5) == CONTENT[:5]
    assert raw.closed


def test_zip_files_are_written_and_read(sftp: nacre.blocking.SFTPClient) -> None:
    with sftp.open("/z.zip", "wb") as file, zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a", "text" * 1000)
        archive.writestr("b", CONTENT)
    with sftp.open("/z.zip", "rb") as file, zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        assert archive.read("b") == CONTENT


def test_text(sftp: nacre.blocking.SFTPClient) -> None:
    with sftp.open("/t", "w", newline="\r\n") as file:
        print("äöü\nline", file=file)
    assert sftp.read_bytes("/t") == "äöü\r\nline\r\n".encode()
    with sftp.open("/t") as file:
        assert file.readlines() == ["äöü\n", "line\n"]
    with sftp.open("/t", "a") as file:
        file.write("more")
    assert sftp.read_text("/t").endswith("more")
    with pytest.raises(ValueError, match="binary mode"):
        sftp.open("/t", "rb", encoding="utf-8")
    with pytest.raises(FileNotFoundError) as caught:
        sftp.open("/none")
    assert caught.value.filename == "/none"


def test_the_names_of_os(sftp: nacre.blocking.SFTPClient, tmp_path: Path) -> None:
    sftp.makedirs("/a/b")
    sftp.write_text("/a/f", "x")
    assert sorted(entry.name for entry in sftp.scandir("/a")) == ["b", "f"]
    assert [top for top, _, _ in sftp.walk("/a")] == ["/a", "/a/b"]
    for entry in sftp.scandir("/a"):  # Left early: the handle is closed all the same.
        assert entry.stat().st_mtime > 0
        break
    sftp.chmod("/a/f", 0o600)
    assert stat.S_IMODE(sftp.stat("/a/f").st_mode) == 0o600
    (tmp_path / "here").write_bytes(CONTENT)
    sftp.put(tmp_path / "here", "/a", verify=True)
    sftp.copy("/a/here", "/a/there")
    sftp.get("/a/there", tmp_path / "back", atomic=True)
    assert (tmp_path / "back").read_bytes() == CONTENT
    assert sftp.glob("/a/*here") == ["/a/here", "/a/there"]
    sftp.rmtree("/a")
    assert not sftp.exists("/a")


def test_the_options_of_a_session(server: nacre.blocking.Server) -> None:
    with nacre.blocking.connect("127.0.0.1", server.port, **OPTIONS) as ssh:
        with ssh.sftp(read_size=4096, window=8192, idle_timeout=5) as sftp:
            session = sftp.session
            assert (session.read_size, session.write_size) == (4096, 4096)
            assert (session.window.limit, session.window.ceiling) == (8192, 8192)
            assert session._watch.timeout == 5
            sftp.write_bytes("f", CONTENT)
            assert sftp.read_bytes("f") == CONTENT
        with ssh.sftp() as sftp:
            assert sftp.session._watch.timeout == 120
        with pytest.raises(ValueError, match="idle_timeout is 0"):
            ssh.sftp(idle_timeout=0)


def test_text_for_bytes_and_bytes_for_text_are_refused_and_change_nothing(
    sftp: nacre.blocking.SFTPClient,
) -> None:
    sftp.write_text("f", "before")
    for call, message in (
        (lambda: sftp.write_bytes("f", "x"), "must be bytes, not str: encode it"),  # type: ignore[arg-type]
        (lambda: sftp.write_text("f", b"x"), "must be str, not bytes: decode it"),  # type: ignore[arg-type]
        (lambda: sftp.glob(b"*"), "pattern must be str, not bytes"),  # type: ignore[arg-type]
    ):
        with pytest.raises(TypeError, match=message):
            call()
    assert sftp.read_text("f") == "before"
    with sftp.open("f", "r+b", buffering=0) as raw, pytest.raises(TypeError, match="encode it"):
        raw.write("x")
