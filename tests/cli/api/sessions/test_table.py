"""The sessions of users who have signed in."""

from __future__ import annotations

import pytest

from nacre.cli.api.sessions import table
from nacre.cli.api.sessions.table import IDLE, LONGEST, MOST_OF_USER, PREFIX, PROOF, APISessions
from nacre.daemon.store.values import User


class Moments:
    def __init__(self) -> None:
        self.now = 1.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Moments:
    return Moments()


@pytest.fixture
def sessions(clock: Moments) -> APISessions:
    return APISessions(clock)


def begun(sessions: APISessions, name: str = "alice") -> str:
    return sessions.begin(User(name=name, password="$hash"), "192.0.2.7")


def test_a_token_is_known_until_the_session_ends(sessions: APISessions) -> None:
    one, two = begun(sessions), begun(sessions)
    assert one != two
    found = sessions.find(one)
    assert found is not None
    assert (found.user, found.password, found.address) == ("alice", "$hash", "192.0.2.7")
    for wrong in ("", PREFIX, one[:-1], one + "0", one.upper(), "\udcff"):
        assert sessions.find(wrong) is None
    sessions.end(found)
    assert sessions.find(one) is None
    assert sessions.find(two) is not None


def test_a_session_ends_when_it_is_idle_and_when_it_is_old(
    sessions: APISessions, clock: Moments
) -> None:
    idle, used = begun(sessions), begun(sessions)
    while clock.now < LONGEST:
        assert sessions.find(used) is not None
        clock.now += IDLE - 1
    assert sessions.find(idle) is None
    clock.now = 1.0 + LONGEST
    assert sessions.find(used) is None


def test_to_look_at_a_session_does_not_use_it(sessions: APISessions, clock: Moments) -> None:
    token = begun(sessions)
    clock.now += IDLE - 1
    assert sessions.find(token, used=False) is not None
    clock.now += 1
    assert sessions.find(token) is None


def test_sessions_are_bounded_of_a_user_and_of_all(
    sessions: APISessions, clock: Moments, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = begun(sessions, "bob")
    tokens = []
    for _ in range(MOST_OF_USER + 1):
        clock.now += 1
        tokens.append(begun(sessions))
    assert sessions.find(tokens[0]) is None
    assert all(sessions.find(one) is not None for one in tokens[1:])
    assert sessions.find(other) is not None, "one user takes nothing from another one"
    monkeypatch.setattr(table, "MOST_SESSIONS", MOST_OF_USER + 1)
    clock.now += 1
    begun(sessions, "carol")
    assert sum(sessions.find(one) is not None for one in (other, *tokens)) == MOST_OF_USER


def test_what_was_shown_again_counts_for_a_while_in_its_session(
    sessions: APISessions, clock: Moments
) -> None:
    one, other = sessions.find(begun(sessions)), sessions.find(begun(sessions))
    assert one is not None
    assert other is not None
    assert sessions.proof_left(one) == 0
    sessions.prove(one)
    clock.now += 100
    assert (sessions.proof_left(one), sessions.proof_left(other)) == (PROOF - 100, 0)
    clock.now += PROOF
    assert sessions.proof_left(one) == 0
