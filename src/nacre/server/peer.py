"""Who a server's client is: what policies, sessions and forwards know of its connection."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

from nacre.aio.connection import BaseConnection
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.protocol.engine import Engine
    from nacre.sftp.filesystems.base import Filesystem

T = TypeVar("T")

Maybe: TypeAlias = T | Awaitable[T]
"""What a plain method or a coroutine returns."""

Log: TypeAlias = Callable[[Mapping[str, object]], None]

_logger = logging.getLogger("nacre.server")


class Served(Protocol):
    """What the server's settings say to a session."""

    @property
    def accept_env(self) -> tuple[str, ...]:
        """Patterns of variables that a client may set."""

    @property
    def handler(self) -> Callable[[Any], Coroutine[Any, Any, int | None]] | None:
        """Runs shells and commands."""

    @property
    def sftp(self) -> Callable[[Any], Filesystem] | None:
        """Returns the files of a session."""

    @property
    def serve(self) -> Callable[[Any], Coroutine[Any, Any, int | None]]:
        """Serves a session that was granted."""

    @property
    def log(self) -> Log:
        """Gets records."""


class Host(Protocol):
    """The server, as its connections know it."""

    @property
    def closing(self) -> bool:
        """Whether it takes no more sessions."""

    def admit(self, connection: Any) -> bool:
        """Tell whether one more connection may try to log in."""

    def logged_in(self, connection: Any) -> None:
        """The connection waits no longer."""

    def forget(self, connection: Any) -> None:
        """The connection is over."""

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a session's handler."""


class ServerConnection(BaseConnection):
    """One client's connection.

    :ivar id: its number on this server, from 1.
    :ivar peer: the client's address and port; likewise ``local``, ours.
    :ivar user: who is logged in; empty before.
    :ivar methods: the authentication methods that succeeded, in order.
    """

    __slots__ = ("id", "local", "methods", "peer", "server", "settings", "user")

    def __init__(
        self,
        engine: Engine,
        server: Host,
        settings: Served,
        number: int,
        *,
        keepalive: float | None,
        keepalive_count: int,
    ) -> None:
        super().__init__(engine, keepalive=keepalive, keepalive_count=keepalive_count)
        self.server = server
        self.settings = settings
        self.id = number
        self.peer: tuple[str, int] = ("", 0)
        self.local: tuple[str, int] = ("", 0)
        self.user = ""
        self.methods: tuple[str, ...] = ()

    def record(self, event: str, **fields: object) -> None:
        """Log what happened on this connection."""
        host, port = self.peer
        record: dict[str, object] = {
            "event": event,
            "connection": self.id,
            "peer": f"{host}:{port}",
        }
        if self.user:
            record["user"] = safe(self.user)
        record.update(fields)
        try:
            self.settings.log(record)
        except Exception:
            _logger.exception("the log of a server failed")

    def record_error(self, what: str, error: Exception) -> None:
        """Log a failure of this program."""
        _logger.error("%s", what, exc_info=error)
        self.record("error", what=what, error=safe(repr(error)))

    async def ask_policy(self, question: Callable[[Any], Maybe[T]]) -> T | None:
        """Return what the policy says, or None when it failed, which is a no."""
        raise NotImplementedError

    async def wait_welcomed(self) -> None:
        """Return when the policy has taken note of the user."""
        raise NotImplementedError

    def session_ended(self, number: int) -> None:
        """A session is over, and the number of its channel free again."""
        raise NotImplementedError

    @property
    def forwards(self) -> Any:
        """What the client has forwarded."""
        raise NotImplementedError
