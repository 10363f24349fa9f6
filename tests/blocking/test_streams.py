"""The streams of a channel as raw files."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator

import pytest

import nacre
import nacre.blocking

PASSWORD = "open sesame"


def handle(session: nacre.blocking.Session) -> int:
    """Send what the command says, then what comes in, in upper case."""
    session.stdout.write(session.command or b"")
    while data := session.stdin.read1():
        session.stdout.write(data.upper())
    session.stderr.write(b"end")
    return 0


@pytest.fixture(scope="module")
def ssh() -> Iterator[nacre.blocking.Connection]:
    with (
        nacre.blocking.listen(
            host_keys=[nacre.generate("ssh-ed25519")],
            policy=nacre.Users({"alice": PASSWORD}),
            handler=handle,
            log=lambda record: None,
        ) as server,
        nacre.blocking.connect(
            "127.0.0.1",
            server.port,
            user="alice",
            password=PASSWORD,
            keys=[],
            agent=False,
            trust=nacre.AnyHostKey(),
        ) as ssh,
    ):
        yield ssh


def test_kinds_of_streams(ssh: nacre.blocking.Connection) -> None:
    with ssh.process("x") as process:
        assert (process.stdout.readable(), process.stdout.writable()) == (True, False)
        assert (process.stdin.readable(), process.stdin.writable()) == (False, True)
        assert isinstance(process.stdout, io.RawIOBase)


def test_a_read_returns_what_has_arrived(ssh: nacre.blocking.Connection) -> None:
    with ssh.process("hello") as process:
        assert process.stdout.readexactly(3) == b"hel"
        assert process.stdout.read(100) == b"lo"
        assert process.stdin.write(b"abc") == 3
        assert process.stdout.read1() == b"ABC"
        assert not process.stdout.at_eof()
        process.stdin.write_eof()
        assert process.stdout.read(100) == b""
        assert process.stdout.at_eof()
        assert process.stderr.read() == b"end"


def test_everything_is_read_up_to_the_end(ssh: nacre.blocking.Connection) -> None:
    for read in ("read", "readall"):
        with ssh.process("a ") as process:
            process.stdin.write(b"xyz" * 100_000)
            process.stdin.close()
            assert getattr(process.stdout, read)() == b"a " + b"XYZ" * 100_000
    with ssh.process("a") as process:
        process.stdin.close()
        assert process.stdout.read(None) == b"a"


def test_readinto_fills_at_most_its_buffer(ssh: nacre.blocking.Connection) -> None:
    with ssh.process("hello") as process:
        buffer = bytearray(3)
        assert process.stdout.readinto(buffer) == 3
        assert process.stdout.readinto(buffer) == 2
        assert buffer == b"lol"
        process.stdin.close()
        assert process.stdout.readinto(buffer) == 0


def test_lines_are_bounded(ssh: nacre.blocking.Connection) -> None:
    with ssh.process("one\ntwo\nlast") as process:
        assert process.stdout.readline() == b"one\n"
        with pytest.raises(ValueError, match="line"):
            process.stdout.readline(2)
        assert process.stdout.readline(10) == b"two\n"
        process.stdin.close()
        assert list(process.stdout) == [b"last"]


def test_a_stream_that_ends_early_holds_what_arrived(ssh: nacre.blocking.Connection) -> None:
    with ssh.process("hello") as process:
        process.stdin.close()
        with pytest.raises(asyncio.IncompleteReadError) as caught:
            process.stdout.readexactly(100)
        assert caught.value.partial == b"hello"


def test_buffers_and_text_of_io_work_on_streams(ssh: nacre.blocking.Connection) -> None:
    with ssh.process("") as process:
        with io.BufferedWriter(process.stdin) as writer:
            for _ in range(1000):
                writer.write(b"line\n")
        lines = io.TextIOWrapper(io.BufferedReader(process.stdout))
        assert list(lines) == ["LINE\n"] * 1000


def test_what_was_closed_takes_no_more(ssh: nacre.blocking.Connection) -> None:
    with ssh.process("x") as process:
        process.stdin.close()
        process.stdin.close()
        assert process.stdin.closed
        with pytest.raises(nacre.StreamClosed):
            process.stdin.write(b"more")
