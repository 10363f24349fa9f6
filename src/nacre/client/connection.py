"""The client's connection: what :func:`nacre.connect` gives."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeAlias, overload

from nacre.aio.channel import Channel
from nacre.aio.connection import COMMON, BaseConnection, Handlers, Trace
from nacre.aio.versions import RISK, SSH1
from nacre.aio.waiting import Closes, Opening
from nacre.client.process import (
    NO_MODES,
    Completed,
    Process,
    Run,
    Start,
    run_process,
    start_process,
)
from nacre.errors import (
    AuthenticationFailed,
    DisconnectCode,
    Disconnected,
    NacreError,
)
from nacre.keys import PublicKey
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
    AskSignature,
    Denied,
    GiveUp,
    Granted,
    HostKeyRefused,
    OpenRefused,
)
from nacre.protocol.engine import Engine
from nacre.protocol.events import (
    AuthBanner,
    Authenticated,
    AuthResult,
    ConnectionEnded,
    VersionReceived,
)
from nacre.protocol.phases import Phase
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.client.tcpip import Forwards, Listener, Tunnel
    from nacre.sftp.client.client import SFTPClient

_logger = logging.getLogger("nacre.client")

MAX_OUTPUT = 16 * MIB
"""Bytes of a command's output that ``run`` keeps by default."""


_Question: TypeAlias = tuple[
    Ask, Callable[[Any], Awaitable[Answer]], Callable[[NacreError], Answer]
]
"""What is asked, who answers, and what an error of theirs means as an answer."""


class HostKeyCheck(Protocol):
    """Says whether a server's host key is trusted."""

    def algorithms(self, host: str, port: int, offered: tuple[str, ...]) -> tuple[str, ...]:
        """Return ``offered``, in an order that puts first what fits keys the host is known by."""

    async def check(self, host: str, port: int, address: str, key: PublicKey) -> None:
        """Return when ``key`` is trusted as that of ``host``.

        :raises HostKeyError: it is not.
        """


class LoginAnswers(Protocol):
    """Says who the user is. An error that is raised here ends the attempt, or the connection."""

    async def authentication(self, ask: AskAuthentication) -> Answer:
        """Say what to try next."""

    async def signature(self, ask: AskSignature) -> Answer:
        """Sign."""

    async def prompts(self, ask: AskPrompts) -> Answer:
        """Answer the prompts of keyboard-interactive."""

    async def new_password(self, ask: AskNewPassword) -> Answer:
        """Give a successor of an expired password."""

    def banner(self, text: str) -> None:
        """Show a banner; it is safe to print."""

    def result(self, event: AuthResult) -> None:
        """Note how an attempt ended."""


