"""The messages of SSH-1.5 (draft-ylonen-ssh-protocol-00)."""

from __future__ import annotations

from enum import IntEnum

from nacre.wire.message import (
    U8,
    U32,
    Cookie1,
    Digest,
    Message,
    MPInt1,
    Rest,
    SecretString,
    String,
    Text,
    message,
)


class SSH1Msg(IntEnum):
    """Message numbers. A client sends ``CMSG``, a server ``SMSG``, either side the others."""

    DISCONNECT = 1
    SMSG_PUBLIC_KEY = 2
    CMSG_SESSION_KEY = 3
    CMSG_USER = 4
    CMSG_AUTH_RHOSTS = 5
    CMSG_AUTH_RSA = 6
    SMSG_AUTH_RSA_CHALLENGE = 7
    CMSG_AUTH_RSA_RESPONSE = 8
    CMSG_AUTH_PASSWORD = 9
    CMSG_REQUEST_PTY = 10
    CMSG_WINDOW_SIZE = 11
    CMSG_EXEC_SHELL = 12
    CMSG_EXEC_CMD = 13
    SMSG_SUCCESS = 14
    SMSG_FAILURE = 15
    CMSG_STDIN_DATA = 16
    SMSG_STDOUT_DATA = 17
    SMSG_STDERR_DATA = 18
    CMSG_EOF = 19
    SMSG_EXITSTATUS = 20
    CHANNEL_OPEN_CONFIRMATION = 21
    CHANNEL_OPEN_FAILURE = 22
    CHANNEL_DATA = 23
    CHANNEL_CLOSE = 24
    CHANNEL_CLOSE_CONFIRMATION = 25
    SMSG_X11_OPEN = 27
    CMSG_PORT_FORWARD_REQUEST = 28
    PORT_OPEN = 29
    CMSG_AGENT_REQUEST_FORWARDING = 30
    SMSG_AGENT_OPEN = 31
    IGNORE = 32
    CMSG_EXIT_CONFIRMATION = 33
    CMSG_X11_REQUEST_FORWARDING = 34
    CMSG_AUTH_RHOSTS_RSA = 35
    DEBUG = 36
    CMSG_REQUEST_COMPRESSION = 37
    CMSG_MAX_PACKET_SIZE = 38
    CMSG_AUTH_TIS = 39
    SMSG_AUTH_TIS_CHALLENGE = 40
    CMSG_AUTH_TIS_RESPONSE = 41


METHODS = {"publickey": 2, "password": 3, "keyboard-interactive": 5}
"""Bits of the mask of authentication methods; TIS corresponds to keyboard-interactive."""

HOST_IN_FWD_OPEN = 2
"""The protocol flag that PORT_OPEN has the origin of its connection."""


@message(1)
class Disconnect(Message):
    """End the connection, with a reason."""

    description: Text


@message(2)
class PublicKey(Message):
    """The server's two keys, its flags, ciphers and authentication methods."""

    cookie: Cookie1
    server_bits: U32
    server_exponent: MPInt1
    server_modulus: MPInt1
    host_bits: U32
    host_exponent: MPInt1
    host_modulus: MPInt1
    flags: U32
    ciphers: U32
    methods: U32


@message(3)
class SessionKey(Message):
    """The client's choice of cipher, and the session key, encrypted twice."""

    cipher: U8
    cookie: Cookie1
    key: MPInt1
    flags: U32


@message(4)
class User(Message):
    """The name of the user who logs in."""

    user: Text


@message(6)
class AuthRSA(Message):
    """The modulus of a key to log in with."""

    modulus: MPInt1


@message(7)
class AuthRSAChallenge(Message):
    """32 bytes, encrypted with the key."""

    challenge: MPInt1


@message(8)
class AuthRSAResponse(Message):
    """MD5 over the challenge and the session id."""

    response: Digest


@message(9)
class AuthPassword(Message):
    """A password; clients append padding, which begins with a NUL, to hide its length."""

    password: SecretString


@message(10)
class RequestPty(Message):
    """Allocate a terminal; ``modes`` are in SSH-1's encoding."""

    term: Text
    rows: U32
    columns: U32
    width: U32
    height: U32
    modes: Rest


@message(11)
class WindowSize(Message):
    """The terminal's new size."""

    rows: U32
    columns: U32
    width: U32
    height: U32


@message(12)
class ExecShell(Message):
    """Start the user's shell. There is no reply if it runs."""


@message(13)
class ExecCmd(Message):
    """Run a command line. There is no reply if it runs."""

    command: String


@message(14)
class Success(Message):
    """The request or the attempt succeeded."""


@message(15)
class Failure(Message):
    """The request or the attempt failed."""


@message(16)
class StdinData(Message):
    """Data for the process's standard input."""

    data: String


@message(17)
class StdoutData(Message):
    """Data of the process's standard output."""

    data: String


@message(18)
class StderrData(Message):
    """Data of the process's standard error."""

    data: String


@message(19)
class Eof(Message):
    """The end of the process's standard input."""


@message(20)
class ExitStatus(Message):
    """The exit status of the process."""

    status: U32


@message(21)
class ChannelOpenConfirmation(Message):
    """A channel is open."""

    recipient: U32
    sender: U32


@message(22)
class ChannelOpenFailure(Message):
    """A channel is refused."""

    recipient: U32


@message(23)
class ChannelData(Message):
    """Data on a channel."""

    recipient: U32
    data: String


@message(24)
class ChannelClose(Message):
    """The sender has no more data for the channel."""

    recipient: U32


@message(25)
class ChannelCloseConfirmation(Message):
    """The sender accepts no more data from the channel."""

    recipient: U32


@message(28)
class PortForwardRequest(Message):
    """Listen on a port; each connection to it is a PORT_OPEN with ``host`` and ``host_port``."""

    port: U32
    host: Text
    host_port: U32


@message(29)
class PortOpen(Message):
    """Connect a channel to a port of a host.

    ``originator`` is a string if both sides set HOST_IN_FWD_OPEN, otherwise empty.
    """

    sender: U32
    host: Text
    port: U32
    originator: Rest


@message(30)
class AgentRequestForwarding(Message):
    """Permit processes to use the client's agent."""


@message(31)
class AgentOpen(Message):
    """Open a channel from a process to the agent."""

    sender: U32


@message(32)
class Ignore(Message):
    """A message without effect."""

    data: String


@message(33)
class ExitConfirmation(Message):
    """The exit status was received."""


@message(36)
class Debug(Message):
    """A debug message."""

    text: Text


@message(37)
class RequestCompression(Message):
    """Compress at a level from 1 to 9, the levels of gzip."""

    level: U32


@message(38)
class MaxPacketSize(Message):
    """Send no packets larger than ``size``."""

    size: U32


@message(39)
class AuthTIS(Message):
    """Ask for a challenge."""


@message(40)
class AuthTISChallenge(Message):
    """The challenge to show to the user."""

    challenge: Text


@message(41)
class AuthTISResponse(Message):
    """The user's response; it may be padded like a password."""

    response: SecretString


MESSAGES: dict[int, type[Message]] = {
    kind.NUMBER: kind
    for kind in tuple(globals().values())
    if isinstance(kind, type) and issubclass(kind, Message) and kind is not Message
}
"""The class of each message, by number. ``nacre trace`` reads all of them; the engines pack and
unpack the ones with data by hand."""
