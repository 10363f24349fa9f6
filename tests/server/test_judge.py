"""The judge of a login, of a client that is no connection of this process."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from nacre.errors import DisconnectCode, NacreError
from nacre.keys import generate
from nacre.protocol.asks import (
    Answer,
    Ask,
    AskHostBased,
    AskKeyboardInteractive,
    AskPassword,
    AskPublicKey,
    AskUser,
    Challenge,
    ClientHost,
    Denied,
    Granted,
    KeyTerms,
    PasswordExpired,
    UserRequirement,
)
from nacre.server.judge import Judge
from nacre.server.peer import NO_TERMS, Client
from nacre.server.policy import ANY_METHOD, Policy, Users
from nacre.server.questions import Questions
from nacre.value import replace

KEY = generate("ssh-ed25519").public


class Visitor(Client):
    """A client of which only what a policy sees is there."""

    def __init__(self) -> None:
        self.id, self.user, self.methods = 3, "", ("publickey",)
        self.peer, self.local = ("192.0.2.1", 40000), ("192.0.2.2", 22)
        self.host, self.terms, self.accept_env = self.peer[0], NO_TERMS, ()
        self.records: list[dict[str, object]] = []
        self._log = lambda record: self.records.append(dict(record))
        self.answers: list[tuple[int, Answer]] = []
        self.refused: list[str] = []
        self.tasks: list[asyncio.Task[None]] = []

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        self.tasks.append(asyncio.get_running_loop().create_task(work))
        return self.tasks[-1]

    def answer(self, ask_id: int, answer: Answer) -> None:
        self.answers.append((ask_id, answer))

    def fail(self, error: NacreError, code: DisconnectCode, description: str) -> None:
        raise AssertionError(description)

    def refuse(self, user: str) -> None:
        self.refused.append(user)


async def judged(policy: Policy, ask: Ask, client: Visitor | None = None) -> Answer:
    client = client or Visitor()
    ask.ask_id = 5
    Judge(client, Questions(client, policy), "hello").take(ask)
    async with asyncio.timeout(30):
        for task in client.tasks:
            await task
    ((number, answer),) = client.answers
    assert number == 5
    return answer


async def test_the_users_methods_come_with_the_servers_banner() -> None:
    client = Visitor()
    answer = await judged(Policy(), AskUser(user="alice"), client)
    assert answer == replace(ANY_METHOD, banner="hello")
    # Those of another user count no longer.
    assert client.methods == ()


async def test_a_name_is_looked_up_before_the_policy_is_asked() -> None:
    class Hosts(Policy):
        def requirement(self, user: str, connection: Client) -> UserRequirement:
            return UserRequirement((frozenset({connection.host}),), banner="")

    async def resolve(address: str) -> str:
        await asyncio.sleep(0)
        return f"name-of-{address}"

    client = Visitor()
    client.terms = replace(NO_TERMS, resolve=resolve)
    answer = await judged(Hosts(), AskUser(user="alice"), client)
    assert isinstance(answer, UserRequirement)
    assert answer.requirement == (frozenset({"name-of-192.0.2.1"}),)


async def test_a_user_whom_the_configuration_refuses_gets_no_answer() -> None:
    client = Visitor()
    client.terms = replace(NO_TERMS, refuse=True)
    ask = AskUser(user="alice")
    ask.ask_id = 1
    Judge(client, Questions(client, Policy()), "").take(ask)
    assert (client.refused, client.answers) == (["alice"], [])


async def test_passwords_and_keys() -> None:
    users = Users({"alice": ["right", KEY]})
    key = AskPublicKey(user="alice", key=KEY, algorithm="ssh-ed25519", signed=True)
    other = AskPublicKey(user="bob", key=KEY, algorithm="ssh-ed25519", signed=True)
    assert await judged(users, AskPassword(user="alice", password="right")) == Granted()
    assert isinstance(await judged(users, AskPassword(user="alice", password="no")), Denied)
    assert await judged(users, key) == Granted()
    assert isinstance(await judged(users, other), Denied)


async def test_prompts() -> None:
    users = Users({"alice": "right"})
    asked = AskKeyboardInteractive(user="alice", submethods="")
    assert isinstance(await judged(users, asked), Challenge)
    answered = AskKeyboardInteractive(user="alice", submethods="", responses=("right",))
    assert await judged(users, answered) == Granted()


async def test_a_new_password_is_changed_and_not_compared() -> None:
    class Changes(Policy):
        def password(self, *about: object) -> PasswordExpired:
            return PasswordExpired("choose another")

        async def change_password(self, user: str, old: str, new: str, _: Client) -> bool:
            return (old, new) == ("old", "new")

    expired = await judged(Changes(), AskPassword(user="a", password="old"))
    assert expired == PasswordExpired("choose another")
    changed = AskPassword(user="a", password="old", new_password="new")
    assert await judged(Changes(), changed) == Granted()


@pytest.mark.parametrize("answer", [None, "yes", 1, KeyTerms(), Challenge("", "", ())])
async def test_what_is_no_answer_to_the_question_denies(answer: object) -> None:
    class Wrong(Policy):
        def host_based(self, *about: object) -> Any:
            return answer

    host = ClientHost("client.example.com", "root", KEY, "ssh-ed25519")
    assert await judged(Wrong(), AskHostBased(user="alice", host=host)) == Denied(
        "the policy refuses"
    )


async def test_a_policy_that_fails_at_first_denies_everything_after_that() -> None:
    class Broken(Users):
        def requirement(self, user: str, connection: Client) -> UserRequirement:
            raise ZeroDivisionError("a bug")

    client = Visitor()
    judge = Judge(client, Questions(client, Broken({"alice": "right"})), "")
    for ask in (AskUser(user="alice"), AskPassword(user="alice", password="right")):
        ask.ask_id = len(client.answers)
        judge.take(ask)
    assert [answer for _, answer in client.answers] == [
        replace(ANY_METHOD, banner=""),
        Denied("the policy refuses"),
    ]
    assert [record["event"] for record in client.records] == ["error"]
