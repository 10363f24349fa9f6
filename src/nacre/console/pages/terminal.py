"""A shell on the server, in the browser."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import Response

from nacre.client.connection import Connection
from nacre.console.shells.shell import ShellRefused, Size
from nacre.console.shells.table import ConsoleShells, TooManyShells
from nacre.console.web.browsers import BrowserSession
from nacre.console.web.calls import APIRefused, path_of
from nacre.console.web.sockets import (
    ConsoleSocket,
    SocketRefused,
    SocketVisit,
    first_ended,
    text_of,
)
from nacre.console.web.visit import ALL, BrowserVisit, Console, ConsolePage

_LARGEST = 1000
"""Columns or rows of a terminal."""


_AGAIN = 60.0
"""Seconds after which the API is asked again whether the session holds: what is typed uses it."""


async def _show(visit: BrowserVisit) -> Response:
    own = await visit.get("own")
    if own["service"] == "sftp":
        raise HTTPException(403, "your account is for files: it has no shell on this server")
    return visit.show("terminal.html")


async def _serve(visit: SocketVisit) -> None:
    """Show a shell, and pass on what is typed.

    :raises APIRefused: there is none, or no room for one.
    :raises SocketRefused: the browser says something else.
    """
    shells, clock = visit.console.shells, asyncio.get_running_loop().time
    number = _chosen(visit, shells)
    shell = shells.find(visit.session, number)
    if shell is None:
        raise APIRefused(404, "the shell has ended")
    page = shells.attach(shell)

    async def show() -> None:
        while (text := await page.next()) is not None:
            await visit.pass_on(text)

    async def take() -> None:
        asked = clock()
        async for message in visit.messages():
            if clock() - asked >= _AGAIN:
                await _use(visit)
                asked = clock()
            if "size" in message:
                shell.resize(_size(message))
            else:
                await shell.type(text_of(message, "typed"))

    try:
        shell.resize(_size(visit.first))
        await visit.say("opened", shell=number)
        await first_ended(show(), take())
    finally:
        shells.detach(shell, page, lambda: visit.console.sessions.holds(visit.session))


def _chosen(visit: SocketVisit, shells: ConsoleShells) -> str:
    """Return what the shell is found by that the page had, or a new one.

    :raises APIRefused: there is no room for one.
    :raises SocketRefused: the browser says something else.
    """
    size = _size(visit.first)
    if "shell" in visit.first:
        return text_of(visit.first, "shell")
    try:
        return shells.open(visit.session, partial(_log_in, visit.console, visit.session), size)
    except TooManyShells:
        raise APIRefused(429, "there are too many shells: end one of them") from None


async def _log_in(console: Console, session: BrowserSession) -> Connection:
    try:
        return await console.logins.log_in(session)
    except APIRefused as error:
        raise ShellRefused(error.detail) from None


async def _use(visit: SocketVisit) -> None:
    """Use the session at the API.

    :raises SocketRefused: it has ended, and with it that of the browser.
    """
    console = visit.console
    try:
        await console.api.call(visit.session.token, "GET", path_of("own"))
    except APIRefused as error:
        if error.status == 401:
            console.sessions.end(visit.session)
            raise SocketRefused from None


def _size(message: Mapping[str, Any]) -> Size:
    found = message.get("size")
    if not isinstance(found, list) or len(found) != 2:
        raise SocketRefused
    if not all(type(one) is int and 0 < one <= _LARGEST for one in found):
        raise SocketRefused
    return found[0], found[1]


PAGES = (ConsolePage(method="GET", path="/terminal", roles=ALL, answer=_show, title="Terminal"),)

SOCKETS = (ConsoleSocket(path="/terminal/socket", roles=ALL, serve=_serve),)
