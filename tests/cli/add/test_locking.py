"""The agent is locked and unlocked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from cli.add.held import KEY, Answers
from nacre.agent.client import Agent
from nacre.cli.add.arguments import AddRefused

Do = Callable[..., Awaitable[bool]]


async def test_a_locked_agent_lists_nothing_until_it_is_unlocked(
    agent: Agent, do: Do, answers: Answers, capsys: pytest.CaptureFixture[str]
) -> None:
    await agent.add(KEY)
    answers += ["secret", "secret"]
    assert await do("-x")
    assert await agent.keys() == []
    answers += ["secret"]
    assert await do("-X")
    assert [key for key, _ in await agent.keys()] == [KEY.public]
    assert capsys.readouterr().err == "Agent locked.\nAgent unlocked.\n"
    assert answers.asked == ["Enter lock password: ", "Again: ", "Enter lock password: "]


async def test_two_passphrases_that_differ(agent: Agent, do: Do, answers: Answers) -> None:
    answers += ["one", "two"]
    with pytest.raises(AddRefused, match="do not match"):
        await do("-x")


async def test_an_agent_that_is_not_locked(do: Do, answers: Answers) -> None:
    answers += ["secret"]
    with pytest.raises(AddRefused, match="Failed to unlock agent: the agent refuses"):
        await do("-X")
