"""Bans."""

from __future__ import annotations

import time

import pytest

from console.world import World


def test_networks_are_banned_for_a_time_or_allowed_for_good(world: World) -> None:
    browser = world.browser("ada")
    fields = {"network": "203.0.113.0/24", "count": "2", "unit": "hours", "reason": "scans"}
    assert browser.told(browser.post("/bans", **fields)) == "203.0.113.0/24 is in the list."
    browser.post("/bans", network="198.51.100.7", what="allow")
    one, two = sorted(world.resources.store.bans.all(), key=lambda ban: ban.allowed)
    assert (one.reason, two.allowed, two.until) == ("scans", True, 0)
    assert one.until == pytest.approx(time.time() + 7200, abs=60)
    text = world.browser("otto").get("/bans").text
    assert "never banned" in text
    assert "/bans/remove" not in text
    told = browser.told(browser.post("/bans/remove", network="203.0.113.0/24"))
    assert told == "203.0.113.0/24 is no more in the list."
    assert browser.post("/bans/remove", network="203.0.113.0/24").status_code == 404


@pytest.mark.parametrize(
    "fields", [{"network": "x"}, {"network": "192.0.2.1", "count": "-1"}, {"count": "9" * 9}]
)
def test_what_is_no_network_or_no_time_is_refused(world: World, fields: dict[str, str]) -> None:
    assert world.browser("ada").post("/bans", **fields).status_code == 422
    assert list(world.resources.store.bans.all()) == []
