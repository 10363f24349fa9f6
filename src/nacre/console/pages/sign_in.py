"""Signing in and out."""

from __future__ import annotations

from starlette.responses import Response

from nacre.console.web.calls import APIRefused, path_of
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
    sessions, form = visit.console.sessions, visit.form
    if not sessions.is_form_key(visit.request.cookies, form.get("key", "")):
        return _shown(visit, 403, "The page was open for too long, or has no cookies. Try again.")
    if not visit.console.sign_ins.take(network_of(visit.address, _BITS)):
        return _shown(visit, 429, "Too many sign-ins: wait a minute.")
    try:
        body = {"name": form.get("name", ""), "password": form.get("password", "")}
        body |= {"address": visit.address}
        body |= {"code": code} if (code := form.get("code", "").strip()) else {}
        api = visit.console.api
        done = await api.call(api.key, "POST", path_of("sessions"), body=body)
    except APIRefused as error:
        if error.status not in _TOLD:
            raise
        return _shown(visit, error.status, error.detail)
    if visit.session is not None:
        sessions.end(visit.session)
    cookie = sessions.begin(done["token"], done["name"], done["role"])
    answer = visit.go("/")
    _set_cookie(visit, answer, sessions.cookie, cookie)
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
    ConsolePage(method="POST", path="/sign-out", roles=ALL, answer=_sign_out),
)
