"""Serves one client's connection: the engine's questions and events, from login to end.

Goals: every question (``Ask``) of the engine gets exactly one answer; a policy that raises, or
returns anything but a permitted answer, has refused; nothing that a client can delay is awaited
in a handler of an event. Which method answers which question is in the table at the bottom.

A login, in order (SSH-2; the engine asks one question at a time)::

    transport_made              Host.admit, or disconnect; the login grace time starts
    VersionReceived, KexDone    recorded
    AskHostSignature            the program that holds the host key, in a key exchange
    AskUser                     Policy.requirement -> the methods that suffice, and the banner
    AskPublicKey signed=False   Policy.public_key: would this key do?
    AskPublicKey signed=True    Policy.public_key: the signature is verified
    AskPassword                 Policy.password, or change_password when the client sends a new one
    AskKeyboardInteractive      Policy.keyboard_interactive, until it returns True or False
    AskHostBased                Policy.host_based: the host's signature is verified
    AskSecurityStep             a token of GSSAPI, in a login or a key exchange: nacre.gss takes it
    AskPrincipal                Policy.gssapi: the client's MIC is verified
    AskRSAKey                   Policy.rsa_key (SSH-1 only; AskPublicKey follows)
    AuthResult                  recorded, after each attempt
    AskHandover                 another process goes on, which begins with Resumed, or this one
    Authenticated               Policy.authenticated; sessions and forwarding wait for its return
    AskOpen, AskRequest         a Session, whose requests go to Policy.session_request
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from fnmatch import fnmatchcase
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

from nacre.aio.channel import Channel
from nacre.aio.connection import COMMON, Handlers, answer_computed
from nacre.aio.driver import set_service
from nacre.aio.keepalive import IdleWatch
from nacre.aio.versions import RISK, SSH1
from nacre.errors import ConnectionLost, DisconnectCode, ProtocolError
from nacre.protocol.asks import (
    Answer,
    Ask,
    AskArithmetic,
    AskGlobalRequest,
    AskHandover,
    AskHostSignature,
    AskOpen,
    AskRequest,
    Denied,
    Granted,
    OpenRefused,
)
from nacre.protocol.engine import Engine
from nacre.protocol.events import (
    Authenticated,
    AuthResult,
    ConnectionEnded,
    Event,
    GlobalRequestReceived,
    KexDone,
    Resumed,
    VersionReceived,
)
from nacre.protocol.hostkeys import PROVE
from nacre.protocol.phases import Phase
from nacre.protocol.requests import Request
from nacre.protocol.tcpip import (
    CANCELLED_BY_CLIENTS,
    OPENED_BY_CLIENTS,
    REQUESTED_BY_CLIENTS,
)
from nacre.server.admission.denials import ExactTimer, LoginPace
from nacre.server.admission.proxy_header import ClientOrigin
from nacre.server.admission.refusals import Refusals
from nacre.server.handover import hand_over
from nacre.server.hostkeys import announce, prove, sign_exchange
from nacre.server.judge import Judge
from nacre.server.peer import ServerConnection, address_of
from nacre.server.questions import Questions
from nacre.server.session import Session
from nacre.server.settings import ServerSettings
from nacre.sftp.server.receipts import UNKEPT
from nacre.wire.numbers import MAIN, STDERR, OpenFailure
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.server.forwarding.forwards import ServerForwards
    from nacre.server.x11 import ForwardedDisplay


T = TypeVar("T")

_OFFENCES = {"authfail": "authfail", "grace_exceeded": "grace-exceeded", "crash": "protocol"}
"""What counts for bans, by the field of the penalties."""


class Host(Protocol):
    """The server, as its connections see it.

    :ivar refusals: logs connections that the server does not admit.
    :ivar timer: has answers wait that deny a login.
    """

    refusals: Refusals
    timer: ExactTimer

    @property
    def closing(self) -> bool:
        """Whether the server takes no more connections and sessions."""

    @property
    def busy(self) -> bool:
        """Whether a session's handler runs."""

    def admit(self, connection: Serving) -> str | None:
        """Count the connection among those that log in, or return why it may not."""

    def logged_in(self, connection: Serving) -> None:
        """Count the connection no longer among those that log in."""

    def ended(self, connection: Serving) -> bool:
        """Count a connection no longer that ends; return whether its client may linger."""

    def forget(self, connection: Serving) -> None:
        """Remove a connection whose client is gone."""

    def compute(self, connection: Serving, work: Callable[[], T]) -> Awaitable[T]:
        """Do the arithmetic of a key exchange in a thread, in the turn of the client's network."""

    def look_up(self, connection: Serving, work: Callable[[], T]) -> Awaitable[T]:
        """Look a name of a client's up in a thread, in the turn of the client's network."""

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a session's handler in a task that the server waits for."""


