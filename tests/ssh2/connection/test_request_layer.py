"""Channel requests and global requests: direction, order, bounds."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacre.errors import LocalProtocolError, MalformedMessage, RemoteProtocolError
from nacre.limits import DEFAULT_LIMITS
from nacre.protocol import requests as r
from nacre.protocol.asks import (
    AskGlobalRequest,
    AskRequest,
    Denied,
    GlobalGranted,
    Granted,
)
from nacre.protocol.events import (
    ChannelClosed,
    GlobalRequestAnswered,
    GlobalRequestReceived,
    RequestAnswered,
    RequestReceived,
)
from nacre.protocol.phases import Role
from nacre.ssh2.connection.messages import (
    ChannelClose,
    ChannelFailure,
    ChannelOpenConfirmation,
    ChannelRequest,
    ChannelSuccess,
    GlobalRequest,
    RequestFailure,
    RequestSuccess,
)
from ssh2.connection.pair import End, Pair

INFORMAL = [r.ExitSignal, r.XonXoff, r.EndOfWrite, r.Keepalive]
PTY = r.PtyRequest("xterm", 80, 24, 0, 0, b"\x00")
DECIDED = [
    PTY,
    r.Env("LANG", "C"),
    r.Shell(),
    r.Exec(b"true"),
    r.Subsystem("sftp"),
    r.Break(500),
    r.OtherRequest("x11-req", b"abc"),
]
TOLD_SERVER = [r.WindowChange(80, 24, 0, 0), r.Signal("TERM"), r.EndOfWrite()]
TOLD_CLIENT = [
    r.ExitStatus(7),
    r.ExitSignal("KILL", True, "killed", ""),
    r.XonXoff(True),
    r.EndOfWrite(),
]


def over_the_wire(request, want_reply=True, channel=0):
    return ChannelRequest(channel, request.NAME, want_reply, request.encode())


def name(value):
    return value.NAME if isinstance(value, r.Request) else None


@pytest.fixture
def pair():
    made = Pair()
    made.session()
    return made


@pytest.fixture
def server(pair):
    return pair.server


class TestDirection:
    @pytest.mark.parametrize("request_", DECIDED, ids=name)
    def test_a_server_asks_its_owner(self, pair, request_):
        token = pair.client.mux.send_request(0, request_)
        pair.pump()
        (ask,) = pair.server.questions()
        assert isinstance(ask, AskRequest)
        assert (ask.channel, ask.request.NAME) == (0, request_.NAME)
        assert ask.request.encode() == request_.encode()
        assert pair.client.happened() == []
        pair.server.answer(ask)
        pair.pump()
        assert pair.client.happened() == [RequestAnswered(0, token, True)]

    @pytest.mark.parametrize("request_", DECIDED, ids=name)
    def test_no_reply_where_none_is_wanted(self, pair, request_):
        assert pair.client.mux.send_request(0, request_, want_reply=False) == 0
        pair.pump()
        (ask,) = pair.server.questions()
        pair.server.answer(ask, Denied())
        assert pair.server.sent() == []

    @pytest.mark.parametrize("request_", [*DECIDED, *TOLD_SERVER[:2], r.Keepalive()], ids=name)
    def test_a_client_refuses_what_only_clients_send(self, pair, request_):
        pair.client.receive(over_the_wire(request_), over_the_wire(request_, False))
        assert pair.client.sent() == [ChannelFailure(0)]
        assert pair.client.happened() == []

    @pytest.mark.parametrize("request_", [*TOLD_CLIENT[:3], r.Keepalive()], ids=name)
    def test_a_server_refuses_what_only_servers_send(self, server, request_):
        server.receive(over_the_wire(request_), over_the_wire(request_, False))
        assert server.sent() == [ChannelFailure(0)]
        assert server.happened() == []

    @pytest.mark.parametrize("request_", TOLD_SERVER, ids=name)
    def test_a_server_is_told(self, pair, request_):
        assert pair.client.mux.send_request(0, request_) == 0, "none of them takes a reply"
        pair.pump()
        assert pair.server.happened() == [RequestReceived(0, request_)]
        pair.server.receive(over_the_wire(request_))
        assert pair.server.sent() == [ChannelSuccess(0)]

    @pytest.mark.parametrize("request_", TOLD_CLIENT, ids=name)
    def test_a_client_is_told(self, pair, request_):
        assert pair.server.mux.send_request(0, request_) == 0
        pair.pump()
        assert pair.client.happened() == [RequestReceived(0, request_)]
        pair.client.receive(over_the_wire(request_))
        assert pair.client.sent() == [ChannelSuccess(0)]

    @pytest.mark.parametrize("request_", [*DECIDED[:-1], *TOLD_SERVER[:2]], ids=name)
    def test_requests_of_sessions_mean_nothing_elsewhere(self, request_):
        pair = Pair()
        pair.client.mux.open_channel("direct-tcpip")
        pair.pump()
        pair.server.answer(pair.server.questions()[0])
        pair.pump()
        pair.server.happened()
        pair.server.receive(over_the_wire(request_))
        assert pair.server.sent() == [ChannelFailure(0)]
        assert pair.server.happened() == []
        with pytest.raises(LocalProtocolError, match="direct-tcpip"):
            pair.client.mux.send_request(0, request_)

    def test_what_only_the_peer_sends_is_not_sent(self, pair):
        for end, requests in (
            (pair.client, TOLD_CLIENT[:3]),
            (pair.server, [*DECIDED[:-1], *TOLD_SERVER[:2]]),
        ):
            for request in requests:
                with pytest.raises(LocalProtocolError, match="can't send"):
                    end.mux.send_request(0, request)
            assert end.sent() == []

    def test_either_side_asks_whether_the_other_lives(self, pair):
        for end in (pair.client, pair.server):
            token = end.mux.send_request(0, r.Keepalive())
            pair.pump()
            assert end.happened() == [RequestAnswered(0, token, False)]


class TestSession:
    STARTS = (r.Shell(), r.Exec(b"true"), r.Subsystem("sftp"))

    @pytest.mark.parametrize("first", STARTS, ids=name)
    @pytest.mark.parametrize("second", [*STARTS, PTY, r.Env("A", "b")], ids=name)
    def test_nothing_starts_twice_and_nothing_is_prepared_after_a_start(
        self, server, first, second
    ):
        server.receive(over_the_wire(first), over_the_wire(second))
        (ask,) = server.questions()
        server.answer(ask)
        assert server.sent() == [ChannelSuccess(0), ChannelFailure(0)]
        server.receive(over_the_wire(second))
        assert server.sent() == [ChannelFailure(0)]
        assert server.happened() == []

    def test_a_start_that_was_denied_may_be_followed_by_another(self, server):
        server.receive(over_the_wire(r.Subsystem("sftp")))
        server.answer(server.questions()[0], Denied())
        server.receive(over_the_wire(r.Env("A", "b")), over_the_wire(r.Exec(b"sftp-server")))
        assert len(server.questions()) == 2

    def test_one_terminal_for_a_session(self, server):
        server.receive(over_the_wire(PTY), over_the_wire(PTY))
        (ask,) = server.questions()
        server.answer(ask, Denied())
        assert server.sent() == [ChannelFailure(0)] * 2
        server.receive(over_the_wire(PTY))
        server.answer(server.questions()[0])
        server.receive(over_the_wire(PTY))
        assert server.sent() == [ChannelSuccess(0), ChannelFailure(0)]

    @pytest.mark.parametrize("request_", [r.Break(1), *TOLD_SERVER[:2]], ids=name)
    def test_what_belongs_to_a_running_session_is_taken(self, server, request_):
        server.receive(over_the_wire(r.Shell()))
        server.answer(server.questions()[0])
        server.receive(over_the_wire(request_))
        assert len(server.happened()) == 1

    def test_the_environment_is_bounded_in_number(self):
        pair = Pair(replace(DEFAULT_LIMITS, environment=3))
        pair.session()
        pair.server.receive(*[over_the_wire(r.Env(f"V{n}", "")) for n in range(5)])
        asks = pair.server.questions()
        assert len(asks) == 3
        for ask in asks:
            pair.server.answer(ask)
        assert pair.server.sent() == [ChannelSuccess(0)] * 3 + [ChannelFailure(0)] * 2

    def test_the_environment_is_bounded_in_bytes(self):
        pair = Pair(replace(DEFAULT_LIMITS, environment_octets=10))
        pair.session()
        for value, asked in (("x" * 5, 1), ("ü", 0), ("x", 1), ("", 0)):
            pair.server.receive(over_the_wire(r.Env("AB", value)))
            assert len(pair.server.questions()) == asked, value

    def test_a_command_is_bounded(self):
        pair = Pair(replace(DEFAULT_LIMITS, command=4))
        pair.session()
        pair.server.receive(over_the_wire(r.Exec(b"12345")))
        assert pair.server.sent() == [ChannelFailure(0)]
        pair.server.receive(over_the_wire(r.Exec(b"1234")))
        assert len(pair.server.questions()) == 1

    @pytest.mark.parametrize(
        "request_",
        [
            r.PtyRequest("x" * 257, 80, 24, 0, 0, b""),
            r.PtyRequest("xterm", 80, 24, 0, 0, bytes(4097)),
            r.Subsystem("x" * 257),
            r.Signal("x" * 257),
        ],
        ids=name,
    )
    def test_names_and_modes_are_bounded(self, server, request_):
        server.receive(over_the_wire(request_))
        assert server.sent() == [ChannelFailure(0)]
        assert server.happened() == []

    @pytest.mark.parametrize("kind", INFORMAL, ids=lambda kind: kind.NAME)
    @pytest.mark.parametrize("role", Role)
    def test_a_layout_of_a_request_that_only_informs_does_not_matter(self, pair, kind, role):
        end = pair.client if role is Role.CLIENT else pair.server
        end.receive(ChannelRequest(0, kind.NAME, False, bytes(1000)))
        assert not [event for event in end.happened() if isinstance(event, RequestReceived)]

    @pytest.mark.parametrize(
        "kind",
        [kind for kind in r.KNOWN_REQUESTS.values() if kind not in INFORMAL],
        ids=lambda kind: kind.NAME,
    )
    @pytest.mark.parametrize("role", Role)
    def test_a_layout_that_is_not_the_requests_breaks_the_protocol(self, pair, kind, role):
        end = pair.client if role is Role.CLIENT else pair.server
        with pytest.raises(MalformedMessage):
            end.receive(ChannelRequest(0, kind.NAME, True, bytes(1000)))

    @pytest.mark.parametrize("bad", ["", "a" * 257, "a b\n", "é", "\x7f"])
    def test_names_are_printable_and_bounded(self, server, bad):
        with pytest.raises(MalformedMessage):
            server.receive(ChannelRequest(0, bad, True, b""))
        with pytest.raises(MalformedMessage):
            server.receive(GlobalRequest(bad, True, b""))


class TestOrder:
    @given(st.permutations(range(6)), st.lists(st.booleans(), min_size=6, max_size=6))
    def test_replies_keep_the_order_of_requests(self, order, granted):
        pair = Pair()
        pair.session()
        tokens = [pair.client.mux.send_request(0, r.OtherRequest(f"r{n}@x", b"")) for n in range(6)]
        pair.pump()
        asks = pair.server.questions()
        for n in order:
            pair.server.answer(asks[n], Granted() if granted[n] else Denied())
            pair.pump()
        assert pair.client.happened() == [
            RequestAnswered(0, *pairing) for pairing in zip(tokens, granted, strict=True)
        ]

    def test_what_needs_no_asking_waits_for_what_does(self, server):
        server.receive(
            over_the_wire(r.Shell()),
            over_the_wire(r.OtherRequest("quiet@x", b""), want_reply=False),
            over_the_wire(r.Keepalive()),
            over_the_wire(r.Signal("INT")),
        )
        shell, quiet = server.questions()
        assert server.sent() == []
        server.answer(shell)
        assert server.sent() == [ChannelSuccess(0)]
        server.answer(quiet)
        assert server.sent() == [ChannelFailure(0), ChannelSuccess(0)]

    @pytest.mark.parametrize("want_reply", [True, False])
    def test_requests_that_wait_are_bounded(self, want_reply):
        pair = Pair(replace(DEFAULT_LIMITS, channel_requests=3))
        pair.session()
        request = over_the_wire(r.OtherRequest("a@x", b""), want_reply)
        pair.server.receive(request, request, request)
        with pytest.raises(RemoteProtocolError, match="more than 3 requests"):
            pair.server.receive(request)

    def test_our_requests_that_wait_are_bounded(self):
        pair = Pair(replace(DEFAULT_LIMITS, channel_requests=3))
        pair.session()
        for _ in range(3):
            pair.client.mux.send_request(0, r.Keepalive())
        with pytest.raises(LocalProtocolError, match="too many"):
            pair.client.mux.send_request(0, r.Keepalive())
        pair.client.mux.send_request(0, r.Keepalive(), want_reply=False)

    def test_a_reply_to_nothing_has_no_effect(self, pair):
        pair.client.happened()
        pair.client.mux.send_request(0, r.Shell(), want_reply=False)
        pair.client.receive(ChannelSuccess(0), ChannelFailure(0))
        assert pair.client.happened() == []

    def test_what_the_peer_does_not_know_fails_alone(self, pair):
        client = pair.client
        client.happened()
        tokens = [client.mux.send_request(0, r.OtherRequest(f"r{n}@x", b"")) for n in range(3)]
        client.mux.refused(tokens[1])
        client.receive(ChannelSuccess(0), ChannelSuccess(0))
        assert client.happened() == [
            RequestAnswered(0, tokens[1], False),
            RequestAnswered(0, tokens[0], True),
            RequestAnswered(0, tokens[2], True),
        ]

    def test_nothing_is_kept_of_what_was_answered(self, pair):
        client = pair.client
        client.mux.send_request(0, r.Shell())
        client.mux.send_global_request("a@x")
        client.receive(ChannelSuccess(0), RequestFailure())
        assert client.outbox.asked == {}
        client.mux.send_request(0, r.OtherRequest("a@x", b""))
        client.receive(ChannelClose(0))
        assert client.outbox.asked == {}

    @pytest.mark.parametrize("closer", ["we", "peer"])
    def test_questions_are_withdrawn_when_the_channel_closes(self, server, closer):
        server.receive(over_the_wire(r.Shell()), over_the_wire(r.OtherRequest("a@x", b"")))
        asks = server.questions()
        if closer == "we":
            server.mux.close_channel(0)
        else:
            server.receive(ChannelClose(0))
        assert [m.NUMBER for m in server.sent()] == [97]
        assert not any(server.answer(ask) for ask in asks)
        assert server.sent() == []

    def test_a_new_channel_of_the_same_number_owes_nothing(self, pair):
        pair.client.mux.send_request(0, r.Shell())
        pair.pump()
        (old,) = pair.server.questions()
        pair.client.mux.close_channel(0)
        pair.pump()
        assert pair.client.happened() == [ChannelClosed(0)]
        pair.session()
        token = pair.client.mux.send_request(0, r.Shell())
        pair.pump()
        (new,) = pair.server.questions()
        pair.server.answer(old, Denied())
        pair.server.answer(new)
        pair.pump()
        assert pair.client.happened() == [RequestAnswered(0, token, True)]


class TestGlobal:
    def test_a_request_is_asked_for_and_its_answer_carries_data(self, pair):
        token = pair.client.mux.send_global_request("tcpip-forward", b"port 0")
        pair.pump()
        (ask,) = pair.server.questions()
        assert isinstance(ask, AskGlobalRequest)
        assert (ask.name, ask.data) == ("tcpip-forward", b"port 0")
        pair.server.answer(ask, GlobalGranted(b"4242"))
        pair.pump()
        assert pair.client.happened() == [GlobalRequestAnswered(token, True, b"4242")]

    def test_without_a_reply_it_is_just_told(self, pair):
        assert (
            pair.server.mux.send_global_request("hostkeys-00@openssh.com", b"k", want_reply=0) == 0
        )
        pair.pump()
        assert pair.client.happened() == [GlobalRequestReceived("hostkeys-00@openssh.com", b"k")]

    @pytest.mark.parametrize("closer", ["client", "server"])
    def test_keepalive_is_answered_without_asking(self, pair, closer):
        end, other = (
            (pair.client, pair.server) if closer == "client" else (pair.server, pair.client)
        )
        token = end.mux.send_global_request("keepalive@openssh.com")
        pair.pump()
        assert end.happened() == [GlobalRequestAnswered(token, False, b"")]
        assert other.happened() == []

    @pytest.mark.parametrize(
        ("role", "request_name"),
        [
            (Role.CLIENT, "tcpip-forward"),
            (Role.CLIENT, "cancel-tcpip-forward"),
            (Role.CLIENT, "streamlocal-forward@openssh.com"),
            (Role.CLIENT, "cancel-streamlocal-forward@openssh.com"),
            (Role.CLIENT, "hostkeys-prove-00@openssh.com"),
            (Role.CLIENT, "no-more-sessions@openssh.com"),
            (Role.SERVER, "hostkeys-00@openssh.com"),
        ],
    )
    def test_what_only_this_role_sends_is_refused(self, role, request_name):
        end = End(role)
        end.receive(GlobalRequest(request_name, True, b""), GlobalRequest(request_name, False, b""))
        assert end.sent() == [RequestFailure()]
        assert end.happened() == []

    def test_replies_keep_the_order_of_requests(self, server):
        server.receive(
            GlobalRequest("a@x", True, b""),
            GlobalRequest("keepalive@openssh.com", True, b""),
            GlobalRequest("no-more-sessions@openssh.com", True, b""),
            GlobalRequest("b@x", True, b""),
        )
        first, last = server.questions()
        server.answer(last, GlobalGranted(b"b"))
        assert server.sent() == []
        server.answer(first, Denied())
        assert server.sent() == [
            RequestFailure(),
            RequestFailure(),
            RequestSuccess(b""),
            RequestSuccess(b"b"),
        ]

    def test_requests_that_wait_are_bounded(self):
        server = End(Role.SERVER, replace(DEFAULT_LIMITS, channel_requests=2))
        request = GlobalRequest("a@x", True, b"")
        server.receive(request, request)
        with pytest.raises(RemoteProtocolError, match="more than 2 requests"):
            server.receive(GlobalRequest("keepalive@openssh.com", True, b""))

    def test_our_requests_that_wait_are_bounded(self):
        client = End(Role.CLIENT, replace(DEFAULT_LIMITS, unanswered_pings=2))
        client.mux.send_global_request("a@x")
        client.mux.send_global_request("a@x")
        client.mux.send_global_request("a@x", want_reply=False)
        with pytest.raises(LocalProtocolError, match="too many"):
            client.mux.send_global_request("a@x")
        client.receive(RequestFailure())
        client.mux.send_global_request("a@x")

    @pytest.mark.parametrize("reply", [RequestSuccess(b"x"), RequestFailure()])
    def test_a_reply_to_nothing_has_no_effect(self, reply):
        client = End(Role.CLIENT)
        client.mux.send_global_request("a@x", want_reply=False)
        client.receive(reply)
        assert client.happened() == []

    def test_replies_that_can_not_wait_any_more_are_the_peers_fault(self, server):
        server.outbox.full = True
        with pytest.raises(RemoteProtocolError, match="too many replies"):
            server.receive(GlobalRequest("keepalive@openssh.com", True, b""))


def test_tokens_are_never_zero_and_never_twice(pair):
    tokens = [pair.client.mux.send_request(0, r.Keepalive()) for _ in range(3)]
    tokens += [pair.client.mux.send_global_request("a@x") for _ in range(3)]
    assert 0 not in tokens
    assert len(set(tokens)) == 6


def test_requests_wait_for_the_confirmation():
    client = End(Role.CLIENT)
    number = client.mux.open_channel("session")
    with pytest.raises(LocalProtocolError, match="not open"):
        client.mux.send_request(number, r.Shell())
    client.receive(ChannelOpenConfirmation(number, 3, 1, 1, b""))
    assert client.mux.send_request(number, r.Shell())
