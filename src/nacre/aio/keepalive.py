"""Times without traffic: probes for a peer that may be gone, and channels that are idle."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import Protocol

from nacre.aio.channel import Channel
from nacre.aio.driver import Driver
from nacre.errors import (
    ConfigurationError,
    ConnectionLost,
    DisconnectCode,
    LocalProtocolError,
    NacreError,
    PeerSilent,
)


def check_times(keepalive_count: int, **seconds: float | None) -> None:
    """Check the times that a caller names, by the names of their parameters.

    :raises ConfigurationError: one is not a number, or negative, or no keepalive may be unanswered.
    """
    for name, value in seconds.items():
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if value is not None and not (number and value >= 0):
            raise ConfigurationError(f"{name}={value!r} is not a time: give seconds, 0 or more")
    if seconds.get("keepalive") and not (isinstance(keepalive_count, int) and keepalive_count >= 1):
        raise ConfigurationError(f"keepalive_count={keepalive_count!r}: give an int, 1 or more")


_LATE = 1.5
"""Intervals of silence after which a probe, sent after the first, counts as unanswered."""


class KeepaliveTimer:
    """Probes a silent peer, and reports one that leaves the probes unanswered.

    Whatever the peer sends is a sign of life, not only the answer to a probe.

    :param driver: knows when bytes were received last.
    :param interval: seconds of silence before each probe, or None for no probes.
    :param count: how many probes may stay unanswered.
    :param probe: sends one; the peer must answer it.
    :param give_up: called with the error when ``count`` probes were not answered.
    """

    __slots__ = (
        "_count",
        "_driver",
        "_give_up",
        "_interval",
        "_probe",
        "_probed_at",
        "_started",
        "_timer",
        "_unanswered",
    )

    def __init__(
        self,
        driver: Driver,
        interval: float | None,
        count: int,
        probe: Callable[[], object],
        give_up: Callable[[PeerSilent], None],
    ) -> None:
        self._driver = driver
        self._interval = interval
        self._count = count
        self._probe = probe
        self._give_up = give_up
        self._probed_at = 0.0
        self._unanswered = 0
        self._started = False
        self._timer: asyncio.TimerHandle | None = None

    def disable(self) -> None:
        """Send no probes, also after :meth:`start`."""
        self._interval = None

    def start(self) -> None:
        """Probe the peer whenever it is silent, from now on."""
        self._started = True
        if self._interval:
            self._schedule(self._driver.received_at + self._interval)

    def change(self, interval: float | None, count: int) -> None:
        """Probe at another interval from now on; before :meth:`start`, from then on."""
        started = self._started
        self.stop()
        self._interval, self._count = interval, count
        if started:
            self.start()

    def stop(self) -> None:
        """Send no more probes."""
        self._started = False
        if self._timer is not None:
            self._timer.cancel()

    @property
    def silent(self) -> bool:
        """Whether a probe was sent so long ago that a peer that lives would have answered."""
        driver = self._driver
        if not self._interval or not self._unanswered or driver.received_at > self._probed_at:
            return False
        return driver.loop.time() - driver.received_at >= _LATE * self._interval

    def _schedule(self, due: float) -> None:
        self._timer = self._driver.loop.call_at(due, self._check)

    def _check(self) -> None:
        assert self._interval is not None
        now, received_at = self._driver.loop.time(), self._driver.received_at
        if received_at > self._probed_at:
            self._unanswered = 0
        due = received_at + self._interval
        if due <= now:
            if self._unanswered >= self._count:
                self._give_up(self._silent(now - received_at))
                return
            self._unanswered += 1
            self._probed_at = now
            # The engine refuses it if too many are unanswered; an answer to any of them will do.
            with contextlib.suppress(LocalProtocolError):
                self._probe()
            due = now + self._interval
        self._schedule(due)

    def _silent(self, seconds: float) -> PeerSilent:
        return PeerSilent(
            f"the peer has been silent for {seconds:.3g} seconds and left {self._unanswered} "
            "keepalives unanswered: it is gone, or the network is"
        )


GLOBAL = "global"
"""The type that stands for all channels together: data on one of them is traffic of all."""

_LOOKS = 4
"""How often a timeout's channels are looked at in its time."""


class Watched(Protocol):
    """What :class:`IdleWatch` needs of a connection."""

    loop: asyncio.AbstractEventLoop
    ended: bool

    @property
    def channels(self) -> tuple[Channel, ...]:
        """The channels that are open, or about to be."""

    def fail(self, error: NacreError, code: DisconnectCode, description: str) -> None:
        """End the connection."""


class IdleWatch:
    """Closes the channels of a connection that have no traffic, and the connection without any.

    This is ChannelTimeout and UnusedConnectionTimeout of sshd_config(5). A clock looks at the
    channels from time to time and compares how often each had data, so data costs no timer.

    :param timeouts: patterns of types with seconds; of several that match, the first counts.
    :param unused: seconds without a channel after which the connection is closed, or None.
    :param told: called with each channel before it is closed.
    """

    def __init__(
        self,
        connection: Watched,
        timeouts: Sequence[tuple[str, int]],
        unused: int | None,
        told: Callable[[Channel], object],
    ) -> None:
        self._connection = connection
        self._told = told
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
        kind = channel.kind
        time = next((time for pattern, time in self._timeouts if fnmatchcase(kind, pattern)), 0)
        silent = now - self._seen[channel.number][1]
        if (time and silent >= time) or (self._together and now - self._busy_at >= self._together):
            self._told(channel)
            channel.close()

    def _end(self) -> None:
        reason = f"no channel was open for {self._unused} seconds"
        self._connection.fail(ConnectionLost(reason), DisconnectCode.BY_APPLICATION, reason)
