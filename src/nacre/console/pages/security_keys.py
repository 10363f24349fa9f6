"""Security keys: users' own ones, and those that admins remove."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from starlette.responses import Response

from nacre.console.pages.users import user_path
from nacre.console.web.calls import APIRefused
from nacre.console.web.proofs import key_answer, shown_proof
from nacre.console.web.visit import ALL, CHANGES, BrowserVisit, ConsolePage

_OWN = "/you/security-keys"

_TOLD = (403, 404, 409, 422, 429)
"""The statuses of the API that are about what was shown; others are faults."""


async def _show(visit: BrowserVisit) -> Response:
    found = await visit.get("own", "security-keys")
    origin = visit.console.origin
    here = any(key["host"] == urlsplit(origin).hostname for key in found["security_keys"])
    asked = None
    if origin and (found["proof"] or here):
        body = {"origin": origin, "use": "enrolment" if found["proof"] else "proof"}
        asked = await visit.call("POST", "own", "challenge", body=body)
    return visit.show("security_keys.html", own=found, asked=asked, origin=origin)


async def _told(visit: BrowserVisit, method: str, *words: str, **body: Any) -> str:
    """Do something, and return why the API refuses it; an empty text if it does not."""
    try:
        await visit.call(method, "own", *words, body=body or None)
    except APIRefused as error:
        if error.status not in _TOLD:
            raise
        return error.detail
    return ""


async def _prove(visit: BrowserVisit) -> Response:
    told = await _told(visit, "POST", "proof", **shown_proof(visit.form))
    return visit.go(_OWN, told or "Now security keys may be added and removed.")


async def _add(visit: BrowserVisit) -> Response:
    form = visit.form
    body = {"ticket": form.get("ticket", ""), "name": form.get("name", "").strip()}
    told = await _told(visit, "POST", "security-keys", **body, answer=key_answer(form))
    return visit.go(_OWN, told or f"The security key {body['name']} was added.")


async def _remove(visit: BrowserVisit) -> Response:
    told = await _told(visit, "DELETE", "security-keys", visit.form.get("id", ""))
    return visit.go(_OWN, told or "The security key was removed.")


async def _remove_of_user(visit: BrowserVisit) -> Response:
    name = visit.part("name")
    await visit.call("DELETE", "users", name, "security-keys", visit.form.get("id", ""))
    return visit.go(user_path(name), "The security key was removed.")


_OF_USER = "/users/{name}/security-keys/remove"

PAGES = (
    ConsolePage(method="GET", path=_OWN, roles=ALL, answer=_show),
    ConsolePage(method="POST", path=_OWN, roles=ALL, answer=_add),
    ConsolePage(method="POST", path=f"{_OWN}/proof", roles=ALL, answer=_prove),
    ConsolePage(method="POST", path=f"{_OWN}/remove", roles=ALL, answer=_remove),
    ConsolePage(method="POST", path=_OF_USER, roles=CHANGES, answer=_remove_of_user),
)
