"""Floods: whatever a peer sends without end, memory stays within bounds."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import pytest

from attacks.links import Crooked, error, inside, log_of, of, refused, say
from nacre.errors import (
    DisconnectCode,
    Disconnected,
    MalformedMessage,
    PacketTooLarge,
    RemoteProtocolError,
)
from nacre.limits import KIB, MIB, Limits
from nacre.protocol.asks import (
    Answer,
    Ask,
    AskAuthentication,
    AskGlobalRequest,
    AskOpen,
    AskPassword,
    AskPublicKey,
    AskRequest,
    AskUser,
    Denied,
    Granted,
    OpenRefused,
    TryKeyboardInteractive,
    TryNone,
    TryPassword,
    UserRequirement,
)
from nacre.protocol.events import ChannelOpened, ConnectionEnded, KexDone
from nacre.protocol.options import ServerOptions
from nacre.protocol.phases import Phase, Role
from nacre.protocol.requests import Env
from nacre.ssh2.auth.messages import InfoRequest, PublicKeyQuery, UserauthRequest
from nacre.ssh2.connection.messages import ChannelOpen, ChannelRequest, GlobalRequest
from nacre.ssh2.transport.messages import Debug, ExtInfo, Ignore, KexInit, Ping
from nacre.testing import Pair, agreeable, host_key

EITHER = pytest.mark.parametrize("role", list(Role))


def peak_of(flood: Callable[[], None]) -> int:
    tracemalloc.start()
    try:
        flood()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def pour(pair: Pair, role: Role, payload: bytes, rounds: int = 10, each: int = 20) -> None:
    """Let one end say the same again and again, and read nothing; the other's owner says no."""
    crooked, victim = (pair.client, pair.server)[:: 1 if role is Role.CLIENT else -1]
    outbox = inside(crooked)._outbox
    for _ in range(rounds):
        for _ in range(each):
            outbox.send_parts(payload, b"")
        victim.receive(bytes(crooked.take_output()), 0.0)
        pair._settle(victim, [])
        victim.take_output()


@pytest.mark.slow
@EITHER
@pytest.mark.parametrize(
    "payload",
    [
        Ignore(bytes(32 * KIB)).encode(),
        Debug(True, "x" * 32 * KIB, "").encode(),
        Debug(False, "\x1b" * 32 * KIB, "").encode(),
        Ping(bytes(32 * KIB)).encode(),
        b"\xc8" + bytes(32 * KIB),
        GlobalRequest("x@example.com", False, bytes(32 * KIB)).encode(),
        GlobalRequest("keepalive@openssh.com", True, bytes(32 * KIB)).encode(),
        ChannelOpen("session", 0, 0, 1, b"").encode(),
        ChannelOpen("nobody@example.com", 0, 0, 1, bytes(32 * KIB)).encode(),
    ],
    ids=["ignore", "debug", "escapes", "ping", "unknown", "global", "keepalive", "open", "x-open"],
)
def test_messages_without_end(role: Role, payload: bytes) -> None:
    """6 MiB of anything: at most what one portion takes is held at a time."""
    refuses = Pair(answers_client=closed, answers_server=closed)
    refuses.run()
    assert peak_of(lambda: pour(refuses, role, payload)) < 4 * MIB
    assert refuses.client.phase is refuses.server.phase is Phase.CONNECTION


def test_debug_without_end_costs_little() -> None:
    """Making text safe stops at its bound, however long the text is."""
    pair = Pair()
    pair.run()
    message = Debug(True, "\x1b" * 200_000, "").encode()
    inside(pair.client)._outbox.send_parts(message, b"")
    pair.server.receive(bytes(pair.client.take_output()), 0.0)
    (event,) = pair.server.take_events()
    assert len(repr(event)) < 10_000


def closed(ask: Ask) -> Answer | None:
    """Log in, and refuse all that follows."""
    match ask:
        case AskOpen():
            return OpenRefused()
        case AskRequest() | AskGlobalRequest():
            return Denied()
    return agreeable(ask)


def test_ignore_before_the_first_key_exchange() -> None:
    """Legal where kex is not strict, and as harmless as anywhere."""
    pair = Pair()
    server = pair.server
    server.receive(b"SSH-2.0-x\r\n", 0.0)
    crooked = inside(pair.client)._outbox
    crooked.take()

    def flood() -> None:
        for _ in range(200):
            crooked.send_parts(b"\x02", (100 * KIB).to_bytes(4, "big") + bytes(100 * KIB))
            server.receive(bytes(crooked.take()), 0.0)

    assert peak_of(flood) < 4 * MIB
    assert server.phase is Phase.KEX


