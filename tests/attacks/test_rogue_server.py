"""Servers that turn on their clients: what they ask for, and what they have shown."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest

import nacre
from attacks.links import Crooked, error, inside, key_holder, of, policy, refused, say
from nacre.errors import Disconnected, NacreError, RemoteProtocolError
from nacre.keys import generate
from nacre.limits import KIB, Limits
from nacre.protocol.asks import (
    Answer,
    Ask,
    AskAuthentication,
    AskGlobalRequest,
    AskNewPassword,
    AskOpen,
    AskPrompts,
    AskRequest,
    AskSignature,
    AskUser,
    GiveUp,
    NewPassword,
    Responses,
    TryKeyboardInteractive,
)
from nacre.protocol.events import (
    AuthBanner,
    ChannelOpened,
    ChannelRefused,
    Data,
    DebugReceived,
    Event,
    RequestReceived,
)
from nacre.protocol.phases import Phase
from nacre.protocol.requests import Break, Env, Exec, PtyRequest, Shell, Signal, Subsystem
from nacre.ssh2.auth.messages import (
    InfoPrompt,
    InfoRequest,
    PasswordChangeRequest,
    PublicKeyOk,
    UserauthBanner,
    UserauthFailure,
)
from nacre.ssh2.connection.messages import (
    ChannelOpen,
    ChannelOpenFailure,
    ChannelRequest,
    GlobalRequest,
)
from nacre.ssh2.transport.messages import Debug, Disconnect, ExtInfo
from nacre.testing import Answers, Pair, agreeable, host_key
from nacre.wire.message import Record

ESCAPES = "\x1b]0;owned\x07\x1b[2J\x9b31m\r\x08\u202etxt\u2066\U000e0041"


def printable(text: str, keep: str = "\n\t") -> bool:
    return all(character.isprintable() or character in keep for character in text)


def strings(value: object) -> Iterator[str]:
    """Return every text in an event, or in a value of one."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, tuple | list):
        for item in value:
            yield from strings(item)
    elif isinstance(value, Record):
        for name in value.FIELDS:
            yield from strings(getattr(value, name))
    elif isinstance(value, Event | NacreError) or hasattr(value, "__dataclass_fields__"):
        for name in getattr(value, "__dataclass_fields__", None) or ("args",):
            yield from strings(getattr(value, name))


def open_session(**options: object) -> Pair:
    pair = Crooked(**options)  # type: ignore[arg-type]
    pair.run()
    pair.client.connection.open_channel("session")
    pair.run()
    return pair


# --- what a server asks for ---


@pytest.mark.parametrize("kind", ["session", "direct-tcpip", "direct-streamlocal@openssh.com"])
def test_channels_that_only_clients_open(kind: str) -> None:
    """RFC 4254 section 6.1: a client that took a session would run programs for its server."""
    pair = open_session()
    say(pair, pair.server, ChannelOpen(kind, 7, 1 << 20, 1 << 15, b"").encode())
    assert not of(pair.client_events, AskOpen)
    assert len(of(pair.client_events, ChannelOpened)) == 1
    # The refusal is for a channel that the server's engine never asked for itself.
    assert isinstance(error(pair.server_events), RemoteProtocolError)


@pytest.mark.parametrize(
    "kind", ["auth-agent@openssh.com", "x11", "forwarded-tcpip", "nobody@example.com"]
)
def test_channels_that_nobody_asked_for(kind: str) -> None:
    """CVE-2023-38408's way in: the agent. Without a yes of the owner there is no channel."""
    pair = open_session(
        answers_client=lambda ask: None if isinstance(ask, AskOpen) else agreeable(ask)
    )
    say(pair, pair.server, ChannelOpen(kind, 7, 1 << 20, 1 << 15, b"").encode())
    (ask,) = of(pair.client_events, AskOpen)
    assert ask.channel_type == kind
    say(pair, pair.server, b"\x5e" + ask.channel.to_bytes(4, "big") + b"\0\0\0\1x")
    assert not of(pair.client_events, Data)
    refused(pair, pair.client, RemoteProtocolError, "not legal")


