"""A session of the running server on this terminal, while it runs."""

from __future__ import annotations

import os
import select
import socket
import sys
import termios
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import click

from nacre.cli.common.modes import RawTerminal, TerminalModes
from nacre.cli.control.screen import CLEAR, RESTORE, PlainText, resized
from nacre.cli.ssh.escapes import Escape, Escapes
from nacre.daemon.control.caller import ControlCaller
from nacre.daemon.control.values import Connected, ControlError, Running, State
from nacre.daemon.recording.frames import FrameReader, frame, unpacked_json
from nacre.daemon.watching.frames import WatchFrame, WatchOrder
from nacre.errors import MalformedMessage
from nacre.limits import KIB

BROKEN = 255
"""The exit status where the session was ended by a signal, or its process is gone."""

_READ = 64 * KIB
_KEYS = 4 * KIB
_LARGEST = 10_000
"""Columns or rows of a terminal."""

_QUITS = frozenset(b"q\x03")


_WITHOUT: Mapping[State, str] = {
    "rest": "is at rest: it has no session",
    "login": "logs in: it has no session yet",
    "open": "is served by a process that does not answer: try again",
}
"""Why nothing is known of a connection's sessions."""


def chosen(connections: list[Connected], number: str, channel: int | None) -> int:
    """Return the channel of the session to watch.

    :param channel: what was given, if anything.
    :raises ControlError: there is no such connection, or no session, or more than one.
    """
    found = next((one for one in connections if one.id == number), None)
    if found is None:
        raise ControlError(f"there is no connection {number}: see nacre who")
    if channel is not None:
        return channel
    if found.details is None:
        raise ControlError(f"the connection {number} {_WITHOUT[found.state]}")
    running = [one for one in found.details.running if one.request in ("shell", "command")]
    at_terminals = [one for one in running if one.terminal]
    for some in (running, at_terminals):
        if len(some) == 1:
            return some[0].channel
    if not running:
        raise ControlError(f"the connection {number} has no command or shell to watch")
    raise ControlError(f"give --channel: the connection {number} has {_listed(running)}")


def _listed(running: list[Running]) -> str:
    return ", ".join(f"{one.channel} ({one.what or one.request})" for one in running)


class Screen(Protocol):
    """Where the output of a session goes."""

    def output(self, data: bytes, kind: WatchFrame) -> None:
        """Show output."""

    def draw(self, data: bytes) -> None:
        """Show the last output in place of what is there."""

    def resize(self, columns: int, rows: int) -> None:
        """Have the size of the session's terminal."""

    def skipped(self, count: int) -> None:
        """Tell that so many bytes are missing."""


class LiveTerminal:
    """Standard output, as it is: a terminal shows what the session's terminal shows.

    :param redraws: whether it is a terminal, which is cleared where the last output comes anew.
    """

    def __init__(self, *, redraws: bool) -> None:
        self._redraws = redraws
        self._begun = False

    def output(self, data: bytes, kind: WatchFrame) -> None:
        """Show output; standard error of a command goes to standard error."""
        _write(data, to_errors=kind is WatchFrame.ERRORS)

    def draw(self, data: bytes) -> None:
        """Clear the terminal and show the last output; elsewhere it is shown the first time."""
        if self._redraws:
            _write(CLEAR + data)
        elif not self._begun:
            _write(data)
        self._begun = True

    def resize(self, columns: int, rows: int) -> None:
        """Ask the terminal for the size."""
        if self._redraws:
            _write(resized(columns, rows))

    def skipped(self, count: int) -> None:
        """Tell it where nothing is drawn anew."""
        if not self._redraws:
            click.echo(f"[{count} bytes are missing here]", err=True)


class LiveText:
    """Standard output, with plain text."""

    def __init__(self) -> None:
        self._plain = {kind: PlainText() for kind in (WatchFrame.OUTPUT, WatchFrame.ERRORS)}
        self._begun = False

    def output(self, data: bytes, kind: WatchFrame) -> None:
        """Show the text of output."""
        text = self._plain[kind].feed(data).encode()
        _write(text, to_errors=kind is WatchFrame.ERRORS)

    def draw(self, data: bytes) -> None:
        """Show the last output the first time: later it is there already, or missing."""
        if not self._begun:
            self.output(data, WatchFrame.OUTPUT)
        self._begun = True

    def resize(self, columns: int, rows: int) -> None:
        """Do nothing: text has no size."""

    def skipped(self, count: int) -> None:
        """Tell it in a line."""
        click.echo(f"[{count} bytes are missing here]", err=True)


def _write(data: bytes, *, to_errors: bool = False) -> None:
    stream = sys.stderr.buffer if to_errors else sys.stdout.buffer
    stream.write(data)
    stream.flush()


class Leaves(Exception):
    """The one who watches leaves."""


def quitting(typed: bytes) -> bytes:
    """Return nothing: keys only say that one leaves."""
    if _QUITS & set(typed):
        raise Leaves
    return b""


