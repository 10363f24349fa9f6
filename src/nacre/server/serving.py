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
    AskRSAKey                   Policy.rsa_key (SSH-1 only; AskPublicKey follows)
    AuthResult                  recorded, after each attempt
    Authenticated               Policy.authenticated; sessions and forwarding wait for its return
    AskOpen, AskRequest         a Session, whose requests go to Policy.session_request
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from nacre.aio.channel import Channel
from nacre.aio.connection import COMMON, Handlers
from nacre.aio.driver import set_service
from nacre.aio.keepalive import IdleWatch
from nacre.aio.maybe import Maybe, settled
from nacre.aio.versions import RISK, SSH1
from nacre.errors import ConnectionLost, DisconnectCode, NacreError, UnusableKey
from nacre.keys import PublicKey
from nacre.protocol.asks import (
    Answer,
    Ask,
    AskGlobalRequest,
    AskHostBased,
    AskHostSignature,
    AskKeyboardInteractive,
    AskOpen,
    AskPassword,
    AskPublicKey,
    AskRequest,
    AskRSAKey,
    AskUser,
    Denied,
    GlobalGranted,
    Granted,
    OpenRefused,
    PasswordExpired,
    RSAKey,
    Signature,
    UserRequirement,
)
from nacre.protocol.engine import Engine
from nacre.protocol.events import (
    Authenticated,
    AuthResult,
    ConnectionEnded,
    Event,
    GlobalRequestReceived,
    KexDone,
    VersionReceived,
)
from nacre.protocol.hostkeys import ANNOUNCE, PROVE
from nacre.protocol.requests import Request
from nacre.protocol.tcpip import (
    CANCELLED_BY_CLIENTS,
    OPENED_BY_CLIENTS,
    REQUESTED_BY_CLIENTS,
)
from nacre.server.peer import ServerConnection
from nacre.server.policy import ANY_METHOD, Policy
from nacre.server.questions import Questions
from nacre.server.refusals import Refusals
from nacre.server.session import Session
from nacre.server.settings import ServerSettings
from nacre.wire.numbers import MAIN, STDERR, OpenFailure
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.server.forwarding.forwards import ServerForwards
    from nacre.server.x11 import ForwardedDisplay


_SIGNING = 10.0
"""Seconds that a program which holds a host key has for a signature."""


class Host(Protocol):
    """The server, as its connections see it.

    :ivar refusals: logs connections that the server does not admit.
    """

    refusals: Refusals

    @property
    def closing(self) -> bool:
        """Whether the server takes no more connections and sessions."""

    def admit(self, connection: Serving) -> str | None:
        """Count the connection among those that log in, or return why it may not."""

    def logged_in(self, connection: Serving) -> None:
        """Count the connection no longer among those that log in."""

    def ended(self, connection: Serving) -> None:
        """Count a connection no longer that exchanges nothing more; its client may linger."""

    def forget(self, connection: Serving) -> None:
        """Remove a connection whose client is gone."""

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a session's handler in a task that the server waits for."""


