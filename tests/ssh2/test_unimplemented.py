"""UNIMPLEMENTED (RFC 4253 section 11.4) settles whatever was sent under its sequence number."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nacre.errors import RemoteProtocolError
from nacre.protocol.asks import (
    Answer,
    Ask,
    AskAuthentication,
    AskUser,
    TryKeyboardInteractive,
    TryNone,
    TryPassword,
    UserRequirement,
)
from nacre.protocol.events import (
    AuthResult,
    ChannelRefused,
    ConnectionEnded,
    Event,
    GlobalRequestAnswered,
    PongReceived,
    RequestAnswered,
)
from nacre.protocol.phases import Phase
from nacre.protocol.requests import Shell
from nacre.ssh2.transport.messages import Unimplemented
from nacre.testing import PASSWORD, Pair, agreeable


def ignorant(pair: Pair, unknown: int | Callable[[bytes], bool]) -> None:
    """Let the server not know a message, by its number or its payload, from now on."""
    drops = (lambda payload: payload[0] == unknown) if isinstance(unknown, int) else unknown
    inbox = pair.server._inbox  # type: ignore[attr-defined]
    take = inbox.next

    def following() -> bytes | None:
        while (payload := take()) is not None and drops(payload):
            sequence = (inbox.sequence - 1) & 0xFFFFFFFF
            pair.server._outbox.send(Unimplemented(sequence).encode())  # type: ignore[attr-defined]
        return payload

    inbox.next = following


def of(events: list[Event], kind: type[Event]) -> list[Event]:
    return [event for event in events if isinstance(event, kind)]


def connected() -> Pair:
    pair = Pair()
    pair.run()
    assert pair.client.phase is Phase.CONNECTION
    pair.client_events.clear()
    return pair


def asked(pair: Pair) -> dict[object, int]:
    """Return what the client still waits for, tokens only."""
    table = pair.client._outbox.asked  # type: ignore[attr-defined]
    return {key: sent for key, sent in table.items() if isinstance(key, int)}


@pytest.mark.parametrize("rekeyed", [False, True])
def test_global_requests_of_every_name(rekeyed: bool) -> None:
    pair = connected()
    if rekeyed:
        pair.client.rekey()
        pair.run()
    ignorant(pair, 80)
    connection = pair.client.connection
    names = ["keepalive@openssh.com", "tcpip-forward", "hostkeys-prove-00@openssh.com"]
    tokens = [connection.send_global_request(name) for name in names]
    pair.run()
    assert of(pair.client_events, GlobalRequestAnswered) == [
        GlobalRequestAnswered(token, False, b"") for token in tokens
    ]
    assert asked(pair) == {}


def test_a_channel_that_can_not_be_opened() -> None:
    pair = connected()
    ignorant(pair, 90)
    number = pair.client.connection.open_channel("session")
    pair.run()
    (refused,) = of(pair.client_events, ChannelRefused)
    assert isinstance(refused, ChannelRefused)
    assert refused.channel == number
    assert pair.client.connection.open_channel("session") == number


def test_channel_requests() -> None:
    pair = connected()
    connection = pair.client.connection
    number = connection.open_channel("session")
    pair.run()
    ignorant(pair, 98)
    tokens = [connection.send_request(number, Shell()) for _ in range(2)]
    connection.send_request(number, Shell(), want_reply=False)
    pair.run()
    assert of(pair.client_events, RequestAnswered) == [
        RequestAnswered(number, token, False) for token in tokens
    ]
    assert asked(pair) == {}


def test_pings() -> None:
    pair = connected()
    ignorant(pair, 192)
    pair.client.ping(b"a")
    pair.client.ping(b"b")
    pair.run()
    assert of(pair.client_events, PongReceived) == [PongReceived(b"a"), PongReceived(b"b")]
    assert asked(pair) == {}


def test_what_was_sent_during_a_key_exchange() -> None:
    """It leaves under the new keys, and is numbered then."""
    pair = connected()
    pair.client.rekey()
    token = pair.client.connection.send_global_request("a@x")
    ignorant(pair, 80)
    pair.run()
    assert of(pair.client_events, GlobalRequestAnswered) == [
        GlobalRequestAnswered(token, False, b"")
    ]


def test_a_rekey_that_the_peer_does_not_know() -> None:
    pair = connected()
    ignorant(pair, 20)
    pair.client.rekey()
    pair.run()
    (ended,) = of(pair.client_events, ConnectionEnded)
    assert isinstance(ended, ConnectionEnded)
    assert "does not know a message of the key exchange" in str(ended.error)


def test_numbers_that_nothing_waits_under_are_ignored() -> None:
    pair = connected()
    token = pair.client.connection.send_global_request("keepalive@openssh.com")
    for sequence in (0, 1, 4_000, 0xFFFFFFFF):
        if sequence != asked(pair)[token]:
            pair.server._outbox.send(Unimplemented(sequence).encode())  # type: ignore[attr-defined]
    pair.run()
    assert pair.client.phase is Phase.CONNECTION
    assert len(of(pair.client_events, GlobalRequestAnswered)) == 1


def stubborn(number: int) -> Pair:
    """Return a pair whose server knows everything but one message."""
    pair = Pair()
    ignorant(pair, number)
    pair.run()
    return pair


def test_a_server_without_services() -> None:
    pair = stubborn(5)
    (ended,) = of(pair.client_events, ConnectionEnded)
    assert isinstance(ended, ConnectionEnded)
    assert isinstance(ended.error, RemoteProtocolError)
    assert "SERVICE_REQUEST" in str(ended.error)


def test_a_server_without_authentication() -> None:
    pair = stubborn(50)
    (ended,) = of(pair.client_events, ConnectionEnded)
    assert isinstance(ended, ConnectionEnded)
    assert "does not know the authentication method" in str(ended.error)


def test_a_method_that_the_server_does_not_know_is_not_the_last_one() -> None:
    """It is taken out of the methods that may follow."""
    listed: list[tuple[str, ...]] = []
    choices = [TryNone(), TryKeyboardInteractive(), TryPassword(PASSWORD)]

    def client(ask: Ask) -> Answer | None:
        if isinstance(ask, AskAuthentication):
            listed.append(ask.can_continue)
            return choices[len(listed) - 1]
        return agreeable(ask)

    def server(ask: Ask) -> Answer | None:
        if isinstance(ask, AskUser):
            return UserRequirement((frozenset({"password"}), frozenset({"keyboard-interactive"})))
        return agreeable(ask)

    pair = Pair(answers_client=client, answers_server=server)
    ignorant(pair, lambda payload: payload[0] == 50 and b"keyboard-interactive" in bytes(payload))
    pair.run()
    assert pair.client.phase is Phase.CONNECTION
    assert listed == [(), ("password", "keyboard-interactive"), ("password",)]
    results = [(e.method, e.outcome) for e in pair.client_events if isinstance(e, AuthResult)]
    assert results == [
        ("none", "failure"),
        ("keyboard-interactive", "failure"),
        ("password", "success"),
    ]