class Serving(ServerConnection):
    """Serves one client's connection.

    :ivar server: the server it belongs to.
    :ivar settings: what the server's settings were when the client connected.
    :ivar since: when the client connected, in seconds since the epoch.
    :ivar is_check: whether a proxy looks whether the server is there: it has no client.
    :ivar dropped: whether the server did not admit it, or gave its place to another client.
    :ivar offence: the field of :class:`~nacre.config.server.penalties.PenaltyRules` that the
        connection costs its network if it ends before the login.
    """

    handlers: ClassVar[Handlers]

    __slots__ = (
        "_forwards",
        "_grace",
        "_judge",
        "_origin",
        "_pace",
        "_proving",
        "_questions",
        "_sessions",
        "dropped",
        "is_check",
        "offence",
        "server",
        "settings",
        "since",
    )

    def __init__(
        self,
        server: Host,
        settings: ServerSettings,
        engine: Engine,
        number: int,
        origin: ClientOrigin | None = None,
    ) -> None:
        super().__init__(
            engine,
            number,
            settings.log,
            keepalive=settings.keepalive,
            keepalive_count=settings.keepalive_count,
            terms=settings.terms,
            accept_env=settings.accept_env,
        )
        self.server = server
        self.settings = settings
        self._origin = origin
        self.is_check = False
        self._questions = Questions(self, settings.policy)
        self._judge = settings.judge(self, self._questions, settings.banner)
        self._pace = LoginPace()
        self._proving: asyncio.Task[None] | None = None
        self._sessions: dict[int, Session] = {}
        self._forwards: ServerForwards | None = None
        self.since = time.time()
        self.dropped = False
        # The types of channels, where a timeout depends on them.
        self.offence = "noauth"
        self._grace: asyncio.TimerHandle | None = None

    @property
    def sessions(self) -> tuple[Session, ...]:
        """The open sessions."""
        return tuple(self._sessions.values())

    def in_use(self) -> tuple[Mapping[int, Session], int]:
        """Return the open sessions by their channels, and on how many places it listens."""
        return self._sessions, 0 if self._forwards is None else self._forwards.listens

    # --- from the transport to the login ---

    def transport_made(self) -> None:
        """Start the login, or disconnect when the server does not admit the client."""
        transport = self.driver.transport
        assert transport is not None
        self.peer = address_of(transport.get_extra_info("peername"))
        self.local = address_of(transport.get_extra_info("sockname"))
        if self._origin is not None:
            self.is_check = self._origin.is_check
            self.peer, self.local = self._origin.peer, self._origin.local
        self.host = self.peer[0]
        if refusal := self.server.admit(self):
            self.drop(refusal)
            return
        if self.engine.phase is Phase.CONNECTION:
            return  # another process accepted it and let the user in
        if not self.is_check:
            self._record_accepted()
        if self.settings.login_grace:
            self._grace = self.loop.call_later(self.settings.login_grace, self._on_grace_over)

    def _record_accepted(self) -> None:
        more = {}
        if self._origin is not None and not self.is_check:
            more["proxy"] = "{}:{}".format(*self._origin.proxy)
        self.record("accepted", local="{}:{}".format(*self.local), **more)

    def drop(self, reason: str) -> None:
        """Disconnect a client that the server does not admit, or whose place goes to another."""
        self.dropped = True
        self.server.refusals.note(self, reason=reason)
        self.fail(
            ConnectionLost(reason),
            DisconnectCode.TOO_MANY_CONNECTIONS,
            f"{reason}; try again later",
        )

    def transport_lost(self) -> None:
        """Tell the server that the connection has ended."""
        super().transport_lost()
        self.server.forget(self)

    def _fail_because_of(self, error: Exception, event: Event) -> None:
        self.offence = "crash"
        super()._fail_because_of(error, event)

    def _on_grace_over(self) -> None:
        seconds = self.settings.login_grace
        self.offence = "grace_exceeded"
        self.fail(
            ConnectionLost(f"not logged in within {seconds:g} seconds"),
            DisconnectCode.BY_APPLICATION,
            f"not logged in within {seconds:g} seconds",
        )

    def _on_server_version(self, event: VersionReceived) -> None:
        self._on_version(event)
        if self.is_check:
            self._record_accepted()  # it speaks SSH: what it does is in the log
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

    def _on_arithmetic(self, ask: AskArithmetic) -> None:
        self.spawn(answer_computed(self, ask, self.server.compute(self, ask.compute)))

    # --- authentication: at most one question is open at a time ---

    def _on_login_ask(self, ask: Ask) -> None:
        self._pace.take(ask, self._judge.take)

    def answer(self, ask_id: int, answer: Answer) -> None:
        """Answer a question of the engine; one that denies a login late."""
        due = self._pace.due(ask_id, answer)
        if due is None:
            super().answer(ask_id, answer)
        else:
            self.spawn(self._answer_at(due, ask_id, answer))

    def answer_remotely(self, ask_id: int, answer: Answer, at_once: bool) -> None:
        """Answer a question of a login that another process has judged.

        :param at_once: whether nothing was looked up in a thread for it.
        """
        with self._pace.judging(at_once):
            self.answer(ask_id, answer)

    async def _answer_at(self, due: float, ask_id: int, answer: Answer) -> None:
        await self.server.timer.sleep_until(due)
        super().answer(ask_id, answer)

    def refuse(self, user: str) -> None:
        """End the connection of a user who may not even try (RefuseConnection)."""
        self.offence = "refuseconnection"
        self.record("refused", name=safe(user), reason="RefuseConnection is set")
        self.fail(
            ConnectionLost("the configuration refuses the connection"),
            DisconnectCode.BY_APPLICATION,
            "this server does not take your connection",
        )

    def _on_auth_result(self, event: AuthResult) -> None:
        self._pace.attempted()
        if event.attempt:
            self.offence = "authfail"
        if event.outcome == "partial":
            self.methods = (*self.methods, event.method)
        self.record(
            "auth",
            name=safe(event.user),
            method=event.method,
            detail=event.detail,
            outcome=event.outcome,
            attempt=event.attempt,
        )

    def _on_handover(self, ask: AskHandover) -> None:
        assert self.settings.hand_over is not None
        self.server.spawn(hand_over(self, ask, self.settings.hand_over, self.left))

    def left(self) -> None:
        """Note that another process serves the connection."""
        self.ended = True
        self._end_grace()
        self._keepalive.stop()
        for task in self._tasks:
            self.loop.call_soon(task.cancel)
        self.server.logged_in(self)

    def _on_resumed(self, event: Resumed) -> None:
        self._on_version(event.version)
        self._on_kex_done(event.keys)
        if event.login is not None:
            self._go_on(event.login)

    def _end_grace(self) -> None:
        if self._grace is not None:
            self._grace.cancel()
            self._grace = None

    def _on_authenticated(self, event: Authenticated) -> None:
        self._end_grace()
        self.user, self.methods = event.user, event.methods
        self.record("authenticated", methods=",".join(event.methods))
        self.server.logged_in(self)
        announce(self, self.settings.announced)
        self._go_on(event)
        if self.trail is not None:
            self.spawn(self._end_unless_recorded())

    async def _end_unless_recorded(self) -> None:
        """End the connection if the record of its login can't be kept where it must be."""
        if not await self.record_is_kept():
            self.fail(ConnectionLost(UNKEPT), DisconnectCode.BY_APPLICATION, UNKEPT)

    def _go_on(self, login: Authenticated) -> None:
        """Serve a user who is in."""
        self.user, self.methods = login.user, login.methods
        self.start_keepalive()
        self._watch_idle()
        self._questions.welcome(self)

    # --- rest ---

    @property
    def at_rest(self) -> bool:
        """Whether another process can go on with the connection, as far as its engine can, too."""
        forwards, unused = self._forwards, self.terms.unused_timeout
        return not (
            self.ended
            or self._tasks
            or self._pings
            or self._global_answers
            or self.server.closing
            or self.server.busy
            or (forwards is not None and forwards.listens)
            or unused  # whose clock would begin anew
        )

    # --- timeouts ---

    def _watch_idle(self) -> None:
        terms = self.terms
        if terms.channel_timeouts or terms.unused_timeout:
            IdleWatch(self, terms.channel_timeouts, terms.unused_timeout, self._tell_idle)

    def _tell_idle(self, channel: Channel) -> None:
        self.record("timeout", channel=channel.number, type=channel.kind)

    # --- sessions ---

    def _on_open(self, ask: AskOpen) -> None:
        if ask.channel_type != "session" and ask.channel_type not in OPENED_BY_CLIENTS:
            refusal = OpenRefused(
                OpenFailure.UNKNOWN_CHANNEL_TYPE, f"no {safe(ask.channel_type, 64)} channels here"
            )
            self.answer(ask.ask_id, refusal)
        elif self.server.closing:
            self.answer(
                ask.ask_id, OpenRefused(OpenFailure.RESOURCE_SHORTAGE, "the server is stopping")
            )
        elif ask.channel_type != "session":
            self.spawn(self._forwarding().open(ask))
        else:
            channel = Channel(self.engine, self.driver, ask.channel, {MAIN, STDERR})
            channel.kind = ask.channel_type
            self.add_channel(channel)
            self._sessions[ask.channel] = Session(self, channel, self)
            self.settings.on_session()
            self.answer(ask.ask_id, Granted())

    def _on_request_ask(self, ask: AskRequest) -> None:
        session = self._sessions.get(ask.channel)
        if session is None:
            self.answer(ask.ask_id, Denied())  # on a channel that is relayed
        else:
            session.decide(ask)

    # --- what sessions ask of their host ---

    async def wait_welcomed(self) -> None:
        """Return when the policy has taken note of the user's login, and host keys are proved.

        OpenSSH's client asks for the proofs before it opens a session, and does not wait for them
        when the session has ended: a short command would keep it from learning the keys.
        """
        await self._questions.wait_welcomed()
        if self._proving is not None:
            await asyncio.wait({self._proving})

    async def allows(self, session: Session, request: Request) -> bool:
        """Ask the policy about a shell, command, subsystem or terminal."""
        answer = await self._questions.ask(lambda p: p.session_request(session, request))
        return answer is True

    async def allows_agent(self, session: Session) -> bool:
        """Ask the policy whether the session may use the client's agent."""
        return await self._questions.ask(lambda p: p.agent_forwarding(session)) is True

    async def display(self, session: Session, data: bytes) -> ForwardedDisplay | None:
        """Return a display that leads to the client's, if the policy allows one."""
        reason, found = "not allowed", None
        if await self._questions.ask(lambda p: p.x11_forwarding(session)) is True:
            from nacre.server.x11 import open_display

            opened = await open_display(self, data)
            reason, found = (opened, None) if isinstance(opened, str) else ("", opened)
        more = {"reason": reason} if found is None else {"display": found.name}
        self.record("session", request="x11", granted=found is not None, **more)
        return found

    def accepts_variable(self, name: str) -> bool:
        """Tell whether clients may set this environment variable."""
        return any(fnmatchcase(name, pattern) for pattern in self.accept_env)

    def serves(self, request: Request) -> bool:
        """Tell whether there is something to serve ``request`` with."""
        return self.settings.serves(request)

    async def serve(self, session: Session) -> int | None:
        """Serve a session that was granted; returns the exit status, where None is 0."""
        interactive, bulk = self.terms.ip_qos
        set_service(self.driver, bulk if session.terminal is None else interactive)
        return await self.settings.serve(session)

    def run(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a session's handler in a task that the server waits for."""
        return self.server.spawn(work)

    def session_ended(self, number: int) -> None:
        """Forget the session on this channel, whose number is free again."""
        del self._sessions[number]
        if self.server.closing and not self._sessions:
            self.close()

    # --- forwarding ---

    def _forwarding(self) -> ServerForwards:
        if self._forwards is None:
            from nacre.server.forwarding.forwards import ServerForwards

            lookups = partial(self.server.look_up, self)
            self._forwards = ServerForwards(self, self._questions, lookups, self.settings.limits)
        return self._forwards

    def _on_global_request(self, ask: AskGlobalRequest) -> None:
        async def decide() -> None:
            self.answer(ask.ask_id, await self._forwarding().decide(ask.name, ask.data))

        if ask.name in REQUESTED_BY_CLIENTS:
            self.spawn(decide())
        elif ask.name == PROVE:
            self._proving = self.spawn(prove(self, self.settings.announced, ask))
        else:
            self._on_global_ask(ask)

    def _on_global_notice(self, event: GlobalRequestReceived) -> None:
        async def decide() -> None:
            await self._forwarding().decide(event.name, event.data)

        # Others without a reply are ignored: their client could not learn whether it has the port.
        if event.name in CANCELLED_BY_CLIENTS:
            self.spawn(decide())

    # --- the end ---

    def _on_server_ended(self, event: ConnectionEnded) -> None:
        self._end_grace()
        self._on_ended(event)
        if not self.server.ended(self):
            self.driver.half_close = False
        if self.dropped or (self.is_check and not self.protocol):
            return
        more = {} if (offence := _offence_of(self)) is None else {"offence": offence}
        self.record("closed", reason="closed" if self.error is None else str(self.error), **more)


def _offence_of(connection: Serving) -> str | None:
    """Return what the end of a connection without a login counts as, for bans; or None."""
    if connection.settings.bans is None or connection.user or connection.server.closing:
        return None
    if connection.is_check or connection.is_exempt:
        return None
    if connection.offence == "noauth":
        return "protocol" if isinstance(connection.error, ProtocolError) else "scan"
    return _OFFENCES.get(connection.offence)


Serving.handlers = {
    **COMMON,
    **dict.fromkeys(Judge.handlers, Serving._on_login_ask),
    VersionReceived: Serving._on_server_version,
    KexDone: Serving._on_server_kex_done,
    AskArithmetic: Serving._on_arithmetic,
    AskHostSignature: sign_exchange,
    AuthResult: Serving._on_auth_result,
    AskHandover: Serving._on_handover,
    Resumed: Serving._on_resumed,
    Authenticated: Serving._on_authenticated,
    AskGlobalRequest: Serving._on_global_request,
    AskOpen: Serving._on_open,
    AskRequest: Serving._on_request_ask,
    ConnectionEnded: Serving._on_server_ended,
    GlobalRequestReceived: Serving._on_global_notice,
}
