"""What is checked before each page: sessions, roles, forms, and whence they come."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from console.world import HOST, ROLES, Browser, World, connected, world_at
from nacre.cli.api.calls import people
from nacre.console.app import PAGES
from nacre.console.web.visit import ConsolePage
from nacre.daemon.audit.events import AuditEvent
from nacre.daemon.audit.table import FILE as AUDIT
from nacre.daemon.audit.table import AuditTable
from nacre.daemon.store import store as store_module
from nacre.daemon.store.values import Group, StoredKey, StoredUser
from nacre.keys import generate

POSTS = [page for page in PAGES if page.method == "POST" and page.roles]
_STREAMS = {
    *("/now/events", "/audit/export.{form}", "/watch/{id}/events"),
    "/recordings/{day}/{file}/cast",
}
"""Pages that are none, but what others load."""

FOR_SOME = [page for page in PAGES if page.roles]


def filled(page: ConsolePage) -> str:
    """Return a path of a page: of the user ada, say."""
    path = page.path.replace("/groups/{name}", "/groups/staff").replace("{form}", "csv")
    return (
        path.replace("{name}", "ada")
        .replace("{id}", "1.1")
        .replace("{day}", "x")
        .replace("{file}", "x")
    )


def test_without_a_session_each_page_leads_to_the_sign_in(world: World) -> None:
    browser = world.browser()
    for page in FOR_SOME:
        data = {"csrf": "x"} if page.method == "POST" else None
        answer = browser.client.request(page.method, filled(page), data=data)
        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in"), page.path
    assert world.direct.calls == []


def test_a_page_is_for_its_roles(world: World) -> None:
    for name, role in ROLES.items():
        if role == "none":
            continue
        browser = world.browser(name)
        data = {"csrf": browser.csrf(), "name": "ada"}
        before = list(world.direct.calls)
        for page in FOR_SOME:
            if role in page.roles:
                continue
            sent = data if page.method == "POST" else None
            answer = browser.client.request(page.method, filled(page), data=sent)
            refused = answer.status_code, "has no right to this" in answer.text
            assert refused == (403, True), (name, page.path)
        assert world.direct.calls == before


def test_a_form_without_the_key_of_the_session_does_nothing(world: World) -> None:
    browser = world.browser("ada")
    other = world.browser("ada").csrf()
    before = list(world.direct.calls)
    for page in POSTS:
        for fields in ({}, {"csrf": ""}, {"csrf": "x" * 64}, {"csrf": other}, {"csrf": "ä"}):
            answer = browser.client.post(filled(page), data={"name": "ada", **fields})
            refused = answer.status_code, "another session" in answer.text
            assert refused == (403, True), page.path
    assert world.direct.calls == before


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.test"},
        {"Origin": f"http://{HOST}.evil.test"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_form_of_another_site_does_nothing_even_with_the_right_key(
    world: World, headers: dict[str, str]
) -> None:
    browser = world.browser("ada")
    csrf = browser.csrf()
    fields = {"csrf": csrf, "name": "mallory"}
    answer = browser.client.post("/users", data=fields, headers=headers)
    assert (answer.status_code, "another site" in answer.text) == (403, True)
    assert world.resources.store.find("mallory") is None
    assert browser.client.post("/sign-in", data={}, headers=headers).status_code == 403


def test_a_forged_or_changed_cookie_is_no_session(world: World) -> None:
    browser = world.browser("ada")
    cookie = browser.client.cookies["nacre-session"]
    name, _, signature = cookie.rpartition(".")
    last = "1" if name.endswith("0") else "0"
    other = world.browser("uma").client.cookies["nacre-session"]
    forged = (
        *(
            name,
            f"{name}.",
            f"{name}.{signature[:-1]}",
            f"{name[:-1]}{last}.{signature}",
            "x" * 5000,
        ),
        f"{other.rpartition('.')[0]}.{signature}",
        f"ada.admin.{signature}",
    )
    for wrong in forged:
        answer = world.browser(Cookie=f"nacre-session={wrong}").get("/users")
        where = answer.headers.get("location")
        assert (answer.status_code, where) == (303, "/sign-in"), wrong
    answer = world.browser(Cookie=f"nacre-session={cookie}").get("/users")
    assert answer.status_code == 200


def test_a_user_who_loses_the_role_loses_it_in_an_open_session(world: World) -> None:
    browser = world.browser("ada")
    csrf = browser.csrf()
    world.resources.store.change("ada", role="auditor")
    answer = browser.client.post("/users", data={"csrf": csrf, "name": "mallory"})
    assert (answer.status_code, "no scope users:write" in answer.text) == (403, True)
    assert world.resources.store.find("mallory") is None
    world.resources.store.change("ada", disabled=True)
    assert browser.get("/users").headers["location"] == "/sign-in"
    world.resources.store.change("ada", disabled=False, role="admin")
    assert browser.get("/users").headers["location"] == "/sign-in", "the session has ended"


EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


def test_what_others_say_is_text_on_each_page(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names that the commands refuse may come from elsewhere: a directory, or an older store."""
    monkeypatch.setattr(store_module, "check_name", lambda *_: None)
    key = StoredKey(generate("ssh-ed25519").public, EVIL, options=f'command="{EVIL[:9]}"')
    world.resources.store.groups.add(Group(name="staff", home=f"/{EVIL}"))
    world.resources.store.add(StoredUser(name=EVIL, run_as=EVIL, groups=("staff",)), [key])
    world.resources.store.add_keys("ada", [key])
    world.connections.append(connected(EVIL, EVIL))
    world.direct.events.append(world.event(1.0))
    table = AuditTable(tmp_path / AUDIT, create=True)
    said = {"path": EVIL, EVIL: EVIL}
    table.add([(1, AuditEvent(EVIL, EVIL, EVIL, "login", "refused", json.dumps(said)))])
    table.close()
    browser = world.browser("ada")
    assert browser.post("/bans", network="192.0.2.0/24", reason=EVIL).status_code == 303
    refused = browser.post("/users", name=EVIL)
    assert (refused.status_code, "<script>alert" in refused.text) == (422, False)
    monkeypatch.setattr(people, "check_name", lambda *_: None)
    told = browser.get(browser.post("/users", name=EVIL.replace("/", "")).headers["location"]).text
    assert ("<script>alert" in told, "&lt;script&gt;" in told) == (False, True)
    pages = [
        f"/watch/{EVIL.replace('/', '')}",
        "/users",
        "/users/ada",
        "/groups/staff",
        "/bans",
        "/now",
        "/now/events",
        "/audit",
    ]
    for path in pages:
        text = browser.get(path).text
        assert "&lt;script&gt;" in text, path
        assert "<script>alert" not in text, path
        assert "<img" not in text, path
    for path in (f"/users?after={EVIL}", f"/audit?user={EVIL}&path={EVIL}", f"/{EVIL}"):
        text = browser.get(path).text
        assert "<script>alert" not in text, path
    answer = browser.post("/now/end", id=EVIL.replace("/", ""))
    assert ("<script>alert" in answer.text, "&lt;script&gt;" in answer.text) == (False, True)
    world.resources.audit().close()


