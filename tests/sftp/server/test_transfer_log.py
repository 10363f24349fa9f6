"""The lines of a session, beside those of OpenSSH's sftp-server."""

from __future__ import annotations

import getpass
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from nacre.config.values import LogLevel
from nacre.sftp.filesystems.local import SystemFilesystem
from nacre.sftp.protocol import extensions as ext
from nacre.sftp.protocol import messages as msg
from nacre.sftp.protocol.attributes import Attributes
from nacre.sftp.protocol.client import SFTPClientProtocol
from nacre.sftp.protocol.messages import OpenFlag
from nacre.sftp.server.restrictions import parse
from nacre.sftp.server.transfer_log import TransferLog, level_of_operation
from sftp.server.requests import handle, serve_piped

OPENSSH = "/usr/lib/openssh/sftp-server"
NEW = int(OpenFlag.READ | OpenFlag.WRITE | OpenFlag.CREAT | OpenFlag.TRUNC)
READ = int(OpenFlag.READ)
ALL = Attributes(size=3, permissions=0o640, atime=1, mtime=2)
FILE, DIRECTORY, AGAIN = (-1).to_bytes(8, signed=True), b"directory", b"again"
"""Stand for the handles, which differ between servers."""

# A request, and what stands for the handle that it opens.
TALK: list[tuple[msg.SFTPRequest[Any], bytes]] = [
    (msg.RealPath("."), b""),
    (msg.Open("file", NEW, Attributes(permissions=0o644)), FILE),
    (msg.Write(FILE, 0, b"hello"), b""),
    (msg.Write(FILE, 5, b"world"), b""),
    (msg.Read(FILE, 0, 7), b""),
    (msg.FSetStat(FILE, ALL), b""),
    (ext.FSync(FILE), b""),
    (msg.FStat(FILE), b""),
    (msg.Close(FILE), b""),
    (msg.SetStat("file", ALL), b""),
    (ext.LSetStat("file", Attributes(atime=1, mtime=3)), b""),
    (msg.Open("none", READ), b""),
    (msg.Open("file", int(OpenFlag.WRITE | OpenFlag.APPEND | OpenFlag.EXCL)), AGAIN),
    (msg.OpenDir("."), DIRECTORY),
    (msg.ReadDir(DIRECTORY), b""),
    (msg.ReadDir(DIRECTORY), b""),
    (msg.Close(DIRECTORY), b""),
    (msg.MkDir("new", Attributes()), b""),
    (msg.MkDir("new", Attributes(permissions=0o750)), b""),
    (msg.Rename("file", "new/file"), b""),
    (ext.PosixRename("new/file", "file"), b""),
    (ext.HardLink("file", "other"), b""),
    (msg.SymLink("file", "link"), b""),
    (msg.ReadLink("link"), b""),
    (msg.Stat("link"), b""),
    (msg.LStat("none"), b""),
    (msg.Remove("other"), b""),
    (msg.Remove("other"), b""),
    (msg.RmDir("new"), b""),
    (ext.StatVFS("."), b""),
    (ext.ExpandPath("~daemon/x"), b""),
    (ext.HomeDirectory(getpass.getuser()), b""),
    (msg.FStat(b"none"), b""),
]


def with_handles(request: Any, handles: dict[bytes, bytes]) -> Any:
    if not request.HANDLES:
        return request
    fields = {name: getattr(request, name) for name in type(request).__match_args__}
    return type(request)(**{**fields, "handle": handles.get(fields["handle"], b"none")})


class Lines:
    def __init__(self, level: LogLevel) -> None:
        self.found: list[tuple[LogLevel, str]] = []
        self.journal = TransferLog(lambda *line: self.found.append(line), level)

    @property
    def texts(self) -> list[str]:
        return [text for _, text in self.found]


