"""A server that is frozen at the login and goes on elsewhere; its client notices nothing."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attacks.links import error, inside, of
from nacre.crypto.registry import CIPHERS, COMPRESSIONS, MACS
from nacre.errors import ConfigurationError, LocalProtocolError
from nacre.keys.base import RemoteKey
from nacre.limits import Limits
from nacre.protocol.asks import (
    Answer,
    Ask,
    AskHostSignature,
    AskOpen,
    AskUser,
    Denied,
    Granted,
    Signature,
    UserRequirement,
)
from nacre.protocol.events import (
    Authenticated,
    ConnectionEnded,
    ExtensionsReceived,
    KexDone,
    PongReceived,
    Resumed,
    VersionReceived,
)
from nacre.protocol.frozen import FrozenServer
from nacre.protocol.options import Algorithms, ServerOptions, algorithms
from nacre.protocol.phases import Phase
from nacre.ssh2.auth.messages import UserauthRequest
from nacre.ssh2.connection.messages import ChannelOpen
from nacre.ssh2.server import SSH2Server
from nacre.ssh2.thawed import ThawedServer
from nacre.ssh2.transport.kex import KeyExchange
from nacre.ssh2.transport.messages import Ping
from nacre.testing import Pair, agreeable, host_key, one_by_one, whole
from nacre.value import replace
from ssh2.moved import Moving

PAIRS = [(name, "hmac-sha2-256") for name, spec in CIPHERS.items() if spec.aead] + [
    (name, mac) for name, spec in CIPHERS.items() if not spec.aead for mac in MACS
]
FEW = [
    *PAIRS[:3],
    ("aes128-ctr", "hmac-sha2-256-etm@openssh.com"),
    ("aes256-ctr", "hmac-sha2-512"),
    ("3des-cbc", "hmac-sha1"),
]


def only(cipher: str, mac: str, **more: Any) -> Algorithms:
    return algorithms(ciphers=[cipher], macs=[mac], **more)


def at_the_question(both: Algorithms | None = None, **options: Any) -> Moving:
    pair = Moving(both, **options)
    pair.run()
    assert pair.server.phase is pair.client.phase is Phase.AUTHENTICATION
    return pair


@pytest.mark.parametrize(("cipher", "mac"), PAIRS)
def test_data_and_keys_with_every_cipher_and_mac(cipher: str, mac: str) -> None:
    pair = at_the_question(only(cipher, mac))
    pair.move()
    assert pair.client.phase is pair.server.phase is Phase.CONNECTION
    channel = pair.open()
    pair.talk(channel)
    for engine in (pair.server, pair.client):
        engine.rekey()
        pair.run()
        assert not of(pair.server_events, KexDone)[-1].first
        pair.talk(channel)
        pair.talk(channel, 1)


@pytest.mark.parametrize("cipher", ["aes128-gcm@openssh.com", "aes128-ctr"])
def test_the_state_behind_many_packets(cipher: str) -> None:
    """Not only the first few: keys that had packets of every size."""
    pair = at_the_question(only(cipher, "hmac-sha2-256"))
    # PINGs are legal before the login; their answers count in the other direction.
    for size in range(70):
        inside(pair.client)._outbox.send(Ping(bytes(size)).encode())
    held = pair.client.take_output()
    pair.server.receive(held, pair.now)
    pair.thaw(pair.freeze())
    pair.run()
    assert len(of(pair.client_events, PongReceived)) == 70
    pair.talk(pair.open())


def test_what_the_owner_learns() -> None:
    pair = at_the_question()
    before = list(pair.server_events)
    ask = pair.question
    assert (ask.user, ask.methods) == ("alice", ("password",))
    assert not of(before, Authenticated)
    frozen = pair.freeze()
    assert (frozen.user, frozen.methods) == ("alice", ("password",))
    pair.thaw(frozen)
    resumed, authenticated = pair.server.take_events()
    (version,), (done,) = of(before, VersionReceived), of(before, KexDone)
    assert resumed == Resumed(version, done, None)
    assert authenticated == Authenticated("alice", ("password",))
    assert isinstance(pair.server, SSH2Server)
    assert pair.server.pings
    assert len(of(before, ExtensionsReceived)) == 1


def test_the_client_learns_of_its_login_from_the_thawed_server() -> None:
    pair = at_the_question()
    assert not of(pair.client_events, Authenticated)
    assert pair.server.output_size == 0
    frozen = pair.freeze()
    pair.run()
    assert not of(pair.client_events, Authenticated)
    pair.thaw(frozen)
    pair.run()
    assert len(of(pair.client_events, Authenticated)) == 1


def test_a_frozen_engine_is_dead_and_silent() -> None:
    pair = at_the_question()
    server = inside(pair.server)
    pair.question.freeze()
    assert server.phase is Phase.CLOSED
    server.receive(b"anything", 1.0)
    server.receive_eof()
    server.ping()
    assert server.answer(pair.question.ask_id, Denied()) is False
    server.disconnect(2, "late")
    assert bytes(server.take_output()) == b""
    assert server.take_events() == []
    assert not server.wants_input
    assert server._outbox.keys is server._inbox.keys is None
    with pytest.raises(LocalProtocolError):
        pair.question.freeze()


def test_it_is_frozen_at_that_question_only() -> None:
    pair = Moving(answers_client=lambda ask: None)
    server = inside(pair.server)
    with pytest.raises(LocalProtocolError):
        server.freeze()
    pair.run()
    with pytest.raises(LocalProtocolError):
        server.freeze()
    pair = at_the_question()
    pair.server.answer(pair.question.ask_id, Denied())
    with pytest.raises(LocalProtocolError):
        pair.question.freeze()
    pair = at_the_question()
    pair.server.receive_eof()
    with pytest.raises(LocalProtocolError):
        pair.question.freeze()


def test_without_a_handover_nothing_is_asked_and_no_key_is_kept() -> None:
    pair = Pair()
    pair.run()
    server = inside(pair.server)
    assert server._outbox.keys is server._inbox.keys is None
    with pytest.raises(LocalProtocolError):
        server.freeze()


def test_an_owner_that_goes_on_itself() -> None:
    pair = at_the_question()
    server = inside(pair.server)
    assert server._outbox.keys is not None
    server.answer(pair.question.ask_id, Denied())
    pair.run()
    assert pair.client.phase is pair.server.phase is Phase.CONNECTION
    assert server._outbox.keys is server._inbox.keys is None
    assert len(of(pair.server_events, Authenticated)) == 1
    pair.server.rekey()
    pair.run()
    assert server._outbox.keys is server._inbox.keys is None
    pair.talk(pair.open())


def test_an_owner_that_ends_the_connection_says_so() -> None:
    pair = at_the_question(only("aes128-ctr", "hmac-sha2-256", compression="zlib@openssh.com"))
    inside(pair.server).disconnect(11, "no process for you")
    pair.run()
    assert "no process for you" in str(error(pair.client_events))


# --- what was received before ---


def pipelined(pair: Pair) -> bytes:
    """Return what a client may send behind its request, without waiting for the verdict."""
    outbox = inside(pair.client)._outbox
    outbox.send(ChannelOpen("session", 7, 1 << 20, 1 << 15, b"").encode())
    outbox.send(Ping(b"one").encode())
    outbox.send(Ping(b"two" * 1000).encode())
    return bytes(pair.client.take_output())


@pytest.mark.parametrize(("cipher", "mac"), PAIRS)
def test_messages_behind_the_request_wait_for_the_new_server(cipher: str, mac: str) -> None:
    opened: list[AskOpen] = []

    def answer(ask: Ask) -> Answer | None:
        if isinstance(ask, AskOpen):
            opened.append(ask)
            return None  # the client does not know of it
        return agreeable(ask)

    pair = at_the_question(only(cipher, mac), answers_server=answer)
    data = pipelined(pair)
    cut = len(data) - 5
    pair.server.receive(data[:cut], pair.now)
    assert not opened
    pair.thaw(pair.freeze())
    assert [ask.channel_type for ask in opened] == ["session"]
    pair.run()
    pair.server.receive(data[cut:], pair.now)
    pair.run()
    assert [event.data for event in of(pair.client_events, PongReceived)] == [b"one", b"two" * 1000]


def seen(pair: Moving, size: int) -> None:
    """Check that everything arrived, and that both directions go on."""
    pair.run()
    assert [len(event.data) for event in of(pair.client_events, PongReceived)] == [3, size]
    pair.talk(pair.open(), 3000)


@given(
    algorithms=st.sampled_from(FEW),
    size=st.integers(0, 3000),
    cut=st.floats(0, 1),
    single=st.booleans(),
    data=st.data(),
)
def test_it_is_frozen_at_any_byte(
    algorithms: tuple[str, str], size: int, cut: float, single: bool, data: st.DataObject
) -> None:
    pair = at_the_question(only(*algorithms), split=one_by_one if single else whole)
    outbox = inside(pair.client)._outbox
    outbox.send(Ping(b"one").encode())
    outbox.send(Ping(bytes(size)).encode())
    sent = bytes(pair.client.take_output())
    at = round(cut * len(sent))
    before = sorted(data.draw(st.lists(st.integers(0, at), max_size=4)))
    for start, end in zip([0, *before], [*before, at], strict=True):
        pair.server.receive(sent[start:end], pair.now)
    pair.thaw(pair.freeze())
    for portion in pair.split(sent[at:]):
        pair.server.receive(portion, pair.now)
    seen(pair, size)


@pytest.mark.parametrize("portions", ["whole", "bytes"])
def test_a_whole_login_byte_by_byte(portions: str) -> None:
    pair = at_the_question(split=one_by_one if portions == "bytes" else whole)
    pair.move()
    pair.client.rekey()
    pair.run()
    pair.talk(pair.open(), 500)


def test_output_that_was_not_taken_goes_along() -> None:
    pair = at_the_question()
    inside(pair.server)._outbox.send(Ping(b"unsent").encode())
    frozen = pair.freeze()
    assert frozen.outgoing.waiting
    pair.thaw(frozen)
    pair.run()
    assert [event.data for event in of(pair.server_events, PongReceived)] == [b"unsent"]
    pair.talk(pair.open())


# --- keys and bounds ---


@pytest.mark.parametrize("strict", [True, False])
def test_with_and_without_strict_kex(monkeypatch: pytest.MonkeyPatch, strict: bool) -> None:
    if not strict:
        monkeypatch.setattr(KeyExchange, "_decide_strict", lambda self, strict: None)
    pair = at_the_question()
    frozen = pair.freeze()
    assert frozen.strict is strict
    sequence = frozen.incoming.sequence
    assert (sequence == frozen.incoming.packets) is strict  # it began at 0 with the keys
    pair.thaw(frozen)
    pair.run()
    channel = pair.open()
    for engine in (pair.client, pair.server):
        engine.rekey()
        pair.run()
        pair.talk(channel)
    inbox = inside(pair.server)._inbox
    assert (inbox.sequence == inbox.packets) is strict


@pytest.mark.parametrize("compression", ["zlib@openssh.com", "none"])
@pytest.mark.parametrize("cipher", ["aes128-gcm@openssh.com", "aes256-ctr"])
def test_delayed_compression_begins_at_the_new_server(compression: str, cipher: str) -> None:
    pair = at_the_question(only(cipher, "hmac-sha2-256", compression=compression))
    pair.move()
    assert inside(pair.server)._outbox.compresses is (compression != "none")
    assert inside(pair.server)._inbox.decompresses is (compression != "none")
    channel = pair.open()
    pair.talk(channel)
    pair.server.rekey()
    pair.run()
    pair.talk(channel)


def test_compression_from_the_start_can_not_be_handed_over() -> None:
    for names in (list(COMPRESSIONS), ["zlib"]):
        options = ServerOptions(
            host_keys=(host_key(),), algorithms=algorithms(compression=names), handover=True
        )
        with pytest.raises(ConfigurationError, match="zlib@openssh"):
            SSH2Server(options, random=bytes)
    assert "zlib" not in algorithms().compression


def limited(**bounds: Any) -> ServerOptions:
    return ServerOptions(host_keys=(host_key(),), limits=Limits(**bounds))


def test_keys_that_are_worn_out_are_replaced_by_the_new_server() -> None:
    pair = at_the_question(server=limited(rekey_packets=6))
    for number in range(6):
        inside(pair.client)._outbox.send(Ping(bytes([number])).encode())
    pair.server.receive(bytes(pair.client.take_output()), pair.now)
    assert not inside(pair.server)._kex.active
    frozen = pair.freeze()
    assert frozen.incoming.packets < 6
    pair.thaw(frozen)
    assert inside(pair.server)._kex.active
    pair.run()
    assert [event.first for event in of(pair.server_events, KexDone)] == [False]
    pair.talk(pair.open())


def test_counts_under_the_keys_go_along() -> None:
    pair = at_the_question()
    old = inside(pair.server)
    counts = [
        (part.packets, part.payload_bytes, part.sequence) for part in (old._inbox, old._outbox)
    ]
    assert all(count > 0 for part in counts for count in part)
    pair.thaw(pair.freeze())
    new = inside(pair.server)
    sent = counts[1][0] + 1, counts[1][1] + 1, counts[1][2] + 1  # SUCCESS, of one byte
    assert (new._inbox.packets, new._inbox.payload_bytes, new._inbox.sequence) == counts[0]
    assert (new._outbox.packets, new._outbox.payload_bytes, new._outbox.sequence) == sent


def test_the_age_of_the_keys_goes_along() -> None:
    pair = Moving(server=limited(rekey_seconds=100.0))
    pair.now = 5.0
    pair.run()
    pair.now = 35.9
    pair.server.receive(b"", pair.now)
    frozen = pair.freeze()
    assert frozen.age == 30
    pair.now = 1000.0  # the clock of another process
    pair.thaw(frozen)
    assert pair.server.next_tick == 1070.0
    pair.server.tick(1069.0)
    assert not inside(pair.server)._kex.active
    pair.server.tick(1070.0)
    pair.run()
    assert of(pair.server_events, KexDone)[-1].first is False
    pair.talk(pair.open())


def test_the_bounds_of_the_user_go_along() -> None:
    bounds = Limits(sessions=1, rekey_seconds=12.5, channels=2)

    def answer(ask: Ask) -> Answer | None:
        if isinstance(ask, AskUser):
            return UserRequirement((frozenset({"password"}),), limits=bounds)
        return agreeable(ask)

    pair = at_the_question(answers_server=answer)
    frozen = pair.freeze()
    assert frozen.limits == bounds
    pair.thaw(frozen)
    assert inside(pair.server)._limits == bounds
    assert inside(pair.server)._mux._limits == bounds


def test_a_host_key_that_another_program_holds() -> None:
    asked: list[AskHostSignature] = []

    def answer(ask: Ask) -> Answer | None:
        if isinstance(ask, AskHostSignature):
            asked.append(ask)
            return Signature(host_key().sign(ask.data, ask.algorithm))
        return agreeable(ask)

    pair = at_the_question(answers_server=answer)
    options = ServerOptions(host_keys=(RemoteKey(host_key().public),), algorithms=algorithms())
    pair.thaw(pair.freeze(), options)
    pair.run()
    pair.client.rekey()
    pair.run()
    assert len(asked) == 1
    assert of(pair.client_events, KexDone)[-1].first is False
    pair.talk(pair.open())


def test_late_messages_of_the_login_are_as_harmless_as_ever() -> None:
    pair = at_the_question()
    pair.move()
    outbox = inside(pair.client)._outbox
    outbox.send(UserauthRequest("bob", "ssh-connection", "none", b"").encode())
    outbox.send(b"\x05" + b"\0\0\0\x0cssh-userauth")
    pair.run()
    assert not of(pair.server_events, ConnectionEnded)
    pair.talk(pair.open())


def test_both_requests_and_pings_of_the_new_server() -> None:
    pair = at_the_question()
    pair.move()
    pair.server.ping(b"there?")
    token = pair.server.connection.send_global_request("anything@example.org")
    pair.run()
    assert token
    assert [event.data for event in of(pair.server_events, PongReceived)] == [b"there?"]
    # The client may ask, too.
    pair.client.connection.send_global_request("keepalive@openssh.com")
    pair.run()
    assert pair.client.phase is Phase.CONNECTION


@pytest.mark.parametrize("method", ["diffie-hellman-group14-sha256", "curve25519-sha256"])
def test_every_kind_of_exchange_follows(method: str) -> None:
    pair = at_the_question(algorithms(kex=method))
    pair.move()
    channel = pair.open()
    pair.client.rekey()
    pair.run()
    pair.talk(channel)


def test_the_line_of_the_frozen_server_is_what_later_exchanges_hash() -> None:
    """Another version of the software in the new process must not change the exchange hash."""
    pair = at_the_question()
    options = replace(pair.options, handover=False, software="another_1.0")
    pair.thaw(pair.freeze(), options)
    pair.run()
    pair.client.rekey()
    pair.run()
    pair.talk(pair.open())


def test_a_key_for_another_connection_opens_nothing() -> None:
    pair = at_the_question()
    other = at_the_question(seed=5).freeze()
    frozen = pair.freeze()
    pair.thaw(replace(frozen, incoming=other.incoming, outgoing=other.outgoing))
    pair.run()
    assert error(pair.client_events) is not None


def test_a_thawed_server_needs_a_host_key() -> None:
    frozen: FrozenServer = at_the_question().freeze()
    options = ServerOptions(host_keys=(host_key(),), algorithms=algorithms(host_key="rsa-sha2-512"))
    with pytest.raises(ConfigurationError):
        ThawedServer(options, frozen, random=random.Random(1).randbytes)


def test_granting_is_no_answer() -> None:
    pair = at_the_question()
    with pytest.raises(LocalProtocolError):
        pair.server.answer(pair.question.ask_id, Granted())


def test_a_key_exchange_that_the_client_began_before_it_knew_of_its_login() -> None:
    pair = at_the_question()
    inside(pair.client)._kex.begin()
    pair.server.receive(bytes(pair.client.take_output()), pair.now)
    pair.move()
    assert [event.first for event in of(pair.server_events, KexDone)] == [False]
    pair.talk(pair.open())
