"""The server's side of its successor: how it is started, and when it takes over.

Both have a link, a socket pair. The successor gets the estate, says that it listens, and is told to
go on; or it says why it can't.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from nacre.daemon.handover.estate import LONGEST, Estate
from nacre.daemon.handover.predecessor import FAILED, GO, READY, VARIABLE
from nacre.errors import StateError
from nacre.wire.text import safe

PATIENCE = 60.0
"""Seconds that a successor has until it listens."""

_LAST = 5.0
"""Seconds that one has to end which was killed."""


@dataclass(frozen=True, slots=True)
class Invocation:
    """How this process was started, to be started again.

    :ivar words: the program with its arguments.
    :ivar directory: the working directory.
    :ivar environment: the variables.
    """

    words: Sequence[str]
    directory: str
    environment: Mapping[str, str]

    @classmethod
    def own(cls) -> Self:
        """Return that of this process. Call it before it changes its directory."""
        # The watchdog of the service manager names this process, and then another one.
        environment = {k: v for k, v in os.environ.items() if k != "WATCHDOG_PID"}
        return cls([sys.executable, *sys.orig_argv[1:]], os.getcwd(), environment)


class Successor:
    """A server that is to take over.

    :ivar pid: the number of its process, which is a child of this one.
    """

    def __init__(self, command: Invocation, estate: Estate) -> None:
        """Start it. Blocks for some milliseconds.

        :raises StateError: it can't be started.
        """
        self._link, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with theirs:
                self._process = subprocess.Popen(
                    command.words,
                    cwd=command.directory,
                    env={**command.environment, VARIABLE: str(theirs.fileno())},
                    pass_fds=[theirs.fileno()],
                )
        except OSError as error:
            self._link.close()
            raise StateError(f"{command.words[0]} can't be started: {error.strerror}") from error
        self.pid = self._process.pid
        try:
            estate.send(self._link)
        except StateError:
            self.end()
            raise
        self._link.setblocking(False)

    def fileno(self) -> int:
        """Return a descriptor that becomes readable for a call of :meth:`listens`."""
        return self._link.fileno()

    def listens(self) -> bool:
        """Tell whether it has said that it listens.

        :raises StateError: it has ended, or says why it can't.
        """
        try:
            said = self._link.recv(LONGEST)
        except BlockingIOError:
            return False
        except OSError:
            said = b""
        if said == READY:
            return True
        if said.startswith(FAILED):
            text = safe(said.removeprefix(FAILED).decode(errors="replace"), 1000)
            raise StateError(text)
        raise StateError("the successor has ended before it listened: standard error may say why")

    def go(self) -> None:
        """Have it take over.

        :raises StateError: it is gone.
        """
        try:
            self._link.send(GO)
        except OSError as error:
            raise StateError("the successor has ended when it was to take over") from error
        self._link.close()

    def end(self) -> None:
        """End it at once: this server goes on."""
        self._link.close()
        with suppress(OSError):
            self._process.kill()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_LAST)
