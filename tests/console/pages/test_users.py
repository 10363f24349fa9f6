"""Users: forms for what the command line has."""

from __future__ import annotations

import re

import pytest

from console.world import World, connected
from nacre.crypto.password import verify_password
from nacre.daemon.store.values import StoredUser
from nacre.keys import generate

KEY = generate("ssh-ed25519").public


def test_users_are_listed_in_pages_and_found_by_name(world: World) -> None:
    for n in range(60):
        world.resources.store.add(StoredUser(name=f"zoe{n:02}"))
    browser = world.browser("otto")
    text = browser.get("/users").text
    assert "zoe00" in text
    (after,) = re.findall(r'href="(/users\?after=[^"]+)"', text)
    assert "zoe59" in browser.get(after).text
    assert browser.get("/users?name=zoe07").headers["location"] == "/users/zoe07"
    assert browser.get("/users/nobody").status_code == 404


def test_a_user_is_added_with_password_groups_and_key(world: World) -> None:
    browser = world.browser("ada")
    browser.post("/groups", name="staff")
    fields = {"name": "bob", "groups": "staff", "password": "first words", "must_change": "on"}
    answer = browser.post("/users", **fields, key=f"{KEY} laptop")
    assert browser.told(answer) == "bob was added."
    bob = world.resources.store.own("bob")
    assert (bob.groups, bob.must_change) == (("staff",), True)
    assert bob.password is not None
    assert verify_password(bob.password, b"first words")
    text = browser.get("/users/bob").text
    assert KEY.fingerprint() in text
    assert "laptop" in text
    assert browser.post("/users", name="bob").status_code == 409
    assert browser.post("/users", name="../x").status_code == 422


def test_settings_are_changed_and_given_back_to_the_groups(world: World) -> None:
    browser = world.browser("ada")
    fields = {"setting.max_sessions": "3", "setting.read_only": "yes", "setting.service": "sftp"}
    fields |= {"setting.root": "/srv/x", "setting.role": "auditor"}
    assert browser.told(browser.post("/users/uma/settings", **fields)) == "Saved."
    uma = world.resources.store.own("uma")
    assert (uma.max_sessions, uma.read_only, uma.service, uma.role) == (3, True, "sftp", "auditor")
    text = browser.get("/users/uma").text
    assert re.search(r'name="setting.max_sessions" type="number"[^>]* value="3"', text)
    assert "<option selected>sftp</option>" in text
    same = browser.post("/users/uma/settings", **fields)
    assert browser.told(same) == "Nothing was to be changed."
    browser.post("/users/uma/settings", **{"setting.max_sessions": ""})
    uma = world.resources.store.own("uma")
    assert (uma.max_sessions, uma.read_only) == (None, True)
    for wrong in ({"setting.max_sessions": "many"}, {"setting.hours": "always"}):
        assert browser.post("/users/uma/settings", **wrong).status_code == 422
    assert browser.post("/users/uma/settings", groups="none").status_code == 422


def test_who_is_disabled_has_no_connections_either(world: World) -> None:
    world.connections = [connected("uma")]
    browser = world.browser("ada")
    told = browser.told(browser.post("/users/uma/disabled", disabled="yes"))
    assert "is disabled, and the connections are being ended" in told
    assert world.resources.store.own("uma").disabled
    assert [one.user for one in world.killed] == ["uma"]
    browser.post("/users/uma/disabled", disabled="no")
    assert not world.resources.store.own("uma").disabled


def test_keys_are_added_and_removed_by_their_fingerprint(world: World) -> None:
    browser = world.browser("ada")
    told = browser.told(browser.post("/users/uma/keys", key=f"{KEY} phone"))
    assert KEY.fingerprint() in told
    assert browser.post("/users/uma/keys", key="nonsense").status_code == 422
    browser.post("/users/uma/keys/remove", fingerprint=KEY.fingerprint())
    assert world.resources.store.keys("uma") == []
    assert browser.post("/users/uma/keys/remove", fingerprint="x").status_code == 404


def test_a_password_is_set_and_removed(world: World) -> None:
    browser = world.browser("ada")
    browser.post("/users/uma/password", password="other words")
    uma = world.resources.store.own("uma")
    assert uma.password is not None
    assert verify_password(uma.password, b"other words")
    assert not uma.must_change
    assert browser.post("/users/uma/password", password="uma").status_code == 422
    browser.post("/users/uma/password", password="")
    assert world.resources.store.own("uma").password is None


def test_a_second_factor_is_shown_once_as_a_picture(world: World) -> None:
    browser = world.browser("ada")
    answer = browser.post("/users/uma/totp")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    (drawn,) = re.findall(r'<path d="((?:M\d+ \d+h1v1h-1z)+)"', answer.text)
    assert drawn.count("M") > 200
    assert len(re.findall(r"<code>[A-Z2-7]{32}</code>", answer.text)) == 1
    assert len(re.findall(r"<code>(?:[A-Z2-7]{4}-){3}[A-Z2-7]{4}</code>", answer.text)) == 10
    assert world.resources.store.factors.enrolled("uma")
    assert browser.post("/users/uma/totp").status_code == 409
    browser.post("/users/uma/totp/remove")
    assert not world.resources.store.factors.enrolled("uma")


def test_to_remove_a_user_takes_the_name(world: World) -> None:
    browser = world.browser("ada")
    told = browser.told(browser.post("/users/uma/remove", name="ada"))
    assert "Nothing was removed" in told
    assert world.resources.store.find("uma") is not None
    browser.post("/users/uma/remove", name="uma")
    assert world.resources.store.find("uma") is None


@pytest.mark.parametrize("limit", [1000, None])
def test_usage_stands_beside_the_quota(world: World, limit: int | None) -> None:
    world.resources.store.change("uma", quota_bytes=limit)
    text = world.browser("otto").get("/users/uma").text
    assert ('max="1000"' in text) is (limit is not None)
    assert ("no limit" in text) is True