def openssh_lines(where: Path, level: str) -> list[str]:
    """Have OpenSSH's server carry out the talk; return what it logs between its first and last."""
    client = SFTPClientProtocol()
    with subprocess.Popen(
        [OPENSSH, "-e", "-l", level],
        cwd=where,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None

        def until(number: int | None) -> Any:
            for piece in client.data_to_send():
                process.stdin.write(piece)  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]
            while True:
                results = dict(client.receive(os.read(process.stdout.fileno(), 1 << 20)))  # type: ignore[union-attr]
                if number is None:
                    return None
                if number in results:
                    return results[number]

        until(None)
        handles: dict[bytes, bytes] = {}
        for request, opens in TALK:
            result = until(client.send(with_handles(request, handles)))
            if opens:
                handles[opens] = result
        process.stdin.close()
        lines = process.stderr.read().decode().split("\r\n")
    kept = [line for line in lines if line and not line.startswith("received client version")]
    assert kept[0].startswith("session opened for local user ")
    assert kept[-1].startswith("session closed for local user ")
    return kept[1:-1]


def own_lines(where: Path, level: LogLevel) -> list[str]:
    lines = Lines(level)
    filesystem = SystemFilesystem(str(where))
    numbers = iter(range(1, 10))
    handles: dict[bytes, bytes] = {}
    portions: list[Sequence[Any]] = []
    for request, opens in TALK:
        portions.append([with_handles(request, handles)])
        if opens:
            handles[opens] = handle(next(numbers))
    serve_piped(filesystem, lines.journal, *portions)
    filesystem.close()
    return lines.texts


@pytest.mark.skipif(not os.path.exists(OPENSSH), reason="OpenSSH's sftp-server is not installed")
@pytest.mark.parametrize("level", [LogLevel.INFO, LogLevel.VERBOSE], ids=["info", "verbose"])
def test_lines_are_those_of_openssh(tmp_path: Path, level: LogLevel) -> None:
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    theirs.mkdir()
    ours.mkdir()
    found = own_lines(ours, level)
    if level is LogLevel.VERBOSE:  # OpenSSH logs the status alone
        found.remove("Refusing fstat request: no such handle is open")
    assert found == openssh_lines(theirs, level.name)
    assert 'close "file" bytes read 7 written 10' in found
    assert found[-1] == 'forced close "file" bytes read 0 written 0'


def test_errors_alone_are_logged_by_default(tmp_path: Path) -> None:
    lines = Lines(LogLevel.ERROR)
    serve_piped(SystemFilesystem(str(tmp_path)), lines.journal, [msg.Remove("none")])
    lines.journal.lost("write", "a\nb", OSError(28, "No space left on device"))
    lines.journal.broken(ValueError("what\x1b"))
    lines.journal.no_start("/none", OSError(2, "No such file"))
    assert lines.found == [
        (LogLevel.ERROR, 'write "a\\x0ab": No space left on device'),
        (LogLevel.FATAL, "what\\x1b"),
        (LogLevel.ERROR, 'chdir to "/none" failed: No such file'),
    ]


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["-R"], "Refusing mkdir request in read-only mode"),
        (["-P", "mkdir"], "Refusing denylisted mkdir request"),
        (["-p", "stat"], "Refusing non-allowlisted mkdir request"),
    ],
    ids=["read-only", "denied", "not-allowed"],
)
def test_a_refused_request_is_logged_in_the_words_of_openssh(
    tmp_path: Path, options: list[str], line: str
) -> None:
    lines = Lines(LogLevel.VERBOSE)
    restrictions = parse(options)
    filesystem = SystemFilesystem(str(tmp_path))
    serve_piped(filesystem, lines.journal, [msg.MkDir("new")], restrictions=restrictions)
    assert lines.texts == [line, "sent status Permission denied"]
    assert list(tmp_path.iterdir()) == []


def test_the_level_of_an_operation_is_that_of_its_line() -> None:
    for name in ("open", "close", "setstat", "posix-rename@openssh.com"):
        assert level_of_operation(name) == LogLevel.INFO
    for name in ("stat", "realpath", "fsync@openssh.com", "unknown"):
        assert level_of_operation(name) == LogLevel.VERBOSE
