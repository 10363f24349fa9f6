"""How a process of a server is controlled: over the control socket, or by another process."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Protocol, TypeAlias

from nacre.daemon.control.elder import ElderRoster, JoinedRoster
from nacre.daemon.control.followers import Followers
from nacre.daemon.control.place import ControlPlace
from nacre.daemon.control.requests import ServerControl, noted_by
from nacre.daemon.control.roster import Roster
from nacre.daemon.control.service import ControlService
from nacre.daemon.log.server_log import ServerLog
from nacre.daemon.watching.frames import WatchMode

Everywhere: TypeAlias = Callable[[Roster], Roster]
"""Returns the connections of all servers that share a store, of those of this one."""


class Controlled(Protocol):
    """Where requests to control a process come from."""

    def begin(self, roster: Roster, log: ServerLog) -> None:
        """Answer from now on, on the running loop.

        :param roster: the connections of the process.
        :param log: its log.
        """

    def end(self) -> None:
        """Answer no more; a second call does nothing."""


class ControlledHere:
    """The control socket of a server whose first process knows all of its connections.

    :param place: the socket, which is removed at the end.
    :param watch: whether sessions may be watched.
    :param elder: the connections of the server that this one follows.
    :param everywhere: adds the connections of other servers; None for none.
    """

    def __init__(
        self,
        place: ControlPlace,
        watch: WatchMode = "no",
        elder: ElderRoster | None = None,
        everywhere: Everywhere | None = None,
    ) -> None:
        self._place = place
        self._watch = watch
        self._elder = elder
        self._everywhere = everywhere
        self._service: ControlService | None = None
        self._log: ServerLog | None = None

    def begin(self, roster: Roster, log: ServerLog) -> None:
        """Answer from now on, on the running loop."""
        followers = Followers()
        log.follow, self._log = followers.take, log
        self._joined = roster if self._elder is None else JoinedRoster(roster, self._elder)
        shown = self._joined if self._everywhere is None else self._everywhere(self._joined)
        self._control = ServerControl(shown, followers, noted_by(log), self._watch)
        self._service = ControlService(self._place.listener, self._control)

    def hand_over(self, sock: socket.socket) -> None:
        """Leave the socket to a successor, which asks about what is left here on ``sock``."""
        if self._service is not None:
            self._control.roster = self._joined  # the successor asks the other servers itself
            self._service.leave()
            self._service.attend(sock, "", None)
        self._place.leave()

    def end(self) -> None:
        """Answer no more, and leave the place to another server."""
        if self._service is not None:
            self._service.close()
            self._service = None
        if self._log is not None:
            self._log.follow = None
        self._place.remove()
