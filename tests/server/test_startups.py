from __future__ import annotations

import os

import pytest

from nacre.errors import ConfigurationError
from nacre.server.startups import MaxStartups, Startups


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


def test_connections_are_counted_by_their_network() -> None:
    startups = Startups()
    first, second = startups.enter(b"a"), startups.enter(b"b")
    third = startups.enter(b"a")
    assert (startups.waiting, startups.waiting_from(b"a"), startups.waiting_from(b"b")) == (3, 2, 1)
    startups.leave(first)
    assert (startups.waiting, startups.waiting_from(b"a")) == (2, 1)
    startups.leave(third)
    startups.leave(second)
    assert (startups.waiting, startups.waiting_from(b"a"), startups.waiting_from(b"b")) == (0, 0, 0)


def test_more_connections_than_places_are_counted_together() -> None:
    startups = Startups()
    places = [startups.enter(b"a") for _ in range(5000)]
    assert startups.waiting == 5000
    assert 4000 < startups.waiting_from(b"a") < 5000
    for place in places:
        startups.leave(place)
    assert (startups.waiting, startups.waiting_from(b"a")) == (0, 0)


def test_processes_share_the_counts_of_networks() -> None:
    startups = Startups(2)
    pid = os.fork()
    if pid == 0:
        startups.be(1)
        startups.enter(b"a")
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    startups.be(0)
    startups.enter(b"a")
    assert (startups.waiting, startups.waiting_from(b"a")) == (2, 2)
    startups.forget(1)
    assert (startups.waiting, startups.waiting_from(b"a")) == (1, 1)
