"""Messages by level, and the file they go to."""

from __future__ import annotations

import os
import pty
import syslog
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


def test_a_banner_is_shown_even_if_messages_go_to_a_file(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "log"
    with open_log(str(path)) as file:
        Log(LogLevel.INFO, file).banner("welcome\n")
        Log(LogLevel.DEBUG3, file).banner("again")
        Log(LogLevel.ERROR, file).banner("not this")
    assert capfd.readouterr().err == "welcome\nagain\n"
    assert path.read_text() == ""


def test_lines_return_to_the_first_column_on_a_terminal() -> None:
    master, slave = pty.openpty()
    try:
        with open(slave, "wb", buffering=0) as file:
            Log(LogLevel.INFO, file).info("one\ntwo")
            assert os.read(master, 100).replace(b"\r\r", b"\r") == b"one\r\ntwo\r\n"
    finally:
        os.close(master)


def test_the_log_of_the_system_gets_each_line_with_its_urgency(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[tuple[int, str]] = []
    monkeypatch.setattr(syslog, "syslog", lambda *line: written.append(line))
    with (tmp_path / "log").open("wb", buffering=0) as file:
        log = Log(LogLevel.DEBUG1, file, "LOCAL3")
        log.error("one\nt\x1bwo")
        log.info("three")
        log.debug("four")
        log.tell(LogLevel.DEBUG2, "not this")
    local = syslog.LOG_LOCAL3
    assert written == [
        (local | syslog.LOG_ERR, "one"),
        (local | syslog.LOG_ERR, "t\\x1bwo"),
        (local | syslog.LOG_INFO, "three"),
        (local | syslog.LOG_DEBUG, "debug1: four"),
    ]
    assert (tmp_path / "log").read_bytes() == b""
