"""Modes of a terminal that a program changes, such as echo, and what signals have to do with them.

The shell of the user must never get a terminal without echo, and a prompt must never have one with
echo. So a signal that stops or ends the process first restores the modes, and they are set again
when the process continues: also after SIGSTOP, as the shell has set its own meanwhile.
"""

from __future__ import annotations

import errno
import os
import signal
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Any, Self

Attributes = list[Any]
"""What :func:`termios.tcgetattr` returns."""

_entered: list[TerminalModes] = []
_ending = threading.Event()
_ENDING = (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM)


class TerminalModes:
    """Changed modes of a terminal, restored at the end of ``with``.

    :param change: changes a terminal's attributes.
    :param when: ``termios.TCSADRAIN``, or ``TCSAFLUSH`` to drop input that was typed before.
    :param again: called when the modes are set again, in a signal handler of the main thread.
    :ivar attributes: the result of :func:`termios.tcgetattr` at the start.
    """

    def __init__(
        self,
        descriptor: int,
        change: Callable[[Attributes], None],
        *,
        when: int = termios.TCSADRAIN,
        again: Callable[[], object] = lambda: None,
    ) -> None:
        self.attributes: Attributes = termios.tcgetattr(descriptor)
        self._descriptor = descriptor
        self._changed: Attributes = termios.tcgetattr(descriptor)
        change(self._changed)
        self._when = when
        self._again = again
        self._ready = False
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(watching())
            stack.callback(self.restore)
            # Removed first: a stop meanwhile must not set the modes again.
            stack.callback(_entered.remove, self)
            _entered.append(self)
            self.set()
            self._stack = stack.pop_all()
        self._ready = True
        return self

    def __exit__(self, *details: object) -> None:
        self._stack.close()

    def set(self) -> None:
        """Set the changed modes. A process in the background is stopped until it may do that.

        A signal that ends the process is then acted on, and the modes stay as they are.
        """
        while not _ending.is_set():
            try:
                termios.tcsetattr(self._descriptor, self._when, self._changed)
                return
            except termios.error as error:
                if error.args[0] != errno.EINTR:
                    raise

    def lend(self, change: Callable[[Attributes], None] | None = None) -> None:
        """Restore the modes until :meth:`set` is called, with ``change`` made to them."""
        attributes = [*self.attributes]
        if change is not None:
            change(attributes)
        termios.tcsetattr(self._descriptor, self._when, attributes)

    def restore(self) -> None:
        """Restore the modes, unless another process has the terminal by now."""
        if not self._in_foreground():
            return
        try:
            termios.tcsetattr(self._descriptor, self._when, self.attributes)
        except termios.error:
            # The terminal is gone (SIGHUP): there is nothing to restore.
            return

    def continue_(self) -> None:
        """Set the modes after a stop, and repeat what the user should see."""
        self.set()
        if self._ready:
            self._again()

    def _in_foreground(self) -> bool:
        try:
            return os.tcgetpgrp(self._descriptor) == os.getpgrp()
        except OSError:
            return True  # not the controlling terminal, so there are no jobs


class LineEditing(TerminalModes):
    """A terminal whose modes ``input`` changes, and does not restore when it is stopped.

    :param again: called after a stop, in a signal handler.
    """

    def __init__(self, descriptor: int, again: Callable[[], object]) -> None:
        super().__init__(descriptor, lambda attributes: None, again=again)
        self._stopped = False

    def set(self) -> None:
        """Set the modes that :meth:`restore` found."""
        if self._stopped:
            self._stopped = False
            super().set()

    def restore(self) -> None:
        self._changed = termios.tcgetattr(self._descriptor)
        self._stopped = True
        super().restore()


class RawTerminal(TerminalModes):
    """A terminal in raw mode while it is entered: every key is sent to the server.

    :param again: called when raw mode is set again after a stop, in a signal handler.
    """

    def __init__(self, descriptor: int, again: Callable[[], object] = lambda: None) -> None:
        super().__init__(descriptor, _make_raw, again=again)


def _make_raw(attributes: Attributes) -> None:
    """Turn off line editing, echo and signals."""
    attributes[0] |= termios.IGNPAR
    attributes[0] &= ~(termios.ISTRIP | termios.INLCR | termios.IGNCR | termios.ICRNL)
    attributes[0] &= ~(termios.IXON | termios.IXANY | termios.IXOFF)
    attributes[3] &= ~(termios.ISIG | termios.ICANON | termios.ECHO | termios.ECHOE)
    attributes[3] &= ~(termios.ECHOK | termios.ECHONL | termios.IEXTEN)
    attributes[1] &= ~termios.OPOST
    attributes[6][termios.VMIN], attributes[6][termios.VTIME] = 1, 0


@contextmanager
def watching() -> Iterator[None]:
    """Restore changed modes when a signal stops or ends the process; set them again after a stop.

    Only the main thread can do that. It enters this where other threads change the modes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: dict[signal.Signals, Any] = {}
    stopping = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True
        for modes in reversed(_entered):
            modes.restore()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        # The process continues, or was not stopped: no shell waits for it (an orphaned group).
        signal.signal(number, stop)
        stopping = False
        resume(number, frame)

    def resume(number: int, frame: FrameType | None) -> None:
        # The question is repeated when the handlers are in place again: the user may stop again.
        for modes in () if stopping else _entered:
            modes.continue_()

    def end(number: int, frame: FrameType | None) -> None:
        _ending.set()
        for modes in reversed(_entered):
            modes.restore()
        earlier = before[signal.Signals(number)]
        if callable(earlier):
            earlier(number, frame)
        else:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    # Without a handler for SIGTTOU, setting the modes in the background would begin again at once
    # when a signal that ends the process has woken it, and stop it before that is acted on.
    handlers = {
        signal.SIGTSTP: stop,
        signal.SIGTTOU: stop,
        signal.SIGCONT: resume,
        **dict.fromkeys(_ENDING, end),
    }
    for one, handler in handlers.items():
        # What nohup(1) or the parent ignores stays ignored.
        if (earlier := signal.getsignal(one)) not in (signal.SIG_IGN, None):
            before[one] = earlier
            signal.signal(one, handler)
    try:
        yield
    finally:
        for one, earlier in before.items():
            signal.signal(one, earlier)
        _ending.clear()
