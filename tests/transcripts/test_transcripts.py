"""Recorded SSH-2 conversations with OpenSSH, PuTTY, Dropbear and AsyncSSH, replayed.

The peer's bytes come from the transcript; nacre must answer byte for byte as it did then, and
report the same events. A transcript is replayed in the portions that came from the socket, and
again byte by byte. ``record.py`` makes the transcripts, with fixed randomness on nacre's side.
"""

from __future__ import annotations

import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest

from transcripts import client, server
from transcripts.client import ClientConversation
from transcripts.conversation import Conversation
from transcripts.server import ServerConversation

CLIENTS = sorted(server.DIRECTORY.glob("*.json"))
SERVERS = sorted(client.DIRECTORY.glob("*.json"))

WHOLE = {"clients/openssh-rekey"}
"""Data that comes together with a KEXINIT is echoed after that exchange, alone before it."""


def cases(files: list[Path]) -> list[Any]:
    """Return the parameters: each file, in its portions and byte by byte."""
    return [
        pytest.param(file, by_byte, id=f"{file.stem}{'-by-byte' * by_byte}")
        for file in files
        for by_byte in (False, True)
        if not (by_byte and f"{file.parent.name}/{file.stem}" in WHOLE)
    ]


def load(file: Path) -> dict[str, Any]:
    recorded: dict[str, Any] = json.loads(file.read_text())
    recorded["steps"] = [[b64decode(part) for part in step] for step in recorded["steps"]]
    return recorded


def replay(recorded: dict[str, Any], conversation: Conversation, by_byte: bool) -> None:
    for step, (data, expected) in enumerate(recorded["steps"]):
        parts = [data[i : i + 1] for i in range(len(data))] if by_byte and data else [data]
        sent = b"".join(conversation.receive(part) for part in parts)
        assert sent == expected, f"step {step}, after {conversation.events}"
    if not conversation.ended:
        conversation.receive_eof()
    assert conversation.events == recorded["events"]
    assert conversation.ended


@pytest.mark.slow
@pytest.mark.parametrize(("file", "by_byte"), cases(CLIENTS))
def test_a_recorded_client_gets_the_same_answers(file: Path, by_byte: bool) -> None:
    recorded = load(file)
    conversation = ServerConversation(recorded["keys"], recorded["seed"], recorded["how"])
    replay(recorded, conversation, by_byte)


@pytest.mark.slow
@pytest.mark.parametrize(("file", "by_byte"), cases(SERVERS))
def test_a_recorded_server_gets_the_same_requests(file: Path, by_byte: bool) -> None:
    recorded = load(file)
    conversation = ClientConversation(recorded["keys"], recorded["seed"], recorded["how"])
    replay(recorded, conversation, by_byte)


def test_every_peer_was_recorded_in_the_roles_that_it_has() -> None:
    clients = {file.stem.partition("-")[0] for file in CLIENTS}
    servers = {file.stem.partition("-")[0] for file in SERVERS}
    assert clients == {"openssh", "plink", "psftp", "dropbear", "asyncssh"}
    assert servers == {"openssh", "dropbear", "asyncssh"}


def test_one_changed_bit_is_noticed() -> None:
    recorded = load(server.DIRECTORY / "openssh-key.json")
    last = max(number for number, (_, answer) in enumerate(recorded["steps"]) if answer)
    answer = bytearray(recorded["steps"][last][1])
    answer[-1] ^= 1
    recorded["steps"][last][1] = bytes(answer)
    conversation = ServerConversation(recorded["keys"], recorded["seed"], recorded["how"])
    with pytest.raises(AssertionError, match=f"step {last}"):
        replay(recorded, conversation, False)
