"""The limit on the rate of transfers."""

from __future__ import annotations

import pytest

from nacre.sftp.client.turns import Pace


def test_a_pace_delays_what_is_over_it() -> None:
    pace = Pace(1000)
    assert pace.delay(5.0) == 0
    pace.spend(1000, 5.0)
    assert pace.delay(5.0) == pytest.approx(0.9)
    assert pace.delay(6.0) == 0


def test_a_tenth_of_a_second_is_one_burst() -> None:
    pace = Pace(1000)
    pace.spend(100, 5.0)
    assert pace.delay(5.0) == pytest.approx(0)
    pace.spend(50, 5.0)
    assert pace.delay(5.0) == pytest.approx(0.05)


def test_time_without_transfers_is_not_saved_up() -> None:
    pace = Pace(1000)
    pace.spend(100, 5.0)
    pace.spend(1000, 500.0)
    assert pace.delay(500.0) == pytest.approx(0.9)
