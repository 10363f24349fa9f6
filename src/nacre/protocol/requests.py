"""The requests on a channel, one class each (RFC 4254 section 6).

Each class is also the layout of its request-specific data in SSH-2; SSH-1 has layouts of its own.
"""

from __future__ import annotations

from typing import ClassVar

from nacre.wire.message import U32, Bool, Record, String, Text, record


class Request(Record):
    """A request on a channel. ``NAME`` is its request type on the wire."""

    NAME: ClassVar[str]


@record
class PtyRequest(Request):
    """``pty-req``: allocate a terminal (RFC 4254 section 6.2).

    Columns and rows are in characters, width and height in pixels; ``modes`` are encoded as in
    section 8, see :mod:`nacre.protocol.modes`.
    """

    NAME = "pty-req"
    term: Text
    columns: U32
    rows: U32
    width: U32
    height: U32
    modes: String


@record
class Env(Request):
    """``env``: one environment variable (RFC 4254 section 6.4)."""

    NAME = "env"
    name: Text
    value: Text


@record
class Shell(Request):
    """``shell``: start the user's shell (RFC 4254 section 6.5)."""

    NAME = "shell"


@record
class Exec(Request):
    """``exec``: run a command line (RFC 4254 section 6.5)."""

    NAME = "exec"
    command: String


@record
class Subsystem(Request):
    """``subsystem``: start a predefined subsystem (RFC 4254 section 6.5)."""

    NAME = "subsystem"
    name: Text


@record
class WindowChange(Request):
    """``window-change``: the terminal has a new size (RFC 4254 section 6.7)."""

    NAME = "window-change"
    columns: U32
    rows: U32
    width: U32
    height: U32


@record
class XonXoff(Request):
    """``xon-xoff``: whether the client may do flow control by ^S and ^Q (RFC 4254 section 6.8)."""

    NAME = "xon-xoff"
    client_can_do: Bool


@record
class Signal(Request):
    """``signal``: deliver a signal, named without ``SIG`` (RFC 4254 section 6.9)."""

    NAME = "signal"
    name: Text


@record
class Break(Request):
    """``break``: send a BREAK of this length (RFC 4335)."""

    NAME = "break"
    milliseconds: U32


@record
class ExitStatus(Request):
    """``exit-status``: the exit status of the command (RFC 4254 section 6.10)."""

    NAME = "exit-status"
    status: U32


@record
class ExitSignal(Request):
    """``exit-signal``: the signal that ended the command (RFC 4254 section 6.10)."""

    NAME = "exit-signal"
    name: Text
    core_dumped: Bool
    message: Text
    language: Text


@record
class EndOfWrite(Request):
    """``eow@openssh.com``: the sender reads no more data, but may still send."""

    NAME = "eow@openssh.com"


@record
class Keepalive(Request):
    """``keepalive@openssh.com``: any answer shows that the peer is alive."""

    NAME = "keepalive@openssh.com"


class OtherRequest(Request):
    """A request whose type has no class here; refused unless the owner grants it."""

    def __init__(self, name: str, data: bytes) -> None:
        self.NAME = name  # type: ignore[misc]
        self.data = data

    def encode(self) -> bytes:
        """Return the request-specific data as received."""
        return self.data

    def __repr__(self) -> str:
        return f"OtherRequest({self.NAME!r}, {len(self.data)} bytes)"


KNOWN_REQUESTS: dict[str, type[Request]] = {
    kind.NAME: kind
    for kind in (
        PtyRequest,
        Env,
        Shell,
        Exec,
        Subsystem,
        WindowChange,
        XonXoff,
        Signal,
        Break,
        ExitStatus,
        ExitSignal,
        EndOfWrite,
        Keepalive,
    )
}
"""Request types by their names on the wire."""


@record
class SessionOpen(Record):
    """The type-specific data of a ``session`` channel: none (RFC 4254 section 6.1)."""
