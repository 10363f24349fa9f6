"""Messages out of their turn: what skips a step must end the connection."""

from __future__ import annotations

from dataclasses import replace

import pytest

from attacks.links import Crooked, Middle, error, inject_before, inside, of, refused, say
from nacre.errors import DisconnectCode, Disconnected, RemoteProtocolError
from nacre.protocol.asks import (
    Answer,
    Ask,
    AskAuthentication,
    AskOpen,
    AskPassword,
    AskRequest,
    AskUser,
    Denied,
    TryPublicKey,
)
from nacre.protocol.events import (
    Authenticated,
    AuthResult,
    ChannelOpened,
    Event,
    GlobalRequestReceived,
    KexDone,
)
from nacre.protocol.phases import Phase, Role
from nacre.protocol.requests import Exec
from nacre.ssh2.auth.messages import UserauthFailure, UserauthRequest, UserauthSuccess
from nacre.ssh2.connection.messages import ChannelOpen, ChannelRequest, GlobalRequest
from nacre.ssh2.transport import negotiate
from nacre.ssh2.transport.messages import ExtInfo, NewKeys, ServiceAccept, ServiceRequest
from nacre.testing import Pair, agreeable, host_key
from nacre.wire.message import Message

OPEN = ChannelOpen("session", 0, 1 << 20, 1 << 15, b"").encode()
EXEC = ChannelRequest(0, "exec", True, Exec(b"touch /tmp/owned").encode()).encode()
LATE = (AskOpen, AskRequest, ChannelOpened, GlobalRequestReceived)


def idle(ask: Ask) -> Answer | None:
    """Trust the host, and leave open how to log in."""
    return None if isinstance(ask, AskAuthentication) else agreeable(ask)


def unauthenticated() -> Pair:
    """Return a pair that has keys, and whose client waits to be told what to try."""
    pair = Pair(answers_client=idle)
    pair.run()
    assert pair.server.phase is Phase.AUTHENTICATION
    return pair


def nothing_happened(events: list[Event]) -> None:
    assert not of(events, Authenticated)
    assert not [event for event in events if isinstance(event, LATE)]


def test_libssh_userauth_success_from_a_client() -> None:
    """CVE-2018-10933: a server took the message that only a server sends, and let everybody in."""
    pair = unauthenticated()
    say(pair, pair.client, UserauthSuccess().encode(), OPEN, EXEC)
    refused(pair, pair.server, RemoteProtocolError, "USERAUTH_SUCCESS")
    nothing_happened(pair.server_events)


@pytest.mark.parametrize(
    "messages",
    [
        (OPEN,),
        (OPEN, EXEC),
        (EXEC,),
        (GlobalRequest("tcpip-forward", True, b"").encode(),),
        (b"\x5e\0\0\0\0\0\0\0\1x",),
    ],
)
def test_erlang_channels_before_authentication(messages: tuple[bytes, ...]) -> None:
    """CVE-2025-32433 (Erlang), CVE-2018-7750 (Paramiko), CVE-2018-7749 (AsyncSSH)."""
    pair = unauthenticated()
    say(pair, pair.client, *messages)
    refused(pair, pair.server, RemoteProtocolError, "not legal")
    nothing_happened(pair.server_events)


def test_channels_while_a_password_is_being_checked() -> None:
    """What is sent behind the request is not looked at before the answer; a no ends it."""
    pair = Pair(answers_server=lambda ask: None if isinstance(ask, AskPassword) else agreeable(ask))
    pair.run()
    say(pair, pair.client, OPEN, EXEC)
    nothing_happened(pair.server_events)
    (ask,) = of(pair.server_events, AskPassword)
    pair.server.answer(ask.ask_id, Denied())
    pair.run()
    refused(pair, pair.server, RemoteProtocolError, "not legal")
    nothing_happened(pair.server_events)


@pytest.mark.parametrize("role", list(Role))
def test_newkeys_before_there_are_keys(role: Role) -> None:
    """Whoever skips the exchange would go on without a cipher."""
    number = 30 if role is Role.CLIENT else 31
    pair = Middle(inject_before(role, number, NewKeys().encode()))
    pair.run()
    refused(
        pair, pair.server if role is Role.CLIENT else pair.client, RemoteProtocolError, "NEWKEYS"
    )
    assert not of(pair.server_events, KexDone)


