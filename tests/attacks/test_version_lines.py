"""Identification lines of peers that play games (RFC 4253 section 4.2)."""

from __future__ import annotations

import tracemalloc

import pytest

from attacks.links import error, inside
from nacre.errors import VersionError
from nacre.limits import KIB, MIB, Limits
from nacre.protocol.events import VersionReceived
from nacre.protocol.options import ClientOptions, ServerOptions
from nacre.protocol.phases import Phase, Role
from nacre.ssh2.client import SSH2Client
from nacre.ssh2.server import SSH2Server
from nacre.testing import host_key

EITHER = pytest.mark.parametrize("role", list(Role))


def fresh(role: Role) -> SSH2Client | SSH2Server:
    engine: SSH2Client | SSH2Server
    if role is Role.CLIENT:
        engine = SSH2Client(ClientOptions(user="a"), random=bytes)
    else:
        engine = SSH2Server(ServerOptions(host_keys=(host_key(),)), random=bytes)
    engine.start(0.0)
    engine.take_output()
    return engine


def slowly(engine: SSH2Client | SSH2Server, data: bytes) -> None:
    for at in range(len(data)):
        engine.receive(data[at : at + 1], 0.0)


@EITHER
@pytest.mark.parametrize(
    "line",
    [
        b"SSH-2.0-x\0y\r\n",
        b"SSH-2.0-" + b"x" * 246 + b"\r\n",
        b"SSH-2.0-" + b"x" * 248,
        b"SSH-2.0-" + b"\r" * 300,
        b"SSH-2.0\r\n",
        b"SSH-\r\n",
        b"SSH--\r\n",
        b"SSH-2.-x\r\n",
        b"SSH-.0-x\r\n",
        b"SSH-2.0x-y\r\n",
        b"SSH-+2.0-y\r\n",
        b"SSH-\xb2.0-y\r\n",
        b"SSH-2_0.0-y\r\n",
    ],
)
def test_lines_that_are_none(role: Role, line: bytes) -> None:
    """NUL, 256 bytes, no end, CR alone, versions that are no numbers: whole or byte by byte."""
    for deliver in (lambda e: e.receive(line, 0.0), lambda e: slowly(e, line)):
        engine = fresh(role)
        deliver(engine)
        assert isinstance(error(engine.take_events()), VersionError)
        assert engine.phase is Phase.CLOSED


@EITHER
def test_the_longest_line_is_taken(role: Role) -> None:
    engine = fresh(role)
    slowly(engine, b"SSH-2.0-" + b"x" * 245 + b"\r\n")
    assert isinstance(engine.take_events()[0], VersionReceived)


@EITHER
def test_a_line_without_end_is_not_kept(role: Role) -> None:
    """However slowly it comes, and however much at once."""
    for size in (1, 100, MIB):
        engine = fresh(role)
        tracemalloc.start()
        try:
            for _ in range(2000):
                engine.receive(b"S" * size, 0.0)
                if engine.phase is Phase.CLOSED:
                    break
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 2 * MIB + 512 * KIB
        if role is Role.SERVER or size >= 100:
            assert engine.phase is Phase.CLOSED


def test_lines_before_the_server_s_are_bounded() -> None:
    """A server may send text first (RFC 4253 section 4.2), but not for ever."""
    for line in (b"\n", b"hello\r\n", b"x" * 1000 + b"\n", b"\x1b" * 300 + b"\n"):
        engine = fresh(Role.CLIENT)
        sent = 0
        while engine.phase is not Phase.CLOSED:
            engine.receive(line * 10, 0.0)
            sent += 10 * len(line)
            assert sent < 128 * KIB
        assert isinstance(error(engine.take_events()), VersionError)


def test_a_client_sends_no_lines_before_its_own() -> None:
    """Else a page of a web browser could be made to speak SSH to a server behind a firewall."""
    engine = fresh(Role.SERVER)
    engine.receive(b"POST / HTTP/1.1\r\nHost: x\r\n\r\nSSH-2.0-x\r\n", 0.0)
    assert isinstance(error(engine.take_events()), VersionError)


@EITHER
def test_escape_sequences_are_not_passed_on(role: Role) -> None:
    """CVE-2003-0063 and its kind: text of a peer's that repaints a terminal or a log."""
    engine = fresh(role)
    engine.receive(b"SSH-2.0-\x1b]0;owned\x07\xe2\x80\xae\r\n", 0.0)
    (event, *_) = engine.take_events()
    assert isinstance(event, VersionReceived)
    assert event.remote.isascii()
    assert event.remote.isprintable()
    if role is Role.CLIENT:
        engine = fresh(role)
        engine.receive(b"\x1b[2Jwelcome\x9b\nSSH-2.0-x\r\n", 0.0)
        (event, *_) = engine.take_events()
        assert isinstance(event, VersionReceived)
        assert all(line.isprintable() for line in event.before)


@EITHER
def test_after_the_end_nothing_is_taken(role: Role) -> None:
    engine = fresh(role)
    engine.receive(b"GET / HTTP/1.0\r\n" + bytes(300) * 300, 0.0)
    engine.receive_eof()
    engine.take_events()
    engine.receive(b"SSH-2.0-x\r\n" + bytes(MIB), 0.0)
    assert engine.take_events() == []
    assert not inside(engine)._inbox._held


@EITHER
def test_the_bounds_are_the_limits(role: Role) -> None:
    options = ClientOptions(user="a", limits=Limits(version_line=20))
    engine = SSH2Client(options, random=bytes)
    engine.start(0.0)
    engine.receive(b"SSH-2.0-12345678901\r\n", 0.0)
    assert isinstance(error(engine.take_events()), VersionError)
