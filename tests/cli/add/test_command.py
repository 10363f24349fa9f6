"""The program as a whole: its exit status, and where there is no agent."""

from __future__ import annotations

from pathlib import Path

import pytest

from nacre.cli.add.command import run


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("nacre add", ["--help"]) == 0
    assert "usage: nacre add" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["-z"], 1, "usage: nacre add"),
        (["-t", "x"], 1, "Invalid lifetime"),
        (["-l", "-D"], 255, "Invalid combination of actions"),
        (["-l"], 2, "Could not open a connection to your authentication agent"),
    ],
)
def test_what_is_wrong_with_a_command_line(
    words: list[str],
    status: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    assert run("nacre add", words) == status
    assert said in capsys.readouterr().err


def test_an_agent_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
    assert run("nacre add", ["-l"]) == 2
    assert "Error connecting to agent: No such file" in capsys.readouterr().err
