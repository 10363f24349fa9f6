"""Which messages are legal in which stage, as data. All others are refused."""

from __future__ import annotations

from enum import Enum

from nacre.ssh1.messages import SSH1Msg


class Stage(Enum):
    """What a connection waits for: a client's stages, then a server's."""

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


ALWAYS = frozenset({SSH1Msg.DISCONNECT, SSH1Msg.IGNORE, SSH1Msg.DEBUG})

_VERDICT = frozenset({SSH1Msg.SMSG_SUCCESS, SSH1Msg.SMSG_FAILURE})
_ATTEMPTS = frozenset({SSH1Msg.CMSG_AUTH_RSA, SSH1Msg.CMSG_AUTH_PASSWORD, SSH1Msg.CMSG_AUTH_TIS})
_CHANNELS = frozenset(
    {
        SSH1Msg.CHANNEL_OPEN_CONFIRMATION,
        SSH1Msg.CHANNEL_OPEN_FAILURE,
        SSH1Msg.CHANNEL_DATA,
        SSH1Msg.CHANNEL_CLOSE,
        SSH1Msg.CHANNEL_CLOSE_CONFIRMATION,
        SSH1Msg.PORT_OPEN,
    }
)
_REQUESTS = frozenset(
    {
        SSH1Msg.CMSG_REQUEST_PTY,
        SSH1Msg.CMSG_EXEC_SHELL,
        SSH1Msg.CMSG_EXEC_CMD,
        SSH1Msg.CMSG_PORT_FORWARD_REQUEST,
        SSH1Msg.CMSG_AGENT_REQUEST_FORWARDING,
        SSH1Msg.CMSG_X11_REQUEST_FORWARDING,
        SSH1Msg.CMSG_REQUEST_COMPRESSION,
        SSH1Msg.CMSG_MAX_PACKET_SIZE,
    }
)
_TO_CLIENT = _CHANNELS | _VERDICT | {SSH1Msg.SMSG_AGENT_OPEN}
_OUTPUT = frozenset({SSH1Msg.SMSG_STDOUT_DATA, SSH1Msg.SMSG_STDERR_DATA, SSH1Msg.SMSG_EXITSTATUS})

LEGAL: dict[Stage, frozenset[int]] = {
    Stage.PUBLIC_KEY: frozenset({SSH1Msg.SMSG_PUBLIC_KEY}),
    Stage.KEY_TAKEN: frozenset({SSH1Msg.SMSG_SUCCESS}),
    Stage.CLIENT_IDLE: frozenset(),
    Stage.CLIENT_RESULT: _VERDICT,
    Stage.CLIENT_RSA: frozenset({SSH1Msg.SMSG_AUTH_RSA_CHALLENGE, SSH1Msg.SMSG_FAILURE}),
    Stage.CLIENT_TIS: frozenset({SSH1Msg.SMSG_AUTH_TIS_CHALLENGE, SSH1Msg.SMSG_FAILURE}),
    Stage.COMPRESSION: _VERDICT,
    Stage.CLIENT_PREPARING: _TO_CLIENT,
    Stage.CLIENT_SESSION: _TO_CLIENT | _OUTPUT,
    Stage.CLIENT_OVER: _CHANNELS,
    Stage.SESSION_KEY: frozenset({SSH1Msg.CMSG_SESSION_KEY}),
    Stage.USER: frozenset({SSH1Msg.CMSG_USER}),
    Stage.SERVER_AUTH: _ATTEMPTS,
    Stage.SERVER_RSA: frozenset({SSH1Msg.CMSG_AUTH_RSA_RESPONSE}),
    # A user without an answer may try another method.
    Stage.SERVER_TIS: _ATTEMPTS | {SSH1Msg.CMSG_AUTH_TIS_RESPONSE},
    Stage.SERVER_PREPARING: _REQUESTS | _CHANNELS,
    Stage.SERVER_SESSION: _CHANNELS
    | {SSH1Msg.CMSG_STDIN_DATA, SSH1Msg.CMSG_EOF, SSH1Msg.CMSG_WINDOW_SIZE},
    # Input that was in flight when the process ended is dropped.
    Stage.SERVER_OVER: _CHANNELS
    | {
        SSH1Msg.CMSG_STDIN_DATA,
        SSH1Msg.CMSG_EOF,
        SSH1Msg.CMSG_WINDOW_SIZE,
        SSH1Msg.CMSG_EXIT_CONFIRMATION,
    },
}
"""The messages that are legal in each stage, in addition to ``ALWAYS``."""

KNOWN = frozenset(SSH1Msg)
"""Numbers that have a meaning."""

REFUSED: dict[Stage, frozenset[int]] = {
    Stage.SERVER_AUTH: frozenset({SSH1Msg.CMSG_AUTH_RHOSTS, SSH1Msg.CMSG_AUTH_RHOSTS_RSA}),
    Stage.SERVER_TIS: frozenset({SSH1Msg.CMSG_AUTH_RHOSTS, SSH1Msg.CMSG_AUTH_RHOSTS_RSA}),
    Stage.SERVER_PREPARING: frozenset(),
}
"""The stages that answer unknown messages, and these, with FAILURE: the client may continue."""
