"""The service over a filesystem that is prompt: what the loop does itself, and what it leaves."""

from __future__ import annotations

import asyncio
import errno
import threading
from collections.abc import Iterator, Sequence

import pytest

from nacre.limits import KIB, MIB
from nacre.sftp.filesystems.base import File, Filesystem
from nacre.sftp.protocol import messages as msg
from nacre.sftp.protocol.attributes import Attributes, Entry
from nacre.sftp.protocol.messages import OpenFlag
from nacre.sftp.server import service as sftp_server
from nacre.sftp.server import threads
from nacre.sftp.server.opened import ENTRIES
from nacre.wire.blocks import SHARED_BLOCKS, Block
from nacre.wire.codec import Buffer
from sftp.server.talk import Talk

BOTH = OpenFlag.READ | OpenFlag.WRITE | OpenFlag.CREAT


class Prompt(Filesystem):
    """One file in memory; it notes who calls, and takes as long as it is told.

    :cvar passed: the seconds that all calls together were told to take.
    :ivar cold: what is read is not in memory: only who waits gets it.
    """

    prompt = True
    passed = 0.0

    def __init__(self) -> None:
        self.data = bytearray()
        self.calls: list[tuple[str, bool]] = []
        self.seconds = 0.0
        self.cold = False
        self.loop = asyncio.get_running_loop()
        self.loop_thread = threading.get_ident()

    def note(self, what: str) -> None:
        self.calls.append((what, threading.get_ident() == self.loop_thread))
        Prompt.passed += self.seconds

    def here(self, what: str) -> list[bool]:
        """Tell of each call of a kind whether the loop made it."""
        return [on_loop for name, on_loop in self.calls if name == what]

    def stat(self, path: str) -> Attributes:
        self.note("stat")
        return Attributes(size=len(self.data))

    def open(self, path: str, flags: OpenFlag, attributes: Attributes) -> File:
        self.note("open")
        return PromptFile(self)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Prompt, "passed", 0.0)
    monkeypatch.setattr(threads, "monotonic", lambda: Prompt.passed)  # no load counts


class PromptFile(File):
    vectors = True

    def __init__(self, filesystem: Prompt) -> None:
        self._filesystem = filesystem

    def preadv(self, buffers: Sequence[memoryview], offset: int, *, wait: bool = True) -> int:
        self._filesystem.note("read")
        if self._filesystem.cold and not wait:
            raise BlockingIOError(errno.EAGAIN, "not in memory")
        total = 0
        for buffer in buffers:
            part = self._filesystem.data[offset + total : offset + total + len(buffer)]
            buffer[: len(part)] = part
            total += len(part)
        return total

    def pwritev(self, buffers: Sequence[Buffer], offset: int) -> None:
        self._filesystem.note("write")
        whole = b"".join(buffers)
        self._filesystem.data[offset : offset + len(whole)] = whole

    def stat(self) -> Attributes:
        self._filesystem.note("fstat")
        return Attributes(size=len(self._filesystem.data))


async def test_short_calls_are_made_on_the_loop() -> None:
    files = Prompt()
    async with Talk(files) as talk:
        handle = await talk.open("file", BOTH)
        await talk.call(msg.Write(handle, 0, b"some"))
        assert await talk.call(msg.Read(handle, 0, 10)) == b"some"
        assert (await talk.call(msg.Stat("file"))).size == 4
        await talk.call(msg.Close(handle))
    assert [name for name, _ in files.calls] == ["open", "write", "read", "stat"]
    assert all(on_loop for _, on_loop in files.calls)


@pytest.mark.untraced
async def test_so_are_large_ones_together_when_they_are_in_a_row() -> None:
    files = Prompt()
    async with Talk(files) as talk:
        handle = await talk.open("file", BOTH)
        content = bytes(range(250)) * 1000
        writes = [talk.client.send_write(handle, n * len(content), content) for n in range(3)]
        talk.flush()
        for number in writes:
            assert await talk.result(number) is None
        reads = [talk.client.send_read(handle, n * 250_000, 250_000) for n in range(3)]
        talk.flush()
        assert [await talk.result(number) for number in reads] == [content] * 3
    assert all(files.here("write"))
    assert files.here("read") == [True], "three in a row are one call"


async def test_the_blocks_of_large_reads_are_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    spare: list[Block] = []
    monkeypatch.setattr(SHARED_BLOCKS, "_spare", spare)
    files = Prompt()
    files.data += bytes(range(250)) * 1000
    async with Talk(files) as talk:
        handle = await talk.open("file", BOTH)
        await talk.call(msg.Read(handle, 0, 250_000))
        (block,) = spare
        for talk.down.takes in (1 << 30, 100_000):
            assert await talk.call(msg.Read(handle, 0, 250_000)) == files.data
            assert spare == [block]
            assert spare[0] is block
        # What is left of a large READ is copied to other small answers.
        assert await talk.call(msg.Read(handle, 249_000, 250_000)) == files.data[249_000:]
        assert spare[0] is block
        talk.down.open.clear()
        reading = talk.client.send_read(handle, 0, 250_000)
        talk.flush()
        for _ in range(3):  # the service has its turn
            await asyncio.sleep(0)
        assert not spare, "what waits is not used for anything else"
        talk.down.open.set()
        assert await talk.result(reading) == files.data
        assert spare[0] is block


async def test_large_ones_go_to_threads_after_one_that_was_slow() -> None:
    files = Prompt()
    async with Talk(files) as talk:
        handle = await talk.open("file", BOTH)
        files.seconds = 1.0
        await talk.call(msg.Write(handle, 0, bytes(250_000)))
        files.seconds = 0.0
        await talk.call(msg.Write(handle, 250_000, bytes(250_000)))
        await talk.call(msg.Read(handle, 0, 250_000))
    assert files.here("write") == [True, False]
    assert files.here("read") == [False]


