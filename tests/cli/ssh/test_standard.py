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
    assert await asyncio.wait_for(reading, 10) == b"data"
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
        read += await asyncio.wait_for(source.read(), 10)
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
    await asyncio.wait_for(writing, 10)
    reader.join(10)
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
