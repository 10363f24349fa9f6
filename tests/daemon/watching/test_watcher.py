"""One who watches: what is sent, what is left out, and what ends it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator

import pytest

from nacre.daemon.recording.frames import FrameReader, frame
from nacre.daemon.watching import watcher as watcher_module
from nacre.daemon.watching.frames import WatchFrame, WatchOrder
from nacre.daemon.watching.watcher import MOST_UNSENT, Watcher
from nacre.limits import KIB

ORDER = WatchOrder(id="1.1", channel=0, by="root")
PIECE = b"x" * 50 * KIB


class Drawn:
    """What is shown of a session that a test makes up."""

    size: tuple[int, int] | None = (80, 24)
    last_output = b"last"


class Watched:
    """A watcher, and the other end of its socket."""

    def __init__(self, *, joins: bool = False) -> None:
        ours, self.theirs = socket.socketpair()
        self.theirs.setblocking(False)
        self.gone = asyncio.Event()
        self.typed: list[bytes] = []
        self.hang: Callable[[], Awaitable[None]] | None = None
        self.picture = Drawn()
        self._frames = FrameReader(WatchFrame)
        type_in = self._type if joins else None
        self.watcher = Watcher(ours, ORDER, self.picture, type_in, lambda _: self.gone.set())

    async def _type(self, _: Watcher, data: bytes) -> None:
        if self.hang is not None:
            await self.hang()
        self.typed.append(data)

    async def until(self, kind: WatchFrame) -> list[tuple[WatchFrame, bytes]]:
        """Read up to a frame of a kind."""
        found: list[tuple[WatchFrame, bytes]] = []
        async with asyncio.timeout(20):
            while not any(one == kind for one, _ in found):
                data = await asyncio.get_running_loop().sock_recv(self.theirs, 64 * KIB)
                assert data
                found += self._frames.feed(data)
        return found


@pytest.fixture
def watched() -> Iterator[list[Watched]]:
    made: list[Watched] = []
    yield made
    for one in made:
        one.watcher.close()
        one.theirs.close()


def one_of(watched: list[Watched], *, joins: bool = False) -> Watched:
    watched.append(Watched(joins=joins))
    return watched[-1]


async def test_the_size_and_the_last_output_come_first(watched: list[Watched]) -> None:
    one = one_of(watched)
    one.watcher.put(WatchFrame.OUTPUT, b"new")
    assert await one.until(WatchFrame.OUTPUT) == [
        (WatchFrame.SIZE, b"[80,24]"),
        (WatchFrame.SCREEN, b"last"),
        (WatchFrame.OUTPUT, b"new"),
    ]
    one.picture.size = (100, 30)
    one.watcher.resize()
    one.watcher.put(WatchFrame.ERRORS, b"wrong")
    assert await one.until(WatchFrame.ERRORS) == [
        (WatchFrame.SIZE, b"[100,30]"),
        (WatchFrame.ERRORS, b"wrong"),
    ]


async def test_who_is_slow_misses_output_and_gets_the_last_one_anew(
    watched: list[Watched],
) -> None:
    one = one_of(watched)
    await one.until(WatchFrame.SCREEN)
    pieces = 100
    for _ in range(pieces):
        one.watcher.put(WatchFrame.OUTPUT, PIECE)
        assert len(one.watcher._unsent) <= MOST_UNSENT + len(PIECE)
    one.watcher.resize()  # the size comes with what is drawn anew
    *output, skipped, size, screen = await one.until(WatchFrame.SCREEN)
    assert {kind for kind, _ in output} == {WatchFrame.OUTPUT}
    assert skipped[0] is WatchFrame.SKIPPED
    shown = sum(len(data) for _, data in output)
    assert shown + int(skipped[1]) == pieces * len(PIECE)
    assert shown < pieces * len(PIECE)
    assert (size, screen) == ((WatchFrame.SIZE, b"[80,24]"), (WatchFrame.SCREEN, b"last"))
    one.watcher.put(WatchFrame.OUTPUT, b"new")
    assert await one.until(WatchFrame.OUTPUT) == [(WatchFrame.OUTPUT, b"new")]


async def test_a_chunk_that_is_larger_than_the_bound_is_sent_whole(watched: list[Watched]) -> None:
    one = one_of(watched)
    await one.until(WatchFrame.SCREEN)
    one.watcher.put(WatchFrame.OUTPUT, memoryview(b"y" * (MOST_UNSENT + 1)))
    one.watcher.end(3)
    *output, end = await one.until(WatchFrame.END)
    assert end == (WatchFrame.END, b"3")
    assert b"".join(data for _, data in output) == b"y" * (MOST_UNSENT + 1)


async def test_the_end_comes_behind_what_is_missing(watched: list[Watched]) -> None:
    one = one_of(watched)
    for _ in range(100):
        one.watcher.put(WatchFrame.OUTPUT, PIECE)
    one.watcher.end(None)
    *_, skipped, end = await one.until(WatchFrame.END)
    assert skipped[0] is WatchFrame.SKIPPED
    assert end == (WatchFrame.END, b"")
    assert not one.gone.is_set()
    async with asyncio.timeout(20):
        assert await asyncio.get_running_loop().sock_recv(one.theirs, 1) == b""


async def test_who_reads_nothing_at_the_end_is_left(
    watched: list[Watched], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher_module, "LINGER", 0.01)
    one = one_of(watched)
    for _ in range(100):
        one.watcher.put(WatchFrame.OUTPUT, PIECE)
    one.watcher.end(0)
    async with asyncio.timeout(20):
        while one.watcher._sock.fileno() >= 0:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)
    assert not one.watcher._unsent


async def test_what_is_typed_is_taken_in_order(watched: list[Watched]) -> None:
    one = one_of(watched, joins=True)
    one.theirs.send(frame(WatchFrame.TYPED, b"a") + frame(WatchFrame.TYPED, b"b"))
    one.theirs.shutdown(socket.SHUT_WR)
    async with asyncio.timeout(20):
        await one.gone.wait()
    assert one.typed == [b"a", b"b"]


async def test_one_who_leaves_while_the_terminal_takes_nothing_is_noticed(
    watched: list[Watched], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher_module, "LINGER", 0.01)
    one = one_of(watched, joins=True)
    begun = asyncio.Event()

    async def hang() -> None:
        begun.set()
        await asyncio.Event().wait()

    one.hang = hang
    one.theirs.send(frame(WatchFrame.TYPED, b"a") + frame(WatchFrame.TYPED, b"b"))
    async with asyncio.timeout(20):
        await begun.wait()
        one.theirs.close()
        await one.gone.wait()
    assert one.typed == []


@pytest.mark.parametrize("joins", [False, True])
@pytest.mark.parametrize(
    "sent",
    [frame(WatchFrame.OUTPUT, b"x"), b"\xff" * 10, b"\0\0\0\1\x63x"],
    ids=["another frame", "too long", "no kind"],
)
async def test_what_may_not_be_said_ends_the_watcher(
    joins: bool, sent: bytes, watched: list[Watched]
) -> None:
    one = one_of(watched, joins=joins)
    one.theirs.send(sent)
    async with asyncio.timeout(20):
        await one.gone.wait()
    assert one.typed == []


async def test_who_only_watches_may_not_type(watched: list[Watched]) -> None:
    one = one_of(watched)
    one.theirs.send(frame(WatchFrame.TYPED, b"rm -r ~"))
    async with asyncio.timeout(20):
        await one.gone.wait()


async def test_one_that_is_gone_is_noticed_once(watched: list[Watched]) -> None:
    one = one_of(watched)
    one.theirs.close()
    one.watcher.put(WatchFrame.OUTPUT, b"x")
    one.watcher.put(WatchFrame.OUTPUT, b"x")
    async with asyncio.timeout(20):
        await one.gone.wait()
    one.watcher.end(0)
    one.watcher.close()
