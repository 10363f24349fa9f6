"""What is asked to watch a session, and the frames over the socket of who watches.

The socket is the connection to the control socket, whose accepted end the process that serves the
session has got. A frame is that of :mod:`nacre.daemon.recording.frames`, with kinds of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal, TypeAlias

WatchMode: TypeAlias = Literal["no", "told", "quiet"]
"""Whether sessions may be watched: not; so that their user is told; or also without that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchOrder:
    """Watch a session, until it ends or the one who asks goes away.

    :ivar id: the number of its connection, as ``who`` shows it, and ``channel`` its channel.
    :ivar joins: what is typed goes to the session's program.
    :ivar quiet: do not tell the session's user; the server must allow it.
    :ivar by: who watches. The server adds the account of the program that asks; where that says
        nothing, it is the account alone.
    """

    id: str
    channel: int
    joins: bool = False
    quiet: bool = False
    by: str = ""


class WatchFrame(IntEnum):
    """What a frame says."""

    OUTPUT = 1
    ERRORS = 2
    """Bytes of standard output, or of a terminal, and of standard error."""

    SCREEN = 3
    """The last output: a terminal is cleared, and shows this."""

    SIZE = 4
    """The size of the terminal: a JSON list of columns and rows."""

    SKIPPED = 5
    """How many bytes of output are missing here, in digits: who watches was too slow."""

    END = 6
    """The session has ended; the payload is the exit status in digits, or empty for a signal."""

    TYPED = 16
    """The only one from who watches: bytes for the session's program."""
