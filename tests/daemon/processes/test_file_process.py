"""The process that serves the files of another account."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import nacre
from daemon.conftest import SystemAccount
from nacre.daemon.processes.file_process import FileRoot, command_line, environment
from nacre.errors import NoSuchFile, SFTPError
from nacre.sftp.protocol import messages as msg
from nacre.sftp.protocol.client import SFTPClientProtocol
from nacre.sftp.protocol.messages import OpenFlag
from nacre.sftp.server.restrictions import DENIED, READ_ONLY, SFTPRestrictions, parse_command

OWN = (os.geteuid(), os.getegid(), tuple(os.getgroups()))
pytestmark = pytest.mark.slow
CHANGE = int(OpenFlag.READ | OpenFlag.WRITE | OpenFlag.CREAT)


class Talk:
    """A client of a service's pipes."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.process, self.up, self.down = process, process.stdin, process.stdout
        self.client = SFTPClientProtocol()
        self.results: dict[int, Any] = {}
        self.flush()
        while not self.client.ready:
            self.take()

    def flush(self) -> None:
        for piece in self.client.data_to_send():
            self.up.write(piece)
        self.up.flush()

    def take(self) -> None:
        data = os.read(self.down.fileno(), 1 << 20)
        assert data, "the service ended"
        self.results.update(self.client.receive(data))

    def result(self, number: int) -> Any:
        while number not in self.results:
            self.take()
        result = self.results.pop(number)
        if isinstance(result, OSError):
            raise result
        return b"".join(result) if isinstance(result, list) else result

    def call(self, request: msg.SFTPRequest[Any]) -> Any:
        number = self.client.send(request)
        self.flush()
        return self.result(number)


@contextmanager
def started(
    files: FileRoot,
    rights: tuple[int, int, tuple[int, ...]] = OWN,
    command: bytes | None = None,
    peer: str = "",
    **more: Any,
) -> Iterator[subprocess.Popen[bytes]]:
    variables = {**environment(files, command, rights, peer), **more.pop("env", {})}
    process = subprocess.Popen(
        command_line(files),
        env=variables,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **more,
    )
    try:
        with process:
            yield process
            assert process.stdin is not None
            if not process.stdin.closed:
                process.stdin.close()
            process.wait(10)
    finally:
        if process.poll() is None:
            process.kill()


def below(root: Path | str, **more: Any) -> FileRoot:
    return FileRoot(root=str(root), home="/", user="alice", **more)


def rights_of(account: SystemAccount) -> tuple[int, int, tuple[int, ...]]:
    entry = pwd.getpwnam(account.name)
    return entry.pw_uid, entry.pw_gid, (entry.pw_gid,)


