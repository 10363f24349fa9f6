"""Which bytes of a file to ask for next, and how many at once.

::

    window = Window()
    reads = ReadAhead(window, extents(0, size))
    while not reads.done:
        while (span := reads.next(now)) is not None:
            ask(span.offset, span.length)
        …
        reads.received(span, got, now)            # or reads.ended(span, now), reads.lost(span)

No I/O and no clock: ``now`` is in seconds, of any clock that never goes back. All transfers of a
connection share one :class:`Window`, because they share its path.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Iterator

from nacre.errors import LocalProtocolError
from nacre.limits import KIB, MIB
from nacre.sftp.protocol.extensions import ServerLimits
from nacre.value import value

DEFAULT_REQUEST = 32 * KIB
"""Bytes of one READ or WRITE that every server takes (draft-ietf-secsh-filexfer-02, 3)."""

LARGEST_REQUEST = 255 * KIB
"""Bytes of one READ or WRITE at most, whatever a server announces."""

_SMALLEST_REQUEST = 512
"""Bytes below which requests do not shrink, however little a server returns for each READ."""

_PATIENCE = 1.0
"""Seconds without an answer before a server counts as stalled: at least that many."""

_EXPECTED_RATE = 1.25 * 125e6
"""Bytes per second assumed until the path is measured: 1 Gbit/s, and what the ends buffer."""

_ROUNDS = 10
"""Round trips whose best rate counts: so a pause of the local disk does not shrink the window."""


def request_sizes(limits: ServerLimits | None) -> tuple[int, int]:
    """Return the bytes of one READ and of one WRITE.

    :param limits: the answer to ``limits@openssh.com``, or None.
    """
    if limits is None:
        return DEFAULT_REQUEST, DEFAULT_REQUEST
    return _request_size(limits.read), _request_size(limits.write)


def _request_size(announced: int) -> int:
    return min(announced, LARGEST_REQUEST) if announced else DEFAULT_REQUEST


def extents(start: int, end: int | None) -> Iterator[tuple[int, int | None]]:
    """Yield one extent: all bytes from ``start`` to ``end``, or to the file's end."""
    yield start, end


def without_holes(
    size: int, holes: Iterable[tuple[int, int]], start: int = 0
) -> Iterator[tuple[int, int | None]]:
    """Yield the extents of a sparse file between its holes.

    :param holes: start and end of each, in order.
    """
    for hole, hole_end in holes:
        if hole > start:
            yield start, min(hole, size)
        start = max(start, hole_end)
    if start < size:
        yield start, size


@value(frozen=False)
class Span:
    """A request in flight: ``length`` bytes from ``offset`` on.

    :ivar sent: when it was handed out.
    """

    # Not frozen: one is made per request, and a frozen one takes twice as long to make.
    offset: int
    length: int
    sent: float

    @property
    def end(self) -> int:
        """The offset after its last byte."""
        return self.offset + self.length