def test_each_answer_has_a_strict_policy(world: World) -> None:
    browser = world.browser("ada")
    answers = [browser.get(path) for path in ("/users", "/nowhere", "/static/console.css")]
    answers.append(browser.client.post("/users", data={}))
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
    assert answers[0].headers["cache-control"] == "no-store"
    assert "immutable" in answers[2].headers["cache-control"]
    assert "strict-transport-security" not in answers[0].headers


def test_no_page_has_scripts_or_styles_inside(world: World) -> None:
    browser = world.browser("ada")
    for page in FOR_SOME:
        if page.method == "GET" and page.path not in _STREAMS:
            text = browser.get(filled(page)).text
            assert not re.search(r"<script(?! src=)|<style|\sstyle=|\son\w+=", text), page.path
            assert '<html lang="en">' in text


def test_each_field_of_a_form_has_a_label(world: World) -> None:
    browser = world.browser("ada")
    browser.post("/groups", name="staff")
    for path in ("/users", "/users/ada", "/groups", "/groups/staff", "/bans", "/audit"):
        text = browser.get(path).text
        fields = re.findall(r"<(?:input|select|textarea)\b[^>]*>", text)
        for field in fields:
            if 'type="hidden"' in field or 'type="checkbox"' in field:
                continue
            named = re.search(r'\bid="([^"]+)"', field)
            assert named is not None, field
            assert f'for="{named[1]}"' in text, field
        ids = re.findall(r'\bid="([^"]+)"', text)
        assert len(ids) == len(set(ids)), path


def test_with_https_cookies_are_for_it_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with world_at(tmp_path, monkeypatch, secure=True) as world:
        browser = Browser(world, secure=True)
        answer = browser.sign_in("ada")
        said = answer.headers["set-cookie"]
        assert said.startswith("__Host-nacre-session=")
        assert {"Secure", "HttpOnly", "Path=/", "SameSite=strict"} <= set(said.split("; "))
        assert "max-age" in browser.get("/you").headers["strict-transport-security"]
        gone = browser.post("/sign-out").headers["set-cookie"]
        assert gone.startswith('__Host-nacre-session=""')
        assert {"Secure", "Max-Age=0", "Path=/"} <= set(gone.split("; "))


def test_only_files_of_the_console_are_served(world: World) -> None:
    browser = world.browser()
    for name in ("console.css", "console.js"):
        assert browser.get(f"/static/{name}").status_code == 200
    for name in ("..%2Fapp.py", "%2e%2e/app.py", "x", "%2Fetc%2Fpasswd", "..%5Capp.py"):
        assert browser.get(f"/static/{name}").status_code == 404


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"content": b"x" * 70_000}, 413),
        ({"content": b"\xff"}, 400),
        ({"content": "&".join(f"a{n}=1" for n in range(300))}, 400),
        ({"json": {}}, 415),
    ],
)
def test_a_form_that_is_none_is_refused(world: World, sent: dict[str, Any], status: int) -> None:
    kind = {} if "json" in sent else {"Content-Type": "application/x-www-form-urlencoded"}
    answer = world.browser("ada").client.post("/users", headers=kind, **sent)
    assert answer.status_code == status


def test_a_fault_shows_nothing_of_the_inside(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = world.browser("ada")

    async def fails(*_: object, **__: object) -> None:
        raise RuntimeError("inside")

    monkeypatch.setattr(world.api, "call", fails)
    answer = browser.get("/users")
    assert (answer.status_code, "inside" in answer.text) == (500, False)


def test_a_host_that_is_none_is_no_fault(world: World) -> None:
    answer = world.browser().get("/sign-in", headers={"Host": "["})
    assert answer.status_code == 200


@pytest.mark.parametrize("path", ["/files/upload?path=/", "/files/folder?path=/"])
def test_of_who_has_no_session_nothing_is_read(
    world: World, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    async def read(_request: object) -> None:
        raise AssertionError("it is read")

    monkeypatch.setattr("nacre.console.app.read_files", read)
    monkeypatch.setattr("nacre.console.app.read_form", read)
    answer = Browser(world).client.post(path, files=[("file", ("a", b"a"))])
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
    assert answer.headers["connection"] == "close"
