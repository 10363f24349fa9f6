"""What OpenSSH's and PuTTY's clients once said, said again: the server answers octet for octet.

Made by ``conversation.py`` with fixed randomness on the server's side; the clients' is in what they
said.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ssh1.conversation import DIRECTORY, Conversation, load_keys

RECORDED = sorted(DIRECTORY.glob("*.json"))


@pytest.mark.parametrize("file", RECORDED, ids=lambda file: file.stem)
@pytest.mark.parametrize("slow", [False, True], ids=["", "octets"])
def test_replay(file: Path, slow: bool) -> None:
    recorded = json.loads(file.read_text())
    conversation = Conversation(load_keys(recorded["keys"]), recorded["seed"])
    for octets, answer in recorded["steps"]:
        data = bytes.fromhex(octets)
        parts = [data[i : i + 1] for i in range(len(data))] if slow and data else [data]
        said = b"".join(conversation.receive(part) for part in parts)
        assert said == bytes.fromhex(answer)
    assert conversation.said == recorded["said"]
    assert conversation.ended


def test_there_are_transcripts_of_both() -> None:
    assert {"ssh1", "plink"} == {file.stem.partition("-")[0] for file in RECORDED}
