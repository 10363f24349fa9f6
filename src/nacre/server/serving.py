"""A server's connection."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, TypeVar

from nacre.aio.channel import Channel
from nacre.aio.connection import COMMON, Handlers
from nacre.aio.versions import RISK, SSH1, Engines
from nacre.errors import ConnectionLost, DisconnectCode
from nacre.protocol.asks import (
    Answer,
    Ask,
    AskGlobalRequest,
    AskKeyboardInteractive,
    AskOpen,
    AskPassword,
    AskPublicKey,
    AskRequest,
    AskRSAKey,
    AskUser,
    Denied,
    Granted,
    OpenRefused,
    PasswordExpired,
    RSAKey,
    UserRequirement,
)
from nacre.protocol.events import (
    Authenticated,
    AuthResult,
    ConnectionEnded,
    GlobalRequestReceived,
    KexDone,
    VersionReceived,
)
from nacre.protocol.options import ServerOptions
from nacre.protocol.tcpip import CANCEL, DIRECT, LISTEN
from nacre.server.peer import Host, Log, Maybe, ServerConnection
from nacre.server.policy import ANY_METHOD, Policy, settled
from nacre.server.session import Session
from nacre.server.startups import MaxStartups, Startups
from nacre.wire.numbers import OpenFailure
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.server.tcpip import ServerForwards
    from nacre.sftp.filesystems.base import Filesystem

T = TypeVar("T")
Handler: TypeAlias = Callable[[Session], Coroutine[Any, Any, int | None]]
FilesystemFactory: TypeAlias = Callable[[Session], "Filesystem"]

_logger = logging.getLogger("nacre.server")


def to_logging(record: Mapping[str, object]) -> None:
    """Log a record as ``key=value`` words on the logger ``nacre.server``, its fields as extras."""
    text = " ".join(f"{key}={value}" for key, value in record.items())
    _logger.info("%s", text, extra={"nacre": dict(record)})


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """What a server's connections are told when they come in; see :func:`nacre.listen`."""

    options: ServerOptions
    engines: Engines
    policy: Policy
    handler: Handler | None
    sftp: FilesystemFactory | None
    serve: Handler
    login_grace: float
    max_startups: MaxStartups
    startups: Startups
    keepalive: float | None
    keepalive_count: int
    banner: str
    accept_env: tuple[str, ...]
    log: Log


