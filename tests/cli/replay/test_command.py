"""``nacre replay`` on its command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.replay.recorded import write_recording
from nacre.cli.replay.command import command


def replay(*words: object) -> Result:
    return CliRunner().invoke(command, [str(word) for word in words])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_recording(tmp_path / "2023-11-14" / "a.cast", [(0.0, b"text\n")])


def test_play_is_the_usual_command(file: Path) -> None:
    for words in (["play", file, "--text"], ["--text", file], [file, "--text"]):
        done = replay(*words)
        assert (done.exit_code, done.stdout) == (0, "text\n")
    assert replay("--search", "ex", file).stdout == "0:00:00.000 text\n"
    assert replay("--cast", file).stdout == file.read_text()
    assert replay(file).stdout == "text\n"


def test_others_have_their_names(file: Path, tmp_path: Path) -> None:
    assert "alice" in replay("list", tmp_path).stdout
    assert replay("keygen", "--no-passphrase", tmp_path / "key").exit_code == 0
    assert (tmp_path / "key.pub").exists()


def test_what_does_not_go_together_is_refused(file: Path) -> None:
    assert replay("--text", "--cast", file).exit_code == 2
    assert replay("--speed", "0", file).exit_code == 2


def test_errors_are_told(tmp_path: Path) -> None:
    done = replay(tmp_path / "missing")
    assert (done.exit_code, "No such file" in done.output) == (1, True)


def test_help_lists_the_commands() -> None:
    for words in (["--help"], ["-h"]):
        assert "keygen" in replay(*words).stdout
