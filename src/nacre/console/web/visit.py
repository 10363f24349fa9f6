"""A request of a browser, as pages see it; and the row of a page in the table."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from nacre.console.shells.table import ConsoleShells
from nacre.console.web.bodies import SentFiles
from nacre.console.web.browsers import BrowserSession, BrowserSessions
from nacre.console.web.calls import ConsoleAPI, path_of
from nacre.console.web.charts import Throughput
from nacre.console.web.feeds import Feeds
from nacre.console.web.file_connections import FileConnections
from nacre.console.web.logins import SSHLogins
from nacre.console.web.rendering import Templates
from nacre.console.web.uploads import Uploads
from nacre.server.admission.bucket import Buckets
from nacre.server.admission.networks import NetworkSet

ALL = ("user", "auditor", "admin")
SEES = ("auditor", "admin")
CHANGES = ("admin",)
"""The roles that a page is for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Console:
    """What all requests share.

    :ivar proxies: who is believed that a request comes from elsewhere.
    :ivar origin: that of the pages, as security keys have it; empty for none.
    :ivar sign_ins: how often each network may try to sign in.
    :ivar logins: log users in to the SSH server; ``shells`` the shells of pages.
    :ivar files: the files of users; ``uploads`` those that are being written.
    :ivar feeds: what pages follow.
    :ivar throughput: of all connections, while somebody looks at them.
    """

    api: ConsoleAPI
    sessions: BrowserSessions
    templates: Templates
    proxies: NetworkSet
    origin: str
    sign_ins: Buckets[bytes]
    logins: SSHLogins
    shells: ConsoleShells
    files: FileConnections
    uploads: Uploads
    feeds: Feeds
    throughput: Throughput = field(default_factory=Throughput)


def address_of(asked: HTTPConnection, proxies: NetworkSet) -> str:
    """Return the address of a browser: what a proxy that is believed has added last."""
    host = asked.client.host if asked.client is not None else ""
    if host in proxies:
        # Some proxies, such as HAProxy, add a line of their own behind those of the client.
        told = asked.headers.getlist("x-forwarded-for")
        return (told[-1].rpartition(",")[2].strip() if told else "") or host
    return host


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsolePage:
    """A page, or something that a form of one does.

    :ivar path: with ``{name}`` for parameters.
    :ivar roles: whose sessions it is for; empty for everybody, without a session.
    :ivar title: its name in the navigation; empty for none.
    :ivar takes: what is sent to it: a form, one with files behind its fields, or the bytes of a
        file, where the key of the form is in the header ``X-CSRF``.
    """

    method: Literal["GET", "POST"]
    path: str
    roles: Sequence[str]
    answer: Answer
    title: str = ""
    takes: Literal["form", "files", "bytes"] = "form"


@dataclass(frozen=True, slots=True, kw_only=True)
class BrowserVisit:
    """A request.

    :ivar session: that of the browser; None for a page without one.
    :ivar form: the fields of the form that was sent.
    :ivar sent: the files of the form; None for one without.
    :ivar menu: paths and titles of the navigation.
    """

    console: Console
    request: Request
    session: BrowserSession | None = None
    form: Mapping[str, str] = field(default_factory=dict)
    sent: SentFiles | None = None
    menu: Sequence[tuple[str, str]] = ()

    @property
    def own(self) -> BrowserSession:
        """The session, on a page that is for some roles."""
        assert self.session is not None
        return self.session

    @property
    def changes(self) -> bool:
        """Tell whether the user may change something: an admin alone."""
        return self.own.role in CHANGES

    @property
    def address(self) -> str:
        """The address of the browser: what a proxy that is believed has added last."""
        return address_of(self.request, self.console.proxies)

    def part(self, name: str) -> str:
        """Return a part of the path."""
        return str(self.request.path_params[name])

    def asked(self, name: str, usual: str = "") -> str:
        """Return a parameter behind the path."""
        return self.request.query_params.get(name, usual)

    async def get(self, *words: str, query: Mapping[str, Any] | None = None) -> Any:
        """Return what the API says of a resource.

        :raises APIRefused: it is refused.
        """
        return await self.call("GET", *words, query=query)

    async def call(
        self,
        method: str,
        *words: str,
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return the answer to a call of the API, in the session of this user.

        :raises APIRefused: it is refused.
        """
        api, token = self.console.api, self.own.token
        return await api.call(token, method, path_of(*words), query=query, body=body)

    def show(self, template: str, status: int = 200, **context: Any) -> Response:
        """Return a page."""
        session = self.session
        common = {
            "menu": self.menu,
            "here": self.request.scope["path"],  # its URL has the header Host, of any form
            "me": session,
            "changes": session is not None and self.changes,
            "csrf": "" if session is None else session.csrf,
            "notice": "" if session is None else session.take_notice(),
        }
        return HTMLResponse(self.console.templates.render(template, {**common, **context}), status)

    def go(self, path: str, notice: str = "") -> Response:
        """Return the way to another page, which tells something."""
        if self.session is not None:
            self.session.notice = notice
        return RedirectResponse(path, 303)


Answer: TypeAlias = Callable[[BrowserVisit], Awaitable[Response]]
