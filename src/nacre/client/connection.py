"""The client's connection, which :func:`nacre.connect` returns.

The order of reading: questions and events up to the login, questions of the server after it, then
the calls for sessions and for forwarding. What is the same for both roles is in the base class.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeAlias, Unpack, overload

from nacre.aio.channel import Channel
from nacre.aio.connection import COMMON, Handlers, Trace
from nacre.aio.versions import RISK, SSH1
from nacre.aio.waiting import Closes, Opening
from nacre.client.forwarding.calls import ForwardingCalls
from nacre.client.process import (
    NO_MODES,
    Completed,
    Process,
    Run,
    Start,
    run_process,
    start_process,
)
from nacre.client.trust.check import HostKeyAnnouncement, HostKeyCheck
from nacre.crypto.kex.gss import METHODS as GSS
from nacre.crypto.kex.pq import METHODS as POST_QUANTUM
from nacre.errors import (
    AuthenticationFailed,
    DisconnectCode,
    Disconnected,
    NacreError,
    PeerSilent,
)
from nacre.keys.hosts.known_hosts import host_name
from nacre.limits import MIB
from nacre.protocol.asks import (
    Answer,
    Ask,
    AskAuthentication,
    AskHostKey,
    AskNewPassword,
    AskOpen,
    AskPrompts,
    AskRequest,
    AskSecurityStep,
    AskSignature,
    Denied,
    GiveUp,
    Granted,
    HostKeyRefused,
    OpenRefused,
)
from nacre.protocol.engine import Engine
from nacre.protocol.events import (
    AlgorithmsChosen,
    AuthBanner,
    Authenticated,
    AuthResult,
    ConnectionEnded,
    GlobalRequestReceived,
    VersionReceived,
)
from nacre.protocol.hostkeys import ANNOUNCE, PROVE
from nacre.protocol.phases import Phase
from nacre.wire import given
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.client.userkeys import UserKey
    from nacre.gss.initiator import ContextInitiator
    from nacre.sftp.client.client import SFTPClient
    from nacre.sftp.client.options import SFTPOptions

_logger = logging.getLogger("nacre.client")
_kex_logger = logging.getLogger("nacre.client.kex")

MAX_OUTPUT = 16 * MIB
"""Bytes of a command's output that ``run`` keeps by default."""


_Question: TypeAlias = tuple[
    Ask, Callable[[Any], Awaitable[Answer]], Callable[[NacreError], Answer]
]
"""A question, the function that answers it, and the one that makes its errors an answer."""


class LoginAnswers(Protocol):
    """Answers the questions of a login; an error raised here ends the attempt or the connection.

    A method ``hints() -> tuple[str, ...]``, if there is one, returns texts for the error of a login
    that the server ends.
    """

    async def authentication(self, ask: AskAuthentication) -> Answer:
        """Return what to try next."""

    async def signature(self, ask: AskSignature) -> Answer:
        """Sign with a key that was offered."""

    async def prompts(self, ask: AskPrompts) -> Answer:
        """Answer the prompts of keyboard-interactive."""

    async def new_password(self, ask: AskNewPassword) -> Answer:
        """Return the successor of an expired password."""

    def banner(self, text: str) -> None:
        """Show a banner; it is safe to print."""

    def result(self, event: AuthResult) -> None:
        """Note how an attempt ended."""


