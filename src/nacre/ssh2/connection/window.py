"""Flow control of one channel: how much each side may send (RFC 4254 section 5.2).

A *window* is the number of bytes of data that a side may still send on a channel. Each byte sent
reduces it. A *window adjust* is the message by which the receiver increases it again, after its
reader has consumed data.

How the receive window is kept
==============================

At most ``size`` bytes are in flight or unread at any time, so a reader that stalls costs at most
``size`` bytes of memory. Consumed bytes are granted again in steps, one WINDOW_ADJUST per step:
each costs a packet on the way back and a wake-up of the peer.

The window never stops a sender while ``size - step`` covers the bandwidth-delay product of the
path. A large window therefore has small steps: with a step of an eighth, seven eighths remain
usable. A quarter is enough for small windows, which short paths suffice with.

How it grows
============

The peer's first answer on a channel shows the round trip, and the window becomes what 1 Gbit/s puts
on a path of that length. On a long path most of a transfer would be over before doublings got
there.

A window that is used up within a second is doubled, as long as the reader keeps up and the last
doubling increased the rate. After a few doublings that fills every path with a round trip below a
second, and it leaves alone channels that never move much: a terminal, a control connection. Where
the reader, the link or the sender limits the rate, a larger window is only a larger buffer, on both
sides: OpenSSH's programs read ahead as much as the window allows, and copy all of it each time that
buffer grows, so a window of 32 MiB on a short path costs them seconds.

A window that is used up every few milliseconds has a round trip that is shorter still, and is not
doubled. A grant can't be taken back, so no window shrinks.
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
_SAMPLE = 0.1  # seconds: the shortest time to measure a rate over; below it scheduling dominates
_OFTEN = 8  # windows used up in a sample: each lasted 13 ms or less
_PATH_RATE = 1.25 * 125e6  # bytes/s: 1 Gbit/s, and a quarter for the step not granted again yet
_GAIN = 1.5  # a doubling must raise the rate by this much; if the window is the limit, it doubles


class SendWindow:
    """The window of the data that this side sends.

    :ivar left: bytes of data that may still be sent.
    :ivar packet: bytes of data in one message: the peer's maximum, up to a bound. A peer that names
        an incredible maximum, such as 2**31, gets 32 KiB, which every peer accepts.
    """

    __slots__ = ("left", "packet")

    def __init__(self) -> None:
        self.left = 0
        self.packet = 0

    def start(self, window: int, packet: int) -> None:
        """Take the window and the maximum packet size with which the peer opened the channel.

        :raises RemoteProtocolError: the maximum packet size is 0.
        """
        if packet == 0:
            raise RemoteProtocolError("the peer's maximum packet size is 0")
        self.left = window
        self.packet = min(packet, _SEND_PACKET) if packet <= _CREDIBLE_PACKET else _COMMON_PACKET

    def add(self, count: int) -> None:
        """Increase the window by a WINDOW_ADJUST of the peer.

        :raises RemoteProtocolError: the window would be above 2**32 - 1.
        """
        self.left += count
        if self.left >= _WINDOW_END:
            raise RemoteProtocolError("the peer opened a channel's window beyond 2**32 - 1 bytes")


class ReceiveWindow:
    """The window of the data that the peer sends.

    ``Mux`` checks received data against ``left`` and subtracts it. At all times
    ``left + unread + consumed == size``.

    :ivar left: bytes that the peer may still send.
    :ivar consumed: bytes that the reader has consumed, and that are not granted again yet.
    :ivar size: bytes that may be in flight or unread together.
    :ivar step: bytes that must be consumed before a WINDOW_ADJUST is sent.
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
        """Note that this window is sent to the peer now, to measure the round trip."""
        self._announced = now

    def answered(self, now: float, spare: int) -> int:
        """Return the bytes to grant at an answer of the peer; only the first answer counts.

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
        """Bytes that were received and wait for the reader."""
        return self.size - self.left - self.consumed

    def consume(self, count: int) -> None:
        """Note that the reader has consumed ``count`` bytes.

        :raises LocalProtocolError: fewer are unread.
        """
        if not 0 <= count <= self.size - self.left - self.consumed:
            raise LocalProtocolError(
                f"a window adjust of {count} bytes where {self.unread} are unread"
            )
        self.consumed += count

    def adjust(self, now: float, spare: int) -> int:
        """Return the bytes to grant by a WINDOW_ADJUST now; 0 if less than a step was consumed.

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
