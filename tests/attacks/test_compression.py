"""Compression: little that grows to much (RFC 4253 section 6.2)."""

from __future__ import annotations

import tracemalloc
import zlib

import pytest

from attacks.links import Crooked, error, inside, log_of, of, refused, say
from nacre.errors import DisconnectCode, Disconnected, RemoteProtocolError
from nacre.limits import KIB, MIB
from nacre.protocol.asks import AskAuthentication
from nacre.protocol.events import Authenticated, Data, GlobalRequestReceived, KexDone
from nacre.protocol.options import algorithms
from nacre.protocol.phases import Phase, Role
from nacre.ssh2.connection.messages import ChannelRequest, GlobalRequest
from nacre.ssh2.transport.messages import Ignore, Ping
from nacre.testing import Pair, agreeable

BOTH = pytest.mark.parametrize("name", ["zlib", "zlib@openssh.com"])
EITHER = pytest.mark.parametrize("role", list(Role))


def compressed(name: str, **options: object) -> Pair:
    pair = Pair(algorithms=algorithms(compression=name), **options)  # type: ignore[arg-type]
    pair.run()
    assert inside(pair.server)._inbox.decompresses
    return pair


def raw(pair: Pair, role: Role, payload: bytes) -> None:
    """Let one end put ``payload`` into a packet as it is, past its own compression."""
    crooked = pair.client if role is Role.CLIENT else pair.server
    outbox = inside(crooked)._outbox
    compressor, outbox._compressor = outbox._compressor, None
    outbox.send_parts(payload, b"")
    outbox._compressor = compressor
    pair.run()


@pytest.mark.slow
@BOTH
@EITHER
def test_a_bomb(name: str, role: Role) -> None:
    """A packet of 100 KiB that grows to 100 MiB: what is above the bound is never made."""
    pair = compressed(name)
    crooked, victim = (pair.client, pair.server)[:: 1 if role is Role.CLIENT else -1]
    compressor = inside(crooked)._outbox._compressor._stream
    bomb = compressor.compress(b"\x02" + bytes(100 * MIB)) + compressor.flush(zlib.Z_PARTIAL_FLUSH)
    assert len(bomb) < 200 * KIB
    tracemalloc.start()
    try:
        raw(pair, role, bomb)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 * MIB
    refused(pair, victim, RemoteProtocolError, "bytes after decompression")
    told = error(log_of(pair, crooked))
    assert isinstance(told, Disconnected)
    assert told.code == DisconnectCode.COMPRESSION_ERROR


def test_a_bomb_before_authentication() -> None:
    """Plain ``zlib`` runs before the user is known; the bound holds there as well."""
    pair = compressed(
        "zlib",
        answers_client=lambda ask: None if isinstance(ask, AskAuthentication) else agreeable(ask),
    )
    assert not of(pair.server_events, Authenticated)
    say(pair, pair.client, b"\x02\0\4\0\0" + bytes(256 * KIB))
    refused(pair, pair.server, RemoteProtocolError, "bytes after decompression")


@pytest.mark.slow
@pytest.mark.parametrize(
    "payload",
    [
        Ping(bytes(200 * KIB)).encode(),
        Ignore(bytes(200 * KIB)).encode(),
        GlobalRequest("x@example.com", False, bytes(200 * KIB)).encode(),
        ChannelRequest(0, "x@example.com", False, bytes(200 * KIB)).encode(),
    ],
    ids=["ping", "ignore", "global", "channel"],
)
@EITHER
def test_many_small_bombs(role: Role, payload: bytes) -> None:
    """Each is below the bound of one packet; one read of them would be a gigabyte of replies."""
    pair = compressed("zlib@openssh.com")
    pair.client.connection.open_channel("session")
    pair.run()
    crooked, victim = (pair.client, pair.server)[:: 1 if role is Role.CLIENT else -1]
    for _ in range(500):
        inside(crooked)._outbox.send_parts(payload, b"")
    data = bytes(crooked.take_output())
    assert len(data) < 256 * KIB
    tracemalloc.start()
    try:
        victim.receive(data, 0.0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 24 * MIB
    assert victim.phase is Phase.CLOSED
    assert len(of(victim.take_events(), GlobalRequestReceived)) < 40


def test_data_that_compresses_well_is_no_bomb() -> None:
    """Windows bound data: a file of zeros is as welcome as any."""
    pair = compressed("zlib@openssh.com")
    pair.client.connection.open_channel("session")
    pair.run()
    assert pair.client.connection.send_data(0, bytes(2 * MIB)) == 2 * MIB
    pair.run()
    assert sum(len(event.data) for event in of(pair.server_events, Data)) == 2 * MIB


@BOTH
@EITHER
@pytest.mark.parametrize(
    "payload",
    [b"\0", b"\xff" * 100, zlib.compress(b"\x02\0\0\0\0")],
    ids=["nul", "junk", "ended"],
)
def test_what_is_no_zlib(name: str, role: Role, payload: bytes) -> None:
    """Growing to nothing, damaged, or another stream with an end."""
    pair = compressed(name)
    raw(pair, role, payload)
    victim = pair.server if role is Role.CLIENT else pair.client
    assert isinstance(error(log_of(pair, victim)), RemoteProtocolError)


@BOTH
def test_the_end_of_the_stream(name: str) -> None:
    """A stream lasts as long as its keys: what follows its end would go unseen."""
    pair = compressed(name)
    stream = inside(pair.client)._outbox._compressor._stream
    raw(pair, Role.CLIENT, stream.compress(b"\x02\0\0\0\0") + stream.flush(zlib.Z_FINISH))
    refused(pair, pair.server, RemoteProtocolError, "ends before the connection does")


def test_delayed_compression_waits_for_the_user() -> None:
    """zlib@openssh.com: a stranger never reaches the decompressor."""
    seen: list[bool] = []

    def says(payload: bytes) -> list[bytes]:
        seen.append(inside(pair.server)._inbox.decompresses)
        return [payload]

    pair = Crooked(algorithms=algorithms(compression="zlib@openssh.com"), client_says=says)
    pair.run()
    assert len(of(pair.server_events, KexDone)) == 1
    assert seen
    assert not any(seen)
    assert inside(pair.server)._inbox.decompresses
