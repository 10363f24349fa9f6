"""Channels: numbers that are guessed, windows that are ignored, sizes that are absurd."""

from __future__ import annotations

import pytest

from attacks.links import Crooked, log_of, of, refused, say
from nacre.errors import MalformedMessage, PacketTooLarge, RemoteProtocolError
from nacre.limits import Limits
from nacre.protocol.asks import Answer, Ask, AskOpen, AskRequest
from nacre.protocol.events import (
    ChannelClosed,
    ChannelOpened,
    Data,
    EofReceived,
    GlobalRequestAnswered,
    RequestAnswered,
    RequestReceived,
)
from nacre.protocol.options import ClientOptions, ServerOptions
from nacre.protocol.phases import Phase, Role
from nacre.protocol.requests import Env, Exec, Shell
from nacre.ssh2.connection.messages import (
    ChannelClose,
    ChannelData,
    ChannelEof,
    ChannelExtendedData,
    ChannelFailure,
    ChannelOpen,
    ChannelOpenConfirmation,
    ChannelOpenFailure,
    ChannelRequest,
    ChannelSuccess,
    ChannelWindowAdjust,
)
from nacre.testing import Pair, agreeable, host_key
from nacre.wire.message import Message

EITHER = pytest.mark.parametrize("role", list(Role))


def session(**options: object) -> Pair:
    """Return a pair with session 0 open, and a shell in it."""
    pair = Pair(**options)  # type: ignore[arg-type]
    pair.run()
    pair.client.connection.open_channel("session")
    pair.run()
    pair.client.connection.send_request(0, Shell())
    pair.run()
    return pair


def crooked_and_victim(pair: Pair, role: Role) -> tuple:  # type: ignore[type-arg]
    """Return the end that plays ``role``, which breaks the rules, and the other."""
    ends = (pair.client, pair.server)
    return ends if role is Role.CLIENT else ends[::-1]


def on(number: int) -> list[Message]:
    return [
        ChannelData(number, b"x"),
        ChannelExtendedData(number, 1, b"x"),
        ChannelWindowAdjust(number, 1),
        ChannelEof(number),
        ChannelClose(number),
        ChannelRequest(number, "exec", True, Exec(b"id").encode()),
        ChannelSuccess(number),
        ChannelFailure(number),
        ChannelOpenConfirmation(number, 0, 1, 1, b""),
        ChannelOpenFailure(number, 1, "", ""),
    ]


@EITHER
@pytest.mark.parametrize("number", [1, 7, (1 << 31) - 1, 1 << 31, (1 << 32) - 1])
@pytest.mark.parametrize("kind", range(10))
def test_numbers_of_channels_are_not_guessed(role: Role, number: int, kind: int) -> None:
    """A message for a channel that nobody opened ends the connection, whatever it says."""
    pair = session()
    crooked, victim = crooked_and_victim(pair, role)
    say(pair, crooked, on(number)[kind].encode())
    refused(pair, victim, RemoteProtocolError, "which does not exist")


@pytest.mark.parametrize("kind", range(10))
def test_a_channel_that_is_not_granted_yet(kind: int) -> None:
    """The owner has not said yes: nothing may happen on it, under the number it will have."""

    def undecided(ask: Ask) -> Answer | None:
        return None if isinstance(ask, AskOpen) else agreeable(ask)

    pair = Pair(answers_server=undecided)
    pair.run()
    pair.client.connection.open_channel("session")
    pair.run()
    say(pair, pair.client, on(0)[kind].encode())
    refused(pair, pair.server, RemoteProtocolError, "is not legal")
    assert not of(pair.server_events, AskRequest)


@EITHER
def test_a_channel_that_was_closed(role: Role) -> None:
    """What comes late for it has no effect."""
    pair = session()
    pair.client.connection.close_channel(0)
    pair.run()
    crooked, victim = crooked_and_victim(pair, role)
    late: list[Message] = [
        ChannelData(0, b"left over"),
        ChannelExtendedData(0, 1, b"left over"),
        ChannelWindowAdjust(0, 0xFFFFFFFF),
        ChannelEof(0),
        ChannelClose(0),
        ChannelRequest(0, "keepalive@openssh.com", True, b""),
        ChannelSuccess(0),
        ChannelFailure(0),
    ]
    before = len(log_of(pair, victim))
    say(pair, crooked, *(message.encode() for message in late))
    assert victim.phase is Phase.CONNECTION
    assert log_of(pair, victim)[before:] == []
    say(pair, crooked, ChannelData(1, b"never opened").encode())
    refused(pair, victim, RemoteProtocolError, "which does not exist")


