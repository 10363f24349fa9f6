"""One connection's key exchanges: what belongs to one, and what outlives it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from attacks.links import Crooked, refused
from nacre.errors import (
    ConfigurationError,
    HostKeyUnknown,
    KexFailed,
    MalformedMessage,
    RemoteProtocolError,
)
from nacre.keys import generate
from nacre.keys.base import RemoteKey
from nacre.limits import Limits
from nacre.protocol.asks import (
    Answer,
    Ask,
    AskHostKey,
    AskHostSignature,
    Denied,
    Granted,
    HostKeyRefused,
    Signature,
)
from nacre.protocol.events import AlgorithmsChosen, ExtensionsReceived, KexDone, Proposal
from nacre.protocol.options import ClientOptions, ServerOptions, algorithms
from nacre.protocol.phases import Phase, Role
from nacre.ssh2.server import SSH2Server
from nacre.ssh2.transport import negotiate
from nacre.ssh2.transport.kex import RunningExchange
from nacre.ssh2.transport.messages import KexInit, KexInitiate, KexReply
from nacre.ssh2.transport.stages import LEGAL, KexStage
from nacre.testing import Pair, agreeable, host_key
from nacre.wire.codec import mpint, string

GEX = "diffie-hellman-group-exchange-sha256"


def exchange(engine: Any) -> Any:
    """Return what an engine runs its key exchanges with."""
    return engine._kex


def connected(**options: Any) -> Pair:
    pair = Pair(**options)
    pair.run()
    return pair


def test_the_exchange_hash_is_over_the_fields_in_their_order() -> None:
    """RFC 4253 section 8: V_C, V_S, I_C, I_S, K_S, e, f, K."""
    chosen = next(e.chosen for e in connected().client_events if isinstance(e, AlgorithmsChosen))
    running = RunningExchange(chosen, (b"V_C", b"V_S", b"I_C", b"I_S"))
    secrets = running.finish(b"K_S", b"e", b"f", mpint(5), b"")
    fields = b"".join(map(string, (b"V_C", b"V_S", b"I_C", b"I_S", b"K_S", b"e", b"f"))) + mpint(5)
    assert secrets.exchange_hash == hashlib.sha256(fields).digest()
    assert secrets.session_id == secrets.exchange_hash
    assert running.finish(b"K_S", b"e", b"f", mpint(5), b"first").session_id == b"first"


def test_a_group_exchange_hashes_its_group_before_the_public_values() -> None:
    """RFC 4419 section 3."""
    pair = connected(algorithms=algorithms(kex=GEX))
    chosen = next(e.chosen for e in pair.client_events if isinstance(e, AlgorithmsChosen))
    running = RunningExchange(chosen, (b"", b"", b"", b""))
    running.group = b"group"
    secrets = running.finish(b"", b"e", b"f", mpint(5), b"")
    fields = string(b"") * 5 + b"group" + string(b"e") + string(b"f") + mpint(5)
    assert secrets.exchange_hash == hashlib.sha256(fields).digest()


def test_nothing_of_an_exchange_is_kept() -> None:
    pair = connected()
    for engine in (pair.client, pair.server):
        assert exchange(engine)._ours is None
        assert exchange(engine)._running is None
        assert exchange(engine).stage is KexStage.IDLE
        assert not exchange(engine).active


def test_the_session_id_and_the_host_key_outlive_a_rekey() -> None:
    pair = connected()
    before = exchange(pair.client).session_id
    pair.server.rekey()
    pair.run()
    done = [e for e in pair.client_events if isinstance(e, KexDone)]
    assert [e.first for e in done] == [True, False]
    assert {e.session_id for e in done} == {before}
    assert exchange(pair.client).host_key == exchange(pair.server).host_key == host_key().public


def test_a_known_host_key_is_not_asked_about_again() -> None:
    asked: list[Ask] = []

    def answer(ask: Ask) -> Any:
        if isinstance(ask, AskHostKey):
            asked.append(ask)
            return Granted()
        return agreeable(ask)

    pair = connected(answers_client=answer)
    pair.client.rekey()
    pair.run()
    assert len(asked) == 1


def test_another_host_key_in_a_rekey_is_asked_about() -> None:
    pair = connected()
    other = generate("ssh-ed25519")
    exchange(pair.server)._signers["ssh-ed25519"] = other
    pair.client.rekey()
    pair.run()
    keys = [event.key for event in pair.client_events if isinstance(event, AskHostKey)]
    assert keys == [host_key().public, other.public]


def test_begin_sends_one_kexinit() -> None:
    pair = connected()
    kex = exchange(pair.client)
    kex.begin()
    size = pair.client.output_size
    kex.begin()
    assert pair.client.output_size == size
    assert kex.active
    assert kex.stage is KexStage.IDLE, "the peer's KEXINIT is what comes next"


def test_a_host_key_that_fits_no_algorithm() -> None:
    options = ServerOptions(
        host_keys=(host_key(),), algorithms=algorithms(host_key=["rsa-sha2-512"])
    )
    with pytest.raises(ConfigurationError, match="add a key or name its algorithm"):
        SSH2Server(options, random=bytes)


def without_login(**options: Any) -> Pair:
    """Return a pair whose client knows no way to log in."""
    return connected(
        answers_client=lambda ask: Granted() if isinstance(ask, AskHostKey) else None, **options
    )


def both(**bounds: int) -> dict[str, Any]:
    """Return the options of a pair for these limits on both sides."""
    limits = Limits(**bounds)
    return {
        "client": ClientOptions(user="alice", limits=limits),
        "server": ServerOptions(host_keys=(host_key(),), limits=limits),
    }


@pytest.mark.parametrize("role", list(Role))
def test_exchanges_before_authentication_are_bounded(role: Role) -> None:
    pair = without_login()
    kex = exchange(pair.client if role is Role.CLIENT else pair.server)
    kex._exchanges_left = 0
    with pytest.raises(RemoteProtocolError, match="too many key exchanges"):
        kex.receive_kexinit(b"")


def test_exchanges_after_authentication_are_not() -> None:
    pair = connected(**both(kex_unauthenticated=1))
    for _ in range(3):
        pair.client.rekey()
        pair.run()
    assert len([e for e in pair.server_events if isinstance(e, KexDone)]) == 4


def test_the_longest_list_of_a_proposal_is_bounded() -> None:
    (chosen,) = [e for e in connected().server_events if isinstance(e, AlgorithmsChosen)]
    longest = max(len(getattr(chosen.client, name)) for name in Proposal.__match_args__)
    assert connected(**both(kex_names=longest)).server.phase is Phase.CONNECTION
    pair = connected(**both(kex_names=longest - 1))
    refused(pair, pair.server, RemoteProtocolError, f"more than {longest - 1} names")


def test_messages_wait_from_our_kexinit_to_our_newkeys() -> None:
    pair = connected()
    outbox = exchange(pair.client)._outbox
    assert outbox.takes_data
    pair.client.rekey()
    outbox.send(b"\x5fheld")
    sent = outbox.packets
    assert not outbox.takes_data
    pair.run()
    assert outbox.takes_data
    assert outbox.packets < sent, "under new keys"


@pytest.mark.parametrize("role", list(Role))
def test_ext_info_is_for_who_wants_it(role: Role, monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 8308 section 2.1."""
    made = negotiate.kexinit
    marker = negotiate.EXT_INFO[role]

    def kexinit(*given: Any) -> tuple[Proposal, bytes]:
        init = KexInit.decode(made(*given)[1])
        kex = tuple(name for name in init.kex if name != marker)
        other = KexInit(init.cookie, kex, *(getattr(init, name) for name in KexInit.FIELDS[2:]))
        return negotiate.proposal(other), other.encode()

    monkeypatch.setattr(negotiate, "kexinit", kexinit)
    pair = connected()
    without, other = pair.client_events, pair.server_events
    if role is Role.SERVER:
        without, other = other, without
    assert not [e for e in without if isinstance(e, ExtensionsReceived)]
    assert [e for e in other if isinstance(e, ExtensionsReceived)]


