"""A server's side of the one that it follows: what it gets, and how it takes over."""

from __future__ import annotations

import os
import resource
import select
import signal
import socket
from contextlib import suppress

from nacre.daemon.control.place import peer_of
from nacre.daemon.handover.estate import LONGEST, Estate, receive
from nacre.daemon.processes.template import LIMITS
from nacre.errors import StateError

VARIABLE = "NACRE_PREDECESSOR"
"""The variable with the number of the link's descriptor, for a successor."""

READY, GO, FAILED = b"ready", b"go", b"failed: "
"""The messages of a link after the estate."""

_PATIENCE = 20.0
"""Seconds that the predecessor has for each message."""


def predecessor() -> Predecessor | None:
    """Return the server that this process is to follow; None if it is the first one.

    :raises StateError: the variable names nothing of this kind.
    """
    text = os.environ.pop(VARIABLE, None)
    return None if text is None else Predecessor(_link(text))


def report_failure(reason: str) -> None:
    """Tell a predecessor, if there is one, why this process can't even begin."""
    if (text := os.environ.pop(VARIABLE, None)) is None:
        return
    with suppress(StateError), _link(text) as link:
        with suppress(OSError):
            link.recv(1)  # what nobody has read would be all that the other end hears of
        _fail(link, reason)


def _link(text: str) -> socket.socket:
    wrong = f"{VARIABLE} is set by servers that are restarted, and by nobody else: remove it"
    try:
        sock = socket.socket(fileno=int(text))
    except (OSError, ValueError) as error:
        raise StateError(wrong) from error
    sock.set_inheritable(False)
    if (sock.family, sock.type) != (socket.AF_UNIX, socket.SOCK_SEQPACKET):
        sock.close()
        raise StateError(wrong)
    sock.settimeout(_PATIENCE)
    return sock


def _fail(link: socket.socket, reason: str) -> None:
    with suppress(OSError):
        link.send(FAILED + reason.encode(errors="replace")[: LONGEST // 2])


class Predecessor:
    """The server that this one follows.

    :ivar estate: what it hands over.
    """

    def __init__(self, link: socket.socket) -> None:
        """Receive the estate.

        :raises StateError: there is none, or another process sends it than the parent.
        """
        self._link = link
        pid, _ = peer_of(link)
        if pid != os.getppid():
            link.close()
            raise StateError("the server before has ended: start this one again")
        self._process = os.pidfd_open(pid)
        self.estate: Estate = receive(link)
        # A supervisor waits for signals that it blocks, and blocked they would be here.
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        self._take_limits()

    def _take_limits(self) -> None:
        """Have the limits that the first server was started with, which it has changed since."""
        for name, bounds in self.estate.limits.items():
            with suppress(OSError, ValueError):
                resource.setrlimit(getattr(resource, name), bounds)
                LIMITS[name] = bounds

    def fail(self, reason: str) -> None:
        """Tell it why this server can't take over."""
        _fail(self._link, reason)

    def take_over(self) -> None:
        """Say that this server listens; return when the other one leaves everything else to it.

        Blocks. One that is gone has left everything, too.

        :raises StateError: it does not answer.
        """
        with self._link as link:
            try:
                link.send(READY)
                link.recv(LONGEST)
            except TimeoutError:
                raise StateError("the server before does not answer") from None
            except OSError:
                return

    def fileno(self) -> int:
        """Return a descriptor that becomes readable when it has ended."""
        return self._process

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it is still there."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._process, number)

    @property
    def gone(self) -> bool:
        """Whether it has ended."""
        return self.wait(0.0)

    def wait(self, seconds: float) -> bool:
        """Wait for its end; return whether it has ended. Blocks."""
        poll = select.poll()
        poll.register(self._process, select.POLLIN)
        return bool(poll.poll(seconds * 1000))
