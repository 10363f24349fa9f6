"""One session with an app, from its start to its end: the handler that ``nacre.listen`` gets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from nacre.apps.colours import is_plain
from nacre.apps.guard import InputGuard
from nacre.apps.output import AppOutput
from nacre.apps.thread import AppThread, ServedApp
from nacre.errors import NacreError
from nacre.server.session import Session, Terminal

COLUMNS, ROWS = 640, 256
"""The largest size that an app is told: what a client claims is memory that the app takes."""

READ = 4096
"""Bytes of input that an app gets at a time."""

GRACE = 2.0
"""Seconds for an app to end by itself when its client is gone, and again after it was cancelled."""

LAST = 10.0
"""Seconds for a client to take what the app has printed last."""

REFUSED = 1
"""The exit status of a session that gets no app."""

_FAILED = "The app has failed. The server's log has the reason."
_FULL = "Too many sessions are open here. Try again later."
_NO_TERMINAL = "This app needs a terminal. Connect with ssh -t, and a TERM other than dumb."

_ENDING = frozenset({"HUP", "INT", "QUIT", "TERM", "KILL"})
"""Signals that a client may send to end its app."""


class AppHandler:
    """A handler for :func:`nacre.listen`: each session gets an app of its own, in its own thread.

    An app that fails ends its session alone: the user is told that it failed, the exit status is
    255, and the log of the server has the reason. An app that hangs keeps its thread, and counts
    among the sessions until it ends.

    :ivar running: how many apps there are.
    :param make: makes the app of a session; called in the app's thread.
    :param most: how many apps may run at a time.
    :param terminal: whether the app needs a terminal that moves its cursor.
    """

    def __init__(
        self,
        make: Callable[[Session, AppOutput], ServedApp],
        *,
        most: int,
        terminal: bool = True,
    ) -> None:
        self.running = 0
        self._make = make
        self._most = most
        self._terminal = terminal

    async def __call__(self, session: Session) -> int:
        """Serve a session; returns its exit status.

        :raises Exception: what the app has raised.
        """
        terminal = session.terminal
        if self._terminal and (terminal is None or is_plain(terminal.term)):
            return await _refuse(session, _NO_TERMINAL)
        if self.running >= self._most:
            return await _refuse(session, _FULL)
        output = AppOutput()
        thread = AppThread(
            partial(self._make, session, output), partial(_report, session, "an app has failed")
        )
        thread.start()
        self.running += 1
        thread.done.add_done_callback(self._on_end)
        return await _serve(session, thread, output)

    def _on_end(self, done: asyncio.Future[int]) -> None:
        self.running -= 1
        if not done.cancelled():
            done.exception()  # nobody may be there any more to take it


def size_of(terminal: Terminal | None) -> tuple[int, int]:
    """Return the columns and rows to draw on; 80 and 24 where the client does not tell them."""
    if terminal is None or not terminal.columns or not terminal.rows:
        return 80, 24
    return min(terminal.columns, COLUMNS), min(terminal.rows, ROWS)


async def _serve(session: Session, thread: AppThread, output: AppOutput) -> int:
    sending = asyncio.create_task(_send(session, output))
    reading = asyncio.create_task(_read(session, thread))
    session.on_resize = lambda terminal: thread.resize(*size_of(terminal))
    session.on_signal = partial(_on_signal, reading)
    try:
        status = await asyncio.shield(thread.done)
    except asyncio.CancelledError:
        output.end(drop=True)  # a thread that waits for the client goes on
        reading.cancel()
        await _hang_up(session, thread)
        raise
    except Exception:
        await _finish(sending, output)
        await _tell(session, _FAILED)
        raise
    else:
        await _finish(sending, output)
        return status
    finally:
        session.on_resize = session.on_signal = None
        for task in (sending, reading):
            task.cancel()
        await asyncio.gather(sending, reading, return_exceptions=True)


async def _send(session: Session, output: AppOutput) -> None:
    try:
        await output.send(session.stdout)
    except NacreError:
        output.end(drop=True)  # the client takes no more; the end of its session follows


async def _read(session: Session, thread: AppThread) -> None:
    guard = InputGuard()
    try:
        with suppress(NacreError):
            while data := await session.stdin.read(READ):
                if text := guard.feed(data):
                    await thread.feed(text)
    finally:
        await thread.end_input()


def _on_signal(reading: asyncio.Task[None], name: str) -> None:
    if name in _ENDING:
        reading.cancel()


async def _finish(sending: asyncio.Task[None], output: AppOutput) -> None:
    output.end()
    await asyncio.wait({sending}, timeout=LAST)


async def _hang_up(session: Session, thread: AppThread) -> None:
    """Wait for the app of a client that is gone, which was told of the end of its input."""
    await asyncio.wait({thread.done}, timeout=GRACE)
    if thread.done.done():
        return
    thread.cancel()
    await asyncio.wait({thread.done}, timeout=GRACE)
    if not thread.done.done():
        error = TimeoutError(f"it runs {2 * GRACE:g} seconds after the client has left")
        _report(session, "an app does not end", error)


async def _refuse(session: Session, text: str) -> int:
    await _tell(session, text)
    return REFUSED


async def _tell(session: Session, text: str) -> None:
    with suppress(NacreError, TimeoutError):
        async with asyncio.timeout(LAST):
            await session.stderr.write(f"{text}\r\n".encode())


def _report(session: Session, what: str, error: BaseException) -> None:
    shown = error if isinstance(error, Exception) else RuntimeError(repr(error))
    session.connection.record_error(what, shown)