def test_opens_by_the_thousand_are_refused_one_by_one() -> None:
    """MaxSessions, and a bound on channels of every type."""
    pair = Pair()
    pair.run()
    for number in range(3000):
        inside(pair.client)._outbox.send_parts(
            ChannelOpen("session", number, 1 << 21, 1 << 15, b"").encode(), b""
        )
    output = bytes(pair.client.take_output())
    pair.server.receive(output, 0.0)
    pair._settle(pair.server, pair.server_events)
    assert len(of(pair.server_events, ChannelOpened)) == Limits().sessions
    assert len(inside(pair.server)._mux.channels) == Limits().sessions


def test_undecided_opens_are_bounded() -> None:
    """An owner that is slow to answer must not be buried."""

    def undecided(ask: Ask) -> Answer | None:
        return None if isinstance(ask, AskOpen) else agreeable(ask)

    pair = Pair(answers_server=undecided)
    pair.run()
    for number in range(3000):
        say(pair, pair.client, ChannelOpen("direct-tcpip", number, 1, 1, b"").encode())
        if pair.client.phase is Phase.CLOSED:
            break
    assert len(of(pair.server_events, AskOpen)) <= Limits().channels


@pytest.mark.parametrize("scope", ["global", "channel"])
def test_undecided_requests_are_bounded(scope: str) -> None:
    def undecided(ask: Ask) -> Answer | None:
        return None if isinstance(ask, AskRequest | AskGlobalRequest) else agreeable(ask)

    pair = Pair(answers_server=undecided)
    pair.run()
    pair.client.connection.open_channel("session")
    pair.run()
    payload = {
        "global": GlobalRequest("x@example.com", True, b"").encode(),
        "channel": ChannelRequest(0, "x@example.com", False, b"").encode(),
    }[scope]
    say(pair, pair.client, *[payload] * 300)
    refused(pair, pair.server, RemoteProtocolError, "wait for their answers")
    assert len(of(pair.server_events, AskRequest)) <= Limits().channel_requests
    assert len(of(pair.server_events, AskGlobalRequest)) <= Limits().channel_requests


@pytest.mark.parametrize("value", ["", "x" * 60_000])
def test_environment_variables_without_end(value: str) -> None:
    pair = Pair()
    pair.run()
    pair.client.connection.open_channel("session")
    pair.run()
    for number in range(600):
        fields = Env(f"N{number}", value).encode()
        say(pair, pair.client, ChannelRequest(0, "env", False, fields).encode())
    asked = of(pair.server_events, AskRequest)
    assert len(asked) == (Limits().environment if not value else 2)


@pytest.mark.slow
@EITHER
@pytest.mark.parametrize(
    "payload",
    [
        Ping(bytes(32 * KIB)).encode(),
        GlobalRequest("keepalive@openssh.com", True, b"").encode(),
        ChannelOpen("x" * 200, 0, 0, 1, b"").encode(),
    ],
    ids=["ping", "global", "open"],
)
def test_replies_during_a_key_exchange_that_the_peer_never_ends(role: Role, payload: bytes) -> None:
    """What an exchange holds back is bounded, and overrunning it is the peer's fault."""
    pair = Pair()
    pair.run()
    victim, crooked = (
        (pair.server, pair.client) if role is Role.CLIENT else (pair.client, pair.server)
    )
    victim.rekey()
    outbox = inside(crooked)._outbox

    def flood() -> None:
        for _ in range(120):
            for _ in range(200 if len(payload) < KIB else 5):
                outbox.send_parts(payload, b"")
            victim.receive(bytes(outbox.take()), 0.0)
            for event in victim.take_events():
                if isinstance(event, AskOpen):
                    victim.answer(event.ask_id, closed(event))  # type: ignore[arg-type]
                if isinstance(event, ConnectionEnded):
                    assert type(event.error) is RemoteProtocolError
            if victim.phase is Phase.CLOSED:
                return
        raise AssertionError("nothing bounds it")

    assert peak_of(flood) < 8 * MIB


# --- proposals ---


