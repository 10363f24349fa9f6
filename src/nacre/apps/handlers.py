"""What programs call: a handler for each kind of app."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from nacre.apps.serving import AppHandler
from nacre.apps.shell import LineShell
from nacre.errors import ConfigurationError
from nacre.server.session import Session

if TYPE_CHECKING:
    from textual.app import App

MOST = 100
"""Apps of one handler that may run at a time: each has a thread."""

HISTORY = 1000
"""Lines that a line shell remembers of a user."""


def textual_handler(
    make: Callable[[Session], App[Any]], *, most: int = MOST, mouse: bool = True
) -> AppHandler:
    """Serve a Textual app to each session: pass the result as ``handler`` to :func:`nacre.listen`.

    The exit status is the app's ``return_code``.

    :param make: makes the app of a session. It is called in the app's thread, and may read the
        session's attributes; the streams are the app's.
    :param most: how many apps may run at a time; further sessions are refused.
    :param mouse: whether the app gets the mouse.
    :raises ConfigurationError: Textual is not installed.
    """
    _require("textual")
    from nacre.apps.textual_app import textual_app

    return AppHandler(
        lambda session, output: textual_app(make, session, output, mouse=mouse), most=most
    )


def prompt_handler(
    interact: Callable[[Session], Awaitable[int | None]], *, most: int = MOST
) -> AppHandler:
    """Serve prompts, dialogs and applications of prompt_toolkit to each session.

    ::

        async def ask(session):
            name = await PromptSession("Your name: ").prompt_async()
            print_formatted_text(f"hello, {name}")

    Ctrl-C at a prompt ends the session with status 130, and Ctrl-D with 0, unless ``interact``
    catches ``KeyboardInterrupt`` and ``EOFError``.

    :param interact: runs in the app's thread; what it calls of prompt_toolkit uses the client's
        terminal. It returns the exit status, where None is 0.
    :param most: how many sessions there may be at a time.
    :raises ConfigurationError: prompt_toolkit is not installed.
    """
    _require("prompt_toolkit")
    from nacre.apps.prompts import PromptApp

    return AppHandler(
        lambda session, output: PromptApp(session, output, lambda: interact(session)), most=most
    )


def shell_handler(
    interact: Callable[[LineShell], Awaitable[int | None]],
    *,
    prompt: str = "> ",
    words: Sequence[str] = (),
    history: int = HISTORY,
    most: int = MOST,
) -> AppHandler:
    """Serve a shell of your own, with a line editor, history and completion.

    ::

        async def calculator(shell):
            async for line in shell:
                shell.print(str(sum(map(int, line.split()))))

    A client with a command gets the answer to this line alone, and one without a terminal gets the
    answers to the lines that it sends.

    :param interact: reads lines and prints answers, in the app's thread; returns the exit status.
    :param prompt: the prompt.
    :param words: words that the tab key completes.
    :param history: lines to remember of each user, as long as this process runs.
    :param most: how many sessions there may be at a time.
    :raises ConfigurationError: prompt_toolkit is not installed.
    """
    _require("prompt_toolkit")
    from nacre.apps.editor import shell_app

    make = shell_app(interact, prompt, tuple(words), history)
    return AppHandler(make, most=most, terminal=False)


def _require(package: str) -> None:
    if find_spec(package) is None:
        raise ConfigurationError(
            f"the package {package} is not installed: pip install 'nacre[apps]'"
        )
