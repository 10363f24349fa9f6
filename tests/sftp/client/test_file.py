"""Open files of a server."""

from __future__ import annotations

import asyncio
import io
import os
from typing import Any

import pytest

from nacre.errors import ConnectionLost, SFTPError
from nacre.sftp.client.client import SFTPClient
from nacre.sftp.client.file import SFTPFile, SFTPTextFile
from sftp.client.lines import CONTENT, MemoryLine, until, until_held

Both = tuple[SFTPClient, MemoryLine]


async def opened(both: Both, mode: str, content: bytes = CONTENT) -> SFTPFile:
    sftp, line = both
    line.files.files["/f"] = bytearray(content)
    file = await sftp.open("/f", mode)
    assert isinstance(file, SFTPFile)
    return file


# --- reading ---


async def test_reads_return_what_was_asked_for(both: Both) -> None:
    async with await opened(both, "rb") as file:
        assert (file.readable(), file.writable()) == (True, False)
        parts = [await file.read(size) for size in (0, 1, 99_999, 1_000_000)]
        assert [len(part) for part in parts] == [0, 1, 99_999, 1_000_000]
        assert await file.tell() == 1_100_000
        parts += [await file.read(None), await file.read(), await file.read(5)]
        assert b"".join(parts) == CONTENT
        assert parts[-2:] == [b"", b""]
        assert file.name == "/f"
    assert file.closed


async def test_short_answers_do_not_shorten_reads(both: Both) -> None:
    both[1].files.short = 10_000
    async with await opened(both, "rb") as file:
        assert await file.read(50_000) == CONTENT[:50_000]
        assert await file.read() == CONTENT[50_000:]


async def test_readinto_fills_a_buffer_as_far_as_there_is_data(both: Both) -> None:
    buffer = bytearray(b"-" * 1_500_000)
    async with await opened(both, "rb") as file:
        assert await file.readinto(buffer) == 1_500_000
        assert buffer == CONTENT[:1_500_000]
        assert await file.readinto(memoryview(buffer)) == len(CONTENT) - 1_500_000
        assert await file.readinto(buffer) == 0


async def test_lines_end_with_a_newline_except_the_last(both: Both) -> None:
    long = b"x" * 100_000
    async with await opened(both, "rb", b"one\n\ntwo\n" + long + b"\nlast") as file:
        assert await file.readline() == b"one\n"
        assert await file.readline(1) == b"\n"
        assert await file.readline(2) == b"tw"
        assert await file.readlines() == [b"o\n", long + b"\n", b"last"]
        assert await file.readline() == b""
        await file.seek(0)
        assert [line async for line in file][:2] == [b"one\n", b"\n"]


async def test_more_is_read_ahead_with_each_answer(both: Both) -> None:
    sftp, line = both
    async with await opened(both, "rb", bytes(16 << 20)) as file:
        await file.read(1)
        after_one = line.sent
        await file.read(4 << 20)
        assert line.sent < 16 << 20
        assert after_one < 1 << 20
        assert sftp.session.client.waiting > 4


async def test_a_cancelled_read_loses_nothing(both: Both) -> None:
    sftp, line = both
    async with await opened(both, "rb") as file:
        line.hold = True
        reading = asyncio.create_task(file.read(10))
        await until_held(sftp, 1)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        line.release()
        assert await file.read() == CONTENT


async def test_a_failed_read_raises_and_can_be_repeated(both: Both) -> None:
    _, line = both
    async with await opened(both, "rb") as file:
        data = line.files.data

        def refuse(call: Any, which: int = 0) -> bytearray:
            line.files.data = data  # type: ignore[method-assign]
            raise PermissionError(13, "")

        line.files.data = refuse  # type: ignore[method-assign]
        with pytest.raises(PermissionError):
            await file.read(10)
        assert await file.read(10) == CONTENT[:10]


# --- positions ---


