"""Key exchange: values that give the secret away, groups that are none, guesses that are wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from attacks.links import Crooked, error, inside, of, refused, say
from nacre.crypto.kex.groups import modp
from nacre.errors import KexFailed, NoCommonAlgorithm, RemoteProtocolError
from nacre.limits import KIB
from nacre.protocol.events import KexDone
from nacre.protocol.options import ClientOptions, ServerOptions, algorithms
from nacre.protocol.phases import Phase, Role
from nacre.ssh2.routes import legal
from nacre.ssh2.transport import negotiate
from nacre.ssh2.transport.messages import (
    GexGroup,
    GexInit,
    GexReply,
    GexRequest,
    KexInit,
    KexInitiate,
    KexReply,
)
from nacre.ssh2.transport.stages import KexStage
from nacre.testing import Pair, host_key
from nacre.wire.codec import mpint

GEX = "diffie-hellman-group-exchange-sha256"
GROUP14 = "diffie-hellman-group14-sha256"
MLKEM = "mlkem768x25519-sha256"
X25519 = "curve25519-sha256"
EITHER = pytest.mark.parametrize("role", list(Role))


def number(value: int) -> bytes:
    return mpint(value)[4:]


def with_public(payload: bytes, value: bytes) -> bytes:
    """Return a message of a key exchange with another public value."""
    match payload[0]:
        case 30:
            return KexInitiate(value).encode()
        case 32:
            return GexInit(value).encode()
        case 31:
            reply = KexReply.decode(payload)
            return KexReply(reply.host_key, value, reply.signature).encode()
    gex_reply = GexReply.decode(payload)
    return GexReply(gex_reply.host_key, value, gex_reply.signature).encode()


def exchange(kex: str, role: Role, value: bytes | Callable[[bytes], bytes]) -> Pair:
    """Run an exchange in which ``role`` sends ``value`` as its public value."""
    numbers = {Role.CLIENT: {30, 32}, Role.SERVER: {31, 33}}[role]
    if kex == GEX:
        numbers = numbers & {32, 33}

    def says(payload: bytes) -> list[bytes]:
        if payload[0] not in numbers:
            return [payload]
        made = value(payload) if callable(value) else value
        return [with_public(payload, made)]

    pair = Crooked(algorithms=algorithms(kex=kex), **{f"{role.value}_says": says})
    pair.run()
    return pair


def failed(pair: Pair, role: Role, words: str = "") -> None:
    """Check that the other end refused what ``role`` sent, before there were any keys."""
    refused(pair, pair.server if role is Role.CLIENT else pair.client, KexFailed, words)
    assert not of(pair.client_events, KexDone)
    assert not of(pair.server_events, KexDone)


P14 = modp(2048)


@pytest.mark.slow
@EITHER
@pytest.mark.parametrize(
    "value",
    [0, 1, P14 - 1, P14, P14 + 1, -1, -2, 1 - P14, 1 << 4096],
    ids=["0", "1", "p-1", "p", "p+1", "-1", "-2", "1-p", "huge"],
)
def test_values_of_diffie_hellman(role: Role, value: int) -> None:
    """RFC 4253 section 8: out of 1 to p-1 MUST NOT be taken; 1 and p-1 give the secret away."""
    failed(exchange(GROUP14, role, number(value)), role, "out of range")


@EITHER
@pytest.mark.parametrize("value", [b"", b"\1", b"\0" * 300, b"\xff" * 300, bytes(100 * KIB)])
def test_bytes_of_diffie_hellman(role: Role, value: bytes) -> None:
    failed(exchange(GROUP14, role, value), role, "out of range")


@EITHER
@pytest.mark.parametrize("at", [0, 1, -1])
def test_values_of_group_exchange(role: Role, at: int) -> None:
    prime = modp(3072)
    failed(exchange(GEX, role, number(at % prime)), role, "out of range")


ORDER_8 = (
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
)
P25519 = (1 << 255) - 19
SMALL_ORDER = [
    *(value.to_bytes(32, "little") for value in (0, 1, P25519 - 1, P25519, P25519 + 1)),
    *map(bytes.fromhex, ORDER_8),
]


@EITHER
@pytest.mark.parametrize("kex", [X25519, MLKEM])
@pytest.mark.parametrize("value", SMALL_ORDER, ids=["0", "1", "p-1", "p", "p+1", "8a", "8b"])
def test_points_of_small_order(role: Role, kex: str, value: bytes) -> None:
    """RFC 8731 section 3: a secret of zeros is no secret."""

    def swapped(payload: bytes) -> bytes:
        kind = KexInitiate if payload[0] == 30 else KexReply
        return kind.decode(payload).public[:-32] + value

    failed(exchange(kex, role, swapped), role, "trivial secret")


@EITHER
@pytest.mark.parametrize("size", [0, 1, 31, 33, 64, 1000])
def test_sizes_of_x25519(role: Role, size: int) -> None:
    failed(exchange(X25519, role, b"\x09" * size), role, "instead of 32")


@EITHER
@pytest.mark.parametrize("size", [0, 32, 1088, 1119, 1120, 1121, 1184, 1215, 1217, 5000])
def test_sizes_of_mlkem(role: Role, size: int) -> None:
    """draft-ietf-sshm-mlkem-hybrid-kex: 1216 bytes from the client, 1120 from the server."""
    pair = exchange(MLKEM, role, b"\x09" * size)
    failed(pair, role)


def test_an_mlkem_key_that_is_not_reduced() -> None:
    """FIPS 203 section 7.2: the check of the encapsulation key's modulus."""

    def swapped(payload: bytes) -> bytes:
        return b"\xff" * 1152 + KexInitiate.decode(payload).public[1152:]

    failed(exchange(MLKEM, Role.CLIENT, swapped), Role.CLIENT, "malformed")