@EITHER
def test_more_data_than_the_window_has(role: Role) -> None:
    """RFC 4254 section 5.2: the window bounds what a reader that stalls costs."""
    limits = Limits(window_initial=100_000)
    pair = session(
        client=ClientOptions(user="a", limits=limits),
        server=ServerOptions(host_keys=(host_key(),), limits=limits),
    )
    crooked, victim = crooked_and_victim(pair, role)
    say(pair, crooked, *[ChannelData(0, bytes(32_768)).encode()] * 4)
    refused(pair, victim, RemoteProtocolError, "whose window has 1696")
    assert sum(len(e.data) for e in of(log_of(pair, victim), Data)) == 3 * 32_768


@EITHER
def test_data_that_nobody_reads_counts_as_well(role: Role) -> None:
    """Extended data of an unknown type is dropped, and takes the window like any other."""
    pair = session()
    crooked, victim = crooked_and_victim(pair, role)
    say(pair, crooked, *[ChannelExtendedData(0, 99, bytes(32_768)).encode()] * 200)
    assert not of(log_of(pair, victim), Data)
    # Dropped is consumed: the window opens again, and stays bounded.
    assert victim.phase is Phase.CONNECTION


@EITHER
def test_empty_data_without_end(role: Role) -> None:
    """It takes no window, so it must cost nothing."""
    pair = session()
    crooked, victim = crooked_and_victim(pair, role)
    before = len(log_of(pair, victim))
    say(pair, crooked, *[ChannelData(0, b"").encode()] * 1000)
    assert len(log_of(pair, victim)) == before
    assert victim.phase is Phase.CONNECTION


@EITHER
def test_a_message_with_more_data_than_it_may_have(role: Role) -> None:
    pair = session()
    crooked, victim = crooked_and_victim(pair, role)
    say(pair, crooked, ChannelData(0, bytes(131_073)).encode())
    refused(pair, victim, PacketTooLarge, "at most 131072")


@EITHER
@pytest.mark.parametrize("size", [0, 1, 9, 11, 1 << 31, (1 << 32) - 1])
def test_a_length_of_data_that_is_a_lie(role: Role, size: int) -> None:
    pair = session()
    crooked, victim = crooked_and_victim(pair, role)
    say(pair, crooked, b"\x5e\0\0\0\0" + size.to_bytes(4, "big") + b"0123456789")
    refused(pair, victim, MalformedMessage)
    assert not of(log_of(pair, victim), Data)


@EITHER
@pytest.mark.parametrize("count", [(1 << 32) - 1, (1 << 32) - (2 << 20)])
def test_a_window_beyond_32_bits(role: Role, count: int) -> None:
    """RFC 4254 section 5.2: it MUST NOT be above 2**32 - 1, where others wrapped around."""
    pair = session()
    crooked, victim = crooked_and_victim(pair, role)
    say(pair, crooked, ChannelWindowAdjust(0, count).encode())
    refused(pair, victim, RemoteProtocolError, "beyond 2**32 - 1")


@EITHER
def test_a_maximum_packet_of_0(role: Role) -> None:
    """Whoever splits data by it would never come to an end."""

    def says(payload: bytes) -> list[bytes]:
        if payload[0] == 90:
            return [ChannelOpen("session", 0, 1000, 0, b"").encode()]
        if payload[0] == 91:
            return [ChannelOpenConfirmation(0, 0, 1000, 0, b"").encode()]
        return [payload]

    pair = Crooked(**{f"{role.value}_says": says})
    pair.run()
    pair.client.connection.open_channel("session")
    pair.run()
    refused(pair, crooked_and_victim(pair, role)[1], RemoteProtocolError, "packet size is 0")


