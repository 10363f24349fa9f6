"""What only the client's end does before the login; both ends together: test_engine.py."""

from __future__ import annotations

from nacre.errors import DisconnectCode, Disconnected, HostKeyUnknown
from nacre.protocol.asks import Answer, Ask, AskHostKey, HostKeyRefused
from nacre.protocol.events import ConnectionEnded, Event
from nacre.testing import Pair, agreeable


def ended(events: list[Event]) -> ConnectionEnded:
    last = events[-1]
    assert isinstance(last, ConnectionEnded)
    return last


def test_a_refused_host_key_ends_the_connection() -> None:
    error = HostKeyUnknown("nobody knows this key")

    def refuse(ask: Ask) -> Answer | None:
        return HostKeyRefused(error) if isinstance(ask, AskHostKey) else agreeable(ask)

    pair = Pair(answers_client=refuse)
    pair.run()
    assert ended(pair.client_events).error is error
    told = ended(pair.server_events).error
    assert isinstance(told, Disconnected)
    assert told.code == DisconnectCode.HOST_KEY_NOT_VERIFIABLE
