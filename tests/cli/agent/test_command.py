"""What the program does before there is an agent; the rest is in tests/interop."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from interop.programs import NACRE, check
from nacre.cli.agent.command import run

UNUSED = "4194305"  # above the highest number of a process


@pytest.mark.parametrize("word", ["-h", "--help"])
def test_help(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("nacre agent", [word]) == 0
    assert "-t TIME" in capsys.readouterr().out


def test_a_wrong_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("nacre agent", ["-x"]) == 1
    shown = capsys.readouterr()
    assert shown.err.startswith("nacre agent: option -x not recognized")
    assert "usage: nacre agent" in shown.err
    assert shown.out == ""


@pytest.mark.parametrize(
    ("pid", "says"),
    [
        (None, "SSH_AGENT_PID is not set"),
        ("", "is not the number of a process"),
        ("-1", "is not the number of a process"),
        ("1", "is not the number of a process"),
        ("x\x1b", r"SSH_AGENT_PID=x\x1b is not"),
        (UNUSED, "No such process"),
        ("9" * 30, "no such process"),
    ],
)
def test_no_agent_to_end(
    pid: str | None,
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if pid is None:
        monkeypatch.delenv("SSH_AGENT_PID", raising=False)
    else:
        monkeypatch.setenv("SSH_AGENT_PID", pid)
    assert run("nacre agent", ["-k"]) == 1
    shown = capsys.readouterr()
    assert says in shown.err
    assert shown.out == ""


def test_a_socket_that_can_not_be(capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    try:
        assert run("nacre agent", ["-a", "/nonexistent/agent"]) == 1
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    assert "can't start" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(("program", "status"), [("/nonexistent", 127), ("/", 126)])
def test_a_command_that_can_not_be_run(program: str, status: int) -> None:
    done = subprocess.run([*NACRE, "agent", program], capture_output=True, timeout=30, check=False)
    assert done.returncode == status
    assert program.encode() in done.stderr


@pytest.mark.slow
def test_a_path_with_blanks_is_quoted_for_the_shell(tmp_path: Path) -> None:
    path = tmp_path / "a b"
    line = f'eval "$({NACRE[0]} agent -a "$1")"; echo "$SSH_AUTH_SOCK"; kill $SSH_AGENT_PID'
    printed = check(["sh", "-c", line, "sh", path]).decode()
    assert printed.splitlines()[-1] == str(path)
