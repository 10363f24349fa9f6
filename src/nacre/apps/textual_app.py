"""Textual apps: a driver whose terminal is the client's."""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Literal, TextIO, cast

from rich.console import Console
from textual import constants, events, messages
from textual._xterm_parser import XTermParser
from textual.app import App
from textual.driver import Driver
from textual.geometry import Size
from textual.message import Message
from textual.message_pump import MessagePump

from nacre.apps.colours import ColourDepth, depth_of, fitted
from nacre.apps.output import AppOutput
from nacre.apps.serving import size_of
from nacre.errors import StreamClosed
from nacre.server.session import Session

_ENTER = (
    "\x1b[?1049h"  # the alternate screen
    "\x1b[?25l"  # no cursor
    "\x1b[?1004h"  # reports of the focus
    "\x1b[?2004h"  # bracketed paste
    "\x1b[?7l"  # no wrapping of lines
)
_LEAVE = "\x1b[?7h\x1b[?2004l\x1b[?1004l\x1b[?1049l\x1b[?25h"
_MOUSE = (1000, 1003, 1006)
"""Modes of xterm: buttons, all movements, and reports as decimal numbers."""


class Discarded(io.TextIOBase):
    """A text file that keeps nothing."""

    def write(self, text: str) -> int:
        """Drop a text; returns its length."""
        return len(text)


