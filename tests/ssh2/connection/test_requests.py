"""Which requests a channel accepts, sends, and gives a reply (RFC 4254 section 6)."""

from __future__ import annotations

import pytest

from nacre.errors import MalformedMessage
from nacre.limits import Limits
from nacre.protocol.phases import Role
from nacre.protocol.requests import (
    KNOWN_REQUESTS,
    Break,
    EndOfWrite,
    Env,
    Exec,
    ExitSignal,
    ExitStatus,
    Keepalive,
    OtherRequest,
    PtyRequest,
    Request,
    Shell,
    Signal,
    Subsystem,
    WindowChange,
    XonXoff,
)
from nacre.ssh2.connection.requests import (
    Requests,
    RequestVerdict,
    decode,
    may_send,
    takes_reply,
)

ASK, TELL, REFUSE = RequestVerdict.ASK, RequestVerdict.TELL, RequestVerdict.REFUSE
PTY = PtyRequest("xterm", 80, 24, 0, 0, b"\0")

TRUTH: list[tuple[Request, RequestVerdict, RequestVerdict, bool]] = [
    # a request, what a server's session does with it, what a client's does, whether a reply is due
    (PTY, ASK, REFUSE, True),
    (Env("LANG", "C"), ASK, REFUSE, True),
    (Shell(), ASK, REFUSE, True),
    (Exec(b"true"), ASK, REFUSE, True),
    (Subsystem("sftp"), ASK, REFUSE, True),
    (Break(500), ASK, REFUSE, True),
    (WindowChange(80, 24, 0, 0), TELL, REFUSE, False),
    (Signal("INT"), TELL, REFUSE, False),
    (ExitStatus(0), REFUSE, TELL, False),
    (ExitSignal("INT", False, "", ""), REFUSE, TELL, False),
    (XonXoff(True), REFUSE, TELL, False),
    (EndOfWrite(), TELL, TELL, False),
    (Keepalive(), REFUSE, REFUSE, True),
    (OtherRequest("x@example.org", b""), ASK, REFUSE, True),
]


def session(role: Role = Role.SERVER, limits: Limits | None = None) -> Requests:
    return Requests(role, "session", limits or Limits())


@pytest.mark.parametrize(("request_", "server", "client", "reply"), TRUTH)
def test_verdicts_on_a_session(
    request_: Request, server: RequestVerdict, client: RequestVerdict, reply: bool
) -> None:
    assert session(Role.SERVER).judge(request_) is server
    assert session(Role.CLIENT).judge(request_) is client
    assert takes_reply(request_) is reply


def test_the_table_has_every_request() -> None:
    assert {type(row[0]) for row in TRUTH} == {*KNOWN_REQUESTS.values(), OtherRequest}


@pytest.mark.parametrize("request_", [row[0] for row in TRUTH])
def test_what_one_role_judges_the_other_may_send(request_: Request) -> None:
    for role, peer in ((Role.CLIENT, Role.SERVER), (Role.SERVER, Role.CLIENT)):
        if session(peer).judge(request_) is not REFUSE:
            assert may_send(role, "session", request_) or isinstance(request_, OtherRequest)
        if not may_send(role, "session", request_):
            assert session(peer).judge(request_) is REFUSE


def test_other_channels_than_sessions_have_few_requests() -> None:
    other = Requests(Role.SERVER, "direct-tcpip", Limits())
    assert other.judge(EndOfWrite()) is TELL
    assert other.judge(OtherRequest("x@example.org", b"")) is ASK
    assert other.judge(Shell()) is REFUSE
    assert not may_send(Role.CLIENT, "direct-tcpip", Shell())
    assert may_send(Role.CLIENT, "direct-tcpip", EndOfWrite())


def test_one_start_per_session() -> None:
    requests = session()
    assert requests.judge(Shell()) is ASK
    for later in (Shell(), Exec(b"true"), Subsystem("sftp"), PTY, Env("A", "b")):
        assert requests.judge(later) is REFUSE
    assert requests.judge(Break(1)) is ASK


def test_a_denied_start_leaves_room_for_another() -> None:
    requests = session()
    requests.judge(Subsystem("sftp"))
    requests.denied(Subsystem("sftp"))
    assert requests.judge(Exec(b"sftp-server")) is ASK


def test_one_terminal_per_session_unless_it_was_denied() -> None:
    requests = session()
    assert requests.judge(PTY) is ASK
    assert requests.judge(PTY) is REFUSE
    requests.denied(PTY)
    assert requests.judge(PTY) is ASK


def test_variables_are_bounded_in_number_and_size() -> None:
    requests = session(limits=Limits(environment=2))
    assert [requests.judge(Env(name, "")) for name in "abc"] == [ASK, ASK, REFUSE]
    requests = session(limits=Limits(environment_octets=8))
    assert requests.judge(Env("name", "\xe9\xe9")) is ASK
    assert requests.judge(Env("x", "")) is REFUSE


@pytest.mark.parametrize(
    "request_",
    [
        PtyRequest("x" * 257, 80, 24, 0, 0, b""),
        PtyRequest("xterm", 80, 24, 0, 0, bytes(5000)),
        Exec(bytes(256 * 1024 + 1)),
        Subsystem("x" * 257),
        Signal("x" * 257),
    ],
)
def test_a_request_above_a_bound_is_refused(request_: Request) -> None:
    requests = session()
    assert requests.judge(request_) is REFUSE
    assert requests.judge(Shell()) is ASK, "a refused request counts for nothing"


@pytest.mark.parametrize("request_", [row[0] for row in TRUTH])
def test_requests_decode_to_what_was_encoded(request_: Request) -> None:
    decoded = decode(request_.NAME, request_.encode())
    assert type(decoded) is type(request_)
    assert decoded.encode() == request_.encode()


def test_data_of_another_layout_is_malformed() -> None:
    with pytest.raises(MalformedMessage):
        decode("exit-status", b"\0")
    with pytest.raises(MalformedMessage):
        decode("shell", b"\0")
