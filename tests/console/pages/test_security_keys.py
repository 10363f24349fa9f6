"""Security keys on the pages: enrolled, shown, and removed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest

from console.authenticator import SoftKey
from console.world import PASSWORD, Browser, World, world_at
from nacre.daemon.store.second_factor.webauthn_keys import WebAuthnKey

ORIGIN = "https://console.test"
KEYS = "/you/security-keys"


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with world_at(tmp_path, monkeypatch, origin=ORIGIN) as world:
        yield world


def fields_of(page: str, kind: str) -> tuple[dict[str, str], Any]:
    """Return the hidden fields of the form that asks a security key, and what it asks."""
    form = re.search(rf'<form[^>]*data-webauthn="{kind}".*?</form>', page, re.DOTALL)
    assert form is not None, page
    found = re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form[0])
    options = re.search(r"data-options='([^']*)'", form[0])
    assert options is not None
    assert f'data-origin="{ORIGIN}"' in form[0]
    return {name: unescape(text) for name, text in found}, json.loads(unescape(options[1]))


def prove(browser: Browser, **fields: str) -> str:
    return browser.told(browser.post(f"{KEYS}/proof", **fields))


def enrol(browser: Browser, name: str = "blue", key: SoftKey | None = None) -> SoftKey:
    """Enrol a security key; the second factor was shown again."""
    key = SoftKey() if key is None else key
    fields, options = fields_of(browser.get(KEYS).text, "create")
    fields |= {"name": name, "answer": json.dumps(key.create(options, ORIGIN))}
    assert browser.told(browser.post(KEYS, **fields)) == f"The security key {name} was added."
    return key


def step(browser: Browser, name: str) -> tuple[dict[str, str], Any]:
    """Show the password; return the fields of the page that asks for the second factor."""
    answer = browser.sign_in(name)
    assert (answer.status_code, "Second factor" in answer.text) == (200, True)
    assert "nacre-session" not in answer.headers.get("set-cookie", "")
    assert "webauthn.js" in answer.text
    return fields_of(answer.text, "get")


def show(browser: Browser, fields: dict[str, str], answer: Any) -> httpx.Response:
    return browser.client.post("/sign-in/factor", data={**fields, "answer": json.dumps(answer)})


def test_a_user_enrols_a_key_and_signs_in_with_it(world: World) -> None:
    browser = world.browser("uma")
    assert KEYS in browser.get("/you").text
    assert "webauthn" not in browser.get(KEYS).text.replace("webauthn.js", "")
    assert prove(browser, password="wrong words") == "that is not right: try again"
    assert "may be added" in prove(browser, password=PASSWORD)
    key = enrol(browser)
    page = browser.get(KEYS).text
    assert "blue" in page
    assert "never" in page
    second = world.browser()
    fields, options = step(second, "uma")
    assert PASSWORD not in json.dumps(fields)
    assert second.get("/you").status_code == 303, "the password alone is not enough"
    assert show(second, fields, key.get(options, ORIGIN)).headers["location"] == "/"
    assert "blue" in second.get(KEYS).text
    names = [name for user, name in world.direct.calls if user == "console"]
    assert names[-1] == "sessions.confirm"


def test_a_code_does_as_well_where_there_are_codes(world: World) -> None:
    browser = world.browser("uma")
    prove(browser, password=PASSWORD)
    enrol(browser)
    world.resources.store.factors.enrol("uma", bytes(20), recovery=["AAAA-BBBB-CCCC-DDDD", "EEEE"])
    second = world.browser()
    fields, _ = step(second, "uma")
    del fields["answer"]
    wrong = second.client.post("/sign-in/factor", data={**fields, "code": "FFFF"})
    assert (wrong.status_code, 'role="alert"' in wrong.text) == (401, True)
    fields, _ = step(second, "uma")
    del fields["answer"]
    given = {**fields, "code": " aaaa bbbb cccc dddd "}
    assert second.client.post("/sign-in/factor", data=given).status_code == 303
    assert world.browser().sign_in("uma", code="EEEE").status_code == 303, "in one step"


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"rp_id": "evil.test"}, "uma"),
        ({"client": {"origin": "https://evil.test"}}, "uma"),
        ({"client": {"challenge": "AAAA"}}, "uma"),
        ({}, "ada"),
    ],
)
def test_a_wrong_answer_signs_nobody_in(world: World, changes: dict[str, Any], name: str) -> None:
    keys = {}
    for user in ("uma", "ada"):
        browser = world.browser(user)
        prove(browser, password=PASSWORD)
        keys[user] = enrol(browser)
    second = world.browser()
    fields, options = step(second, "uma")
    answer = show(second, fields, keys[name].get(options, ORIGIN, **changes))
    assert (answer.status_code, 'role="alert"' in answer.text) == (401, True)
    assert second.get("/you").status_code == 303


def test_an_answer_counts_once_and_in_the_browser_that_was_asked(world: World) -> None:
    browser = world.browser("uma")
    prove(browser, password=PASSWORD)
    key = enrol(browser)
    second, other = world.browser(), world.browser()
    fields, options = step(second, "uma")
    answer = key.get(options, ORIGIN)
    other.get("/sign-in")
    assert show(other, fields, answer).status_code == 403, "of another browser's form"
    fields, options = step(second, "uma")
    answer = key.get(options, ORIGIN)
    assert show(second, fields, answer).status_code == 303
    assert show(second, fields, answer).status_code == 401
    fields, options = step(world.browser(), "uma")
    assert show(world.browser(), {**fields, "key": "x"}, answer).status_code == 403


def test_what_is_no_answer_is_told(world: World) -> None:
    browser = world.browser("uma")
    prove(browser, password=PASSWORD)
    enrol(browser)
    second = world.browser()
    fields, _ = step(second, "uma")
    assert second.client.post("/sign-in/factor", data=fields).status_code == 400
    answer = show(second, fields, {"id": "x"})
    assert (answer.status_code, "lacks" in answer.text) == (422, True)
    assert browser.post(KEYS, ticket="x", name="x", answer="{").status_code == 400


def test_a_key_is_removed_when_the_second_factor_was_shown_again(world: World) -> None:
    browser = world.browser("uma")
    prove(browser, password=PASSWORD)
    key = enrol(browser)
    second = world.browser()
    fields, options = step(second, "uma")
    assert show(second, fields, key.get(options, ORIGIN)).status_code == 303
    page = second.get(KEYS).text
    assert "Remove" not in page.replace("Add or remove", "")
    (stored,) = world.resources.store.factors.security_keys.of("uma")
    told = second.told(second.post(f"{KEYS}/remove", id=stored.id))
    assert "show your second factor again" in told
    fields, options = fields_of(second.get(KEYS).text, "get")
    fields |= {"answer": json.dumps(key.get(options, ORIGIN))}
    assert "may be added" in second.told(second.client.post(f"{KEYS}/proof", data=fields))
    assert "has no security key" in second.told(second.post(f"{KEYS}/remove", id="0"))
    assert "was removed" in second.told(second.post(f"{KEYS}/remove", id=stored.id))
    assert world.resources.store.factors.security_keys.of("uma") == []
    assert world.browser("uma").get("/you").status_code == 200


def test_an_admin_removes_the_key_of_a_user_and_an_auditor_sees_it(world: World) -> None:
    browser = world.browser("uma")
    prove(browser, password=PASSWORD)
    enrol(browser, "<b>blue</b>")
    (stored,) = world.resources.store.factors.security_keys.of("uma")
    page = world.browser("otto").get("/users/uma").text
    assert "&lt;b&gt;blue&lt;/b&gt;" in page
    assert "<b>blue" not in page
    assert stored.id not in page
    ada = world.browser("ada")
    assert stored.id in ada.get("/users/uma").text
    path = "/users/uma/security-keys/remove"
    assert world.browser("otto").post(path, id=stored.id).status_code == 403
    assert "was removed" in ada.told(ada.post(path, id=stored.id))
    assert world.resources.store.factors.security_keys.of("uma") == []


def test_keys_of_another_host_name_are_not_asked_for(world: World) -> None:
    key = WebAuthnKey(credential=b"c", user="uma", name="old", rp_id="old.test", public_key=b"p")
    browser = world.browser("uma")
    world.resources.store.factors.security_keys.add(key)
    page = browser.get(KEYS).text
    assert "None of your keys is for this address" in page
    assert world.browser().sign_in("uma").status_code == 401


def test_a_console_without_an_address_of_its_own_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x").mkdir()
    with world_at(tmp_path / "x", monkeypatch) as world:
        browser = world.browser("uma")
        assert "--origin" in browser.get(KEYS).text
        prove(browser, password=PASSWORD)
        assert "data-webauthn" not in browser.get(KEYS).text
        assert "own.webauthn.challenge" not in [name for _, name in world.direct.calls]
