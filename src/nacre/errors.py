"""Every exception that nacre raises, in one tree.

::

    NacreError
    ├── ProtocolError                 the SSH protocol was broken; carries a disconnect code
    │   ├── LocalProtocolError        by this program: the call is not legal now; nothing was sent
    │   └── RemoteProtocolError       by the peer: the connection is closed
    │       ├── VersionError          no SSH version in common, or the peer does not speak SSH
    │       ├── MalformedMessage      a field does not decode
    │       ├── PacketTooLarge        a length above the bound
    │       ├── PacketCorrupt         a MAC or tag does not verify
    │       ├── NoCommonAlgorithm     negotiation failed; holds both lists
    │       └── KexFailed             a public value or a host signature is bad
    ├── ConnectionLost                the transport ended (also a ConnectionError)
    │   ├── ConnectFailed             no connection was made
    │   ├── Disconnected              the peer sent DISCONNECT; holds its code and text
    │   └── PeerSilent                keepalives went unanswered
    ├── DeadlineExceeded              an operation's deadline passed (also a TimeoutError)
    ├── HostKeyError                  the server's host key is not trusted
    │   ├── HostKeyUnknown
    │   ├── HostKeyChanged
    │   └── HostKeyRevoked
    ├── AuthenticationFailed          no method succeeded; holds what was tried
    ├── ChannelOpenFailed             the peer refused a channel; holds code and text
    ├── RequestFailed                 the peer refused a channel or global request
    ├── ProcessFailed                 a remote command failed, and the caller required success
    ├── OutputTooLarge                a remote command printed more than the caller allows
    ├── StreamClosed                  the stream accepts no more data (also a BrokenPipeError)
    ├── NotUsableHere                 another process or event loop made it (also a RuntimeError)
    ├── UnusableKey                   a key can't be used
    │   ├── KeyFormatError            not a key, or a damaged one
    │   └── PassphraseRequired        encrypted, and no passphrase or a wrong one was given
    ├── SignatureError                a file's signature can't be read or made
    ├── ConfigurationError            an option or a keyword of a configuration file is wrong
    ├── StateError                    a server's state directory or a file in it can't be used
    │   └── UserStoreError            the user does not exist, or can't be stored
    ├── AccountError                  the system has no account to run a session as
    └── SFTPError                     an SFTP or scp operation failed (also an OSError)
        ├── NoSuchFile                also a FileNotFoundError
        ├── PermissionDenied          also a PermissionError
        ├── AlreadyExists             also a FileExistsError
        ├── NotADirectory             also a NotADirectoryError
        └── IsADirectory              also an IsADirectoryError

Each message states the cause and, where the caller can do something about it, the remedy.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Any


class DisconnectCode(IntEnum):
    """Reason codes of SSH_MSG_DISCONNECT (RFC 4253 section 11.1)."""

    HOST_NOT_ALLOWED_TO_CONNECT = 1
    PROTOCOL_ERROR = 2
    KEY_EXCHANGE_FAILED = 3
    RESERVED = 4
    MAC_ERROR = 5
    COMPRESSION_ERROR = 6
    SERVICE_NOT_AVAILABLE = 7
    PROTOCOL_VERSION_NOT_SUPPORTED = 8
    HOST_KEY_NOT_VERIFIABLE = 9
    CONNECTION_LOST = 10
    BY_APPLICATION = 11
    TOO_MANY_CONNECTIONS = 12
    AUTH_CANCELLED_BY_USER = 13
    NO_MORE_AUTH_METHODS_AVAILABLE = 14
    ILLEGAL_USER_NAME = 15


class NacreError(Exception):
    """The root of every exception of this package.

    An error that ends ``run`` has what was known of the command by then, whatever the error is.

    :ivar stdout: what the command had printed: text, or bytes with ``encoding=None``; empty for
        other operations.
    :ivar stderr: what it had printed to standard error, in the same form.
    :ivar exit_status: its exit status; None if a signal ended it, or none was reported.
    :ivar exit_signal: the name of that signal without ``SIG``, or None.
    :ivar hop: the jump host that failed, as ``host`` or ``[host]:port``, which the message then
        names too; empty if it was none: the host itself failed, or there are no jump hosts.
    :ivar phase: how far a login had come that failed: ``connect``, ``version``, ``kex`` or
        ``authentication``; empty for other operations, and if nothing was tried yet.
    """

    stdout: str | bytes = b""
    stderr: str | bytes = b""
    exit_status: int | None = None
    exit_signal: str | None = None
    hop: str = ""
    phase: str = ""

    def __str__(self) -> str:
        text = super().__str__()
        return f"jump host {self.hop}: {text}" if self.hop else text

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle the attributes; ``args`` are not what every class is made with."""
        return _remade, (type(self), self.args, self.__dict__)


