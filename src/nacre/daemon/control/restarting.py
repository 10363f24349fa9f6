"""Has a running server start a successor, for programs that may wait.

The server is told by SIGUSR2. It says in its log why it goes on as before; that another one has
taken over, the control socket says, which is then another process's.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from nacre.daemon.control.caller import ControlCaller
from nacre.daemon.control.place import connected, peer_of
from nacre.daemon.control.requests import Follow, Who
from nacre.daemon.control.values import ControlError, Logged

FAILED = "nothing was restarted"
"""What the log says of a server that goes on as before."""

PATIENCE = 90.0
"""Seconds for the next line of the log: more than the server gives its successor."""

_PATIENCE = 10.0
"""Seconds until another process has the control socket."""

_PAUSE = 0.05


def restart(state: Path) -> tuple[int, int]:
    """Restart the server with this state directory; return the old and the new process.

    :raises ControlError: there is none, or it goes on as before; the message says why.
    """
    with ControlCaller(state) as caller:
        # Of another process that gets the number, nothing is known here.
        process = os.pidfd_open(caller.pid)
        try:
            return caller.pid, _restarted(state, caller, process)
        finally:
            os.close(process)


def _restarted(state: Path, caller: ControlCaller, process: int) -> int:
    """Return the new process, when it has the control socket."""
    list(caller.ask("who", Who()))  # from here on it is one of the server's clients
    caller.send("log", Follow(events=("error", "restarted")))
    with ControlCaller(state) as other:
        list(other.ask("who", Who()))  # meanwhile the question before was read
    try:
        signal.pidfd_send_signal(process, signal.SIGUSR2)
    except ProcessLookupError:
        raise ControlError("the server has ended") from None
    _wait(caller)
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        with connected(state) as sock:
            now, _ = peer_of(sock)
        if now != caller.pid:
            return now
        time.sleep(_PAUSE)
    raise ControlError("the server goes on as before; its log may have more")


def _wait(caller: ControlCaller) -> None:
    """Return when the server has told its clients of the outcome, or has left them."""
    try:
        for value in caller.values(PATIENCE):
            record = value.record if isinstance(value, Logged) else {}
            if record.get("what") == FAILED:
                raise _Failed(f"{FAILED}: {record.get('error')}")
            if record.get("event") == "restarted":
                return
    except _Failed:
        raise
    except ControlError:
        return  # a server that another one follows leaves its clients


class _Failed(ControlError):
    """The server goes on as before."""
