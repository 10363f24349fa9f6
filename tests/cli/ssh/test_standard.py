import asyncio
import os
import threading

import pytest

from nacre.cli.ssh.standard import StandardInput, StandardOutput


@pytest.fixture
def pipe():
    ends = list(os.pipe())
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            continue


def close(pipe, index):
    os.close(pipe[index])
    pipe[index] = -1


async def test_a_pipe_is_waited_for(pipe):
    source = StandardInput(pipe[0])
    reading = asyncio.create_task(source.read())
    await asyncio.sleep(0)
    assert not reading.done()
    os.write(pipe[1], b"data")
    assert await asyncio.wait_for(reading, 30) == b"data"
    close(pipe, 1)
    assert await source.read() == b""


async def test_a_cancelled_read_loses_nothing(pipe):
    source = StandardInput(pipe[0])
    reading = asyncio.create_task(source.read())
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    os.write(pipe[1], b"data")
    assert await source.read() == b"data"


async def test_a_file_and_dev_null(tmp_path):
    content = os.urandom(3_000_000)
    path = tmp_path / "file"
    path.write_bytes(content)
    with path.open("rb") as file:
        source, read = StandardInput(file.fileno()), b""
        while data := await source.read():
            read += data
    assert read == content
    with open("/dev/null", "rb") as file:
        assert await StandardInput(file.fileno()).read() == b""


async def test_a_non_blocking_pipe(pipe):
    os.set_blocking(pipe[0], False)
    os.set_blocking(pipe[1], False)
    content = os.urandom(4_000_000)
    source, sink, read = StandardInput(pipe[0]), StandardOutput(pipe[1]), b""
    writing = asyncio.create_task(sink.write(content))
    while len(read) < len(content):
        read += await asyncio.wait_for(source.read(), 30)
    await writing
    assert read == content


async def test_a_full_pipe_does_not_stop_the_loop(pipe):
    content = os.urandom(8_000_000)
    sink = StandardOutput(pipe[1])
    writing = asyncio.create_task(sink.write(content))
    for _ in range(100):
        await asyncio.sleep(0)
    assert not writing.done()
    read = bytearray()
    reader = threading.Thread(target=lambda: drain(pipe[0], read, len(content)))
    reader.start()
    await asyncio.wait_for(writing, 30)
    reader.join(30)
    assert bytes(read) == content


def drain(descriptor, into, size):
    while len(into) < size:
        into += os.read(descriptor, 1 << 20)


async def test_nobody_reads(pipe):
    close(pipe, 0)
    with pytest.raises(BrokenPipeError):
        await StandardOutput(pipe[1]).write(b"data")


async def test_a_file_is_written_at_once(tmp_path):
    with (tmp_path / "file").open("wb") as file:
        sink = StandardOutput(file.fileno())
        writing = sink.write(b"one ", memoryview(b"two "), b"three")
        with pytest.raises(StopIteration):
            writing.send(None)  # it never waits
    assert (tmp_path / "file").read_bytes() == b"one two three"


async def test_a_file_that_takes_nothing(tmp_path):
    path = tmp_path / "file"
    path.touch()
    with path.open("rb") as file, pytest.raises(OSError, match="descriptor"):
        await StandardOutput(file.fileno()).write(b"data")


async def test_what_was_read_for_a_cancelled_read_is_returned_by_the_next(pipe):
    source = StandardInput(pipe[0])
    reading = asyncio.create_task(source.read())
    os.write(pipe[1], b"data")
    while source._data is None:  # noqa: ASYNC110
        await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert await source.read() == b"data"


async def test_what_nobody_waits_for_stays_in_the_pipe(pipe):
    source = StandardInput(pipe[0])
    os.write(pipe[1], b"first")
    assert await source.read() == b"first"
    os.write(pipe[1], b"second")
    while source._watched:  # noqa: ASYNC110 - until the loop notices that nobody waits
        await asyncio.sleep(0)
    assert os.read(pipe[0], 100) == b"second"
    os.write(pipe[1], b"third")
    assert await source.read() == b"third"


async def test_a_closed_source_is_not_watched_and_its_descriptor_is_open(pipe):
    source = StandardInput(pipe[0])
    os.write(pipe[1], b"data")
    await source.read()
    source.close()
    assert not asyncio.get_running_loop().remove_reader(pipe[0])
    os.write(pipe[1], b"more")
    assert os.read(pipe[0], 100) == b"more"


async def test_what_is_short_is_written_at_once_to_a_pipe_with_room(pipe):
    sink = StandardOutput(pipe[1])
    writing = sink.write(b"one ", memoryview(b"two"))
    with pytest.raises(StopIteration):
        writing.send(None)  # it never waits
    assert os.read(pipe[0], 100) == b"one two"


async def test_what_is_short_waits_for_room_in_a_thread_and_keeps_its_order(pipe):
    content = os.urandom(3_000_000)
    sink = StandardOutput(pipe[1])
    long = asyncio.create_task(sink.write(content))
    await asyncio.sleep(0)
    short = asyncio.create_task(sink.write(b"end"))
    await asyncio.sleep(0)
    long.cancel()  # its bytes are written all the same
    read = bytearray()
    reader = threading.Thread(target=lambda: drain(pipe[0], read, len(content) + 3))
    reader.start()
    await asyncio.wait_for(short, 20)
    reader.join(20)
    assert bytes(read) == content + b"end"