@pytest.mark.parametrize(
    "request_",
    [
        Exec(b"id"),
        Shell(),
        Subsystem("sftp"),
        PtyRequest("xterm", 80, 24, 0, 0, b""),
        Env("PATH", "/tmp"),
        Signal("KILL"),
        Break(500),
    ],
    ids=lambda request: request.NAME,
)
@pytest.mark.parametrize("want_reply", [False, True])
def test_requests_that_only_clients_send(request_: Record, want_reply: bool) -> None:
    """RFC 4254 section 6.5: clients SHOULD refuse them; here nobody even hears of them."""
    pair = open_session()
    outbox = inside(pair.server)._outbox
    name = request_.NAME  # type: ignore[attr-defined]
    outbox.send_parts(ChannelRequest(0, name, want_reply, request_.encode()).encode(), b"")
    pair.client.receive(bytes(pair.server.take_output()), 0.0)
    events = pair.client.take_events()
    assert not of(events, AskRequest)
    assert not of(events, RequestReceived)
    assert bool(pair.client.take_output()) == want_reply
    assert pair.client.phase is Phase.CONNECTION


@pytest.mark.parametrize(
    "name", ["tcpip-forward", "streamlocal-forward@openssh.com", "no-more-sessions@openssh.com"]
)
def test_global_requests_that_only_clients_send(name: str) -> None:
    pair = open_session()
    inside(pair.server)._outbox.send_parts(GlobalRequest(name, True, b"").encode(), b"")
    pair.client.receive(bytes(pair.server.take_output()), 0.0)
    assert not of(pair.client.take_events(), AskGlobalRequest)
    assert pair.client.phase is Phase.CONNECTION


@pytest.mark.parametrize("kind", ["auth-agent@openssh.com", "x11", "forwarded-tcpip"])
async def test_the_library_s_client_opens_nothing_for_its_server(kind: str) -> None:
    """Nobody who only calls ``connect`` has to know of agents and forwarding to be safe."""

    async def handler(session: nacre.Session) -> int:
        return 0

    asked: list[Event] = []
    async with (
        nacre.listen(
            host_keys=[host_key()], policy=nacre.Users({"alice": "secret"}), handler=handler
        ) as server,
        nacre.connect(
            "127.0.0.1",
            server.port,
            user="alice",
            password="secret",
            trust=nacre.AnyHostKey(),
            trace=lambda event, now: asked.append(event),
        ) as ssh,
    ):
        (connection,) = server.connections
        inside(connection.engine)._outbox.send_parts(
            ChannelOpen(kind, 7, 1 << 20, 1 << 15, b"").encode(), b""
        )
        connection.driver.touch()
        async with asyncio.timeout(30):
            await connection.wait_closed()
            await ssh.wait_closed()
        # It was refused: that is a message for a channel which the server does not know.
        assert "channel 7, which does not exist" in str(connection.error)
    assert of(asked, AskOpen)
    assert not of(asked, ChannelOpened)


# --- authentication ---


def test_a_key_accepted_that_was_not_offered() -> None:
    """A server that names another key would have it sign what it was not offered for."""
    key, other = generate("ssh-ed25519"), generate("ssh-ed25519")

    def says(payload: bytes) -> list[bytes]:
        if payload[0] == 60:
            return [PublicKeyOk("ssh-ed25519", other.public.blob).encode()]
        return [payload]

    pair = Crooked(
        answers_client=key_holder(key, "ssh-ed25519", lambda data: b""),
        answers_server=policy("publickey", known=key.public),
        server_says=says,
    )
    pair.run()
    refused(pair, pair.client, RemoteProtocolError, "that was not offered")
    assert not of(pair.client_events, AskSignature)


