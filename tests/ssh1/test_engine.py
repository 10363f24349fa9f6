"""Two engines of SSH-1 back to back: from the version to the end."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from nacre.errors import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectionLost,
    DisconnectCode,
    Disconnected,
    HostKeyUnknown,
    LocalProtocolError,
    NoCommonAlgorithm,
    RemoteProtocolError,
    RequestFailed,
)
from nacre.limits import Limits
from nacre.protocol import modes
from nacre.protocol.asks import (
    Answer,
    Ask,
    AskAuthentication,
    AskGlobalRequest,
    AskHostKey,
    AskOpen,
    AskPassword,
    AskPrompts,
    AskRequest,
    AskSignature,
    Denied,
    GiveUp,
    Granted,
    HostKeyRefused,
    OpenRefused,
    Responses,
    TryKeyboardInteractive,
    TryNone,
    TryPassword,
    TryPublicKey,
)
from nacre.protocol.events import (
    AlgorithmsChosen,
    Authenticated,
    AuthResult,
    ChannelClosed,
    ChannelOpened,
    ChannelRefused,
    ConnectionEnded,
    Data,
    EofReceived,
    Event,
    GlobalRequestAnswered,
    KexDone,
    MessageSeen,
    RequestAnswered,
    RequestReceived,
    VersionReceived,
    Writable,
)
from nacre.protocol.options import ServerOptions
from nacre.protocol.phases import Phase
from nacre.protocol.requests import (
    Break,
    EndOfWrite,
    Env,
    Exec,
    ExitSignal,
    ExitStatus,
    OtherRequest,
    PtyRequest,
    Request,
    Shell,
    Subsystem,
    WindowChange,
)
from nacre.ssh1 import messages as msg
from nacre.ssh1.engine import SSH1Server
from nacre.testing import PASSWORD, Pair, one_by_one
from nacre.wire.codec import string, u32
from ssh1.pair1 import BOTH, Taking, giving, logged_in, pair, rsa1, user_key


def of(kind: type, events: list[Event]) -> list[Event]:
    return [event for event in events if isinstance(event, kind)]


def output(events: list[Event], channel: int = 0, stream: int = 0) -> bytes:
    return b"".join(
        bytes(event.data)
        for event in events
        if isinstance(event, Data) and (event.channel, event.stream) == (channel, stream)
    )


def ended(events: list[Event]) -> object:
    last = events[-1]
    assert isinstance(last, ConnectionEnded)
    return last.error


# --- phases 1 to 3 ---


@pytest.mark.parametrize("cipher", ["3des", "blowfish", "des"])
@pytest.mark.parametrize("compress", [False, True])
def test_login(cipher: str, compress: bool) -> None:
    made = logged_in(cipher=cipher, compress=compress)
    assert made.client.phase is made.server.phase is Phase.CONNECTION
    for events in (made.client_events, made.server_events):
        (version,) = of(VersionReceived, events)
        assert isinstance(version, VersionReceived)
        assert version.protocol == "1.5"
        (chosen,) = of(AlgorithmsChosen, events)
        assert isinstance(chosen, AlgorithmsChosen)
        assert chosen.chosen.cipher_c2s == chosen.chosen.cipher_s2c == cipher
        (done,) = of(KexDone, events)
        assert isinstance(done, KexDone)
        assert done.host_key == rsa1(1024).public
        assert of(Authenticated, events) == [Authenticated("alice", ("password",))]


def test_both_have_the_same_session_id() -> None:
    made = logged_in()
    ids = {
        event.session_id
        for event in made.client_events + made.server_events
        if isinstance(event, KexDone)
    }
    assert len(ids) == 1
    assert len(ids.pop()) == 16


def test_one_byte_at_a_time() -> None:
    made = logged_in(split=one_by_one, compress=True)
    assert made.client.phase is Phase.CONNECTION


@pytest.mark.parametrize(("host", "server"), [(768, 1024), (1024, 768), (640, 512), (512, 640)])
def test_the_smaller_modulus_encrypts_first(host: int, server: int) -> None:
    assert logged_in(host_bits=host, server_bits=server).client.phase is Phase.CONNECTION


def test_a_server_needs_an_rsa1_host_key_of_another_size() -> None:
    with pytest.raises(ConfigurationError, match="needs an RSA1 host key"):
        SSH1Server(ServerOptions(host_keys=()), server_key=rsa1(768), random=random.randbytes)
    with pytest.raises(ConfigurationError, match="128"):
        SSH1Server(
            ServerOptions(host_keys=(rsa1(832),)), server_key=rsa1(768), random=random.randbytes
        )


def test_a_host_key_that_is_not_trusted_ends_it_before_a_key_is_sent() -> None:
    def refuse(ask: Ask) -> Answer | None:
        if isinstance(ask, AskHostKey):
            assert ask.algorithm == "rsa1"
            return HostKeyRefused(HostKeyUnknown("who is this"))
        return giving(ask)

    made = logged_in(client=refuse)
    assert isinstance(ended(made.client_events), HostKeyUnknown)
    assert isinstance(ended(made.server_events), Disconnected)
    assert not of(KexDone, made.server_events)


def choosing(*answers: Answer) -> Callable[[Ask], Answer | None]:
    """Try one thing after another, then give up."""
    left = list(answers)

    def answer(ask: Ask) -> Answer | None:
        if isinstance(ask, AskAuthentication):
            return left.pop(0) if left else GiveUp(AuthenticationFailed("nothing left"))
        return giving(ask)

    return answer


KEY = TryPublicKey(user_key().public, ("rsa1",))
RIGHT, WRONG = TryPassword(PASSWORD), TryPassword("wrong")
TIS = TryKeyboardInteractive()


@pytest.mark.parametrize(
    ("answers", "method"),
    [
        ([KEY], "publickey"),
        ([RIGHT], "password"),
        ([TIS], "keyboard-interactive"),
        ([TryNone(), WRONG, KEY], "publickey"),
        ([TryPublicKey(rsa1(512).public, ("rsa1",)), WRONG, TIS], "keyboard-interactive"),
    ],
)
def test_methods(answers: list[Answer], method: str) -> None:
    made = logged_in(client=choosing(*answers))
    assert of(Authenticated, made.server_events) == [Authenticated("alice", (method,))]
    assert of(Authenticated, made.client_events) == [Authenticated("alice", (method,))]


def test_what_the_client_is_asked() -> None:
    made = logged_in()
    (ask,) = of(AskAuthentication, made.client_events)
    assert isinstance(ask, AskAuthentication)
    assert ask.can_continue == ("publickey", "password", "keyboard-interactive")
    assert ask.server_algorithms == ("rsa1",)


def test_no_method_is_needed_where_the_policy_says_so() -> None:
    made = logged_in(server=Taking((frozenset(),)))
    assert of(Authenticated, made.server_events) == [Authenticated("alice", ())]
    assert made.client.phase is Phase.CONNECTION


def test_both_methods_where_both_are_needed() -> None:
    made = logged_in(server=Taking(BOTH), client=choosing(KEY, RIGHT))
    assert of(Authenticated, made.server_events) == [
        Authenticated("alice", ("publickey", "password"))
    ]


@pytest.mark.parametrize("answers", [[KEY], [RIGHT], [KEY, KEY], [RIGHT, WRONG]])
def test_one_of_two_is_not_enough(answers: list[Answer]) -> None:
    made = logged_in(server=Taking(BOTH), client=choosing(*answers))
    assert not of(Authenticated, made.server_events)
    assert isinstance(ended(made.client_events), AuthenticationFailed)


@pytest.mark.parametrize(
    ("requirement", "answers"),
    [(frozenset({"publickey"}), [RIGHT, TIS]), (frozenset({"password"}), [KEY, TIS])],
)
def test_methods_that_do_not_count_are_not_even_asked(
    requirement: frozenset[str], answers: list[Answer]
) -> None:
    taking = Taking((requirement,))
    made = logged_in(server=taking, client=choosing(*answers))
    assert not of(Authenticated, made.server_events)
    assert [type(ask).__name__ for ask in taking.asked] == ["AskUser"]


def test_a_wrong_answer_to_the_challenge() -> None:
    def sign_wrongly(ask: Ask) -> Answer | None:
        if isinstance(ask, AskSignature):
            return Denied("no")
        return choose(ask)

    choose = choosing(KEY)
    taking = Taking()
    made = logged_in(client=sign_wrongly, server=taking)
    assert not of(Authenticated, made.server_events)
    assert "AskPublicKey" not in [type(ask).__name__ for ask in taking.asked]
    results = of(AuthResult, made.server_events)
    assert isinstance(results[-1], AuthResult)
    assert "response to the challenge is wrong" in results[-1].detail


def test_unknown_key() -> None:
    made = logged_in(client=choosing(KEY), server=Taking(known=False))
    assert not of(Authenticated, made.server_events)


def test_wrong_tis_answer_and_tis_given_up() -> None:
    def answer(ask: Ask) -> Answer | None:
        return Responses(("a guess",)) if isinstance(ask, AskPrompts) else choose(ask)

    choose = choosing(TIS, RIGHT)
    made = logged_in(client=answer)
    assert of(Authenticated, made.server_events) == [Authenticated("alice", ("password",))]
    (prompts,) = of(AskPrompts, made.client_events)
    assert isinstance(prompts, AskPrompts)
    assert prompts.prompts[0].text == "a riddle\nAnswer: "


def test_attempts_are_limited() -> None:
    made = logged_in(client=choosing(*[WRONG] * 9), limits=Limits(auth_attempts=3))
    assert len(of(AskPassword, made.server_events)) == 3
    error = ended(made.server_events)
    assert isinstance(error, RemoteProtocolError)
    assert error.code is DisconnectCode.NO_MORE_AUTH_METHODS_AVAILABLE
    assert isinstance(ended(made.client_events), Disconnected)


@pytest.mark.parametrize("length", [0, 1, 31, 32, 33, 64])
def test_passwords_arrive_without_their_padding(length: int) -> None:
    made = logged_in(client=choosing(TryPassword("p" * length)))
    (ask,) = of(AskPassword, made.server_events)
    assert isinstance(ask, AskPassword)
    assert ask.password == "p" * length


def test_no_cipher_in_common() -> None:
    made = pair(cipher="blowfish")
    assert isinstance(made.server, SSH1Server)
    made.server._exchange._ciphers = ("des",)
    client = made.client
    client._exchange._ciphers = ("blowfish",)  # type: ignore[attr-defined]
    made.run()
    assert isinstance(ended(made.client_events), NoCommonAlgorithm)


# --- the session ---


def session(made: Pair, request: Request, *before: Request) -> int:
    channel = made.client.connection.open_channel("session")
    for one in (*before, request):
        made.client.connection.send_request(channel, one)
    made.run()
    return channel


def test_a_command_with_its_streams_and_status() -> None:
    made = logged_in()
    channel = session(made, Exec(b"cmd"))
    assert of(ChannelOpened, made.client_events) == [ChannelOpened(channel)]
    (ask,) = of(AskRequest, made.server_events)
    assert isinstance(ask, AskRequest)
    assert ask.request == Exec(b"cmd")
    made.client.connection.send_data(channel, b"input")
    made.client.connection.send_eof(channel)
    made.run()
    number = ask.channel
    assert output(made.server_events, number) == b"input"
    assert of(EofReceived, made.server_events) == [EofReceived(number)]
    server = made.server.connection
    server.send_data(number, b"out")
    server.send_data(number, b"err", 1)
    server.send_request(number, ExitStatus(7))
    server.send_eof(number)
    server.close_channel(number)
    made.run()
    assert output(made.client_events, channel) == b"out"
    assert output(made.client_events, channel, 1) == b"err"
    assert made.client_events[-3:] == [
        RequestReceived(channel, ExitStatus(7)),
        EofReceived(channel),
        ChannelClosed(channel),
    ]
    assert made.server_events[-2:] == [ChannelClosed(number), ConnectionEnded(None)]
    made.client.receive_eof()
    made.run()
    assert made.client_events[-1] == ConnectionEnded(None)


def test_a_shell_at_a_terminal() -> None:
    made = logged_in()
    encoded = modes.encode({modes.Mode.VINTR: 3, modes.Mode.ECHO: 1, 128: 38400, 129: 9600})
    terminal = PtyRequest("xterm", 81, 25, 640, 480, encoded)
    channel = session(made, Shell(), terminal)
    asked = [ask.request for ask in made.server_events if isinstance(ask, AskRequest)]
    assert asked == [terminal, Shell()]
    made.client.connection.send_request(channel, WindowChange(100, 40, 0, 0), want_reply=False)
    made.run()
    assert RequestReceived(0, WindowChange(100, 40, 0, 0)) in made.server_events


def refusing(kind: type[Request]) -> Taking:
    class Refusing(Taking):
        def __call__(self, ask: Ask) -> Answer | None:
            if isinstance(ask, AskRequest) and isinstance(ask.request, kind):
                return Denied()
            return super().__call__(ask)

    return Refusing()


def test_a_terminal_that_is_refused() -> None:
    made = logged_in(server=refusing(PtyRequest))
    channel = made.client.connection.open_channel("session")
    token = made.client.connection.send_request(channel, PtyRequest("x", 1, 1, 0, 0, b"\0"))
    made.run()
    assert made.client_events[-1] == RequestAnswered(channel, token, False)
    # Closed before anything runs, the session can be had once more.
    made.client.connection.close_channel(channel)
    assert session(made, Exec(b"cmd")) == channel


def test_a_command_that_is_refused_ends_the_connection() -> None:
    made = logged_in(server=refusing(Exec))
    session(made, Exec(b"cmd"))
    assert isinstance(ended(made.client_events), RequestFailed)


def test_one_session_for_each_connection() -> None:
    made = logged_in()
    session(made, Shell())
    with pytest.raises(LocalProtocolError, match="one session"):
        made.client.connection.open_channel("session")


def test_what_ssh1_has_no_word_for_is_refused_here() -> None:
    made = logged_in()
    channel = made.client.connection.open_channel("session")
    connection = made.client.connection
    tokens = [connection.send_request(channel, one) for one in (Env("A", "b"), Subsystem("x"))]
    assert connection.send_request(channel, Env("A", "b"), want_reply=False) == 0
    made.run()
    assert of(RequestAnswered, made.client_events) == [
        RequestAnswered(channel, token, False) for token in tokens
    ]
    assert not of(AskRequest, made.server_events)
    connection.send_request(channel, Shell())
    token = connection.send_request(channel, Break(1))
    made.run()
    assert made.client_events[-1] == RequestAnswered(channel, token, False)


PUTTYS = (
    b"test -x /usr/lib/sftp-server && exec /usr/lib/sftp-server\n"
    b"test -x /usr/local/lib/sftp-server && exec /usr/local/lib/sftp-server\n"
    b"exec sftp-server"
)


@pytest.mark.parametrize(
    "request_", [Subsystem("sftp"), Exec(PUTTYS), Exec(b"exec /usr/lib/openssh/sftp-server")]
)
def test_sftp_is_a_command_on_the_wire(request_: Request) -> None:
    made = logged_in()
    session(made, request_)
    asked = [ask.request for ask in made.server_events if isinstance(ask, AskRequest)]
    assert asked == [Subsystem("sftp")]


@pytest.mark.parametrize(
    "command", [b"exec sftp-server -d /", b"id; exec sftp-server", b"PATH=$(id); exec sftp-server"]
)
def test_other_commands_are_not_taken_for_sftp(command: bytes) -> None:
    made = logged_in()
    session(made, Exec(command))
    asked = [ask.request for ask in made.server_events if isinstance(ask, AskRequest)]
    assert asked == [Exec(command)]


def test_a_server_without_sftp_may_have_the_program() -> None:
    made = logged_in(server=refusing(Subsystem))
    session(made, Exec(PUTTYS))
    asked = [ask.request for ask in made.server_events if isinstance(ask, AskRequest)]
    assert asked == [Subsystem("sftp"), Exec(PUTTYS)]
    made.client.connection.send_data(0, b"in")
    made.run()
    assert output(made.server_events) == b"in"


def test_a_signal_ends_the_connection_with_its_name() -> None:
    made = logged_in()
    session(made, Exec(b"cmd"))
    made.server.connection.send_data(0, b"last words")
    made.server.connection.send_request(0, ExitSignal("TERM", False, "", ""))
    made.server.connection.close_channel(0)
    made.run()
    assert output(made.client_events) == b"last words"
    error = ended(made.client_events)
    assert isinstance(error, Disconnected)
    assert "TERM" in error.description


def test_closing_a_running_session_ends_the_connection() -> None:
    made = logged_in()
    channel = session(made, Exec(b"cmd"))
    made.client.connection.close_channel(channel)
    made.run()
    assert ended(made.client_events) is None
    assert isinstance(ended(made.server_events), Disconnected)


def test_the_end_of_the_transport() -> None:
    made = logged_in()
    made.client.receive_eof()
    made.run()
    assert isinstance(ended(made.client_events), ConnectionLost)


def test_there_is_no_rekey_and_no_ping() -> None:
    made = logged_in()
    with pytest.raises(LocalProtocolError):
        made.client.rekey()
    with pytest.raises(LocalProtocolError):
        made.client.ping()


@pytest.mark.parametrize("compress", [False, True])
def test_a_megabyte_both_ways(compress: bool) -> None:
    made = logged_in(compress=compress, cipher="blowfish")
    session(made, Exec(b"cat"))
    text = random.Random(1).randbytes(1 << 19) + bytes(1 << 19)
    for engine, events in ((made.client, made.server_events), (made.server, made.client_events)):
        left = memoryview(text)
        while left:
            left = left[engine.connection.send_data(0, left) :]
            made.run()
        assert output(events) == text


def test_a_full_outbox_takes_no_more() -> None:
    made = logged_in(limits=Limits(ssh1_output=100_000))
    session(made, Exec(b"cat"))
    taken = made.client.connection.send_data(0, bytes(1 << 20))
    assert 0 < taken <= 100_000
    assert made.client.connection.send_data(0, bytes(1 << 20)) == 0
    made.run()
    assert Writable(0) in made.client_events
    assert made.client.connection.send_data(0, b"more") == 4


def test_readers_that_do_not_keep_up_stop_the_packet_loop() -> None:
    made = logged_in(limits=Limits(window_initial=1000))
    session(made, Exec(b"cat"))
    for _ in range(10):
        made.client.connection.send_data(0, bytes(500))
        made.run()
    assert not made.server.wants_input
    assert len(output(made.server_events)) == 1500
    for got in (3000, 4500, 5000):
        made.server.connection.adjust_window(0, 1500)
        made.run()
        assert len(output(made.server_events)) == got
    assert made.server.wants_input
    with pytest.raises(LocalProtocolError, match="window adjust"):
        made.server.connection.adjust_window(0, 501)


def test_a_slow_decision_stops_the_packet_loop() -> None:
    def leave_open(ask: Ask) -> Answer | None:
        return None if isinstance(ask, AskRequest) else taking(ask)

    taking = Taking()
    made = logged_in(server=leave_open)
    session(made, Exec(b"cat"))
    made.client.connection.send_data(0, b"early")
    made.run()
    assert not made.server.wants_input
    assert output(made.server_events) == b""
    (ask,) = of(AskRequest, made.server_events)
    assert isinstance(ask, AskRequest)
    made.server.answer(ask.ask_id, Granted())
    made.run()
    assert output(made.server_events) == b"early"


def test_trace_shows_messages() -> None:
    made = logged_in(trace=True)
    seen = [
        (event.direction, event.payload[0])
        for event in made.client_events
        if isinstance(event, MessageSeen)
    ]
    assert seen[:4] == [("in", 2), ("out", 3), ("in", 14), ("out", 4)]


# --- forwarding ---


DIRECT = string(b"example.org") + u32(80) + string(b"10.0.0.1") + u32(4711)


def forwarded(made: Pair) -> tuple[int, int]:
    channel = made.client.connection.open_channel("direct-tcpip", DIRECT)
    made.run()
    asks = [ask for ask in made.server_events if isinstance(ask, AskOpen)]
    assert asks[-1].channel_type == "direct-tcpip"
    assert asks[-1].data == string(b"example.org") + u32(80) + string(b"10.0.0.1") + u32(0)
    return channel, asks[-1].channel


def test_local_forwarding() -> None:
    made = logged_in()
    ours, theirs = forwarded(made)
    made.client.connection.send_data(ours, b"request")
    made.client.connection.send_eof(ours)
    made.server.connection.send_data(theirs, b"response")
    made.run()
    assert output(made.server_events, theirs) == b"request"
    assert EofReceived(theirs) in made.server_events
    assert output(made.client_events, ours) == b"response"
    made.server.connection.send_eof(theirs)
    made.run()
    assert ChannelClosed(ours) in made.client_events
    assert ChannelClosed(theirs) in made.server_events


def test_a_forwarding_that_is_refused() -> None:
    def refuse(ask: Ask) -> Answer | None:
        return OpenRefused() if isinstance(ask, AskOpen) else Taking()(ask)

    made = logged_in(server=refuse)
    channel = made.client.connection.open_channel("direct-tcpip", DIRECT)
    made.run()
    refused = made.client_events[-1]
    assert isinstance(refused, ChannelRefused)
    assert refused.channel == channel


def test_closing_a_channel_while_the_peer_still_sends() -> None:
    made = logged_in()
    ours, theirs = forwarded(made)
    made.client.connection.close_channel(ours)
    made.server.connection.send_data(theirs, b"too late")
    made.run()
    assert output(made.client_events, ours) == b""
    assert EofReceived(theirs) in made.server_events
    assert ChannelClosed(ours) not in made.client_events
    made.server.connection.send_eof(theirs)
    made.run()
    assert ChannelClosed(ours) in made.client_events
    assert ChannelClosed(theirs) in made.server_events


def test_a_peer_that_takes_no_more_says_so_as_openssh_does() -> None:
    made = logged_in()
    ours, theirs = forwarded(made)
    peer = made.client.connection._channels[ours].peer  # type: ignore[attr-defined]
    made.client._outbox.send(msg.ChannelCloseConfirmation(peer))  # type: ignore[attr-defined]
    made.run()
    assert RequestReceived(theirs, EndOfWrite()) in made.server_events
    assert EofReceived(ours) in made.client_events
    with pytest.raises(LocalProtocolError):
        made.server.connection.send_data(theirs, b"nobody reads this")


def test_closing_a_channel_before_it_is_open() -> None:
    made = logged_in()
    channel = made.client.connection.open_channel("direct-tcpip", DIRECT)
    made.client.connection.close_channel(channel)
    made.run()
    assert ChannelOpened(channel) not in made.client_events
    (theirs,) = [ask.channel for ask in made.server_events if isinstance(ask, AskOpen)]
    made.server.connection.close_channel(theirs)
    made.run()
    assert made.client_events[-1] == ChannelClosed(channel)


def test_remote_forwarding() -> None:
    made = logged_in()
    asked = string(b"localhost") + u32(8080)
    token = made.client.connection.send_global_request("tcpip-forward", asked)
    made.run()
    assert made.client_events[-1] == GlobalRequestAnswered(token, True, b"")
    (ask,) = of(AskGlobalRequest, made.server_events)
    assert isinstance(ask, AskGlobalRequest)
    assert (ask.name, ask.data) == ("tcpip-forward", asked)
    data = string(b"localhost") + u32(8080) + string(b"10.0.0.9") + u32(5)
    made.server.connection.open_channel("forwarded-tcpip", data)
    made.run()
    (opened,) = of(AskOpen, made.client_events)
    assert isinstance(opened, AskOpen)
    assert opened.channel_type == "forwarded-tcpip"
    assert opened.data == string(b"localhost") + u32(8080) + string(b"10.0.0.9") + u32(0)


def test_a_server_can_connect_nowhere_that_was_not_asked_for() -> None:
    made = logged_in()
    made.server._outbox.send(msg.PortOpen(9, "10.0.0.1", 22, string(b"")))  # type: ignore[attr-defined]
    made.run()
    assert not of(AskOpen, made.client_events)
    # The server hears no, for a channel that it knows nothing of.
    assert isinstance(ended(made.server_events), RemoteProtocolError)


def test_ports_are_forwarded_before_the_session_alone() -> None:
    made = logged_in()
    session(made, Shell())
    asked = string(b"localhost") + u32(8080)
    token = made.client.connection.send_global_request("tcpip-forward", asked)
    made.run()
    assert made.client_events[-1] == GlobalRequestAnswered(token, False, b"")


def test_agent_forwarding() -> None:
    made = logged_in()
    session(made, Shell(), OtherRequest("auth-agent-req@openssh.com", b""))
    asked = [ask.request.NAME for ask in made.server_events if isinstance(ask, AskRequest)]
    assert asked == ["auth-agent-req@openssh.com", "shell"]
    made.server.connection.open_channel("auth-agent@openssh.com")
    made.run()
    (opened,) = of(AskOpen, made.client_events)
    assert isinstance(opened, AskOpen)
    assert opened.channel_type == "auth-agent@openssh.com"


def test_an_agent_that_was_not_offered() -> None:
    made = logged_in()
    session(made, Shell())
    made.server.connection.open_channel("auth-agent@openssh.com")
    made.run()
    assert not of(AskOpen, made.client_events)
    assert of(ChannelRefused, made.server_events)


def test_the_exit_status_waits_for_forwarded_channels() -> None:
    made = logged_in()
    session(made, Exec(b"cmd"))
    _, theirs = forwarded(made)
    made.server.connection.send_request(0, ExitStatus(3))
    made.server.connection.close_channel(0)
    made.run()
    assert not of(RequestReceived, made.client_events)
    made.server.connection.close_channel(theirs)
    made.run()
    assert RequestReceived(0, ExitStatus(3)) in made.client_events