async def test_seek_moves_relative_to_start_position_and_end(both: Both) -> None:
    async with await opened(both, "rb") as file:
        assert await file.seek(1000) == 1000
        assert await file.read(5) == CONTENT[1000:1005]
        assert await file.seek(10, os.SEEK_CUR) == 1015
        assert await file.read(5) == CONTENT[1015:1020]
        assert await file.seek(-5, os.SEEK_END) == len(CONTENT) - 5
        assert await file.read() == CONTENT[-5:]
        assert await file.seek(len(CONTENT) + 10) == len(CONTENT) + 10
        assert await file.read() == b""
        assert await file.seek(0) == 0
        assert await file.read(5) == CONTENT[:5]


async def test_a_seek_within_what_was_read_ahead_requests_nothing(both: Both) -> None:
    sftp, line = both
    line.files.short = 5000
    async with await opened(both, "rb") as file:
        await file.read(1)
        await until(lambda: sftp.session.client.waiting == 0)
        sent = line.sent
        await file.seek(4000)
        assert await file.read(500) == CONTENT[4000:4500]
        assert line.sent == sent


@pytest.mark.parametrize(
    ("offset", "whence", "why"), [(-1, os.SEEK_SET, "negative"), (0, 7, "whence 7")]
)
async def test_there_is_no_such_position(both: Both, offset: int, whence: int, why: str) -> None:
    async with await opened(both, "rb") as file:
        await file.read(10)
        with pytest.raises(ValueError, match=why):
            await file.seek(offset, whence)
        assert await file.read(5) == CONTENT[10:15]


# --- writing ---


async def test_small_writes_are_joined(both: Both) -> None:
    sftp, line = both
    size = sftp.session.write_size
    async with await opened(both, "wb") as file:
        for at in range(0, size - 10, 1000):
            assert await file.write(CONTENT[at : min(at + 1000, size - 10)]) > 0
        assert sftp.session.client.waiting == 0
        assert line.files.files["/f"] == b""
        await file.write(b"x" * 20)
        assert sftp.session.client.waiting == 1
        await file.flush()
        assert line.files.files["/f"] == CONTENT[: size - 10] + b"x" * 20


async def test_reads_see_what_was_written(both: Both) -> None:
    async with await opened(both, "r+b") as file:
        assert await file.read(10) == CONTENT[:10]
        await file.write(b"here")
        assert await file.read(6) == CONTENT[14:20]
        await file.seek(8)
        assert await file.read(8) == CONTENT[8:10] + b"here" + CONTENT[14:16]
        assert (await file.stat()).st_size == len(CONTENT)


async def test_a_file_opened_to_append_begins_at_its_end(both: Both) -> None:
    sftp, line = both
    line.files.files["/f"] = bytearray(b"one")
    async with await sftp.open("/f", "ab") as file:
        assert await file.tell() == 3
        await file.write(b"two")
    assert line.files.files["/f"] == b"onetwo"


async def test_truncate_sends_what_was_written_first(both: Both) -> None:
    _, line = both
    async with await opened(both, "r+b") as file:
        await file.write(b"12345")
        assert await file.truncate() == 5
        assert await file.truncate(3) == 3
    assert line.files.files["/f"][:5] == b"12345"
    assert [found.size for _, found in line.files.set] == [5, 3]


async def test_writes_wait_when_much_is_unconfirmed(both: Both) -> None:
    _, line = both
    async with await opened(both, "wb") as file:
        line.hold = True
        writing = asyncio.create_task(file.write(bytes(20 << 20)))
        await until(lambda: len(line.files.files["/f"]) >= 8 << 20)
        assert not writing.done()
        assert len(line.files.files["/f"]) < 10 << 20
        line.release()
        assert await writing == 20 << 20
    assert len(line.files.files["/f"]) == 20 << 20


async def test_a_failed_write_is_raised_by_flush_or_close(both: Both) -> None:
    sftp, line = both
    line.files.room = 1000
    file = await sftp.open("/f", "wb")
    await file.write(bytes(2000))
    with pytest.raises(OSError, match="No space") as caught:
        await file.close()
    assert caught.value.filename == "/f"
    assert file.closed
    await sftp.stat("/")
    assert len(line.files.closed) == 1
    with pytest.raises(ValueError, match="closed"):
        await file.read()


