"""Flow control of one channel: what may be sent, and what the peer may send (RFC 4254 section 5.2).

How the receive window is kept
==============================

The peer may have ``size`` bytes under way or unread here: never more, so a reader that stalls
costs at most ``size`` bytes of memory. What the reader consumed is granted again in steps: one
WINDOW_ADJUST per step, because each costs a packet on the way back and a wake-up there.

A sender is never stopped by the window while ``size - step`` covers what the path holds
(bandwidth x round trip). A large window therefore takes small steps: an eighth leaves seven
eighths of it at work; a quarter does for windows that small paths are happy with.

How it grows
============

The peer's first answer on a channel shows how long the path is, and the window becomes what
1 Gbit/s puts on it: on a long path most of a transfer would be over before doublings got there.

A window that is used up within a second is doubled, as long as the reader keeps up and the last
doubling made the data come faster. That fills any path whose round trip is below a second after a
few doublings, and leaves alone what never moves much: a terminal, a control connection. Where the
reader, the link or the sender is the slow end, a larger window would only be a larger buffer. It is
that on both sides: OpenSSH's programs read ahead as much as the window takes, and copy all of it
each time that buffer grows, so that a window of 32 MiB on a short path costs them seconds.

What is used up every few milliseconds has a round trip that is shorter still, and is left alone.
A grant can't be taken back, so no window shrinks.
"""

from __future__ import annotations

from nacre.errors import LocalProtocolError, RemoteProtocolError
from nacre.limits import KIB, MIB

_WINDOW_END = 1 << 32
_SEND_PACKET = 128 * KIB  # twice as many leave the processor's cache before they are sealed
_CREDIBLE_PACKET = 256 * KIB  # OpenSSH's own bound
_COMMON_PACKET = 32 * KIB
_COARSE_STEPS_UP_TO = 4 * MIB
_GROWTH_PERIOD = 1.0
_SAMPLE = 0.1  # seconds a rate is taken over at least: within less, schedulers make it a chance
_OFTEN = 8  # windows in a sample: each lasted 13 ms or less
_PATH_RATE = 1.25 * 125e6  # 1 Gbit/s, and the step that is not granted again yet
_GAIN = 1.5  # what comes of a doubling where the window is the limit is twice the rate


class SendWindow:
    """What this side may send.

    :ivar left: bytes of data the peer still takes.
    :ivar packet: bytes of data in one message: the peer's maximum, within reason. Peers that name
        more than any takes, such as 2**31, get what all really take, 32 KiB.
    """

    __slots__ = ("left", "packet")

    def __init__(self) -> None:
        self.left = 0
        self.packet = 0

    def start(self, window: int, packet: int) -> None:
        """Take what the peer said when the channel was opened.

        :raises RemoteProtocolError: it takes no packet at all.
        """
        if packet == 0:
            raise RemoteProtocolError("the peer's maximum packet size is 0")
        self.left = window
        self.packet = min(packet, _SEND_PACKET) if packet <= _CREDIBLE_PACKET else _COMMON_PACKET

    def add(self, count: int) -> None:
        """Take a WINDOW_ADJUST.

        :raises RemoteProtocolError: the window would be above 2**32 - 1.
        """
        self.left += count
        if self.left >= _WINDOW_END:
            raise RemoteProtocolError("the peer opened a channel's window beyond 2**32 - 1 bytes")


class ReceiveWindow:
    """What the peer may send. Whoever takes data in subtracts it from ``left``, checked.

    At all times ``left + unread + consumed == size``.

    :ivar left: bytes the peer may still send.
    :ivar consumed: bytes the reader is done with, and which are not granted again yet.
    :ivar size: bytes that may be under way or unread together.
    """

    __slots__ = (
        "_announced",
        "_maximum",
        "_moved",
        "_pace",
        "_since",
        "consumed",
        "left",
        "size",
        "step",
    )

    def __init__(self, size: int, maximum: int) -> None:
        self.left = size
        self.consumed = 0
        self._maximum = maximum
        self._announced: float | None = None
        self._moved = 0
        self._since = -_GROWTH_PERIOD
        self._pace = 0.0
        self._resize(size)

    def _resize(self, size: int) -> None:
        self.size = size
        self.step = max(1, size // 4 if size <= _COARSE_STEPS_UP_TO else size // 8)

    def announced(self, now: float) -> None:
        """Note that the peer is told of this window now."""
        self._announced = now

    def answered(self, now: float, spare: int) -> int:
        """Return the bytes to grant now that the peer has answered; only the first answer counts.

        :param spare: bytes by which this window may grow at most.
        """
        if self._announced is None:
            return 0
        round_trip, self._announced = now - self._announced, None
        if round_trip > _GROWTH_PERIOD:
            return 0
        return self._grow(int(_PATH_RATE * round_trip) - self.size, spare)

    def _grow(self, count: int, spare: int) -> int:
        growth = max(0, min(count, self._maximum - self.size, spare))
        self._resize(self.size + growth)
        self.left += growth
        return growth

    @property
    def unread(self) -> int:
        """Bytes that came in and wait for the reader."""
        return self.size - self.left - self.consumed

    def consume(self, count: int) -> None:
        """Note that the reader is done with ``count``.

        :raises LocalProtocolError: so many were not unread.
        """
        if not 0 <= count <= self.size - self.left - self.consumed:
            raise LocalProtocolError(
                f"a window adjust of {count} bytes where {self.unread} are unread"
            )
        self.consumed += count

    def adjust(self, now: float, spare: int) -> int:
        """Return the bytes to grant now; 0 while less than a step was consumed.

        :param now: seconds, on any clock that begins at 0 or later.
        :param spare: bytes by which this window may grow at most.
        """
        if self.consumed < self.step:
            return 0
        grant, self.consumed = self.consumed, 0
        self.left += grant
        return grant + self._growth(grant, now, spare)

    def _growth(self, grant: int, now: float, spare: int) -> int:
        took = now - self._since
        if took >= _GROWTH_PERIOD:
            self._since, self._moved = now, 0
            return 0
        self._moved += grant
        if self._moved < self.size or took < _SAMPLE or self.unread > self.size // 4:
            return 0
        growth = 0
        if self._moved < _OFTEN * self.size and self._moved >= self._pace * took:
            self._pace = _GAIN * self._moved / took
            growth = self._grow(self.size, spare)
        self._since, self._moved = now, 0
        return growth
