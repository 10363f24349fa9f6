"""What the server and the process of a login say to each other."""

from __future__ import annotations

from typing import Any

import pytest

from nacre.daemon.processes.pam.messages import (
    LARGEST,
    Begin,
    CheckAccount,
    CheckPassword,
    HoldDialogue,
    Judged,
    OpenedSession,
    OpenSession,
    Prompts,
    Respond,
    decode,
    encode,
)

MESSAGES = [
    Begin("sshd", "älice\udcff", "192.0.2.1"),
    CheckPassword("secret", True, "new"),
    CheckPassword("", False, None),
    HoldDialogue(pretended=True),
    Respond(("a", "\x00")),
    CheckAccount(),
    OpenSession((1, 2)),
    Judged("no", True, ("text",)),
    Prompts(("hello",), (("Password: ", False),)),
    OpenedSession((("A", "1"),), (1,), 0o27, ("text",)),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_arrives_as_it_was(message: Any) -> None:
    assert decode(encode(message)) == message


def test_secrets_are_not_shown() -> None:
    for message in (CheckPassword("secret"), Respond(("secret",))):
        assert "secret" not in repr(message)


def test_all_responses_that_are_sent_fit_into_a_packet() -> None:
    """PAM asks 32 prompts at most, and an answer has at most 512 bytes; the worst are escaped."""
    assert len(encode(Respond(("\x01" * 512,) * 32))) < LARGEST // 2