async def test_a_failed_write_is_raised_once(both: Both) -> None:
    sftp, line = both
    line.files.room = 1000
    file = await opened(both, "wb", b"")
    await file.write(bytes(sftp.session.write_size))
    await until(lambda: sftp.session.client.waiting == 0)
    with pytest.raises(OSError, match="No space"):
        await file.write(b"more")
    await file.close()


async def test_fsync_flushes_first(both: Both) -> None:
    sftp, line = both
    async with await opened(both, "wb", b"") as file:
        await file.write(b"data")
        await file.fsync()
        assert line.files.files["/f"] == b"data"
        assert line.files.synced == ["/f"]
        sftp.session.client.extensions = {}
        with pytest.raises(SFTPError, match="no fsync") as caught:
            await file.fsync()
        assert caught.value.filename == "/f"


# --- closing ---


async def test_close_sends_what_was_written_and_only_once(both: Both) -> None:
    _, line = both
    file = await opened(both, "wb", b"")
    await file.write(b"data")
    await file.close()
    await file.close()
    assert line.files.files["/f"] == b"data"
    assert len(line.files.closed) == 1
    for work in (file.write(b"x"), file.flush(), file.seek(0), file.fsync(), file.truncate(0)):
        with pytest.raises(ValueError, match="closed file"):
            await work


async def test_a_file_of_a_lost_session_raises(both: Both) -> None:
    _, line = both
    file = await opened(both, "r+b")
    await file.write(b"data")
    line.session.end(ConnectionLost("as asked"))
    with pytest.raises(ConnectionLost, match="as asked"):
        await file.read()
    with pytest.raises(ConnectionLost, match="as asked"):
        await file.close()
    assert file.closed


@pytest.mark.parametrize(("mode", "why"), [("rb", "writing"), ("wb", "reading")])
async def test_a_file_is_used_as_it_was_opened(both: Both, mode: str, why: str) -> None:
    async with await opened(both, mode) as file:
        with pytest.raises(io.UnsupportedOperation, match=f"not open for {why}"):
            await (file.write(b"x") if mode == "rb" else file.read())


# --- text ---


async def text(both: Both, content: bytes, **options: Any) -> SFTPTextFile:
    sftp, line = both
    line.files.files["/t"] = bytearray(content)
    file = await sftp.open("/t", "r", **options)
    assert isinstance(file, SFTPTextFile)
    return file


async def test_text_is_decoded_across_answers(both: Both) -> None:
    both[1].files.short = 7
    content = "äöü€\n" * 50
    async with await text(both, content.encode()) as file:
        assert await file.read(3) == "äöü"
        assert await file.readline() == "€\n"
        assert await file.read() == content[5:]
        assert await file.read() == await file.readline() == ""


async def test_line_ends_become_newlines(both: Both) -> None:
    async with await text(both, b"one\r\ntwo\rthree\nlast") as file:
        assert [line async for line in file] == ["one\n", "two\n", "three\n", "last"]
        assert await file.seek(5) == 5
        assert await file.readlines() == ["two\n", "three\n", "last"]


async def test_encodings_and_errors_are_those_of_open(both: Both) -> None:
    async with await text(both, b"\xe4", encoding="latin-1") as file:
        assert await file.read() == "ä"
        assert (file.name, file.encoding, file.closed) == ("/t", "latin-1", False)
    async with await text(both, b"\xe4") as file:
        with pytest.raises(UnicodeDecodeError):
            await file.read()
    async with await text(both, b"\xe4", errors="replace") as file:
        assert await file.read() == "\N{REPLACEMENT CHARACTER}"


async def test_text_is_encoded_with_one_byte_order_mark(both: Both) -> None:
    sftp, line = both
    async with await sftp.open("/t", "w", encoding="utf-16") as file:
        assert await file.write("ä") == 1
        await file.write("ö")
        await file.flush()
        assert line.files.files["/t"].decode("utf-16") == "äö"
    assert file.closed


async def test_no_more_is_read_ahead_than_the_file_says(both: Both) -> None:
    async with await opened(both, "rb") as file:
        file.ahead = 2 * both[0].session.read_size
        asked = 0
        while await file.read(10_000):
            asked = max(asked, sum(size for size, _ in file._asked))
        assert 0 < asked <= file.ahead
