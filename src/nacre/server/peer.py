"""A server's connection as policies, sessions and tunnels see it: who the client is, and the log.

:mod:`nacre.server.serving` makes these connections and serves them. Nothing here knows of policies
or settings, so that everything else in this package may import it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from nacre.aio.connection import BaseConnection
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.protocol.engine import Engine

Log: TypeAlias = Callable[[Mapping[str, object]], None]
"""Called with each record: a mapping with ``event``, ``connection``, ``peer`` and more fields."""

_logger = logging.getLogger("nacre.server")


def to_logging(record: Mapping[str, object]) -> None:
    """Log a record as ``key=value`` words on the logger ``nacre.server``, its fields as extras.

    Operations on files are logged at the level DEBUG, everything else at INFO.
    """
    level = logging.DEBUG if record["event"] == "file" else logging.INFO
    text = " ".join(f"{key}={value}" for key, value in record.items())
    _logger.log(level, "%s", text, extra={"nacre": dict(record)})


class ServerConnection(BaseConnection):
    """One client's connection.

    :ivar id: its number on this server, from 1.
    :ivar peer: the client's address and port.
    :ivar local: the address and port that the client connected to.
    :ivar user: the user who is logged in; empty before the login.
    :ivar methods: the authentication methods that succeeded, in order.
    :ivar accept_env: patterns of the environment variables that the client may set.
    """

    __slots__ = ("_log", "accept_env", "id", "local", "methods", "peer", "user")

    def __init__(
        self,
        engine: Engine,
        number: int,
        log: Log,
        *,
        keepalive: float | None,
        keepalive_count: int,
        accept_env: Sequence[str] = (),
    ) -> None:
        super().__init__(engine, keepalive=keepalive, keepalive_count=keepalive_count)
        self.id = number
        self.peer: tuple[str, int] = ("", 0)
        self.local: tuple[str, int] = ("", 0)
        self.user = ""
        self.methods: tuple[str, ...] = ()
        self.accept_env = accept_env
        self._log = log

    @property
    def detailed(self) -> bool:
        """Whether the log takes a record of each file operation."""
        if self._log is to_logging:
            return _logger.isEnabledFor(logging.DEBUG)
        return bool(getattr(self._log, "detailed", True))

    def record(self, event: str, **fields: object) -> None:
        """Log an event of this connection; a log that raises does not end the connection."""
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
            self._log(record)
        except Exception:
            _logger.exception("the log of a server failed")

    def record_error(self, what: str, error: Exception) -> None:
        """Log a failure of this program, with its traceback on the logger ``nacre.server``."""
        _logger.error("%s", what, exc_info=error)
        self.record("error", what=what, error=safe(repr(error)))
