"""The server without await: handlers and policies are plain functions, in threads."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from functools import wraps
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from nacre.blocking.background import Attribute, Callback, Facade, background, plain, waiting
from nacre.blocking.streams import Reader, Writer
from nacre.keys import PublicKey
from nacre.protocol.asks import Challenge, PasswordExpired, UserRequirement
from nacre.protocol.requests import Request
from nacre.runtime import listen as _listen
from nacre.runtime import session as _session
from nacre.runtime.policy import Maybe, Policy, settled
from nacre.runtime.serving import ServerConnection
from nacre.runtime.waiting import Opening

P = ParamSpec("P")
T = TypeVar("T")


class Session(Facade[_session.Session]):
    """One shell, command or subsystem of a user, as :class:`nacre.Session`.

    When the client is gone, the streams end or raise; nothing else stops the handler's thread.
    """

    user = Attribute[str]()
    connection = Attribute[ServerConnection]()
    command = Attribute[bytes | None]()
    subsystem = Attribute[str | None]()
    environment = Attribute[dict[str, str]]()
    terminal = Attribute[_session.Terminal | None]()
    closed = Attribute[bool]()
    on_resize = Callback[Callable[[_session.Terminal], None] | None]()
    on_signal = Callback[Callable[[str], None] | None]()
    on_break = Callback[Callable[[int], None] | None]()

    def __init__(self, inner: _session.Session) -> None:
        super().__init__(inner)
        self.stdin = Reader(inner.stdin)
        self.stdout = Writer(inner.stdout)
        self.stderr = Writer(inner.stderr)

    exit = plain(_session.Session.exit)
    exit_signal = plain(_session.Session.exit_signal)
    wait_closed = waiting(_session.Session.wait_closed)


class Server(Facade[_listen.Server]):
    """A server that listens. ``with`` closes it at the end. As :class:`nacre.Server`."""

    port = Attribute[int]()
    addresses = Attribute[tuple[tuple[str, int], ...]]()
    connections = Attribute[tuple[ServerConnection, ...]]()
    closing = Attribute[bool]()

    reload = plain(_listen.Server.reload)
    close = waiting(_listen.Server.close)
    wait_closed = waiting(_listen.Server.wait_closed)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class _InThreads(Policy):
    """Asks a policy in threads, so that one that takes its time stops nobody else."""

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
    ) -> bool:
        return await self._ask(self._policy.change_password, user, old, new, connection)

    async def public_key(
        self, user: str, key: PublicKey, algorithm: str, signed: bool, connection: ServerConnection
    ) -> bool:
        return await self._ask(self._policy.public_key, user, key, algorithm, signed, connection)

    async def keyboard_interactive(
        self,
        user: str,
        submethods: str,
        responses: tuple[str, ...] | None,
        connection: ServerConnection,
    ) -> bool | Challenge:
        if type(self._policy).keyboard_interactive is Policy.keyboard_interactive:
            return await super().keyboard_interactive(user, submethods, responses, connection)
        return await self._ask(
            self._policy.keyboard_interactive, user, submethods, responses, connection
        )

    async def authenticated(
        self, user: str, methods: tuple[str, ...], connection: ServerConnection
    ) -> None:
        await self._ask(self._policy.authenticated, user, methods, connection)

    async def session_request(self, session: _session.Session, request: Request) -> bool:
        return await self._ask(self._policy.session_request, session, request)

    async def _ask(self, method: Callable[P, Maybe[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        return await settled(await asyncio.to_thread(method, *args, **kwargs))


def _threaded(handler: Callable[[Session], int | None]) -> Callable[[_session.Session], Any]:
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
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(settle, status, error)

        threading.Thread(target=work, name="nacre.session", daemon=True).start()
        return await ended

    return handle


def _adapted(function: Callable[P, Opening[_listen.Server]]) -> Callable[P, Server]:
    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> Server:
        changed: dict[str, Any] = dict(kwargs)
        changed["handler"] = _threaded(changed["handler"])
        changed["policy"] = _InThreads(changed["policy"])
        return Server(background.call(lambda: function(*args, **changed)))

    return call


listen = _adapted(_listen.listen)
