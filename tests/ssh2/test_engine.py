from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attacks.links import inside
from nacre.crypto import registry
from nacre.crypto.registry import Tier
from nacre.errors import (
    ConnectionLost,
    DisconnectCode,
    Disconnected,
    HostKeyUnknown,
    LocalProtocolError,
    NoCommonAlgorithm,
    RemoteProtocolError,
    VersionError,
)
from nacre.keys import generate
from nacre.limits import Limits
from nacre.protocol.asks import (
    Answer,
    Ask,
    AskHostKey,
    AskOpen,
    AskPassword,
    AskUser,
    Denied,
    Granted,
    HostKeyRefused,
    UserRequirement,
)
from nacre.protocol.events import (
    AlgorithmsChosen,
    Authenticated,
    ChannelClosed,
    ChannelOpened,
    ConnectionEnded,
    Data,
    EofReceived,
    Event,
    ExtensionsReceived,
    KexDone,
    MessageSeen,
    PongReceived,
    SecretAgreed,
    VersionReceived,
    Writable,
)
from nacre.protocol.options import ClientOptions, ServerOptions, algorithms
from nacre.protocol.phases import Phase
from nacre.protocol.requests import ExitStatus, Shell
from nacre.ssh2.client import SSH2Client
from nacre.ssh2.server import SSH2Server
from nacre.ssh2.transport.messages import Ping, Pong
from nacre.testing import Pair, agreeable, host_key, one_by_one


def of(events: list[Event], kind: type[Event]) -> list[Event]:
    return [event for event in events if isinstance(event, kind)]


def end(events: list[Event]) -> ConnectionEnded:
    last = events[-1]
    assert isinstance(last, ConnectionEnded)
    return last


def names(events: list[Event]) -> list[str]:
    return [type(event).__name__ for event in events]


@pytest.fixture(scope="module")
def rsa() -> object:
    return generate("ssh-rsa", bits=2048)


