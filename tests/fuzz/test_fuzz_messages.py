"""Messages whose layout is right and whose values are anything, at every stage of both roles."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attacks.links import Crooked, of
from fuzz.messages import KINDS, PAYLOADS
from fuzz.mutate import BUDGET
from nacre.errors import AuthenticationFailed, ConnectionLost, RemoteProtocolError
from nacre.protocol.asks import AskOpen, AskRequest
from nacre.protocol.events import Authenticated, ChannelOpened, ConnectionEnded, Event
from nacre.protocol.options import algorithms
from nacre.protocol.phases import Phase, Role
from nacre.ssh2.connection.messages import MESSAGES

pytestmark = pytest.mark.timeout(120 + 20 * BUDGET)

TURNS = st.dictionaries(st.integers(1, 30), st.lists(PAYLOADS, max_size=3), min_size=1, max_size=3)


def check(log: list[Event]) -> None:
    for end in of(log, ConnectionEnded):
        assert isinstance(end.error, RemoteProtocolError | ConnectionLost | AuthenticationFailed), (
            end.error
        )
    for event in log:
        if isinstance(event, Authenticated):
            return
        assert not isinstance(event, AskOpen | AskRequest | ChannelOpened)


@pytest.mark.parametrize("role", list(Role))
@settings(
    max_examples=int(100 * BUDGET),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(turns=TURNS, instead=st.booleans())
def test_any_message_at_any_turn(role: Role, turns: dict[int, list[bytes]], instead: bool) -> None:
    """Put in before a message of a peer's, or in its place."""
    turn = 0

    def says(payload: bytes) -> list[bytes]:
        nonlocal turn
        turn += 1
        made = turns.get(turn, [])
        return made if made and instead else [*made, payload]

    pair = Crooked(
        algorithms=algorithms(kex="curve25519-sha256"),
        **{f"{role.value}_says": says},
    )
    pair.run()
    if pair.client.phase is Phase.CONNECTION:
        pair.client.connection.open_channel("session")
        pair.run()
    for engine in (pair.client, pair.server):
        if engine.phase is Phase.CONNECTION:
            engine.rekey()
            pair.run()
    check(pair.server_events if role is Role.CLIENT else pair.client_events)


def test_the_messages_made_are_all_there_are() -> None:
    assert {kind.NUMBER for kind in KINDS} >= {*range(1, 7), 20, 21, 30, 31, 50, 60, 61, *MESSAGES}
