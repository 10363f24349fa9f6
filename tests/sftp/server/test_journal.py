"""What a session of files writes to the log."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from nacre.sftp.filesystems.local import LocalFilesystem
from nacre.sftp.filesystems.memory import MemoryFilesystem
from nacre.sftp.filesystems.rights import RightsFilesystem
from nacre.sftp.filesystems.rules import parse_rules
from nacre.sftp.protocol import messages as msg
from nacre.sftp.protocol.attributes import Attributes
from nacre.sftp.protocol.messages import OpenFlag
from nacre.sftp.protocol.server import Refusal
from nacre.sftp.protocol.status import ToldError
from nacre.sftp.server.journal import FAILED, REFUSED, Journal
from sftp.server.talk import Talk

NEW = OpenFlag.READ | OpenFlag.WRITE | OpenFlag.CREAT


class Kept:
    """A journal whose records are kept."""

    def __init__(self, *, detailed: bool = True) -> None:
        self.records: list[dict[str, Any]] = []
        self.journal = Journal(self._record, detailed=detailed)

    def _record(self, event: str, **fields: Any) -> None:
        self.records.append({"event": event, **fields})

    def take(self) -> list[dict[str, Any]]:
        taken, self.records = self.records, []
        return taken


@pytest.mark.parametrize("blocking", [True, False])
async def test_each_operation_has_a_record_and_close_has_the_bytes(
    tmp_path: Path, blocking: bool
) -> None:
    kept = Kept()
    files = LocalFilesystem(tmp_path) if blocking else MemoryFilesystem()
    async with Talk(files, journal=kept.journal) as talk:
        handle = await talk.open("/file", NEW)
        numbers = [talk.client.send_write(handle, start, bytes(1000)) for start in (0, 1000, 2000)]
        talk.flush()
        for number in numbers:
            await talk.result(number)
        numbers = [talk.client.send_read(handle, start, 2000) for start in (0, 2000, 4000)]
        talk.flush()
        for number in numbers:
            await talk.result(number)
        await talk.call(msg.Close(handle))
        await talk.call(msg.MkDir("/d", Attributes(permissions=0o750)))
        await talk.call(msg.Rename("/file", "/d/new"))
        directory = await talk.call(msg.OpenDir("/d"))
        await talk.call(msg.ReadDir(directory))
        await talk.call(msg.Close(directory))
        with pytest.raises(FileNotFoundError):
            await talk.call(msg.Stat("/no\nne"))
        await talk.open("/d/new")
    found = [{k: v for k, v in one.items() if k != "event"} for one in kept.take()]
    done = {"outcome": "success"}
    assert found == [
        {"op": "open", "path": "/file", "flags": "read,write,creat", **done},
        {"op": "close", "path": "/file", "read": 3000, "written": 3000, **done},
        {"op": "mkdir", "path": "/d", "set": "mode:0750", **done},
        {"op": "rename", "path": "/file", "to": "/d/new", **done},
        {"op": "opendir", "path": "/d", **done},
        {"op": "close", "path": "/d", **done},
        {"op": "stat", "path": "/no\\x0ane", "outcome": "No such file or directory"},
        {"op": "open", "path": "/d/new", "flags": "read", **done},
        {
            "op": "close",
            "path": "/d/new",
            "read": 0,
            "written": 0,
            "outcome": "the session ended before it was closed",
        },
    ]


async def test_without_detail_only_the_first_lost_write_of_a_file_is_recorded() -> None:
    kept = Kept(detailed=False)
    async with Talk(MemoryFilesystem(size=100), journal=kept.journal) as talk:
        handle = await talk.open("/file", NEW)
        await talk.call(msg.Write(handle, 0, b"fits"))
        for _ in range(3):
            with pytest.raises(OSError, match="No space"):
                await talk.call(msg.Write(handle, 90, bytes(50)))
        await talk.call(msg.Close(handle))
        with pytest.raises(FileNotFoundError):
            await talk.call(msg.Stat("/none"))
    assert kept.take() == [
        {"event": "lost", "op": "write", "path": "/file", "reason": "No space left on device"}
    ]


async def test_a_close_that_loses_a_file_is_recorded(tmp_path: Path) -> None:
    class Failing(LocalFilesystem):
        def open(self, path: str, flags: OpenFlag, attributes: Attributes) -> Any:
            file = super().open(path, flags, attributes)
            real = file.close

            def close() -> None:
                real()
                raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

            file.close = close  # type: ignore[method-assign]
            return file

    kept = Kept(detailed=False)
    async with Talk(Failing(tmp_path), journal=kept.journal) as talk:
        for flags in (NEW, OpenFlag.READ):
            handle = await talk.open("/file", flags)
            with pytest.raises(OSError, match="quota"):
                await talk.call(msg.Close(handle))
    assert [(one["event"], one["op"], one["path"]) for one in kept.take()] == [
        ("lost", "close", "/file")
    ]


async def test_what_a_storage_did_not_do_is_recorded_a_few_times() -> None:
    class Failing(MemoryFilesystem):
        def rename(self, old: str, new: str, *, replace: bool) -> None:
            raise ToldError(errno.EIO, "2 of 5 objects renamed")

    kept = Kept(detailed=False)
    async with Talk(Failing(), journal=kept.journal) as talk:
        for _ in range(FAILED + 5):
            with pytest.raises(OSError, match="2 of 5 objects renamed"):
                await talk.call(msg.Rename("/a", "/b"))
    record = {"op": "rename", "path": "/a", "to": "/b", "reason": "2 of 5 objects renamed"}
    assert kept.take() == [{"event": "failed", **record}] * FAILED


async def test_refused_requests_are_recorded_with_the_reason() -> None:
    kept = Kept(detailed=False)
    async with Talk(MemoryFilesystem(), journal=kept.journal) as talk:
        with pytest.raises(OSError, match="Invalid handle"):
            await talk.call(msg.FStat(b"none"))
    assert kept.take() == [
        {"event": "refused", "request": "fstat", "reason": "no such handle is open"}
    ]


def test_a_client_can_not_fill_the_log_with_refusals() -> None:
    kept = Kept(detailed=False)
    kept.journal.refused([Refusal("Open", "why")] * 1000)
    records = kept.take()
    assert len(records) == REFUSED
    assert records[-1]["reason"] == "further ones are not told"
    kept = Kept(detailed=True)
    kept.journal.refused([Refusal("Open", "why")] * 1000)
    assert len(kept.take()) == 1000


@pytest.mark.parametrize("detailed", [False, True])
async def test_what_rules_deny_is_recorded_with_the_reason(detailed: bool) -> None:
    kept = Kept(detailed=detailed)
    files = MemoryFilesystem()
    files["/in/file"] = b"x"
    judged = RightsFilesystem(files, parse_rules(["/in:list"]))
    async with Talk(judged, journal=kept.journal) as talk:
        for request in (msg.Remove("/in/file"), msg.Open("/in/file", int(OpenFlag.READ))):
            with pytest.raises(PermissionError):
                await talk.call(request)
    assert [record for record in kept.take() if record["event"] == "refused"] == [
        {
            "event": "refused",
            "request": "remove",
            "reason": "/in/file: delete is not among the rights of /in",
        },
        {
            "event": "refused",
            "request": "open",
            "reason": "/in/file: download is not among the rights of /in",
        },
    ]
