"""A shell on the server, in the browser."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from nacre.console.shells.shell import Size
from nacre.console.shells.table import ConsoleShells, TooManyShells
from nacre.console.web.calls import APIRefused
from nacre.console.web.sockets import (
    ConsoleSocket,
    SocketRefused,
    SocketVisit,
    first_ended,
    text_of,
)
from nacre.console.web.visit import ALL, BrowserVisit, ConsolePage

_LARGEST = 1000
"""Columns or rows of a terminal."""


async def _show(visit: BrowserVisit) -> Response:
    return visit.show("terminal.html")


async def _serve(visit: SocketVisit) -> None:
    """Show a shell, and pass on what is typed.

    :raises APIRefused: there is none, or no room for one.
    :raises SocketRefused: the browser says something else.
    """
    shells = visit.console.shells
    assert shells is not None
    number = _chosen(visit, shells)
    shell = shells.find(visit.session, number)
    if shell is None:
        raise APIRefused(404, "the shell has ended")
    page = shells.attach(shell)

    async def show() -> None:
        while (text := await page.next()) is not None:
            await visit.pass_on(text)

    async def take() -> None:
        async for message in visit.messages():
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
    user, size = visit.session.name, _size(visit.first)
    if "shell" in visit.first:
        return text_of(visit.first, "shell")
    try:
        return shells.open(visit.session, user, visit.address, size)
    except TooManyShells:
        raise APIRefused(429, "there are too many shells: end one of them") from None


def _size(message: Mapping[str, Any]) -> Size:
    found = message.get("size")
    if not isinstance(found, list) or len(found) != 2:
        raise SocketRefused
    if not all(type(one) is int and 0 < one <= _LARGEST for one in found):
        raise SocketRefused
    return found[0], found[1]


PAGES = (ConsolePage(method="GET", path="/terminal", roles=ALL, answer=_show, title="Terminal"),)

SOCKETS = (ConsoleSocket(path="/terminal/socket", roles=ALL, serve=_serve),)
