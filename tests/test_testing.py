"""``nacre.testing``: what programs that use it may rely on."""

from __future__ import annotations

from nacre.protocol.asks import Answer, Ask, AskHostKey, AskPassword, AskUser, Denied, Granted
from nacre.protocol.events import Authenticated, AuthResult, Event
from nacre.protocol.options import algorithms
from nacre.protocol.phases import Phase
from nacre.testing import PASSWORD, Pair, agreeable, host_key, one_by_one, whole


def of(events: list[Event], kind: type[Event]) -> list[Event]:
    return [event for event in events if isinstance(event, kind)]


def test_an_agreeable_pair_is_logged_in_and_quiet() -> None:
    pair = Pair()
    pair.run()
    assert pair.client.phase is pair.server.phase is Phase.CONNECTION
    assert pair.client.output_size == pair.server.output_size == 0
    assert of(pair.client_events, Authenticated) == [Authenticated("alice", ("password",))]
    assert of(pair.server_events, Authenticated) == [Authenticated("alice", ("password",))]


def test_bytes_one_by_one_make_no_difference() -> None:
    logs = []
    for split in (whole, one_by_one):
        pair = Pair(split=split, algorithms=algorithms(kex="curve25519-sha256"))
        pair.run()
        logs.append([type(event) for event in pair.client_events])
    assert logs[0] == logs[1]


def test_splits_join_to_the_same_bytes() -> None:
    for split in (whole, one_by_one):
        assert b"".join(split(b"abc")) == b"abc"
    assert list(one_by_one(b"ab")) == [b"a", b"b"]


def test_the_host_key_is_the_same_for_the_process() -> None:
    assert host_key() is host_key()
    pair = Pair()
    pair.run()
    (ask,) = of(pair.client_events, AskHostKey)
    assert isinstance(ask, AskHostKey)
    assert ask.key == host_key().public


def test_a_question_without_an_answer_stays_open() -> None:
    def silent(ask: Ask) -> Answer | None:
        return None if isinstance(ask, AskUser) else agreeable(ask)

    pair = Pair(answers_server=silent)
    pair.run()
    assert pair.server.phase is Phase.AUTHENTICATION
    assert not pair.server.wants_input


def test_agreeable_takes_its_own_password_only() -> None:
    assert agreeable(AskPassword(user="a", password=PASSWORD)) == Granted()
    assert isinstance(agreeable(AskPassword(user="a", password="other")), Denied)
    pair = Pair(answers_server=lambda ask: agreeable(ask))
    pair.run()
    (result,) = of(pair.server_events, AuthResult)
    assert isinstance(result, AuthResult)
    assert result.outcome == "success"


def test_the_same_seed_draws_the_same_cookies() -> None:
    first, again, other = (
        Pair(seed=seed, algorithms=algorithms(kex="curve25519-sha256")) for seed in (1, 1, 2)
    )
    starts = [bytes(pair.server.take_output()) for pair in (first, again, other)]
    assert starts[0] == starts[1]
    assert starts[0] != starts[2]