def test_a_request_for_a_password_in_the_place_of_a_key_s() -> None:
    """Message 60 means three things; the method in use says which."""
    key = generate("ssh-ed25519")

    def says(payload: bytes) -> list[bytes]:
        if payload[0] == 60:
            return [PasswordChangeRequest("your password, please", "").encode()]
        return [payload]

    pair = Crooked(
        answers_client=key_holder(key, "ssh-ed25519", lambda data: b""),
        answers_server=policy("publickey", known=key.public),
        server_says=says,
    )
    pair.run()
    assert isinstance(error(pair.client_events), RemoteProtocolError)
    assert not of(pair.client_events, AskNewPassword)


def endless(ask: Ask) -> Answer | None:
    match ask:
        case AskNewPassword():
            return NewPassword("old", "new")
        case AskPrompts(prompts=prompts):
            return Responses(("x",) * len(prompts))
    return agreeable(ask)


def repeating(answers_client: Answers, methods: str, payload: bytes) -> Pair:
    """Let a server that does not decide say the same to each request of the client's."""
    base = policy(methods)
    pair = Pair(
        answers_client=answers_client,
        answers_server=lambda ask: base(ask) if isinstance(ask, AskUser) else None,
    )
    pair.run()
    for _ in range(100):
        inside(pair.server)._outbox.send_parts(payload, b"")
        pair.client.receive(bytes(pair.server.take_output()), 0.0)
        pair._settle(pair.client, pair.client_events)
        pair.client.take_output()
    return pair


def test_new_passwords_without_end() -> None:
    wants = PasswordChangeRequest("expired", "").encode()
    pair = repeating(endless, "password", wants)
    assert len(of(pair.client_events, AskNewPassword)) == Limits().auth_rounds
    refused(pair, pair.client, RemoteProtocolError, "asks for more than 16 new passwords")


def test_rounds_of_prompts_without_end() -> None:
    """The server shows its prompts as often as it likes, up to a bound."""
    prompt = InfoRequest("", "", "", 1, InfoPrompt("Password: ", False).encode()).encode()

    def answers(ask: Ask) -> Answer | None:
        return TryKeyboardInteractive() if isinstance(ask, AskAuthentication) else endless(ask)

    pair = repeating(answers, "keyboard-interactive", prompt)
    assert len(of(pair.client_events, AskPrompts)) == Limits().auth_rounds
    refused(pair, pair.client, RemoteProtocolError, "prompts more than 16 times")


@pytest.mark.parametrize("names", [("password\x1b[2J",), ("pass word",), ("",), ("",) * 3])
def test_methods_with_names_that_are_none(names: tuple[str, ...]) -> None:
    names = (*names, "password")
    failure = b"\x33" + len(",".join(names)).to_bytes(4, "big") + ",".join(names).encode() + b"\0"

    def answers(ask: Ask) -> Answer | None:
        if isinstance(ask, AskAuthentication) and ask.can_continue:
            return GiveUp(NacreError("enough"))
        return agreeable(ask)

    pair = Crooked(answers_client=answers, server_says=lambda p: [failure] if p[0] == 52 else [p])
    pair.run()
    for ask in of(pair.client_events, AskAuthentication):
        assert all(printable(name) for name in ask.can_continue)
        assert set(ask.can_continue) <= {"password"}


def test_a_list_of_methods_without_end() -> None:
    failure = UserauthFailure(tuple(["password"] * 20_000), False).encode()
    pair = Crooked(server_says=lambda p: [failure] if p[0] == 52 else [p])
    pair.run()
    refused(pair, pair.client, RemoteProtocolError, "list of authentication methods is too long")


def test_banners_without_end() -> None:
    """What is shown of them, all together, is bounded."""
    banner = UserauthBanner("x" * 10 * KIB, "").encode()
    pair = Crooked(server_says=lambda p: [*[banner] * 50, p] if p[0] == 52 else [p])
    pair.run()
    assert pair.client.phase is Phase.CONNECTION
    assert sum(len(e.text) for e in of(pair.client_events, AuthBanner)) <= Limits().banner


