"""Line shells: a client types lines and a function answers them, with or without a terminal."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol

from nacre.apps.output import AppOutput
from nacre.server.session import Session
from nacre.wire.text import safe

LINE = 64 * 1024
"""Characters that a line may have."""

_END = re.compile("\r\n|\r|\n")

Interact = Callable[["LineShell"], Awaitable[int | None]]


class LineSource(Protocol):
    """Where the lines of a shell come from."""

    async def read(self, prompt: str, hidden: bool) -> str:
        """Return the next line.

        :raises EOFError: there is none.
        """


class LineShell:
    """What a shell's function gets: lines to read, and a place to print answers.

    Iterate over it for the lines up to the end; Ctrl-C drops a line.

    :ivar session: the session; only its attributes may be used here.
    :ivar prompt: the prompt; it may be changed.
    :ivar interactive: whether a person types at a terminal.
    """

    def __init__(
        self,
        session: Session,
        output: AppOutput,
        source: LineSource,
        prompt: str,
        interactive: bool,
    ) -> None:
        self.session = session
        self.prompt = prompt
        self.interactive = interactive
        self._output = output
        self._source = source

    @property
    def user(self) -> str:
        """The user who is logged in."""
        return self.session.user

    async def read_line(self, prompt: str | None = None, *, hidden: bool = False) -> str:
        """Return the next line, without its end.

        :param prompt: in place of the shell's.
        :param hidden: whether the line is a secret: it is neither shown nor remembered.
        :raises EOFError: the client has sent its end of file (Ctrl-D).
        :raises KeyboardInterrupt: Ctrl-C was pressed.
        :raises ValueError: the line is longer than 64 KiB.
        """
        return await self._source.read(self.prompt if prompt is None else prompt, hidden)

    def print(self, *texts: object, end: str = "\n") -> None:
        """Print texts with blanks between them; wait while the client is slow.

        Control characters of the texts are escaped, other than line ends and tabs.
        """
        text = " ".join(map(str, texts)) + end
        shown = safe(text, len(text), keep="\n\t\\")
        self._output.write(shown.replace("\n", "\r\n") if self.interactive else shown)

    def __aiter__(self) -> LineShell:
        return self

    async def __anext__(self) -> str:
        while True:
            try:
                return await self.read_line()
            except KeyboardInterrupt:
                continue
            except EOFError:
                raise StopAsyncIteration from None


class PlainLines:
    """The lines of a client without a terminal, or the one line of a command."""

    def __init__(self, command: str | None) -> None:
        self._lines: deque[str] = deque() if command is None else deque([command])
        self._part = ""
        self._returned = False
        self._ended = self._single = command is not None
        self._changed = asyncio.Event()

    async def read(self, prompt: str, hidden: bool) -> str:
        """Return the next line; there is no prompt.

        :raises EOFError: there is none.
        :raises ValueError: the line is too long.
        """
        while not self._lines:
            if self._ended:
                raise EOFError
            self._changed.clear()
            await self._changed.wait()
        line = self._lines.popleft()
        self._changed.set()
        if len(line) > LINE:
            raise ValueError(f"a line may have {LINE} characters")
        return line

    async def feed(self, text: str) -> None:
        """Take input; return when the lines in it are read."""
        if self._single:
            return
        if self._returned and text.startswith("\n"):
            text = text[1:]  # of a line end that came in two pieces
        self._returned = text.endswith("\r") if text else False
        *lines, self._part = _END.split(self._part + text)
        self._part = self._part[: LINE + 1]
        self._lines += lines
        self._changed.set()
        while self._lines and not self._ended:
            self._changed.clear()
            await self._changed.wait()

    def end(self) -> None:
        """Note that there is no more input; what has no line end is a line, too."""
        if self._part and not self._ended:
            self._lines.append(self._part)
        self._part, self._ended = "", True
        self._changed.set()


class PlainShellApp:
    """A shell without a terminal; see :class:`nacre.apps.thread.ServedApp`."""

    def __init__(
        self, session: Session, output: AppOutput, interact: Interact, prompt: str
    ) -> None:
        command = session.command
        self._lines = PlainLines(None if command is None else command.decode(errors="replace"))
        self._shell = LineShell(session, output, self._lines, prompt, False)
        self._interact = interact

    async def run(self) -> int | None:
        """Run the shell's function; returns the exit status."""
        return await self._interact(self._shell)

    async def feed(self, text: str) -> None:
        """Take input."""
        await self._lines.feed(text)

    def end_input(self) -> None:
        """Note that there is no more input."""
        self._lines.end()

    def resize(self, columns: int, rows: int) -> None:
        """Do nothing: nothing is drawn."""
