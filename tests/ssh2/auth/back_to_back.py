"""Both sides of authentication without a transport: what one sends, the other is handed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from nacre.errors import AuthenticationFailed
from nacre.keys import PrivateKey, generate
from nacre.limits import DEFAULT_LIMITS, Limits
from nacre.protocol.asks import (
    Answer,
    Ask,
    AskAuthentication,
    AskKeyboardInteractive,
    AskPassword,
    AskPublicKey,
    Asks,
    AskSignature,
    AskUser,
    Challenge,
    Denied,
    GiveUp,
    Granted,
    Prompt,
    SessionProof,
    Signature,
    UserRequirement,
)
from nacre.protocol.events import Event
from nacre.protocol.options import ClientOptions, ServerOptions, algorithms
from nacre.protocol.requirement import Alternative
from nacre.ssh2.auth.client import ClientAuth
from nacre.ssh2.auth.messages import InteractiveRequest, PasswordRequest, UserauthRequest
from nacre.ssh2.auth.server import ServerAuth
from nacre.ssh2.auth.stages import LEGAL
from nacre.wire.message import Record

SESSION_ID = bytes(range(32))
ED25519 = generate("ssh-ed25519")
HOST_KEY = generate("ssh-ed25519")
SESSION = SessionProof(SESSION_ID, HOST_KEY.public, HOST_KEY.sign(SESSION_ID, "ssh-ed25519"))
GAVE_UP = AuthenticationFailed("nothing left to try")

Policy = dict[type[Ask], Callable[[Any], Answer]]


class Outbox:
    """Keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def send(self, payload: bytes, asked: object = None) -> None:
        assert isinstance(payload, bytes)
        self.sent.append(payload)


class Side:
    """One role with its outbox, its events and its questions."""

    auth: ClientAuth | ServerAuth

    def __init__(self) -> None:
        self.outbox = Outbox()
        self.events: list[Event] = []
        self.asks = Asks(self.events)

    def deliver(self, payload: bytes) -> None:
        """Hand over a message as the engine does: only when it is legal, as a memoryview."""
        assert payload[0] in LEGAL[self.auth.stage], (payload[0], self.auth.stage)
        assert not self.asks.blocking, "no message is looked at while a question is open"
        self.auth.receive(memoryview(bytearray(payload)))

    def sent(self) -> list[bytes]:
        taken, self.outbox.sent = self.outbox.sent, []
        return taken

    def take(self, kind: type[Any]) -> list[Any]:
        """Take the events of a kind."""
        found = [event for event in self.events if isinstance(event, kind)]
        self.events[:] = [event for event in self.events if not isinstance(event, kind)]
        return found

    def question(self, kind: type[Any]) -> Any:
        """Take the one open question, which must be of this kind."""
        (ask,) = self.take(Ask)
        assert type(ask) is kind, ask
        return ask

    def reply(self, kind: type[Ask], answer: Answer) -> Any:
        """Answer the one open question, and return it."""
        ask = self.question(kind)
        assert self.asks.answer(ask.ask_id, answer)
        return ask

    def obey(self, policy: Policy) -> list[Ask]:
        """Answer all questions by a policy, and return them."""
        asked: list[Ask] = []
        while asks := self.take(Ask):
            for ask in asks:
                asked.append(ask)
                self.asks.answer(ask.ask_id, policy[type(ask)](ask))
        return asked


class ServerSide(Side):
    def __init__(self, limits: Limits = DEFAULT_LIMITS, signatures: str | None = None) -> None:
        super().__init__()
        options = ServerOptions(
            host_keys=(), limits=limits, algorithms=algorithms(signatures=signatures)
        )
        self.auth: ServerAuth = ServerAuth(
            self.outbox,  # type: ignore[arg-type]
            self.events,
            self.asks,
            options,
            SESSION,
        )

    def request(self, method: str, fields: Record | bytes = b"", user: str = "alice") -> None:
        encoded = fields.encode() if isinstance(fields, Record) else fields
        self.deliver(UserauthRequest(user, "ssh-connection", method, encoded).encode())

    def password(self, password: str = "secret", user: str = "alice") -> None:
        self.request("password", PasswordRequest(False, password), user)

    def interactive(self) -> None:
        self.request("keyboard-interactive", InteractiveRequest("", ""))


class ClientSide(Side):
    def __init__(self, limits: Limits = DEFAULT_LIMITS, user: str = "alice") -> None:
        super().__init__()
        self.auth: ClientAuth = ClientAuth(
            self.outbox,  # type: ignore[arg-type]
            self.events,
            self.asks,
            ClientOptions(user=user, limits=limits),
            SESSION,
        )


def requires(*alternatives: str) -> UserRequirement:
    """Return a requirement: each text is one alternative.

    Methods are joined by ``+`` if their order does not matter, and by ``>`` if it does.
    """
    return UserRequirement(tuple(map(_alternative, alternatives)))


def _alternative(text: str) -> Alternative:
    return tuple(text.split(">")) if ">" in text else frozenset(filter(None, text.split("+")))


def server_policy(*alternatives: str, banner: str = "") -> Policy:
    """Alice has the password ``secret``, the key ``ED25519`` and the code ``42``."""
    requirement = UserRequirement(requires(*alternatives).requirement, banner)

    def interactive(ask: AskKeyboardInteractive) -> Answer:
        if ask.responses is None:
            return Challenge("Code", "from your token", (Prompt("Code: ", False),))
        return Granted() if ask.responses == ("42",) else Denied()

    return {
        AskUser: lambda ask: requirement,
        AskPassword: lambda ask: Granted() if ask.password == "secret" else Denied(),
        AskPublicKey: lambda ask: Granted() if ask.key == ED25519.public else Denied("not listed"),
        AskKeyboardInteractive: interactive,
    }


def client_policy(answers: Iterable[Answer], key: PrivateKey = ED25519) -> Policy:
    """Try these answers in order, then give up; sign with ``key``."""
    pending = iter(answers)
    return {
        AskAuthentication: lambda ask: next(pending, GiveUp(GAVE_UP)),
        AskSignature: lambda ask: Signature(key.sign(ask.data, ask.algorithm)),
    }


def log_in(client: ClientSide, clients: Policy, server: ServerSide, servers: Policy) -> None:
    """Run both sides until nothing happens any more. Errors of the server come out."""
    client.auth.start()
    while True:
        client.obey(clients)
        to_server = client.sent()
        for payload in to_server:
            server.deliver(payload)
            server.obey(servers)
        to_client = server.sent()
        for payload in to_client:
            client.deliver(payload)
            client.obey(clients)
        if not to_server and not to_client and not client.outbox.sent:
            return
