"""Users: who there is, what each may do, keys, second factors, usage."""

from __future__ import annotations

from typing import Any

import segno
from starlette.responses import Response

from nacre.console.pages.settings_form import changed, fields
from nacre.console.web.calls import APIRefused, quoted
from nacre.console.web.visit import CHANGES, SEES, BrowserVisit, ConsolePage

LISTED = 50
"""Users and groups on a page."""


async def _list(visit: BrowserVisit) -> Response:
    if name := visit.asked("name").strip():
        return visit.go(user_path(name))
    query = {"limit": LISTED, "after": visit.asked("after")}
    found = await visit.get("users", query=query)
    return visit.show("users.html", users=found["users"], next=found["next"])


def user_path(name: str) -> str:
    """Return the page of a user."""
    return f"/users/{quoted(name)}"


async def _add(visit: BrowserVisit) -> Response:
    form = visit.form
    body: dict[str, Any] = {"name": form.get("name", "").strip()}
    if form.get("password"):
        body |= {"password": form["password"], "must_change": "must_change" in form}
    if groups := form.get("groups", "").split():
        body["groups"] = groups
    if key := form.get("key", "").strip():
        body["keys"] = [key]
    await visit.call("POST", "users", body=body)
    return visit.go(user_path(body["name"]), f"{body['name']} was added.")


async def _show(visit: BrowserVisit) -> Response:
    name = visit.part("name")
    user = await visit.get("users", name)
    keys = await visit.get("users", name, "keys")
    usage = await visit.get("users", name, "usage")
    security_keys = await visit.get("users", name, "security-keys")
    document = await visit.console.api.document()
    holds = {setting: one for setting, one in user["holds"].items() if one is not None}
    return visit.show(
        "user.html",
        user=user,
        holds=holds,
        keys=keys["keys"],
        usage=usage,
        security_keys=security_keys["security_keys"],
        path=user_path(name),
        fields=fields(document, "Settings", user["settings"]) if visit.changes else [],
    )


async def _change(visit: BrowserVisit) -> Response:
    name, form = visit.part("name"), visit.form
    user = await visit.get("users", name)
    document = await visit.console.api.document()
    body: dict[str, Any] = {}
    if settings := changed(form, document, "Settings", user["settings"]):
        body["settings"] = settings
    groups = form.get("groups", "").split()
    if "groups" in form and groups != user["groups"]:
        body["groups"] = groups
    if body:
        await visit.call("PATCH", "users", name, body=body)
    return visit.go(user_path(name), "Saved." if body else "Nothing was to be changed.")


async def _switch(visit: BrowserVisit) -> Response:
    """Enable or disable a user; who is disabled has no connections any more, either."""
    name, disabled = visit.part("name"), visit.form.get("disabled") == "yes"
    await visit.call("PATCH", "users", name, body={"disabled": disabled})
    if not disabled:
        return visit.go(user_path(name), f"{name} may log in again.")
    told = f"{name} is disabled, and the connections are being ended."
    try:
        body = {"user": name, "reason": "your account was disabled"}
        await visit.call("POST", "connections", "end", body=body)
    except APIRefused as error:
        told = f"{name} is disabled. The connections go on: {error.detail}"
    return visit.go(user_path(name), told)


async def _remove(visit: BrowserVisit) -> Response:
    name = visit.part("name")
    if visit.form.get("name") != name:
        return visit.go(user_path(name), "Nothing was removed: type the name to confirm it.")
    await visit.call("DELETE", "users", name)
    return visit.go("/users", f"{name} was removed.")


async def _password(visit: BrowserVisit) -> Response:
    name, form = visit.part("name"), visit.form
    if not form.get("password"):
        await visit.call("DELETE", "users", name, "password")
        return visit.go(user_path(name), "The password was removed.")
    body = {"password": form["password"], "must_change": "must_change" in form}
    await visit.call("PUT", "users", name, "password", body=body)
    return visit.go(user_path(name), "The password was set.")


async def _add_key(visit: BrowserVisit) -> Response:
    name = visit.part("name")
    key = visit.form.get("key", "").strip()
    done = await visit.call("POST", "users", name, "keys", body={"key": key})
    prints = ", ".join(one["fingerprint"] for one in done["keys"])
    return visit.go(user_path(name), f"{name} has the key {prints}.")


async def _remove_key(visit: BrowserVisit) -> Response:
    name, fingerprint = visit.part("name"), visit.form.get("fingerprint", "")
    await visit.call("DELETE", "users", name, "keys", fingerprint)
    return visit.go(user_path(name), f"The key {fingerprint} was removed.")


async def _add_factor(visit: BrowserVisit) -> Response:
    """Show a new second factor, which is not kept here: the page can't be opened again."""
    name = visit.part("name")
    made = await visit.call("POST", "users", name, "totp")
    code = segno.make(made["uri"], error="m", micro=False)
    rows = list(code.matrix_iter(border=4))
    dark = ((x, y) for y, row in enumerate(rows) for x, one in enumerate(row) if one)
    drawn = "".join(f"M{x} {y}h1v1h-1z" for x, y in dark)
    path = user_path(name)
    return visit.show("factor.html", name=name, made=made, size=len(rows), drawn=drawn, path=path)


async def _remove_factor(visit: BrowserVisit) -> Response:
    name = visit.part("name")
    await visit.call("DELETE", "users", name, "totp")
    return visit.go(user_path(name), "The second factor was removed.")


_USER = "/users/{name}"

PAGES = (
    ConsolePage(method="GET", path="/users", roles=SEES, answer=_list, title="Users"),
    ConsolePage(method="POST", path="/users", roles=CHANGES, answer=_add),
    ConsolePage(method="GET", path=_USER, roles=SEES, answer=_show),
    ConsolePage(method="POST", path=f"{_USER}/settings", roles=CHANGES, answer=_change),
    ConsolePage(method="POST", path=f"{_USER}/disabled", roles=CHANGES, answer=_switch),
    ConsolePage(method="POST", path=f"{_USER}/remove", roles=CHANGES, answer=_remove),
    ConsolePage(method="POST", path=f"{_USER}/password", roles=CHANGES, answer=_password),
    ConsolePage(method="POST", path=f"{_USER}/keys", roles=CHANGES, answer=_add_key),
    ConsolePage(method="POST", path=f"{_USER}/keys/remove", roles=CHANGES, answer=_remove_key),
    ConsolePage(method="POST", path=f"{_USER}/totp", roles=CHANGES, answer=_add_factor),
    ConsolePage(method="POST", path=f"{_USER}/totp/remove", roles=CHANGES, answer=_remove_factor),
)