class Window:
    """How many bytes may be in flight: twice the measured bandwidth-delay product.

    It starts at ``floor``, or at what 1 Gbit/s puts on a path whose round trip is known. With twice
    the product in flight, a path that can carry more shows it within one round trip: the measured
    rate doubles, and the window with it. While the server does not answer, the window halves again
    and again, down to one request; afterwards it doubles again.

    :ivar limit: bytes that may be in flight now.
    :ivar in_flight: bytes in flight.
    :ivar ceiling: the upper bound of ``limit``.
    """

    def __init__(self, *, floor: int = 2 * MIB, ceiling: int = 64 * MIB) -> None:
        """Measure one path.

        :param floor: bytes in flight before anything is measured; OpenSSH's clients keep 2 MiB.
        :param ceiling: bytes in flight at most: 64 MiB fill 1 Gbit/s over 250 ms, twice.
        """
        self.limit = floor
        self.in_flight = 0
        self.ceiling = max(ceiling, floor)
        self._floor = self._low = floor
        self._delay = float("inf")
        self._smooth_delay = 0.0
        self._rates: deque[float] = deque(maxlen=_ROUNDS)
        self._delivered = 0
        self._round = (0.0, 0)
        self._filling = False
        self._progress = 0.0

    def expect(self, round_trip: float) -> None:
        """Start with a window for a path whose round trip takes that many seconds."""
        wanted = int(_EXPECTED_RATE * round_trip)
        self.limit = max(self._floor, min(wanted, self.ceiling))

    @property
    def deadline(self) -> float | None:
        """When to call ``tick`` if no answer comes before; None with nothing in flight."""
        return self._progress + self._patience if self.in_flight else None

    @property
    def _patience(self) -> float:
        return max(_PATIENCE, 4 * self._smooth_delay)

    def fits(self, count: int) -> bool:
        """Return whether a request of ``count`` bytes may go out; one may always be in flight."""
        return not self.in_flight or self.in_flight + count <= self.limit

    def sent(self, count: int, now: float) -> None:
        """Note that a request went out."""
        if not self.in_flight:
            self._progress = now
            self._round = now, self._delivered
            self._filling = self.limit >= self._floor
        self.in_flight += count

    def answered(self, asked: int, got: int, sent: float, now: float) -> None:
        """Note that a request of ``asked`` bytes, sent at ``sent``, moved ``got`` bytes."""
        self.in_flight -= asked
        self._delivered += got
        self._progress = now
        delay = now - sent
        if delay < self._delay:
            self._delay = delay
        self._smooth_delay += (delay - self._smooth_delay) / 8
        began, before = self._round
        # A round ends with the answer to a request that was sent in it: one round trip at least.
        if began <= sent and began < now:
            self._round = now, self._delivered
            # While the path fills nothing arrives, so that round does not show its rate.
            if self._filling:
                self._filling = False
                return
            self._rates.append((self._delivered - before) / (now - began))
            self._low = min(2 * self._low, self._floor)
            wanted = int(2 * max(self._rates) * self._delay)
            self.limit = max(self._low, min(wanted, self.ceiling))

    def forgot(self, count: int) -> None:
        """Note that a request ended in a way that does not measure the path."""
        self.in_flight -= count

    def tick(self, now: float) -> None:
        """Halve the window if the server has not answered until ``deadline``."""
        deadline = self.deadline
        if deadline is None or now < deadline:
            return
        self._progress = now
        self._round = now, self._delivered
        self._rates.clear()
        self.limit = self._low = max(self.limit // 2, DEFAULT_REQUEST)


class _Pipeline:
    """Hands out spans, the lowest offset first, and spans again whose requests fell short.

    At most the window's ceiling of bytes is done ahead of the first gap, besides those in flight: a
    caller that needs the bytes in order buffers no more than that.

    :ivar end: where the file turned out to end, or None. Bytes received after it do not count.
    """

    def __init__(
        self,
        window: Window,
        extents: Iterable[tuple[int, int | None]],
        *,
        request: int = DEFAULT_REQUEST,
    ) -> None:
        """Transfer ``extents``: pairs of start and end, in order; None is the file's end.

        :param request: bytes of one request.
        """
        self.end: int | None = None
        self._window = window
        self._extents = iter(extents)
        self._request = request
        self._position = 0
        self._extent_end: int | None = 0
        self._exhausted = False
        self._in_flight: dict[int, Span] = {}
        self._again: list[tuple[int, int]] = []
        self._losses: dict[int, int] = {}
        # Where spans began, from the first that is not done; and those of them that are done.
        self._begun: list[int] = []
        self._finished: dict[int, int] = {}
        self._ahead = 0

    @property
    def done(self) -> bool:
        """Whether all bytes are transferred and nothing is in flight."""
        return not self._in_flight and self.all_asked

    @property
    def all_asked(self) -> bool:
        """Whether all spans are handed out; more follow only if one in flight falls short."""
        return not self._again and not self._more()

    @property
    def watermark(self) -> int:
        """The offset before which all bytes are transferred: a resumed transfer starts here.

        There may be gaps after it. A local file must be truncated here if it is to be resumed by
        its size: otherwise it looks longer than it is.
        """
        return self._begun[0] if self._begun else self._position

    def next(self, now: float) -> Span | None:
        """Return what to ask for now; None when enough is in flight, or all is handed out."""
        if not self._window.fits(self._request):
            return None
        if self._again:
            offset, length = heapq.heappop(self._again)
        elif self._ahead < self._window.ceiling and self._more():
            offset = self._position
            stop = self._extent_end
            length = self._request if stop is None else min(self._request, stop - offset)
            self._position += length
            heapq.heappush(self._begun, offset)
        else:
            return None
        span = Span(offset, length, now)
        self._in_flight[offset] = span
        self._window.sent(length, now)
        return span

    def ended(self, span: Span, now: float) -> None:
        """Note that the file ends at or before the span's offset."""
        self._land(span)
        self._window.answered(span.length, 0, span.sent, now)
        if self.end is not None and self.end <= span.offset:
            return
        end = self.end = span.offset
        self._exhausted = True
        self._position = min(self._position, end)
        self._again = [piece for piece in self._again if piece[0] < end]
        heapq.heapify(self._again)
        self._begun = [offset for offset in self._begun if offset < end]
        heapq.heapify(self._begun)
        for offset in [offset for offset in self._finished if offset >= end]:
            self._ahead -= self._finished.pop(offset)

    def lost(self, span: Span) -> int:
        """Note that a request had no effect: its span will be handed out again.

        :returns: how often this span was lost; 0 if it lies behind the end and is dropped.
        """
        self._land(span)
        self._window.forgot(span.length)
        if self._void(span):
            return 0
        heapq.heappush(self._again, (span.offset, span.length))
        self._losses[span.offset] = self._losses.get(span.offset, 0) + 1
        return self._losses[span.offset]

    def _complete(self, span: Span, got: int, now: float) -> bool:
        if not 0 < got <= span.length:
            raise LocalProtocolError(f"{got} bytes for a request of {span.length}")
        self._land(span)
        self._window.answered(span.length, got, span.sent, now)
        if self._void(span):
            return False
        if self._losses:
            self._losses.pop(span.offset, None)
        begun, finished = self._begun, self._finished
        if got < span.length:
            rest = span.offset + got
            heapq.heappush(begun, rest)
            heapq.heappush(self._again, (rest, span.length - got))
        if begun[0] != span.offset:
            finished[span.offset] = got
            self._ahead += got
            return True
        heapq.heappop(begun)
        while begun and begun[0] in finished:
            self._ahead -= finished.pop(heapq.heappop(begun))
        return True

    def _land(self, span: Span) -> None:
        if self._in_flight.get(span.offset) is not span:
            raise LocalProtocolError(f"nothing is in flight at offset {span.offset}")
        del self._in_flight[span.offset]

    def _void(self, span: Span) -> bool:
        return self.end is not None and span.offset >= self.end

    def _more(self) -> bool:
        """Return whether a span was never handed out; step into its extent."""
        while not self._exhausted and self._position == self._extent_end:
            start, end = next(self._extents, (None, None))
            if start is None:
                self._exhausted = True
            elif start < self._position or (end is not None and end < start):
                raise LocalProtocolError("extents are not in order")
            else:
                self._position, self._extent_end = start, end
        return not self._exhausted


class ReadAhead(_Pipeline):
    """Which bytes to READ next."""

    _last_short = 0

    def received(self, span: Span, got: int, now: float) -> bool:
        """Note that ``got`` bytes arrived, at least one; the rest of the span is handed out again.

        :returns: whether they count: not if they lie behind the ``end`` that was found meanwhile.
        """
        counts = self._complete(span, got, now)
        if got < span.length:
            if got == self._last_short:
                # The same number twice: it is what the server returns at most.
                self._request = max(got, _SMALLEST_REQUEST)
            self._last_short = got
        return counts


class WriteBehind(_Pipeline):
    """Which bytes to WRITE next. Call ``ended`` when the local file has become shorter.

    Spans are handed out in the order of their offsets. If the connection breaks, a server that
    wrote them in that order has a file without gaps, unless some were ``lost`` before.
    """

    def written(self, span: Span, now: float, length: int | None = None) -> None:
        """Note that a span was written, or ``length`` bytes of it if the file had no more."""
        self._complete(span, span.length if length is None else length, now)
