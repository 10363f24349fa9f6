"""prompt_toolkit: its input and output are the client's terminal."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, TextIO, cast

from prompt_toolkit.application.current import AppSession, create_app_session
from prompt_toolkit.data_structures import Size
from prompt_toolkit.input import Input
from prompt_toolkit.input.typeahead import clear_typeahead
from prompt_toolkit.input.vt100_parser import Vt100Parser
from prompt_toolkit.key_binding import KeyPress
from prompt_toolkit.output import ColorDepth
from prompt_toolkit.output.vt100 import Vt100_Output

from nacre.apps.colours import ColourDepth, depth_of
from nacre.apps.output import AppOutput
from nacre.apps.serving import size_of
from nacre.server.session import Session

if TYPE_CHECKING:
    from types import TracebackType

_DEPTHS = {
    ColourDepth.NONE: ColorDepth.DEPTH_1_BIT,
    ColourDepth.SIXTEEN: ColorDepth.DEPTH_4_BIT,
    ColourDepth.PALETTE: ColorDepth.DEPTH_8_BIT,
    ColourDepth.TRUE: ColorDepth.DEPTH_24_BIT,
}

_LINE_FEED = re.compile("(?<!\r)\n")

_free: list[int] = []
"""Numbers of inputs that are closed. prompt_toolkit keeps an entry for each name of an input for
ever, so the names come again."""


class TerminalInput(Input):
    """The keys of one session. While no prompt is there to take them, nothing is read."""

    # _called  what prompt_toolkit has called when there are keys; None while nothing reads.

    def __init__(self) -> None:
        try:
            self._number = _free.pop()
        except IndexError:
            TerminalInput._most += 1
            self._number = TerminalInput._most
        self._keys: list[KeyPress] = []
        self._parser = Vt100Parser(self._keys.append)
        self._called: Callable[[], None] | None = None
        self._attached = asyncio.Event()
        self._closed = False

    _most = 0

    # --- what prompt_toolkit calls ---

    def fileno(self) -> int:
        """Refuse: there is no descriptor.

        :raises io.UnsupportedOperation: always.
        """
        raise io.UnsupportedOperation("the input of a session is no file")

    def typeahead_hash(self) -> str:
        """Return a name that no other input has now."""
        return f"nacre-{self._number}"

    def read_keys(self) -> list[KeyPress]:
        """Return the keys that were pressed."""
        keys = self._keys[:]
        self._keys.clear()
        return keys

    def flush_keys(self) -> list[KeyPress]:
        """Return the keys of a sequence that has not ended: the escape key."""
        self._parser.flush()
        return self.read_keys()

    @property
    def closed(self) -> bool:
        """Whether there is no more input."""
        return self._closed

    def raw_mode(self) -> AbstractContextManager[None]:
        """Do nothing: the client's terminal is raw already."""
        return nullcontext()

    def cooked_mode(self) -> AbstractContextManager[None]:
        """Do nothing: the mode of the client's terminal can't be changed."""
        return nullcontext()

    def attach(self, input_ready_callback: Callable[[], None]) -> AbstractContextManager[None]:
        """Have keys told to a callback inside the context."""
        return self._calling(input_ready_callback)

    def detach(self) -> AbstractContextManager[None]:
        """Have keys told to nobody inside the context."""
        return self._calling(None)

    @contextmanager
    def _calling(self, callback: Callable[[], None] | None) -> Iterator[None]:
        before = self._called
        self._set(callback)
        try:
            yield
        finally:
            self._set(before)

    def _set(self, callback: Callable[[], None] | None) -> None:
        self._called = callback
        if callback is None:
            self._attached.clear()
            return
        self._attached.set()
        if self._closed:
            asyncio.get_running_loop().call_soon(callback)

    # --- what the session calls, in the app's thread ---

    async def feed(self, text: str) -> None:
        """Hand keys to the prompt; wait for one."""
        await self._attached.wait()
        if self._called is not None and not self._closed:
            self._parser.feed(text)
            self._called()

    def close(self) -> None:
        """End the input: a prompt that waits, and each later one, raises EOFError."""
        self._closed = True
        if self._called is not None:
            self._called()

    def release(self) -> None:
        """Give the name of the input up; no call follows."""
        clear_typeahead(self)
        _free.append(self._number)


class TerminalText:
    """The file that prompt_toolkit prints to.

    :ivar encoding: the encoding of what is sent.
    """

    encoding = "utf-8"

    def __init__(self, output: AppOutput) -> None:
        self._output = output

    def write(self, text: str) -> int:
        """Send text; wait while the client is slow. Each line feed gets a carriage return."""
        self._output.write(_LINE_FEED.sub("\r\n", text))
        return len(text)

    def flush(self) -> None:
        """Do nothing: everything is sent soon."""

    def isatty(self) -> bool:
        """Return True."""
        return True

    def fileno(self) -> int:
        """Refuse: there is no descriptor.

        :raises io.UnsupportedOperation: always.
        """
        raise io.UnsupportedOperation("the output of a session is no file")


class PromptTerminal:
    """A session's terminal for prompt_toolkit: a context, inside of which it is the default.

    :param session: the session, which has a terminal.
    """

    def __init__(self, session: Session, output: AppOutput) -> None:
        terminal = session.terminal
        term = "" if terminal is None else terminal.term
        self.input = TerminalInput()
        self._size = size_of(terminal)
        self.output = Vt100_Output(
            cast(TextIO, TerminalText(output)),
            self._get_size,
            term=term,
            default_color_depth=_DEPTHS[depth_of(term, session.environment)],
        )
        self._context: AbstractContextManager[AppSession] | None = None
        self._app_session: AppSession | None = None

    def _get_size(self) -> Size:
        columns, rows = self._size
        return Size(rows=rows, columns=columns)

    def resize(self, columns: int, rows: int) -> None:
        """Note a new size, and draw what is there again."""
        self._size = columns, rows
        app = None if self._app_session is None else self._app_session.app
        if app is not None and app.is_running:
            app._on_resize()

    def __enter__(self) -> PromptTerminal:
        self._context = create_app_session(input=self.input, output=self.output)
        self._app_session = self._context.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._context is not None
        self._context.__exit__(kind, error, traceback)
        self.input.release()


class PromptApp:
    """A function that uses prompt_toolkit, in one session; see ``thread.ServedApp``.

    :param interact: the function, for this session.
    """

    def __init__(
        self, session: Session, output: AppOutput, interact: Callable[[], Awaitable[int | None]]
    ) -> None:
        self._terminal = PromptTerminal(session, output)
        self._interact = interact

    @property
    def terminal(self) -> PromptTerminal:
        """The session's terminal."""
        return self._terminal

    async def run(self) -> int | None:
        """Run the function; returns what it returns if that is a number."""
        with self._terminal:
            status = await self._interact()
        return status if isinstance(status, int) else None

    async def feed(self, text: str) -> None:
        """Take input; return when a prompt has taken it."""
        await self._terminal.input.feed(text)

    def end_input(self) -> None:
        """End the input: prompts raise EOFError."""
        self._terminal.input.close()

    def resize(self, columns: int, rows: int) -> None:
        """Note the terminal's new size."""
        self._terminal.resize(columns, rows)
