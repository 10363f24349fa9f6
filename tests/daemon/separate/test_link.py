"""Messages and descriptors over a socket pair, whose other end is nacre's or a raw one."""

from __future__ import annotations

import asyncio
import fcntl
import os
import select
import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest

from nacre.aio.waiting import Gate
from nacre.daemon.separate import link as link_module
from nacre.daemon.separate.link import LONGEST, Link, LinkError, pair


def open_descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


@pytest.fixture(autouse=True)
def _nothing_is_left_open() -> Iterator[None]:
    before = len(open_descriptors())
    yield
    assert len(open_descriptors()) == before


class Ends:
    """A link, the raw other end, and what the link received."""

    def __init__(self) -> None:
        ours, self.raw = pair()
        self.raw.settimeout(30)
        self.messages: list[bytes] = []
        self.descriptors: list[int] = []
        self.lost: list[str | None] = []
        self.changed = Gate()
        self.link = Link(ours, self._receive, self._on_lost)

    def _receive(self, message: bytes) -> None:
        self.messages.append(message)
        if message.startswith(b"descriptor"):
            self.descriptors.append(self.link.descriptor())
        if message == b"illegal":
            raise LinkError("it may not say this")
        if message == b"mistake":
            raise ZeroDivisionError
        if message == b"close":
            self.link.close()
        self.changed.wake()

    def _on_lost(self, reason: str | None) -> None:
        self.lost.append(reason)
        self.changed.wake()

    async def until(self, messages: int = 0, lost: int = 0) -> None:
        async with asyncio.timeout(30):
            while len(self.messages) < messages or len(self.lost) < lost:
                await self.changed.wait()

    def __enter__(self) -> Ends:
        return self

    def __exit__(self, *_: object) -> None:
        self.link.close()
        self.raw.close()
        for number in self.descriptors:
            os.close(number)


def framed(message: bytes) -> bytes:
    return len(message).to_bytes(4) + message


async def test_messages_arrive_whole_however_they_are_cut() -> None:
    data = framed(b"one") + framed(b"") + framed(b"x" * 70_000)
    with Ends() as ends:
        for at in (0, 1, 3, 5, 7, 9, 12, 40_000, len(data)):
            cut = data[:at]
            ends.raw.sendall(cut)
            data = data[len(cut) :]
            await asyncio.sleep(0)
        await ends.until(messages=3)
        assert ends.messages == [b"one", b"", b"x" * 70_000]


async def test_several_messages_in_one_piece() -> None:
    with Ends() as ends:
        ends.raw.sendall(b"".join(framed(b"%d" % n) for n in range(100)))
        await ends.until(messages=100)
        assert ends.messages == [b"%d" % n for n in range(100)]


async def test_what_is_sent_is_framed() -> None:
    with Ends() as ends:
        ends.link.send(b"hello")
        ends.link.send(b"")
        assert ends.raw.recv(100) == framed(b"hello") + framed(b"")


async def test_descriptors_come_in_the_order_of_their_messages() -> None:
    with Ends() as ends:
        made = [os.memfd_create(str(n)) for n in range(3)]
        for number, one in enumerate(made):
            os.write(one, b"%d" % number)
            socket.send_fds(ends.raw, [framed(b"descriptor")], [one])
            os.close(one)
        await ends.until(messages=3)
        assert [os.pread(one, 9, 0) for one in ends.descriptors] == [b"0", b"1", b"2"]
        # A program that is executed meanwhile must not get them.
        assert {fcntl.fcntl(one, fcntl.F_GETFD) for one in ends.descriptors} == {fcntl.FD_CLOEXEC}


async def test_a_descriptor_that_did_not_come_ends_the_link() -> None:
    with Ends() as ends:
        ends.raw.sendall(framed(b"descriptor"))
        await ends.until(lost=1)
        assert ends.lost == ["a descriptor is missing"]
        assert ends.raw.recv(1) == b""


async def test_too_many_descriptors_end_the_link_and_are_closed() -> None:
    with Ends() as ends, open(os.devnull, "rb") as null:
        with suppress(BrokenPipeError):
            for _ in range(3):
                socket.send_fds(ends.raw, [framed(b"none of mine")], [null.fileno()] * 30)
                await asyncio.sleep(0)
        await ends.until(lost=1)
        assert ends.lost == ["too many descriptors"]
        assert ends.messages == [b"none of mine"] * 2


async def test_descriptors_that_nobody_took_are_closed_at_the_end() -> None:
    before = open_descriptors()
    with Ends() as ends, open(os.devnull, "rb") as null:
        socket.send_fds(ends.raw, [framed(b"x")], [null.fileno()] * 3)
        await ends.until(messages=1)
    assert open_descriptors() == before


async def test_a_message_that_is_too_long_ends_the_link_before_it_has_come() -> None:
    with Ends() as ends:
        ends.raw.sendall((LONGEST + 1).to_bytes(4))
        await ends.until(lost=1)
        assert ends.lost == ["a message is too long"]


async def test_the_longest_message() -> None:
    with Ends() as ends:
        sending = asyncio.to_thread(ends.raw.sendall, framed(bytes(LONGEST)))
        await asyncio.gather(sending, ends.until(messages=1))
        assert ends.messages == [bytes(LONGEST)]


async def test_what_may_not_be_said_ends_the_link() -> None:
    with Ends() as ends:
        ends.raw.sendall(framed(b"illegal") + framed(b"more"))
        await ends.until(lost=1)
        assert ends.lost == ["it may not say this"]
        assert ends.messages == [b"illegal"]


