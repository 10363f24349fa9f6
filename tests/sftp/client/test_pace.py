"""The limit on the rate of transfers."""

from __future__ import annotations

import pytest

from nacre.sftp.client.pace import Pace


def test_a_pace_delays_what_is_over_it() -> None:
    pace = Pace(1000)
    assert pace.delay(5.0) == 0
    pace.spend(1000, 5.0)
    assert pace.delay(5.0) == pytest.approx(0.9)
    assert pace.delay(6.0) == 0
