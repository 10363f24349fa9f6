"""Signing in and out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from nacre.console.web.calls import APIRefused, path_of
from nacre.console.web.proofs import shown_proof
from nacre.console.web.visit import ALL, SEES, BrowserVisit, ConsolePage
from nacre.server.admission.sources import network_of

_BITS = (32, 64)
"""The bits of a network that has a bound of its own."""

_TOLD = (401, 403, 422, 429)
"""The statuses of the API that are about who signs in; others are faults."""


async def _begin(visit: BrowserVisit) -> Response:
    if visit.session is None:
        return visit.go("/sign-in")
    return visit.go("/now" if visit.session.role in SEES else "/you", visit.session.take_notice())


async def _form(visit: BrowserVisit) -> Response:
    return visit.go("/") if visit.session is not None else _shown(visit)


def _shown(visit: BrowserVisit, status: int = 200, problem: str = "") -> Response:
    sessions = visit.console.sessions
    key = sessions.form_key()
    name = visit.form.get("name", "")
    answer = visit.show("sign_in.html", status, form_key=key, problem=problem, name=name)
    _set_cookie(visit, answer, sessions.form_cookie, key)
    return answer


async def _sign_in(visit: BrowserVisit) -> Response:
    form = visit.form
    body = {"name": form.get("name", ""), "password": form.get("password", "")}
    body |= {"code": code} if (code := form.get("code", "").strip()) else {}
    body |= {"origin": visit.console.origin} if visit.console.origin else {}
    return await _enter(visit, body, "sessions")


async def _confirm(visit: BrowserVisit) -> Response:
    """Go on with a sign-in whose password was right: by a security key, or a code."""
    body = {"name": visit.form.get("name", ""), "ticket": "", **shown_proof(visit.form)}
    return await _enter(visit, body, "sessions", "confirm")


async def _enter(visit: BrowserVisit, body: Mapping[str, Any], *words: str) -> Response:
    """Begin a session, if the API does; or show what else it asks for."""
    sessions, api = visit.console.sessions, visit.console.api
    if not sessions.is_form_key(visit.request.cookies, visit.form.get("key", "")):
        return _shown(visit, 403, "The page was open for too long, or has no cookies. Try again.")
    if not visit.console.sign_ins.take(network_of(visit.address, _BITS)):
        return _shown(visit, 429, "Too many sign-ins: wait a minute.")
    try:
        body = {**body, "address": visit.address}
        done = await api.call(api.key, "POST", path_of(*words), body=body)
    except APIRefused as error:
        if (asked := error.problem.get("second_factor")) is not None:
            return _ask(visit, body["name"], asked)
        if error.status not in _TOLD:
            raise
        return _shown(visit, error.status, error.detail)
    if visit.session is not None:
        sessions.end(visit.session)
    cookie = sessions.begin(done["token"], done["name"], done["role"])
    answer = visit.go("/")
    _set_cookie(visit, answer, sessions.cookie, cookie)
    return answer


def _ask(visit: BrowserVisit, name: str, asked: Mapping[str, Any]) -> Response:
    """Show what asks for a security key, or for a code in place of it."""
    sessions, origin = visit.console.sessions, visit.console.origin
    key = sessions.form_key()
    answer = visit.show("second_step.html", form_key=key, name=name, asked=asked, origin=origin)
    _set_cookie(visit, answer, sessions.form_cookie, key)
    return answer


def _set_cookie(visit: BrowserVisit, answer: Response, name: str, text: str) -> None:
    secure = visit.console.sessions.secure
    answer.set_cookie(name, text, path="/", secure=secure, httponly=True, samesite="strict")


async def _sign_out(visit: BrowserVisit) -> Response:
    visit.console.sessions.end(visit.own)
    await visit.call("DELETE", "own", "session")
    answer = visit.go("/sign-in")
    # With all that it was set with: browsers let nothing else change a cookie with __Host-.
    secure, name = visit.console.sessions.secure, visit.console.sessions.cookie
    answer.delete_cookie(name, path="/", secure=secure, httponly=True, samesite="strict")
    return answer


PAGES = (
    ConsolePage(method="GET", path="/", roles=(), answer=_begin),
    ConsolePage(method="GET", path="/sign-in", roles=(), answer=_form),
    ConsolePage(method="POST", path="/sign-in", roles=(), answer=_sign_in),
    ConsolePage(method="POST", path="/sign-in/factor", roles=(), answer=_confirm),
    ConsolePage(method="POST", path="/sign-out", roles=ALL, answer=_sign_out),
)
