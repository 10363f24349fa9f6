"""Terrapin: prefix truncation of the encrypted stream (CVE-2023-48795).

Bäumer, Brinkmann, Schwenk: "Terrapin Attack: Breaking SSH Channel Integrity By Sequence Number
Manipulation", USENIX Security 2024. The remedy is strict kex: nothing but the exchange's own
messages until the first NEWKEYS, and sequence numbers that start again at 0 behind each NEWKEYS.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from attacks.links import Crooked, Middle, Packet, error, inject_before, inside, of, plain, refused
from nacre.errors import (
    ConnectionLost,
    Disconnected,
    KexFailed,
    PacketCorrupt,
    RemoteProtocolError,
)
from nacre.protocol.engine import Engine
from nacre.protocol.events import Authenticated, ExtensionsReceived, KexDone
from nacre.protocol.options import algorithms
from nacre.protocol.phases import Phase, Role
from nacre.ssh2.transport import negotiate
from nacre.ssh2.transport.messages import KexInit
from nacre.testing import Pair

IGNORE = b"\x02\0\0\0\0"
DEBUG = b"\x04\0\0\0\0\0\0\0\0\0"
UNKNOWN = b"\xc8"
CIPHERS = {
    "chacha20-poly1305@openssh.com": "hmac-sha2-256",
    "aes128-gcm@openssh.com": "hmac-sha2-256",
    "aes128-ctr": "hmac-sha2-256-etm@openssh.com",
    "aes128-cbc": "hmac-sha2-256-etm@openssh.com",
}
EITHER = pytest.mark.parametrize("sender", list(Role))
NOISE = pytest.mark.parametrize("noise", [IGNORE, DEBUG, UNKNOWN], ids=["ignore", "debug", "200"])
EVERY_CIPHER = pytest.mark.parametrize(("cipher", "mac"), CIPHERS.items())


def victim(pair: Pair, sender: Role) -> tuple[Pair, Engine]:
    return (pair, pair.server if sender is Role.CLIENT else pair.client)


@EITHER
@NOISE
def test_a_packet_before_kexinit(sender: Role, noise: bytes) -> None:
    """Strict kex: KEXINIT is the first packet, or its sequence number is an attacker's."""
    pair = Middle(inject_before(sender, 20, noise))
    pair.run()
    refused(*victim(pair, sender), RemoteProtocolError)


@EITHER
@NOISE
def test_a_packet_between_kexinit_and_newkeys(sender: Role, noise: bytes) -> None:
    """Strict kex: what RFC 4253 section 11 allows at any time is an attack here."""
    number = 30 if sender is Role.CLIENT else 31
    pair = Middle(inject_before(sender, number, noise))
    pair.run()
    refused(*victim(pair, sender), RemoteProtocolError, "not legal")


@EITHER
@EVERY_CIPHER
def test_one_packet_in_and_ext_info_out(sender: Role, cipher: str, mac: str) -> None:
    """The attack itself: an IGNORE before NEWKEYS makes up for the EXT_INFO that is cut out."""
    insert = inject_before(sender, 21, IGNORE)

    def tap(packet: Packet) -> Iterable[bytes]:
        lost = packet.sender is sender and packet.payload[0] == 7
        return () if lost else insert(packet)

    pair = Middle(tap, algorithms=algorithms(ciphers=cipher, macs=mac))
    pair.run()
    refused(*victim(pair, sender), RemoteProtocolError, "not legal")
    assert not of(pair.client_events, Authenticated)


@EITHER
@EVERY_CIPHER
def test_ext_info_out_alone(sender: Role, cipher: str, mac: str) -> None:
    """A packet that is cut out behind NEWKEYS shows in the next one's tag."""

    def tap(packet: Packet) -> Iterable[bytes]:
        lost = packet.sender is sender and packet.payload[0] == 7
        return () if lost else (packet.wire,)

    pair = Middle(tap, algorithms=algorithms(ciphers=cipher, macs=mac))
    pair.run()
    _, engine = victim(pair, sender)
    if engine.phase is not Phase.CLOSED:
        # A wrong length, as a wrong key decrypts it, may make it wait for bytes that never come.
        engine.receive_eof()
        pair.run()
    log = pair.client_events if engine is pair.client else pair.server_events
    assert isinstance(error(log), RemoteProtocolError | ConnectionLost)
    assert not of(log, ExtensionsReceived)
    assert not of(log, Authenticated)


