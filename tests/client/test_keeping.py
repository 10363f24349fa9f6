"""AddKeysToAgent: keys of files that a login has used."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from nacre.client.keeping import KeepInAgent
from nacre.errors import UnusableKey
from nacre.keys import PrivateKey, generate
from nacre.keys.agents.constraints import Constraints

KEY = generate("ssh-ed25519")


class Held:
    """Stands in for an agent."""

    def __init__(self, refuses: bool = False) -> None:
        self.added: list[tuple[str, Constraints]] = []
        self.refuses = refuses

    async def add(self, key: PrivateKey, constraints: Constraints) -> None:
        if self.refuses:
            raise UnusableKey("the agent is full")
        self.added.append((key.comment, constraints))


async def keep(word: str, answer: bool | None = None, refuses: bool = False) -> tuple[Held, str]:
    said: list[str] = []

    async def confirm(question: str) -> bool:
        said.append(question)
        return bool(answer)

    agent = Held(refuses)
    asked = None if answer is None else confirm
    await KeepInAgent(agent, word, asked, said.append)(KEY, "file")  # type: ignore[arg-type]
    return agent, " ".join(said)


@pytest.mark.parametrize(
    ("word", "constraints"),
    [
        ("true", Constraints()),
        ("confirm", Constraints(confirm=True)),
        ("90", Constraints(lifetime=90)),
        ("confirm 90", Constraints(confirm=True, lifetime=90)),
    ],
)
async def test_what_the_agent_is_told(word: str, constraints: Constraints) -> None:
    agent, said = await keep(word)
    assert agent.added == [("file", constraints)]
    assert said == "identity added to agent: file"


@pytest.mark.parametrize(("answer", "added"), [(True, 1), (False, 0), (None, 0)])
async def test_the_user_is_asked_if_there_is_one(answer: bool | None, added: int) -> None:
    agent, said = await keep("ask", answer)
    assert len(agent.added) == added
    assert ("Add key file (file) to agent?" in said) is (answer is not None)


async def test_an_agent_that_refuses_is_a_detail() -> None:
    _, said = await keep("true", refuses=True)
    assert said == "could not add identity file to the agent: the agent is full"


async def test_the_agent_talks_to_security_keys_itself() -> None:
    agent = Held()
    public = SimpleNamespace(plain=SimpleNamespace(type="sk-ssh-ed25519@openssh.com"))
    key = SimpleNamespace(comment="a token's", public=public)
    await KeepInAgent(agent, "90", None, str)(key, "file")  # type: ignore[arg-type]
    assert agent.added == [("a token's", Constraints(lifetime=90, provider="internal"))]
