"""PKCS#11 tokens, whose libraries the agent loads."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from cli.add.held import CERTIFICATE, KEY, Answers, save, save_certificate
from nacre.agent.client import Agent
from nacre.cli.add.arguments import AddRefused
from nacre.errors import UnusableKey
from nacre.keys.agents.constraints import Constraints

Do = Callable[..., Awaitable[bool]]


async def test_a_token_is_added_with_certificates_and_removed(
    do: Do,
    answers: Answers,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    done: list[tuple[object, ...]] = []

    async def add(self: Agent, provider: str, pin: str, constraints: Constraints) -> None:
        done.append((provider, pin, constraints))

    async def remove(self: Agent, provider: str, pin: str = "") -> None:
        done.append((provider, pin))

    monkeypatch.setattr(Agent, "add_token", add)
    monkeypatch.setattr(Agent, "remove_token", remove)
    answers += ["1234"]
    certificate = save_certificate(save(tmp_path / "key", KEY))
    assert await do("-s", "/lib/token.so", "-C", certificate)
    assert await do("-e", "/lib/token.so")
    wanted = Constraints(certificates=(CERTIFICATE,), certificates_only=True)
    assert done == [("/lib/token.so", "1234", wanted), ("/lib/token.so", "")]
    said = "Card added: /lib/token.so\nCard removed: /lib/token.so\n"
    assert capsys.readouterr().err == said


async def test_an_agent_without_tokens(
    do: Do, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(self: Agent, provider: str, pin: str = "") -> None:
        raise UnusableKey("the agent refuses to forget the token")

    monkeypatch.setattr(Agent, "remove_token", refuse)
    with pytest.raises(AddRefused, match=r'Could not remove card "/lib/token\.so": the'):
        await do("-e", "/lib/token.so")


async def test_resident_keys_are_another_programs(do: Do) -> None:
    with pytest.raises(AddRefused, match="nacre keygen -K"):
        await do("-K")