def test_sequence_numbers_start_again_behind_every_newkeys() -> None:
    pair = Pair()
    pair.run()
    for _ in range(3):
        before = inside(pair.client)._inbox.sequence
        pair.client.rekey()
        pair.run()
        client, server = inside(pair.client), inside(pair.server)
        assert client._inbox.sequence == server._outbox.sequence == 0 < before
        assert server._inbox.sequence == client._outbox.sequence == 0
        pair.client.ping(b"")
        pair.run()


def test_the_marker_of_strict_kex_can_not_be_cut_out() -> None:
    """Both KEXINITs are hashed and signed: a downgrade shows in the host's signature."""

    def tap(packet: Packet) -> Iterable[bytes]:
        if packet.payload[0] != 20 or packet.sender is not Role.SERVER:
            return (packet.wire,)
        return (plain(packet.payload.replace(b"kex-strict-s-v00", b"kex-strict-s-v99")),)

    pair = Middle(tap)
    pair.run()
    refused(pair, pair.client, KexFailed, "does not verify")


def without_marker(role: Role, exchanges: int) -> object:
    """Return a ``kexinit`` with which ``role`` is not strict in its first ``exchanges``."""
    made = negotiate.kexinit
    left = exchanges

    def kexinit(algorithms, host_key, made_for, cookie, gss_kex):
        nonlocal left
        lists, said = made(algorithms, host_key, made_for, cookie, gss_kex)
        if made_for is not role or not left:
            return lists, said
        left -= 1
        init = KexInit.decode(said)
        kex = tuple(name for name in init.kex if name not in negotiate.STRICT.values())
        other = KexInit(init.cookie, kex, *(getattr(init, n) for n in KexInit.FIELDS[2:]))
        return negotiate.proposal(other), other.encode()

    return kexinit


@EITHER
def test_a_peer_without_strict_kex_still_works(
    sender: Role, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may send IGNORE during the exchange, and numbers go on through NEWKEYS."""
    monkeypatch.setattr(negotiate, "kexinit", without_marker(sender, 1))
    noisy = {f"{sender.value}_says": lambda payload: (IGNORE, payload)}
    pair = Crooked(**noisy)
    pair.run()
    assert pair.client.phase is pair.server.phase is Phase.CONNECTION
    assert not of(pair.client_events, KexDone)[0].chosen.strict
    assert inside(pair.client)._inbox.sequence > 3


def test_the_marker_counts_in_the_first_kexinit_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a rekey would reset the numbers of one end alone."""
    monkeypatch.setattr(negotiate, "kexinit", without_marker(Role.CLIENT, 1))
    pair = Pair()
    pair.run()
    before = inside(pair.client)._inbox.sequence
    pair.client.rekey()
    pair.run()
    assert pair.client.phase is pair.server.phase is Phase.CONNECTION
    assert inside(pair.client)._inbox.sequence > before


@EVERY_CIPHER
def test_without_strict_kex_a_cut_alone_is_noticed(
    cipher: str, mac: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against a peer that knows no strict kex, the tags still see a packet that is missing."""
    monkeypatch.setattr(negotiate, "kexinit", without_marker(Role.SERVER, 1))

    def tap(packet: Packet) -> Iterable[bytes]:
        return () if (packet.sender, packet.payload[0]) == (Role.SERVER, 7) else (packet.wire,)

    pair = Middle(tap, algorithms=algorithms(ciphers=cipher, macs=mac))
    pair.run()
    pair.client.receive_eof()
    pair.run()
    found = error(pair.client_events)
    assert isinstance(found, PacketCorrupt | RemoteProtocolError | ConnectionLost)
    assert not isinstance(found, Disconnected)
    assert not of(pair.client_events, Authenticated)
