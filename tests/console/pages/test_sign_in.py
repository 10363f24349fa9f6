"""Signing in and out."""

from __future__ import annotations

import time
from pathlib import Path

import httpx
import pytest

from console.world import HOST, PASSWORD, World, world_at
from nacre.daemon.store.second_factor.totp import INTERVAL, code_at

SECRET = bytes(20)


def test_each_role_begins_where_it_has_something_to_see(world: World) -> None:
    for name, path in (("ada", "/now"), ("otto", "/now"), ("uma", "/you")):
        browser = world.browser(name)
        assert browser.get("/").headers["location"] == path
        assert browser.get("/sign-in").headers["location"] == "/"
        text = browser.get("/you").text
        assert ("Users</a>" in text) is (name != "uma")
    assert world.browser().get("/").headers["location"] == "/sign-in"


@pytest.mark.parametrize(
    ("name", "password"),
    [("ada", "wrong words"), ("ada", ""), ("nobody", PASSWORD), ("nina", PASSWORD), ("", PASSWORD)],
)
def test_who_shows_the_wrong_thing_gets_no_session(world: World, name: str, password: str) -> None:
    browser = world.browser()
    answer = browser.sign_in(name, password)
    assert answer.status_code in (401, 422)
    assert 'role="alert"' in answer.text
    assert "nacre-session" not in answer.headers.get("set-cookie", "")
    assert PASSWORD not in answer.text
    assert browser.get("/you").status_code == 303


def test_a_user_with_a_second_factor_needs_a_code(world: World) -> None:
    world.resources.store.factors.enrol("ada", SECRET)
    browser = world.browser()
    assert browser.sign_in("ada").status_code == 401
    code = code_at(SECRET, int(time.time()) // INTERVAL)
    assert browser.sign_in("ada", code=code).status_code == 303
    assert world.browser().sign_in("ada", code=code).status_code == 401, "it was used"


def test_a_session_has_a_new_name_whatever_the_browser_had(world: World) -> None:
    """Session fixation: a cookie that somebody else has set, or knows, is none of the new one."""
    stranger = world.browser("uma")
    known = stranger.client.cookies["nacre-session"]
    victim = world.browser(Cookie=f"nacre-session={known}")
    victim.client.headers.pop("Cookie")
    victim.client.cookies.set("nacre-session", known, domain="console.test", path="/")
    key = world.browser()
    shown = key.get("/sign-in").text
    victim.client.cookies.set(
        "nacre-form", key.client.cookies["nacre-form"], domain="console.test", path="/"
    )
    form_key = shown.partition('name="key" value="')[2].partition('"')[0]
    fields = {"name": "ada", "password": PASSWORD, "key": form_key}
    answer = victim.client.post("/sign-in", data=fields)
    assert answer.status_code == 303
    assert known not in answer.headers["set-cookie"]
    assert stranger.get("/you").status_code == 303, "the session that was known has ended"


@pytest.mark.parametrize("key", ["", "x", "x.y", "ä"])
def test_a_sign_in_that_no_page_of_this_browser_has_sent_is_refused(world: World, key: str) -> None:
    browser = world.browser()
    browser.get("/sign-in")
    other = world.browser()
    text = other.get("/sign-in").text
    foreign = text.partition('name="key" value="')[2].partition('"')[0]
    for shown in (key, foreign):
        fields = {"name": "ada", "password": PASSWORD, "key": shown}
        answer = browser.client.post("/sign-in", data=fields)
        assert answer.status_code == 403
        assert "nacre-session" not in answer.headers.get("set-cookie", "")
    assert world.direct.calls == []


def test_a_network_has_so_many_tries_and_then_costs_the_api_nothing(world: World) -> None:
    browser = world.browser()
    found = [browser.sign_in("nobody", "x").status_code for _ in range(13)]
    assert found == [401] * 10 + [429] * 3
    assert len(world.direct.calls) == 10
    assert browser.sign_in("ada").status_code == 429


def test_the_address_is_what_a_proxy_says_that_is_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    with world_at(tmp_path / "a", monkeypatch) as world_without:
        world_without.resources.store.change("ada", sources="198.51.100.7")
        browser = world_without.browser("", **{"X-Forwarded-For": "198.51.100.7"})
        assert browser.sign_in("ada").status_code == 401, "nobody else is believed"
    with world_at(tmp_path / "b", monkeypatch, proxies="192.0.2.0/24") as world_with:
        world_with.resources.store.change("ada", sources="198.51.100.7")
        browser = world_with.browser("", **{"X-Forwarded-For": "203.0.113.1, 198.51.100.7"})
        assert browser.sign_in("ada").status_code == 303
        browser = world_with.browser("", **{"X-Forwarded-For": "198.51.100.7, 203.0.113.1"})
        assert browser.sign_in("ada").status_code == 401, "the client itself has said the first"
        browser = world_with.browser("")
        # Some proxies add a line of their own behind that of the client.
        forged = [("X-Forwarded-For", "198.51.100.7"), ("X-Forwarded-For", "203.0.113.1")]
        key = browser.get("/sign-in").text.partition('name="key" value="')[2].partition('"')[0]
        fields = {"name": "ada", "password": PASSWORD, "key": key}
        sent = [*forged, ("Origin", f"http://{HOST}")]
        found = browser.client.post("/sign-in", data=fields, headers=httpx.Headers(sent))
        assert found.status_code == 401, "the client itself has said the first line"


def test_to_sign_out_ends_the_session_here_and_at_the_api(world: World) -> None:
    browser = world.browser("ada")
    cookie = browser.client.cookies["nacre-session"]
    answer = browser.post("/sign-out")
    assert answer.headers["location"] == "/sign-in"
    assert world.direct.calls[-1] == ("user:ada", "own.leave")
    assert world.browser(Cookie=f"nacre-session={cookie}").get("/you").status_code == 303


def test_an_api_that_is_away_is_told_apart_from_a_wrong_password(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world.api, "key", "revoked")
    answer = world.browser().sign_in("ada")
    assert (answer.status_code, "the key is unknown" in answer.text) == (401, True)
