"""Both ends against OpenSSH's sftp-server, sftp and scp, and Paramiko's client, over pipes."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from interop.programs import require
from nacre.errors import NoSuchFile
from nacre.scp.protocol import (
    Accepted,
    DirectoryStart,
    FileEnd,
    FileStart,
    ScpSink,
    ScpSource,
    Times,
    Warned,
)
from nacre.sftp.protocol import extensions as ext
from nacre.sftp.protocol import messages as msg
from nacre.sftp.protocol.attributes import Attributes
from nacre.sftp.protocol.client import Result, SFTPClientProtocol
from nacre.sftp.protocol.messages import OpenFlag
from nacre.sftp.protocol.pipeline import (
    ReadAhead,
    Span,
    Window,
    WriteBehind,
    extents,
    request_sizes,
)
from nacre.sftp.protocol.server import SFTPServerProtocol
from sftp.protocol.memory_files import MemoryFiles

pytestmark = pytest.mark.interop

SFTP_SERVER = "/usr/lib/openssh/sftp-server"
CONTENT = hashlib.shake_256(b"nacre").digest(3_000_001)


class Piped:
    """A program on the other end of two pipes."""

    def __init__(self, *arguments: str, cwd: Path) -> None:
        self.process = subprocess.Popen(
            arguments, cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.stdin, self.stdout = self.process.stdin, self.process.stdout

    def read(self) -> bytes:
        return os.read(self.stdout.fileno(), 1 << 18)

    def write(self, *pieces: bytes | bytearray | memoryview) -> None:
        for piece in pieces:
            self.stdin.write(piece)
        self.stdin.flush()

    def end(self) -> int:
        self.stdin.close()
        status = self.process.wait(30)
        self.stdout.close()
        return status


class Remote:
    """A client over OpenSSH's sftp-server."""

    def __init__(self, piped: Piped) -> None:
        self.piped = piped
        self.client = SFTPClientProtocol()
        self.results: dict[int, Result] = {}
        while not self.client.ready:
            self.step()

    def step(self) -> None:
        self.piped.write(*self.client.data_to_send())
        self.results.update(self.client.receive(self.piped.read()))

    def call(self, request: msg.SFTPRequest[object]) -> Result:
        number = self.client.send(request)
        while number not in self.results:
            self.step()
        result = self.results.pop(number)
        if isinstance(result, OSError):
            raise result
        return result

    def handle(self, path: str, flags: int) -> bytes:
        handle = self.call(msg.Open(path, flags))
        assert isinstance(handle, bytes)
        return handle


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[Remote]:
    piped = Piped(require(SFTP_SERVER), cwd=tmp_path)
    yield Remote(piped)
    assert piped.end() == 0


def test_up_and_down_through_the_pipelines(remote: Remote, tmp_path: Path) -> None:
    limits = (
        remote.call(ext.LimitsRequest()) if remote.client.offers("limits@openssh.com") else None
    )
    assert limits is None or isinstance(limits, ext.ServerLimits)
    read_size, write_size = request_sizes(limits)
    new = OpenFlag.WRITE | OpenFlag.CREAT | OpenFlag.EXCL
    handle = remote.handle("up", new)
    writes = WriteBehind(Window(), extents(0, len(CONTENT)), request=write_size)
    waiting: dict[int, Span] = {}
    view = memoryview(CONTENT)
    while not writes.done:
        while (span := writes.next(0.0)) is not None:
            data = view[span.offset : span.end]
            waiting[remote.client.send_write(handle, span.offset, data)] = span
        remote.step()
        for number, result in remote.results.items():
            assert result is None
            writes.written(waiting.pop(number), 0.0)
        remote.results.clear()
    remote.call(ext.FSync(handle))
    remote.call(msg.Close(handle))
    assert (tmp_path / "up").read_bytes() == CONTENT

    handle = remote.handle("up", OpenFlag.READ)
    got = bytearray(len(CONTENT))
    reads = ReadAhead(Window(), extents(0, None), request=read_size)
    while not reads.done:
        while (span := reads.next(0.0)) is not None:
            waiting[remote.client.send_read(handle, span.offset, span.length)] = span
        remote.step()
        for number, result in remote.results.items():
            span = waiting.pop(number)
            if isinstance(result, list):
                block = b"".join(result)
                got[span.offset : span.offset + len(block)] = block
                reads.received(span, len(block), 0.0)
            else:
                reads.ended(span, 0.0)
        remote.results.clear()
    assert reads.end == len(CONTENT)
    assert got == CONTENT


