"""What peers once said, said again: OpenSSH's and PuTTY's clients, and PuTTY's server for tests.

Our side answers byte for byte. Made by ``conversation.py`` and ``client_conversation.py`` with
fixed randomness on our side; the peers' is in what they said.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ssh1 import client_conversation
from ssh1.client_conversation import ClientConversation
from ssh1.conversation import DIRECTORY, Conversation, load_keys

CLIENTS = sorted(DIRECTORY.glob("*.json"))
SERVERS = sorted(client_conversation.DIRECTORY.glob("*.json"))

slowly = pytest.mark.parametrize("slow", [False, True], ids=["", "bytes"])


def replay(recorded: dict[str, Any], ours: Conversation | ClientConversation, slow: bool) -> None:
    for raw, answer in recorded["steps"]:
        data = bytes.fromhex(raw)
        parts = [data[i : i + 1] for i in range(len(data))] if slow and data else [data]
        said = b"".join(ours.receive(part) for part in parts)
        assert said == bytes.fromhex(answer)
    assert ours.said == recorded["said"]
    assert ours.ended


@slowly
@pytest.mark.parametrize("file", CLIENTS, ids=lambda file: file.stem)
def test_what_a_client_said(file: Path, slow: bool) -> None:
    recorded = json.loads(file.read_text())
    replay(recorded, Conversation(load_keys(recorded["keys"]), recorded["seed"]), slow)


@slowly
@pytest.mark.parametrize("file", SERVERS, ids=lambda file: file.stem)
def test_what_a_server_said(file: Path, slow: bool) -> None:
    recorded = json.loads(file.read_text())
    keys = load_keys(recorded["keys"])
    replay(recorded, ClientConversation(keys, recorded["seed"], recorded["how"]), slow)


def test_there_are_transcripts_of_all() -> None:
    assert {"ssh1", "plink"} == {file.stem.partition("-")[0] for file in CLIENTS}
    assert {file.stem for file in SERVERS} == {
        f"uppity-{name}" for name in client_conversation.SCENARIOS
    }
