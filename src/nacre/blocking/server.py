"""The server without await: handlers and policies are plain functions, in threads."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Sequence
from functools import wraps
from typing import ParamSpec, TypeAlias, TypeVar, Unpack

from nacre.aio.maybe import Maybe, settled
from nacre.blocking.background import (
    Attribute,
    Callback,
    Closing,
    Facade,
    background,
    plain,
    waiting,
    wrapping,
)
from nacre.blocking.forwarding import AgentSocket
from nacre.blocking.streams import Reader, Writer
from nacre.keys import PublicKey
from nacre.protocol.asks import Challenge, KeyTerms, PasswordExpired, UserRequirement
from nacre.protocol.gssapi import ContextAcceptor
from nacre.protocol.requests import Request
from nacre.protocol.tunnel import TunnelMode
from nacre.server import listen as _listen
from nacre.server import session as _session
from nacre.server import settings as _settings
from nacre.server.peer import ServerConnection
from nacre.server.policy import Policy
from nacre.server.settings import ListenOptions
from nacre.server.x11 import ForwardedDisplay
from nacre.tunnels.device import TunnelDevice
from nacre.tunnels.unix import UnixSockets

P = ParamSpec("P")
T = TypeVar("T")


class Session(Facade[_session.Session]):
    """One shell, command or subsystem of a user, as :class:`nacre.Session`.

    When the client disconnects, the streams end or raise; nothing else stops the handler's thread.
    """

    user = Attribute[str]()
    connection = Attribute[ServerConnection]()
    command = Attribute[bytes | None]()
    subsystem = Attribute[str | None]()
    environment = Attribute[dict[str, str]]()
    terminal = Attribute[_session.Terminal | None]()
    closed = Attribute[bool]()
    forwards_agent = Attribute[bool]()
    x11 = Attribute[ForwardedDisplay | None]()
    on_resize = Callback[Callable[[_session.Terminal], None] | None]()
    on_signal = Callback[Callable[[str], None] | None]()
    on_break = Callback[Callable[[int], None] | None]()

    def __init__(self, inner: _session.Session) -> None:
        super().__init__(inner)
        self.stdin = Reader(inner.stdin)
        self.stdout = Writer(inner.stdout)
        self.stderr = Writer(inner.stderr)

    exit = plain(_session.Session.exit)
    agent_socket = wrapping(_session.Session.agent_socket, AgentSocket)
    exit_signal = plain(_session.Session.exit_signal)
    wait_closed = waiting(_session.Session.wait_closed)


class Server(Closing[_listen.Server]):
    """A server that listens. ``with`` closes it at the end. As :class:`nacre.Server`."""

    port = Attribute[int]()
    addresses = Attribute[tuple[tuple[str, int], ...]]()
    connections = Attribute[tuple[ServerConnection, ...]]()
    closing = Attribute[bool]()

    reload = plain(_listen.Server.reload)
    close = waiting(_listen.Server.close)
    wait_closed = waiting(_listen.Server.wait_closed)


class _InThreads(Policy):
    """Calls a policy in threads, so that a slow one does not block other connections."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    async def requirement(self, user: str, connection: ServerConnection) -> UserRequirement:
        return await self._ask(self._policy.requirement, user, connection)

    async def password(
        self, user: str, password: str, connection: ServerConnection
    ) -> bool | PasswordExpired:
        return await self._ask(self._policy.password, user, password, connection)

    async def change_password(
        self, user: str, old: str, new: str, connection: ServerConnection
    ) -> bool | PasswordExpired:
        return await self._ask(self._policy.change_password, user, old, new, connection)

    async def public_key(
        self, user: str, key: PublicKey, algorithm: str, signed: bool, connection: ServerConnection
    ) -> bool | KeyTerms:
        return await self._ask(self._policy.public_key, user, key, algorithm, signed, connection)

    async def gssapi(
        self, user: str, context: ContextAcceptor, connection: ServerConnection
    ) -> bool:
        return await self._ask(self._policy.gssapi, user, context, connection)

    async def rsa_key(
        self, user: str, modulus: int, connection: ServerConnection
    ) -> PublicKey | None:
        return await self._ask(self._policy.rsa_key, user, modulus, connection)

    async def keyboard_interactive(
        self,
        user: str,
        submethods: str,
        responses: tuple[str, ...] | None,
        connection: ServerConnection,
    ) -> bool | Challenge:
        if type(self._policy).keyboard_interactive is Policy.keyboard_interactive:
            return await settled(
                super().keyboard_interactive(user, submethods, responses, connection)
            )
        return await self._ask(
            self._policy.keyboard_interactive, user, submethods, responses, connection
        )

    async def authenticated(
        self, user: str, methods: tuple[str, ...], connection: ServerConnection
    ) -> None:
        await self._ask(self._policy.authenticated, user, methods, connection)

    async def session_request(self, session: _session.Session, request: Request) -> bool:
        return await self._ask(self._policy.session_request, session, request)

    async def direct_connection(self, host: str, port: int, connection: ServerConnection) -> bool:
        return await self._ask(self._policy.direct_connection, host, port, connection)

    async def remote_listen(self, host: str, port: int, connection: ServerConnection) -> str | None:
        return await self._ask(self._policy.remote_listen, host, port, connection)

    async def direct_unix_connection(
        self, path: str, connection: ServerConnection
    ) -> bool | UnixSockets:
        return await self._ask(self._policy.direct_unix_connection, path, connection)

    async def remote_unix_listen(
        self, path: str, connection: ServerConnection
    ) -> bool | UnixSockets:
        return await self._ask(self._policy.remote_unix_listen, path, connection)

    async def agent_forwarding(self, session: _session.Session) -> bool:
        return await self._ask(self._policy.agent_forwarding, session)

    async def x11_forwarding(self, session: _session.Session) -> bool:
        return await self._ask(self._policy.x11_forwarding, session)

    async def tunnel_device(
        self, mode: TunnelMode, unit: int | None, connection: ServerConnection
    ) -> TunnelDevice | None:
        return await self._ask(self._policy.tunnel_device, mode, unit, connection)

    async def _ask(self, method: Callable[P, Maybe[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        return await settled(await asyncio.to_thread(method, *args, **kwargs))


Handler: TypeAlias = Callable[[Session], int | None]


def _threaded(handler: Handler) -> _settings.Handler:
    @wraps(handler)
    async def handle(session: _session.Session) -> int | None:
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[int | None] = loop.create_future()

        def settle(status: int | None, error: BaseException | None) -> None:
            if ended.done():
                return
            if error is None:
                ended.set_result(status)
            else:
                ended.set_exception(error)

        def work() -> None:
            status, error = None, None
            try:
                status = handler(Session(session))
            except Exception as raised:
                error = raised
            with contextlib.suppress(RuntimeError):  # the loop has been closed
                loop.call_soon_threadsafe(settle, status, error)

        threading.Thread(target=work, name="nacre.session", daemon=True).start()
        return await ended

    return handle


@wraps(_listen.listen, assigned=())  # for the signature of nacre.listen
def listen(
    host: str | Sequence[str] = "127.0.0.1",
    port: int = 0,
    *,
    policy: Policy,
    handler: Handler | None = None,
    **options: Unpack[ListenOptions],
) -> Server:
    """Start a server, as :func:`nacre.listen` does, with the same parameters.

    :param policy: its plain methods run in threads.
    :param handler: a plain function, called in a thread of its own for each session.
    :param sftp: returns the files of a session; called in the loop's thread.
    """
    threaded = None if handler is None else _threaded(handler)
    listening = _listen.listen(host, port, policy=_InThreads(policy), handler=threaded, **options)
    return Server(background.call(lambda: listening))
