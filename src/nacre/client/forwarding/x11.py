"""X11 forwarding at the client: the display, its cookie, and the channels that lead to it.

RFC 4254 section 6.3; ForwardX11Trusted and ForwardX11Timeout of ssh_config(5).
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import socket
import tempfile
from functools import partial

from nacre.aio.dial import dial
from nacre.client.forwarding.carried import Carried
from nacre.errors import ConfigurationError, ConnectFailed
from nacre.protocol.asks import AskOpen
from nacre.protocol.requests import OtherRequest
from nacre.protocol.tcpip import X11_REQUEST, X11Request
from nacre.tunnels.unix import UnixSockets
from nacre.tunnels.x11 import (
    COOKIE_BYTES,
    MIT_COOKIE,
    Authorization,
    Display,
    Setup,
    X11Relay,
    parse_display,
    parse_xauth,
)
from nacre.value import value
from nacre.wire.text import safe

_logger = logging.getLogger("nacre.client")

XAUTH = "/usr/bin/xauth"
"""Where the program xauth is by default."""

TIMEOUT = 1200.0
"""Seconds for which untrusted programs may connect by default, as in OpenSSH."""

_SLACK = 60
"""Seconds for which the display knows an untrusted cookie longer than channels are accepted."""

_PATIENCE = 20.0
"""Seconds that xauth has: to make a cookie it talks to the display."""

_MOST_TIME = (1 << 32) - 1


@value
class X11Terms:
    """How a display is forwarded.

    :ivar trusted: whether the server's programs get all rights of the display's own; others get
        those of the X SECURITY extension.
    :ivar timeout: seconds for which untrusted programs may connect; 0 for no limit.
    :ivar xauth: the program xauth.
    :ivar single: whether a session's programs may connect once and no more.
    """

    trusted: bool = True
    timeout: float = TIMEOUT
    xauth: str = XAUTH
    single: bool = False


class X11Forward:
    """A display that sessions of one connection may use.

    :param real: what opens it; the server never learns it.
    :param lasts: seconds for which channels are accepted; None for no limit.
    """

    def __init__(
        self,
        display: Display,
        real: Authorization,
        *,
        single: bool = False,
        lasts: float | None = None,
    ) -> None:
        self._display = display
        self._real = real
        self._shown = real.imitated(os.urandom)
        self._single = single
        self._clock = asyncio.get_running_loop().time
        self._ends = None if lasts is None else self._clock() + lasts

    @property
    def request(self) -> OtherRequest:
        """The request that lets a session use the display."""
        shown = self._shown
        data = X11Request(
            self._single, shown.protocol, shown.data.hex().encode(), self._display.screen
        )
        return OtherRequest(X11_REQUEST, data.encode())

    async def accept(self, carried: Carried, ask: AskOpen) -> None:
        """Join a channel that the server opens to the display, unless the time is over."""
        if self._ends is not None and self._clock() >= self._ends:
            _logger.warning(
                "an X11 program was refused: ForwardX11Timeout is over; start another session, or "
                "forward trusted programs"
            )
            carried.refuse(ask)
            return
        make = partial(X11Relay, setup=Setup(self._shown, self._real), refused=_warn)
        await carried.join(ask, "our display", partial(_connect, self._display), make)


def _warn(reason: str) -> None:
    _logger.warning("an X11 program of the server was refused: %s", reason)


async def forward_display(display: str | None, terms: X11Terms) -> X11Forward:
    """Return what forwards a display.

    :param display: as the variable ``DISPLAY`` names it, or None for its value.
    :raises ConfigurationError: there is no display, or nothing that opens it for programs that are
        not trusted.
    """
    text = os.environ.get("DISPLAY", "") if display is None else display
    if not text:
        raise ConfigurationError(
            "there is no display to forward: start this program where DISPLAY names one"
        )
    found = parse_display(text)
    xauth = terms.xauth if os.access(terms.xauth, os.X_OK) else None
    if not terms.trusted:
        real = None if xauth is None else await _untrusted(xauth, found, terms.timeout)
        if real is None:
            raise ConfigurationError(
                "X11 is not forwarded: xauth makes no cookie for untrusted programs; trust them "
                "(-Y), or use a display with the extension SECURITY"
            )
        lasts = terms.timeout or None
        return X11Forward(found, real, single=terms.single, lasts=lasts)
    real = None if xauth is None else parse_xauth(await _run(xauth, "list", found.for_xauth))
    if real is None:
        _logger.warning("xauth has no cookie of the display: X11 programs may be refused by it")
        real = Authorization(MIT_COOKIE, os.urandom(COOKIE_BYTES))
    return X11Forward(found, real, single=terms.single)


async def _untrusted(xauth: str, display: Display, timeout: float) -> Authorization | None:
    """Have the display make a cookie with few rights, in a file of our own."""
    directory = tempfile.mkdtemp(prefix="nacre-")  # with mode 0700
    try:
        file, name = os.path.join(directory, "xauth"), display.for_xauth
        lasts = min(int(timeout) + _SLACK, _MOST_TIME) if timeout else 0
        words = ("generate", name, MIT_COOKIE.decode(), "untrusted", "timeout", str(lasts))
        await _run(xauth, "-f", file, *words)
        return parse_xauth(await _run(xauth, "-f", file, "list", name))
    finally:
        shutil.rmtree(directory, ignore_errors=True)


async def _run(program: str, *words: str) -> bytes:
    """Return what a program prints; nothing if it fails, or takes too long."""
    try:
        process = await asyncio.create_subprocess_exec(
            program,
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError as error:
        _logger.warning("%s can't be started: %s", safe(program), error.strerror)
        return b""
    try:
        async with asyncio.timeout(_PATIENCE):
            printed, _ = await process.communicate()
    except TimeoutError:
        _logger.warning("%s did not end within %g seconds", safe(program), _PATIENCE)
        return b""
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return printed


async def _connect(display: Display) -> socket.socket:
    """Connect to a display.

    :raises ConnectFailed: that is not possible.
    """
    failure: ConnectFailed | None = None
    for place in display.places:
        try:
            if isinstance(place, str):
                return await UnixSockets().connect(place)
            return await dial(*place, wanted="an X server")
        except ConnectFailed as error:
            failure = error
    assert failure is not None
    raise failure
