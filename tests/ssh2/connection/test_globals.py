"""Global requests of both sides (RFC 4254 section 4)."""

from __future__ import annotations

import pytest

from nacre.errors import LocalProtocolError, MalformedMessage
from nacre.limits import Limits
from nacre.protocol.asks import AskGlobalRequest, Asks, Denied, GlobalGranted
from nacre.protocol.events import Event, GlobalRequestAnswered, GlobalRequestReceived
from nacre.protocol.phases import Role
from nacre.ssh2.connection.globals import GlobalRequests
from nacre.ssh2.connection.messages import GlobalRequest, RequestFailure, RequestSuccess


class Outbox:
    """Keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.asked: dict[object, int] = {}

    def send(self, payload: bytes, asked: object = None) -> None:
        if asked is not None:
            self.asked[asked] = len(self.sent)
        self.sent.append(payload)


class Side:
    """The global requests of one role."""

    def __init__(self, role: Role, limits: Limits | None = None) -> None:
        self.outbox = Outbox()
        self.events: list[Event] = []
        self.asks = Asks(self.events)
        self.requests = GlobalRequests(
            role,
            self.outbox,  # type: ignore[arg-type]
            self.events,
            self.asks,
            limits or Limits(),
        )

    def receive(self, name: str, data: bytes = b"", *, want_reply: bool = True) -> None:
        self.requests.on_request(GlobalRequest(name, want_reply, data).encode())


SUCCESS, FAILURE = RequestSuccess(b"").encode(), RequestFailure().encode()


def test_a_request_is_asked_about_and_the_answer_is_the_reply() -> None:
    side = Side(Role.SERVER)
    side.receive("tcpip-forward", b"data")
    (ask,) = side.events
    assert isinstance(ask, AskGlobalRequest)
    assert (ask.name, ask.data) == ("tcpip-forward", b"data")
    assert side.outbox.sent == []
    side.asks.answer(ask.ask_id, GlobalGranted(b"port"))
    assert side.outbox.sent == [RequestSuccess(b"port").encode()]


def test_a_denied_request_fails() -> None:
    side = Side(Role.SERVER)
    side.receive("unknown@example.org")
    (ask,) = side.events
    side.asks.answer(ask.ask_id, Denied())  # type: ignore[attr-defined]
    assert side.outbox.sent == [FAILURE]


def test_a_request_without_reply_is_an_event() -> None:
    side = Side(Role.CLIENT)
    side.receive("hostkeys-00@openssh.com", b"keys", want_reply=False)
    assert side.events == [GlobalRequestReceived("hostkeys-00@openssh.com", b"keys")]
    assert side.outbox.sent == []


@pytest.mark.parametrize(
    ("role", "name"),
    [
        (Role.CLIENT, "keepalive@openssh.com"),
        (Role.SERVER, "keepalive@openssh.com"),
        (Role.CLIENT, "tcpip-forward"),
        (Role.CLIENT, "cancel-tcpip-forward"),
        (Role.CLIENT, "no-more-sessions@openssh.com"),
        (Role.SERVER, "hostkeys-00@openssh.com"),
    ],
)
@pytest.mark.parametrize("want_reply", [True, False])
def test_some_requests_are_refused_without_a_question(
    role: Role, name: str, want_reply: bool
) -> None:
    side = Side(role)
    side.receive(name, want_reply=want_reply)
    assert side.events == []
    assert side.outbox.sent == [FAILURE] * want_reply


@pytest.mark.parametrize("want_reply", [True, False])
def test_no_more_sessions(want_reply: bool) -> None:
    side = Side(Role.SERVER)
    assert not side.requests.no_more_sessions
    side.receive("no-more-sessions@openssh.com", want_reply=want_reply)
    assert side.requests.no_more_sessions
    assert side.outbox.sent == [SUCCESS] * want_reply


def test_a_reply_waits_for_the_one_before() -> None:
    side = Side(Role.SERVER)
    side.receive("tcpip-forward")
    side.receive("keepalive@openssh.com")
    assert side.outbox.sent == []
    (ask,) = side.events
    side.asks.answer(ask.ask_id, GlobalGranted())  # type: ignore[attr-defined]
    assert side.outbox.sent == [SUCCESS, FAILURE]


@pytest.mark.parametrize("name", ["", "caf\xe9", "x" * 300, "line\n"])
def test_a_name_that_is_none(name: str) -> None:
    with pytest.raises(MalformedMessage):
        Side(Role.SERVER).receive(name)


def test_answers_go_to_our_requests_in_order() -> None:
    side = Side(Role.CLIENT)
    side.requests.send(1, "a", b"", want_reply=True)
    side.requests.send(0, "b", b"", want_reply=False)
    side.requests.send(2, "c", b"data", want_reply=True)
    assert side.outbox.sent[1:] == [
        GlobalRequest("b", False, b"").encode(),
        GlobalRequest("c", True, b"data").encode(),
    ]
    side.requests.on_success(RequestSuccess(b"port").encode())
    side.requests.on_failure(FAILURE)
    assert side.events == [
        GlobalRequestAnswered(1, True, b"port"),
        GlobalRequestAnswered(2, False, b""),
    ]


def test_an_answer_to_no_request() -> None:
    side = Side(Role.CLIENT)
    side.requests.on_success(SUCCESS)
    side.requests.on_failure(FAILURE)
    assert side.events == []


def test_a_request_that_the_peer_does_not_know_fails_and_the_others_keep_their_answers() -> None:
    side = Side(Role.CLIENT)
    for token in (1, 2, 3):
        side.requests.send(token, "a@x", b"", want_reply=True)
    assert side.requests.refused(2)
    assert not side.requests.refused(2)
    side.requests.on_success(SUCCESS)
    side.requests.on_failure(FAILURE)
    assert side.events == [
        GlobalRequestAnswered(2, False, b""),
        GlobalRequestAnswered(1, True, b""),
        GlobalRequestAnswered(3, False, b""),
    ]
    assert side.outbox.asked.keys() == {2}  # the outbox itself removes what UNIMPLEMENTED names


def test_unanswered_requests_are_bounded() -> None:
    side = Side(Role.CLIENT, Limits(unanswered_pings=2))
    for token in (1, 2):
        side.requests.send(token, "a", b"", want_reply=True)
    with pytest.raises(LocalProtocolError, match="too many global requests"):
        side.requests.send(3, "a", b"", want_reply=True)
    side.requests.send(0, "a", b"", want_reply=False)
