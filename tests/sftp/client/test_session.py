"""The session over a line that takes little, breaks, or answers late."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nacre.errors import ConnectionLost, PeerSilent, RemoteProtocolError, SFTPError
from nacre.limits import KIB
from nacre.sftp.client.client import SFTPClient
from nacre.sftp.client.session import HEAD_ROOM, SFTPSession
from nacre.sftp.protocol import extensions as ext
from nacre.sftp.protocol import messages as msg
from nacre.wire.blocks import BlockPool
from sftp.client.lines import CONTENT, MemoryLine, give_up, until, until_held
from sftp.protocol.memory_files import MemoryFiles


async def test_everything_taken_is_credited(both: tuple[SFTPClient, MemoryLine]) -> None:
    sftp, line = both
    line.files.files["/f"] = bytearray(CONTENT)
    assert await sftp.read_bytes("/f") == CONTENT
    await asyncio.sleep(0)
    assert line.credited == line.sent > len(CONTENT)


async def test_a_line_that_takes_little_at_once(
    both: tuple[SFTPClient, MemoryLine], tmp_path: Path
) -> None:
    sftp, line = both
    (tmp_path / "f").write_bytes(CONTENT)
    line.takes = 0
    await sftp.put(tmp_path / "f", "/f", verify=True)
    line.takes = 1000
    await sftp.put(tmp_path / "f", "/g")
    assert line.files.files["/f"] == line.files.files["/g"] == CONTENT


async def test_the_blocks_of_writes_are_used_again(
    both: tuple[SFTPClient, MemoryLine], tmp_path: Path
) -> None:
    sftp, line = both
    (tmp_path / "f").write_bytes(CONTENT)
    for takes in (1 << 30, 100_000, 0):
        line.takes = takes
        pool = line.session.blocks = BlockPool(HEAD_ROOM + line.session.write_size, 32)
        await sftp.put(tmp_path / "f", "/f")
        assert line.files.files["/f"] == CONTENT
        spare = [id(block) for block in pool._spare]
        assert 0 < len(spare) == len(set(spare)) < len(CONTENT) / line.session.write_size


async def test_requests_of_one_turn_leave_in_one_piece(
    both: tuple[SFTPClient, MemoryLine],
) -> None:
    sftp, line = both
    line.files.directories.add("/d")
    writes: list[None] = []
    line.on_write = lambda: writes.append(None)
    found = await asyncio.gather(*[sftp.stat("/d") for _ in range(50)])
    assert len(found) == 50
    assert len(writes) == 1


async def test_calls_that_wait_raise_what_ended_the_session(
    both: tuple[SFTPClient, MemoryLine], tmp_path: Path
) -> None:
    sftp, line = both
    line.files.files["/f"] = bytearray(CONTENT)
    line.hold = True
    tasks = [
        asyncio.create_task(sftp.stat("/")),
        asyncio.create_task(sftp.get("/f", tmp_path / "f")),
        asyncio.create_task(sftp.listdir("/")),
    ]
    await asyncio.sleep(0.01)
    line.session.end(ConnectionLost("gone"))
    for task in tasks:
        with pytest.raises(ConnectionLost, match="gone"):
            await task
    with pytest.raises(ConnectionLost):
        await sftp.stat("/")
    assert line.closed


async def test_a_server_that_breaks_the_protocol_ends_the_session(
    both: tuple[SFTPClient, MemoryLine],
) -> None:
    sftp, line = both
    line.hold = True
    task = asyncio.create_task(sftp.stat("/"))
    await asyncio.sleep(0)
    line.session.feed(b"\0\0\0\x05\x65\xff\xff\xff\xff")
    with pytest.raises(RemoteProtocolError):
        await task
    assert line.closed


async def test_a_handle_that_comes_too_late_is_closed(
    both: tuple[SFTPClient, MemoryLine],
) -> None:
    sftp, line = both
    line.files.files["/f"] = bytearray(b"x")
    line.hold = True
    task = asyncio.create_task(sftp.open("/f", "rb"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await give_up(task, sftp, line)
    assert len(line.files.closed) == 1


async def test_an_answer_may_be_waited_for_later(both: tuple[SFTPClient, MemoryLine]) -> None:
    sftp, line = both
    session = sftp.session
    line.files.files["/f"] = bytearray(b"12345")
    found, missing = session.start(msg.Stat("/f")), session.start(msg.Stat("/none"))
    assert (await session.result(found)).size == 5
    # An error that is never looked at is not logged either: it is a result.
    await until(missing.done)
    assert isinstance(missing.result(), SFTPError)
    with pytest.raises(FileNotFoundError):
        await session.result(missing)


async def test_a_request_waits_until_the_table_has_room(
    both: tuple[SFTPClient, MemoryLine],
) -> None:
    sftp, line = both
    session = sftp.session
    line.hold = True
    room = session.client.room
    waiting = [session.start(msg.Stat("/")) for _ in range(room)]
    more = asyncio.create_task(session.request(msg.Stat("/")))
    await until_held(sftp, room)
    assert not more.done()
    line.release()
    assert (await more).is_directory
    assert all([(await session.result(one)).is_directory for one in waiting])


async def test_a_request_that_waits_for_room_ends_with_the_session(
    both: tuple[SFTPClient, MemoryLine],
) -> None:
    sftp, line = both
    session = sftp.session
    line.hold = True
    for _ in range(session.client.room):
        session.post(msg.Stat("/"))
    more = asyncio.create_task(session.request(msg.Stat("/")))
    await asyncio.sleep(0)
    session.end(ConnectionLost("as asked"))
    async with asyncio.timeout(30):
        with pytest.raises(ConnectionLost, match="as asked"):
            await more


async def test_small_requests_are_joined_up_to_one_packet(
    both: tuple[SFTPClient, MemoryLine],
) -> None:
    sftp, line = both
    sizes: list[int] = []
    accept = line.accept
    line.accept = lambda data: (sizes.append(len(data)), accept(data))[1]  # type: ignore[method-assign,func-returns-value]
    path = "/" + 1000 * "x"
    waiting = [sftp.session.start(msg.Stat(path)) for _ in range(100)]
    for one in waiting:
        with pytest.raises(FileNotFoundError):
            await sftp.session.result(one)
    assert sum(sizes) > 100_000
    assert len(sizes) == 4
    assert max(sizes) <= 32 * KIB


async def test_a_stream_that_ends_inside_of_a_packet_broke_off(
    both: tuple[SFTPClient, MemoryLine],
) -> None:
    sftp, line = both
    line.session.feed(b"\0\0\0\x05\x65")
    line.session.end()
    with pytest.raises(RemoteProtocolError, match="broke off"):
        await sftp.stat("/")


async def test_nothing_is_sent_after_the_end(both: tuple[SFTPClient, MemoryLine]) -> None:
    sftp, line = both
    session = sftp.session
    session.end(ConnectionLost("as asked"))
    session.end(ConnectionLost("again"))
    writes: list[None] = []
    line.on_write = lambda: writes.append(None)
    session.post(msg.Stat("/"))
    session.feed(b"anything")
    for call in (
        lambda: session.start(msg.Stat("/")),
        lambda: session.start_read(b"", 0, 1),
        lambda: session.start_write(b"", 0, b"x"),
    ):
        with pytest.raises(ConnectionLost, match="as asked"):
            call()
    await asyncio.sleep(0)
    assert writes == []
    assert not session.room


async def test_a_server_that_stalls_is_watched_while_anything_is_in_flight(
    both: tuple[SFTPClient, MemoryLine], monkeypatch: pytest.MonkeyPatch
) -> None:
    sftp, line = both
    session = sftp.session
    session._watch.stop()
    timers: list[Callable[[], None]] = []
    ticks: list[float] = []
    monkeypatch.setattr(session.loop, "call_later", lambda delay, call: timers.append(call))
    monkeypatch.setattr(session.window, "tick", ticks.append)
    line.hold = True
    asked = session.start(msg.Stat("/"))
    timers.pop()()
    assert len(ticks) == len(timers) == 1
    await asyncio.sleep(0)
    line.release()
    await session.result(asked)
    timers.pop()()
    assert len(ticks) == 1
    assert timers == []


async def test_a_server_that_drops_requests_ends_the_session(
    both: tuple[SFTPClient, MemoryLine], monkeypatch: pytest.MonkeyPatch
) -> None:
    sftp, line = both
    session = sftp.session
    await sftp.write_bytes("/f", CONTENT)
    file = await sftp.open("/f", "rb")
    timers: list[Callable[[], None]] = []
    now = session.loop.time()
    monkeypatch.setattr(session.loop, "call_later", lambda delay, call: timers.append(call))
    monkeypatch.setattr(session.loop, "time", lambda: now)
    session._watch.stop()
    line.hold = True
    reading = asyncio.ensure_future(file.read())
    await until_held(sftp, 1)
    for _ in range(119):
        now += 1
        timers.pop()()
    # A byte of an answer is enough for another two minutes.
    session.feed(line.held.pop(0)[:1])
    for _ in range(120):
        now += 1
        timers.pop()()
    assert session.error is None
    now += 1
    timers.pop()()
    with pytest.raises(PeerSilent, match=r"did not answer 1 requests for 120 s.*idle_timeout"):
        await reading
    assert timers == []


async def test_a_request_that_is_dropped_among_others_ends_the_session(
    both: tuple[SFTPClient, MemoryLine], monkeypatch: pytest.MonkeyPatch
) -> None:
    sftp, line = both
    session = sftp.session
    await sftp.write_bytes("/f", b"x")
    handle = await session.request(msg.Open("/f", msg.OpenFlag.READ))
    timers: list[Callable[[], None]] = []
    now = session.loop.time()
    monkeypatch.setattr(session.loop, "call_later", lambda delay, call: timers.append(call))
    monkeypatch.setattr(session.loop, "time", lambda: now)
    session._watch.stop()
    line.hold = True
    dropped = session.start_read(handle, 0, 1)
    await until_held(sftp, 1)
    line.held.clear()
    line.release()
    for second in range(121):
        assert session.error is None, second
        await sftp.stat("/f")
        now += 1
        timers.pop()()
    assert isinstance(await dropped, PeerSilent)
    assert timers == []


async def test_a_server_may_take_its_time_to_hash_or_to_close(
    both: tuple[SFTPClient, MemoryLine],
) -> None:
    sftp, line = both
    session = sftp.session
    session._watch.timeout = 1e-9
    for request in (msg.Close(b"h"), msg.Rename("/a", "/b"), ext.PosixRename("/a", "/b")):
        line.hold = True
        asked: list[asyncio.Future[Any]] = [session.start(msg.Stat("/")), session.start(request)]
        assert session._look()
        await asyncio.sleep(0)
        line.release()
        for future in asked:
            with contextlib.suppress(SFTPError):
                await session.result(future)


async def test_a_server_that_never_begins_is_given_up() -> None:
    session = SFTPSession()
    line = MemoryLine(session, MemoryFiles())
    line.hold = True
    with pytest.raises(PeerSilent, match=r"did not begin SFTP within 0\.01 s"):
        await session.begin(line, idle_timeout=0.01)


@pytest.mark.parametrize("name", ["read_size", "window", "idle_timeout"])
async def test_options_of_a_session_are_positive(name: str) -> None:
    session = SFTPSession()
    with pytest.raises(ValueError, match=f"{name} is 0"):
        await session.begin(MemoryLine(session, MemoryFiles()), **{name: 0})


async def test_a_block_is_not_used_again_before_the_line_has_taken_it(
    both: tuple[SFTPClient, MemoryLine],
) -> None:
    sftp, line = both
    line.takes = 100
    async with await sftp.open("/f", "wb") as file:
        for at in range(0, len(CONTENT), 100_000):
            await file.write(CONTENT[at : at + 100_000])
    assert line.files.files["/f"] == CONTENT
