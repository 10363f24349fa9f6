from __future__ import annotations

import os

import pytest

from nacre.errors import ConfigurationError
from nacre.server.admission.startups import MaxStartups, Startups


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


def test_the_oldest_of_the_largest_source_gives_its_place_up() -> None:
    startups = Startups()
    small = [startups.enter(source=b"small") for _ in range(2)]
    large = [startups.enter(source=b"large") for _ in range(4)]
    assert startups.displace(b"new", 100)
    assert [startups.displaced(place) for place in small + large] == [False] * 2 + [True] + [
        False
    ] * 3
    # One that was asked does not count any more, and is not asked again.
    assert startups.displace(b"new", 100)
    assert [startups.displaced(place) for place in large] == [True, True, False, False]
    # Now nobody has two more than a new one would have.
    startups.enter(source=b"new")
    assert not startups.displace(b"new", 100)
    assert not startups.displace(b"small", 100)
    assert startups.displace(b"other", 100)


def test_the_largest_source_takes_nobodys_place() -> None:
    startups = Startups()
    places = [startups.enter(source=one) for one in (b"a", b"a", b"b")]
    assert not startups.displace(b"a", 100)
    assert not startups.displace(b"b", 100)
    assert not any(startups.displaced(place) for place in places)
    assert not Startups().displace(b"a", 100)


def test_sources_with_one_connection_each_keep_their_places() -> None:
    startups = Startups()
    for number in range(10):
        startups.enter(source=b"%d" % number)
    assert not startups.displace(b"new", 100)


def test_a_place_that_was_given_up_is_a_new_connections_own() -> None:
    startups = Startups()
    first, _ = (startups.enter(source=b"a") for _ in range(2))
    assert startups.displace(b"b", 100)
    startups.leave(first)
    assert startups.enter(source=b"b") == first
    assert not startups.displaced(first)


def test_those_that_have_not_given_up_yet_are_bounded() -> None:
    startups = Startups()
    for _ in range(10):
        startups.enter(source=b"a")
    admitted = 0
    while startups.displace(b"%d" % admitted, 14):
        startups.enter(source=b"%d" % admitted)
        admitted += 1
    assert (admitted, startups.waiting) == (4, 14)


def test_what_has_no_place_in_shared_memory_gives_none_up() -> None:
    startups = Startups()
    places = [startups.enter(source=b"a") for _ in range(5000)]
    assert places[-1] == 0
    assert startups.displace(b"b", 10_000)
    assert [place for place in places if startups.displaced(place)] == [places[0]]


def test_another_process_asks_for_a_place() -> None:
    startups = Startups(2)
    startups.be(0)
    places = [startups.enter(source=b"a") for _ in range(3)]
    pid = os.fork()
    if pid == 0:
        startups.be(1)
        startups.enter(source=b"a")
        os._exit(startups.displace(b"b", 100))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
    assert [startups.displaced(place) for place in places] == [True, False, False]