def test_a_maximum_packet_of_1_is_kept_to() -> None:
    def says(payload: bytes) -> list[bytes]:
        if payload[0] == 91:
            return [ChannelOpenConfirmation(0, 0, 5, 1, b"").encode()]
        return [payload]

    pair = Crooked(server_says=says)
    pair.run()
    pair.client.connection.open_channel("session")
    pair.run()
    assert pair.client.connection.send_data(0, b"0123456789") == 5
    pair.run()
    assert [bytes(e.data) for e in of(pair.server_events, Data)] == [b"%d" % n for n in range(5)]


@EITHER
@pytest.mark.parametrize("message", [ChannelEof(0), ChannelData(0, b"x")])
def test_data_and_eof_after_eof(role: Role, message: Message) -> None:
    pair = session()
    crooked, victim = crooked_and_victim(pair, role)
    say(pair, crooked, ChannelEof(0).encode(), message.encode())
    assert victim.phase is Phase.CONNECTION
    assert not of(log_of(pair, victim), Data)
    assert len(of(log_of(pair, victim), EofReceived)) == 1


@EITHER
@pytest.mark.parametrize("message", [ChannelSuccess(0), ChannelFailure(0)])
def test_replies_that_nobody_waits_for(role: Role, message: Message) -> None:
    """They are dropped, and not kept for the next request."""
    pair = session()
    crooked, victim = crooked_and_victim(pair, role)
    answered = len(of(log_of(pair, victim), RequestAnswered))
    say(pair, crooked, message.encode())
    assert victim.phase is Phase.CONNECTION
    assert len(of(log_of(pair, victim), RequestAnswered)) == answered


@EITHER
@pytest.mark.parametrize("number", [81, 82])
def test_replies_to_global_requests_that_were_never_made(role: Role, number: int) -> None:
    pair = session()
    crooked, victim = crooked_and_victim(pair, role)
    say(pair, crooked, bytes((number,)))
    assert victim.phase is Phase.CONNECTION
    assert not of(log_of(pair, victim), GlobalRequestAnswered)


def test_a_second_command_in_one_session() -> None:
    """RFC 4254 section 6.5: one per channel. A second would run beside what was allowed."""
    pair = session()
    asked = len(of(pair.server_events, AskRequest))
    for request in (Shell(), Exec(b"id"), Env("LD_PRELOAD", "/tmp/x.so")):
        say(pair, pair.client, ChannelRequest(0, request.NAME, False, request.encode()).encode())
    assert len(of(pair.server_events, AskRequest)) == asked
    assert pair.server.phase is Phase.CONNECTION


def test_sessions_after_no_more_sessions() -> None:
    """A client that gave further sessions up has been taken over when it opens one."""
    pair = session()
    pair.client.connection.send_global_request("no-more-sessions@openssh.com", want_reply=False)
    pair.client.connection.open_channel("session")
    pair.run()
    refused(pair, pair.server, RemoteProtocolError, "no-more-sessions")
    assert len(of(pair.server_events, ChannelOpened)) == 1


@EITHER
def test_closing_twice(role: Role) -> None:
    pair = session()
    crooked, victim = crooked_and_victim(pair, role)
    say(pair, crooked, ChannelClose(0).encode(), ChannelClose(0).encode())
    assert victim.phase is Phase.CONNECTION
    assert len(of(log_of(pair, victim), ChannelClosed)) == 1


@pytest.mark.parametrize("name", ["", "exec\0", "ex\x1b[2Jec", "x" * 257, "é"])
@EITHER
def test_names_that_are_none(role: Role, name: str) -> None:
    """RFC 4251 section 6: printable US-ASCII; they end up in logs and in tables."""
    pair = session()
    crooked, victim = crooked_and_victim(pair, role)
    say(pair, crooked, ChannelRequest(0, name, True, b"").encode())
    refused(pair, victim, MalformedMessage)


def test_what_only_a_server_sends() -> None:
    """A client that reports an exit status would end a session that goes on."""
    pair = session()
    for name, data in (("exit-status", b"\0\0\0\0"), ("xon-xoff", b"\1")):
        say(pair, pair.client, ChannelRequest(0, name, False, data).encode())
    assert not of(pair.server_events, RequestReceived)