def joining() -> Callable[[bytes], bytes]:
    """Return what returns the keys that are for the session, up to the escape ``~.``."""
    escapes = Escapes(b"~")

    def take(typed: bytes) -> bytes:
        found = b""
        for one in escapes.feed(typed):
            if one is Escape.DISCONNECT:
                raise Leaves
            found += escapes.character + one.value if isinstance(one, Escape) else one
        return found

    return take


class LiveSession:
    """Shows what comes over a socket, and sends the keys.

    :param sock: the socket to the process that serves the session.
    :param keyboard: the terminal whose keys ``keys`` gets, if there is one; what that returns is
        sent.
    """

    def __init__(
        self,
        sock: socket.socket,
        screen: Screen,
        keyboard: int | None,
        keys: Callable[[bytes], bytes],
    ) -> None:
        self._sock = sock
        self._screen = screen
        self._keyboard = keyboard
        self._keys = keys
        self._frames = FrameReader(WatchFrame)
        self._ended: bytes | None = None

    def run(self) -> int | None:
        """Show the session to its end; return its exit status, None where it has none.

        :raises Leaves: the one who watches leaves.
        :raises ControlError: the session's process is gone, or sends what is wrong.
        """
        while self._ended is None:
            watched = [self._sock.fileno()]
            if self._keyboard is not None:
                watched.append(self._keyboard)
            ready, _, _ = select.select(watched, [], [])
            if self._keyboard is not None and self._keyboard in ready:
                self._type(os.read(self._keyboard, _KEYS))
            if self._sock.fileno() in ready:
                self._receive()
        return int(self._ended) & 0xFF if self._ended.isdigit() else None

    def _type(self, typed: bytes) -> None:
        if not typed:
            raise Leaves
        if wanted := self._keys(typed):
            try:
                self._sock.sendall(frame(WatchFrame.TYPED, wanted), socket.MSG_NOSIGNAL)
            except OSError:
                raise ControlError("the process of the session is gone") from None

    def _receive(self) -> None:
        try:
            data = self._sock.recv(_READ)
            found = self._frames.feed(data)
            for kind, payload in found:
                _SHOWN[kind](self, kind, payload)
        except (OSError, MalformedMessage, KeyError, ValueError):
            data = b""
        if not data and self._ended is None:
            raise ControlError("the process of the session is gone")

    def _output(self, kind: WatchFrame, payload: bytes) -> None:
        self._screen.output(payload, kind)

    def _draw(self, kind: WatchFrame, payload: bytes) -> None:
        self._screen.draw(payload)

    def _resize(self, kind: WatchFrame, payload: bytes) -> None:
        columns, rows = unpacked_json(payload, list)
        if not all(type(one) is int and 0 < one < _LARGEST for one in (columns, rows)):
            return  # there are terminals without a size
        self._screen.resize(columns, rows)

    def _skip(self, kind: WatchFrame, payload: bytes) -> None:
        self._screen.skipped(int(payload))

    def _end(self, kind: WatchFrame, payload: bytes) -> None:
        self._ended = payload


_SHOWN: Mapping[WatchFrame, Callable[[LiveSession, WatchFrame, bytes], None]] = {
    WatchFrame.OUTPUT: LiveSession._output,
    WatchFrame.ERRORS: LiveSession._output,
    WatchFrame.SCREEN: LiveSession._draw,
    WatchFrame.SIZE: LiveSession._resize,
    WatchFrame.SKIPPED: LiveSession._skip,
    WatchFrame.END: LiveSession._end,
}


def show(caller: ControlCaller, order: WatchOrder, *, text: bool = False) -> int:
    """Show a session until it ends or the one who watches leaves; return the exit status.

    :raises ControlError: it can't be watched.
    """
    _, sock = caller.watch(order)
    shows = sys.stdout.isatty() and not text
    keyboard = sys.stdin.fileno() if sys.stdin.isatty() else None
    screen: Screen = LiveText() if text else LiveTerminal(redraws=shows)
    session = LiveSession(sock, screen, keyboard, joining() if order.joins else quitting)
    modes: AbstractContextManager[object] = nullcontext()
    if keyboard is not None:
        modes = RawTerminal(keyboard) if order.joins else TerminalModes(keyboard, _by_key)
    said, status = "", 0
    try:
        with modes:
            try:
                ended = session.run()
            finally:
                if shows:
                    _write(RESTORE + b"\r\n")
        said, status = _told(ended)
    except (Leaves, KeyboardInterrupt):
        said = f"you have left {order.id}"
    except ControlError as error:
        said, status = str(error), BROKEN
    click.echo(f"nacre: {said}", err=True)
    return status


def _told(ended: int | None) -> tuple[str, int]:
    if ended is None:
        return "the session has ended, by a signal or because its client has left", BROKEN
    return f"the session has ended with the exit status {ended}", ended


def _by_key(attributes: Any) -> None:
    """Get each key at once, show none, and change nothing of what is shown."""
    attributes[1] &= ~termios.OPOST
    attributes[3] &= ~(termios.ICANON | termios.ECHO)