def replies_with(change: Callable[[KexReply], KexReply]) -> Pair:
    def says(payload: bytes) -> list[bytes]:
        return [change(KexReply.decode(payload)).encode() if payload[0] == 31 else payload]

    pair = Crooked(server_says=says)
    pair.run()
    return pair


def test_a_host_key_that_is_none_or_of_another_type_ends_the_exchange() -> None:
    pair = replies_with(lambda reply: KexReply(b"junk", reply.public, reply.signature))
    refused(pair, pair.client, KexFailed, "the server's host key can't be used")
    other = generate("ecdsa-sha2-nistp256").public
    pair = replies_with(lambda reply: KexReply(other.blob, reply.public, reply.signature))
    refused(pair, pair.client, KexFailed, f"type {other.type} does not fit ssh-ed25519")


def test_short_rsa_keys_of_hosts_are_refused() -> None:
    rsa = generate("ssh-rsa", bits=2048)
    for key, least, works in ((rsa, 2048, True), (rsa, 2049, False), (host_key(), 2049, True)):
        pair = connected(
            client=ClientOptions(user="alice", limits=Limits(host_rsa_bits=least)),
            server=ServerOptions(host_keys=(key,)),
        )
        if works:
            assert pair.client.phase is Phase.CONNECTION
        else:
            refused(pair, pair.client, KexFailed, "has 2048 bits, and 2049 are required")


