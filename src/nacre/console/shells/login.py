"""Logs in to the server of the console by SSH; who sits at the page answers its questions."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

from nacre.client.connect import connect
from nacre.client.connection import Connection
from nacre.client.identities import Identities
from nacre.errors import ConnectFailed
from nacre.limits import KIB

LONGEST_ANSWER = 1 * KIB
"""Characters of an answer to a question."""

TIME = 120.0
"""Seconds that a login may take, with the time for its answers."""

_METHODS = ("keyboard-interactive", "password")

Print = Callable[[str], Awaitable[None]]
"""Prints on the terminal of the page."""

_RUBOUT, _RETURN, _QUIT = ("\x7f", "\b"), ("\r", "\n"), ("\x03", "\x04")


@dataclass(frozen=True, slots=True, kw_only=True)
class SSHPlace:
    """Where the server is.

    :ivar host: its address or name, as ``known_hosts`` has it.
    :ivar known_hosts: the file with its host keys.
    :ivar proxied: whether a header of the PROXY protocol names the browser.
    """

    host: str
    port: int
    known_hosts: Path
    proxied: bool = False


class LineEditor:
    """Reads an answer from what is typed: a line, which may be shown.

    :param show: prints on the terminal.
    """

    def __init__(self, show: Print) -> None:
        self._show = show
        self._line = self._ahead = ""
        self._echo = False
        self._answer: asyncio.Future[str | None] | None = None

    async def ask(self, prompt: str, echo: bool) -> str | None:
        """Return the answer to a prompt; None if there is none."""
        self._line, self._echo = "", echo
        await self._show(prompt.replace("\n", "\r\n"))
        self._answer = asyncio.get_running_loop().create_future()
        try:
            await self.type(self.take_ahead())
            return await self._answer
        finally:
            self._answer = None
            await self._show("\r\n")

    def take_ahead(self) -> str:
        """Return what was typed while nothing was asked, and forget it."""
        ahead, self._ahead = self._ahead, ""
        return ahead

    async def type(self, text: str) -> None:
        """Take what is typed; where nothing is asked it is for what comes next."""
        for count, character in enumerate(text):
            if self._answer is None or self._answer.done():
                self._ahead = (self._ahead + text[count:])[:LONGEST_ANSWER]
                return
            if character in _RETURN:
                self._answer.set_result(self._line)
            elif character in _QUIT:
                self._answer.set_result(None)
            elif character in _RUBOUT:
                if self._line and self._echo:
                    await self._show("\b \b")
                self._line = self._line[:-1]
            elif character.isprintable() and len(self._line) < LONGEST_ANSWER:
                self._line += character
                if self._echo:
                    await self._show(character)


async def log_in(place: SSHPlace, user: str, address: str, editor: LineEditor) -> Connection:
    """Return a connection of a user.

    :param address: the browser's.
    :raises NacreError: the server can't be reached, is another one, or lets the user not in.
    """
    sock = await _reached(place, address)
    try:
        return await connect(
            place.host,
            place.port,
            user=user,
            agent=False,
            known_hosts=place.known_hosts,
            credentials=Identities(user, "this server", prompt=editor.ask, methods=_METHODS),
            sock=sock,
            config=None,
            timeout=TIME,
        )
    except BaseException:
        sock.close()
        raise


async def _reached(place: SSHPlace, address: str) -> socket.socket:
    """Return a socket of the server.

    :raises ConnectFailed: it can't be reached.
    """
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
        family, kind, protocol, _, name = found[0]
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setblocking(False)
            async with asyncio.timeout(TIME):
                await loop.sock_connect(sock, name)
                if place.proxied:
                    await loop.sock_sendall(sock, proxy_header(address, str(name[0]), place.port))
        except BaseException:
            sock.close()
            raise
    except (OSError, TimeoutError) as error:
        raise ConnectFailed(f"the server does not answer: {error}") from None
    return sock


def proxy_header(client: str, server: str, port: int) -> bytes:
    """Return the header of the PROXY protocol, version 1, for a browser.

    :raises OSError: an address is none.
    """
    try:
        pair = [ip_address(one.partition("%")[0]) for one in (client, server)]
    except ValueError:
        raise OSError("the address of the browser is not known") from None
    if len({one.version for one in pair}) > 1:
        pair = [_as_ipv6(one) for one in pair]
    return f"PROXY TCP{pair[0].version} {pair[0]} {pair[1]} 0 {port}\r\n".encode()


def _as_ipv6(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    return ip_address(f"::ffff:{address}") if address.version == 4 else address
