"""Recordings in the console."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.api.recordings.kept import link_to, write
from console.world import World, world_at

EVIL = "<script>alert(1)</script>"


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    directory = tmp_path / "recordings"
    directory.mkdir()
    for n in range(60):
        path = f"2030-01-02/{n:06}.000-uma-x.cast"
        write(directory, path, "uma", 1_893_500_000.0 + n, [0.5, "o", f"{EVIL}{n}"])
    write(directory, "2030-01-03/000000.000-x.cast", EVIL, 1_893_650_000.0)
    with link_to(directory) as link, world_at(tmp_path, monkeypatch, recordings=link) as world:
        yield world


def test_the_newest_come_first_and_link_to_the_player(recorded: World) -> None:
    browser = recorded.browser("otto")
    text = browser.get("/recordings").text
    assert text.count(">Play</a>") == 50
    assert (EVIL in text, "&lt;script&gt;" in text) == (False, True)
    more = text.partition('<a href="/recordings?after=')[2].partition('"')[0]
    assert browser.get(f"/recordings?after={more}").text.count(">Play</a>") == 11
    assert browser.get("/recordings?user=nobody").text.count(">Play</a>") == 0
    assert 'role="alert"' in browser.get("/recordings?since=soon").text


def test_a_recording_is_played_with_its_speed(recorded: World) -> None:
    browser = recorded.browser("otto")
    path = "/recordings/2030-01-02/000007.000-uma-x.cast"
    answer = browser.get(f"{path}?speed=4")
    assert f'data-cast="{path}/cast" data-speed="4"' in answer.text
    assert "'wasm-unsafe-eval'" in answer.headers["content-security-policy"]
    assert 'data-speed="1"' in browser.get(f"{path}?speed=<script>").text
    cast = browser.get(f"{path}/cast")
    assert cast.headers["content-type"] == "application/x-asciicast"
    assert f"{EVIL}7" in cast.text
    assert cast.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path", ["2030-01-02/none.cast", "..%2F..%2Fusers.db", "2030-01-02/..", "2030-01-02/x.sealed"]
)
def test_what_is_no_recording_is_refused(recorded: World, path: str) -> None:
    answer = recorded.browser("ada").get(f"/recordings/{path}/cast")
    assert answer.status_code in (404, 409)


def test_a_user_plays_nothing(recorded: World) -> None:
    answer = recorded.browser("uma").get("/recordings/2030-01-02/000007.000-uma-x.cast/cast")
    assert answer.status_code == 403


def test_a_server_that_records_nothing_says_so(world: World) -> None:
    assert "start it with --record" in world.browser("ada").get("/recordings").text


def test_a_text_is_searched_and_leads_to_its_moments(recorded: World) -> None:
    browser = recorded.browser("otto")
    path = "/recordings/2030-01-02/000007.000-uma-x.cast"
    text = browser.get(f"{path}?text=alert&speed=2").text
    assert '<a href="#t=0.5">0:00.5</a>' in text
    assert (EVIL in text, "&lt;/script&gt;7" in text) == (False, True)
    assert 'data-speed="2"' in text
    assert "Nothing was found" in browser.get(f"{path}?text=nowhere").text
    assert 'id="text"' in browser.get(path).text
    assert "no such recording" in browser.get("/recordings/2030-01-02/none.cast?text=x").text