def test_names_links_and_times(remote: Remote, tmp_path: Path) -> None:
    name = b"new\nline \xff".decode("utf-8", "surrogateescape")
    remote.call(msg.MkDir(name, Attributes(permissions=0o700)))
    remote.call(msg.SymLink("some/target", f"{name}/link"))
    assert os.readlink(tmp_path / name / "link") == "some/target"
    assert remote.call(msg.ReadLink(f"{name}/link")) == "some/target"
    remote.call(ext.LSetStat(f"{name}/link", Attributes(atime=5, mtime=6)))
    assert (tmp_path / name / "link").lstat().st_mtime == 6
    handle = remote.call(msg.OpenDir(name))
    assert isinstance(handle, bytes)
    entries = remote.call(msg.ReadDir(handle))
    assert isinstance(entries, tuple)
    assert {entry.name for entry in entries} == {".", "..", "link"}
    assert remote.call(msg.ReadDir(handle)) is None
    remote.call(msg.Close(handle))
    assert remote.call(msg.RealPath(".")) == str(tmp_path)
    (tmp_path / "f").write_bytes(b"x")
    remote.call(msg.SetStat("f", Attributes(permissions=0o640, atime=7, mtime=8)))
    remote.call(ext.HardLink("f", "g"))
    remote.call(ext.PosixRename("g", "h"))
    found = remote.call(msg.Stat("h"))
    assert isinstance(found, Attributes)
    assert (found.size, found.mtime, (found.permissions or 0) & 0o777) == (1, 8, 0o640)


def test_what_extensions_answer(remote: Remote, tmp_path: Path) -> None:
    found = remote.call(ext.StatVFS("."))
    assert isinstance(found, ext.FileSystemStatus)
    assert found.blocks == os.statvfs(tmp_path).f_blocks
    if remote.client.offers("users-groups-by-id@openssh.com"):
        names = remote.call(ext.UsersGroupsById.of((0, 4_000_000_000), (0,)))
        assert names == (("root", ""), ("root",))
    if remote.client.offers("expand-path@openssh.com"):
        assert remote.call(ext.ExpandPath("~root")) == os.path.expanduser("~root")
    if remote.client.offers("copy-data"):
        (tmp_path / "a").write_bytes(b"0123456789")
        source = remote.handle("a", OpenFlag.READ)
        target = remote.handle("b", OpenFlag.WRITE | OpenFlag.CREAT)
        remote.call(ext.CopyData(source, 2, 0, target, 0))
        assert (tmp_path / "b").read_bytes() == b"23456789"


def test_failures(remote: Remote, tmp_path: Path) -> None:
    with pytest.raises(NoSuchFile) as caught:
        remote.call(msg.Stat("missing"))
    assert caught.value.filename == "missing"
    (tmp_path / "full" / "x").mkdir(parents=True)
    with pytest.raises(OSError, match="Failure"):
        remote.call(msg.RmDir("full"))


def test_openssh_sftp_over_our_server(tmp_path: Path) -> None:
    batch = (
        'get "dir/hello world" down\n'
        "put up /dir/up\n"
        "get /dir/up back\n"
        "mkdir /dir/sub\n"
        "rename /dir/up /dir/sub/up2\n"
        "ln -s /dir/sub/up2 /dir/l\n"
        "df /dir\n"
        "ls -l /dir\n"
        "ls -l /dir/sub\n"
        "rm /dir/sub/up2\n"
        "rmdir /dir/sub\n"
        "-rm /dir/missing\n"
    )
    (tmp_path / "up").write_bytes(CONTENT)
    tests = Path(__file__).parents[2]
    environment = dict(os.environ, PYTHONPATH=f"{tests}:{tests.parent / 'src'}")
    server = f"{sys.executable} {Path(__file__).parent / 'serve_memory.py'}"
    done = subprocess.run(
        [require("sftp"), "-b", "-", "-D", server],
        input=batch,
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "down").read_bytes() == b"hello\n" * 100_000
    assert (tmp_path / "back").read_bytes() == CONTENT
    assert "hello world" in done.stdout
    assert "3000001" in done.stdout
    assert "No such file" in done.stderr


