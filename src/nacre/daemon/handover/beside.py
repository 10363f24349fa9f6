"""What a server process has beside its connections."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from nacre.daemon.control.controlled import Controlled
from nacre.daemon.control.monitored import Monitoring
from nacre.server.peer import Client, Log

if TYPE_CHECKING:
    from nacre.daemon.bans.keeper import BanKeeper
    from nacre.daemon.handover.predecessor import Predecessor
    from nacre.daemon.handover.restart import Restart
    from nacre.daemon.nodes.copier import AuditCopier
    from nacre.daemon.nodes.lease import NodeLease


class RecordsSessions(Protocol):
    """Starts the process that records sessions, and gives it sockets."""

    async def start(self, report: Log) -> None:
        """Start it; raises StateError."""

    async def open(self, client: Client, gate: int | None = None) -> socket.socket:
        """Return a socket on which a session of a client is recorded; raises StateError."""

    async def close(self) -> None:
        """End it when it has written all."""


class TellsHooks(Protocol):
    """What tells hooks of the events that are kept."""

    def begin(self, report: Log) -> None:
        """Begin to tell them; the audit is open."""

    async def close(self) -> None:
        """Note how far they are, and tell them nothing more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What a server process has beside its connections; each may be missing.

    :ivar controlled: where requests to control this process come from.
    :ivar recorder: records sessions.
    :ivar metrics: tells monitoring.
    :ivar bans: the networks that are banned.
    :ivar hooks: tells hooks of events.
    :ivar lease: tells other servers of the same store of this process.
    :ivar copier: copies the events of the audit to that store.
    :ivar restart: how another server follows this one, and how this one follows another.
    """

    controlled: Controlled | None = None
    recorder: RecordsSessions | None = None
    metrics: Monitoring | None = None
    bans: BanKeeper | None = None
    hooks: TellsHooks | None = None
    lease: NodeLease | None = None
    copier: AuditCopier | None = None
    restart: Restart | None = None

    def tell_metrics(self) -> None:
        """Tell monitoring at once how the server is."""
        if self.metrics is not None:
            self.metrics.tell()

    def end_control(self) -> None:
        """Leave the control socket to a server that is started next."""
        if self.controlled is not None:
            self.controlled.end()

    async def close_hooks(self) -> None:
        """Tell hooks nothing more."""
        if self.hooks is not None:
            await self.hooks.close()

    def close_edge(self) -> None:
        """End what tells others of this server, and the bans."""
        if self.metrics is not None:
            self.metrics.close()
        if self.bans is not None:
            self.bans.close()
        if self.lease is not None:
            self.lease.close()

    @property
    def predecessor(self) -> Predecessor | None:
        """The server that this one follows."""
        return None if self.restart is None else self.restart.predecessor


ALONE = Beside()