class Connection(BaseConnection, Closes):
    """A client's connection. ``async with`` closes it at the end.

    Any number of tasks may use it at once. When it ends, every call that waits on it raises what
    ended it, and ``error`` keeps that.

    :ivar host: the host's name, as it was given.
    :ivar port: its port.
    :ivar user: who is logged in.
    :ivar methods: the authentication methods that succeeded, in order.
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
        credentials: LoginAnswers,
        keepalive: float | None,
        keepalive_count: int,
        trace: Trace | None,
    ) -> None:
        super().__init__(engine, keepalive=keepalive, keepalive_count=keepalive_count, trace=trace)
        self.host = host
        self.port = port
        self.user = user
        self.methods: tuple[str, ...] = ()
        self._host_key_check = trust
        self._credentials = credentials
        self._tried: list[str] = []
        self._can_continue: tuple[str, ...] = ()
        self._questions: deque[_Question] = deque()
        self._forwards: Forwards | None = None

    # --- up to authentication ---

    async def wait_authenticated(self) -> None:
        """Return when the user is logged in; raises what ended the connection otherwise."""
        while self.engine.phase is not Phase.CONNECTION:
            self.check()
            await self._changed.wait()

    def _address(self) -> str:
        transport = self.driver.transport
        name = transport.get_extra_info("peername") if transport is not None else None
        return str(name[0]) if isinstance(name, tuple) else ""

    def _on_host_key(self, ask: AskHostKey) -> None:
        async def check(ask: AskHostKey) -> Answer:
            await self._host_key_check.check(self.host, self.port, self._address(), ask.key)
            return Granted()

        self._consult(ask, check, HostKeyRefused)

    def _on_authentication(self, ask: AskAuthentication) -> None:
        self._consult(ask, self._credentials.authentication, GiveUp)

    def _on_prompts(self, ask: AskPrompts) -> None:
        self._consult(ask, self._credentials.prompts, GiveUp)

    def _on_signature(self, ask: AskSignature) -> None:
        self._consult(ask, self._credentials.signature, _denied)

    def _on_new_password(self, ask: AskNewPassword) -> None:
        self._consult(ask, self._credentials.new_password, _denied)

    def _consult(
        self,
        ask: Ask,
        question: Callable[[Any], Awaitable[Answer]],
        refusal: Callable[[NacreError], Answer],
    ) -> None:
        """Let somebody answer in a task; at most one such question is open at a time."""
        idle = not self._questions
        self._questions.append((ask, question, refusal))
        if idle:
            self.spawn(self._consult_all())

    async def _consult_all(self) -> None:
        # What one answer leads to is asked in the same turn of the loop: where nobody has to be
        # waited for, NEWKEYS and the request with its signature leave in one write.
        while self._questions:
            await self._consult_once(*self._questions[0])
            self._questions.popleft()

    async def _consult_once(
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

    def _on_banner(self, event: AuthBanner) -> None:
        self._credentials.banner(event.text)

    def _on_auth_result(self, event: AuthResult) -> None:
        if event.outcome == "failure" and event.method != "none":
            self._tried.append(f"{event.method} {event.detail}".strip())
        self._can_continue = event.can_continue
        self._credentials.result(event)

    def _on_authenticated(self, event: Authenticated) -> None:
        self.methods = event.methods
        self.start_keepalive()
        self._changed.wake()

    def _on_client_ended(self, event: ConnectionEnded) -> None:
        error = event.error
        unsaid = self.error is None and not self.methods
        if unsaid and isinstance(error, Disconnected) and self._tried:
            self.error = self._hung_up(error)
        self._on_ended(event)

    def _hung_up(self, cause: Disconnected) -> AuthenticationFailed:
        """A server that hangs up after failures says no as well."""
        failure = AuthenticationFailed(
            f"{safe(self.user)}@{safe(self.host)} was not let in: the server hung up "
            f"({cause.description}); tried: {'; '.join(self._tried)}; "
            "check the user name, and name the key or password that it takes",
            user=self.user,
            tried=self._tried,
            can_continue=self._can_continue,
        )
        failure.__cause__ = cause
        return failure

    # --- what the server may ask ---

    def _on_open(self, ask: AskOpen) -> None:
        if self._forwards is None:
            self.answer(ask.ask_id, OpenRefused())
        else:
            # In a task: what waits for the answer to a request of ours goes on before.
            self.spawn(self._forwards.accept(ask))

    def _on_request_ask(self, ask: AskRequest) -> None:
        self.answer(ask.ask_id, Denied())

    # --- sessions ---

    def open_session(self) -> Channel:
        """Ask for a session's channel."""
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
    ) -> Opening[Process]:
        """Start a command, a subsystem, or with neither a shell: await it, or use ``async with``.

        :param env: environment variables; servers take those that they allow, and say nothing.
        :param term: the terminal's type; None for no terminal.
        :param size: the terminal's columns and rows.
        :param modes: the terminal's encoded modes (RFC 4254 section 8).
        :raises ChannelOpenFailed: the server opens no session.
        :raises RequestFailed: it refused the terminal or the command.
        :raises ConnectionLost: the connection has ended; other errors that ended it likewise.
        """
        agent = self.forwards_agent
        start = Start(command, subsystem, dict(env or {}), term, size, modes, agent)
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
        self, command: str | bytes | None = None, *, subsystem: str = "sftp"
    ) -> Opening[SFTPClient]:
        """Open an SFTP session: await it, or use ``async with``.

        :param command: a server to start, in place of the subsystem.
        :raises ChannelOpenFailed: the server opens no session.
        :raises RequestFailed: it has no such subsystem.
        :raises ConnectionLost: the connection has ended; other errors that ended it likewise.
        """
        from nacre.client.sftp import open_sftp

        return Opening(lambda: open_sftp(self.open_session(), command, subsystem=subsystem))

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

        Input and both outputs move at once, however big. A cancelled call closes the command's
        channel, and the connection stays as usable as before.

        :param input: what it reads, then EOF; text is encoded with ``encoding``.
        :param timeout: seconds for all of it.
        :param check: raise unless its exit status is 0.
        :param encoding: of the output; what does not decode shows as U+FFFD. None keeps bytes.
        :param max_output: bytes of both outputs together that are kept.
        :param env: as for :meth:`process`; likewise ``term`` and ``size``.
        :raises DeadlineExceeded: ``timeout`` passed; holds the output until then.
        :raises OutputTooLarge: it printed more than ``max_output``.
        :raises ProcessFailed: with ``check``.
        :raises RequestFailed: and others, as :meth:`process` does.
        """
        if isinstance(input, str):
            input = input.encode(encoding or "utf-8")
        agent = self.forwards_agent
        start = Start(command, None, dict(env or {}), term, size or (80, 24), NO_MODES, agent)
        how = Run(input or b"", timeout, check, max_output, encoding)
        return await run_process(self.open_session(), start, how)

    # --- forwarding ---

    @property
    def _forwarding(self) -> Forwards:
        if self._forwards is None:
            from nacre.client.tcpip import Forwards

            self._forwards = Forwards(self)
        return self._forwards

    def open_connection(self, host: str, port: int) -> Opening[Tunnel]:
        """Have the server connect to ``host``: await it, or use ``async with``.

        :param host: a name or an address, as the server understands it.
        :raises ChannelOpenFailed: the server does not allow it, or nobody answers there.
        :raises ConnectionLost: the connection has ended; other errors that ended it likewise.
        """
        return Opening(lambda: self._forwarding.open_connection(host, port))

    def forward_local(
        self, host: str, port: int, *, listen_host: str = "localhost", listen_port: int = 0
    ) -> Opening[Listener]:
        """Listen here, and have the server connect to ``host`` for each who comes (``ssh -L``).

        Await it, or use ``async with``. A connection that the server refuses is closed, and logged
        as a warning.

        :param listen_host: where to listen: an address of this host, "" for every one.
        :param listen_port: 0 lets the system choose; ``Listener.port`` tells.
        :raises OSError: the address can't be used.
        :raises ConnectionLost: the connection has ended; other errors that ended it likewise.
        """
        listen = listen_host, listen_port
        return Opening(lambda: self._forwarding.local((host, port), listen))

    def forward_remote(
        self, host: str, port: int, *, listen_host: str = "localhost", listen_port: int = 0
    ) -> Opening[Listener]:
        """Have the server listen, and connect to ``host`` for each who comes there (``ssh -R``).

        Await it, or use ``async with``.

        :param listen_host: where the server listens: "localhost", "" for every address, or one of
            the server's; it may not allow all of them.
        :param listen_port: 0 lets the server choose; ``Listener.port`` tells. SSH-1 takes a port
            that is named, before the session begins.
        :raises RequestFailed: the server does not listen there.
        :raises ConnectionLost: the connection has ended; other errors that ended it likewise.
        """
        listen = listen_host, listen_port
        return Opening(lambda: self._forwarding.remote((host, port), listen))

    def forward_dynamic(
        self, *, listen_host: str = "localhost", listen_port: int = 0
    ) -> Opening[Listener]:
        """Listen here as a SOCKS proxy (4, 4a, 5) that connects from the server (``ssh -D``).

        The proxy lets in everybody who reaches it. Parameters and errors are those of
        :meth:`forward_local`.
        """
        return Opening(lambda: self._forwarding.dynamic((listen_host, listen_port)))

    def forward_agent(self, path: str | os.PathLike[str] | None = None) -> None:
        """Let sessions that start from now on use an agent of this host (``ssh -A``).

        Who has the rights of root on the server can then use the agent's keys while the connection
        lasts, though not read them.

        :param path: the agent's socket; by default what ``SSH_AUTH_SOCK`` names.
        :raises ConfigurationError: there is no agent.
        """
        self._forwarding.lend_agent(path)

    @property
    def forwards_agent(self) -> bool:
        """Whether sessions may use an agent of this host."""
        return self._forwards is not None and self._forwards.lends_agent


def _denied(error: NacreError) -> Answer:
    return Denied(str(error))


Connection.handlers = {
    **COMMON,
    VersionReceived: Connection._on_client_version,
    AskHostKey: Connection._on_host_key,
    AskAuthentication: Connection._on_authentication,
    AskPrompts: Connection._on_prompts,
    AskSignature: Connection._on_signature,
    AskNewPassword: Connection._on_new_password,
    AskOpen: Connection._on_open,
    AskRequest: Connection._on_request_ask,
    AuthBanner: Connection._on_banner,
    AuthResult: Connection._on_auth_result,
    Authenticated: Connection._on_authenticated,
    ConnectionEnded: Connection._on_client_ended,
}
