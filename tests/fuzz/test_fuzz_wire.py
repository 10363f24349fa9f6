"""Bytes on the wire that went wrong, with no keys to help: versions, plain packets, ciphertext."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Iterable

import pytest

from attacks.links import Middle, Packet, inside, of, plain
from fuzz.mutate import BUDGET, mutated, portions, seeds
from nacre.errors import ConnectionLost, RemoteProtocolError, VersionError
from nacre.limits import KIB, MIB
from nacre.protocol.asks import AskAuthentication
from nacre.protocol.events import Authenticated, ConnectionEnded, Event
from nacre.protocol.options import ClientOptions, ServerOptions, algorithms
from nacre.protocol.phases import Phase, Role
from nacre.ssh2.client import SSH2Client
from nacre.ssh2.server import SSH2Server
from nacre.testing import Pair, host_key
from nacre.wire.text import safe

pytestmark = pytest.mark.timeout(120 + 2 * BUDGET)

EITHER = pytest.mark.parametrize("role", list(Role))
LINES = [
    b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",
    b"SSH-1.99-x\n",
    b"hello\r\nSSH-2.0-dropbear\r\n",
    b"SSH-2.0-" + b"x" * 245 + b"\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"\x16\x03\x01\x02\x00",
    b"\n" * 50 + b"SSH-2.0-x\n",
]


def fresh(role: Role) -> SSH2Client | SSH2Server:
    engine: SSH2Client | SSH2Server
    if role is Role.CLIENT:
        engine = SSH2Client(ClientOptions(user="alice"), random=bytes)
    else:
        engine = SSH2Server(ServerOptions(host_keys=(host_key(),)), random=bytes)
    engine.start(0.0)
    engine.take_output()
    return engine


def errors(log: Iterable[Event]) -> list[object]:
    return [event.error for event in of(log, ConnectionEnded)]


@EITHER
def test_version_exchanges(role: Role) -> None:
    """Whatever comes first: a version, an error that says so, or a wait for the rest of it."""
    for seed in seeds():
        draw = random.Random(seed)
        data = mutated(draw.choice(LINES), draw) + draw.randbytes(draw.choice((0, 0, 200)))
        engine = fresh(role)
        try:
            for portion in portions(data, draw):
                engine.receive(portion, 0.0)
            if draw.random() < 0.5:
                engine.receive_eof()
            log = engine.take_events()
            found = errors(log)
            assert len(found) <= 1
            assert all(isinstance(e, RemoteProtocolError | ConnectionLost) for e in found), found
            assert all(safe(text, len(text), keep="\\") == text for text in map(str, found))
            if engine.phase is Phase.VERSION:
                assert len(data) <= 64 * KIB
            assert len(engine.take_output()) < 4 * KIB
        except BaseException as error:
            error.add_note(f"NACRE_FUZZ_SEED={seed}, {role.value}")
            raise


@EITHER
def test_plain_packets_on_their_way(role: Role) -> None:
    """Somebody in the middle changes what is not encrypted yet, lengths and padding included."""
    both = algorithms(kex="curve25519-sha256", host_key="ssh-ed25519")
    for seed in seeds():
        draw = random.Random(seed)
        turn, chosen = 0, draw.randrange(3)

        def tap(packet: Packet, draw: random.Random = draw, chosen: int = chosen) -> list[bytes]:
            nonlocal turn
            if packet.sender is role:
                turn += 1
                if turn == chosen + 1:
                    return portions(mutated(packet.wire, draw), draw)
            return [packet.wire]

        pair = Middle(tap, algorithms=both, seed=seed)
        watched = seed % 50 == 0
        if watched:
            tracemalloc.start()
        try:
            pair.run()
            if watched:
                assert tracemalloc.get_traced_memory()[1] < 4 * MIB
            for log in (pair.client_events, pair.server_events):
                found = errors(log)
                assert len(found) <= 1
                assert all(isinstance(e, RemoteProtocolError | ConnectionLost) for e in found)
        except BaseException as error:
            error.add_note(f"NACRE_FUZZ_SEED={seed}, {role.value}")
            raise
        finally:
            if watched:
                tracemalloc.stop()


@EITHER
def test_changed_payloads_before_keys_never_lead_to_a_login(role: Role) -> None:
    """The same, with whole packets: what differs from what was sent is not what was signed."""
    both = algorithms(kex="curve25519-sha256", host_key="ssh-ed25519")
    for seed in seeds():
        draw = random.Random(seed)
        number = draw.choice((20, 30 if role is Role.CLIENT else 31))
        changed: list[bytes] = []

        def tap(
            packet: Packet,
            draw: random.Random = draw,
            number: int = number,
            changed: list[bytes] = changed,
        ) -> list[bytes]:
            if packet.sender is not role or packet.payload[0] != number or changed:
                return [packet.wire]
            changed.append(packet.payload[:1] + mutated(packet.payload[1:], draw))
            if changed[0] == packet.payload:
                changed.append(b"the same")
            return [plain(changed[0])]

        pair = Middle(tap, algorithms=both, seed=seed)
        try:
            pair.run()
            if len(changed) == 1:
                assert not of(pair.client_events, AskAuthentication)
                assert not of(pair.server_events, Authenticated)
        except BaseException as error:
            error.add_note(f"NACRE_FUZZ_SEED={seed}, {role.value}")
            raise


CIPHERS = [
    ("aes128-gcm@openssh.com", "hmac-sha2-256"),
    ("chacha20-poly1305@openssh.com", "hmac-sha2-256"),
    ("aes256-ctr", "hmac-sha2-512-etm@openssh.com"),
    ("aes128-ctr", "hmac-sha2-256"),
    ("aes128-cbc", "hmac-sha1"),
]


@EITHER
def test_ciphertext_on_its_way(role: Role) -> None:
    """Nothing that differs from what was sent is ever reported."""
    for seed in seeds():
        draw = random.Random(seed)
        cipher, mac = draw.choice(CIPHERS)
        both = algorithms(kex="curve25519-sha256", ciphers=cipher, macs=mac)
        pair = Pair(algorithms=both, seed=seed)
        pair.run()
        sender, receiver = (pair.client, pair.server)[:: 1 if role is Role.CLIENT else -1]
        sender.ping(b"a")
        first = len(sender.take_output())
        outbox = inside(sender)._outbox
        before = len(receiver.take_events())
        assert before == 0
        outbox.send_parts(b"\x04\0\0\0\0\x05debug\0\0\0\0", b"")
        right = bytes(sender.take_output())
        try:
            assert first
            for portion in portions(mutated(right, draw), draw):
                receiver.receive(portion, 0.0)
            receiver.receive_eof()
            log = receiver.take_events()
            # The packet before was never delivered, so even what is unchanged must not open.
            assert [type(event) for event in log] == [ConnectionEnded]
            assert isinstance(errors(log)[0], RemoteProtocolError | ConnectionLost)
            assert not isinstance(errors(log)[0], VersionError)
        except BaseException as error:
            error.add_note(f"NACRE_FUZZ_SEED={seed}, {role.value}, {cipher} {mac}")
            raise
