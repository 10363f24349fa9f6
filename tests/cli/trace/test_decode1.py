"""SSH-1's messages for human eyes."""

from __future__ import annotations

from nacre.cli.trace.decode1 import SSH1Decoder
from nacre.ssh1 import messages
from nacre.ssh1.messages import SSH1Msg


def test_names() -> None:
    decode = SSH1Decoder().decode
    names = {number: decode(bytes((number,))).name for number in (1, 2, 4, 14, 21, 32, 99)}
    assert names == {
        1: "SSH_MSG_DISCONNECT",
        2: "SSH_SMSG_PUBLIC_KEY",
        4: "SSH_CMSG_USER",
        14: "SSH_SMSG_SUCCESS",
        21: "SSH_MSG_CHANNEL_OPEN_CONFIRMATION",
        32: "SSH_MSG_IGNORE",
        99: "SSH_MSG_99",
    }


def test_secrets_are_hidden() -> None:
    for message in (messages.AuthPassword(b"secret"), messages.AuthTISResponse(b"secret")):
        fields = SSH1Decoder().decode(message.encode()).fields
        assert list(fields.values()) == ["<hidden>"]


def test_a_command_shows_and_cut_off_fields_are_told() -> None:
    assert SSH1Decoder().decode(messages.ExecCmd(b"id\x1b[2J").encode()).fields == {
        "command": "id\\x1b[2J"
    }
    assert "error" in SSH1Decoder().decode(b"\x0d\0\0").fields


def test_every_message_has_a_class_or_is_refused() -> None:
    unused = set(SSH1Msg) - set(messages.MESSAGES)
    assert unused == {
        SSH1Msg.CMSG_AUTH_RHOSTS,
        SSH1Msg.CMSG_AUTH_RHOSTS_RSA,
        SSH1Msg.SMSG_X11_OPEN,
        SSH1Msg.CMSG_X11_REQUEST_FORWARDING,
    }