@pytest.mark.parametrize("role", list(Role))
def test_kexinit_twice(role: Role) -> None:
    """A second KEXINIT inside an exchange would swap what is about to be signed."""

    def says(payload: bytes) -> list[bytes]:
        return [payload, payload] if payload[0] == 20 else [payload]

    pair = Crooked(**{f"{role.value}_says": says})
    pair.run()
    refused(
        pair, pair.server if role is Role.CLIENT else pair.client, RemoteProtocolError, "KEXINIT"
    )


@pytest.mark.parametrize("role", list(Role))
def test_kexinit_before_the_peer_s_newkeys(role: Role) -> None:
    """An exchange is over when both NEWKEYS have come (RFC 4253 section 9)."""

    def says(payload: bytes) -> list[bytes]:
        return [inside(engine)._kex._ours[1]] if payload[0] == 21 else [payload]

    pair = Crooked(**{f"{role.value}_says": says})
    engine = pair.client if role is Role.CLIENT else pair.server
    pair.run()
    other = pair.server if role is Role.CLIENT else pair.client
    refused(pair, other, RemoteProtocolError, "KEXINIT")


@pytest.mark.parametrize("service", ["ssh-connection", "", "ssh-userauth\0", "x" * 100_000])
def test_no_service_but_authentication(service: str) -> None:
    """A client that asks for ``ssh-connection`` at once wants to skip phase 3."""

    def says(payload: bytes) -> list[bytes]:
        return [ServiceRequest(service).encode(), OPEN] if payload[0] == 5 else [payload]

    pair = Crooked(client_says=says)
    pair.run()
    refused(pair, pair.server, RemoteProtocolError, "is not available before authentication")
    told = error(pair.client_events)
    assert isinstance(told, Disconnected)
    assert told.code == DisconnectCode.SERVICE_NOT_AVAILABLE
    nothing_happened(pair.server_events)


def test_a_second_service_request() -> None:
    """It is accepted again (Paramiko); authentication and its failures are not begun anew."""
    pair = unauthenticated()
    inside(pair.client)._outbox.send_parts(ServiceRequest("ssh-userauth").encode(), b"")
    auth = inside(pair.server)._auth
    pair.server.receive(bytes(pair.client.take_output()), 0.0)
    assert inside(pair.server)._auth is auth
    assert pair.server.phase is Phase.AUTHENTICATION
    assert pair.server.output_size
    nothing_happened(pair.server_events)


def test_authentication_before_the_service_was_asked_for() -> None:
    request = UserauthRequest("alice", "ssh-connection", "none", b"").encode()

    def says(payload: bytes) -> list[bytes]:
        return [request] if payload[0] == 5 else [payload]

    pair = Crooked(client_says=says)
    pair.run()
    refused(pair, pair.server, RemoteProtocolError, "USERAUTH_REQUEST")
    assert not of(pair.server_events, AskUser)


def test_authentication_for_another_service() -> None:
    """RFC 4252 section 5: the service is the one that starts; only the connection is there."""
    pair = unauthenticated()
    say(pair, pair.client, UserauthRequest("alice", "ssh-userauth", "none", b"").encode())
    refused(
        pair,
        pair.server,
        RemoteProtocolError,
        "the service ssh-userauth is not available to log in to",
    )
    assert not of(pair.server_events, AuthResult)


def test_the_service_accepted_is_the_one_asked_for() -> None:
    def says(payload: bytes) -> list[bytes]:
        return [ServiceAccept("ssh-connection").encode()] if payload[0] == 6 else [payload]

    pair = Crooked(server_says=says)
    pair.run()
    refused(pair, pair.client, RemoteProtocolError, "not asked for")


@pytest.mark.parametrize("number", [51, 52, 53, 60, 61])
def test_answers_to_authentication_that_did_not_begin(number: int) -> None:
    """A server that says SUCCESS at once would have the client skip its own checks."""

    def says(payload: bytes) -> list[bytes]:
        return [bytes((number,))] if payload[0] == 6 else [payload]

    pair = Crooked(server_says=says)
    pair.run()
    refused(pair, pair.client, RemoteProtocolError, "not legal")
    nothing_happened(pair.client_events)


