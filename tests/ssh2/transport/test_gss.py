"""Key exchanges by GSSAPI (RFC 4462 section 2.1): one side by itself, and both over engines."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from contexts import GSS, FakeContext, stepping
from nacre.crypto.kex.gss import METHODS
from nacre.errors import KexFailed, MalformedMessage, NacreError, NoCommonAlgorithm, PacketTooLarge
from nacre.protocol.asks import (
    Answer,
    Ask,
    AskAuthentication,
    AskHostKey,
    AskPrincipal,
    AskSecurityStep,
    AskUser,
    Denied,
    Granted,
    TryGSSAPIKeyex,
    UserRequirement,
)
from nacre.protocol.events import Authenticated, ConnectionEnded, ExtensionsReceived, KexDone
from nacre.protocol.options import ClientOptions, ServerOptions
from nacre.protocol.phases import Phase
from nacre.ssh2.transport.gss import Established, GssExchange
from nacre.ssh2.transport.kex import HOST_BOUND_EXTENSION
from nacre.ssh2.transport.messages import (
    GssComplete,
    GssContinue,
    GssError,
    GssHostKey,
    GssInitiate,
)
from nacre.testing import Pair, agreeable, host_key

METHOD = METHODS[GSS]


def s(text: bytes) -> bytes:
    return len(text).to_bytes(4, "big") + text


@pytest.mark.parametrize(
    ("message", "data"),
    [
        (GssInitiate(b"token", b"e"), b"\x1e" + s(b"token") + s(b"e")),
        (GssContinue(b"token"), b"\x1f" + s(b"token")),
        (GssComplete.of(b"f", b"mic", b""), b"\x20" + s(b"f") + s(b"mic") + b"\0"),
        (
            GssComplete.of(b"f", b"mic", b"token"),
            b"\x20" + s(b"f") + s(b"mic") + b"\1" + s(b"token"),
        ),
        (GssHostKey(b"key"), b"\x21" + s(b"key")),
        (GssError(1, 2, "no", "en"), b"\x22\0\0\0\1\0\0\0\2" + s(b"no") + s(b"en")),
    ],
)
def test_layouts_as_in_the_rfc(message: Any, data: bytes) -> None:
    assert message.encode() == data
    assert type(message).decode(memoryview(data)) == message


def test_a_token_that_is_announced_is_the_last_field() -> None:
    assert GssComplete.of(b"f", b"mic", b"token").token() == b"token"
    for bad in GssComplete(b"f", b"mic", True, b""), GssComplete(b"f", b"mic", False, b"more"):
        with pytest.raises(MalformedMessage):
            bad.token()


def exchange(most: int = 100) -> GssExchange:
    return GssExchange(METHOD, os.urandom, lambda *parts: b"|".join(parts), most)


class Client:
    """A client's exchange up to its first message, and the server's answer to that."""

    def __init__(self) -> None:
        self.steps: Any = exchange().client()
        asked = next(self.steps)
        assert isinstance(asked, AskSecurityStep)
        self.context = FakeContext()
        self.sent: Any = self.steps.send(self.context.step(b""))
        assert isinstance(self.sent, GssInitiate)
        self.host_key = b""

    def complete(self, token: bytes = b"acceptor 1", key: bytes = b"shared") -> GssComplete:
        acceptor = FakeContext(initiates=False, key=key)
        acceptor.step(self.sent.token)
        public, secret = METHOD.respond(self.sent.public, os.urandom)
        hashed = b"|".join((self.host_key, self.sent.public, public, secret))
        return GssComplete.of(public, acceptor.mic(hashed), token)

    def take(self, message: Any) -> Any:
        step = self.steps.send(message.encode())
        if isinstance(step, AskSecurityStep):
            step = self.steps.send(self.context.step(step.token))
        return step

    def end(self, message: Any) -> Established:
        with pytest.raises(StopIteration) as stop:
            self.take(message)
        ended: Established = stop.value.value
        return ended


def test_a_client_takes_the_servers_mic_over_the_hash() -> None:
    client = Client()
    assert client.end(client.complete()) == Established(client.context)


def test_a_host_key_is_hashed_and_nothing_else() -> None:
    client = Client()
    client.host_key = b"a blob"
    assert client.take(GssHostKey(b"a blob")) is None
    assert client.end(client.complete()).context is client.context
    other = Client()
    other.take(GssHostKey(b"another blob"))
    with pytest.raises(KexFailed, match="MIC"):
        other.take(other.complete())


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ([lambda c: c.complete(key=b"another")], "MIC"),
        ([lambda c: c.complete(token=b"")], "too early"),
        ([lambda c: c.complete(token=b"garbage")], "a bad token"),
        ([lambda c: GssContinue(b"garbage")], "a bad token"),
        ([lambda c: GssError(1, 2, "no\x1b key", "en")], r"no\\x1b key"),
        ([lambda c: GssHostKey(b"a"), lambda c: GssHostKey(b"b")], "too late, or twice"),
    ],
)
def test_a_client_refuses(answers: list[Callable[[Client], Any]], why: str) -> None:
    client = Client()
    for answer in answers[:-1]:
        client.take(answer(client))
    with pytest.raises(NacreError, match=why):
        client.take(answers[-1](client))


def test_tokens_and_mics_are_bounded() -> None:
    for message in (GssContinue(bytes(101)), GssComplete.of(b"", b"", bytes(101))):
        with pytest.raises(PacketTooLarge):
            Client().take(message)
    client = Client()
    with pytest.raises(PacketTooLarge):
        client.take(GssComplete.of(METHOD.initiate(os.urandom).public, bytes(101), b"acceptor 1"))
    server: Any = exchange().server()
    assert next(server) is None
    with pytest.raises(PacketTooLarge):
        server.send(GssInitiate(bytes(101), b"").encode())


def test_a_server_without_a_context_fails() -> None:
    server: Any = exchange().server()
    next(server)
    asked = server.send(GssInitiate(b"garbage", b"").encode())
    with pytest.raises(NacreError, match="no security context: no key"):
        server.send(Denied("no key"))
    assert asked.token == b"garbage"


# --- both engines ---


def pair(
    answers: Callable[[Ask], Answer | None] = agreeable,
    *,
    client: tuple[str, ...] = (GSS,),
    server: tuple[str, ...] = (GSS,),
) -> Pair:
    def of(initiates: bool) -> Callable[[Ask], Answer | None]:
        def answer(ask: Ask) -> Answer | None:
            match ask:
                case AskHostKey() if server:
                    raise AssertionError("there is no host key to ask about")
                case AskAuthentication(session=session) if session and session.context:
                    return TryGSSAPIKeyex()
                case AskUser() if server:
                    return UserRequirement((frozenset({"gssapi-keyex"}),))
                case AskPrincipal():
                    return Granted()
            return stepping(ask, initiates) or answers(ask)

        return answer

    both = Pair(
        client=ClientOptions(user="alice", gss_kex=client),
        server=ServerOptions(host_keys=(host_key(),), gss_kex=server),
        answers_client=of(True),
        answers_server=of(False),
    )
    both.run()
    return both


def test_an_exchange_has_no_host_key_and_its_context_logs_in() -> None:
    both = pair()
    assert both.client.phase is both.server.phase is Phase.CONNECTION
    done = [event for event in both.client_events if isinstance(event, KexDone)]
    assert [(event.host_key, event.chosen.kex) for event in done] == [(None, GSS)]
    methods = [e.methods for e in both.server_events if isinstance(e, Authenticated)]
    assert methods == [("gssapi-keyex",)]
    both.client.rekey()
    both.run()
    assert both.client.phase is Phase.CONNECTION


def test_there_is_no_host_key_to_bind_requests_to() -> None:
    told = [e.extensions for e in pair().client_events if isinstance(e, ExtensionsReceived)]
    assert HOST_BOUND_EXTENSION not in told[0]


def test_without_the_servers_offer_a_host_key_is_asked_about() -> None:
    both = pair(server=())
    assert any(isinstance(event, AskHostKey) for event in both.client_events)
    assert not any(isinstance(event, AskSecurityStep) for event in both.client_events)


def test_no_host_key_is_for_gssapi_alone() -> None:
    """A server can't have a client of GSSAPI exchange keys with neither a key nor a context."""
    from nacre.protocol.options import DEFAULT_ALGORITHMS
    from nacre.protocol.phases import Role
    from nacre.ssh2.transport.negotiate import kexinit, negotiate

    client, _ = kexinit(DEFAULT_ALGORITHMS, ("ssh-ed25519",), Role.CLIENT, bytes(16), (GSS,))
    assert client.host_key == ("ssh-ed25519", "null")
    keyless, _ = kexinit(DEFAULT_ALGORITHMS, ("null",), Role.SERVER, bytes(16), (GSS,))
    assert negotiate(client, keyless, Role.CLIENT).host_key == "null"
    plain, _ = kexinit(DEFAULT_ALGORITHMS, ("null",), Role.SERVER, bytes(16))
    with pytest.raises(NoCommonAlgorithm, match="host key"):
        negotiate(client, plain, Role.CLIENT)


def test_a_context_that_fails_ends_the_connection_cleanly() -> None:
    broken = Pair(
        client=ClientOptions(user="alice", gss_kex=(GSS,)),
        server=ServerOptions(host_keys=(host_key(),), gss_kex=(GSS,)),
        answers_client=lambda ask: stepping(ask, True),
        answers_server=lambda ask: Denied("no key in the key tab"),
    )
    broken.run()
    ended, told = (
        next(e.error for e in events if isinstance(e, ConnectionEnded))
        for events in (broken.server_events, broken.client_events)
    )
    assert "no key in the key tab" in str(ended)
    assert "key tab" not in str(told)  # whose file is nobody else's business