class NamedSocket(socket.socket):
    """A socket that looks like Paramiko's channel."""

    def get_name(self) -> str:
        return "a channel"


def test_paramiko_over_our_server() -> None:
    paramiko = pytest.importorskip("paramiko")
    ours, plain = socket.socketpair()
    theirs = NamedSocket(fileno=plain.detach())
    ours.settimeout(20)
    theirs.settimeout(20)
    files = MemoryFiles()
    server = SFTPServerProtocol()

    def serve() -> None:
        while portion := ours.recv(1 << 16):
            server.receive(portion)
            files.serve(server)
            for piece in server.data_to_send():
                ours.sendall(piece)

    thread = threading.Thread(target=serve)
    thread.start()
    with ours, theirs:
        client = paramiko.SFTPClient(theirs)
        with client.open("/f", "w") as file:
            file.write(CONTENT[:100_000])
        with client.open("/f") as file:
            assert file.read() == CONTENT[:100_000]
            expected = hashlib.sha256(CONTENT[:100_000]).digest()
            assert file.check("sha256") == expected
        assert client.listdir("/") == ["f"]
        assert client.stat("/f").st_size == 100_000
        with pytest.raises(FileNotFoundError):
            client.stat("/missing")
        theirs.shutdown(socket.SHUT_WR)
        thread.join(30)
    assert not thread.is_alive()


def test_openssh_scp_sends_to_our_sink(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "sub" / "empty").touch()
    (tree / "big").write_bytes(CONTENT)
    os.utime(tree / "big", (5, 6))
    piped = Piped(require("scp"), "-r", "-p", "-f", "tree", cwd=tmp_path)
    sink = ScpSink(requested=["tree"], recursive=True, preserve=True)
    files: dict[tuple[str, ...], bytearray] = {}
    times: dict[str, Times | None] = {}
    now: tuple[str, ...] = ()
    while True:
        piped.write(sink.data_to_send())
        while (event := sink.next_event()) is not None:
            if isinstance(event, memoryview):
                files[now] += event
            elif isinstance(event, FileStart):
                now = event.path
                files[now] = bytearray()
                times[now[-1]] = event.times
            if isinstance(event, FileStart | FileEnd | DirectoryStart):
                sink.accept()
                piped.write(sink.data_to_send())
        piped.write(sink.data_to_send())
        if not (portion := piped.read()):
            break
        sink.receive(portion)
    sink.receive_eof()
    assert piped.end() == 0
    assert files == {("tree", "big"): CONTENT, ("tree", "sub", "empty"): b""}
    assert times["big"] == Times(mtime=6, atime=5)


def test_openssh_scp_takes_from_our_source(tmp_path: Path) -> None:
    piped = Piped(require("scp"), "-r", "-p", "-t", ".", cwd=tmp_path)
    source = ScpSource()

    def answer() -> list[object]:
        piped.write(*source.data_to_send())
        events: list[object] = []
        while not (events or source.ready):
            events += source.receive(piped.read())
            piped.write(*source.data_to_send())
        return events

    assert answer() == []
    source.send_directory("tree", 0o750, Times(1, 2))
    assert answer() == [Accepted()]
    source.send_file("big", 0o640, len(CONTENT), Times(3, 4))
    assert answer() == [Accepted()]
    source.send_data(CONTENT)
    source.finish_file()
    assert answer() == [Accepted()]
    (tmp_path / "tree" / "dir").mkdir()
    source.send_file("dir", 0o640, 4)
    assert isinstance(answer()[0], Warned)
    source.leave_directory()
    assert answer() == [Accepted()]
    source.receive_eof()
    assert piped.end() == 1
    big = tmp_path / "tree" / "big"
    assert big.read_bytes() == CONTENT
    assert (big.stat().st_mtime, big.stat().st_mode & 0o777) == (3, 0o640)
    assert (tmp_path / "tree").stat().st_mtime == 1