@pytest.mark.parametrize("names", [b"", b",", b"\xff\xfe", b"x," * 10_000, b"ssh-rsa\0"])
def test_signature_algorithms_that_are_none(names: bytes) -> None:
    """RFC 8308 section 3.1: no list of them may stop a password, or break the client."""
    info = ExtInfo({"server-sig-algs": names}).encode()
    pair = Crooked(server_says=lambda p: [info] if p[0] == 7 else [p])
    pair.run()
    assert pair.client.phase is Phase.CONNECTION


# --- what a server has shown ---


def shown_by(says: Callable[[bytes], list[bytes]], **options: object) -> list[Event]:
    pair = Crooked(server_says=says, **options)  # type: ignore[arg-type]
    pair.run()
    return pair.client_events


def test_disconnect_texts_are_safe() -> None:
    """CVE-2003-0063 and its kind: a terminal obeys what is printed on it."""
    bye = Disconnect(2, ESCAPES, ESCAPES).encode()
    found = error(shown_by(lambda p: [bye] if p[0] == 6 else [p]))
    assert isinstance(found, Disconnected)
    assert printable(found.description)
    assert printable(str(found))
    assert "owned" in str(found)


def test_debug_texts_are_safe() -> None:
    debug = Debug(True, ESCAPES, "").encode()
    (event,) = of(shown_by(lambda p: [debug, p] if p[0] == 6 else [p]), DebugReceived)
    assert printable(event.text)


def test_banners_are_safe() -> None:
    banner = UserauthBanner("line\r\n" + ESCAPES, "").encode()
    (event,) = of(shown_by(lambda p: [banner, p] if p[0] == 52 else [p]), AuthBanner)
    assert printable(event.text)
    assert event.text.startswith("line\n")


def test_prompts_are_safe() -> None:
    """Prompts are the best place to ask for what another program should have been told."""
    prompt = InfoRequest(
        ESCAPES, ESCAPES, ESCAPES, 2, InfoPrompt(ESCAPES, True).encode() * 2
    ).encode()

    def answers(ask: Ask) -> Answer | None:
        if isinstance(ask, AskAuthentication):
            return TryKeyboardInteractive()
        return None if isinstance(ask, AskPrompts) else agreeable(ask)

    events = shown_by(lambda p: [prompt] if p[0] in {51, 60} else [p], answers_client=answers)
    (ask,) = of(events, AskPrompts)
    assert len(ask.prompts) == 2
    assert all(map(printable, strings(ask)))


def test_prompts_for_new_passwords_are_safe() -> None:
    wants = PasswordChangeRequest(ESCAPES, "").encode()
    events = shown_by(
        lambda p: [wants] if p[0] == 52 else [p],
        answers_client=lambda ask: None if isinstance(ask, AskNewPassword) else agreeable(ask),
    )
    (ask,) = of(events, AskNewPassword)
    assert printable(ask.prompt)


def test_reasons_for_refused_channels_are_safe() -> None:
    no = ChannelOpenFailure(0, 1, ESCAPES, ESCAPES).encode()
    pair = open_session(server_says=lambda p: [no] if p[0] == 91 else [p])
    (event,) = of(pair.client_events, ChannelRefused)
    assert printable(event.description)


def test_names_in_errors_are_safe() -> None:
    """What breaks the rules is quoted in the error, and errors are printed."""
    for payload in (
        ChannelOpen("x" + ESCAPES, 0, 1, 1, b"").encode(),
        ChannelRequest(0, ESCAPES, True, b"").encode(),
        GlobalRequest(ESCAPES, True, b"").encode(),
    ):
        pair = open_session()
        say(pair, pair.server, payload)
        assert printable(str(error(pair.client_events)))
