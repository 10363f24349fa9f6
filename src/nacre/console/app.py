"""The application: the table of pages, and what is checked before each of them."""

from __future__ import annotations

import hmac
import time
from collections.abc import Awaitable, Callable
from typing import Any, cast

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from nacre.console.pages import (
    audit,
    bans,
    groups,
    now,
    own,
    recordings,
    sign_in,
    terminal,
    users,
    watch,
)
from nacre.console.shells.table import ConsoleShells
from nacre.console.web.browsers import BrowserSessions
from nacre.console.web.calls import APIRefused, ConsoleAPI
from nacre.console.web.forms import read_form
from nacre.console.web.guard import Guard
from nacre.console.web.rendering import STATIC, Templates
from nacre.console.web.sockets import ConsoleSocket, serve_socket
from nacre.console.web.visit import BrowserVisit, Console, ConsolePage
from nacre.server.admission.bucket import Buckets
from nacre.server.admission.networks import NetworkSet

PAGES: tuple[ConsolePage, ...] = (
    *sign_in.PAGES,
    *now.PAGES,
    *watch.PAGES,
    *users.PAGES,
    *groups.PAGES,
    *bans.PAGES,
    *audit.PAGES,
    *recordings.PAGES,
    *own.PAGES,
)
"""All pages but the terminal, which has to be configured. A path that is fixed stands before one
with a parameter in its place."""

SOCKETS: tuple[ConsoleSocket, ...] = (*watch.SOCKETS,)
"""Their WebSockets."""

_SIGN_IN_RATE, _SIGN_IN_BURST, _MOST_NETWORKS = 1 / 6, 10.0, 1024
"""Tries to sign in per second of one network in the long run, and at once, as in the API: whoever
guesses uses up nothing of what the console may ask there."""

NO_NETWORKS = NetworkSet(())

_YEAR = 365 * 86400


class _Pages:
    """Answers requests.

    :ivar rows: the pages that there are; ``sockets`` their WebSockets.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        shells = console.shells is not None
        self.rows = (*PAGES, *(terminal.PAGES if shells else ()))
        self.sockets = (*SOCKETS, *(terminal.SOCKETS if shells else ()))

    def endpoint(self, page: ConsolePage) -> Callable[[Request], Awaitable[Response]]:
        """Return what answers requests for a page."""

        async def answer(request: Request) -> Response:
            visit = self._visit(request)
            try:
                return await self._answer(page, visit)
            except APIRefused as error:
                return self._refused(visit, error)

        return answer

    def socket_endpoint(self, row: ConsoleSocket) -> Callable[[WebSocket], Awaitable[None]]:
        """Return what serves a WebSocket."""

        async def serve(websocket: WebSocket) -> None:
            await serve_socket(self._console, row, websocket)

        return serve

    def _visit(self, request: Request, form: dict[str, str] | None = None) -> BrowserVisit:
        session = self._console.sessions.find(request.cookies)
        role = None if session is None else session.role
        menu = [(one.path, one.title) for one in self.rows if one.title and role in one.roles]
        return BrowserVisit(
            console=self._console, request=request, session=session, form=form or {}, menu=menu
        )

    async def _answer(self, page: ConsolePage, visit: BrowserVisit) -> Response:
        if page.method == "POST":
            visit = self._visit(visit.request, await read_form(visit.request))
        if not page.roles:
            return await page.answer(visit)
        if visit.session is None:
            return RedirectResponse("/sign-in", 303)
        if visit.session.role not in page.roles:
            raise HTTPException(403, "your role has no right to this")
        if page.method == "POST":
            shown = visit.form.get("csrf", "").encode()
            if not hmac.compare_digest(visit.session.csrf.encode(), shown):
                raise HTTPException(403, "the form is of another session: open the page again")
        return await page.answer(visit)

    def _refused(self, visit: BrowserVisit, error: APIRefused) -> Response:
        if error.status == 401 and visit.session is not None:
            self._console.sessions.end(visit.session)
            return RedirectResponse("/sign-in", 303)
        return visit.show("problem.html", error.status, code=error.status, detail=error.detail)

    async def on_http(self, request: Request, error: Exception) -> Response:
        """Show what is wrong with a request."""
        found = cast(HTTPException, error)
        visit = self._visit(request)
        status, detail = found.status_code, found.detail
        answer = visit.show("problem.html", status, code=status, detail=detail)
        answer.headers.update(found.headers or {})
        return answer

    async def on_error(self, request: Request, _error: Exception) -> Response:
        """Show that the console has failed; the log has why."""
        detail = "the console has failed; its log says more"
        return self._visit(request).show("problem.html", 500, code=500, detail=detail)


async def _static(request: Request) -> Response:
    found = STATIC.get(request.path_params["name"])
    if found is None:
        raise HTTPException(404)
    headers = {"Cache-Control": f"public, max-age={_YEAR}, immutable"}
    return Response(found[0], headers=headers, media_type=found[1])


def console_app(
    api: ConsoleAPI,
    *,
    secure: bool,
    proxies: NetworkSet = NO_NETWORKS,
    shells: ConsoleShells | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> ASGIApp:
    """Return the application.

    :param secure: whether browsers come by HTTPS.
    :param proxies: who is believed that a request comes from elsewhere.
    :param shells: those of the page Terminal; None for no such page.
    :param clock: returns seconds.
    """
    console = Console(
        api=api,
        sessions=BrowserSessions(secure=secure, clock=clock),
        templates=Templates(),
        proxies=proxies,
        shells=shells,
        sign_ins=Buckets(_SIGN_IN_RATE, _SIGN_IN_BURST, _MOST_NETWORKS, clock),
    )
    pages = _Pages(console)
    routes: list[BaseRoute] = [
        Route(page.path, pages.endpoint(page), methods=[page.method]) for page in pages.rows
    ]
    routes += [WebSocketRoute(row.path, pages.socket_endpoint(row)) for row in pages.sockets]
    routes.append(Route("/static/{name}", _static))
    handlers: Any = {HTTPException: pages.on_http, Exception: pages.on_error}
    return Guard(Starlette(routes=routes, exception_handlers=handlers), secure=secure)
