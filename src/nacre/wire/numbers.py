"""Message numbers and codes of SSH-2, by their RFC names."""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class Msg(IntEnum):
    """Message numbers (RFC 4250 section 4.1, RFC 4256, RFC 4419, RFC 5656, RFC 8308).

    The meaning of 30-49 depends on the key exchange method, and that of 60-79 on the authentication
    method: their classes are in ssh2/transport/messages.py and ssh2/auth/messages.py.
    """

    DISCONNECT = 1
    IGNORE = 2
    UNIMPLEMENTED = 3
    DEBUG = 4
    SERVICE_REQUEST = 5
    SERVICE_ACCEPT = 6
    EXT_INFO = 7
    NEWCOMPRESS = 8
    KEXINIT = 20
    NEWKEYS = 21
    USERAUTH_REQUEST = 50
    USERAUTH_FAILURE = 51
    USERAUTH_SUCCESS = 52
    USERAUTH_BANNER = 53
    GLOBAL_REQUEST = 80
    REQUEST_SUCCESS = 81
    REQUEST_FAILURE = 82
    CHANNEL_OPEN = 90
    CHANNEL_OPEN_CONFIRMATION = 91
    CHANNEL_OPEN_FAILURE = 92
    CHANNEL_WINDOW_ADJUST = 93
    CHANNEL_DATA = 94
    CHANNEL_EXTENDED_DATA = 95
    CHANNEL_EOF = 96
    CHANNEL_CLOSE = 97
    CHANNEL_REQUEST = 98
    CHANNEL_SUCCESS = 99
    CHANNEL_FAILURE = 100
    PING = 192
    PONG = 193


class OpenFailure(IntEnum):
    """Reason codes of SSH_MSG_CHANNEL_OPEN_FAILURE (RFC 4254 section 5.1)."""

    ADMINISTRATIVELY_PROHIBITED = 1
    CONNECT_FAILED = 2
    UNKNOWN_CHANNEL_TYPE = 3
    RESOURCE_SHORTAGE = 4


MAIN: Final = 0
"""The stream of a channel that CHANNEL_DATA carries: standard input and output."""

STDERR: Final = 1
"""The stream of CHANNEL_EXTENDED_DATA, by its only data type code (RFC 4254 section 5.2)."""
