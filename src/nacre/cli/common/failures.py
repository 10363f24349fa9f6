"""Error messages in OpenSSH's words, which users and scripts search for."""

from __future__ import annotations

import errno
import os

from nacre.config.values import LogLevel
from nacre.errors import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectFailed,
    ConnectionLost,
    DeadlineExceeded,
    Disconnected,
    HostKeyChanged,
    HostKeyError,
    HostKeyRevoked,
    NacreError,
    NoCommonAlgorithm,
    PacketCorrupt,
    PacketTooLarge,
    PeerSilent,
    SFTPError,
)
from nacre.wire.text import safe

_LEVELS: dict[type[NacreError], LogLevel] = {
    ConnectFailed: LogLevel.ERROR,
    DeadlineExceeded: LogLevel.ERROR,
    ConnectionLost: LogLevel.ERROR,
    PeerSilent: LogLevel.INFO,
    NoCommonAlgorithm: LogLevel.INFO,
}
"""The level of the message for an error that ends the program, where it is not FATAL: ssh(1) has
the same, so that ``LogLevel`` makes both silent about the same errors."""

_KINDS = {"kex": "key exchange method", "host key": "host key type"}

_FRAME = "@" * 59
_ALARMS: dict[type[HostKeyError], str] = {
    HostKeyChanged: "@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @",
    HostKeyRevoked: "@       WARNING: REVOKED HOST KEY DETECTED!               @",
}
_VERIFICATION = "Host key verification failed."


def explain(error: NacreError, where: str, destination: str) -> str:
    """Return the message for an error that ends the program; one of a jump host names that.

    :param where: the host as the user gave it.
    :param destination: ``user@host``, safe to print.
    """
    host = safe(where)
    if error.hop:
        host = error.hop
        destination = (
            f"{safe(error.user)}@{host}" if isinstance(error, AuthenticationFailed) else host
        )
    match error:
        case AuthenticationFailed():
            methods = safe(",".join(error.can_continue))
            denied = "\n".join((*error.hints, f"{destination}: Permission denied ({methods})."))
            cause = error.__cause__
            return f"{_disconnect(cause, host)}\n{denied}" if _is_disconnect(cause) else denied
        case HostKeyError():
            return f"{alarm(error)}\n{_VERIFICATION}"
        case NoCommonAlgorithm():
            every = [
                f"Unable to negotiate with {host}: no matching {_KINDS.get(one.kind, one.kind)} "
                f"found. Their offer: {','.join(one.remote)}"
                for one in (error, *error.others)
            ]
            return "\n".join((*every, str(error)))
        case PacketCorrupt() | PacketTooLarge():
            return f"{error}\nConnection to {host} closed: the server broke the protocol"
        case ConnectFailed() | ConfigurationError():
            return f"ssh: {error}"
        case DeadlineExceeded():
            return f"ssh: {error}"
        case Disconnected():
            return _disconnect(error, host)
        case PeerSilent():
            return f"Timeout, server {host} not responding.\n{error}"
        case ConnectionLost():
            return f"Connection to {host} closed by remote host: {error}"
    return f"ssh: {host}: {error}"


def level_of(error: NacreError) -> LogLevel:
    """Return the level of the message of :func:`explain`."""
    if isinstance(error, AuthenticationFailed) and _is_disconnect(error.__cause__):
        return LogLevel.ERROR
    return next((_LEVELS[one] for one in type(error).__mro__ if one in _LEVELS), LogLevel.FATAL)


def alarm(error: HostKeyError) -> str:
    """Return the warning of a host key; that of a changed or revoked one has a frame."""
    title = _ALARMS.get(type(error))
    return str(error) if title is None else f"{_FRAME}\n{title}\n{_FRAME}\n{error}"


def _is_disconnect(error: BaseException | None) -> bool:
    return isinstance(error, Disconnected)


def _disconnect(error: BaseException | None, host: str) -> str:
    assert isinstance(error, Disconnected)
    return f"Received disconnect from {host}: {error.code}: {error.description}"


def reason(error: OSError) -> str:
    """Return why an operation on a file failed: the system's text, or the server's own."""
    if isinstance(error, SFTPError):
        from nacre.sftp.protocol.status import FX

        # A bare SSH_FX_FAILURE has no errno of its own, and the server's text is more precise.
        if error.code == FX.FAILURE and error.errno == errno.EIO:
            return error.strerror or "Failure"  # made safe where the answer was read
    return os.strerror(error.errno) if error.errno else safe(str(error))
