"""The messages 80-100 (RFC 4254 sections 4-6)."""

from __future__ import annotations

from nacre.wire.message import U32, Bool, Message, Rest, String, Text, message


@message(80)
class GlobalRequest(Message):
    """SSH_MSG_GLOBAL_REQUEST (RFC 4254 section 4)."""

    name: Text
    want_reply: Bool
    data: Rest


@message(81)
class RequestSuccess(Message):
    """SSH_MSG_REQUEST_SUCCESS (RFC 4254 section 4)."""

    data: Rest


@message(82)
class RequestFailure(Message):
    """SSH_MSG_REQUEST_FAILURE (RFC 4254 section 4)."""


@message(90)
class ChannelOpen(Message):
    """SSH_MSG_CHANNEL_OPEN (RFC 4254 section 5.1)."""

    channel_type: Text
    sender: U32
    window: U32
    packet: U32
    data: Rest


@message(91)
class ChannelOpenConfirmation(Message):
    """SSH_MSG_CHANNEL_OPEN_CONFIRMATION (RFC 4254 section 5.1)."""

    recipient: U32
    sender: U32
    window: U32
    packet: U32
    data: Rest


@message(92)
class ChannelOpenFailure(Message):
    """SSH_MSG_CHANNEL_OPEN_FAILURE (RFC 4254 section 5.1)."""

    recipient: U32
    code: U32
    description: Text
    language: Text


@message(93)
class ChannelWindowAdjust(Message):
    """SSH_MSG_CHANNEL_WINDOW_ADJUST: the window grows by so many bytes (RFC 4254 section 5.2)."""

    recipient: U32
    bytes_to_add: U32


@message(94)
class ChannelData(Message):
    """SSH_MSG_CHANNEL_DATA (RFC 4254 section 5.2). ``Mux`` packs and unpacks it by hand."""

    recipient: U32
    data: String


@message(95)
class ChannelExtendedData(Message):
    """SSH_MSG_CHANNEL_EXTENDED_DATA (RFC 4254 section 5.2)."""

    recipient: U32
    code: U32
    data: String


@message(96)
class ChannelEof(Message):
    """SSH_MSG_CHANNEL_EOF (RFC 4254 section 5.3)."""

    recipient: U32


@message(97)
class ChannelClose(Message):
    """SSH_MSG_CHANNEL_CLOSE (RFC 4254 section 5.3)."""

    recipient: U32


@message(98)
class ChannelRequest(Message):
    """SSH_MSG_CHANNEL_REQUEST (RFC 4254 section 5.4)."""

    recipient: U32
    name: Text
    want_reply: Bool
    data: Rest


@message(99)
class ChannelSuccess(Message):
    """SSH_MSG_CHANNEL_SUCCESS (RFC 4254 section 5.4)."""

    recipient: U32


@message(100)
class ChannelFailure(Message):
    """SSH_MSG_CHANNEL_FAILURE (RFC 4254 section 5.4)."""

    recipient: U32


MESSAGES: dict[int, type[Message]] = {
    kind.NUMBER: kind
    for kind in (
        GlobalRequest,
        RequestSuccess,
        RequestFailure,
        ChannelOpen,
        ChannelOpenConfirmation,
        ChannelOpenFailure,
        ChannelWindowAdjust,
        ChannelData,
        ChannelExtendedData,
        ChannelEof,
        ChannelClose,
        ChannelRequest,
        ChannelSuccess,
        ChannelFailure,
    )
}
"""The messages of phases 4 and 5, by number."""
