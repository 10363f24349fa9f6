"""Bans: who is refused, what leads to them, and how much is remembered."""

from __future__ import annotations

import pytest

from nacre.server.admission import bans as bans_module
from nacre.server.admission.bans import (
    FACTOR,
    FIRST,
    HALF_LIFE,
    LONGEST,
    MEMORY,
    Ban,
    BanTable,
    OffenceScores,
    next_ban,
)
from nacre.server.admission.networks import parse_network

NOW = 1_000_000.0
HOST = parse_network("192.0.2.7")


def ban(text: str, until: int = 0, **more: object) -> Ban:
    return Ban(parse_network(text), until, **more)  # type: ignore[arg-type]


def test_banned_networks_are_refused_until_the_end() -> None:
    table = BanTable([ban("192.0.2.0/24", int(NOW) + 10), ban("2001:db8::/64")])
    assert table.refuses("192.0.2.7", NOW)
    assert table.refuses("::ffff:192.0.2.7", NOW)
    assert table.refuses("2001:db8::1", NOW)
    assert not table.refuses("192.0.2.7", NOW + 10)
    assert not table.refuses("192.0.3.7", NOW)
    assert not table.refuses("", NOW)
    assert table.banned(NOW) == 2
    assert table.banned(NOW + 10) == 1


def test_what_is_allowed_wins_over_larger_and_smaller_bans() -> None:
    table = BanTable([ban("0.0.0.0/0"), ban("192.0.2.0/24", allowed=True), ban("192.0.2.7")])
    assert not table.refuses("192.0.2.7", NOW)
    assert table.refuses("192.0.3.7", NOW)
    assert table.allows(HOST, NOW)
    assert not table.allows(parse_network("192.0.3.7"), NOW)


def test_a_list_can_be_replaced_and_added_to() -> None:
    table = BanTable([ban("192.0.2.7")])
    table.replace([ban("192.0.2.8")])
    assert not table.refuses("192.0.2.7", NOW)
    table.put(ban("192.0.2.7", int(NOW) + 1))
    assert table.refuses("192.0.2.7", NOW)
    assert table.get(HOST) == ban("192.0.2.7", int(NOW) + 1)


def test_the_list_is_bounded_and_what_somebody_has_added_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bans_module, "MOST_BANS", 2)
    table = BanTable([ban("192.0.2.1", int(NOW) + 50, level=1), ban("192.0.2.2")])
    table.put(ban("192.0.2.3", int(NOW) + 90, level=1))
    assert [table.refuses(f"192.0.2.{one}", NOW) for one in (1, 2, 3)] == [False, True, True]
    table = BanTable([ban("192.0.2.1"), ban("192.0.2.2"), ban("192.0.2.3", level=1)])
    assert not table.refuses("192.0.2.3", NOW)


def test_points_add_up_and_become_half_as_many() -> None:
    scores = OffenceScores()
    assert scores.add(HOST, 10.0, NOW) == 10.0
    assert scores.add(HOST, 10.0, NOW) == 20.0
    assert scores.add(HOST, 5.0, NOW + HALF_LIFE) == pytest.approx(15.0)
    assert scores.add(HOST, 5.0, NOW) == pytest.approx(20.0)  # a clock that was set back
    scores.forget(HOST)
    assert scores.add(HOST, 1.0, NOW) == 1.0


def test_the_points_of_the_longest_ago_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bans_module, "MOST_SCORES", 2)
    scores, (one, two, three) = OffenceScores(), map(parse_network, ("::1", "::2", "::3"))
    for network in (one, two, one, three):
        scores.add(network, 1.0, NOW)
    assert scores.add(one, 1.0, NOW) == 3.0
    assert scores.add(two, 1.0, NOW) == 1.0


def test_each_further_ban_lasts_longer_up_to_a_bound() -> None:
    found: Ban | None = None
    seconds = []
    now = NOW
    for _ in range(40):
        found = next_ban(found, HOST, "scan", now)
        seconds.append(found.until - now)
        now = float(found.until)
    assert seconds[:3] == [FIRST, FIRST * FACTOR, FIRST * FACTOR**2]
    assert seconds[-1] == LONGEST == max(seconds)


def test_after_some_time_a_ban_is_the_first_again() -> None:
    before = Ban(HOST, int(NOW), level=3)
    assert next_ban(before, HOST, "scan", NOW + MEMORY - 1).level == 4
    assert next_ban(before, HOST, "scan", NOW + MEMORY).level == 1
    assert not before.remembered(NOW + MEMORY)
    assert not Ban(HOST, int(NOW)).remembered(NOW)
