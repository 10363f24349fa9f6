"""One connection's key exchanges: what belongs to one, and what outlives it."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from nacre.errors import ConfigurationError, RemoteProtocolError
from nacre.keys import generate
from nacre.keys.base import RemoteKey
from nacre.protocol.asks import (
    Answer,
    Ask,
    AskHostKey,
    AskHostSignature,
    Denied,
    Granted,
    Signature,
)
from nacre.protocol.events import AlgorithmsChosen, KexDone
from nacre.protocol.options import ServerOptions, algorithms
from nacre.protocol.phases import Phase, Role
from nacre.ssh2.engine import SSH2Server
from nacre.ssh2.transport.kex import LEGAL, KexStage, RunningExchange
from nacre.ssh2.transport.messages import KexInitiate, KexReply
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


@pytest.mark.parametrize("role", list(Role))
def test_exchanges_before_authentication_are_bounded(role: Role) -> None:
    pair = Pair(answers_client=lambda ask: Granted() if isinstance(ask, AskHostKey) else None)
    pair.run()
    kex = exchange(pair.client if role is Role.CLIENT else pair.server)
    kex._exchanges_left = 0
    with pytest.raises(RemoteProtocolError, match="too many key exchanges"):
        kex.receive_kexinit(b"")


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

    both = algorithms(kex=kex)
    pair = connected(
        server=ServerOptions(host_keys=(RemoteKey(key.public),), algorithms=both),
        algorithms=both,
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
