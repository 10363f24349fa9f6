"""An agent in this process, and the program's actions on it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from cli.add.held import Answers
from nacre.agent.client import Agent
from nacre.agent.memory import MemoryKeyring
from nacre.agent.server import serve_agent
from nacre.cli.add.arguments import parse_arguments
from nacre.cli.add.command import act


@pytest.fixture
async def agent() -> AsyncIterator[Agent]:
    async with serve_agent(None, MemoryKeyring()) as served:
        yield Agent(served.path)


@pytest.fixture
def do(agent: Agent) -> Callable[..., Awaitable[bool]]:
    """Do what a command line says."""

    async def do(*words: str | Path) -> bool:
        return await act(agent, parse_arguments([str(word) for word in words]))

    return do


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Answers:
    """Answers to what the program asks for."""
    made = Answers()
    monkeypatch.setattr("nacre.cli.common.prompts.prompt", made.prompt)
    return made