class SessionDriver(Driver):
    """The driver of one session; :func:`textual_app` makes a class of it for each."""

    output: ClassVar[AppOutput]
    served: ClassVar[TextualApp]
    depth: ClassVar[ColourDepth]

    def __init__(
        self,
        app: App[Any],
        *,
        debug: bool = False,
        mouse: bool = True,
        size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        self._app: App[Any] = app
        self._parser = XTermParser()
        self._ticking: asyncio.TimerHandle | None = None
        self._on = False

    # --- what Textual calls ---

    def write(self, data: str) -> None:
        """Send to the client; wait while it is slow."""
        with suppress(StreamClosed):  # the client is gone, and the app is told to exit
            self.output.write(fitted(data, self.depth))

    def start_application_mode(self) -> None:
        """Take the client's terminal over."""
        self._on = True
        self.write(_ENTER + self._mouse_modes("h"))
        self.served.begin(self)

    def stop_application_mode(self) -> None:
        """Give the client's terminal back."""
        self.disable_input()
        self.write(self._mouse_modes("l") + _LEAVE)

    def disable_input(self) -> None:
        """Take no more input."""
        self._on = False
        if self._ticking is not None:
            self._ticking.cancel()

    def open_url(self, url: str, new_tab: bool = True) -> None:
        """Do nothing: the browser would be the server's."""

    def deliver_binary(
        self,
        binary: BinaryIO | TextIO,
        *,
        delivery_key: str,
        save_path: Path,
        open_method: Literal["browser", "download"] = "download",
        encoding: str | None = None,
        mime_type: str | None = None,
        name: str | None = None,
    ) -> None:
        """Refuse: the file would be written on the server, as the server's account."""
        binary.close()
        refused = PermissionError("files can't be saved on the server")
        self._app.post_message(events.DeliveryFailed(delivery_key, refused, name))

    def send_message(self, message: Message) -> None:
        """Put a message into the app's queue; this thread is the app's."""
        self._app.post_message(message)

    def process_message(self, message: Message) -> None:
        """Hand a message of the terminal to the app, but no size that the client has typed."""
        if not isinstance(message, events.Resize | messages.InBandWindowResize):
            super().process_message(message)

    def _mouse_modes(self, switch: str) -> str:
        return "".join(f"\x1b[?{mode}{switch}" for mode in _MOUSE) if self._mouse else ""

    # --- what the session calls, in the app's thread ---

    def feed(self, text: str) -> None:
        """Take what the client has typed."""
        if not self._on:
            return
        if self._ticking is not None:
            self._ticking.cancel()
        moved: Message | None = None
        for message in self._messages(text):
            # Of movements that the app has not seen yet, the last one counts.
            if moved is not None and not isinstance(message, events.MouseMove):
                self.process_message(moved)
            moved = message if isinstance(message, events.MouseMove) else None
            if moved is None:
                self.process_message(message)
        if moved is not None:
            self.process_message(moved)

    def _messages(self, text: str) -> Iterator[Message]:
        for character in text:
            try:
                yield from self._parser.feed(character)
            except (ValueError, OverflowError):
                # A sequence names a character that there is none of, and has ended the parser.
                self._parser = XTermParser()

    def pause(self) -> None:
        """Note that the app is ready for more: what does not follow now ends the escape key."""
        if self._on:
            self._ticking = self._loop.call_later(constants.ESCAPE_DELAY, self._tick)

    def _tick(self) -> None:
        for message in self._parser.tick():
            self.process_message(message)

    def resize(self, columns: int, rows: int) -> None:
        """Tell the app the terminal's size."""
        size = Size(columns, rows)
        self.send_message(events.Resize(size, size))


class TextualApp:
    """A Textual app of one session; see :class:`nacre.apps.thread.ServedApp`."""

    # _driver   the app's driver, once the app has taken the terminal over; _begun: set then.
    # _ended    whether there is no more input.

    def __init__(self, app: App[Any], size: tuple[int, int], mouse: bool) -> None:
        self._app = app
        self._size = size
        self._mouse = mouse
        self._driver: SessionDriver | None = None
        self._begun = asyncio.Event()
        self._ended = False

    async def run(self) -> int | None:
        """Run the app; returns its return code.

        :raises Exception: what ended the app.
        """
        await self._app.run_async(size=self._size, mouse=self._mouse)
        error = getattr(self._app, "_exception", None)
        if isinstance(error, Exception):
            raise error
        return self._app.return_code

    def begin(self, driver: SessionDriver) -> None:
        """Note that the app has taken the terminal over."""
        self._driver = driver
        self._begun.set()
        driver.resize(*self._size)
        if self._ended:
            self._app.exit()

    async def feed(self, text: str) -> None:
        """Take input; return when the app and its focused widget have handled it."""
        await self._begun.wait()
        if self._driver is None or self._ended:
            return
        self._driver.feed(text)
        await _handled(self._app)
        if self._app.is_running and self._app.screen_stack and self._app.focused is not None:
            await _handled(self._app.focused)
        self._driver.pause()

    def end_input(self) -> None:
        """Have the app exit."""
        self._ended = True
        if self._driver is not None:
            self._app.exit()

    def resize(self, columns: int, rows: int) -> None:
        """Tell the app the terminal's new size."""
        self._size = columns, rows
        if self._driver is not None:
            self._driver.resize(columns, rows)


async def _handled(pump: MessagePump) -> None:
    """Return when all messages are handled that wait in a queue now."""
    reached = asyncio.Event()
    if pump.call_later(reached.set):
        await reached.wait()


def textual_app(
    make: Callable[[Session], App[Any]], session: Session, output: AppOutput, *, mouse: bool
) -> TextualApp:
    """Make the app of a session, and have it draw on the client's terminal."""
    app = make(session)
    served = TextualApp(app, size_of(session.terminal), mouse)
    term = "" if session.terminal is None else session.terminal.term
    own = {"output": output, "served": served, "depth": depth_of(term, session.environment)}
    app.driver_class = type("_", (SessionDriver,), own)
    app.console = _console()
    # Of errors there is a log; a traceback with the values of variables is not for a terminal.
    app.error_console = Console(file=cast(TextIO, Discarded()))
    # Textual puts these in place of the process's streams while an app runs. Of two apps, the one
    # that ends first would leave the other's there.
    for name, stream in (("_capture_stdout", sys.stdout), ("_capture_stderr", sys.stderr)):
        setattr(app, name, stream)
    return served


def _console() -> Console:
    """Return the console by which the app renders.

    It always has all colours: Rich keeps the codes of a style for the first console that renders
    it, whichever session that is of. The driver writes those that the client's terminal has.
    """
    return Console(
        file=cast(TextIO, Discarded()),
        color_system="truecolor",
        force_terminal=True,
        markup=True,
        highlight=False,
        emoji=False,
        legacy_windows=False,
        safe_box=False,
        soft_wrap=False,
        _environ={},
    )
