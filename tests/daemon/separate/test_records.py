"""Records for the log, which a process without rights sends and the monitor reads."""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast

import pytest

from nacre.config.values import LogLevel
from nacre.daemon.control.roster import MOST_RUNNING
from nacre.daemon.control.values import Details, Running
from nacre.daemon.separate.link import Link, LinkError
from nacre.daemon.separate.messages import Described, LogRecord
from nacre.daemon.separate.records import LinkLog, described, details_in, read
from nacre.errors import MalformedMessage
from nacre.wire.codec import boolean, text, u32


class Sent:
    """What stands in for a link: notes the messages."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []
        self.unsent = 0
        self.at_once = False

    def send(self, message: bytes) -> None:
        self.send_later(message)
        self.at_once = True

    def send_later(self, message: bytes) -> None:
        self.records.append(read(LogRecord.decode(message).fields))


def log(level: LogLevel = LogLevel.INFO) -> tuple[LinkLog, Sent]:
    sent = Sent()
    return LinkLog(cast(Link, sent), level), sent


def test_a_record_is_what_was_sent() -> None:
    record = {"event": "accepted", "connection": 3, "seconds": 0.5, "user": "ä", "no": None}
    write, sent = log()
    write(record)
    assert sent.records == [record]
    assert not sent.at_once


def test_what_the_log_does_not_show_is_not_sent() -> None:
    write, sent = log()
    write({"event": "rekey"})
    assert sent.records == []
    assert not write.detailed
    write, sent = log(LogLevel.VERBOSE)
    write({"event": "rekey"})
    assert len(sent.records) == 1
    assert write.detailed


def test_a_value_that_json_does_not_have_is_sent_as_text() -> None:
    write, sent = log()
    write({"event": "error", "error": ValueError("why")})
    assert sent.records == [{"event": "error", "error": "why"}]
    assert sent.at_once


def test_records_are_dropped_while_the_monitor_is_far_behind() -> None:
    write, sent = log()
    sent.unsent = 5000
    write({"event": "accepted"})
    assert sent.records == []


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"{", b"[]", b"1", b'"event"', b"\xff", b"{}", b'{"event": 1}'),
        *(b'{"event": "x"} {"event": "y"}', b'{"event": "x"},', '{"event": "x"}'.encode("utf-16")),
        b'{"event": "x", "more": []}',
        b'{"event": "x", "more": {"a": 1}}',
        b'{"event": "x", "y\\ntime=0 level=error event": "forged"}',
        b'{"event": "x", "y=1 user": "root"}',
        b'{"event": "x", "": 1}',
        b"[" * 60_000,
        b'{"event": "x", "n": ' + b"1" * 6000 + b"}",
        b'{"event": "' + b"x" * 70_000 + b'"}',
    ],
    ids=str,
)
def test_what_is_no_record_is_refused(data: bytes) -> None:
    with pytest.raises(LinkError):
        read(data)


def test_the_longest_record() -> None:
    text = "x" * 60_000
    assert read(json.dumps({"event": text}).encode()) == {"event": text}


async def test_what_asyncio_reports_is_logged() -> None:
    write, sent = log()
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    write.attend(loop)
    try:
        error = OSError(24, "Too many open files\n")
        loop.call_exception_handler({"message": "no more sockets", "exception": error})
    finally:
        loop.set_exception_handler(before)
    error_text = "[Errno 24] Too many open files\\x0a"
    assert sent.records == [{"event": "error", "what": "no more sockets", "error": error_text}]


# --- what happens on connections ---


@pytest.mark.parametrize("counted", [True, False])
def test_a_description_is_what_was_said(counted: bool) -> None:
    details = Details(
        idle=1.5,
        received=1 << 40 if counted else None,
        sent=7 if counted else None,
        sessions=2,
        forwards=3,
        listens=4,
        running=(
            Running(channel=0, request="shell", what="", terminal=True),
            Running(channel=9, request="command", what="echo ä \\x1b", terminal=False),
        ),
    )
    message = described(8, b"session", details)
    assert (message.ask, message.session) == (8, b"session")
    assert details_in(Described.decode(message.encode())) == details


def description_with(running: bytes) -> Described:
    return Described(1, b"session", 0, False, 0, 0, 0, 0, 0, running)


ONE = u32(0) + text("shell") + text("x") + boolean(False)


def test_a_description_says_no_more_than_it_may() -> None:
    assert len(details_in(description_with(ONE * MOST_RUNNING)).running) == MOST_RUNNING
    long = u32(0) + text("shell") + text("x" * 10_000) + boolean(False)
    for running in (ONE * (MOST_RUNNING + 1), long):
        with pytest.raises(LinkError, match="too long"):
            details_in(description_with(running))
    with pytest.raises(MalformedMessage):
        details_in(description_with(ONE[:-1]))


def test_a_description_is_safe_to_print() -> None:
    evil = u32(0) + text("\x1b[2J") + text("\x1b]0;x\x07\u202e") + boolean(False)
    ((running,),) = [details_in(description_with(evil)).running]
    assert (running.request, running.what) == ("\\x1b[2J", "\\x1b]0;x\\x07\\u202e")