class Serving(ServerConnection):
    """Serves one client's connection."""

    handlers: ClassVar[Handlers]
    settings: ServerSettings

    __slots__ = ("_forwards", "_grace", "_policy_failed", "_sessions", "_welcome")

    def __init__(self, server: Host, settings: ServerSettings, number: int) -> None:
        super().__init__(
            settings.engines(settings.options),
            server,
            settings,
            number,
            keepalive=settings.keepalive,
            keepalive_count=settings.keepalive_count,
        )
        self._sessions: dict[int, Session] = {}
        self._forwards: ServerForwards | None = None
        self._policy_failed = False
        self._grace: asyncio.TimerHandle | None = None
        self._welcome: asyncio.Task[None] | None = None

    @property
    def sessions(self) -> tuple[Session, ...]:
        """The sessions that are open."""
        return tuple(self._sessions.values())

    # --- from the transport to the login ---

    def transport_made(self) -> None:
        """Let the client in, unless too many wait to log in."""
        transport = self.driver.transport
        assert transport is not None
        self.peer = _address(transport.get_extra_info("peername"))
        self.local = _address(transport.get_extra_info("sockname"))
        self.record("accepted", local="{}:{}".format(*self.local))
        if not self.server.admit(self):
            self.fail(
                ConnectionLost("too many connections wait to log in"),
                DisconnectCode.TOO_MANY_CONNECTIONS,
                "too many connections wait to log in; try again later",
            )
        elif self.settings.login_grace:
            self._grace = self.loop.call_later(self.settings.login_grace, self._on_grace_over)

    def transport_lost(self) -> None:
        """The connection is over."""
        super().transport_lost()
        self.server.forget(self)

    def _on_grace_over(self) -> None:
        seconds = self.settings.login_grace
        self.fail(
            ConnectionLost(f"nobody logged in within {seconds:g} seconds"),
            DisconnectCode.BY_APPLICATION,
            f"not logged in within {seconds:g} seconds",
        )

    def _on_server_version(self, event: VersionReceived) -> None:
        self._on_version(event)
        self.record("version", protocol=event.protocol, client=event.remote)
        if event.protocol == SSH1:
            self.record("warning", what=RISK)

    def _on_server_kex_done(self, event: KexDone) -> None:
        self._on_kex_done(event)
        chosen = event.chosen
        self.record(
            "kex" if event.first else "rekey",
            kex=chosen.kex,
            host_key=chosen.host_key,
            cipher_in=chosen.cipher_c2s,
            cipher_out=chosen.cipher_s2c,
            mac_in=chosen.mac_c2s,
            mac_out=chosen.mac_s2c,
            compression_in=chosen.compression_c2s,
            compression_out=chosen.compression_s2c,
        )

    # --- authentication: at most one question is open at a time ---

    async def ask_policy(self, question: Callable[[Policy], Maybe[T]]) -> T | None:
        """Return what the policy says, or None when it failed, which is a no."""
        try:
            return await settled(question(self.settings.policy))
        except Exception as error:
            self.record_error("the policy failed", error)
            return None

    def _ask_policy(
        self, question: Callable[[Policy], Maybe[T]], then: Callable[[T | None], None]
    ) -> None:
        """Give ``then`` what :meth:`ask_policy` returns; a plain method needs no task for it."""
        said: Maybe[T] | None = None
        try:
            said = question(self.settings.policy)
        except Exception as error:
            self.record_error("the policy failed", error)
        if isinstance(said, Awaitable):
            self.spawn(self._wait_for_policy(said, then))
        else:
            then(said)

    async def _wait_for_policy(self, said: Awaitable[T], then: Callable[[T | None], None]) -> None:
        then(await self.ask_policy(lambda _: said))

    def _consult(self, ask: Ask, question: Callable[[Policy], Maybe[Any]]) -> None:
        def conclude(said: bool | Answer | None) -> None:
            if said is True:
                said = Granted()
            if self._policy_failed or not isinstance(said, ask.ANSWERS):
                said = Denied("the policy says no")
            self.answer(ask.ask_id, said)

        self._ask_policy(question, conclude)

    def _on_user(self, ask: AskUser) -> None:
        def conclude(said: UserRequirement | None) -> None:
            if not isinstance(said, UserRequirement):
                self._policy_failed = True
                said = ANY_METHOD
            self.answer(ask.ask_id, replace(said, banner=said.banner or self.settings.banner))

        self._ask_policy(lambda policy: policy.requirement(ask.user, self), conclude)

    def _on_password(self, ask: AskPassword) -> None:
        def question(policy: Policy) -> Maybe[bool | PasswordExpired]:
            if ask.new_password is None:
                return policy.password(ask.user, ask.password, self)
            return policy.change_password(ask.user, ask.password, ask.new_password, self)

        self._consult(ask, question)

    def _on_public_key(self, ask: AskPublicKey) -> None:
        self._consult(
            ask, lambda p: p.public_key(ask.user, ask.key, ask.algorithm, ask.signed, self)
        )

    def _on_rsa_key(self, ask: AskRSAKey) -> None:
        async def question(policy: Policy) -> RSAKey | None:
            key = await settled(policy.rsa_key(ask.user, ask.modulus, self))
            return None if key is None else RSAKey(key)

        self._consult(ask, question)

    def _on_keyboard_interactive(self, ask: AskKeyboardInteractive) -> None:
        self._consult(
            ask, lambda p: p.keyboard_interactive(ask.user, ask.submethods, ask.responses, self)
        )

    def _on_auth_result(self, event: AuthResult) -> None:
        self.record(
            "auth",
            name=safe(event.user),
            method=event.method,
            detail=event.detail,
            outcome=event.outcome,
            attempt=event.attempt,
        )

    def _on_authenticated(self, event: Authenticated) -> None:
        if self._grace is not None:
            self._grace.cancel()
            self._grace = None
        self.user, self.methods = event.user, event.methods
        self.record("authenticated", methods=",".join(event.methods))
        self.server.logged_in(self)
        self.start_keepalive()
        try:
            welcome = self.settings.policy.authenticated(self.user, self.methods, self)
        except Exception as error:
            self._fail_to_welcome(error)
            return
        if welcome is not None:
            self._welcome = self.spawn(self._wait_for_welcome(welcome))

    async def _wait_for_welcome(self, welcome: Awaitable[None]) -> None:
        try:
            await welcome
        except Exception as error:
            self._fail_to_welcome(error)
        finally:
            self._welcome = None

    def _fail_to_welcome(self, error: Exception) -> None:
        self.record_error("the policy failed", error)
        self.fail(
            ConnectionLost("the policy failed"),
            DisconnectCode.BY_APPLICATION,
            "the server can't serve this user now",
        )

    async def wait_welcomed(self) -> None:
        """Return when the policy has taken note of the user."""
        if self._welcome is not None:
            await asyncio.wait({self._welcome})

    # --- sessions ---

    def _on_open(self, ask: AskOpen) -> None:
        if ask.channel_type not in ("session", DIRECT):
            refusal = OpenRefused(
                OpenFailure.UNKNOWN_CHANNEL_TYPE, f"no {safe(ask.channel_type, 64)} channels here"
            )
            self.answer(ask.ask_id, refusal)
        elif self.server.closing:
            self.answer(
                ask.ask_id, OpenRefused(OpenFailure.RESOURCE_SHORTAGE, "the server is stopping")
            )
        elif ask.channel_type == DIRECT:
            self.spawn(self.forwards.connect(ask))
        else:
            channel = Channel(self.engine, self.driver, ask.channel, {0, 1})
            self.add_channel(channel)
            self._sessions[ask.channel] = Session(self, channel)
            self.answer(ask.ask_id, Granted())

    def _on_request_ask(self, ask: AskRequest) -> None:
        self._sessions[ask.channel].decide(ask)

    def session_ended(self, number: int) -> None:
        """A session is over, and the number of its channel free again."""
        del self._sessions[number]
        if self.server.closing and not self._sessions:
            self.close()

    # --- forwarding ---

    @property
    def forwards(self) -> ServerForwards:
        """What the client has forwarded."""
        if self._forwards is None:
            from nacre.server.tcpip import ServerForwards

            self._forwards = ServerForwards(self, self.settings.options.limits.listeners)
        return self._forwards

    def _on_global_request(self, ask: AskGlobalRequest) -> None:
        async def decide() -> None:
            self.answer(ask.ask_id, await self.forwards.decide(ask.name, ask.data))

        if ask.name in (LISTEN, CANCEL):
            self.spawn(decide())
        else:
            self._on_global_ask(ask)

    def _on_global_told(self, event: GlobalRequestReceived) -> None:
        async def decide() -> None:
            await self.forwards.decide(event.name, event.data)

        # A client that asks for a port wants to know whether it has it.
        if event.name == CANCEL:
            self.spawn(decide())

    # --- the end ---

    def _on_server_ended(self, event: ConnectionEnded) -> None:
        if self._grace is not None:
            self._grace.cancel()
        self._on_ended(event)
        self.record("closed", reason="closed" if self.error is None else str(self.error))


def _address(name: object) -> tuple[str, int]:
    """Return host and port; of a socket that has none, its path or nothing."""
    if isinstance(name, tuple):
        return str(name[0]), int(name[1])
    return (name if isinstance(name, str) else ""), 0


Serving.handlers = {
    **COMMON,
    VersionReceived: Serving._on_server_version,
    KexDone: Serving._on_server_kex_done,
    AskUser: Serving._on_user,
    AskPassword: Serving._on_password,
    AskPublicKey: Serving._on_public_key,
    AskRSAKey: Serving._on_rsa_key,
    AskKeyboardInteractive: Serving._on_keyboard_interactive,
    AuthResult: Serving._on_auth_result,
    Authenticated: Serving._on_authenticated,
    AskGlobalRequest: Serving._on_global_request,
    AskOpen: Serving._on_open,
    AskRequest: Serving._on_request_ask,
    ConnectionEnded: Serving._on_server_ended,
    GlobalRequestReceived: Serving._on_global_told,
}
