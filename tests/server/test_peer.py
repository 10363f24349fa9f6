"""The connection as policies and sessions see it: its records."""

from __future__ import annotations

import logging

import pytest

from nacre.server.peer import to_logging
from server.stand_ins import RecordingConnection


async def test_a_record_names_the_event_the_connection_and_the_peer() -> None:
    connection = RecordingConnection()
    connection.record("kex", cipher="x")
    assert connection.records == [
        {"event": "kex", "connection": 7, "peer": "192.0.2.1:40000", "cipher": "x"}
    ]


async def test_the_user_is_in_the_record_after_the_login_and_safe_to_print() -> None:
    connection = RecordingConnection()
    connection.user = "eve\x1b[2J"
    connection.record("exit")
    assert connection.records[0]["user"] == "eve\\x1b[2J"


async def test_a_failure_is_recorded_and_its_traceback_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    connection = RecordingConnection()
    connection.record_error("it failed", ZeroDivisionError("a\nbug"))
    assert connection.recorded("error") == [
        {"what": "it failed", "error": "ZeroDivisionError('a\\\\nbug')"}
    ]
    assert caplog.records[0].name == "nacre.server"
    assert caplog.records[0].exc_info is not None


async def test_a_log_that_raises_is_reported_and_survived(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(record: object) -> None:
        raise OSError("disk full")

    connection = RecordingConnection()
    monkeypatch.setattr(connection, "_log", full)
    connection.record("exit")
    assert "disk full" in caplog.text


def test_records_become_words_with_their_fields_as_extras(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO, "nacre.server"):
        to_logging({"event": "exit", "status": 3})
    assert caplog.messages == ["event=exit status=3"]
    assert vars(caplog.records[0])["nacre"] == {"event": "exit", "status": 3}


@pytest.mark.parametrize(("level", "shown"), [(logging.INFO, False), (logging.DEBUG, True)])
def test_command_lines_are_logged_at_the_level_of_details_only(
    caplog: pytest.LogCaptureFixture, level: int, shown: bool
) -> None:
    record = {"event": "session", "request": "exec", "command": "mysql -psecret"}
    with caplog.at_level(level, "nacre.server"):
        to_logging(record)
    assert "request=exec" in caplog.text
    assert ("secret" in caplog.text) is shown
    assert ("secret" in str(vars(caplog.records[0])["nacre"])) is shown
    assert record["command"] == "mysql -psecret"
