"""Flow control: the arithmetic, and what it makes of a long path on a clock of its own."""

from __future__ import annotations

from collections import deque
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacre.errors import LocalProtocolError, RemoteProtocolError
from nacre.limits import KIB, MIB
from nacre.ssh2.connection.window import ReceiveWindow, SendWindow

PLENTY = 1 << 40


def take(window, count):
    assert count <= window.left
    window.left -= count


def read(window, count, now):
    """Let a reader consume ``count`` bytes that have come, and adjust the window."""
    window.consume(count)
    return window.adjust(now, PLENTY)


class TestSendWindow:
    @pytest.mark.parametrize(
        ("announced", "sent"),
        [
            (17, 17),
            (32 * KIB, 32 * KIB),
            (64 * KIB, 64 * KIB),
            (256 * KIB, 128 * KIB),
            (256 * KIB + 1, 32 * KIB),
            (1 << 31, 32 * KIB),
        ],
    )
    def test_a_packet_is_what_the_peer_takes_within_reason(self, announced, sent):
        window = SendWindow()
        window.start(100, announced)
        assert (window.left, window.packet) == (100, sent)

    def test_nothing_may_be_sent_before_the_peer_has_opened_the_channel(self):
        assert (SendWindow().left, SendWindow().packet) == (0, 0)

    def test_a_peer_that_takes_no_packet_is_refused(self):
        with pytest.raises(RemoteProtocolError, match="packet size is 0"):
            SendWindow().start(100, 0)

    def test_the_window_ends_at_32_bits(self):
        window = SendWindow()
        window.start(0xFFFFFFFE, 1)
        window.add(1)
        assert window.left == 0xFFFFFFFF
        with pytest.raises(RemoteProtocolError, match="beyond"):
            window.add(1)


