"""Displays of X11 and the cookies that open them (X Window System Protocol, section 8).

A program's connection to a display begins with a packet that has a cookie. The server's programs
are told a false one; :class:`Setup` looks for it in the packet and puts the display's own in its
place. So the real cookie never leaves this machine, and what has not got the false one from this
session does not reach the display.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, TypeAlias

from nacre.aio.channel import Channel
from nacre.errors import ConfigurationError
from nacre.protocol.tcpip import X11_PORT
from nacre.tunnels.relay import Relay
from nacre.value import value
from nacre.wire.codec import Buffer
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.aio.connection import BaseConnection

MIT_COOKIE = b"MIT-MAGIC-COOKIE-1"
"""The authorization protocol that every X server has: its data are 16 random bytes."""

COOKIE_BYTES = 16

_MOST_BYTES = 512
_MOST_DISPLAYS = 65536 - X11_PORT
_SOCKETS = "/tmp/.X11-unix/X"
_HEAD = 12
_ORDERS: dict[int, Literal["big", "little"]] = {ord("B"): "big", ord("l"): "little"}
_DISPLAY = re.compile(r"(?P<host>.*):(?P<number>[0-9]{1,5})(?:\.(?P<screen>[0-9]{1,9}))?", re.ASCII)
_CHARACTERS = re.compile(r"[A-Za-z0-9:/._\[\]%][A-Za-z0-9:/._\[\]%-]*", re.ASCII)

Place: TypeAlias = tuple[str, int] | str
"""A host and a port, or the path of a Unix socket."""


@value
class Display:
    """A display as the variable ``DISPLAY`` names it.

    :ivar host: "" for this host.
    :ivar path: the Unix socket that the variable names, without a screen; "" for none.
    """

    host: str
    number: int
    screen: int
    path: str = ""

    @property
    def places(self) -> tuple[Place, ...]:
        """Where it listens: one of these."""
        if self.path:
            return (self.path,)
        if self.host:
            return ((self.host, X11_PORT + self.number),)
        # Linux has the socket in its abstract namespace too, where no cleaner of /tmp removes it.
        return (f"\0{_SOCKETS}{self.number}", f"{_SOCKETS}{self.number}")

    @property
    def for_xauth(self) -> str:
        """Its name for xauth, which has cookies of this host's displays by their Unix socket.

        It is ``:0.0`` for them: later libraries of X11 know no ``unix:0.0``.
        """
        if self.path:
            return self.path
        host = "" if self.host == "localhost" else self.host
        return f"{host}:{self.number}.{self.screen}"


def parse_display(text: str) -> Display:
    """Return the display that a value of ``DISPLAY`` names.

    The forms are ``:0``, ``unix:0``, ``host:0.1``, ``[address]:0`` and ``/path/of/socket:0``; a
    number behind a point is the screen.

    :raises ConfigurationError: it has none of these forms.
    """
    found = _DISPLAY.fullmatch(text) if _CHARACTERS.fullmatch(text) else None
    if found is None or int(found["number"]) >= _MOST_DISPLAYS:
        raise ConfigurationError(
            f"DISPLAY {safe(text, 64)!r} names no display: give :NUMBER, HOST:NUMBER or the path "
            "of its socket"
        )
    host, number, screen = found["host"], int(found["number"]), int(found["screen"] or 0)
    if host.startswith("/"):
        path = text[: found.start("screen") - 1] if found["screen"] else text
        return Display("", number, screen, path)
    host = host.removeprefix("[").removesuffix("]")
    return Display("" if host == "unix" else host, number, screen)


@value
class Authorization:
    """What opens a display.

    :ivar protocol: the name of the authorization protocol.
    :ivar data: its data, secret.
    """

    protocol: bytes
    data: bytes

    def __repr__(self) -> str:
        return f"Authorization({safe(self.protocol)})"

    def imitated(self, random: Callable[[int], bytes]) -> Authorization:
        """Return one of the same form with other data.

        :param random: returns as many random bytes.
        """
        return Authorization(self.protocol, random(len(self.data)))


def parse_xauth(listed: bytes) -> Authorization | None:
    """Return the first authorization that ``xauth list`` has printed; None if there is none."""
    for line in listed.splitlines():
        words = line.split()
        if len(words) < 3 or not (0 < len(words[1]) <= _MOST_BYTES):
            continue
        try:
            data = bytes.fromhex(words[2].decode("ascii"))
        except ValueError:
            continue
        if 0 < len(data) <= _MOST_BYTES:
            return Authorization(words[1], data)
    return None


class WrongCookie(Exception):
    """A program at the server does not show the cookie that its session was given."""


class Setup:
    """Takes the start of a program's connection, until its setup packet is whole.

    :param shown: what the session's programs were given.
    :param real: what opens the display; its parts are as long as those of ``shown``.
    """

    def __init__(self, shown: Authorization, real: Authorization) -> None:
        self._shown = shown
        self._real = real
        self._held = bytearray()

    def feed(self, data: Buffer) -> bytes:
        """Take data; return all of it, the cookie replaced, once the packet is whole.

        :returns: nothing before that.
        :raises WrongCookie: the packet has another protocol or cookie, or is no such packet.
        """
        held = self._held
        held += data
        if len(held) < _HEAD:
            return b""
        order = _ORDERS.get(held[0])
        if order is None:
            raise WrongCookie("it sends no setup packet of X11")
        sizes = [int.from_bytes(held[at : at + 2], order) for at in (6, 8)]
        if sizes != [len(self._shown.protocol), len(self._shown.data)]:
            raise WrongCookie("it uses another authorization protocol")
        cookie = _HEAD + _padded(sizes[0])
        if len(held) < cookie + _padded(sizes[1]):
            return b""
        given = held[_HEAD : _HEAD + sizes[0]] + held[cookie : cookie + sizes[1]]
        if not hmac.compare_digest(given, self._shown.protocol + self._shown.data):
            raise WrongCookie("its cookie is wrong")
        held[_HEAD : _HEAD + sizes[0]] = self._real.protocol
        held[cookie : cookie + sizes[1]] = self._real.data
        return bytes(held)


def _padded(size: int) -> int:
    return size + -size % 4


class X11Relay(Relay):
    """A relay to a display, which closes both its ends if the setup packet is not right.

    :param refused: called then with the reason.
    """

    def __init__(
        self,
        connection: BaseConnection,
        channel: Channel,
        setup: Setup,
        refused: Callable[[str], None],
    ) -> None:
        super().__init__(connection, channel)
        self._setup: Setup | None = setup
        self._refused = refused

    def feed(self, data: Buffer) -> None:
        """Write data from the peer to the display, once its start was checked."""
        if self._setup is None:
            super().feed(data)
            return
        if self._channel.closing:
            return  # refused
        try:
            # As long as what was received, so the window is adjusted by what the peer has sent.
            ready = self._setup.feed(data)
        except WrongCookie as wrong:
            self._refused(str(wrong))
            self._channel.close()
            return
        if ready:
            self._setup = None
            super().feed(ready)
