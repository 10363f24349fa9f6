"""The server's log."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

import pytest

from nacre.config.server import LogLevel
from nacre.server.log import StderrLog, line


@pytest.fixture(autouse=True)
def _logger_as_it_was() -> Iterator[None]:
    logger = logging.getLogger("nacre.server")
    before = logger.disabled
    yield
    logger.disabled = before


def test_line() -> None:
    assert line({"event": "auth", "attempt": 1}) == "event=auth attempt=1"
    assert line({"a": "two words", "b": "", "c": 'q"', "d": "x=y"}) == (
        'a="two words" b="" c="q\\"" d="x=y"'
    )


@pytest.mark.parametrize("text", ["a\nevent=forged", "\x1b[2J", "\u202e", "\x7f", "\u2028", "\r"])
def test_nothing_forges_a_line_or_repaints(text: str) -> None:
    shown = line({"name": text})
    assert shown.isprintable()
    assert shown.count("\n") == 0
    assert shown.startswith('name="')


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        (LogLevel.QUIET, []),
        (LogLevel.ERROR, ["error"]),
        (LogLevel.INFO, ["error", "auth"]),
        (LogLevel.VERBOSE, ["error", "auth", "auth", "rekey"]),
    ],
)
def test_levels(level: LogLevel, shown: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    log = StderrLog(level)
    log({"event": "error"})
    log({"event": "auth", "method": "password"})
    log({"event": "auth", "method": "none"})
    log({"event": "rekey"})
    lines = capsys.readouterr().err.splitlines()
    assert [one.partition("event=")[2].split()[0] for one in lines] == shown


async def test_what_a_turn_of_the_loop_says_is_one_write(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    monkeypatch.setattr("sys.stderr.write", written.append)
    log = StderrLog(LogLevel.INFO)
    log({"event": "accepted", "connection": 1})
    log({"event": "accepted", "connection": 2})
    assert written == []
    await asyncio.sleep(0)
    assert [text.count("\n") for text in written] == [2]
    log({"event": "closed", "connection": 1})
    log.flush()
    await asyncio.sleep(0)
    assert [text.count("\n") for text in written] == [2, 1]
