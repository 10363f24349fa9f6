"""The thread of one session's app, with an event loop of its own.

An app that computes, blocks or changes its event loop (Textual sets a task factory, prompt_toolkit
handlers of signals and exceptions) so holds up neither the server nor the other sessions.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any, Protocol

INTERRUPTED = 130
"""The exit status of an app that Ctrl-C has ended, as shells have it."""


class ServedApp(Protocol):
    """An app of one session. All calls come from its own thread."""

    async def run(self) -> int | None:
        """Run the app to its end; returns the exit status, where None is 0."""

    async def feed(self, text: str) -> None:
        """Take input; return when the app can take more."""

    def end_input(self) -> None:
        """Note that there is no more input: the app is to end."""

    def resize(self, columns: int, rows: int) -> None:
        """Note the terminal's new size."""


class AppLoop(asyncio.SelectorEventLoop):
    """The event loop of an app. An app can't replace its handler of exceptions.

    :param report: gets an exception that no task has taken.
    """

    def __init__(self, report: Callable[[BaseException], None]) -> None:
        super().__init__()
        self._report = report

    def set_exception_handler(self, handler: Any) -> None:
        """Do nothing: the handler of prompt_toolkit would show a traceback to the user."""

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self._report(context.get("exception") or RuntimeError(str(context.get("message"))))


class AppThread:
    """Runs an app in a thread. Make it on the server's event loop, which alone calls it.

    :ivar done: the exit status, or the exception that ended the app.
    :param make: makes the app; called in the thread.
    :param report: gets exceptions of the app that did not end it; called on the server's loop.
    """

    # _ending  whether the app was asked to end, or its input is at its end.
    # _size  the terminal's size that the app was not told of yet; None if it knows.

    def __init__(
        self, make: Callable[[], ServedApp], report: Callable[[BaseException], None]
    ) -> None:
        self._home = asyncio.get_running_loop()
        self.done: asyncio.Future[int] = self._home.create_future()
        self._ready: asyncio.Future[None] = self._home.create_future()
        self._make = make
        self._report = report
        self._app: ServedApp | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None
        self._size: tuple[int, int] | None = None
        self._ending = False

    def start(self) -> None:
        """Start the app.

        :raises RuntimeError: the system has no thread for it.
        """
        # A daemon: the interpreter's end does not wait for an app that hangs.
        threading.Thread(target=self._main, name="nacre-app", daemon=True).start()

    # --- in the thread ---

    def _main(self) -> None:
        status = 0
        error: BaseException | None = None
        try:
            report = partial(self._at_home, self._report)
            with asyncio.Runner(loop_factory=lambda: AppLoop(report)) as runner:
                status = runner.run(self._work()) or 0
        except (EOFError, asyncio.CancelledError) as raised:
            # The client sent its end of file, or hung up; an app may have such errors of its own.
            if type(raised) is not EOFError and not self._ending:
                error = raised
        except KeyboardInterrupt:
            status = INTERRUPTED
        except SystemExit as exited:
            status = exited.code if isinstance(exited.code, int) else int(exited.code is not None)
        except BaseException as raised:
            error = raised
        self._at_home(self._finish, status, error)

    async def _work(self) -> int | None:
        self._app = app = self._make()
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._at_home(_settle, self._ready)
        return await app.run()

    def _at_home(self, call: Callable[..., None], *arguments: Any) -> None:
        with suppress(RuntimeError):  # the server's event loop is closed
            self._home.call_soon_threadsafe(call, *arguments)

    async def _take(self, work: Coroutine[Any, Any, None], taken: asyncio.Future[None]) -> None:
        try:
            await work
        except Exception as error:
            self._at_home(self._report, error)
        finally:
            self._at_home(_settle, taken)

    def _resize(self) -> None:
        size, self._size = self._size, None
        if size is not None and self._app is not None:
            self._app.resize(*size)

    # --- on the server's event loop ---

    def _finish(self, status: int, error: BaseException | None) -> None:
        _settle(self._ready)
        if self.done.done():
            return
        if error is None:
            self.done.set_result(status)
        elif isinstance(error, Exception) and not isinstance(error, StopIteration):
            self.done.set_exception(error)
        else:  # what a future does not take, and what would end the server
            self.done.set_exception(RuntimeError(f"the app has raised {error!r}"))

    def _call(self, call: Callable[..., Any], *arguments: Any) -> bool:
        """Have the app's thread call a function; returns False if the thread has ended."""
        if self._loop is None:
            return False
        try:
            self._loop.call_soon_threadsafe(call, *arguments)
        except RuntimeError:  # its event loop is closed
            return False
        return True

    async def feed(self, text: str) -> None:
        """Give the app input; return when it can take more, or has ended."""
        await asyncio.shield(self._ready)
        taken: asyncio.Future[None] = self._home.create_future()
        if not self._call(self._feed, text, taken):
            return
        either: tuple[asyncio.Future[Any], ...] = (taken, self.done)
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)

    def _feed(self, text: str, taken: asyncio.Future[None]) -> None:
        assert self._app is not None
        assert self._loop is not None
        self._loop.create_task(self._take(self._app.feed(text), taken))

    async def end_input(self) -> None:
        """Tell the app that there is no more input."""
        self._ending = True
        await asyncio.shield(self._ready)
        if self._app is not None:
            self._call(self._app.end_input)

    def resize(self, columns: int, rows: int) -> None:
        """Tell the app a new size; of several that the app did not see yet, it sees the last."""
        told, self._size = self._size, (columns, rows)
        if told is None and not self._call(self._resize):
            self._size = None

    def cancel(self) -> None:
        """Cancel the app's task."""
        self._ending = True
        if self._task is not None:
            self._call(self._task.cancel)


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
