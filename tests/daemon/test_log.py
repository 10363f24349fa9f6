"""The server's log."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

import pytest

from nacre.config.values import LogLevel
from nacre.daemon.log import StderrLog, line


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


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is written on standard error, a piece for each write."""
    written: list[str] = []
    monkeypatch.setattr("sys.stderr.write", written.append)
    return written


async def test_what_is_said_in_a_short_time_is_one_write(written: list[str]) -> None:
    log = StderrLog(LogLevel.INFO)
    log({"event": "accepted", "connection": 1})
    await asyncio.sleep(0)
    log({"event": "accepted", "connection": 2})
    assert written == []
    async with asyncio.timeout(20):
        while not written:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    assert [text.count("\n") for text in written] == [2]
    log({"event": "closed", "connection": 1})
    log.flush()
    assert [text.count("\n") for text in written] == [2, 1]


async def test_errors_are_written_at_once(written: list[str]) -> None:
    log = StderrLog(LogLevel.INFO)
    log({"event": "accepted", "connection": 1})
    log({"event": "error"})
    assert [text.count("\n") for text in written] == [2]
