"""The service over two descriptors."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from nacre.sftp.filesystems.local import LocalFilesystem
from nacre.sftp.protocol import extensions as ext
from nacre.sftp.protocol import messages as msg
from nacre.sftp.protocol.messages import OpenFlag
from nacre.sftp.protocol.status import FX
from nacre.sftp.server.journal import Journal
from nacre.sftp.server.piped import serve
from nacre.wire.codec import string
from sftp.server.requests import handle, serve_piped

NEW = int(OpenFlag.READ | OpenFlag.WRITE | OpenFlag.CREAT)


class Records:
    def __init__(self) -> None:
        self.found: list[dict[str, Any]] = []
        self.journal = Journal(self._record, detailed=True)

    def _record(self, event: str, **fields: Any) -> None:
        self.found.append({"event": event, **fields})


def test_rows_of_reads_and_writes_are_answered_one_by_one(tmp_path: Path) -> None:
    content = os.urandom(3000)
    records = Records()
    parts = [content[at : at + 1000] for at in (0, 1000, 2000)]
    _, answers = serve_piped(
        LocalFilesystem(tmp_path),
        records.journal,
        [msg.Open("file", NEW)],
        [msg.Write(handle(1), 1000 * at, part) for at, part in enumerate(parts)],
        [msg.Read(handle(1), 1000 * at, 1000) for at in range(4)],
        [msg.Close(handle(1))],
    )
    assert (tmp_path / "file").read_bytes() == content
    assert answers == [
        string(handle(1)),
        *[FX.OK] * 3,
        *[string(part) for part in parts],
        FX.EOF,
        FX.OK,
    ]
    assert [one["op"] for one in records.found] == ["open", "close"]
    assert (records.found[1]["read"], records.found[1]["written"]) == (3000, 3000)


def test_bytes_that_are_copied_count_for_both_files(tmp_path: Path) -> None:
    (tmp_path / "from").write_bytes(bytes(5000))
    records = Records()
    serve_piped(
        LocalFilesystem(tmp_path),
        records.journal,
        [msg.Open("from", int(OpenFlag.READ)), msg.Open("to", NEW)],
        [ext.CopyData(handle(1), 1000, 0, handle(2), 0)],
        [ext.CopyData(handle(1), 0, 10, handle(2), 9)],
        [msg.Close(handle(1)), msg.Close(handle(2))],
    )
    found = [(one["path"], one["read"], one["written"]) for one in records.found[-2:]]
    assert found == [("from", 4010, 0), ("to", 0, 4010)]


def test_a_row_that_fails_fails_for_each_request(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    _, answers = serve_piped(
        LocalFilesystem(tmp_path),
        Records().journal,
        [msg.Open("file", int(OpenFlag.READ))],
        [*[msg.Write(handle(1), 10 * at, bytes(10)) for at in range(3)], msg.Close(handle(1))],
    )
    assert answers == [string(handle(1)), *[FX.FAILURE] * 3, FX.OK]


def test_files_that_are_open_at_the_end_are_closed_and_recorded(tmp_path: Path) -> None:
    records = Records()
    before = os.listdir("/proc/self/fd")
    serve_piped(LocalFilesystem(tmp_path), records.journal, [msg.Open("file", NEW)])
    assert records.found[-1]["outcome"] == "the session ended before it was closed"
    assert os.listdir("/proc/self/fd") == before


def test_a_client_that_breaks_the_protocol_or_is_gone_ends_the_session(tmp_path: Path) -> None:
    source, typed = os.pipe()
    answers, target = os.pipe()
    os.close(answers)
    records = Records()
    try:
        os.write(typed, b"\xff\xff\xff\xff")
        assert serve(records.journal, LocalFilesystem(tmp_path), source, target) == 1
        assert [one["event"] for one in records.found] == ["sftp"]
        os.write(typed, string(b"\x01\0\0\0\x03"))
        assert serve(records.journal, LocalFilesystem(tmp_path), source, target) == 1
        assert len(records.found) == 1
    finally:
        for number in (source, typed, target):
            os.close(number)
