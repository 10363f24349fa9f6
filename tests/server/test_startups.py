from __future__ import annotations

import pytest

from nacre.errors import ConfigurationError
from nacre.server.startups import MaxStartups


def test_the_chance_to_get_in_falls_from_start_to_full() -> None:
    limit = MaxStartups.parse("10:30:100")
    assert limit.admits(9, 0.0)
    assert not limit.admits(10, 0.29)
    assert limit.admits(10, 0.31)
    assert not limit.admits(55, 0.64)
    assert limit.admits(55, 0.66)
    assert not limit.admits(100, 0.999999)


def test_a_plain_number_is_a_hard_limit() -> None:
    limit = MaxStartups.parse("3")
    assert limit.admits(2, 0.0)
    assert not limit.admits(3, 0.999999)


@pytest.mark.parametrize(
    "text", ["", "0", "10:30", "10:0:20", "10:101:20", "20:30:10", "a:b:c", "-1"]
)
def test_what_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="10:30:100"):
        MaxStartups.parse(text)
