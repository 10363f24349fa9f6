"""Challenges for security keys: once, for one use, and not for long."""

from __future__ import annotations

from typing import Any

import pytest

from nacre.cli.api.sessions import challenges as module
from nacre.cli.api.sessions.challenges import LONGEST_CHALLENGE, KeyChallenge, KeyChallenges, Use
from nacre.cli.api.sessions.table import APISession
from nacre.daemon.store.values import User


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def challenges(clock: Clock) -> KeyChallenges:
    return KeyChallenges(clock)


def begin(
    challenges: KeyChallenges, name: str = "alice", use: Use = "sign-in", **more: Any
) -> tuple[str, KeyChallenge]:
    usual = {"address": "192.0.2.7", "origin": "https://files", "rp_id": "files"}
    return challenges.begin(use, User(name=name, password="hash"), **{**usual, **more})


def session() -> APISession:
    return APISession(user="alice", password="hash", address="192.0.2.7", began=0, used=0)


def test_a_challenge_counts_once_and_is_different_each_time(challenges: KeyChallenges) -> None:
    ticket, made = begin(challenges)
    other, second = begin(challenges)
    assert (made.user, made.password, made.rp_id) == ("alice", "hash", "files")
    assert len({made.text, second.text}) == len({ticket, other}) == 2
    assert len(made.text) == 32
    assert challenges.take(ticket, "sign-in") is made
    assert challenges.take(ticket, "sign-in") is None
    assert challenges.take(other, "sign-in") is second
    assert challenges.take("", "sign-in") is None


def test_it_is_for_one_use_in_one_session_and_a_wrong_one_uses_it_up(
    challenges: KeyChallenges,
) -> None:
    own, foreign = session(), session()
    ticket, _ = begin(challenges, use="proof", session=own)
    assert challenges.take(ticket, "enrolment", own) is None
    assert challenges.take(ticket, "proof", own) is None
    for wrong in (foreign, None):
        ticket, _ = begin(challenges, use="proof", session=own)
        assert challenges.take(ticket, "proof", wrong) is None
        assert challenges.take(ticket, "proof", own) is None
    ticket, made = begin(challenges, use="proof", session=own)
    assert challenges.take(ticket, "proof", own) is made


def test_it_counts_for_a_short_time(challenges: KeyChallenges, clock: Clock) -> None:
    early, _ = begin(challenges)
    clock.now += LONGEST_CHALLENGE - 1
    late, made = begin(challenges)
    clock.now += 1
    assert challenges.take(early, "sign-in") is None
    assert challenges.take(late, "sign-in") is made


def test_the_oldest_of_a_user_and_of_all_makes_room(
    challenges: KeyChallenges, monkeypatch: pytest.MonkeyPatch
) -> None:
    bob, bobs = begin(challenges, "bob")
    found = [begin(challenges)[0] for _ in range(module.MOST_CHALLENGES_OF_USER + 2)]
    taken = [challenges.take(one, "sign-in") is not None for one in found]
    assert taken == [False] * 2 + [True] * module.MOST_CHALLENGES_OF_USER
    assert challenges.take(bob, "sign-in") is bobs, "those of others stay"
    monkeypatch.setattr(module, "MOST_CHALLENGES", 3)
    found = [begin(challenges, f"user{n}")[0] for n in range(4)]
    assert [challenges.take(one, "sign-in") is not None for one in found] == [False] + [True] * 3