class TestReceiveWindow:
    def test_a_quarter_is_granted_at_once_and_less_waits(self):
        window = ReceiveWindow(1000, 1000)
        take(window, 1000)
        window.consume(249)
        assert window.adjust(0.0, PLENTY) == 0
        window.consume(1)
        assert window.adjust(0.0, PLENTY) == 250
        assert (window.left, window.unread, window.consumed) == (250, 750, 0)

    def test_a_large_window_keeps_seven_eighths_open(self):
        window = ReceiveWindow(16 * MIB, 16 * MIB)
        take(window, 16 * MIB)
        window.consume(2 * MIB - 1)
        assert window.adjust(9.0, PLENTY) == 0
        window.consume(1)
        assert window.adjust(9.0, PLENTY) == 2 * MIB

    @pytest.mark.parametrize("count", [-1, 11])
    def test_window_adjust_for_what_is_not_unread_is_illegal(self, count):
        window = ReceiveWindow(1000, 1000)
        take(window, 10)
        with pytest.raises(LocalProtocolError, match="10 are unread"):
            window.consume(count)

    def test_what_was_consumed_is_no_longer_unread(self):
        window = ReceiveWindow(1000, 1000)
        take(window, 10)
        window.consume(6)
        window.consume(0)
        with pytest.raises(LocalProtocolError, match="5 bytes where 4 are unread"):
            window.consume(5)

    @pytest.mark.parametrize(
        ("size", "step"),
        [(1, 1), (3, 1), (8, 2), (4 * MIB, MIB), (4 * MIB + 8, 4 * MIB // 8 + 1)],
    )
    def test_a_step_is_a_quarter_of_a_small_window_and_an_eighth_of_a_large_one(self, size, step):
        assert ReceiveWindow(size, size).step == step

    def test_the_smallest_window_works(self):
        window = ReceiveWindow(1, 1)
        for _ in range(5):
            take(window, 1)
            window.consume(1)
            assert window.adjust(0.0, PLENTY) == 1

    def move(self, window, count, now, spare=PLENTY):
        granted = 0
        while count:
            part = min(count, window.left, window.step)
            take(window, part)
            window.consume(part)
            granted += window.adjust(now, spare)
            count -= part
        return granted

    def test_a_window_used_up_within_a_second_doubles(self):
        window = ReceiveWindow(1000, 3000)
        self.move(window, 250, 0.0)
        assert self.move(window, 1000, 0.9) == 2000
        assert window.size == 2000
        assert self.move(window, 2000, 1.5) == 3000
        assert window.size == 3000, "never above the maximum"
        self.move(window, 9000, 1.6)
        assert window.size == 3000

    def test_a_window_used_up_slowly_stays(self):
        window = ReceiveWindow(1000, 4000)
        for second in range(20):
            self.move(window, 1000, float(second))
        assert window.size == 1000

    def test_what_came_before_the_first_grant_is_no_part_of_the_rate(self):
        window = ReceiveWindow(1000, 4000)
        self.move(window, 750, 100.0)
        self.move(window, 250, 100.5)
        assert window.size == 1000
        self.move(window, 250, 100.5)
        assert window.size == 2000

    def test_a_doubling_that_made_nothing_faster_is_the_last(self):
        window = ReceiveWindow(1000, 64_000)
        now = 0.0
        for _ in range(100):
            self.move(window, 500, now)
            now += 0.25
        assert window.size == 2000

    @pytest.mark.parametrize(
        ("moved", "size"),
        [
            # bytes, and when they are read; the first grant begins the measurement
            ([(250, 0.0), *[(333, 0.5)] * 3], 1000),  # a byte less than the window
            ([(250, 0.0), *[(250, 0.5)] * 4], 2000),
            ([(250, 0.0), (1000, 0.0999)], 1000),  # too short a time to measure
            ([(250, 0.0), (1000, 0.1)], 2000),
            ([(250, 0.0), *[(1000, 0.05)] * 7, (750, 0.1)], 2000),
            ([(250, 0.0), *[(1000, 0.05)] * 7, (1000, 0.1)], 1000),  # eight windows in it
            # 4,000 bytes a second at first: the next doubling takes 6,000
            ([(250, 0.0), (1000, 0.25), (2000, 0.3), (500, 0.75)], 2000),
            ([(250, 0.0), (1000, 0.25), *[(1250, 0.3)] * 2, (500, 0.75)], 4000),
            # and a new measurement begins
            ([(250, 0), (1000, 0.25), *[(1250, 0.3)] * 2, (500, 0.75), *[(1333, 0.9)] * 3], 4000),
        ],
    )
    def test_exactly_when_a_window_doubles(self, moved, size):
        window = ReceiveWindow(1000, 64_000)
        for count, now in moved:
            take(window, count)
            read(window, count, now)
        assert window.size == size

    @pytest.mark.parametrize(("unread", "size"), [(250, 2000), (251, 1000)])
    def test_a_quarter_of_the_window_may_be_unread_when_it_doubles(self, unread, size):
        window = ReceiveWindow(1000, 64_000)
        take(window, 1000)
        read(window, 250, 0.0)
        for _ in range(3):
            read(window, 250, 0.5)
        take(window, unread + 250)
        read(window, 250, 0.5)
        assert (window.size, window.unread) == (size, unread)

    def test_a_path_that_gets_faster_gets_its_window(self):
        window = ReceiveWindow(1000, 64_000)
        now = 0.0
        for _ in range(8):
            self.move(window, 500, now)
            now += 0.25
        for _ in range(8):
            self.move(window, 1000, now)
            now += 0.25
        assert window.size == 4000

    def test_a_window_used_up_every_few_milliseconds_stays(self):
        window = ReceiveWindow(1000, 64_000)
        for millisecond in range(1000):
            self.move(window, 250, millisecond / 1000)
        assert window.size == 1000

    def test_the_first_answer_shows_how_long_the_path_is(self):
        window = ReceiveWindow(2 * MIB, 32 * MIB)
        window.announced(5.0)
        growth = window.answered(5.1, PLENTY)
        assert window.size == window.left == 2 * MIB + growth
        assert window.size - window.step == pytest.approx(0.1 * 125e6, rel=0.1), "1 Gbit/s of it"
        assert window.answered(5.9, PLENTY) == 0, "only the first one"

    @pytest.mark.parametrize(
        ("took", "spare", "growth"),
        [
            (0.001, PLENTY, 0),
            (0.1, 1000, 1000),
            (0.1, -5, 0),
            (0.9, PLENTY, 30 * MIB),
            (1.0, PLENTY, 30 * MIB),
            (1.1, PLENTY, 0),
        ],
    )
    def test_a_short_path_and_a_late_answer_leave_the_window(self, took, spare, growth):
        window = ReceiveWindow(2 * MIB, 32 * MIB)
        window.announced(0.0)
        assert window.answered(took, spare) == growth
        assert window.size == 2 * MIB + growth

    def test_who_was_not_told_of_a_window_answers_nothing(self):
        window = ReceiveWindow(2 * MIB, 32 * MIB)
        assert window.answered(0.1, PLENTY) == 0

    def test_growth_stops_at_what_is_spare(self):
        window = ReceiveWindow(1000, 4000)
        self.move(window, 250, 0.0, spare=300)
        self.move(window, 1000, 0.5, spare=300)
        assert window.size == 1300
        self.move(window, 2600, 0.7, spare=-5)
        assert window.size == 1300

    def test_a_backlog_forbids_growth(self):
        window = ReceiveWindow(1000, 4000)
        take(window, 1000)
        for _ in range(4):
            window.consume(250)
            take(window, window.adjust(0.0, PLENTY))
        window.consume(250)
        take(window, window.adjust(0.5, PLENTY))
        assert window.size == 1000
        window.consume(1000)
        window.adjust(0.5, PLENTY)
        assert window.size == 2000, "the reader has caught up"

    @given(
        st.integers(1, 5000),
        st.integers(1, 100_000),
        st.lists(
            st.tuples(st.integers(0, 5000), st.integers(0, 5000), st.floats(0, 2)), max_size=60
        ),
    )
    def test_what_is_under_way_or_unread_never_exceeds_the_size(self, size, maximum, steps):
        window = ReceiveWindow(size, maximum)
        now, allowed, granted_before = 0.0, size, size
        for came, read, passed in steps:
            now += passed
            take(window, came := min(came, window.left))
            allowed -= came
            window.consume(min(read, window.unread))
            allowed += window.adjust(now, PLENTY)
            assert window.left == allowed >= 0, "both sides count the same"
            assert window.left + window.unread + window.consumed == window.size
            assert window.size >= granted_before, "a grant is never taken back"
            assert window.size <= max(size, maximum)
            assert window.consumed < window.step
            granted_before = window.size


class Path:
    """A sender that always has data, a link with a rate and a delay, and a reader."""

    def __init__(self, *, rate, one_way, window, reader_rate=None):
        self.packet = 32 * KIB
        self.rate = rate
        self.one_way = one_way
        self.window = window
        self.reader_rate = reader_rate
        self.sendable = window.left
        self.now = 0.0
        self.link_free = 0.0
        self.reader_free = 0.0
        self.data: deque[Any] = deque()
        self.grants: deque[Any] = deque()
        self.delivered = 0
        self.worst_unread = 0

    def _send(self):
        while self.sendable and self.link_free <= self.now:
            size = min(self.packet, self.sendable)
            self.sendable -= size
            self.link_free = max(self.link_free, self.now) + size / self.rate
            self.data.append((self.link_free + self.one_way, size))

    def _read(self, size):
        take(self.window, size)
        self.delivered += size
        self.worst_unread = max(self.worst_unread, self.window.unread)
        if self.reader_rate is None:
            self._consumed(size)
        else:
            start = max(self.reader_free, self.now)
            self.reader_free = start + size / self.reader_rate

    def _consumed(self, size):
        self.window.consume(size)
        if grant := self.window.adjust(self.now, PLENTY):
            self.grants.append((self.now + self.one_way, grant))

    def run(self, until):
        """Move the clock to ``until``; returns bytes delivered meanwhile."""
        before = self.delivered
        while True:
            self._send()
            times = [queue[0][0] for queue in (self.data, self.grants) if queue]
            if self.sendable:
                times.append(self.link_free)
            if not times or min(times) > until:
                self.now = until
                return self.delivered - before
            self.now = max(self.now, min(times))
            while self.grants and self.grants[0][0] <= self.now:
                self.sendable += self.grants.popleft()[1]
            while self.data and self.data[0][0] <= self.now:
                self._read(self.data.popleft()[1])


class TestPaths:
    GIGABIT = 1e9 / 8

    def test_a_gigabit_over_100_ms_is_filled_after_warming_up(self):
        window = ReceiveWindow(2 * MIB, 32 * MIB)
        path = Path(rate=self.GIGABIT, one_way=0.05, window=window)
        path.run(2.0)
        assert path.run(6.0) / (4.0 * self.GIGABIT) >= 0.85

    def test_what_a_fixed_window_would_give_on_that_path(self):
        path = Path(rate=self.GIGABIT, one_way=0.05, window=ReceiveWindow(2 * MIB, 2 * MIB))
        path.run(2.0)
        assert path.run(6.0) / (4.0 * self.GIGABIT) < 0.2, "the test above proves growth"

    def test_a_reader_that_stalls_holds_its_window_and_no_more(self):
        window = ReceiveWindow(2 * MIB, 32 * MIB)
        path = Path(rate=self.GIGABIT, one_way=0.05, window=window, reader_rate=1.0)
        path.run(10.0)
        assert window.size == path.delivered == path.worst_unread == 2 * MIB

    def test_a_reader_that_stalls_after_growth_holds_what_was_granted(self):
        window = ReceiveWindow(2 * MIB, 32 * MIB)
        path = Path(rate=self.GIGABIT, one_way=0.05, window=window)
        path.run(3.0)
        path.reader_rate = 1.0
        path.run(9.0)
        assert 2 * MIB < path.worst_unread <= window.size <= 32 * MIB

    @pytest.mark.slow
    @pytest.mark.parametrize("rate", [10e6, GIGABIT, 10 * GIGABIT])
    def test_a_short_path_that_the_window_does_not_limit_keeps_it_small(self, rate):
        window = ReceiveWindow(2 * MIB, 32 * MIB)
        path = Path(rate=rate, one_way=0.0001, window=window)
        assert path.run(3.0) >= 0.95 * 3.0 * rate
        assert window.size <= 4 * MIB

    def test_an_interactive_channel_never_grows(self):
        window = ReceiveWindow(2 * MIB, 32 * MIB)
        for second in range(3600):
            for _ in range(50):
                take(window, 4000)
                window.consume(4000)
                window.adjust(float(second), PLENTY)
        assert window.size == 2 * MIB
