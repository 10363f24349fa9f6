"""Messages by level, and the file they go to."""

from __future__ import annotations

import os
import pty
from pathlib import Path

import pytest

from nacre.cli.common.log import Log, open_log
from nacre.config.values import LogLevel


def test_levels(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("wb", buffering=0) as file:
        log = Log(LogLevel.INFO, file)
        log.debug("not this")
        log.info("one\ntwo")
        log.fatal("three")
        Log(LogLevel.QUIET, file).fatal("nor this")
        Log(LogLevel.DEBUG1, file).debug("this")
    assert path.read_text() == "one\ntwo\nthree\ndebug1: this\n"


def test_a_log_file_is_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "log"
    for text in ("one", "two"):
        with open_log(str(path)) as file:
            Log(LogLevel.INFO, file).info(text)
    assert path.read_text() == "one\ntwo\n"
    with pytest.raises(FileNotFoundError):
        open_log(str(tmp_path / "none" / "log"))


def test_standard_error_stays_open(capfd: pytest.CaptureFixture[str]) -> None:
    for text in ("one", "two"):
        with open_log() as file:
            Log(LogLevel.INFO, file).info(text)
    assert capfd.readouterr().err == "one\ntwo\n"


def test_lines_return_to_the_first_column_on_a_terminal() -> None:
    master, slave = pty.openpty()
    try:
        with open(slave, "wb", buffering=0) as file:
            Log(LogLevel.INFO, file).info("one\ntwo")
            assert os.read(master, 100).replace(b"\r\r", b"\r") == b"one\r\ntwo\r\n"
    finally:
        os.close(master)
