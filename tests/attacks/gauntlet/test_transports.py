"""Public vulnerabilities, tried on nacre: key exchanges and messages that others broke by."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from attacks.links import Crooked, error, inside, log_of, of, refused, say
from attacks.test_key_exchange import GEX, proposing
from attacks.test_ssh1 import _compensating, running
from nacre.crypto import legacy, registry
from nacre.errors import (
    Disconnected,
    MalformedMessage,
    NoCommonAlgorithm,
    PacketCorrupt,
    RemoteProtocolError,
)
from nacre.protocol.events import KexDone, RequestReceived
from nacre.protocol.options import algorithms
from nacre.protocol.phases import Phase, Role
from nacre.ssh2.connection.messages import ChannelRequest
from nacre.ssh2.transport.messages import Disconnect, GexGroup, GexReply, KexInit, KexInitiate
from nacre.testing import Pair
from nacre.wire.codec import string, u32

EITHER = pytest.mark.parametrize("role", list(Role))
LIE = b"\xff\xff\xff\xff"


def ends(pair: Pair, role: Role) -> tuple[Any, Any]:
    """Return the end that plays ``role``, which attacks, and the other."""
    return (pair.client, pair.server) if role is Role.CLIENT else (pair.server, pair.client)


def saying(role: Role, number: int, change: Callable[[bytes], bytes], **options: Any) -> Pair:
    """Run a pair in which ``role`` changes its messages of a number."""

    def says(payload: bytes) -> list[bytes]:
        return [change(payload)] if payload[0] == number else [payload]

    pair = Crooked(**{f"{role.value}_says": says}, **options)
    pair.run()
    return pair


# --- proposals ---


def proposed(role: Role) -> bytes:
    """Return the KEXINIT that ``role`` sends."""
    seen: list[bytes] = []

    def keep(payload: bytes) -> bytes:
        seen.append(payload)
        return payload

    saying(role, 20, keep)
    return seen[0]


def lies(payload: bytes) -> Iterator[bytes]:
    """Yield a KEXINIT whose lists, one after another, have lengths that are wrong."""
    at = 17
    for _ in range(10):
        size = int.from_bytes(payload[at : at + 4], "big")
        for wrong in (LIE, u32(1 << 31), u32(size + 1), u32(len(payload))):
            yield payload[:at] + wrong + payload[at + 4 :]
        yield payload[:at]
        yield payload[: at + 4 + size // 2]
        at += 4 + size


@EITHER
def test_lengths_in_proposals_that_are_lies(role: Role) -> None:
    """CVE-2015-1782: libssh2 read on behind a KEXINIT."""
    for wrong in lies(proposed(role)):
        pair = saying(role, 20, lambda _, wrong=wrong: wrong)  # type: ignore[misc]
        victim = ends(pair, role)[1]
        assert victim.phase is Phase.CLOSED
        assert isinstance(error(log_of(pair, victim)), RemoteProtocolError)
        assert not of(log_of(pair, victim), KexDone)


@EITHER
@pytest.mark.parametrize("kept", [True, False])
def test_lists_with_empty_elements(role: Role, kept: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """CVE-2002-1358 (SSHredder): empty names in lists stopped implementations of many makers."""
    whole = KexInit.decode(proposed(role))
    holed: dict[str, tuple[str, ...]] = {}
    for name in KexInit.FIELDS[1:11]:
        names = [part for one in getattr(whole, name) for part in ("", one, "")] if kept else []
        holed[name] = ("", "", *names, "", "")
    proposing(monkeypatch, role, **holed)
    pair = Pair()
    pair.run()
    if kept:
        assert pair.client.phase is pair.server.phase is Phase.CONNECTION
        chosen = inside(ends(pair, role)[1])._kex.chosen
        assert "" not in (chosen.kex, chosen.host_key, chosen.cipher_c2s, chosen.mac_s2c)
    else:
        assert isinstance(error(log_of(pair, ends(pair, role)[1])), NoCommonAlgorithm)


# --- key exchange ---


@pytest.mark.parametrize("name", [n for n, m in registry.KEX.items() if m.family == "dh"])
def test_exponents_are_long_enough(name: str) -> None:
    """CVE-2016-0739: libssh drew 128 bits where it wanted 128 bytes."""
    drawn: list[int] = []

    def draw(size: int) -> bytes:
        drawn.append(size)
        return random.Random(size).randbytes(size)

    started = registry.KEX[name].initiate(draw)
    # Twice the strength of the strongest cipher.
    assert sum(drawn) >= 2 * 32
    assert inside(started)._x.bit_length() >= 8 * sum(drawn)


@pytest.mark.parametrize(
    "reply",
    [
        b"\x1f" + LIE,
        b"\x1f" + u32(1 << 31) + b"x",
        b"\x1f" + string(b"\x7f" * 256) + LIE,
        b"\x1f" + string(b"\x7f" * 256) + u32(300) + b"\2",
        GexGroup(7, 2).encode()[:4],
    ],
)
def test_lengths_in_group_exchange_that_are_lies(reply: bytes) -> None:
    """CVE-2019-13115: libssh2 read behind the answer to a group exchange."""
    pair = saying(Role.SERVER, 31, lambda _: reply, algorithms=algorithms(kex=GEX))
    refused(pair, pair.client, MalformedMessage)
    assert not of(pair.client_events, KexDone)


@pytest.mark.parametrize("field", range(3))
def test_lengths_in_the_last_answer_that_are_lies(field: int) -> None:
    """CVE-2019-13115 again, in the message with the host key and its signature."""

    def cut(payload: bytes) -> bytes:
        reply = GexReply.decode(payload)
        parts = [string(getattr(reply, name)) for name in GexReply.FIELDS]
        return b"\x21" + b"".join(parts[:field]) + LIE + parts[field][4:]

    pair = saying(Role.SERVER, 33, cut, algorithms=algorithms(kex=GEX))
    refused(pair, pair.client, MalformedMessage)


@EITHER
@pytest.mark.parametrize("guess", [KexInitiate(bytes(32)).encode(), b"\x22junk", b"\x1e", None])
def test_guesses_in_a_rekey(
    role: Role, guess: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CVE-2023-1667: libssh's server broke by a guess in a second key exchange."""
    sends = False

    def says(payload: bytes) -> list[bytes]:
        return [payload, guess] if sends and guess and payload[0] == 20 else [payload]

    # A method without names of its own for this message is guessed, and the first in common taken.
    names = ("ecdh-sha2-nistp256", "curve25519-sha256")
    pair = Crooked(algorithms=algorithms(kex=names[1]), **{f"{role.value}_says": says})
    pair.run()
    sends = True
    proposing(monkeypatch, role, first_kex_packet_follows=True, kex=names)
    attacker, victim = ends(pair, role)
    for _ in range(3):
        if attacker.phase is Phase.CONNECTION:
            attacker.rekey()
            pair.run()
    if victim.phase is Phase.CLOSED:
        assert isinstance(error(log_of(pair, victim)), RemoteProtocolError)
    else:
        exchanges = len(of(log_of(pair, victim), KexDone))
        assert exchanges == (4 if guess else 1)


