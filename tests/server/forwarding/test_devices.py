"""Tunnel devices at the server: what is refused before the policy is asked, and after."""

from __future__ import annotations

import pytest

from nacre.protocol.asks import AskOpen, OpenRefused
from nacre.protocol.tunnel import TUNNEL
from nacre.server.forwarding.devices import open_tunnel
from nacre.server.policy import Policy
from nacre.server.questions import Questions
from server.stand_ins import RecordingConnection


class Wrong(Policy):
    """Answers with what is no device."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, object]] = []

    def tunnel_device(self, mode: object, unit: object, connection: object) -> None:
        self.asked.append((mode, unit))
        return True  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("data", "said", "asked"),
    [
        (b"", "malformed", []),
        (b"\0\0\0\1\0\0\0\1\0", "malformed", []),
        (b"\0\0\0\3\0\0\0\1", "no such mode", []),
        (b"\0\0\0\1\0\0\0\1", "not allowed", [("point-to-point", 1)]),
        (b"\0\0\0\2\x7f\xff\xff\xff", "not allowed", [("ethernet", None)]),
    ],
)
async def test_what_is_no_tunnel_is_refused(
    data: bytes, said: str, asked: list[tuple[object, object]]
) -> None:
    connection, policy = RecordingConnection(), Wrong()
    questions = Questions(connection, policy)
    questions.welcome(connection)
    ask = AskOpen(channel=0, channel_type=TUNNEL, data=data)
    ask.ask_id = 5
    await open_tunnel(connection, questions, ask)
    answer = connection.answers[5]
    assert isinstance(answer, OpenRefused)
    assert answer.description == said
    assert policy.asked == asked
    assert len(connection.recorded("forward")) == len(asked)