class Serving(ServerConnection):
    """Serves one client's connection.

    :ivar server: the server it belongs to.
    :ivar settings: what the server's settings were when the client connected.
    :ivar offence: the field of :class:`~nacre.config.server.penalties.PenaltyRules` that the
        connection costs its network if it ends before the login.
    """

    handlers: ClassVar[Handlers]

    __slots__ = (
        "_dropped",
        "_forwards",
        "_grace",
        "_policy_failed",
        "_questions",
        "_sessions",
        "offence",
        "server",
        "settings",
    )

    def __init__(self, server: Host, settings: ServerSettings, engine: Engine, number: int) -> None:
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
        self._questions = Questions(self, settings.policy)
        self._sessions: dict[int, Session] = {}
        self._forwards: ServerForwards | None = None
        self._policy_failed = False
        self._dropped = False
        # The types of channels, where a timeout depends on them.
        self.offence = "noauth"
        self._grace: asyncio.TimerHandle | None = None

    @property
    def sessions(self) -> tuple[Session, ...]:
        """The open sessions."""
        return tuple(self._sessions.values())

    # --- from the transport to the login ---

    def transport_made(self) -> None:
        """Start the login, or disconnect when the server does not admit the client."""
        transport = self.driver.transport
        assert transport is not None
        self.peer = _address(transport.get_extra_info("peername"))
        self.local = _address(transport.get_extra_info("sockname"))
        self.host = self.peer[0]
        if refusal := self.server.admit(self):
            self._dropped = True
            self.server.refusals.note(self, refusal)
            self.fail(
                ConnectionLost(refusal),
                DisconnectCode.TOO_MANY_CONNECTIONS,
                f"{refusal}; try again later",
            )
            return
        self.record("accepted", local="{}:{}".format(*self.local))
        if self.settings.login_grace:
            self._grace = self.loop.call_later(self.settings.login_grace, self._on_grace_over)

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

    def _on_host_signature(self, ask: AskHostSignature) -> None:
        async def sign() -> None:
            answer: Signature | Denied = Denied()
            try:
                answer = Signature(await self._sign_held(ask.key, ask.data, ask.algorithm))
            except NacreError as error:
                self._record_unsigned(error)
            self.answer(ask.ask_id, answer)

        self.spawn(sign())

    async def _sign_held(self, key: PublicKey, data: bytes, algorithm: str) -> bytes:
        """Return the signature of a host key that another program holds.

        :raises NacreError: it makes none, or none in time.
        """
        if self.terms.sign_host is None:
            raise UnusableKey("no program holds the host key")
        try:
            async with asyncio.timeout(_SIGNING):
                return await self.terms.sign_host(key, data, algorithm)
        except TimeoutError:
            raise UnusableKey(f"no answer within {_SIGNING:g} seconds") from None

    def _record_unsigned(self, error: NacreError) -> None:
        self.record("error", what="no signature with a host key", error=safe(str(error)))

    def _announce_host_keys(self) -> None:
        """Tell the client all host keys, so that it can learn those that it lacks."""
        if self.protocol != SSH1 and (blobs := self.settings.announced.announcement):
            self.driver.touch().connection.send_global_request(ANNOUNCE, blobs, want_reply=False)

    async def _prove_host_keys(self, ask: AskGlobalRequest) -> None:
        proofs = None
        assert self.algorithms is not None
        try:
            proofs = await self.settings.announced.prove(
                ask.data, self.session_id, self.algorithms.host_key, self._sign_held
            )
        except NacreError as error:
            self._record_unsigned(error)
        self.answer(ask.ask_id, Denied() if proofs is None else GlobalGranted(proofs))

    # --- authentication: at most one question is open at a time ---

    def _consult(self, ask: Ask, question: Callable[[Policy], Maybe[Any]]) -> None:
        """Answer ``ask`` with the policy's answer: True grants, and what is no answer denies."""

        def conclude(answer: bool | Answer | None) -> None:
            if answer is True:
                answer = Granted()
            if self._policy_failed or not isinstance(answer, ask.ANSWERS):
                answer = Denied("the policy refuses")
            self.answer(ask.ask_id, answer)

        self._questions.ask_then(question, conclude)

    def _on_user(self, ask: AskUser) -> None:
        self.methods = ()
        resolve = self.terms.resolve
        if resolve is None:
            self._require(ask)
            return

        async def look_up(resolve: Callable[[str], Awaitable[str]]) -> None:
            self.host = await resolve(self.peer[0])
            self._require(ask)

        self.spawn(look_up(resolve))

    def _require(self, ask: AskUser) -> None:
        """Ask the policy which methods the user must pass."""

        def conclude(requirement: UserRequirement | None) -> None:
            if self.terms.refuse:
                self._refuse(ask.user)
                return
            if not isinstance(requirement, UserRequirement):
                self._policy_failed = True
                requirement = ANY_METHOD
            if requirement.banner is None:
                requirement = replace(requirement, banner=self.settings.banner)
            self.answer(ask.ask_id, requirement)

        self._questions.ask_then(lambda policy: policy.requirement(ask.user, self), conclude)

    def _refuse(self, user: str) -> None:
        """End the connection of a user who may not even try (RefuseConnection)."""
        self.offence = "refuseconnection"
        self.record("refused", name=safe(user), reason="RefuseConnection is set")
        self.fail(
            ConnectionLost("the configuration refuses the connection"),
            DisconnectCode.BY_APPLICATION,
            "this server does not take your connection",
        )

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

    def _on_host_based(self, ask: AskHostBased) -> None:
        self._consult(ask, lambda p: p.host_based(ask.user, ask.host, self))

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

    def _on_authenticated(self, event: Authenticated) -> None:
        if self._grace is not None:
            self._grace.cancel()
            self._grace = None
        self.user, self.methods = event.user, event.methods
        self.record("authenticated", methods=",".join(event.methods))
        self.server.logged_in(self)
        self.start_keepalive()
        self._announce_host_keys()
        self._watch_idle()
        self._questions.welcome()

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
            self.answer(ask.ask_id, Granted())

    def _on_request_ask(self, ask: AskRequest) -> None:
        session = self._sessions.get(ask.channel)
        if session is None:
            self.answer(ask.ask_id, Denied())  # on a channel that is relayed
        else:
            session.decide(ask)

    # --- what sessions ask of their host ---

    async def wait_welcomed(self) -> None:
        """Return when the policy has taken note of the user's login."""
        await self._questions.wait_welcomed()

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

            self._forwards = ServerForwards(self, self._questions, self.settings.limits.listeners)
        return self._forwards

    def _on_global_request(self, ask: AskGlobalRequest) -> None:
        async def decide() -> None:
            self.answer(ask.ask_id, await self._forwarding().decide(ask.name, ask.data))

        if ask.name in REQUESTED_BY_CLIENTS:
            self.spawn(decide())
        elif ask.name == PROVE:
            self.spawn(self._prove_host_keys(ask))
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
        if self._grace is not None:
            self._grace.cancel()
        self._on_ended(event)
        self.server.ended(self)
        if self._dropped:
            return
        self.record("closed", reason="closed" if self.error is None else str(self.error))


def _address(name: object) -> tuple[str, int]:
    """Return host and port; for a Unix socket its path, or "", and 0."""
    if isinstance(name, tuple):
        return str(name[0]), int(name[1])
    return (name if isinstance(name, str) else ""), 0


Serving.handlers = {
    **COMMON,
    VersionReceived: Serving._on_server_version,
    KexDone: Serving._on_server_kex_done,
    AskHostSignature: Serving._on_host_signature,
    AskUser: Serving._on_user,
    AskPassword: Serving._on_password,
    AskPublicKey: Serving._on_public_key,
    AskHostBased: Serving._on_host_based,
    AskRSAKey: Serving._on_rsa_key,
    AskKeyboardInteractive: Serving._on_keyboard_interactive,
    AuthResult: Serving._on_auth_result,
    Authenticated: Serving._on_authenticated,
    AskGlobalRequest: Serving._on_global_request,
    AskOpen: Serving._on_open,
    AskRequest: Serving._on_request_ask,
    ConnectionEnded: Serving._on_server_ended,
    GlobalRequestReceived: Serving._on_global_notice,
}