def test_rekeys_with_hashes_of_other_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """CVE-2021-3634: libssh had one length for the session id and for the hash of a rekey."""
    pair = Pair(algorithms=algorithms(kex=["curve25519-sha256", "ecdh-sha2-nistp521"]))
    pair.run()
    for kex in ("ecdh-sha2-nistp521", "curve25519-sha256", "ecdh-sha2-nistp521"):
        proposing(monkeypatch, Role.CLIENT, kex=(kex,))
        pair.client.rekey()
        pair.run()
    done = of(pair.server_events, KexDone)
    assert [event.chosen.kex for event in done] == [
        "curve25519-sha256",
        *("ecdh-sha2-nistp521", "curve25519-sha256", "ecdh-sha2-nistp521"),
    ]
    assert {len(event.session_id) for event in done} == {32}
    assert len({event.session_id for event in done}) == 1
    assert pair.client.phase is pair.server.phase is Phase.CONNECTION


# --- messages ---


@EITHER
@pytest.mark.parametrize(
    "payload",
    [
        b"\1" + u32(2) + LIE + b"bye",
        b"\1" + u32(2) + u32(1 << 31),
        b"\1" + u32(2) + string(b"bye") + LIE,
        b"\1" + u32(2) + u32(0xFFFFFFF4) + b"bye",
        Disconnect(2, "bye", "").encode()[:-1],
        b"\1",
    ],
)
def test_lengths_in_a_disconnect_that_are_lies(role: Role, payload: bytes) -> None:
    """CVE-2019-17498: libssh2 read the reason from where a wrong length led it."""
    pair = Pair()
    pair.run()
    attacker, victim = ends(pair, role)
    say(pair, attacker, payload)
    assert isinstance(error(log_of(pair, victim)), MalformedMessage | Disconnected)
    assert victim.phase is Phase.CLOSED


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("exit-status", b""),
        ("exit-status", b"\0\0\0"),
        ("exit-signal", LIE),
        ("exit-signal", LIE + b"KILL"),
        ("exit-signal", string(b"KILL") + b"\0" + LIE),
        ("exit-signal", string(b"KILL") + b"\0" + string(b"x") + LIE),
        ("exit-signal", b""),
    ],
)
def test_ends_of_processes_that_are_cut_off(name: str, data: bytes) -> None:
    """CVE-2019-3857 and CVE-2019-3862: libssh2 read and wrote beside such a request."""
    pair = Pair()
    pair.run()
    pair.client.connection.open_channel("session")
    pair.run()
    say(pair, pair.server, ChannelRequest(0, name, False, data).encode())
    assert not of(pair.client_events, RequestReceived)
    if name == "exit-status":
        refused(pair, pair.client, MalformedMessage)
    else:
        assert pair.client.phase is Phase.CONNECTION


# --- SSH-1 ---


def test_the_largest_packet_of_ssh_1() -> None:
    """CVE-2001-0144: the detector's table overflowed, and ran the attacker's code."""
    blocks = random.Random(1).randbytes(262_136 - len(_compensating()))
    for text, attack in ((blocks + _compensating(), True), (blocks + bytes(320), False)):
        made = running()
        made.server.receive(u32(len(text) - 4) + text, 0.0)
        found = error(made.server.take_events())
        assert isinstance(found, PacketCorrupt)
        assert ("attack" in str(found)) is attack
    made = running()
    made.server.receive(u32(len(blocks) - 4) + blocks, 0.0)
    found = error(made.server.take_events())
    assert isinstance(found, PacketCorrupt)
    assert "attack" not in str(found)


@pytest.mark.parametrize("different", [1, 2, 8, 9, 1000])
def test_packets_of_equal_blocks(different: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """CVE-2006-4924: OpenSSH's detector compared every block with every other one."""
    examined: list[int] = []
    cancels = legacy._cancels

    def counted(blocks: tuple[int, ...], block: int) -> bool:
        examined.append(block)
        return cancels(blocks, block)

    monkeypatch.setattr(legacy, "_cancels", counted)
    parts = [random.Random(one).randbytes(8) for one in range(different)]
    text = b"".join(parts[at % different] for at in range(262_136 // 8))
    made = running()
    made.server.receive(u32(len(text) - 4) + text, 0.0)
    assert isinstance(error(made.server.take_events()), PacketCorrupt)
    assert len(examined) == (different if different <= legacy._REPEATED else 0)