@pytest.fixture
def unreadable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of nacre that its owner alone may read; services are started from it."""
    here = tmp_path / "private"
    here.mkdir(mode=0o700)
    package = Path(nacre.__file__).parent
    shutil.copytree(package, here / "nacre", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(nacre, "__file__", str(here / "nacre" / "__init__.py"))


def test_files(tmp_path: Path) -> None:
    content = os.urandom(3_000_000)
    with started(below(tmp_path)) as process:
        talk = Talk(process)
        handle = talk.call(msg.Open("file", CHANGE))
        step = 200_000
        numbers = []
        for start in range(0, len(content), step):
            numbers.append(talk.client.send_write(handle, start, content[start : start + step]))
            talk.flush()
        for number in numbers:
            talk.result(number)
        assert (tmp_path / "file").read_bytes() == content
        numbers = [talk.client.send_read(handle, at, step) for at in range(0, 3_200_000, step)]
        talk.flush()
        assert b"".join(talk.result(number) or b"" for number in numbers) == content
        directory = talk.call(msg.OpenDir("."))
        assert {e.name for e in talk.call(msg.ReadDir(directory))} == {".", "..", "file"}
        assert talk.call(msg.ReadDir(directory)) is None
        with pytest.raises(NoSuchFile):
            talk.call(msg.Stat("../etc/passwd"))
    assert process.returncode == 0


def test_the_order_of_a_link_depends_on_the_client(tmp_path: Path) -> None:
    for peer, first, second in (
        ("SSH-2.0-OpenSSH_9.2", "target", "/a"),
        ("SSH-2.0-libssh_0.10.4", "/b", "target"),
    ):
        with started(below(tmp_path), peer=peer) as process:
            talk = Talk(process)
            talk.call(msg.SymLink(first, second))
    assert {path.name: os.readlink(path) for path in tmp_path.iterdir()} == {
        "a": "target",
        "b": "target",
    }


def test_rights(system_account: SystemAccount, tmp_path: Path) -> None:
    rights = rights_of(system_account)
    private = tmp_path / "private"
    private.write_bytes(b"root's")
    private.chmod(0o600)
    whole = FileRoot(root=None, home=str(system_account.home), user=system_account.name)
    with started(whole, rights) as process:
        status = Path(f"/proc/{process.pid}/status")
        talk = Talk(process)
        words = {line.split(":")[0]: line.split()[1:] for line in status.read_text().splitlines()}
        assert set(words["Uid"]) == {str(rights[0])}
        assert set(words["Gid"]) == {str(rights[1])}
        assert words["Groups"] == [str(rights[1])]
        assert talk.call(msg.RealPath(".")) == str(system_account.home)
        talk.call(msg.Open("mine", CHANGE))
        for path in (str(private), "/etc/shadow"):
            with pytest.raises(SFTPError):
                talk.call(msg.Open(path, 1))
    assert (system_account.home / "mine").owner() == system_account.name


def test_nothing_that_was_uploaded_runs(tmp_path: Path) -> None:
    trap = tmp_path / "trapped"
    code = f"open({str(trap)!r}, 'w')\n"
    for name in ("nacre", "json", "usercustomize", "sitecustomize", "fcntl"):
        (tmp_path / f"{name}.py").write_text(code)
    site = tmp_path / ".local/lib/python3.11/site-packages"
    site.mkdir(parents=True)
    (site / "usercustomize.py").write_text(code)
    environment = {"HOME": str(tmp_path), "PYTHONPATH": str(tmp_path), "PYTHONSTARTUP": "json.py"}
    with started(below(tmp_path), cwd=tmp_path, env=environment) as process:
        assert Talk(process).call(msg.Stat("json.py")).size == len(code)
    assert not trap.exists()


def test_read_only(tmp_path: Path) -> None:
    with (
        started(below(tmp_path, read_only=True)) as process,
        pytest.raises(SFTPError, match="Read-only"),
    ):
        Talk(process).call(msg.Open("file", CHANGE))
    assert list(tmp_path.iterdir()) == []


def open_and_change(process: subprocess.Popen[bytes]) -> list[dict[str, Any]]:
    """Make a directory and a file, look at one; return the records of the session."""
    talk = Talk(process)
    for request in (
        msg.MkDir("new"),
        msg.Open("file", CHANGE),
        msg.Stat("file"),
        msg.SymLink("a", "link"),
    ):
        with suppress(SFTPError):
            talk.call(request)
    assert process.stdin is not None
    assert process.stderr is not None
    process.stdin.close()
    return [json.loads(line) for line in process.stderr.read().splitlines()]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can hide memory")
def test_the_memory_of_the_process_is_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = command_line
    look = "print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), end='', file=sys.stderr)"
    watched = f"; import atexit, ctypes; atexit.register(lambda: {look}); from "

    def watching(files: FileRoot) -> list[str]:
        *interpreter, code = plain(files)
        return [*interpreter, watched.join(code.split("; from ", 1))]

    monkeypatch.setattr(sys.modules[__name__], "command_line", watching)
    with started(below(tmp_path)) as process:
        assert process.communicate(timeout=10) == (b"", b"0")


def test_internal_sftp_with_options(tmp_path: Path) -> None:
    (tmp_path / "start").mkdir()
    restrictions = parse_command("internal-sftp -d /%u -u 077 -P symlink -l INFO")
    assert restrictions is not None
    files = replace(below(tmp_path), user="start", restrictions=restrictions)
    with started(files) as process:
        records = open_and_change(process)
    assert {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "start").iterdir()} == {
        "new": 0o700,
        "file": 0o600,
    }
    assert {"event": "refused", "request": "symlink", "reason": DENIED} in records
    assert [one["op"] for one in records if one["event"] == "file"] == [
        *("mkdir", "open", "stat", "close")
    ]


def test_internal_sftp_that_is_read_only_and_starts_nowhere(tmp_path: Path) -> None:
    restrictions = parse_command("internal-sftp -R -d /none")
    assert restrictions is not None
    (tmp_path / "file").touch()
    with started(below(tmp_path, restrictions=restrictions)) as process:
        records = open_and_change(process)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert records == [
        {
            "event": "sftp",
            "error": "the session can't start in /none: No such file or directory",
        },
        {"event": "refused", "request": "mkdir", "reason": READ_ONLY},
        {"event": "refused", "request": "symlink", "reason": READ_ONLY},
    ]


def test_a_storage_has_no_other_start() -> None:
    pytest.importorskip("fsspec")
    files = below("memory://files", restrictions=SFTPRestrictions(start="/x"))
    with started(files) as process:
        assert Talk(process).call(msg.RealPath(".")) == "/"
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.close()
        assert b"can't start in /x: Operation not supported" in process.stderr.read()


def test_a_storage() -> None:
    pytest.importorskip("fsspec")
    with started(below("memory://files")) as process:
        talk = Talk(process)
        handle = talk.call(msg.Open("file", int(OpenFlag.WRITE | OpenFlag.CREAT)))
        talk.call(msg.Write(handle, 0, b"kept"))
        talk.call(msg.Close(handle))
        assert talk.call(msg.Stat("file")).size == 4


def test_no_root(tmp_path: Path) -> None:
    with started(below(tmp_path / "none")) as process:
        assert process.wait(10) == 1
        assert process.stderr is not None
        assert b"No such file" in process.stderr.read()


def test_a_client_that_breaks_the_protocol(tmp_path: Path) -> None:
    with started(below(tmp_path)) as process:
        assert process.stdin is not None
        process.stdin.write(b"\xff\xff\xff\xff")
        process.stdin.close()
        assert process.wait(10) == 1


def test_scp(tmp_path: Path) -> None:
    with started(below(tmp_path), command=b"scp -t .") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"C0600 5 name\nhello\0C0644 1 ../x\n")
        process.stdin.close()
        assert process.stdout.read().startswith(b"\0\0\0\x02scp: ")
        assert process.wait(10) == 1
    assert (tmp_path / "name").read_bytes() == b"hello"
    assert not (tmp_path.parent / "x").exists()


def put_and_look(process: subprocess.Popen[bytes], where: str) -> None:
    """Make a directory and a file of one byte, and look at both."""
    talk = Talk(process)
    talk.call(msg.MkDir(where))
    handle = talk.call(msg.Open(f"{where}/file", int(OpenFlag.WRITE | OpenFlag.CREAT)))
    talk.call(msg.Write(handle, 0, b"1"))
    talk.call(msg.Close(handle))
    directory = talk.call(msg.OpenDir(where))
    assert {entry.name for entry in talk.call(msg.ReadDir(directory))} == {".", "..", "file"}
    handle = talk.call(msg.Open(f"{where}/file", int(OpenFlag.READ)))
    reading = talk.client.send_read(handle, 0, 10)
    talk.flush()
    assert talk.result(reading) == b"1"
    with pytest.raises(NoSuchFile):
        talk.call(msg.Stat(f"{where}/none"))


UP = [
    (b"", b"\0"),
    (b"D0700 0 scp\n", b"\0"),
    (b"C0600 5 name\n", b"\0"),
    (b"hello\0", b"\0"),
    (b"E\n", b"\0"),
]
DOWN = [(b"\0", sent) for sent, _ in [*UP[1:], (b"", b"")]]


def talk_scp(
    files: FileRoot, rights: tuple[int, int, tuple[int, ...]], command: bytes, steps: Any
) -> bytes:
    """Type and read in turn, and return what the process writes to standard error."""
    with started(files, rights, command) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for typed, answer in steps:
            process.stdin.write(typed)
            process.stdin.flush()
            assert process.stdout.read(len(answer)) == answer, process.communicate()
        rest, errors = process.communicate(timeout=10)
        assert (rest, process.returncode) == (b"", 0), errors
        return errors


@pytest.mark.usefixtures("unreadable")
def test_an_account_that_may_not_read_nacre_is_served(system_account: SystemAccount) -> None:
    rights = rights_of(system_account)
    home = below(system_account.home)
    with started(home, rights) as process:
        put_and_look(process, "over_sftp")
    assert (system_account.home / "over_sftp" / "file").owner() == system_account.name
    talk_scp(home, rights, b"scp -rp -t .", UP)
    assert (system_account.home / "scp" / "name").owner() == system_account.name
    talk_scp(home, rights, b"scp -r -f scp", DOWN)


@pytest.mark.usefixtures("unreadable")
def test_a_storage_is_served_to_an_account_that_may_not_read_nacre(
    system_account: SystemAccount,
) -> None:
    pytest.importorskip("fsspec")
    with started(below("memory://files"), rights_of(system_account)) as process:
        put_and_look(process, "over_sftp")


WATCHED = """
import atexit
from nacre.daemon.processes import file_process
take_rights = file_process.take_rights
def watched(*rights):
    take_rights(*rights)
    before = set(sys.modules)
    atexit.register(lambda: print(*(set(sys.modules) - before), end="", file=sys.stderr))
file_process.take_rights = watched
"""


@pytest.mark.parametrize("storage", [False, True], ids=["directory", "storage"])
def test_nothing_is_imported_after_the_rights_were_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, storage: bool
) -> None:
    if storage:
        pytest.importorskip("fsspec")
    plain = command_line

    def watched(files: FileRoot) -> list[str]:
        *interpreter, code = plain(files)
        setup, _, call = code.partition("; from ")
        return [*interpreter, setup + WATCHED + "from " + call]

    monkeypatch.setattr(sys.modules[__name__], "command_line", watched)
    files = below("memory://files" if storage else tmp_path)
    with started(files) as process:
        put_and_look(process, "over_sftp")
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.close()
        assert process.stderr.read() == b""
    if not storage:  # what is in memory ends with the process
        assert talk_scp(files, OWN, b"scp -rp -t .", UP) == b""
        assert talk_scp(files, OWN, b"scp -r -f scp", DOWN) == b""