@pytest.mark.slow
@EITHER
@pytest.mark.parametrize("names", [600, 100_000])
def test_proposals_with_many_names(role: Role, names: int) -> None:
    """Negotiation compares every name with every name."""

    def says(payload: bytes) -> list[bytes]:
        if payload[0] != 20:
            return [payload]
        init = KexInit.decode(payload)
        fields = [getattr(init, name) for name in KexInit.FIELDS]
        fields[1] = tuple(["a"] * names) + fields[1]
        return [KexInit(*fields).encode()]

    pair = Crooked(**{f"{role.value}_says": says})
    peak = peak_of(pair.run)
    assert peak < 8 * MIB
    refused(
        pair,
        pair.server if role is Role.CLIENT else pair.client,
        RemoteProtocolError,
        "more than 512 names",
    )


@EITHER
def test_proposals_with_long_names(role: Role) -> None:
    """A name has 64 characters at most (RFC 4251 section 6); ours is not printed back whole."""

    def says(payload: bytes) -> list[bytes]:
        if payload[0] != 20:
            return [payload]
        init = KexInit.decode(payload)
        fields = [getattr(init, name) for name in KexInit.FIELDS]
        fields[3] = fields[4] = ("x" * 100_000,)
        return [KexInit(*fields).encode()]

    pair = Crooked(**{f"{role.value}_says": says})
    pair.run()
    found = error(pair.server_events if role is Role.CLIENT else pair.client_events)
    assert len(str(found)) < 2000


def test_proposals_are_not_kept() -> None:
    """A KEXINIT may have 200 KiB of languages; an idle connection must not go on holding them."""

    def says(payload: bytes) -> list[bytes]:
        if payload[0] != 20:
            return [payload]
        init = KexInit.decode(payload)
        fields = [getattr(init, name) for name in KexInit.FIELDS]
        fields[9] = ("x" * 200 * KIB,)
        made = KexInit(*fields)
        proposal, _ = inside(pair.client)._kex._ours
        inside(pair.client)._kex._ours = proposal, made.encode()
        return [made.encode()]

    pair = Crooked(client_says=says)
    tracemalloc.start()
    try:
        pair.run()
        pair.server_events.clear()
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert pair.server.phase is Phase.CONNECTION
    assert held < 200 * KIB < peak


@EITHER
def test_key_exchanges_without_end_before_authentication(role: Role) -> None:
    """D(HE)at, CVE-2002-20001: a stranger has the other side compute, and does nothing himself."""
    pair = Pair(
        answers_client=lambda ask: None if isinstance(ask, AskAuthentication) else agreeable(ask),
        answers_server=lambda ask: None if isinstance(ask, AskUser) else agreeable(ask),
    )
    pair.run()
    crooked, victim = (pair.client, pair.server)[:: 1 if role is Role.CLIENT else -1]
    if role is Role.SERVER:
        # The client waits for an answer to its request; else its own question would stop it.
        (ask,) = of(pair.client_events, AskAuthentication)
        pair.client.answer(ask.ask_id, TryNone())
        pair.run()
    inside(crooked)._asks.withdraw_all()
    for _ in range(10):
        if crooked.phase is Phase.AUTHENTICATION:
            inside(crooked)._kex._exchanges_left = 9
            inside(crooked)._kex.begin()
            pair.run()
    refused(pair, victim, RemoteProtocolError, "too many key exchanges before authentication")
    assert len(of(log_of(pair, victim), KexDone)) == Limits().kex_unauthenticated


@EITHER
def test_extensions_without_end(role: Role) -> None:
    def says(payload: bytes) -> list[bytes]:
        if payload[0] != 7:
            return [payload]
        return [ExtInfo({f"x{n}@example.com": b"" for n in range(65)}).encode()]

    pair = Crooked(**{f"{role.value}_says": says})
    pair.run()
    victim = pair.server if role is Role.CLIENT else pair.client
    refused(pair, victim, MalformedMessage, "65 extensions")


def test_an_extension_count_that_is_a_lie() -> None:
    pair = Crooked(server_says=lambda p: [b"\x07\xff\xff\xff\xff"] if p[0] == 7 else [p])
    pair.run()
    refused(pair, pair.client, MalformedMessage)


# --- authentication ---


def trying(payload: bytes) -> Pair:
    """Return a pair whose client says ``payload`` again and again instead of logging in."""
    pair = Pair(
        answers_client=lambda ask: None if isinstance(ask, AskAuthentication) else agreeable(ask)
    )
    pair.run()
    for _ in range(200):
        if pair.server.phase is not Phase.CLOSED:
            inside(pair.client)._outbox.send_parts(payload, b"")
            pair.server.receive(bytes(pair.client.take_output()), 0.0)
            pair._settle(pair.server, pair.server_events)
            pair.server.take_output()
    return pair


