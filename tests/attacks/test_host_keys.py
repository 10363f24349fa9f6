"""Hosts that are not who they say: signatures, keys and algorithms that do not fit."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest

from attacks.links import Crooked, Middle, Packet, error, inside, of, plain, refused
from nacre.crypto import registry
from nacre.crypto.kex.method import KexMethod
from nacre.errors import HostKeyChanged, KexFailed
from nacre.keys import PrivateKey, generate
from nacre.protocol.asks import Answer, Ask, AskAuthentication, AskHostKey, HostKeyRefused
from nacre.protocol.events import KexDone
from nacre.protocol.options import ClientOptions, ServerOptions, algorithms
from nacre.protocol.phases import Phase, Role
from nacre.ssh2.transport.messages import KexInitiate, KexReply
from nacre.testing import Pair, agreeable, host_key
from nacre.wire.codec import WireReader, string

X25519 = "curve25519-sha256"


@pytest.fixture(scope="module")
def keys() -> dict[str, PrivateKey]:
    types = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384")
    return {
        **{type: generate(type) for type in types},
        "ssh-rsa": generate("ssh-rsa", bits=2048),
    }


def replying(
    change: Callable[[KexReply], KexReply],
    key: PrivateKey | None = None,
    host_key_algorithm: str = "ssh-ed25519",
    seed: int = 0,
) -> Pair:
    """Run an exchange in which the server changes its reply."""
    both = algorithms(kex=X25519, host_key=host_key_algorithm)

    def says(payload: bytes) -> list[bytes]:
        return [change(KexReply.decode(payload)).encode()] if payload[0] == 31 else [payload]

    pair = Crooked(
        client=ClientOptions(user="alice", algorithms=both),
        server=ServerOptions(host_keys=(key or host_key(),), algorithms=both),
        server_says=says,
        seed=seed,
    )
    pair.run()
    return pair


def nobody_was_asked(pair: Pair, words: str = "") -> None:
    """The client stopped by itself: no human, and no password, came into it."""
    refused(pair, pair.client, KexFailed, words)
    assert not of(pair.client_events, AskHostKey)
    assert not of(pair.client_events, AskAuthentication)
    assert not of(pair.client_events, KexDone)


@pytest.mark.parametrize(
    "change",
    [
        lambda made: made[:-1] + bytes((made[-1] ^ 1,)),
        lambda made: b"",
        lambda made: made[:-1],
        lambda made: made + b"\0",
        lambda made: string(b"ssh-ed25519") + string(b""),
        lambda made: string(b"ssh-ed25519") + string(bytes(64)),
        lambda made: string(b"none") + string(b""),
        lambda made: string(b"ssh-rsa") + made[15:],
        lambda made: string(b"ssh-ed25519\0") + made[15:],
        lambda made: string(b"SSH-ED25519") + made[15:],
    ],
    ids=[
        "flipped",
        "empty",
        "short",
        "long",
        "void",
        "zeros",
        "none",
        "other-name",
        "nul",
        "upper",
    ],
)
def test_signatures_that_do_not_verify(change: Callable[[bytes], bytes]) -> None:
    """RFC 4253 section 8: the host's signature is all that stands against a man in the middle."""
    pair = replying(lambda reply: KexReply(reply.host_key, reply.public, change(reply.signature)))
    nobody_was_asked(pair, "does not verify")


def test_somebody_else_s_key_with_its_owner_s_signature() -> None:
    """The attacker shows the host's key, and signs with another."""
    other = generate("ssh-ed25519")
    pair = replying(lambda reply: KexReply(other.public.blob, reply.public, reply.signature))
    nobody_was_asked(pair, "does not verify")


def test_the_signature_of_another_exchange() -> None:
    """The hash is new in each exchange, because both sides have put something new into it."""
    seen: list[bytes] = []

    def replay(reply: KexReply) -> KexReply:
        seen.append(reply.signature)
        return KexReply(reply.host_key, reply.public, seen[0])

    first = replying(replay)
    assert first.client.phase is Phase.CONNECTION
    first.client.rekey()
    first.run()
    refused(first, first.client, KexFailed, "does not verify")
    nobody_was_asked(replying(replay, seed=1), "does not verify")


@pytest.mark.parametrize(
    ("agreed", "shown"),
    [
        ("ssh-ed25519", "ecdsa-sha2-nistp256"),
        ("ssh-ed25519", "ssh-rsa"),
        ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384"),
        ("rsa-sha2-512", "ssh-ed25519"),
    ],
)
def test_a_key_of_a_type_that_was_not_agreed_on(
    agreed: str, shown: str, keys: dict[str, PrivateKey]
) -> None:
    """known_hosts is looked up by what was agreed on; another type would get around it."""
    key = keys["ssh-rsa" if agreed.startswith("rsa") else agreed]
    pair = replying(
        lambda reply: KexReply(keys[shown].public.blob, reply.public, reply.signature), key, agreed
    )
    nobody_was_asked(pair, "does not fit")


