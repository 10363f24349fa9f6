"""A session whose operations are events: the answers to changes wait until these are kept."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from nacre.sftp.filesystems.base import Filesystem
from nacre.sftp.filesystems.local import LocalFilesystem
from nacre.sftp.filesystems.memory import MemoryFilesystem
from nacre.sftp.protocol import messages as msg
from nacre.sftp.protocol.attributes import Attributes
from nacre.sftp.protocol.messages import OpenFlag
from nacre.sftp.protocol.server import Refusal
from nacre.sftp.server.audit import AuditJournal
from nacre.sftp.server.receipts import Receipt
from sftp.server.talk import Talk

NEW = OpenFlag.READ | OpenFlag.WRITE | OpenFlag.CREAT


class Noted:
    """A trail whose receipts the test settles."""

    def __init__(self, *, at_once: bool = True, hashes: bool = True) -> None:
        self.problem, self.behind, self.hashes = "", False, hashes
        self.at_once = at_once
        self.added: list[tuple[dict[str, Any], bool]] = []
        self.receipts: list[Receipt] = []
        self.last = Receipt()
        self.records: list[tuple[str, dict[str, Any]]] = []
        self.journal = AuditJournal(self, self._record, logs=False)

    def _record(self, event: str, **fields: Any) -> None:
        self.records.append((event, fields))

    def add(self, fields: Mapping[str, object], *, waits: bool) -> Receipt:
        self.added.append((dict(fields), waits))
        self.last = Receipt()
        self.receipts.append(self.last)
        if self.at_once or not waits:
            self.last.settle(self.problem)
        return self.last

    async def settled(self) -> str:
        return await self.last.settled()

    def of(self, op: str) -> dict[str, Any]:
        (found,) = [fields for fields, _ in self.added if fields["op"] == op]
        return found

    async def until(self, count: int) -> None:
        async with asyncio.timeout(30):
            while len(self.receipts) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.01)


@pytest.fixture(params=["disk", "memory"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Filesystem:
    return LocalFilesystem(tmp_path) if request.param == "disk" else MemoryFilesystem()


async def test_a_transfer_has_its_bytes_its_hash_and_its_duration(files: Filesystem) -> None:
    trail, data = Noted(), os.urandom(3000)
    async with Talk(files, journal=trail.journal) as talk:
        handle = await talk.open("/file", NEW)
        sent = [talk.client.send_write(handle, at, data[at : at + 1000]) for at in (0, 1000, 2000)]
        talk.flush()
        for number in sent:
            await talk.result(number)
        asked = [talk.client.send_read(handle, at, 1000) for at in (0, 1000, 2000)]
        talk.flush()
        for number in asked:
            await talk.result(number)
        await talk.call(msg.Close(handle))
    closed = trail.of("close")
    digest = hashlib.sha256(data).hexdigest()
    assert (closed["read"], closed["written"]) == (3000, 3000)
    assert (closed["sha256_read"], closed["sha256_written"]) == (digest, digest)
    assert (closed["outcome"], closed["seconds"] >= 0) == ("success", True)
    assert [waits for fields, waits in trail.added if fields["op"] == "close"] == [True]
    assert "write" not in {fields["op"] for fields, _ in trail.added}
    assert trail.records == []


async def test_a_transfer_out_of_order_has_no_hash_and_says_so(files: Filesystem) -> None:
    trail = Noted()
    async with Talk(files, journal=trail.journal) as talk:
        handle = await talk.open("/file", NEW)
        await talk.call(msg.Write(handle, 100, b"x"))
        await talk.call(msg.Write(handle, 0, b"x"))
        await talk.call(msg.Close(handle))
    closed = trail.of("close")
    assert (closed["sha256_written"], "beginning to end" in closed["unhashed"]) == (None, True)


async def test_without_hashes_there_are_none(files: Filesystem) -> None:
    trail = Noted(hashes=False)
    async with Talk(files, journal=trail.journal) as talk:
        handle = await talk.open("/file", NEW)
        await talk.call(msg.Write(handle, 0, b"x"))
        await talk.call(msg.Close(handle))
    assert not {"sha256_written", "unhashed"} & trail.of("close").keys()


async def test_the_answer_to_a_change_waits_and_other_requests_go_on(files: Filesystem) -> None:
    trail = Noted(at_once=False)
    async with Talk(files, journal=trail.journal) as talk:
        numbers = [talk.client.send(msg.MkDir(f"/{name}", Attributes())) for name in "abc"]
        talk.flush()
        await trail.until(3)
        # What only looks is answered meanwhile.
        await talk.call(msg.Stat("/a"))
        assert not talk.results.keys() & set(numbers)
        first, second, third = numbers
        trail.receipts[1].settle("disk full")
        with pytest.raises(OSError, match="Input/output"):
            await talk.result(second)
        assert not talk.results.keys() & set(numbers)
        trail.receipts[0].settle("")
        trail.receipts[2].settle("")
        await talk.result(third)
        await talk.result(first)


async def test_nothing_happens_that_can_not_be_kept(files: Filesystem) -> None:
    trail = Noted()
    async with Talk(files, journal=trail.journal) as talk:
        handle = await talk.open("/file", NEW)
        await talk.call(msg.Write(handle, 0, b"x"))
        trail.problem = "disk full"
        with pytest.raises(OSError, match="Input/output"):
            await talk.call(msg.Remove("/file"))
        with pytest.raises(OSError, match="Input/output"):
            await talk.open("/other", NEW)
        # What was written may be incomplete, as far as the client knows.
        with pytest.raises(OSError, match="Input/output"):
            await talk.call(msg.Close(handle))
        trail.problem = ""
        assert (await talk.call(msg.Stat("/file"))).size == 1
        with pytest.raises(FileNotFoundError):
            await talk.call(msg.Stat("/other"))


async def test_a_session_that_is_behind_takes_no_requests_for_a_while(files: Filesystem) -> None:
    trail = Noted(at_once=False)
    async with Talk(files, journal=trail.journal) as talk:
        number = talk.client.send(msg.MkDir("/a", Attributes()))
        talk.flush()
        await trail.until(1)
        trail.behind = True
        other = talk.client.send(msg.Stat("/a"))
        talk.flush()
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(trail.added) == 1
        trail.behind = False
        trail.receipts[0].settle("")
        await talk.result(number)
        await talk.result(other)


async def test_a_file_that_stays_open_is_an_event_at_the_end(files: Filesystem) -> None:
    trail = Noted()
    async with Talk(files, journal=trail.journal) as talk:
        handle = await talk.open("/file", NEW)
        await talk.call(msg.Write(handle, 0, b"xyz"))
    closed = trail.of("close")
    assert (closed["written"], "before it was closed" in closed["outcome"]) == (3, True)


def test_refused_requests_are_events_and_the_log_has_the_first_ones() -> None:
    trail = Noted()
    trail.journal.refused([Refusal("REMOVE", "denied")] * 100)
    assert len(trail.added) == 100
    assert trail.added[0] == ({"op": "remove", "reason": "denied", "outcome": "refused"}, False)
    assert 0 < len(trail.records) < 30


async def test_a_copy_by_scp_has_its_bytes_and_its_hash() -> None:
    trail = Noted()
    trail.journal.begin()
    trail.journal.copied(b"ab", 0, reads=False)
    trail.journal.copied(b"c", 2, reads=False)
    trail.journal.copy_ended("upload", None, "/file", 3)
    await trail.journal.settled()
    told, waits = trail.added[0]
    assert (told["op"], told["written"], waits) == ("upload", 3, True)
    assert told["sha256_written"] == hashlib.sha256(b"abc").hexdigest()
    trail.problem = "disk full"
    with pytest.raises(OSError, match="audit"):
        trail.journal.begin()
    trail.journal.copy_ended("upload", None, "/file", 3)
    with pytest.raises(OSError, match="audit"):
        await trail.journal.settled()
