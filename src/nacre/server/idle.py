"""Timeouts of channels and connections: ChannelTimeout and UnusedConnectionTimeout.

See sshd_config(5). A clock looks at the channels from time to time and compares how often each had
data, so data costs no timer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase

from nacre.aio.channel import Channel
from nacre.errors import ConnectionLost, DisconnectCode
from nacre.server.peer import ServerConnection

GLOBAL = "global"
"""The type that stands for all channels together: data on one of them is traffic of all."""

_LOOKS = 4
"""How often a timeout's channels are looked at in its time."""


class IdleWatch:
    """Closes the channels of a connection that have no traffic, and the connection without any.

    :param kind: returns the type of a channel, such as ``session:shell`` or ``direct-tcpip``.
    :param timeouts: patterns of types with seconds; of several that match, the first counts.
    :param unused: seconds without a channel after which the connection is closed, or None.
    """

    def __init__(
        self,
        connection: ServerConnection,
        kind: Callable[[Channel], str],
        timeouts: Sequence[tuple[str, int]],
        unused: int | None,
    ) -> None:
        self._connection = connection
        self._kind = kind
        self._timeouts = [(pattern, time) for pattern, time in timeouts if pattern != GLOBAL]
        self._together = next((time for pattern, time in timeouts if pattern == GLOBAL), 0)
        self._unused = unused or 0
        # By channel number: the count of its traffic, and when it changed last.
        self._seen: dict[int, tuple[int, float]] = {}
        self._busy_at = connection.loop.time()
        self._empty_since = connection.loop.time()
        times = [*(time for _, time in timeouts), self._unused]
        self._pause = min([1.0, *(time / _LOOKS for time in times if time)])
        self._look()

    def _look(self) -> None:
        connection = self._connection
        if connection.ended:
            return
        now = connection.loop.time()
        channels = connection.channels
        self._seen = {
            channel.number: self._latest(channel, now)
            for channel in channels
            if not channel.closing
        }
        if channels:
            self._empty_since = now
        elif self._unused and now - self._empty_since >= self._unused:
            self._end()
            return
        for channel in channels:
            if not channel.closing:
                self._check(channel, now)
        connection.loop.call_later(self._pause, self._look)

    def _latest(self, channel: Channel, now: float) -> tuple[int, float]:
        count, since = self._seen.get(channel.number, (-1, now))
        if channel.traffic == count:
            return count, since
        self._busy_at = now
        return channel.traffic, now

    def _check(self, channel: Channel, now: float) -> None:
        kind = self._kind(channel)
        time = next((time for pattern, time in self._timeouts if fnmatchcase(kind, pattern)), 0)
        silent = now - self._seen[channel.number][1]
        if (time and silent >= time) or (self._together and now - self._busy_at >= self._together):
            self._connection.record("timeout", channel=channel.number, type=kind)
            channel.close()

    def _end(self) -> None:
        reason = f"no channel was open for {self._unused} seconds"
        self._connection.fail(ConnectionLost(reason), DisconnectCode.BY_APPLICATION, reason)
