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
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from nacre.console.pages import (
    audit,
    bans,
    day,
    files,
    groups,
    now,
    own,
    recordings,
    security_keys,
    sign_in,
    terminal,
    users,
    watch,
)
from nacre.console.shells.table import ConsoleShells
from nacre.console.web.bodies import SentFiles, read_files
from nacre.console.web.browsers import BrowserSessions
from nacre.console.web.calls import APIRefused, ConsoleAPI
from nacre.console.web.feeds import Feeds
from nacre.console.web.file_connections import FileConnections
from nacre.console.web.forms import check_origin, read_form
from nacre.console.web.guard import Guard
from nacre.console.web.logins import SSHLogins
from nacre.console.web.rendering import STATIC, Templates
from nacre.console.web.sockets import ConsoleSocket, serve_socket
from nacre.console.web.uploads import Uploads
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
    *day.PAGES,
    *recordings.PAGES,
    *files.PAGES,
    *terminal.PAGES,
    *own.PAGES,
    *security_keys.PAGES,
)
"""All pages. A path that is fixed stands before one with a parameter in its place."""

SOCKETS: tuple[ConsoleSocket, ...] = (*watch.SOCKETS, *terminal.SOCKETS)
"""Their WebSockets."""

_SIGN_IN_RATE, _SIGN_IN_BURST, _MOST_NETWORKS = 1 / 6, 10.0, 1024
"""Tries to sign in per second of one network in the long run, and at once, as in the API: whoever
guesses uses up nothing of what the console may ask there."""

NO_NETWORKS = NetworkSet(())

_YEAR = 365 * 86400


class _Pages:
    """Answers requests."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def endpoint(self, page: ConsolePage) -> Callable[[Request], Awaitable[Response]]:
        """Return what answers requests for a page."""

        async def answer(request: Request) -> Response:
            visit = self._visit(request)
            try:
                return await self._answer(page, visit)
            except APIRefused as error:
                refused = self._refused(visit, error)
                if page.takes != "form":
                    refused.headers["Connection"] = "close"  # what is sent is not read to its end
                return refused

        return answer

    def socket_endpoint(self, row: ConsoleSocket) -> Callable[[WebSocket], Awaitable[None]]:
        """Return what serves a WebSocket."""

        async def serve(websocket: WebSocket) -> None:
            await serve_socket(self._console, row, websocket)

        return serve

    def _visit(
        self,
        request: Request,
        form: dict[str, str] | None = None,
        sent: SentFiles | None = None,
    ) -> BrowserVisit:
        session = self._console.sessions.find(request.cookies)
        role = None if session is None else session.role
        menu = [(one.path, one.title) for one in PAGES if one.title and role in one.roles]
        return BrowserVisit(
            console=self._console,
            request=request,
            session=session,
            form=form or {},
            sent=sent,
            menu=menu,
        )

    async def _read(self, page: ConsolePage, request: Request) -> BrowserVisit:
        """Read what is sent to a page, of a file no more than what is before it."""
        if page.takes == "bytes":
            check_origin(request.headers)
            return self._visit(request, {"csrf": request.headers.get("x-csrf", "")})
        sent = await read_files(request) if page.takes == "files" else None
        if sent is not None:
            return self._visit(request, sent.fields, sent)
        return self._visit(request, await read_form(request))

    async def _answer(self, page: ConsolePage, visit: BrowserVisit) -> Response:
        if page.method == "POST":
            # Who has no session has nothing read: files are long.
            if page.roles and visit.session is None:
                return RedirectResponse("/sign-in", 303, {"Connection": "close"})
            visit = await self._read(page, visit.request)
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


class ConsoleApp:
    """The application, and what is to be closed at its end."""

    def __init__(self, app: ASGIApp, console: Console) -> None:
        self._app, self._console = app, console

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)

    async def close(self) -> None:
        """End the shells, the uploads and the connections to the SSH server."""
        await self._console.shells.close()
        await self._console.uploads.close()
        await self._console.files.close()


def console_app(
    api: ConsoleAPI,
    *,
    secure: bool,
    proxies: NetworkSet = NO_NETWORKS,
    origin: str = "",
    clock: Callable[[], float] = time.monotonic,
    ssh: tuple[str, int] | None = None,
) -> ConsoleApp:
    """Return the application.

    :param secure: whether browsers come by HTTPS.
    :param proxies: who is believed that a request comes from elsewhere.
    :param origin: that of the pages, for security keys; empty where they have none.
    :param clock: returns seconds.
    :param ssh: where the SSH server is; None for where the API says.
    """
    sessions = BrowserSessions(secure=secure, clock=clock)
    logins = SSHLogins(api, ssh)
    connections = FileConnections(api, sessions.holds, logins)
    console = Console(
        api=api,
        sessions=sessions,
        templates=Templates(),
        proxies=proxies,
        origin=origin,
        sign_ins=Buckets(_SIGN_IN_RATE, _SIGN_IN_BURST, _MOST_NETWORKS, clock),
        logins=logins,
        shells=ConsoleShells(),
        files=connections,
        uploads=Uploads(connections),
        feeds=Feeds(api, sessions),
    )
    pages = _Pages(console)
    routes: list[BaseRoute] = [
        Route(page.path, pages.endpoint(page), methods=[page.method]) for page in PAGES
    ]
    routes += [WebSocketRoute(row.path, pages.socket_endpoint(row)) for row in SOCKETS]
    routes.append(Route("/static/{name}", _static))
    handlers: Any = {HTTPException: pages.on_http, Exception: pages.on_error}
    guarded = Guard(Starlette(routes=routes, exception_handlers=handlers), secure=secure)
    return ConsoleApp(guarded, console)
