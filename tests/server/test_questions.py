"""Questions to the policy: a failure is a refusal, is logged, and stops no other question."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from nacre.aio.maybe import Maybe
from nacre.errors import ConnectionLost
from nacre.server.policy import Policy
from nacre.server.questions import Questions
from server.stand_ins import RecordingConnection


class Welcoming(Policy):
    """``authenticated`` returns when ``release`` is set, or raises ``error``."""

    def __init__(self, error: Exception | None = None) -> None:
        self.release = asyncio.Event()
        self.error = error

    async def authenticated(self, *about: object) -> None:
        await self.release.wait()
        if self.error is not None:
            raise self.error


def fail(policy: Policy) -> bool:
    raise ZeroDivisionError("a bug")


async def fail_later(policy: Policy) -> bool:
    raise ZeroDivisionError("a bug")


async def agree_later(policy: Policy) -> bool:
    return True


async def test_an_answer_is_returned_plain_or_from_a_coroutine() -> None:
    questions = Questions(RecordingConnection(), Policy())
    assert await questions.ask(lambda policy: True) is True
    question: Callable[[Policy], Maybe[bool]] = agree_later
    assert await questions.ask(question) is True


@pytest.mark.parametrize("question", [fail, fail_later])
async def test_a_policy_that_raises_answers_none_and_is_recorded(question: Any) -> None:
    connection = RecordingConnection()
    questions = Questions(connection, Policy())
    answers: list[object] = []
    assert await questions.ask(question) is None
    questions.ask_then(question, answers.append)
    await connection.idle()
    assert answers == [None]
    assert [record["what"] for record in connection.recorded("error")] == ["the policy failed"] * 2


async def test_a_plain_answer_takes_no_task() -> None:
    connection = RecordingConnection()
    answers: list[object] = []
    Questions(connection, Policy()).ask_then(lambda policy: True, answers.append)
    assert answers == [True]
    Questions(connection, Policy()).ask_then(agree_later, answers.append)
    assert answers == [True]
    await connection.idle()
    assert answers == [True, True]


async def test_questions_wait_until_the_policy_has_taken_note_of_the_login() -> None:
    connection, policy = RecordingConnection(), Welcoming()
    questions = Questions(connection, policy)
    await questions.wait_welcomed()  # before the login there is nothing to wait for
    questions.welcome(connection)
    waiting = asyncio.create_task(questions.wait_welcomed())
    await asyncio.sleep(0)
    assert not waiting.done()
    policy.release.set()
    async with asyncio.timeout(30):
        await waiting
    assert connection.failures == []


@pytest.mark.parametrize("plain", [False, True])
async def test_a_policy_that_can_not_take_note_ends_the_connection(plain: bool) -> None:
    class Plain(Policy):
        def authenticated(self, *about: object) -> None:
            raise ZeroDivisionError("a bug")

    connection, policy = RecordingConnection(), Welcoming(ZeroDivisionError("a bug"))
    policy.release.set()
    questions = Questions(connection, Plain() if plain else policy)
    questions.welcome(connection)
    async with asyncio.timeout(30):
        await questions.wait_welcomed()
    ((error, _, description),) = connection.failures
    assert isinstance(error, ConnectionLost)
    assert description == "the server can't serve this user now"
    assert len(connection.recorded("error")) == 1
