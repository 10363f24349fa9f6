"""Asks a server over its control socket, for programs that may wait."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from nacre.daemon.control.place import connected, peer_of
from nacre.daemon.control.requests import written
from nacre.daemon.control.values import (
    Begun,
    ControlError,
    Finished,
    Rejected,
    json_line,
    value_of,
)
from nacre.daemon.watching.frames import WatchOrder
from nacre.limits import MIB

_LONGEST = 1 * MIB
"""Bytes of a line of an answer."""

_PATIENCE = 30.0
"""Seconds that the server has for the next line."""


class ControlCaller:
    """A connection to a running server.

    :ivar silent: how many processes of the server did not answer the last request.
    """

    def __init__(self, state: Path) -> None:
        """Connect.

        :raises ControlError: no server runs with this state directory, or this account may not.
        """
        self.silent = 0
        self._sock = connected(state)
        self._lines = self._sock.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()
        self._sock.close()

    def ask(self, name: str, request: object, *, endless: bool = False) -> Iterator[Any]:
        """Yield the values of an answer.

        :param name: the name of the request in the table.
        :param endless: wait for each as long as it takes.
        :raises ControlError: the server refuses, or is gone.
        """
        self.send(name, request)
        yield from self.values(None if endless else _PATIENCE)

    @property
    def pid(self) -> int:
        """The number of the server's process: of the one that asks others, if it has several."""
        return peer_of(self._sock)[0]

    def send(self, name: str, request: object) -> None:
        """Ask something whose answer :meth:`values` returns."""
        self._sock.settimeout(_PATIENCE)
        with suppress(OSError):  # a server that refuses has said why
            self._sock.sendall(json_line(written(name, request)), socket.MSG_NOSIGNAL)

    def values(self, seconds: float | None) -> Iterator[Any]:
        """Yield the values of an answer.

        :param seconds: how long to wait for each; None for any time.
        :raises ControlError: the server refuses, or is gone.
        """
        self._sock.settimeout(seconds)
        try:
            while line := self._lines.readline(_LONGEST):
                value = value_of(line)
                if isinstance(value, Rejected):
                    raise ControlError(value.reason)
                if isinstance(value, Finished):
                    self.silent = value.silent
                    return
                yield value
        except TimeoutError:
            raise ControlError("the server does not answer") from None
        except OSError as error:
            raise ControlError(f"the server is gone: {error.strerror}") from error
        raise ControlError("the server has ended")

    def watch(self, order: WatchOrder) -> tuple[Begun, socket.socket]:
        """Watch a session; nothing else can be asked after that.

        :returns: what is watched, and the socket on which frames come. It is closed with this.
        :raises ControlError: it can't be watched, or the server is gone.
        """
        self._sock.settimeout(_PATIENCE)
        try:
            self._sock.sendall(json_line(written("watch", order)), socket.MSG_NOSIGNAL)
            # Frames may follow at once, and they are not for a buffer of lines.
            line = b""
            while not line.endswith(b"\n"):
                if len(line) >= _LONGEST or not (byte := self._sock.recv(1)):
                    raise ControlError("the server has ended")
                line += byte
        except TimeoutError:
            raise ControlError("the server does not answer") from None
        except OSError as error:
            raise ControlError(f"the server is gone: {error.strerror}") from error
        value = value_of(line)
        if isinstance(value, Rejected):
            raise ControlError(value.reason)
        if not isinstance(value, Begun):
            raise ControlError("the server says what this program does not know")
        self._sock.settimeout(None)
        return value, self._sock
