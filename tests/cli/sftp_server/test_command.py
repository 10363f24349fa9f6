"""``nacre sftp-server``: options, and a session by nacre's own client."""

from __future__ import annotations

import asyncio
import os
import pwd
import shlex
import signal
import stat
import subprocess
import sys
import syslog
from pathlib import Path

import pytest

from nacre.cli.common.local_server import start_server
from nacre.cli.sftp_server.command import _client, _to_syslog, run
from nacre.config.values import LogLevel
from nacre.daemon.sandbox.filter import has_filters
from nacre.errors import PermissionDenied, SFTPError
from nacre.sftp.client.client import SFTPClient
from nacre.sftp.server.restrictions import REQUESTS_BY_NAME

PROGRAM = [sys.executable, "-c", "from nacre.cli.sftp_server.command import main; main()"]
DEADLINE = 20


def ran(*words: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # type: ignore[call-overload]
        [*PROGRAM, *words],
        **{"input": "", "capture_output": True, "text": True, "timeout": DEADLINE, **options},
    )


async def served(*words: str) -> SFTPClient:
    return await start_server(shlex.join([*PROGRAM, *words]))


def test_usage_and_requests_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("nacre-sftp-server", ["-h"]) == 0
    assert capsys.readouterr().out.startswith("usage: nacre-sftp-server [-ehR]")
    assert run("nacre-sftp-server", ["-Q", "requests"]) == 0
    assert capsys.readouterr().out.split() == list(REQUESTS_BY_NAME)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-Q", "ciphers"], "-Q: bad value 'ciphers'; allowed: requests"),
        (["-P", "shell"], "-P: bad value 'shell'; allowed: open"),
        (["-d", "%x"], "%x is not possible here"),
        (["--frob"], "option --frob not recognized"),
    ],
)
def test_wrong_options_are_named(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("nacre-sftp-server", words) == 1
    assert message in capsys.readouterr().err


def test_a_session_is_logged_with_the_account_and_the_address_of_the_client() -> None:
    given = {**os.environ, "SSH_CONNECTION": "192.0.2.1 5 192.0.2.2 22"}
    done = ran("-e", "-l", "INFO", env=given)
    whose = f"for local user {pwd.getpwuid(os.geteuid()).pw_name} from [192.0.2.1]"
    assert done.stderr.splitlines() == [f"session opened {whose}", f"session closed {whose}"]
    assert (done.returncode, done.stdout) == (0, "")


def test_an_unknown_address_is_said_to_be_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    assert _client() == "UNKNOWN"
    monkeypatch.setenv("SSH_CONNECTION", "a\nb c")
    assert _client() == "a\\x0ab"


@pytest.mark.parametrize(
    "words",
    [["-e"], ["-c", "/usr/bin/anything"], ["-e", "--", "host", "sftp"]],
    ids=["e", "shell", "scp-D"],
)
def test_by_default_and_as_a_login_shell_nothing_is_logged_of_a_session(words: list[str]) -> None:
    done = ran(*words)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.skipif(not has_filters(), reason="this kernel has no seccomp(2)")
def test_it_runs_in_a_sandbox() -> None:
    pipe = subprocess.PIPE
    with subprocess.Popen(PROGRAM, stdin=pipe, stdout=pipe) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"\0\0\0\5\1\0\0\0\3")
        process.stdin.flush()
        assert process.stdout.read(9)[4:] == b"\2\0\0\0\3"
        status = Path(f"/proc/{process.pid}/status").read_text()
    assert "NoNewPrivs:\t1\nSeccomp:\t2\n" in status


def test_a_client_that_breaks_the_protocol_is_logged_and_ends_it() -> None:
    done = ran("-e", "-l", "FATAL", input="nonsense")
    assert done.returncode == 1
    assert done.stderr.startswith("a packet of ")


def test_lines_go_to_syslog_with_the_facility_and_priorities(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[tuple[object, ...]] = []
    monkeypatch.setattr(syslog, "openlog", lambda *given: calls.append(given))
    monkeypatch.setattr(syslog, "syslog", lambda *given: calls.append(given))
    write = _to_syslog("LOCAL3")
    write(LogLevel.VERBOSE, "realpath")
    write(LogLevel.ERROR, "what")
    write(LogLevel.FATAL, "end")
    assert calls == [
        ("sftp-server", syslog.LOG_PID, syslog.LOG_LOCAL3),
        (syslog.LOG_INFO, "realpath"),
        (syslog.LOG_ERR, "error: what"),
        (syslog.LOG_ERR, "fatal: end"),
    ]


def test_an_interrupt_ends_it_without_a_traceback() -> None:
    with subprocess.Popen(
        [*PROGRAM, "-e", "-l", "INFO"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith(b"session opened")
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE) == -signal.SIGINT
        assert process.stderr.read() == b""


async def test_files_are_served(tmp_path: Path) -> None:
    content = os.urandom(3_000_000)
    (tmp_path / "original").write_bytes(content)
    async with asyncio.timeout(DEADLINE), await served() as sftp:
        assert await sftp.realpath(".") == os.getcwd()
        await sftp.put(tmp_path / "original", str(tmp_path / "up"))
        await sftp.chmod(str(tmp_path / "up"), 0o6755)
        await sftp.get(str(tmp_path / "up"), tmp_path / "down")
    assert (tmp_path / "down").read_bytes() == content
    assert stat.S_IMODE((tmp_path / "up").stat().st_mode) == 0o6755


async def test_options_have_their_effect(tmp_path: Path) -> None:
    (tmp_path / pwd.getpwuid(os.geteuid()).pw_name).mkdir()
    words = ["-d", f"{tmp_path}/%u", "-u", "077", "-P", "symlink,posix-rename"]
    async with asyncio.timeout(DEADLINE), await served(*words) as sftp:
        start = await sftp.realpath(".")
        assert os.path.dirname(start) == str(tmp_path)
        await sftp.mkdir("new")
        with pytest.raises(PermissionDenied):
            await sftp.symlink("a", "b")
        await sftp.rename("new", "other")
    (made,) = Path(start).iterdir()
    assert (made.name, stat.S_IMODE(made.stat().st_mode)) == ("other", 0o700)


async def test_a_read_only_session_reads_only(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"kept")
    async with asyncio.timeout(DEADLINE), await served("-R", "-d", str(tmp_path)) as sftp:
        assert await sftp.read_bytes("file") == b"kept"
        for change in (
            sftp.remove("file"),
            sftp.mkdir("new"),
            sftp.write_bytes("file", b""),
            sftp.chmod("file", 0),
        ):
            with pytest.raises(SFTPError, match=r"denied|Read-only"):
                await change
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"kept"]


async def test_requests_that_are_not_allowed_are_denied(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"kept")
    words = ["-p", "open,close,read,realpath", "-d", str(tmp_path)]
    async with asyncio.timeout(DEADLINE), await served(*words) as sftp:
        assert await sftp.realpath("file") == str(tmp_path / "file")
        with pytest.raises(SFTPError):
            await sftp.stat("file")
