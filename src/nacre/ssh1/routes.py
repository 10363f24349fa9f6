"""Which messages are legal when, as data. What is not in the table is refused."""

from __future__ import annotations

from enum import Enum

from nacre.ssh1.messages import Msg


class Stage(Enum):
    """What a connection waits for; a client's stages first, then a server's."""

    PUBLIC_KEY = "the server's keys"
    KEY_TAKEN = "the server to take the session key"
    CLIENT_IDLE = "a decision of this side"
    CLIENT_RESULT = "the verdict on an attempt to log in"
    CLIENT_RSA = "the challenge for a key"
    CLIENT_TIS = "a challenge for the user"
    COMPRESSION = "the verdict on compression"
    CLIENT_PREPARING = "replies to requests"
    CLIENT_SESSION = "the session's output"
    CLIENT_OVER = "the end"

    SESSION_KEY = "the session key"
    USER = "a user name"
    SERVER_AUTH = "an attempt to log in"
    SERVER_RSA = "the answer to the challenge for a key"
    SERVER_TIS = "the user's answer to a challenge"
    SERVER_PREPARING = "requests"
    SERVER_SESSION = "the session's input"
    SERVER_OVER = "the confirmation of the exit status"


ALWAYS = frozenset({Msg.DISCONNECT, Msg.IGNORE, Msg.DEBUG})

_VERDICT = frozenset({Msg.SMSG_SUCCESS, Msg.SMSG_FAILURE})
_ATTEMPTS = frozenset({Msg.CMSG_AUTH_RSA, Msg.CMSG_AUTH_PASSWORD, Msg.CMSG_AUTH_TIS})
_CHANNELS = frozenset(
    {
        Msg.CHANNEL_OPEN_CONFIRMATION,
        Msg.CHANNEL_OPEN_FAILURE,
        Msg.CHANNEL_DATA,
        Msg.CHANNEL_CLOSE,
        Msg.CHANNEL_CLOSE_CONFIRMATION,
        Msg.PORT_OPEN,
    }
)
_REQUESTS = frozenset(
    {
        Msg.CMSG_REQUEST_PTY,
        Msg.CMSG_EXEC_SHELL,
        Msg.CMSG_EXEC_CMD,
        Msg.CMSG_PORT_FORWARD_REQUEST,
        Msg.CMSG_AGENT_REQUEST_FORWARDING,
        Msg.CMSG_X11_REQUEST_FORWARDING,
        Msg.CMSG_REQUEST_COMPRESSION,
        Msg.CMSG_MAX_PACKET_SIZE,
    }
)
_TO_CLIENT = _CHANNELS | _VERDICT | {Msg.SMSG_AGENT_OPEN}
_OUTPUT = frozenset({Msg.SMSG_STDOUT_DATA, Msg.SMSG_STDERR_DATA, Msg.SMSG_EXITSTATUS})

LEGAL: dict[Stage, frozenset[int]] = {
    Stage.PUBLIC_KEY: frozenset({Msg.SMSG_PUBLIC_KEY}),
    Stage.KEY_TAKEN: frozenset({Msg.SMSG_SUCCESS}),
    Stage.CLIENT_IDLE: frozenset(),
    Stage.CLIENT_RESULT: _VERDICT,
    Stage.CLIENT_RSA: frozenset({Msg.SMSG_AUTH_RSA_CHALLENGE, Msg.SMSG_FAILURE}),
    Stage.CLIENT_TIS: frozenset({Msg.SMSG_AUTH_TIS_CHALLENGE, Msg.SMSG_FAILURE}),
    Stage.COMPRESSION: _VERDICT,
    Stage.CLIENT_PREPARING: _TO_CLIENT,
    Stage.CLIENT_SESSION: _TO_CLIENT | _OUTPUT,
    Stage.CLIENT_OVER: _CHANNELS,
    Stage.SESSION_KEY: frozenset({Msg.CMSG_SESSION_KEY}),
    Stage.USER: frozenset({Msg.CMSG_USER}),
    Stage.SERVER_AUTH: _ATTEMPTS,
    Stage.SERVER_RSA: frozenset({Msg.CMSG_AUTH_RSA_RESPONSE}),
    # A user who has no answer tries something else.
    Stage.SERVER_TIS: _ATTEMPTS | {Msg.CMSG_AUTH_TIS_RESPONSE},
    Stage.SERVER_PREPARING: _REQUESTS | _CHANNELS,
    Stage.SERVER_SESSION: _CHANNELS | {Msg.CMSG_STDIN_DATA, Msg.CMSG_EOF, Msg.CMSG_WINDOW_SIZE},
    # What was under way when the process ended is dropped.
    Stage.SERVER_OVER: _CHANNELS
    | {Msg.CMSG_STDIN_DATA, Msg.CMSG_EOF, Msg.CMSG_WINDOW_SIZE, Msg.CMSG_EXIT_CONFIRMATION},
}
"""The messages that each stage takes besides ``ALWAYS``."""

KNOWN = frozenset(Msg)
"""Numbers that mean something."""

REFUSED: dict[Stage, frozenset[int]] = {
    Stage.SERVER_AUTH: frozenset({Msg.CMSG_AUTH_RHOSTS, Msg.CMSG_AUTH_RHOSTS_RSA}),
    Stage.SERVER_TIS: frozenset({Msg.CMSG_AUTH_RHOSTS, Msg.CMSG_AUTH_RHOSTS_RSA}),
    Stage.SERVER_PREPARING: frozenset(),
}
"""Messages answered with FAILURE, beside those that nobody knows: the client may go on."""
