"""The lines of -v, -vv and -vvv for events."""

from __future__ import annotations

import pytest

from nacre.aio.versions import SSH1
from nacre.cli.narrate.narrator import Narrator
from nacre.config.values import LogLevel
from nacre.protocol.events import MessageSeen, VersionReceived
from nacre.ssh2.auth.messages import UserauthRequest
from nacre.ssh2.transport.messages import ExtInfo


@pytest.fixture
def lines() -> list[tuple[LogLevel, str]]:
    return []


@pytest.fixture
def narrator(lines: list[tuple[LogLevel, str]]) -> Narrator:
    return Narrator(lambda level, text: lines.append((level, text)))


def version(protocol: str) -> VersionReceived:
    return VersionReceived(protocol, "SSH-2.0-us", "SSH-2.0-them", ())


def test_the_meaning_of_a_number_depends_on_the_method(narrator, lines):
    narrator(version("2.0"), 0)
    for method in ("publickey", "password", "keyboard-interactive"):
        request = UserauthRequest("alice", "ssh-connection", method, b"the secret")
        narrator(MessageSeen("out", request.encode()), 0)
        narrator(MessageSeen("in", bytes((60,))), 0)
    text = "\n".join(text for _, text in lines)
    for name in ("PK_OK", "PASSWD_CHANGEREQ", "INFO_REQUEST"):
        assert f"receive packet: SSH_MSG_USERAUTH_{name}" in text
    assert "Next authentication method: password" in text
    assert "secret" not in text


@pytest.mark.parametrize(
    ("number", "level", "name"),
    [
        (30, LogLevel.DEBUG3, "SSH_MSG_KEX_INIT"),
        (49, LogLevel.DEBUG3, "SSH_MSG_KEX_49"),
        (52, LogLevel.DEBUG2, "SSH_MSG_USERAUTH_SUCCESS"),
        (94, LogLevel.DEBUG3, "SSH_MSG_CHANNEL_DATA"),
        (200, LogLevel.DEBUG3, "SSH_MSG_200"),
        (20, LogLevel.DEBUG2, "20, malformed"),
    ],
)
def test_messages_by_name(narrator, lines, number, level, name):
    narrator(MessageSeen("in", bytes((number,)) + b"content"), 0)
    assert lines == [(level, f"receive packet: {name}")]


@pytest.mark.parametrize(
    ("number", "level", "name"),
    [
        (4, LogLevel.DEBUG2, "SSH_CMSG_USER"),
        (9, LogLevel.DEBUG2, "SSH_CMSG_AUTH_PASSWORD"),
        (17, LogLevel.DEBUG3, "SSH_SMSG_STDOUT_DATA"),
        (250, LogLevel.DEBUG3, "SSH_MSG_250"),
    ],
)
def test_messages_of_ssh_1(narrator, lines, number, level, name):
    narrator(version(SSH1), 0)
    narrator(MessageSeen("out", bytes((number,)) + b"content"), 0)
    assert lines[-1] == (level, f"send packet: {name}")


def test_extensions_by_name(narrator, lines):
    narrator(MessageSeen("in", ExtInfo({"a@b": b"value", "\x1b": b""}).encode()), 0)
    assert lines[0] == (LogLevel.DEBUG2, "extensions of the peer server: a@b, \\x1b")


def test_new_keys_are_a_step(narrator, lines):
    for direction in ("out", "in"):
        narrator(MessageSeen(direction, bytes((21,))), 0)
    steps = [text for level, text in lines if level is LogLevel.DEBUG1]
    assert steps == ["SSH2_MSG_NEWKEYS sent", "SSH2_MSG_NEWKEYS received"]
