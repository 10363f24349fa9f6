"""The process that serves the files of another account."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from daemon.conftest import SystemAccount
from nacre.daemon.processes.file_process import FileRoot, command_line, environment
from nacre.errors import NoSuchFile, SFTPError
from nacre.sftp.protocol import messages as msg
from nacre.sftp.protocol.client import SFTPClientProtocol
from nacre.sftp.protocol.messages import OpenFlag

OWN = (os.geteuid(), os.getegid(), tuple(os.getgroups()))
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
    **more: Any,
) -> Iterator[subprocess.Popen[bytes]]:
    variables = {**environment(files, command, rights), **more.pop("env", {})}
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


def test_rights(system_account: SystemAccount, tmp_path: Path) -> None:
    import pwd

    entry = pwd.getpwnam(system_account.name)
    rights = (entry.pw_uid, entry.pw_gid, (entry.pw_gid,))
    private = tmp_path / "private"
    private.write_bytes(b"root's")
    private.chmod(0o600)
    whole = FileRoot(root=None, home=str(system_account.home), user=system_account.name)
    with started(whole, rights) as process:
        status = Path(f"/proc/{process.pid}/status")
        talk = Talk(process)
        words = {line.split(":")[0]: line.split()[1:] for line in status.read_text().splitlines()}
        assert set(words["Uid"]) == {str(entry.pw_uid)}
        assert set(words["Gid"]) == {str(entry.pw_gid)}
        assert words["Groups"] == [str(entry.pw_gid)]
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
