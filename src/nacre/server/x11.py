"""X11 forwarding at the server: a display that leads to the client's (RFC 4254 section 6.3)."""

from __future__ import annotations

import errno
import re
import socket
from typing import Any

from nacre.errors import MalformedMessage
from nacre.protocol.tcpip import X11_CHANNEL, X11_PORT, X11Channel, X11Request
from nacre.server.offer import offer
from nacre.server.peer import ServerConnection
from nacre.tunnels.listeners import Listening, bind
from nacre.wire.text import safe

_DISPLAYS = 1000
"""The displays of a host: 0 and those that follow."""

_WORD = re.compile(rb"[A-Za-z0-9.:/_-]{1,512}", re.ASCII)


class ForwardedDisplay:
    """A display at this server, whose programs are shown by the client until it is closed.

    :ivar name: the value of ``DISPLAY`` for the session's programs.
    :ivar for_xauth: the name by which their library looks for the cookie.
    :ivar protocol: the name of the authorization protocol.
    :ivar cookie: what opens the display, in hexadecimal.
    """

    def __init__(
        self,
        connection: ServerConnection,
        asked: X11Request,
        number: int,
        sockets: list[socket.socket],
        *,
        local: bool,
    ) -> None:
        self.name = f"{'localhost' if local else socket.gethostname()}:{number}.{asked.screen}"
        # The library takes a display of localhost for one of a Unix socket.
        self.for_xauth = f"unix:{number}.{asked.screen}" if local else self.name
        self.protocol = asked.protocol.decode("ascii")
        self.cookie = asked.cookie.decode("ascii")
        self._connection = connection
        self._single = asked.single
        self._listening = Listening(connection, sockets, self._take)

    async def _take(self, sock: socket.socket, originator: Any) -> None:
        """Offer the client a program's connection."""
        if self._single:
            if self._listening.closed:
                sock.close()
                return
            self.close()
        data = X11Channel(str(originator[0]), int(originator[1])).encode()
        await offer(self._connection, X11_CHANNEL, data, sock)

    def close(self) -> None:
        """Listen no more; the connections of programs stay open."""
        self._listening.close()


async def open_display(connection: ServerConnection, data: bytes) -> ForwardedDisplay | str:
    """Listen as a display for a client's ``x11-req``; return why not if it can't be.

    The terms of the connection say with which display to begin, and where to listen.

    :param data: the data of the request.
    """
    try:
        asked = X11Request.decode(data)
    except MalformedMessage:
        return "malformed"
    # These are words of a line for xauth, and of one that the user's own script reads.
    if not (_WORD.fullmatch(asked.protocol) and _WORD.fullmatch(asked.cookie)):
        return "the protocol or the cookie is no word"
    terms = connection.terms
    host = "localhost" if terms.x11_use_localhost else ""
    for number in range(terms.x11_display_offset, _DISPLAYS):
        try:
            sockets = await bind(host, X11_PORT + number)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                continue
            return safe(str(error))
        return ForwardedDisplay(connection, asked, number, sockets, local=terms.x11_use_localhost)
    return "all displays are in use"