def test_a_host_key_that_is_not_trusted_ends_the_exchange() -> None:
    pair = connected(answers_client=lambda ask: HostKeyRefused(HostKeyUnknown("who is this?")))
    refused(pair, pair.client, HostKeyUnknown, "who is this?")
    assert not [event for event in pair.client_events if isinstance(event, KexDone)]


def test_compression_that_does_not_wait_for_a_login_begins_with_the_keys() -> None:
    pair = without_login(algorithms=algorithms(compression="zlib"))
    for engine in (pair.client, pair.server):
        assert exchange(engine)._outbox.compresses
        assert exchange(engine)._inbox.decompresses
    pair = without_login(algorithms=algorithms(compression="zlib@openssh.com"))
    for engine in (pair.client, pair.server):
        assert not exchange(engine)._outbox.compresses
        assert not exchange(engine)._inbox.decompresses


@pytest.mark.parametrize("role", list(Role))
def test_newkeys_has_no_fields(role: Role) -> None:
    def says(payload: bytes) -> list[bytes]:
        return [payload + b"x" if payload[0] == 21 else payload]

    pair = Crooked(**{f"{role.value}_says": says})
    pair.run()
    other = pair.server if role is Role.CLIENT else pair.client
    refused(pair, other, MalformedMessage, "1 bytes follow")


def test_every_stage_but_idle_takes_messages_of_the_exchange_only() -> None:
    assert set(LEGAL) == set(KexStage) - {KexStage.IDLE}
    for numbers in LEGAL.values():
        assert numbers <= {21, *range(30, 50)}
    assert KexInitiate.NUMBER in LEGAL[KexStage.INITIATE]
    assert KexReply.NUMBER in LEGAL[KexStage.REPLY]


@pytest.mark.parametrize("kex", ["curve25519-sha256", GEX])
def test_a_host_key_that_another_program_holds_signs_when_asked(kex: str) -> None:
    key = host_key()
    asked: list[AskHostSignature] = []

    def holder(ask: Ask) -> Answer | None:
        if not isinstance(ask, AskHostSignature):
            return agreeable(ask)
        asked.append(ask)
        return Signature(key.sign(ask.data, ask.algorithm))

    offered = algorithms(kex=kex)
    pair = connected(
        server=ServerOptions(host_keys=(RemoteKey(key.public),), algorithms=offered),
        algorithms=offered,
        answers_server=holder,
    )
    pair.client.rekey()
    pair.run()
    assert pair.client.phase is pair.server.phase is Phase.CONNECTION
    assert [ask.key for ask in asked] == [key.public] * 2
    assert asked[0].data == exchange(pair.client).session_id
    assert exchange(pair.client).host_key == key.public


def test_without_a_signature_the_exchange_ends() -> None:
    def refuses(ask: Ask) -> Answer | None:
        return Denied("gone") if isinstance(ask, AskHostSignature) else agreeable(ask)

    options = ServerOptions(host_keys=(RemoteKey(host_key().public),))
    pair = connected(server=options, answers_server=refuses)
    assert pair.client.phase is pair.server.phase is Phase.CLOSED
    assert not [event for event in pair.client_events if isinstance(event, KexDone)]


def test_nothing_is_read_while_a_signature_is_awaited() -> None:
    def silent(ask: Ask) -> Answer | None:
        return None if isinstance(ask, AskHostSignature) else agreeable(ask)

    options = ServerOptions(host_keys=(RemoteKey(host_key().public),))
    pair = connected(server=options, answers_server=silent)
    assert not pair.server.wants_input
    assert exchange(pair.server).stage is KexStage.INITIATE