def test_the_five_phases() -> None:
    pair = Pair()
    assert pair.client.phase is Phase.VERSION
    pair.run()
    assert pair.client.phase is pair.server.phase is Phase.CONNECTION
    assert names(pair.client_events) == [
        "VersionReceived",
        "AlgorithmsChosen",
        "AskHostKey",
        "KexDone",
        "ExtensionsReceived",
        "AskAuthentication",
        "AuthResult",
        "Authenticated",
    ]
    done = [of(log, KexDone)[0] for log in (pair.client_events, pair.server_events)]
    assert done[0] == done[1]
    channel = pair.client.connection.open_channel("session")
    pair.run()
    assert pair.client_events[-1] == ChannelOpened(channel)
    pair.client.connection.send_request(channel, Shell())
    assert pair.client.connection.send_data(channel, b"hello") == 5
    pair.client.connection.send_eof(channel)
    pair.run()
    assert names(pair.server_events)[-3:] == ["AskRequest", "Data", "EofReceived"]
    pair.server.connection.send_data(0, b"world")
    pair.server.connection.send_request(0, ExitStatus(7), want_reply=False)
    pair.server.connection.close_channel(0)
    pair.run()
    assert names(pair.client_events)[-4:] == [
        "RequestAnswered", "Data", "RequestReceived", "ChannelClosed",
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("kex", registry.KEX)
def test_every_kex_and_a_rekey_from_either_side(kex: str) -> None:
    pair = Pair(algorithms=algorithms(kex=kex))
    pair.run()
    pair.client.rekey()
    pair.run()
    pair.server.rekey()
    pair.run()
    for log in (pair.client_events, pair.server_events):
        exchanges = of(log, KexDone)
        assert [e.first for e in exchanges] == [True, False, False]  # type: ignore[attr-defined]
        assert len({e.session_id for e in exchanges}) == 1  # type: ignore[attr-defined]
        assert {e.chosen.kex for e in exchanges} == {kex}  # type: ignore[attr-defined]
    assert len(of(pair.client_events, AskHostKey)) == 1


@pytest.mark.slow
@pytest.mark.parametrize("compression", registry.COMPRESSIONS)
@pytest.mark.parametrize("mac", registry.MACS)
@pytest.mark.parametrize("cipher", registry.CIPHERS)
def test_every_cipher_mac_and_compression(cipher: str, mac: str, compression: str) -> None:
    pair = Pair(algorithms=algorithms(ciphers=cipher, macs=mac, compression=compression))
    pair.run()
    channel = pair.client.connection.open_channel("session")
    pair.run()
    for round_ in range(2):
        data = bytes((round_,)) * 100_000
        assert pair.client.connection.send_data(channel, data) == len(data)
        pair.run()
        got = b"".join(bytes(e.data) for e in of(pair.server_events, Data))  # type: ignore[attr-defined]
        assert got.endswith(data)
        pair.client.rekey()
        pair.run()
    assert pair.client.phase is Phase.CONNECTION


@pytest.mark.parametrize("name", ["rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"])
def test_rsa_host_keys(name: str, rsa: object) -> None:
    both = algorithms(host_key=name)
    pair = Pair(
        client=ClientOptions(user="alice", algorithms=both),
        server=ServerOptions(host_keys=(host_key(), rsa), algorithms=both),  # type: ignore[arg-type]
    )
    pair.run()
    assert of(pair.client_events, KexDone)[0].chosen.host_key == name  # type: ignore[attr-defined]


def test_legacy_algorithms_work_only_when_named() -> None:
    default = algorithms()
    for table, offered in (
        (registry.KEX, default.kex),
        (registry.CIPHERS, default.ciphers),
        (registry.MACS, default.macs),
    ):
        legacy = {n for n, entry in table.items() if entry.tier is Tier.LEGACY}
        assert legacy
        assert not legacy & set(offered)
    assert not {"ssh-rsa", "ssh-dss"} & {*default.host_key, *default.signatures}
    assert "ssh-rsa" in algorithms(profile="legacy").host_key


def test_no_common_algorithm_names_both_lists() -> None:
    pair = Pair(
        client=ClientOptions(user="a", algorithms=algorithms(ciphers="aes128-ctr")),
        server=ServerOptions(host_keys=(host_key(),), algorithms=algorithms(ciphers="aes256-ctr")),
    )
    pair.run()
    error = end(pair.client_events).error
    assert isinstance(error, NoCommonAlgorithm)
    assert (error.kind, error.local, error.remote) == ("cipher", ("aes128-ctr",), ("aes256-ctr",))
    told = end(pair.server_events).error
    assert isinstance(told, NoCommonAlgorithm | Disconnected)


# --- version negotiation ---


def fresh(role: str) -> SSH2Client | SSH2Server:
    if role == "client":
        engine: SSH2Client | SSH2Server = SSH2Client(ClientOptions(user="a"), random=bytes)
    else:
        engine = SSH2Server(ServerOptions(host_keys=(host_key(),)), random=bytes)
    engine.start(0.0)
    engine.take_output()
    return engine


@pytest.mark.parametrize(
    ("role", "line", "fits"),
    [
        ("client", b"SSH-2.0-x", True),
        ("client", b"SSH-1.99-x", True),
        ("client", b"SSH-2.1-x", True),
        ("client", b"SSH-3.0-x", True),
        ("client", b"SSH-1.5-x", False),
        ("client", b"SSH-1.3-x", False),
        ("server", b"SSH-2.0-x", True),
        ("server", b"SSH-1.99-x", True),
        ("server", b"SSH-3.0-x", False),
        ("server", b"SSH-1.5-x", False),
    ],
)
def test_version_rule(role: str, line: bytes, fits: bool) -> None:
    engine = fresh(role)
    engine.receive(line + b"\r\n", 0.0)
    events = engine.take_events()
    if fits:
        assert isinstance(events[0], VersionReceived)
        assert engine.phase is Phase.KEX
        return
    error = end(events).error
    assert isinstance(error, VersionError)
    assert line.decode() in str(error)
    assert b"no SSH version in common" in bytes(engine.take_output())
    assert engine.phase is Phase.CLOSED


def test_a_peer_that_is_not_ssh_is_shown() -> None:
    engine = fresh("client")
    engine.receive(b"login: \x1b[2J", 0.0)
    engine.receive_eof()
    error = end(engine.take_events()).error
    assert isinstance(error, VersionError)
    assert r"login: \x1b[2J" in str(error)


def test_a_peer_that_says_nothing() -> None:
    engine = fresh("client")
    engine.receive_eof()
    error = end(engine.take_events()).error
    assert isinstance(error, ConnectionLost)
    assert "before it sent anything" in str(error)


# --- robustness of the surface ---


def test_channels_only_in_phase_4() -> None:
    pair = Pair()
    with pytest.raises(LocalProtocolError):
        _ = pair.client.connection
    with pytest.raises(LocalProtocolError):
        pair.client.rekey()
    pair.run()
    pair.client.disconnect(DisconnectCode.BY_APPLICATION, "enough")
    pair.run()
    with pytest.raises(LocalProtocolError):
        _ = pair.client.connection
    assert end(pair.client_events).error is None
    told = end(pair.server_events).error
    assert isinstance(told, Disconnected)
    assert (told.code, told.description) == (11, "enough")
    assert not pair.server.wants_input


def test_answers_late_twice_and_wrong() -> None:
    questions: list[Ask] = []

    def later(ask: Ask) -> Answer | None:
        questions.append(ask)
        return None if isinstance(ask, AskPassword) else agreeable(ask)

    pair = Pair(answers_server=later)
    pair.run()
    ask = questions[-1]
    assert isinstance(ask, AskPassword)
    assert not pair.server.wants_input
    with pytest.raises(LocalProtocolError, match="AskPassword takes"):
        pair.server.answer(ask.ask_id, HostKeyRefused(HostKeyUnknown("")))
    with pytest.raises(LocalProtocolError, match="no question"):
        pair.server.answer(999, Granted())
    assert pair.server.answer(ask.ask_id, Granted())
    assert not pair.server.answer(ask.ask_id, Denied())
    pair.run()
    assert pair.client.phase is Phase.CONNECTION
    assert "hunter" not in repr(questions)


def test_while_a_question_blocks_no_packet_is_looked_at() -> None:
    pair = Pair(answers_client=lambda ask: None)
    pair.run()
    ask = of(pair.client_events, AskHostKey)[0]
    assert isinstance(ask, AskHostKey)
    assert not of(pair.client_events, KexDone)
    assert not pair.client.wants_input
    pair.client.answer(ask.ask_id, Granted())
    pair.run()
    assert of(pair.client_events, KexDone)


def test_a_peer_that_sends_on_against_an_open_question_is_cut_off() -> None:
    pair = Pair(
        client=ClientOptions(user="a", limits=Limits(held_input=1000)),
        answers_client=lambda ask: None,
    )
    pair.run()
    pair.client.receive(bytes(2000), 0.0)
    assert isinstance(pair.client.take_events()[-1], ConnectionEnded)


def test_ping_is_announced_and_answered() -> None:
    pair = Pair()
    pair.run()
    for log in (pair.client_events, pair.server_events):
        assert of(log, ExtensionsReceived)[0].extensions["ping@openssh.com"] == b"0"  # type: ignore[attr-defined]
    pair.client.ping(b"are you there")
    pair.run()
    assert pair.client_events[-1] == PongReceived(b"are you there")


def test_the_secret_of_an_exchange_is_told_only_with_the_option() -> None:
    pair = Pair(client=ClientOptions(user="a", trace=True, key_log=True))
    pair.run()
    assert not of(pair.server_events, SecretAgreed)
    seen = of(pair.client_events, MessageSeen)
    (told,) = of(pair.client_events, SecretAgreed)
    assert told.cookie == seen[0].payload[1:17]  # type: ignore[attr-defined]
    pair.client.rekey()
    pair.run()
    one, other = of(pair.client_events, SecretAgreed)
    assert one.secret != other.secret  # type: ignore[attr-defined]
    assert one.cookie != other.cookie  # type: ignore[attr-defined]


def test_trace_shows_every_message() -> None:
    pair = Pair(client=ClientOptions(user="a", trace=True))
    pair.run()
    seen = [(e.direction, e.payload[0]) for e in of(pair.client_events, MessageSeen)]  # type: ignore[attr-defined]
    assert seen == [
        ("out", 20), ("in", 20), ("out", 30), ("in", 31), ("out", 21), ("out", 7), ("in", 21),
        ("out", 5), ("in", 7), ("out", 50), ("in", 6), ("in", 52),
    ]  # fmt: skip


# --- rekeying ---


def test_rekey_by_time() -> None:
    pair = Pair(client=ClientOptions(user="a", limits=Limits(rekey_seconds=60)))
    pair.now = 10.0
    pair.run()
    due = pair.client.next_tick
    assert due == 70.0
    pair.client.tick(69.9)
    pair.run()
    assert len(of(pair.client_events, KexDone)) == 1
    pair.now = 70.0
    pair.client.tick(70.0)
    pair.run()
    assert len(of(pair.client_events, KexDone)) == 2
    assert pair.client.next_tick == 130.0


@pytest.mark.parametrize("limits", [Limits(rekey_bytes=50_000), Limits(rekey_packets=10)])
def test_rekey_by_bytes_and_packets_with_data_in_both_directions(limits: Limits) -> None:
    pair = Pair(client=ClientOptions(user="a", limits=limits))
    pair.run()
    channel = pair.client.connection.open_channel("session")
    pair.run()
    up, down = b"u" * 500_000, b"d" * 500_000
    left = {pair.client: up, pair.server: down}
    while any(left.values()):
        for engine in left:
            sent = engine.connection.send_data(channel, left[engine][:20_000])
            left[engine] = left[engine][sent:]
        pair.run()
    assert b"".join(bytes(e.data) for e in of(pair.server_events, Data)) == up  # type: ignore[attr-defined]
    assert b"".join(bytes(e.data) for e in of(pair.client_events, Data)) == down  # type: ignore[attr-defined]
    assert len(of(pair.client_events, KexDone)) >= 3
    assert pair.client.phase is Phase.CONNECTION


def test_no_data_goes_out_while_a_key_exchange_is_on() -> None:
    pair = Pair()
    pair.run()
    channel = pair.client.connection.open_channel("session")
    pair.run()
    pair.client.rekey()
    assert pair.client.connection.send_data(channel, b"x") == 0
    pair.run()
    assert Writable(channel) in pair.client_events
    assert pair.client.connection.send_data(channel, b"x") == 1


def test_both_sides_may_start_a_rekey_at_once() -> None:
    pair = Pair()
    pair.run()
    pair.client.rekey()
    pair.server.rekey()
    pair.run()
    assert len(of(pair.client_events, KexDone)) == 2
    assert len(of(pair.server_events, KexDone)) == 2


def test_messages_of_the_owner_wait_for_the_exchange_and_are_bounded() -> None:
    pair = Pair(client=ClientOptions(user="a", limits=Limits(kex_held_output=1000)))
    pair.run()
    pair.client.rekey()
    pair.client.connection.send_global_request("one@example.com", want_reply=False)
    with pytest.raises(LocalProtocolError, match="wait for the end of the key exchange"):
        pair.client.connection.send_global_request("two@example.com", bytes(2000))
    pair.run()
    assert "GlobalRequestReceived" in names(pair.server_events)


# --- the same events, however the bytes come ---


def story(pair: Pair) -> tuple[list[str], list[str], bytes, bytes]:
    pair.run()
    channel = pair.client.connection.open_channel("session")
    pair.run()
    pair.client.connection.send_request(channel, Shell())
    pair.client.connection.send_data(channel, b"a" * 70_000)
    pair.run()
    pair.server.rekey()
    pair.run()
    pair.server.connection.send_data(channel, b"b" * 40_000)
    pair.server.connection.send_data(channel, b"c" * 10, 1)
    pair.client.connection.send_eof(channel)
    pair.run()
    pair.server.connection.send_eof(channel)
    pair.server.connection.close_channel(channel)
    pair.run()
    return (
        names(pair.client_events),
        names(pair.server_events),
        b"".join(bytes(e.data) for e in of(pair.server_events, Data)),  # type: ignore[attr-defined]
        b"".join(bytes(e.data) for e in of(pair.client_events, Data)),  # type: ignore[attr-defined]
    )


@pytest.fixture(scope="module")
def plain_story() -> tuple[list[str], list[str], bytes, bytes]:
    return story(Pair())


def test_one_byte_at_a_time(plain_story: object) -> None:
    assert story(Pair(split=one_by_one)) == plain_story


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(sizes=st.lists(st.integers(1, 5000), min_size=1, max_size=20))
def test_any_split(sizes: list[int], plain_story: object) -> None:
    def split(data: bytes) -> list[bytes]:
        parts, start, turn = [], 0, 0
        while start < len(data):
            size = sizes[turn % len(sizes)]
            parts.append(data[start : start + size])
            start, turn = start + size, turn + 1
        return parts

    assert story(Pair(split=split)) == plain_story


class Noisy(Pair):
    """A pair whose ends send IGNORE and DEBUG between any two messages, where it is legal."""

    def __init__(self, noise: list[bytes]) -> None:
        super().__init__()
        for engine in (self.client, self.server):
            outbox = engine._outbox  # type: ignore[attr-defined]
            outbox.send_parts = self._noisy(engine, outbox.send_parts, iter(noise * 200))

    @staticmethod
    def _noisy(engine, send, noise):
        def send_parts(head: bytes, body: bytes) -> None:
            # In strict kex noise during the first exchange is an attack; before KEXINIT as well.
            if engine.phase >= Phase.AUTHENTICATION and (message := next(noise)):
                send(message, b"")
            send(head, body)

        return send_parts


@settings(max_examples=25, deadline=None)
@given(
    noise=st.lists(
        st.sampled_from([b"", b"\x02\0\0\0\x03abc", b"\x04\x01\0\0\0\2hi\0\0\0\0"]),
        min_size=1,
        max_size=12,
    )
)
def test_ignore_and_debug_between_any_two_packets(
    noise: list[bytes], plain_story: tuple[list[str], list[str], bytes, bytes]
) -> None:
    client, server, up, down = story(Noisy(noise))

    def quiet(log: list[str]) -> list[str]:
        return [name for name in log if name != "DebugReceived"]

    assert (quiet(client), quiet(server), up, down) == plain_story


ACTIONS = st.sampled_from(
    [
        "open",
        "c data",
        "s data",
        "c eof",
        "s eof",
        "c close",
        "s close",
        "c rekey",
        "s rekey",
        "carry",
    ]
)


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(st.lists(ACTIONS, max_size=40))
def test_any_order_of_rekeys_and_closes(actions: list[str]) -> None:
    pair = Pair()
    pair.run()
    for action in actions:
        who, _, what = action.rpartition(" ")
        engine = pair.server if who == "s" else pair.client
        try:
            if what == "open":
                pair.client.connection.open_channel("session")
            elif what == "data":
                engine.connection.send_data(0, b"x" * 40_000)
            elif what == "eof":
                engine.connection.send_eof(0)
            elif what == "close":
                engine.connection.close_channel(0)
            elif what == "rekey":
                engine.rekey()
            else:
                pair.run()
        except LocalProtocolError:
            pass
    pair.run()
    assert pair.client.phase is pair.server.phase is Phase.CONNECTION
    opened = len(of(pair.server_events, AskOpen))
    assert len(of(pair.client_events, ChannelOpened)) <= opened
    assert len(of(pair.client_events, ChannelClosed)) <= opened
    assert len(of(pair.client_events, ChannelClosed)) == len(of(pair.server_events, ChannelClosed))
    assert len(of(pair.client_events, KexDone)) == len(of(pair.server_events, KexDone))
    for log in (pair.client_events, pair.server_events):
        assert len(of(log, EofReceived)) <= opened


@settings(max_examples=60, deadline=None)
@given(junk=st.binary(max_size=300), after=st.integers(0, 6000))
def test_junk_ends_in_a_protocol_error_and_nothing_else(junk: bytes, after: int) -> None:
    pair = Pair()
    left: int | None = after

    def split(data: bytes) -> list[bytes]:
        nonlocal left
        if left is None:
            return []
        if left > len(data):
            left -= len(data)
            return [data]
        cut, left = left, None
        return [data[:cut], junk]

    pair.split = split
    pair.run()
    for log in (pair.client_events, pair.server_events):
        ended = of(log, ConnectionEnded)
        assert len(ended) <= 1
        for event in ended:
            error = event.error  # type: ignore[attr-defined]
            assert isinstance(error, RemoteProtocolError | ConnectionLost)


def test_what_was_chosen_is_reported_with_both_proposals() -> None:
    pair = Pair()
    pair.run()
    ours = of(pair.client_events, AlgorithmsChosen)[0]
    assert ours == of(pair.server_events, AlgorithmsChosen)[0]
    assert ours.chosen.kex == "mlkem768x25519-sha256"  # type: ignore[attr-defined]
    assert ours.chosen.strict  # type: ignore[attr-defined]
    assert of(pair.server_events, Authenticated) == [Authenticated("alice", ("password",))]


# --- portions ---


def pings(pair: Pair, number: int) -> bytes:
    """Return so many PINGs of the client."""
    outbox = inside(pair.client)._outbox
    for count in range(number):
        outbox.send_parts(Ping(str(count).encode()).encode(), b"")
    return bytes(pair.client.take_output())


def pongs(pair: Pair) -> list[bytes]:
    """Take what the server sends, and return the data of its PONGs."""
    inbox = inside(pair.client)._inbox
    inbox.feed(bytes(pair.server.take_output()))
    found = []
    while (payload := inbox.next()) is not None:
        found.append(bytes(Pong.decode(payload).data))
    inbox.keep()
    return found


@pytest.mark.parametrize("whole", [True, False])
def test_a_call_handles_as_many_messages_as_it_may(whole: bool) -> None:
    pair = Pair()
    pair.run()
    data, answered = pings(pair, 100), list[bytes]()
    assert pair.server.receive(b"", 0.0, most=32) == 0
    assert not pair.server.behind
    for number in (32, 32, 32, 4):
        left = pair.server.receive(data, 0.0, whole=whole, most=32)
        assert bool(left) == (whole and number == 32)
        assert pair.server.behind == (number == 32)
        data = data[len(data) - left :]
        found = pongs(pair)
        assert len(found) == number
        answered += found
    assert answered == [str(count).encode() for count in range(100)]
    assert not pair.server.behind


def test_an_answer_goes_on_with_as_many_messages_and_no_question_leaves_it_behind() -> None:
    def undecided(ask: Ask) -> Answer | None:
        return None if isinstance(ask, AskUser) else agreeable(ask)

    pair = Pair(answers_server=undecided)
    pair.run()
    (ask,) = [event for event in pair.server_events if isinstance(event, AskUser)]
    pair.server.receive(pings(pair, 40), 0.0, most=16)
    assert not pair.server.behind, "it waits for the answer"
    pair.server.answer(ask.ask_id, UserRequirement((frozenset({"password"}),)))
    (asked,) = [event for event in pair.server.take_events() if isinstance(event, AskPassword)]
    pair.server.answer(asked.ask_id, Granted())
    assert pair.server.behind
    counts = []
    while pair.server.behind:
        pair.server.receive(b"", 0.0, most=16)
        counts.append(pair.server.output_size)
    assert len(counts) == 2
    pair.server.disconnect(DisconnectCode.BY_APPLICATION, "")
    assert not pair.server.behind