def test_a_key_is_not_let_in_by_its_offer_alone() -> None:
    """RFC 4252 section 7: SUCCESS does not answer a query, or nobody would have to sign."""

    def offers(ask: Ask) -> Answer | None:
        if isinstance(ask, AskAuthentication):
            return TryPublicKey(host_key().public, ("ssh-ed25519",))
        return agreeable(ask)

    def says(payload: bytes) -> list[bytes]:
        return [UserauthSuccess().encode()] if payload[0] in {51, 60} else [payload]

    pair = Crooked(answers_client=offers, server_says=says)
    pair.run()
    refused(pair, pair.client, RemoteProtocolError, "USERAUTH_SUCCESS")
    nothing_happened(pair.client_events)


# --- AsyncSSH's: what somebody in the middle puts before NEWKEYS stays in the session ---


def without_strict_kex(monkeypatch: pytest.MonkeyPatch) -> None:
    made = negotiate.negotiate

    def loose(*args):
        return replace(made(*args), strict=False)

    monkeypatch.setattr(negotiate, "negotiate", loose)


@pytest.mark.parametrize("role", list(Role))
def test_rogue_extension_negotiation(role: Role, monkeypatch: pytest.MonkeyPatch) -> None:
    """CVE-2023-46445: an EXT_INFO that is not encrypted, even where kex is not strict."""
    without_strict_kex(monkeypatch)
    rogue = ExtInfo({"server-sig-algs": b"ssh-rsa"}).encode()
    pair = Middle(inject_before(role, 21, rogue))
    pair.run()
    other = pair.server if role is Role.CLIENT else pair.client
    refused(pair, other, RemoteProtocolError, "EXT_INFO")


@pytest.mark.parametrize("number", [5, 50])
def test_rogue_session(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """CVE-2023-46446: a request to log in as the attacker, put before the client's NEWKEYS."""
    without_strict_kex(monkeypatch)
    rogue = {
        5: ServiceRequest("ssh-userauth").encode(),
        50: UserauthRequest("mallory", "ssh-connection", "none", b"").encode(),
    }[number]
    pair = Middle(inject_before(Role.CLIENT, 21, rogue))
    pair.run()
    refused(pair, pair.server, RemoteProtocolError, "not legal")
    assert not of(pair.server_events, AskUser)


@pytest.mark.parametrize("role", list(Role))
def test_ext_info_after_authentication(role: Role) -> None:
    """RFC 8308 section 2.4 does not have it there, but some send it behind each NEWKEYS."""
    pair = Pair()
    pair.run()
    engine = pair.client if role is Role.CLIENT else pair.server
    say(pair, engine, ExtInfo({"server-sig-algs": b"ssh-rsa"}).encode())
    assert pair.client.phase is pair.server.phase is Phase.CONNECTION


def test_ext_info_without_end() -> None:
    """More than RFC 8308 section 2.4 has are taken, and change nothing but what they name."""

    def says(payload: bytes) -> list[bytes]:
        return [payload] * 3 if payload[0] == 7 else [payload]

    pair = Crooked(server_says=says)
    pair.run()
    assert pair.client.phase is pair.server.phase is Phase.CONNECTION
    pair = Crooked(client_says=says)
    pair.run()
    assert pair.client.phase is pair.server.phase is Phase.CONNECTION


def test_requests_to_log_in_as_somebody_else_after_success() -> None:
    """RFC 4252 section 5.1: they are ignored; the user stays who they are."""
    pair = Pair()
    pair.run()
    asked = len(of(pair.server_events, AskUser))
    request = UserauthRequest("root", "ssh-connection", "none", b"").encode()
    say(pair, pair.client, request, request)
    assert pair.server.phase is Phase.CONNECTION
    assert len(of(pair.server_events, AskUser)) == asked
    assert [event.user for event in of(pair.server_events, Authenticated)] == ["alice"]


@pytest.mark.parametrize("early", [UserauthSuccess(), UserauthFailure(("none",), False)])
def test_an_answer_to_the_request_that_did_not_wait_for_the_service(early: Message) -> None:
    """The client's first request leaves before SERVICE_ACCEPT came; its answer may not."""

    def says(payload: bytes) -> list[bytes]:
        return [early.encode(), payload] if payload[0] == 6 else [payload]

    pair = Crooked(server_says=says)
    pair.run()
    refused(pair, pair.client, RemoteProtocolError, "is not legal while waiting for a service")
