"""The calls of a client's connection that forward this machine's display to the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nacre.aio.connection import BaseConnection

if TYPE_CHECKING:
    from nacre.client.forwarding.forwards import Forwards
    from nacre.protocol.requests import OtherRequest


class DeviceCalls(BaseConnection):
    """A part of :class:`nacre.Connection`, which brings what carries out the calls."""

    _forwards: Forwards | None

    @property
    def _forwarding(self) -> Forwards:
        raise NotImplementedError

    @property
    def _lends(self) -> tuple[OtherRequest, ...]:
        """The requests for what sessions may use of this host."""
        return () if self._forwards is None else self._forwards.lends

    async def forward_x11(
        self,
        display: str | None = None,
        *,
        trusted: bool = True,
        timeout: float = 1200.0,
        single: bool = False,
        xauth: str = "/usr/bin/xauth",
    ) -> None:
        """Let programs of sessions that start from now on use a display of this host (``ssh -X``).

        The server gets a random cookie in place of the display's own. A trusted program can do what
        a program of this host can: read the keys that are typed, and what others show. Anyone with
        the rights of root on the server can be such a program while the connection lasts.

        :param display: in the form of the variable ``DISPLAY``; None for its value.
        :param trusted: False has the display make a cookie with few rights, and allows connections
            for ``timeout`` seconds; 0 for no limit.
        :param single: whether each session's programs may connect once only.
        :param xauth: the program xauth, which knows the display's cookie.
        :raises ConfigurationError: there is no display, or xauth makes no such cookie.
        """
        from nacre.client.forwarding.x11 import X11Terms, forward_display

        self.check()
        terms = X11Terms(trusted, timeout, xauth, single)
        self._forwarding.display = await forward_display(self, display, terms)
