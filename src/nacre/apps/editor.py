"""Shells with a line editor: a prompt of prompt_toolkit, with history and words to complete."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, Callable, Iterable
from threading import Lock

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import WordCompleter
from prompt_toolkit.history import DummyHistory, History

from nacre.apps.colours import is_plain
from nacre.apps.output import AppOutput
from nacre.apps.prompts import PromptApp, PromptTerminal
from nacre.apps.shell import LINE, Interact, LineShell, PlainShellApp
from nacre.apps.thread import ServedApp
from nacre.server.session import Session

USERS = 1000
"""Users whose history is remembered; beyond, that of who was there longest ago is forgotten."""


LONGEST = 1024
"""Characters of a line that is remembered."""


class UserHistory(History):
    """A user's history, which all sessions of the user share.

    :param lines: the lines, oldest first; a line that is typed is appended.
    """

    def __init__(self, lines: deque[str]) -> None:
        super().__init__()
        self._lines = lines

    async def load(self) -> AsyncGenerator[str, None]:
        """Yield the lines, the latest first."""
        for line in reversed(tuple(self._lines)):
            yield line

    def append_string(self, string: str) -> None:
        """Remember a line, unless it is the last one, or long."""
        if string and len(string) <= LONGEST and (not self._lines or self._lines[-1] != string):
            self.store_string(string)

    def load_history_strings(self) -> Iterable[str]:
        """Return the lines, the latest first."""
        return reversed(tuple(self._lines))

    def store_string(self, string: str) -> None:
        """Remember a line."""
        self._lines.append(string)

    def get_strings(self) -> list[str]:
        """Return the lines, oldest first."""
        return list(self._lines)


class EditedLines:
    """Lines that a user edits.

    :param lines: the user's history.
    """

    def __init__(self, terminal: PromptTerminal, words: tuple[str, ...], lines: deque[str]) -> None:
        self._terminal = terminal
        self._prompts: PromptSession[str] = PromptSession(
            history=UserHistory(lines),
            completer=WordCompleter(list(words)) if words else None,
            complete_while_typing=False,
            input=terminal.input,
            output=terminal.output,
        )
        self._secrets: PromptSession[str] = PromptSession(
            history=DummyHistory(),  # without one it is remembered for the next secret
            input=terminal.input,
            output=terminal.output,
            is_password=True,
        )

    async def read(self, prompt: str, hidden: bool) -> str:
        """Return the line that the user has typed.

        :raises EOFError: Ctrl-D was pressed at an empty line, or the client is gone.
        :raises KeyboardInterrupt: Ctrl-C was pressed.
        :raises ValueError: the line is too long.
        """
        line = await (self._secrets if hidden else self._prompts).prompt_async(prompt)
        if len(line) > LINE:
            raise ValueError(f"a line may have {LINE} characters")
        return line


class Histories:
    """The lines that users have typed, in memory.

    :param most: lines to remember of each user.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lines: OrderedDict[str, deque[str]] = OrderedDict()
        self._lock = Lock()

    def of(self, user: str) -> deque[str]:
        """Return the lines of a user, oldest first; what is appended is remembered."""
        with self._lock:
            lines = self._lines.setdefault(user, deque(maxlen=self._most))
            self._lines.move_to_end(user)
            while len(self._lines) > USERS:
                self._lines.popitem(last=False)
            return lines


def shell_app(
    interact: Interact, prompt: str, words: tuple[str, ...], history: int
) -> Callable[[Session, AppOutput], ServedApp]:
    """Return what makes the app of a session: an editor at a terminal, and plain lines without.

    The parameters are those of :func:`nacre.apps.shell_handler`.
    """
    histories = Histories(history)

    def make(session: Session, output: AppOutput) -> ServedApp:
        terminal = session.terminal
        if session.command is not None or terminal is None or is_plain(terminal.term):
            return PlainShellApp(session, output, interact, prompt)

        async def run() -> int | None:
            source = EditedLines(app.terminal, words, histories.of(session.user))
            return await interact(LineShell(session, output, source, prompt, True))

        app = PromptApp(session, output, run)
        return app

    return make