@pytest.mark.parametrize("agreed", ["rsa-sha2-512", "rsa-sha2-256"])
@pytest.mark.parametrize("used", ["ssh-rsa", "rsa-sha2-256", "rsa-sha2-512"])
def test_rsa_with_another_hash(agreed: str, used: str, keys: dict[str, PrivateKey]) -> None:
    """RFC 8332 section 3.2: SHA-1 under the name of SHA-2, or openly, is not what was agreed on."""
    if used == agreed:
        return
    rsa = keys["ssh-rsa"]

    def resigned(relabel: bool) -> Callable[[KexReply], KexReply]:
        def change(reply: KexReply) -> KexReply:
            digest = inside(pairs[-1].server)._kex._running.secrets.exchange_hash
            made = rsa.sign(digest, used)
            if relabel:
                reader = WireReader(made)
                reader.string()
                made = string(agreed.encode()) + string(reader.string())
            return KexReply(reply.host_key, reply.public, made)

        return change

    for relabel in (False, True):
        pairs: list[Pair] = []
        both = algorithms(kex=X25519, host_key=agreed)
        change = resigned(relabel)

        def says(payload: bytes, change: Callable[[KexReply], KexReply] = change) -> list[bytes]:
            return [change(KexReply.decode(payload)).encode()] if payload[0] == 31 else [payload]

        pairs.append(
            Crooked(
                client=ClientOptions(user="alice", algorithms=both),
                server=ServerOptions(host_keys=(rsa,), algorithms=both),
                server_says=says,
            )
        )
        pairs[0].run()
        nobody_was_asked(pairs[0], "does not verify")


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        string(b"ssh-ed25519"),
        string(b"ssh-ed25519") + string(bytes(31)),
        string(b"ssh-ed25519") + string(bytes(33)),
        string(b"ssh-ed448") + string(bytes(57)),
        string(b"ssh-ed25519") + string(bytes(32)) + b"x",
        string(b"\x1b[2J") + string(b""),
    ],
)
def test_keys_that_are_none(blob: bytes) -> None:
    """RFC 8709; what is printed of them is safe."""
    pair = replying(lambda reply: KexReply(blob, reply.public, reply.signature))
    nobody_was_asked(pair)
    assert "\x1b" not in str(error(pair.client_events))


def test_a_key_of_small_order_is_a_key_like_any_other() -> None:
    """With it a fixed signature verifies everything: it must be trusted first, and is asked for."""
    identity = (1).to_bytes(32, "little")
    blob = string(b"ssh-ed25519") + string(identity)
    made = string(b"ssh-ed25519") + string(identity + bytes(32))
    pair = replying(lambda reply: KexReply(blob, reply.public, made))
    assert {ask.key.blob for ask in of(pair.client_events, AskHostKey)} <= {blob}
    assert pair.client.phase is Phase.CLOSED
    assert not of(pair.client_events, AskAuthentication)


def test_a_man_in_the_middle_with_a_key_of_his_own() -> None:
    """He runs an exchange with each side; the client is shown his key, and says no."""
    method: KexMethod = registry.KEX[X25519]
    his = generate("ssh-ed25519")
    init: dict[str, bytes] = {}

    def tap(packet: Packet) -> list[bytes]:
        if packet.payload[0] == 20:
            init[packet.sender.value] = packet.payload
        if packet.payload[0] == 30:
            init["public"] = KexInitiate.decode(packet.payload).public
        if packet.payload[0] != 31:
            return [packet.wire]
        reply, secret = method.respond(init["public"], bytes)
        lines = [inside(pair.client)._line, inside(pair.server)._line]
        parts = [*lines, init["client"], init["server"], his.public.blob, init["public"], reply]
        digest = hashlib.sha256(b"".join(map(string, parts)) + secret).digest()
        signature = his.sign(digest, "ssh-ed25519")
        return [plain(KexReply(his.public.blob, reply, signature).encode())]

    def known(ask: Ask) -> Answer | None:
        if isinstance(ask, AskHostKey) and ask.key != host_key().public:
            return HostKeyRefused(HostKeyChanged("the host has another key"))
        return agreeable(ask)

    pair = Middle(
        tap,
        algorithms=algorithms(kex=X25519, host_key="ssh-ed25519"),
        answers_client=known,
    )
    # His X25519 secret: the zeros that `bytes` draws are clamped to a usable one.
    pair.run()
    assert [ask.key for ask in of(pair.client_events, AskHostKey)] == [his.public]
    assert isinstance(error(pair.client_events), HostKeyChanged)
    assert not of(pair.client_events, AskAuthentication)


def test_another_key_in_a_rekey_is_asked_about(keys: dict[str, PrivateKey]) -> None:
    """The connection was taken over, or the server has two keys: it is not taken for granted."""
    pair = Pair(algorithms=algorithms(kex=X25519, host_key="ssh-ed25519"))
    pair.run()
    inside(pair.server)._kex._signers["ssh-ed25519"] = keys["ssh-ed25519"]
    pair.client.rekey()
    pair.run()
    asked = [ask.key for ask in of(pair.client_events, AskHostKey)]
    assert asked == [host_key().public, keys["ssh-ed25519"].public]
    assert pair.client.phase is Phase.CONNECTION


@pytest.mark.slow
@pytest.mark.parametrize("role", list(Role))
def test_any_byte_of_the_exchange_changed_on_the_way(role: Role) -> None:
    """All of both KEXINITs, both values and the key are under the host's signature."""
    sizes: dict[int, int] = {}

    def measure(packet: Packet) -> list[bytes]:
        if packet.sender is role and packet.payload[0] in {20, 30, 31}:
            sizes[packet.payload[0]] = len(packet.payload)
        return [packet.wire]

    both = algorithms(kex=X25519, host_key="ssh-ed25519")
    Middle(measure, algorithms=both).run()
    assert len(sizes) == 2

    def flipping(number: int, at: int) -> Callable[[Packet], list[bytes]]:
        def tap(packet: Packet) -> list[bytes]:
            if packet.sender is not role or packet.payload[0] != number:
                return [packet.wire]
            payload = bytearray(packet.payload)
            payload[at] ^= 1 << (at % 8)
            return [plain(bytes(payload))]

        return tap

    for number, size in sizes.items():
        for at in range(0, size, 1 if number != 20 else 9):
            pair = Middle(flipping(number, at), algorithms=both)
            pair.run()
            assert not of(pair.client_events, AskAuthentication), (number, at)
            assert Phase.CONNECTION not in (pair.client.phase, pair.server.phase)