async def test_a_message_that_nobody_expected_ends_the_link() -> None:
    """A mistake of ours is not the way on for a process that was taken over."""
    reported: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: reported.append(context.get("exception")))
    with Ends() as ends:
        ends.raw.sendall(framed(b"mistake") + framed(b"more"))
        await ends.until(lost=1)
        assert ends.lost == ["a message was not expected"]
        assert ends.messages == [b"mistake"]
    assert [type(error) for error in reported] == [ZeroDivisionError]


async def test_the_other_end_is_gone() -> None:
    with Ends() as ends:
        ends.raw.sendall(framed(b"last") + b"\0\0")
        ends.raw.close()
        await ends.until(lost=1)
        assert (ends.messages, ends.lost) == ([b"last"], [None])


async def test_a_failed_write_is_told_later_and_once() -> None:
    with Ends() as ends:
        ends.raw.close()
        ends.link.send(b"x")
        assert ends.lost == []
        await ends.until(lost=1)
        await asyncio.sleep(0)
        assert len(ends.lost) == 1


async def test_a_close_says_nothing_and_nothing_happens_after_it() -> None:
    with Ends() as ends:
        ends.raw.sendall(framed(b"close") + framed(b"more"))
        await ends.until(messages=1)
        ends.link.send(b"x")
        ends.link.close()
        await asyncio.sleep(0)
        assert (ends.messages, ends.lost) == ([b"close"], [])
        assert ends.raw.recv(1) == b""


async def test_what_a_full_socket_does_not_take_waits_with_its_descriptors() -> None:
    """The caller closes its own at once: the numbers may be others' when the socket takes more."""
    read = bytearray()
    count = 64
    with Ends() as ends:
        for number in range(count):
            one = os.memfd_create("x")
            os.write(one, b"%d" % number)
            ends.link.send(b"m%02d" % number + bytes(50_000), [one])
            os.close(one)
        size = count * len(framed(b"m00" + bytes(50_000)))
        got = []
        ends.raw.setblocking(False)
        async with asyncio.timeout(20):
            while len(read) < size:
                with suppress(BlockingIOError):
                    data, descriptors, _, _ = socket.recv_fds(ends.raw, 1 << 16, 64)
                    read += data
                    got += descriptors
                await asyncio.sleep(0)
        assert [os.pread(one, 9, 0) for one in got] == [b"%d" % n for n in range(count)]
        for one in got:
            os.close(one)
        starts = range(4, size, 4 + 50_003)
        assert [bytes(read[at : at + 3]) for at in starts] == [b"m%02d" % n for n in range(count)]


async def test_what_waits_at_the_end_is_closed() -> None:
    with Ends() as ends, open(os.devnull, "rb") as null:
        for _ in range(60):
            ends.link.send(bytes(100_000), [null.fileno()])


@pytest.mark.parametrize(("name", "bound"), [("MOST_UNSENT", 50), ("MOST_UNSENT_BYTES", 2 << 20)])
async def test_an_end_that_does_not_read_is_cut_off(
    name: str, bound: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, name, bound)
    with Ends() as ends:
        for _ in range(1000):
            ends.link.send(bytes(50_000))
        await ends.until(lost=1)
        assert ends.lost == ["what is sent is not read"]


async def test_what_was_read_at_last_no_longer_counts() -> None:
    with Ends() as ends:
        ends.raw.setblocking(False)
        for size in (1 << 20, 3 << 20, 2 << 20):
            ends.link.send(bytes(size))
        assert 0 < ends.link._unsent_bytes <= (6 << 20) + 12
        left = (6 << 20) + 12
        async with asyncio.timeout(20):
            while left:
                with suppress(BlockingIOError):
                    left -= len(ends.raw.recv(1 << 20))
                await asyncio.sleep(0)
        assert (ends.link._unsent_bytes, ends.link.unsent) == (0, 0)


async def test_a_link_to_a_link() -> None:
    ours, theirs = pair()
    got: list[bytes] = []
    done = asyncio.Event()

    def receive(message: bytes) -> None:
        got.append(message)
        if len(got) == 500:
            done.set()

    one, other = Link(ours, receive, lambda _: None), Link(theirs, receive, lambda _: None)
    for number in range(500):
        one.send(b"%d" % number * 3000)
    async with asyncio.timeout(20):
        await done.wait()
    assert got == [b"%d" % number * 3000 for number in range(500)]
    one.close()
    other.close()


# --- what is sent together ---


async def test_what_is_sent_later_comes_in_front_of_the_next_message() -> None:
    with Ends() as ends, open(os.devnull, "rb") as null:
        ends.link.send_later(b"one", [null.fileno()])
        ends.link.send_later(b"two")
        assert not select.select([ends.raw], [], [], 0)[0]
        ends.link.send(b"three", [null.fileno()])
        data, descriptors, _, _ = socket.recv_fds(ends.raw, 100, 4)
        assert data == framed(b"one") + framed(b"two") + framed(b"three")
        assert len(descriptors) == 2
        for number in descriptors:
            os.close(number)


async def test_what_is_sent_later_needs_no_other_message() -> None:
    with Ends() as ends:
        ends.link.send_later(b"one")
        assert await asyncio.to_thread(ends.raw.recv, 100) == framed(b"one")


async def test_what_is_sent_later_is_sent_before_the_end() -> None:
    with Ends() as ends:
        ends.link.send_later(b"one")
        ends.link.close()
        ends.link.send_later(b"two")
        assert ends.raw.recv(100) == framed(b"one")
        assert ends.raw.recv(100) == b""