def _remade(
    kind: type[NacreError], args: tuple[Any, ...], attributes: dict[str, Any]
) -> NacreError:
    error: NacreError = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(attributes)
    return error


class ProtocolError(NacreError):
    """The SSH protocol was broken.

    :ivar code: the reason code that a DISCONNECT for it carries.
    """

    code: DisconnectCode = DisconnectCode.PROTOCOL_ERROR

    def __init__(self, message: str, code: DisconnectCode | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code


class LocalProtocolError(ProtocolError):
    """This program made a call that is not legal now; nothing was sent."""


class RemoteProtocolError(ProtocolError):
    """The peer broke the protocol; the connection is closed."""


class VersionError(RemoteProtocolError):
    """There is no SSH version in common, or the peer does not speak SSH."""

    code = DisconnectCode.PROTOCOL_VERSION_NOT_SUPPORTED


class MalformedMessage(RemoteProtocolError):
    """A field of a message does not decode, or bytes follow the last one."""


class PacketTooLarge(RemoteProtocolError):
    """A length field is above its bound."""


class PacketCorrupt(RemoteProtocolError):
    """A packet's MAC or tag does not verify."""

    code = DisconnectCode.MAC_ERROR


class NoCommonAlgorithm(RemoteProtocolError):
    """Negotiation found no algorithm that both sides accept.

    :ivar kind: what was negotiated: ``kex``, ``host key``, ``cipher``, ``MAC`` or ``compression``.
    :ivar local: what this side offered, in its order.
    :ivar remote: what the peer offered, in its order, made safe to print.
    :ivar others: the same for each further kind that has no algorithm in common.
    :ivar remedy: what helps.
    """

    code = DisconnectCode.KEY_EXCHANGE_FAILED

    def __init__(
        self,
        kind: str,
        local: Sequence[str],
        remote: Sequence[str],
        *,
        others: Sequence[NoCommonAlgorithm] = (),
        remedy: str = "to use one of the peer's, name it in the options "
        "(legacy ones are off by default)",
    ) -> None:
        self.kind = kind
        self.local = tuple(local)
        self.remote = tuple(remote)
        self.others = tuple(others)
        self.remedy = remedy
        super().__init__("; ".join((*(one.lists() for one in (self, *others)), remedy)))

    def lists(self) -> str:
        """Return the part of the message with the lists of both sides for this kind."""
        return (
            f"no {self.kind} algorithm in common: we offer {','.join(self.local) or '(none)'}; "
            f"the peer offers {','.join(self.remote) or '(none)'}"
        )


class KexFailed(RemoteProtocolError):
    """A public value is out of range, or the host's signature does not verify."""

    code = DisconnectCode.KEY_EXCHANGE_FAILED


class ConnectionLost(NacreError, ConnectionError):
    """The transport under the connection ended."""


class ConnectFailed(ConnectionLost):
    """No connection was made: the name is unknown, there is no route, or the peer refused."""


class Disconnected(ConnectionLost):
    """The peer sent SSH_MSG_DISCONNECT.

    :ivar code: its reason code (RFC 4253 section 11.1), as sent.
    :ivar description: its text, made safe to print.
    """

    def __init__(self, code: int, description: str) -> None:
        self.code = code
        self.description = description
        super().__init__(f"the peer closed the connection: {description or f'reason code {code}'}")


class PeerSilent(ConnectionLost):
    """The peer did not answer keepalives."""


class DeadlineExceeded(NacreError, TimeoutError):
    """The deadline of an operation passed."""


class HostKeyError(NacreError):
    """The server's host key is not trusted.

    :ivar host: the name that was looked up: the host's as given, or its alias; may be empty.
    :ivar port: its port, or None.
    :ivar key: the key that the server has shown, a :class:`nacre.PublicKey`, or None.
    :ivar file: the ``known_hosts`` file with the line that decided, or the one to which a new key
        would be added; None if there is none.
    :ivar line: the number of the line that decided, counted from 1, or None.
    """

    code = DisconnectCode.HOST_KEY_NOT_VERIFIABLE

    def __init__(
        self,
        message: str,
        *,
        host: str = "",
        port: int | None = None,
        key: Any = None,
        file: str | None = None,
        line: int | None = None,
    ) -> None:
        super().__init__(message)
        self.host = host
        self.port = port
        self.key = key
        self.file = file
        self.line = line


class HostKeyUnknown(HostKeyError):
    """No key of this host is on record, and the key was not confirmed."""


class HostKeyChanged(HostKeyError):
    """Another key of this host is on record: the host was reinstalled, or this is an attack."""


class HostKeyRevoked(HostKeyError):
    """The key is marked as revoked."""


class AuthenticationFailed(NacreError):
    """No authentication method succeeded.

    :ivar user: the user name.
    :ivar tried: what was tried, in order, each a short text such as
        ``publickey ssh-ed25519 SHA256:…`` or ``password``.
    :ivar can_continue: the methods that the server would still accept.
    :ivar hints: what else is known of the failure, such as keys that could not be used, each with
        its remedy; they are part of the message.
    """

    code = DisconnectCode.NO_MORE_AUTH_METHODS_AVAILABLE

    def __init__(
        self,
        message: str,
        *,
        user: str = "",
        tried: Sequence[str] = (),
        can_continue: Sequence[str] = (),
        hints: Sequence[str] = (),
    ) -> None:
        super().__init__(message)
        self.user = user
        self.tried = tuple(tried)
        self.can_continue = tuple(can_continue)
        self.hints = tuple(hints)


class ChannelOpenFailed(NacreError):
    """The peer refused to open a channel.

    :ivar code: its reason code (RFC 4254 section 5.1), as sent.
    :ivar description: its text, made safe to print.
    """

    def __init__(self, code: int, description: str) -> None:
        self.code = code
        self.description = description
        super().__init__(f"the peer refused the channel: {description or f'reason code {code}'}")


class RequestFailed(NacreError):
    """The peer refused a channel request or a global request."""


class ProcessFailed(NacreError):
    """A remote command failed, and the caller required success."""


class OutputTooLarge(NacreError):
    """A remote command printed more than the caller allows to be buffered."""


class StreamClosed(NacreError, BrokenPipeError):
    """The stream accepts no more data: it was closed here, or the other end stopped reading."""


class NotUsableHere(NacreError, RuntimeError):
    """The object belongs to another process, which this one was forked from, or event loop."""


class UnusableKey(NacreError):
    """A key can't be used."""


class KeyFormatError(UnusableKey):
    """The data is not a key, is a damaged key, or a key of an unsupported type."""


class PassphraseRequired(UnusableKey):
    """The key is encrypted, and no passphrase or a wrong one was given."""


class SignatureError(NacreError):
    """A signature of a file or message can't be read, or not be made as asked."""


class ConfigurationError(NacreError):
    """An option or a configuration keyword is wrong; the message names it and the remedy."""


class StateError(NacreError):
    """A server's state directory, or a file in it, can't be used."""


class UserStoreError(StateError):
    """The user does not exist, or can't be stored as given."""


class AccountError(NacreError):
    """The system has no account that a user's session may run as."""


class SFTPError(NacreError, OSError):
    """The peer could not do an SFTP or scp operation; ``errno`` and ``strerror`` give the reason.

    :ivar code: the SSH_FX code of the answer (draft-ietf-secsh-filexfer-02 section 7).
    :ivar filename: the path in the request; None where the request named a handle.
    """

    def __init__(
        self,
        errno: int,
        strerror: str,
        filename: str | None = None,
        winerror: None = None,
        filename2: str | None = None,
        *,
        code: int = 4,
    ) -> None:
        super().__init__(errno, strerror, filename, winerror, filename2)
        self.code = code

    def __reduce__(self) -> tuple[Any, ...]:
        return tuple(OSError.__reduce__(self))


class NoSuchFile(SFTPError, FileNotFoundError):
    """The file, or a directory of its path, does not exist."""


class PermissionDenied(SFTPError, PermissionError):
    """The user has no permission for the operation."""


class AlreadyExists(SFTPError, FileExistsError):
    """A file of that name exists already."""


class NotADirectory(SFTPError, NotADirectoryError):
    """A component of the path is not a directory."""


class IsADirectory(SFTPError, IsADirectoryError):
    """The path is a directory."""