async def test_a_filesystem_that_does_not_say_so_is_never_called_on_the_loop() -> None:
    class Ordinary(Prompt):
        prompt = False

    files = Ordinary()
    async with Talk(files) as talk:
        for _ in range(10):
            await talk.call(msg.Stat("file"))
    assert files.here("stat") == [False] * 10


async def test_a_slow_call_sends_those_behind_it_to_threads_for_a_while() -> None:
    files = Prompt()
    async with Talk(files) as talk:
        await talk.call(msg.Stat("file"))
        files.seconds = 1.0
        await talk.call(msg.Stat("file"))
        files.seconds = 0.0
        for _ in range(150):
            await talk.call(msg.Stat("file"))
    made_here = files.here("stat")
    assert made_here[:2] == [True, True]
    assert made_here[2:100] == [False] * 98
    assert made_here[-1]


async def test_a_storage_that_stays_slow_is_asked_on_the_loop_seldom() -> None:
    files = Prompt()
    files.seconds = 0.1
    async with Talk(files) as talk:
        for _ in range(300):
            await talk.call(msg.Stat("file"))
    assert sum(files.here("stat")) <= 3


async def test_what_is_not_in_memory_is_read_in_a_thread() -> None:
    files = Prompt()
    files.data[:] = b"0123456789"
    files.cold = True
    async with Talk(files) as talk:
        handle = await talk.open("file")
        numbers = [talk.client.send_read(handle, start, 4) for start in (0, 4, 8, 12)]
        talk.flush()
        found = [await talk.result(number) for number in numbers]
    assert found == [b"0123", b"4567", b"89", None]
    assert files.here("read") == [True, False]


async def test_the_order_holds_where_calls_change_over_to_threads() -> None:
    """A READ sees the large WRITE before it, and the small one behind that."""
    files = Prompt()
    async with Talk(files) as talk:
        handle = await talk.open("file", BOTH)
        numbers = []
        for value in range(8):
            size = 250 * KIB if value % 2 else 10
            numbers += [
                talk.client.send_write(handle, 0, bytes([value]) * size),
                talk.client.send(msg.FStat(handle)),
                talk.client.send_read(handle, 0, 10),
                talk.client.send(msg.Stat("file")),
            ]
        talk.flush()
        found = [await talk.result(number) for number in numbers]
    assert found[2::4] == [bytes([value]) * 10 for value in range(8)]
    sizes = [10, *[250 * KIB] * 7]
    assert [one.size for one in found[1::4]] == sizes
    assert [one.size for one in found[3::4]] == sizes


async def test_much_at_once_leaves_turns_to_others() -> None:
    files = Prompt()
    count, turns = 2000, 0
    async with Talk(files) as talk:
        loop = asyncio.get_running_loop()

        def turn() -> None:
            nonlocal turns
            turns += 1
            if len(files.here("stat")) < count:
                loop.call_soon(turn)

        packets = b"".join(
            bytes([0, 0, 0, 10, msg.FXP.STAT]) + number.to_bytes(4, "big") + b"\0\0\0\1f"
            for number in range(10**6, 10**6 + count)
        )
        loop.call_soon(turn)
        talk.service.feed(packets)
        seen = 0
        while seen < count:
            async with asyncio.timeout(30):
                seen += (await talk.down.queue.get()).count(bytes([msg.FXP.ATTRS, 0, 15]))
    assert turns >= count // (2 * sftp_server.UNSENT)


async def test_a_line_that_takes_little_at_a_time() -> None:
    files = Prompt()
    files.data[:] = bytes(range(256)) * (MIB // 256)
    async with Talk(files) as talk:
        talk.down.takes = 1000
        handle = await talk.open("file")
        numbers = [talk.client.send_read(handle, start, 60_000) for start in range(0, MIB, 60_000)]
        talk.flush()
        whole = b"".join([await talk.result(number) for number in numbers])
        assert whole == files.data
        assert talk.down.credited > 0
        assert not talk.service._answers.lent


async def test_a_failure_on_the_loop_is_the_clients_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken(Prompt):
        def stat(self, path: str) -> Attributes:
            raise KeyError("a bug")

    async with Talk(Broken()) as talk:
        with pytest.raises(OSError, match="Input/output error"):
            await talk.call(msg.Stat("x"))
        assert await talk.open("file")
    assert "a bug" in caplog.text


class Listed(Prompt):
    """Has directories with 600 names."""

    def scandir(self, path: str) -> Iterator[Entry]:
        for number in range(600):
            self.note("name")
            yield Entry(f"{number}", "line")


async def test_one_directory_is_read_ahead_while_the_client_is_busy() -> None:
    files = Listed()
    async with Talk(files) as talk:
        first, second = [await talk.call(msg.OpenDir(path)) for path in ("/a", "/b")]
        found = [len(await talk.call(msg.ReadDir(first)))]
        for _ in range(3):
            await asyncio.sleep(0)
        assert len(files.here("name")) == 2 * ENTRIES, "the next block is there"
        # While it waits, no other directory is read ahead: what waits is bounded.
        assert len(await talk.call(msg.ReadDir(second))) == ENTRIES
        for _ in range(3):
            await asyncio.sleep(0)
        assert len(files.here("name")) == 3 * ENTRIES
        while entries := await talk.call(msg.ReadDir(first)):
            found.append(len(entries))
        assert found == [ENTRIES, ENTRIES, 600 - 2 * ENTRIES]
    assert all(files.here("name"))