def test_queries_for_keys_without_end() -> None:
    """A query that is answered with yes is no failure, so the bound on requests must end it."""
    blob = host_key().public.blob
    fields = PublicKeyQuery(False, "ssh-ed25519", blob).encode()

    def answers(ask: Ask) -> Answer | None:
        if isinstance(ask, AskUser):
            return UserRequirement((frozenset({"publickey"}),))
        return Granted() if isinstance(ask, AskPublicKey) else agreeable(ask)

    pair = Pair(
        answers_client=lambda ask: None if isinstance(ask, AskAuthentication) else agreeable(ask),
        answers_server=answers,
    )
    pair.run()
    request = UserauthRequest("alice", "ssh-connection", "publickey", fields).encode()
    say(pair, pair.client, *[request] * 200)
    refused(pair, pair.server, RemoteProtocolError, "too many authentication requests")
    assert len(of(pair.server_events, AskPublicKey)) == Limits().auth_requests


def test_users_without_end() -> None:
    """Each change of the user asks the policy; failures count for the connection, not the user."""
    pair = Pair(
        answers_client=lambda ask: (
            TryNone() if isinstance(ask, AskAuthentication) else agreeable(ask)
        )
    )
    turn = iter(range(1000))
    outbox = inside(pair.client)._outbox
    send = outbox.send_parts

    def other_users(head: bytes, body: bytes) -> None:
        if head[0] == 50:
            head = UserauthRequest(f"u{next(turn)}", "ssh-connection", "none", b"").encode()
        send(head, body)

    outbox.send_parts = other_users
    pair.run()
    refused(pair, pair.server, RemoteProtocolError, "too many authentication failures")
    told = error(pair.client_events)
    assert isinstance(told, Disconnected)
    assert told.code == DisconnectCode.NO_MORE_AUTH_METHODS_AVAILABLE


@pytest.mark.parametrize(
    ("payload", "kind"),
    [
        (UserauthRequest("x" * 2000, "ssh-connection", "none", b"").encode(), PacketTooLarge),
        (UserauthRequest("a", "ssh-connection", "password", b"").encode(), MalformedMessage),
    ],
)
def test_names_of_users_are_bounded(payload: bytes, kind: type[RemoteProtocolError]) -> None:
    pair = trying(payload)
    assert type(error(pair.server_events)) is kind


def test_the_seventh_guess_never_happens() -> None:
    """MaxAuthTries: six failures, then the connection ends."""
    guesses = (TryPassword(f"guess {n}") for n in range(100))

    def guess(ask: Ask) -> Answer | None:
        return next(guesses) if isinstance(ask, AskAuthentication) else agreeable(ask)

    pair = Pair(answers_client=guess)
    pair.run()
    assert len(of(pair.server_events, AskPassword)) == 6
    refused(pair, pair.server, RemoteProtocolError, "too many authentication failures")


@pytest.mark.parametrize("count", [33, 1 << 31, (1 << 32) - 1])
def test_prompts_without_end(count: int) -> None:
    """A count is checked before it is used."""

    def answers(ask: Ask) -> Answer | None:
        return TryKeyboardInteractive() if isinstance(ask, AskAuthentication) else agreeable(ask)

    def says(payload: bytes) -> list[bytes]:
        if payload[0] == 51:
            return [InfoRequest("", "", "", count, b"\0\0\0\0\0" * 33).encode()]
        return [payload]

    pair = Crooked(answers_client=answers, server_says=says)
    pair.run()
    refused(pair, pair.client, RemoteProtocolError, "prompts in one round; at most")


def test_held_input_is_bounded_while_a_question_is_open() -> None:
    """A policy that takes its time is no reason to buffer."""
    pair = Pair(
        server=ServerOptions(host_keys=(host_key(),)),
        answers_server=lambda ask: None if isinstance(ask, AskPassword) else agreeable(ask),
    )
    pair.run()

    def flood() -> None:
        for _ in range(100):
            pair.server.receive(bytes(64 * KIB), 0.0)

    assert peak_of(flood) < 8 * MIB
    pair.run()
    refused(pair, pair.server, RemoteProtocolError, "sends too much while it has to wait")
