"""Opening channels: who may, how many, and what the answers do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nacre.errors import LocalProtocolError, MalformedMessage, RemoteProtocolError
from nacre.limits import DEFAULT_LIMITS, KIB
from nacre.protocol.asks import AskOpen, OpenRefused
from nacre.protocol.events import ChannelClosed, ChannelOpened, ChannelRefused
from nacre.protocol.phases import Role
from nacre.ssh2.connection.messages import (
    ChannelClose,
    ChannelOpen,
    ChannelOpenConfirmation,
    ChannelOpenFailure,
    GlobalRequest,
)
from nacre.wire.numbers import OpenFailure
from ssh2.connection.pair import End, Pair


def session_open(sender=7, window=1000, packet=100, data=b""):
    return ChannelOpen("session", sender, window, packet, data)


def test_an_open_says_our_window_and_packet_and_is_confirmed_when_granted():
    pair = Pair()
    number = pair.client.mux.open_channel("direct-tcpip", b"where to")
    (opened,) = pair.client.sent()
    assert opened == ChannelOpen("direct-tcpip", number, 4 << 20, 128 * KIB, b"where to")
    pair.server.receive(opened)
    (ask,) = pair.server.questions()
    assert isinstance(ask, AskOpen)
    assert (ask.channel_type, ask.data) == ("direct-tcpip", b"where to")
    assert pair.server.sent() == []
    pair.server.answer(ask)
    (confirmed,) = pair.server.sent()
    assert confirmed == ChannelOpenConfirmation(number, ask.channel, 4 << 20, 128 * KIB, b"")
    pair.client.receive(confirmed)
    assert pair.client.happened() == [ChannelOpened(number)]
    assert pair.server.happened() == [ChannelOpened(ask.channel)]


def test_a_refusal_frees_the_number_and_its_text_is_made_safe():
    pair = Pair()
    number = pair.client.mux.open_channel("session")
    pair.pump()
    (ask,) = pair.server.questions()
    pair.server.answer(ask, OpenRefused(OpenFailure.CONNECT_FAILED, "no\x1b[2J"))
    pair.pump()
    assert pair.client.happened() == [ChannelRefused(number, 2, "no\\x1b[2J")]
    assert pair.server.happened() == []
    assert pair.client.mux.open_channel("session") == number


@pytest.mark.parametrize(
    ("role", "channel_type"),
    [
        (Role.CLIENT, "session"),
        (Role.CLIENT, "direct-tcpip"),
        (Role.CLIENT, "direct-streamlocal@openssh.com"),
        (Role.SERVER, "forwarded-tcpip"),
        (Role.SERVER, "forwarded-streamlocal@openssh.com"),
        (Role.SERVER, "x11"),
        (Role.SERVER, "auth-agent@openssh.com"),
    ],
)
def test_what_only_this_role_opens_is_refused_without_asking(role, channel_type):
    end = End(role)
    end.receive(ChannelOpen(channel_type, 5, 1000, 100, b""))
    (refused,) = end.sent()
    assert (refused.recipient, refused.code) == (5, OpenFailure.ADMINISTRATIVELY_PROHIBITED)
    assert end.happened() == []
    other = End(Role.SERVER if role is Role.CLIENT else Role.CLIENT)
    with pytest.raises(LocalProtocolError, match="can't open"):
        other.mux.open_channel(channel_type)
    assert other.sent() == []
    other.receive(ChannelOpen(channel_type, 5, 1000, 100, b""))
    assert len(other.questions()) == 1


@pytest.mark.parametrize("role", Role)
def test_types_nobody_knows_are_asked_for_in_both_roles(role):
    end = End(role)
    end.receive(ChannelOpen("tun@openssh.com", 5, 1000, 100, b"x"))
    (ask,) = end.questions()
    assert ask.channel_type == "tun@openssh.com"


def test_sessions_are_limited_and_counted_while_undecided():
    server = End(Role.SERVER, replace(DEFAULT_LIMITS, sessions=2))
    server.receive(*[session_open(n) for n in range(3)])
    first, second = server.questions()
    (refused,) = server.sent()
    assert (refused.recipient, refused.code) == (2, OpenFailure.RESOURCE_SHORTAGE)
    server.answer(first, OpenRefused())
    server.receive(session_open(9))
    assert len(server.questions()) == 1
    server.answer(second)


def test_channels_are_limited_whoever_opens_them():
    end = End(Role.SERVER, replace(DEFAULT_LIMITS, channels=2))
    end.mux.open_channel("x11")
    end.receive(ChannelOpen("direct-tcpip", 0, 1, 1, b""))
    end.sent()
    end.receive(ChannelOpen("direct-tcpip", 1, 1, 1, b""))
    (refused,) = end.sent()
    assert refused.code == OpenFailure.RESOURCE_SHORTAGE
    with pytest.raises(LocalProtocolError, match="2 channels are open"):
        end.mux.open_channel("x11")


def test_no_more_sessions_is_held_to():
    server = End(Role.SERVER)
    server.receive(session_open())
    server.receive(GlobalRequest("no-more-sessions@openssh.com", False, b""))
    server.receive(ChannelOpen("direct-tcpip", 8, 1, 1, b""))
    assert len(server.questions()) == 2
    assert server.sent() == []
    with pytest.raises(RemoteProtocolError, match="no-more-sessions"):
        server.receive(session_open(9))


def test_a_server_can_not_end_a_clients_sessions():
    pair = Pair()
    pair.server.mux.send_global_request("no-more-sessions@openssh.com")
    pair.pump()
    (answered,) = pair.server.happened()
    assert not answered.success
    pair.session()


@pytest.mark.parametrize(
    "message",
    [
        session_open(packet=0),
        session_open(data=b"x"),
        ChannelOpen("", 0, 1, 1, b""),
        ChannelOpen("a" * 257, 0, 1, 1, b""),
        ChannelOpen("a\x1bb", 0, 1, 1, b""),
        ChannelOpen("ü", 0, 1, 1, b""),
    ],
)
def test_malformed_opens(message):
    server = End(Role.SERVER)
    with pytest.raises(RemoteProtocolError):
        server.receive(message)
    assert server.happened() == []


def test_a_confirmation_that_takes_no_packet_breaks_the_protocol():
    client = End(Role.CLIENT)
    number = client.mux.open_channel("session")
    with pytest.raises(RemoteProtocolError, match="packet size is 0"):
        client.receive(ChannelOpenConfirmation(number, 0, 1, 0, b""))


def test_answers_to_opens_come_once():
    client = End(Role.CLIENT)
    number = client.mux.open_channel("session")
    confirmation = ChannelOpenConfirmation(number, 0, 1, 1, b"")
    failure = ChannelOpenFailure(number, 1, "", "")
    client.receive(confirmation)
    for message in (confirmation, failure):
        with pytest.raises(RemoteProtocolError, match="not legal"):
            client.receive(message)
    for message in (
        ChannelOpenConfirmation(9, 0, 1, 1, b""),
        ChannelOpenFailure(9, 1, "", ""),
    ):
        with pytest.raises(RemoteProtocolError, match="does not exist"):
            client.receive(message)


def test_a_channel_given_up_before_its_confirmation_is_closed_at_it():
    pair = Pair()
    number = pair.client.mux.open_channel("session")
    pair.client.mux.close_channel(number)
    pair.client.mux.close_channel(number)
    pair.pump()
    (ask,) = pair.server.questions()
    pair.server.answer(ask)
    pair.pump()
    assert pair.client.happened() == [ChannelClosed(number)]
    assert pair.server.happened() == [ChannelOpened(ask.channel), ChannelClosed(ask.channel)]


def test_a_channel_given_up_and_then_refused_is_refused():
    client = End(Role.CLIENT)
    number = client.mux.open_channel("session")
    client.mux.close_channel(number)
    client.sent()
    client.receive(ChannelOpenFailure(number, 4, "full", "en"))
    assert client.happened() == [ChannelRefused(number, 4, "full")]
    assert client.sent() == []


def test_an_offered_channel_is_refused_by_its_answer_not_by_close():
    server = End(Role.SERVER)
    server.receive(session_open())
    (ask,) = server.questions()
    with pytest.raises(LocalProtocolError, match="answering"):
        server.mux.close_channel(ask.channel)
    with pytest.raises(RemoteProtocolError, match="not decided"):
        server.receive(ChannelClose(ask.channel))


def test_an_open_that_the_outbox_refuses_leaves_nothing_behind():
    client = End(Role.CLIENT, replace(DEFAULT_LIMITS, channels=1))
    client.outbox.full = True
    with pytest.raises(LocalProtocolError, match="key exchange"):
        client.mux.open_channel("session")
    client.outbox.full = False
    assert client.mux.open_channel("session") == 0


def test_refusals_that_can_not_wait_any_more_are_the_peers_fault():
    client = End(Role.CLIENT)
    client.outbox.full = True
    with pytest.raises(RemoteProtocolError, match="too many replies"):
        client.receive(session_open())


def test_malformed_messages_are_malformed():
    server = End(Role.SERVER)
    whole = session_open().encode()
    for cut in range(1, len(whole)):
        with pytest.raises(MalformedMessage):
            server.receive(whole[:cut])