def test_an_mlkem_ciphertext_of_somebody_else() -> None:
    """It gives another secret, with no error, and then the host's signature does not fit."""

    def swapped(payload: bytes) -> bytes:
        return b"\1" * 1088 + KexReply.decode(payload).public[1088:]

    failed(exchange(MLKEM, Role.SERVER, swapped), Role.SERVER, "does not verify")


@EITHER
@pytest.mark.parametrize("kex", ["ecdh-sha2-nistp256", "ecdh-sha2-nistp384", "ecdh-sha2-nistp521"])
@pytest.mark.parametrize(
    "change",
    [
        lambda point: point[:-1] + bytes((point[-1] ^ 1,)),
        lambda point: b"\0",
        lambda point: b"",
        lambda point: b"\x04" + bytes(len(point) - 1),
        lambda point: b"\x04" + b"\xff" * (len(point) - 1),
        lambda point: b"\x02" + point[1 : len(point) // 2 + 1],
        lambda point: b"\x06" + point[1:],
        lambda point: point + b"\0",
        lambda point: point[:-1],
    ],
    ids=["off", "infinity", "empty", "zeros", "ones", "compressed", "hybrid", "long", "short"],
)
def test_points_that_are_none(role: Role, kex: str, change: Callable[[bytes], bytes]) -> None:
    """RFC 5656 section 4: an off-curve point leaks the private value bit by bit."""

    def swapped(payload: bytes) -> bytes:
        kind = KexInitiate if payload[0] == 30 else KexReply
        return change(kind.decode(payload).public)

    failed(exchange(kex, role, swapped), role)


# --- group exchange ---


def group(prime: int, generator: int) -> Pair:
    def says(payload: bytes) -> list[bytes]:
        return [GexGroup(prime, generator).encode()] if payload[0] == 31 else [payload]

    pair = Crooked(algorithms=algorithms(kex=GEX), server_says=says)
    pair.run()
    return pair


@pytest.mark.parametrize(
    ("prime", "generator"),
    [
        (0, 2),
        (1, 2),
        (-modp(2048), 2),
        (modp(1024), 2),
        ((1 << 2047) - 1, 2),
        ((1 << 8193) + 1, 2),
        (1 << 100_000, 2),
        (modp(2048) + 1, 2),
        (modp(2048) + 2, 2),
        ((1 << 2048) - 1, 2),
        (modp(1024) ** 2, 2),
        (modp(2048), 0),
        (modp(2048), 1),
        (modp(2048), -2),
        (modp(2048), modp(2048) - 1),
        (modp(2048), modp(2048)),
        (modp(2048), modp(2048) + 2),
    ],
    ids=[
        "0",
        "1",
        "negative",
        "small",
        "2047",
        "8194",
        "huge",
        "even",
        "odd",
        "ones",
        "square",
        "g=0",
        "g=1",
        "g=-2",
        "g=p-1",
        "g=p",
        "g=p+2",
    ],
)
def test_groups_of_a_server_s(prime: int, generator: int) -> None:
    """RFC 4419 section 3; LogJam (CVE-2015-4000) for those that are too small."""
    failed(group(prime, generator), Role.SERVER)


@pytest.mark.parametrize(
    "sizes",
    [
        (0, 0, 0),
        (1024, 1024, 1024),
        (1, 1, 2047),
        (8193, 8193, 1 << 31),
        (4096, 3072, 2048),
        ((1 << 32) - 1,) * 3,
    ],
)
def test_sizes_a_client_asks_for(sizes: tuple[int, int, int]) -> None:
    """A server sends no group below 2048 bits, whoever wants one."""

    def says(payload: bytes) -> list[bytes]:
        return [GexRequest(*sizes).encode()] if payload[0] == 34 else [payload]

    pair = Crooked(algorithms=algorithms(kex=GEX), client_says=says)
    pair.run()
    failed(pair, Role.CLIENT, "no group of")


# --- negotiation ---


def proposing(monkeypatch: pytest.MonkeyPatch, role: Role, **fields: object) -> None:
    """Let ``role`` propose other things than it would."""
    made = negotiate.kexinit

    def kexinit(algorithms, host_key, made_for, cookie, gss_kex):
        lists, said = made(algorithms, host_key, made_for, cookie, gss_kex)
        if made_for is not role:
            return lists, said
        init = KexInit.decode(said)
        values: dict[str, Any] = {n: fields.get(n, getattr(init, n)) for n in KexInit.FIELDS}
        other = KexInit(**values)
        return negotiate.proposal(other), other.encode()

    monkeypatch.setattr(negotiate, "kexinit", kexinit)


@EITHER
@pytest.mark.parametrize("field", ["kex", "host_key", "ciphers_c2s", "macs_s2c", "compression_c2s"])
def test_nothing_in_common(role: Role, field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    proposing(monkeypatch, role, **{field: ()})
    pair = Pair(algorithms=algorithms(ciphers="aes128-ctr"))
    pair.run()
    found = error(pair.server_events if role is Role.CLIENT else pair.client_events)
    assert isinstance(found, NoCommonAlgorithm)
    assert not of(pair.client_events, KexDone)


@EITHER
@pytest.mark.parametrize("name", ["none", "arcfour", "aes128-cbc", "3des-cbc", ""])
def test_ciphers_that_were_not_named(
    role: Role, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A peer that wants no encryption, or an old one, gets none of it."""
    names = (name,) if name else ()
    proposing(monkeypatch, role, ciphers_c2s=names, ciphers_s2c=names)
    pair = Pair()
    pair.run()
    found = error(pair.server_events if role is Role.CLIENT else pair.client_events)
    assert isinstance(found, NoCommonAlgorithm)


@EITHER
def test_markers_are_no_methods(role: Role, monkeypatch: pytest.MonkeyPatch) -> None:
    """``ext-info-s`` and the markers of strict kex are in both lists if a peer wants it so."""
    markers = ("ext-info-c", "ext-info-s", *negotiate.STRICT.values())
    proposing(monkeypatch, role, kex=markers)
    pair = Pair()
    pair.run()
    found = error(pair.server_events if role is Role.CLIENT else pair.client_events)
    assert isinstance(found, NoCommonAlgorithm)
    assert found.kind == "kex"


# --- guesses (RFC 4253 section 7) ---


def guessing(monkeypatch: pytest.MonkeyPatch, role: Role, kex: str, guess: bytes | None) -> Pair:
    """Let ``role`` prefer ``kex`` and announce a guess, and send it unless it is the message."""
    proposing(
        monkeypatch,
        role,
        first_kex_packet_follows=True,
        kex=(kex, X25519, negotiate.STRICT[role], negotiate.EXT_INFO[role]),
    )

    def says(payload: bytes) -> list[bytes]:
        return [payload, guess] if payload[0] == 20 and guess is not None else [payload]

    pair = Crooked(
        algorithms=algorithms(kex=X25519, host_key=["ssh-ed25519"]), **{f"{role.value}_says": says}
    )
    pair.run()
    return pair


def test_a_right_guess_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = guessing(monkeypatch, Role.CLIENT, X25519, None)
    assert pair.client.phase is pair.server.phase is Phase.CONNECTION


@EITHER
@pytest.mark.parametrize("guess", [KexInitiate(b"\x04" + bytes(64)).encode(), b"\x22junk", b"\x31"])
def test_a_wrong_guess_is_dropped(
    role: Role, guess: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, and unread."""
    pair = guessing(monkeypatch, role, "ecdh-sha2-nistp256", guess)
    assert pair.client.phase is pair.server.phase is Phase.CONNECTION


@pytest.mark.parametrize("guess", [b"\x15", b"\x05", b"\x02\0\0\0\0", b"\x32", b"\x14"])
def test_a_guess_is_a_message_of_the_method(guess: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """NEWKEYS, a service request, noise: nothing else may hide where a guess is dropped."""
    pair = guessing(monkeypatch, Role.CLIENT, "ecdh-sha2-nistp256", guess)
    refused(pair, pair.server, RemoteProtocolError, "not legal")


def test_a_second_wrong_guess(monkeypatch: pytest.MonkeyPatch) -> None:
    guess = KexInitiate(bytes(5)).encode()
    proposing(
        monkeypatch,
        Role.CLIENT,
        first_kex_packet_follows=True,
        kex=("ecdh-sha2-nistp256", X25519, negotiate.STRICT[Role.CLIENT]),
    )
    pair = Crooked(
        algorithms=algorithms(kex=X25519),
        client_says=lambda p: [p, guess, guess] if p[0] == 20 else [p],
    )
    pair.run()
    failed(pair, Role.CLIENT, "instead of 32")


def test_a_guess_that_was_announced_and_right_is_not_sent_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    guess = KexInitiate(bytes(range(32))).encode()
    pair = guessing(monkeypatch, Role.CLIENT, X25519, guess)
    refused(pair, pair.server, RemoteProtocolError, "not legal")


# --- rekeying ---


@EITHER
def test_channel_messages_inside_an_exchange(role: Role) -> None:
    """RFC 4253 section 7.1 forbids them; those of a rekey are taken, as OpenSSH does.

    They come under the old keys of a user who is in. In the first exchange they end the connection.
    """

    rekeying = False

    def says(payload: bytes) -> list[bytes]:
        return [payload, b"\x50\0\0\0\1x\0"] if rekeying and payload[0] == 20 else [payload]

    pair = Crooked(**{f"{role.value}_says": says})
    engine = pair.client if role is Role.CLIENT else pair.server
    pair.run()
    rekeying = True
    engine.rekey()
    pair.run()
    assert pair.client.phase is pair.server.phase is Phase.CONNECTION
    for rekey in (False, True):
        numbers = legal(role, KexStage.NEWKEYS, strict=not rekey, rekey=rekey)
        assert (80 in numbers) is rekey


@EITHER
def test_weak_values_in_a_rekey(role: Role) -> None:
    """Every exchange is checked, not the first alone."""

    def says(payload: bytes) -> list[bytes]:
        if payload[0] in {30, 31} and pair.client.phase is Phase.CONNECTION:
            return [with_public(payload, bytes(32))]
        return [payload]

    options = {f"{role.value}_says": says}
    pair = Crooked(algorithms=algorithms(kex=X25519, host_key=["ssh-ed25519"]), **options)
    pair.run()
    pair.client.rekey()
    pair.run()
    refused(pair, pair.server if role is Role.CLIENT else pair.client, KexFailed, "trivial")


def test_the_session_id_stays() -> None:
    """RFC 4253 section 7.2: it is the first exchange's hash, or old signatures would count anew."""
    pair = Pair()
    pair.run()
    for engine in (pair.client, pair.server):
        engine.rekey()
        pair.run()
    ids = {event.session_id for event in of(pair.client_events, KexDone)}
    assert len(ids) == 1
    assert inside(pair.server)._kex.session_id in ids


def test_a_rekey_needs_no_longer_than_one_exchange_to_change_algorithms() -> None:
    """What a rekey negotiates is from the same lists: a downgrade by it is none."""
    pair = Pair(
        client=ClientOptions(user="alice"),
        server=ServerOptions(host_keys=(host_key(),)),
    )
    pair.run()
    init = inside(pair.client)._options.algorithms
    weak = KexInit(
        bytes(16), init.kex, init.host_key, ("3des-cbc",), ("3des-cbc",), ("hmac-md5",),
        ("hmac-md5",), ("none",), ("none",), (), (), False, 0,
    )  # fmt: skip
    say(pair, pair.client, weak.encode())
    assert isinstance(error(pair.server_events), NoCommonAlgorithm)
