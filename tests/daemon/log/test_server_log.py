"""The server's log."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import pytest

from nacre.config.values import LogLevel
from nacre.daemon.log import server_log as log_module
from nacre.daemon.log.server_log import ServerLog, StandardError


@pytest.fixture(autouse=True)
def _logger_as_it_was() -> Iterator[None]:
    logger = logging.getLogger("nacre.server")
    before, handlers = logger.disabled, list(logger.handlers)
    yield
    logger.disabled, logger.handlers = before, handlers


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        (LogLevel.QUIET, []),
        (LogLevel.ERROR, ["error"]),
        (LogLevel.INFO, ["error", "auth", "file"]),
        (LogLevel.VERBOSE, ["error", "auth", "auth", "rekey", "file", "file"]),
    ],
)
def test_levels(level: LogLevel, shown: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    log = ServerLog(level)
    log({"event": "error"})
    log({"event": "auth", "method": "password"})
    log({"event": "auth", "method": "none"})
    log({"event": "rekey"})
    log({"event": "file", "op": "open"})
    log({"event": "file", "op": "open", "level": "info"})  # of a session with its own level
    lines = capfd.readouterr().err.splitlines()
    assert [one.partition("event=")[2].split()[0] for one in lines] == shown


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is written on standard error, a piece for each write."""
    written: list[str] = []
    monkeypatch.setattr(log_module, "_write", lambda data: written.append(data.decode()))
    return written


async def test_what_is_said_in_a_short_time_is_one_write(written: list[str]) -> None:
    log = ServerLog(LogLevel.INFO)
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
    log = ServerLog(LogLevel.INFO)
    log({"event": "accepted", "connection": 1})
    log({"event": "error"})
    assert [text.count("\n") for text in written] == [2]


def test_a_command_line_is_not_shown_below_verbose(written: list[str]) -> None:
    for level in (LogLevel.INFO, LogLevel.VERBOSE):
        ServerLog(level)({"event": "session", "request": "exec", "command": "mysql -psecret"})
    assert ["secret" in text for text in written] == [False, True]
    assert all("request=exec" in text for text in written)


@contextmanager
def a_pipe() -> Iterator[BinaryIO]:
    """Make standard error a pipe of 64 KiB; as a fixture it would be undone by pytest's capture."""
    reading, writing = os.pipe()
    before = os.dup(2)
    os.dup2(writing, 2)
    os.close(writing)
    try:
        with open(reading, "rb", buffering=0) as reader:
            yield reader
        # Without a reader the log's thread comes to its end. The next test's pipe is not for it.
        for thread in threading.enumerate():
            if thread.name == "log":
                thread.join(30)
                assert not thread.is_alive()
    finally:
        os.dup2(before, 2)
        os.close(before)


def lines_of(reader: BinaryIO) -> list[str]:
    os.set_blocking(reader.fileno(), False)
    data = b""
    while piece := reader.read(1 << 20):
        data += piece
    return data.decode().splitlines()


async def test_a_reader_that_stalls_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "_MOST_WAITING", 100_000)
    with a_pipe() as pipe:
        log = ServerLog(LogLevel.INFO)
        log.attend(asyncio.get_running_loop())
        for number in range(1000):
            log({"event": "error", "what": "x" * 1000, "number": number})
        first = lines_of(pipe)
        writer = log._writer
        assert writer is not None
        while writer._written < writer._taken:
            first += lines_of(pipe)
        log({"event": "error", "what": "again"})
        log.close()
        *rest, last = first + lines_of(pipe)
        assert "what=again" in last
        numbers = [int(found[1]) for text in rest if (found := re.search(r"number=(\d+)", text))]
        dropped = [int(found[1]) for text in rest if (found := re.search(r"lines=(\d+)", text))]
        assert numbers == sorted(numbers)
        assert len(numbers) < 300
        assert len(numbers) + sum(dropped) == 1000


async def test_the_end_does_not_wait_for_a_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "_PATIENCE", 0.01)
    with a_pipe() as pipe:
        log = ServerLog(LogLevel.INFO)
        log.attend(asyncio.get_running_loop())
        for _ in range(200):
            log({"event": "error", "what": "x" * 1000})
        log.close()
        lines_of(pipe)  # lets the thread end


@pytest.mark.parametrize("on_loop", [False, True])
def test_without_a_thread_nothing_is_written_that_would_block(
    on_loop: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fail)
    with a_pipe() as pipe:
        log = ServerLog(LogLevel.INFO)
        if on_loop:
            loop = asyncio.new_event_loop()
            log.attend(loop)
            loop.close()
        for _ in range(200):
            log({"event": "error", "what": "x" * 1000})
        written = len(lines_of(pipe))
        assert 0 < written < 70
        log({"event": "error", "what": "again"})
        log.close()
        assert f"lines={200 - written}" in lines_of(pipe)[0]


async def test_what_asyncio_reports_is_a_line(written: list[str]) -> None:
    log = ServerLog(LogLevel.INFO)
    loop = asyncio.get_running_loop()
    log.attend(loop)
    error = OSError(24, "Too many open files")
    loop.call_exception_handler({"message": "out of system resource", "exception": error})
    log.close()
    (text,) = written
    assert 'event=error what="out of system resource" error="[Errno 24] Too many open' in text
    assert text.count("\n") == 1


async def test_tracebacks_go_the_same_way(written: list[str]) -> None:
    log = ServerLog(LogLevel.DEBUG1)
    log.attend(asyncio.get_running_loop())
    logging.getLogger("nacre.server").error("failed", exc_info=ValueError("why"))
    log.close()
    assert "".join(written).splitlines() == ["failed", "ValueError: why"]


def test_lines_of_json(capfd: pytest.CaptureFixture[str]) -> None:
    log = ServerLog(LogLevel.INFO, StandardError("json"), worker=1)
    log({"event": "auth", "name": "two words", "attempt": 1})
    log.write_traceback("Traceback:\n  File ...")
    log.close()
    first, *traceback = map(json.loads, capfd.readouterr().err.splitlines())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", first.pop("time"))
    assert first == {
        "level": "info",
        "worker": 1,
        "event": "auth",
        "name": "two words",
        "attempt": 1,
    }
    assert [(one["event"], one["text"]) for one in traceback] == [
        ("traceback", "Traceback:"),
        ("traceback", "  File ..."),
    ]
