"""Channel requests: their values, their direction, and which a session accepts when."""

from __future__ import annotations

from enum import Enum

from nacre.errors import MalformedMessage
from nacre.limits import Limits
from nacre.protocol.phases import Role
from nacre.protocol.requests import (
    KNOWN_REQUESTS,
    Break,
    EndOfWrite,
    Env,
    Exec,
    ExitSignal,
    ExitStatus,
    Keepalive,
    OtherRequest,
    PtyRequest,
    Request,
    Shell,
    Signal,
    Subsystem,
    WindowChange,
    XonXoff,
)
from nacre.wire.text import safe

_STARTS = (Shell, Exec, Subsystem)
_DECIDED_BY_SERVER = (PtyRequest, Env, *_STARTS, Break)
_TOLD: dict[Role, tuple[type[Request], ...]] = {
    Role.SERVER: (WindowChange, Signal),
    Role.CLIENT: (ExitStatus, ExitSignal, XonXoff),
}
_SENT_BY: dict[Role, tuple[type[Request], ...]] = {
    Role.CLIENT: (*_DECIDED_BY_SERVER, *_TOLD[Role.SERVER]),
    Role.SERVER: _TOLD[Role.CLIENT],
}
_WITHOUT_REPLY = (*_TOLD[Role.SERVER], *_TOLD[Role.CLIENT], EndOfWrite)
_INFORMAL = (ExitSignal, XonXoff, EndOfWrite, Keepalive)
"""Requests that inform only. One with another layout is taken as one of another name, not as a
violation of the protocol: OpenSSH's programs read none of them."""

_OTHER = {Role.CLIENT: Role.SERVER, Role.SERVER: Role.CLIENT}
_MODES_BYTES = 4096


class RequestVerdict(Enum):
    """How a request is handled."""

    ASK = "the owner decides"
    TELL = "the owner gets an event; the request can't be refused"
    REFUSE = "refused without a question"


def check_name(name: str, limits: Limits) -> None:
    """Check the name of a request or channel type (RFC 4251 section 6).

    :raises MalformedMessage: it is too long, or not printable US-ASCII.
    """
    if len(name) > limits.request_name:
        raise MalformedMessage(f"a name of {len(name)} characters")
    if not (name and name.isascii() and name.isprintable()):
        raise MalformedMessage(f"a name that is not printable US-ASCII: {safe(name)!r}")


def decode(name: str, data: bytes) -> Request:
    """Return the request with this name and request-specific data.

    :raises MalformedMessage: ``data`` does not have the layout of the request, and that matters.
    """
    kind = KNOWN_REQUESTS.get(name)
    if kind is None:
        return OtherRequest(name, data)
    try:
        return kind.decode(data)
    except MalformedMessage:
        if kind not in _INFORMAL:
            raise
        return OtherRequest(name, data)


def may_send(role: Role, channel_type: str, request: Request) -> bool:
    """Return whether ``role`` may send ``request`` on a channel of this type."""
    if isinstance(request, _SENT_BY[role]):
        return channel_type == "session"
    return not isinstance(request, _SENT_BY[_OTHER[role]])


def takes_reply(request: Request) -> bool:
    """Return whether ``request`` may have ``want_reply`` set (RFC 4254 section 6)."""
    return not isinstance(request, _WITHOUT_REPLY)


class Requests:
    """The peer's requests on one channel so far, which decide what it may still request.

    RFC 4254 section 6.5: one of shell, exec and subsystem can succeed per channel. A start that is
    not decided yet counts as one; no terminal or variable may be requested after it.
    """

    __slots__ = (
        "_environment_bytes",
        "_limits",
        "_role",
        "_session",
        "_started",
        "_terminal",
        "_variables",
    )

    def __init__(self, role: Role, channel_type: str, limits: Limits) -> None:
        self._role = role
        self._session = channel_type == "session"
        self._limits = limits
        self._started = False
        self._terminal = False
        self._variables = 0
        self._environment_bytes = 0

    def judge(self, request: Request) -> RequestVerdict:
        """Return how to handle the peer's ``request``; one to ``ASK`` about counts from now on.

        A client refuses requests that only clients send, and a server those that only servers send.
        A keepalive is refused like an unknown request: any answer shows that this side is alive.
        """
        if isinstance(request, EndOfWrite):
            return RequestVerdict.TELL
        if isinstance(request, OtherRequest):
            return RequestVerdict.ASK if self._role is Role.SERVER else RequestVerdict.REFUSE
        if isinstance(request, Keepalive) or not self._session or not self._within_bounds(request):
            return RequestVerdict.REFUSE
        if isinstance(request, _TOLD[self._role]):
            return RequestVerdict.TELL
        if self._role is Role.CLIENT or not isinstance(request, _DECIDED_BY_SERVER):
            return RequestVerdict.REFUSE
        return RequestVerdict.ASK if self._note(request) else RequestVerdict.REFUSE

    def _within_bounds(self, request: Request) -> bool:
        limits = self._limits
        match request:
            case PtyRequest(term=term, modes=modes):
                return len(term) <= limits.request_name and len(modes) <= _MODES_BYTES
            case Exec(command=command):
                return len(command) <= limits.command
            case Subsystem(name=name) | Signal(name=name) | ExitSignal(name=name):
                return len(name) <= limits.request_name
        return True

    def _note(self, request: Request) -> bool:
        if isinstance(request, Break):
            return True
        if self._started:
            return False
        if isinstance(request, _STARTS):
            self._started = True
        elif isinstance(request, PtyRequest):
            if self._terminal:
                return False
            self._terminal = True
        elif isinstance(request, Env):
            return self._note_variable(request)
        return True

    def _note_variable(self, request: Env) -> bool:
        count = self._environment_bytes + len(request.name.encode("utf-8", "surrogateescape"))
        count += len(request.value.encode("utf-8", "surrogateescape"))
        if self._variables >= self._limits.environment or count > self._limits.environment_octets:
            return False
        self._variables += 1
        self._environment_bytes = count
        return True

    def denied(self, request: Request) -> None:
        """Note that the owner denied it: another start, or terminal, may be requested."""
        if isinstance(request, _STARTS):
            self._started = False
        elif isinstance(request, PtyRequest):
            self._terminal = False