class Connection(ForwardingCalls, Closes):
    """A client's connection. ``async with`` closes it at the end.

    Any number of tasks may use it at once. When it ends, every call that waits on it raises what
    ended it; ``error`` keeps that.

    :ivar host: the host's name, as passed to :func:`nacre.connect`.
    :ivar port: its port.
    :ivar user: the user's name.
    :ivar methods: the authentication methods that succeeded, in order.
    :ivar trust: what has decided on the host's key.
    :ivar name: how errors name the host when it is a jump host: ``host`` or ``[host]:port``.
    :ivar via: the connection to the jump host that carries this one, or None.
    """

    handlers: ClassVar[Handlers]

    def __init__(
        self,
        engine: Engine,
        *,
        host: str,
        port: int,
        user: str,
        trust: HostKeyCheck,
        login: LoginAnswers,
        keepalive: float | None,
        keepalive_count: int,
        trace: Trace | None,
        gssapi: ContextInitiator | None = None,
    ) -> None:
        super().__init__(engine, keepalive=keepalive, keepalive_count=keepalive_count, trace=trace)
        self.host = host
        self.port = port
        self.user = user
        self.methods: tuple[str, ...] = ()
        self.name = safe(host_name(host, port))
        self.via: Connection | None = None
        self.trust = trust
        self._login = login
        self._gssapi = gssapi
        self._tried: list[str] = []
        self._can_continue: tuple[str, ...] = ()
        self._questions: deque[_Question] = deque()
        self._accepts: tuple[str, ...] = ()
        self._learning: asyncio.Task[None] | None = None

    def _give_peer_up(self, error: PeerSilent) -> None:
        """End the connection; of jump hosts that are silent too, the first is to blame."""
        hop = self.via
        while hop is not None:
            if hop.silent:
                error.hop = hop.name
            hop = hop.via
        super()._give_peer_up(error)

    # --- up to authentication ---

    @property
    def login_key(self) -> UserKey | None:
        """The key that let the user in, if nothing else was needed; otherwise None."""
        return getattr(self._login, "signed", None) if self.methods == ("publickey",) else None

    async def wait_authenticated(self) -> None:
        """Return when the user is logged in, or raise what ended the connection before."""
        while self.engine.phase is not Phase.CONNECTION:
            self.check()
            await self._changed.wait()

    def _address(self) -> str:
        transport = self.driver.transport
        name = transport.get_extra_info("peername") if transport is not None else None
        return str(name[0]) if isinstance(name, tuple) else ""

    def _on_host_key(self, ask: AskHostKey) -> None:
        async def check(ask: AskHostKey) -> Answer:
            await self.trust.check(self.host, self.port, self._address(), ask.key)
            return Granted()

        self._ask_login(ask, check, HostKeyRefused)

    def _on_authentication(self, ask: AskAuthentication) -> None:
        self._session = ask.session
        self._ask_login(ask, self._login.authentication, GiveUp)

    def _on_prompts(self, ask: AskPrompts) -> None:
        self._ask_login(ask, self._login.prompts, GiveUp)

    def _on_signature(self, ask: AskSignature) -> None:
        self._ask_login(ask, self._login.signature, _denied)

    def _on_security_step(self, ask: AskSecurityStep) -> None:
        if self._gssapi is None:
            self.answer(ask.ask_id, Denied("GSSAPI is switched off"))
        else:
            self._ask_login(ask, self._gssapi.step, _denied)

    def _on_new_password(self, ask: AskNewPassword) -> None:
        self._ask_login(ask, self._login.new_password, _denied)

    def _ask_login(
        self,
        ask: Ask,
        question: Callable[[Any], Awaitable[Answer]],
        refusal: Callable[[NacreError], Answer],
    ) -> None:
        """Have a task answer the question; one question is answered at a time."""
        idle = not self._questions
        self._questions.append((ask, question, refusal))
        if idle:
            self.spawn(self._ask_login_all())

    async def _ask_login_all(self) -> None:
        # The question that follows from an answer is asked in the same turn of the loop. If neither
        # waits for anything, NEWKEYS and the request with its signature leave in one write.
        while self._questions:
            await self._ask_login_once(*self._questions[0])
            self._questions.popleft()

    async def _ask_login_once(
        self,
        ask: Ask,
        question: Callable[[Any], Awaitable[Answer]],
        refusal: Callable[[NacreError], Answer],
    ) -> None:
        try:
            self.answer(ask.ask_id, await question(ask))
        except NacreError as error:
            self.answer(ask.ask_id, refusal(error))
        except Exception as error:
            failure = NacreError(f"{type(ask).__name__} got no answer: {error!r}")
            failure.__cause__ = error
            code = DisconnectCode.AUTH_CANCELLED_BY_USER
            self.fail(failure, code, "cancelled by the user")

    def _on_client_version(self, event: VersionReceived) -> None:
        self._on_version(event)
        if event.protocol == SSH1:
            _logger.warning("%s: %s", safe(self.host), RISK)

    def _on_algorithms(self, event: AlgorithmsChosen) -> None:
        """Report a first exchange that is not post-quantum. At INFO: programs decide to show it."""
        chosen = event.chosen.kex
        self._accepts = event.client.host_key
        if not event.first or chosen in POST_QUANTUM or self.protocol == SSH1:
            return
        better = next((name for name in event.server.kex if name in POST_QUANTUM), None)
        remedy = f"offer {better}, which it knows" if better else "upgrade the server"
        if chosen in GSS:
            remedy = "GSSAPIKeyExchange=no uses a host key and other methods"
        _kex_logger.info(
            "%s: the keys come from %s, which is not post-quantum: who records this connection may "
            "decrypt it once there are quantum computers; %s",
            safe(self.host),
            chosen,
            remedy,
        )

    def _on_banner(self, event: AuthBanner) -> None:
        self._login.banner(event.text)

    def _on_auth_result(self, event: AuthResult) -> None:
        if event.outcome == "failure" and event.method != "none":
            self._tried.append(f"{event.method} {event.detail}".strip())
        self._can_continue = event.can_continue
        self._login.result(event)

    def _on_authenticated(self, event: Authenticated) -> None:
        self.methods = event.methods
        self.start_keepalive()
        self._changed.wake()

    def _on_client_ended(self, event: ConnectionEnded) -> None:
        error = event.error
        unexplained = self.error is None and not self.methods
        if unexplained and isinstance(error, Disconnected) and self._tried:
            self.error = self._disconnected_after_failures(error)
        self._on_ended(event)

    def _disconnected_after_failures(self, cause: Disconnected) -> AuthenticationFailed:
        """Return the error for a server that disconnects after failed attempts."""
        hints: tuple[str, ...] = getattr(self._login, "hints", tuple)()
        failure = AuthenticationFailed(
            f"{safe(self.user)}@{safe(self.host)} was not let in: the server disconnected "
            f"({cause.description}); tried: {'; '.join((*self._tried, *hints))}; "
            "check the user name, and name the key or password that it takes",
            user=self.user,
            tried=self._tried,
            can_continue=self._can_continue,
            hints=hints,
        )
        failure.__cause__ = cause
        return failure

    # --- questions of the server ---

    def _on_open(self, ask: AskOpen) -> None:
        if self._forwards is None:
            self.answer(ask.ask_id, OpenRefused())
        else:
            # In a task, so that a call waiting for the answer to our request resumes first.
            self.spawn(self._forwards.accept(ask), holds=True)

    def _on_request_ask(self, ask: AskRequest) -> None:
        self.answer(ask.ask_id, Denied())

    def _on_global_notice(self, event: GlobalRequestReceived) -> None:
        announced = getattr(self.trust, "announced", None)
        if event.name != ANNOUNCE or announced is None or self._learning is not None:
            return
        if self.server_host_key is None:
            return  # nothing proves the announcement to come from the owner of known keys
        prove = partial(self.request, PROVE)
        known = self.server_host_key, self.session_id, self._accepts
        news = HostKeyAnnouncement(bytes(event.data), *known, prove)
        self._learning = self.spawn(announced(self.host, self.port, self._address(), news))

    async def wait_host_keys(self) -> None:
        """Return when what the server has announced of its host keys is dealt with."""
        if self._learning is not None:
            await asyncio.wait([self._learning])

    # --- sessions ---

    def open_session(self) -> Channel:
        """Ask the server for a session's channel."""
        return self.open_channel("session")

    def process(
        self,
        command: str | bytes | None = None,
        *,
        subsystem: str | None = None,
        env: Mapping[str, str] | None = None,
        term: str | None = None,
        size: tuple[int, int] = (80, 24),
        modes: bytes = NO_MODES,
        agent: bool = True,
        x11: bool = True,
    ) -> Opening[Process]:
        """Start a command, a subsystem, or with neither a shell: await it, or use ``async with``.

        :param env: environment variables; servers silently ignore those they do not allow.
        :param term: the terminal's type; None for no terminal.
        :param size: the terminal's columns and rows.
        :param modes: the terminal's encoded modes (RFC 4254 section 8).
        :param agent: whether it may use the agent, if the connection forwards one; ``x11`` is that
            for the display.
        :raises ChannelOpenFailed: the server opens no session.
        :raises RequestFailed: the server refused the terminal or the command.
        :raises ConnectionLost: or another error: what ended the connection.
        """
        given.text(subsystem, "subsystem")
        given.text(term, "term")
        given.command(command)
        lends = self._lends(agent=agent, x11=x11)
        start = Start(command, subsystem, given.variables(env), term, size, modes, lends)
        return Opening(lambda: start_process(self.open_session(), start))

    def shell(
        self,
        *,
        env: Mapping[str, str] | None = None,
        term: str | None = None,
        size: tuple[int, int] = (80, 24),
        modes: bytes = NO_MODES,
    ) -> Opening[Process]:
        """Start the user's shell: :meth:`process` without a command."""
        return self.process(env=env, term=term, size=size, modes=modes)

    def sftp(
        self,
        command: str | bytes | None = None,
        *,
        subsystem: str = "sftp",
        **options: Unpack[SFTPOptions],
    ) -> Opening[SFTPClient]:
        """Open an SFTP session: await it, or use ``async with``.

        :param command: an SFTP server to start, in place of the subsystem.
        :param options: ``read_size``: bytes of a READ and of a WRITE, instead of the server's
            limits; ``window``: bytes in flight, at first and at most; ``idle_timeout``: seconds
            without a byte from a server that has requests to answer, at which the session ends with
            :class:`~nacre.errors.PeerSilent`: 120 by default, None waits for ever.
        :raises ChannelOpenFailed: the server opens no session.
        :raises RequestFailed: the server has no such subsystem.
        :raises ConnectionLost: or another error: what ended the connection.
        """
        from nacre.client.sftp import open_sftp

        given.command(command)
        given.text(subsystem, "subsystem")
        peer = self.peer_version
        return Opening(
            lambda: open_sftp(
                self.open_session(), command, subsystem=subsystem, peer=peer, **options
            )
        )

    @overload
    async def run(
        self,
        command: str | bytes | None = ...,
        *,
        input: str | bytes | None = ...,
        timeout: float | None = ...,
        check: bool = ...,
        encoding: str = ...,
        max_output: int = ...,
        env: Mapping[str, str] | None = ...,
        term: str | None = ...,
        size: tuple[int, int] | None = ...,
    ) -> Completed[str]: ...

    @overload
    async def run(
        self,
        command: str | bytes | None = ...,
        *,
        input: str | bytes | None = ...,
        timeout: float | None = ...,
        check: bool = ...,
        encoding: None,
        max_output: int = ...,
        env: Mapping[str, str] | None = ...,
        term: str | None = ...,
        size: tuple[int, int] | None = ...,
    ) -> Completed[bytes]: ...

    async def run(
        self,
        command: str | bytes | None = None,
        *,
        input: str | bytes | None = None,
        timeout: float | None = None,
        check: bool = False,
        encoding: str | None = "utf-8",
        max_output: int = MAX_OUTPUT,
        env: Mapping[str, str] | None = None,
        term: str | None = None,
        size: tuple[int, int] | None = None,
    ) -> Completed[Any]:
        """Run a command to its end, or the user's shell on ``input``, and return its output.

        Input and both outputs are transferred at the same time, however large. A cancelled call
        closes the command's channel; the connection stays usable. The output is only returned when
        it is known to be whole; every error raised here has what was received by then: ``stdout``,
        ``stderr``, ``exit_status`` and ``exit_signal``.

        :param input: the command's standard input, then EOF; text is encoded with ``encoding``.
        :param timeout: seconds for all of it.
        :param check: raise unless its exit status is 0.
        :param encoding: of the output; undecodable bytes become U+FFFD. None returns bytes.
        :param max_output: bytes to keep, of both outputs together.
        :param env: as for :meth:`process`, and so are ``term`` and ``size``.
        :raises DeadlineExceeded: ``timeout`` passed.
        :raises OutputTooLarge: the command printed more than ``max_output``.
        :raises ProcessFailed: with ``check``, the command failed.
        :raises ConnectionLost: the connection ended before the command's status or output did.
        :raises RequestFailed: or another error of :meth:`process`.
        """
        if isinstance(input, str):
            input = input.encode(encoding or "utf-8")
        given.command(command)
        given.text(encoding, "encoding")
        given.text(term, "term")
        given.binary(input or b"", "input")
        variables = given.variables(env)
        start = Start(command, None, variables, term, size or (80, 24), NO_MODES, self._lends())
        how = Run(input or b"", timeout, check, max_output, encoding)
        return await run_process(self.open_session(), start, how)


def _denied(error: NacreError) -> Answer:
    return Denied(str(error))


Connection.handlers = {
    **COMMON,
    VersionReceived: Connection._on_client_version,
    AlgorithmsChosen: Connection._on_algorithms,
    AskHostKey: Connection._on_host_key,
    AskAuthentication: Connection._on_authentication,
    AskPrompts: Connection._on_prompts,
    AskSignature: Connection._on_signature,
    AskNewPassword: Connection._on_new_password,
    AskSecurityStep: Connection._on_security_step,
    AskOpen: Connection._on_open,
    AskRequest: Connection._on_request_ask,
    AuthBanner: Connection._on_banner,
    AuthResult: Connection._on_auth_result,
    Authenticated: Connection._on_authenticated,
    GlobalRequestReceived: Connection._on_global_notice,
    ConnectionEnded: Connection._on_client_ended,
}
