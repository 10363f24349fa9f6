"""What a file process says, and what becomes of it in the log."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nacre.config.values import LogLevel
from nacre.daemon.processes.file_log import FileProcessLog


def log() -> tuple[FileProcessLog, list[dict[str, Any]]]:
    records: list[dict[str, Any]] = []
    return FileProcessLog(
        lambda event, **fields: records.append({"event": event, **fields})
    ), records


@pytest.mark.parametrize("size", [1, 7, 1000])
async def test_records_in_portions_of_any_size(size: int) -> None:
    made, records = log()
    sent = [{"event": "file", "op": "open", "path": f"/{n}", "read": n} for n in range(3)]
    data = b"".join(json.dumps(one).encode() + b"\n" for one in sent)
    for start in range(0, len(data), size):
        await made.write(data[start : start + size])
    assert records == sent
    assert made.failure == ""


async def test_a_process_can_not_write_records_of_its_own() -> None:
    made, records = log()
    for line in (
        {"event": "auth", "outcome": "success"},
        {"event": ["file"]},
        {"event": "file", "op": "a\nb", "user": "root", "connection": 1, "path": ["x"]},
    ):
        await made.write(json.dumps(line).encode() + b"\n")
    assert records == [{"event": "file", "op": "a\\x0ab", "path": "['x']"}]


async def test_operations_have_the_level_that_the_session_logs_them_at() -> None:
    records: list[dict[str, Any]] = []
    made = FileProcessLog(lambda event, **fields: records.append(fields), LogLevel.INFO)
    for fields in ({"op": "open"}, {"op": "stat"}, {"op": "rename", "level": "error"}, {}):
        await made.write(json.dumps({"event": "file", **fields}).encode() + b"\n")
    await made.write(b'{"event": "refused", "request": "open"}\n')
    assert records == [
        {"op": "open", "level": "info"},
        {"op": "stat"},
        {"op": "rename", "level": "info"},
        {},
        {"request": "open"},
    ]


async def test_what_is_no_record_is_the_reason_of_a_failure() -> None:
    made, records = log()
    await made.write(b"Traceback\nOSError: no\x1b such file\n[1]\n")
    assert records == []
    assert made.failure == "[1]"
    await made.write(b"OSError: no\x1b such file\n")
    assert made.failure == "OSError: no\\x1b such file"


async def test_a_line_without_an_end_is_bounded() -> None:
    made, records = log()
    for _ in range(100):
        await made.write(b"x" * 10_000)
    assert len(made._begun) <= 65536
    await made.write(b"\n")
    assert len(made.failure) <= 1025
    assert records == []
