"""The dialogue of a login with a browser."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from daemon.accounts.directories.test_found import KEY, AnyConnection
from daemon.accounts.directories.token_program import TokenProgram
from nacre.aio.maybe import settled
from nacre.config.server.files import parse
from nacre.config.server.rules import ServerRules
from nacre.daemon.accounts.directories import device
from nacre.daemon.accounts.directories.device import DeviceUsers
from nacre.daemon.accounts.directories.tokens import EXTENSION
from nacre.daemon.accounts.virtual.policy import StorePolicy
from nacre.daemon.store.store import FILE, UserStore
from nacre.daemon.store.values import Group
from nacre.errors import AccountError
from nacre.keys import generate
from nacre.keys.certificate import Certificate, option
from nacre.protocol.asks import Challenge, KeyTerms

AUTHORITY = generate("ssh-ed25519")

BEGUN = {
    "device_code": "a",
    "user_code": "WDJB",
    "url": "https://x/activate",
    "seconds": 60,
    "interval": 1,
}
WAIT = {"wait": True, "slower": False}


class Asked:
    """Answers in the order in which they are given."""

    def __init__(self) -> None:
        self.answers: list[Any] = []
        self.questions: list[Mapping[str, object]] = []

    def __call__(self, question: Mapping[str, object], /) -> object:
        self.questions.append(question)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest.fixture
def policy(asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr(device, "_FASTEST", 0.0)
    monkeypatch.setattr(device, "_SLOWEST", 0.0)
    store = UserStore(tmp_path / FILE)
    policy = StorePolicy(store, "root", users=DeviceUsers(asked, store))
    yield policy
    policy.close()
    store.close()


async def step(policy: Any, connection: Any, *responses: str, name: str = "alice") -> Any:
    given = responses or None
    return await policy.keyboard_interactive(name, "", given, connection)


async def test_a_login(policy: Any, asked: Asked) -> None:
    connection = AnyConnection()
    required = await settled(policy.requirement("alice", connection))
    assert required.requirement == (frozenset({"keyboard-interactive"}),)
    asked.answers = [BEGUN, WAIT, {"wait": True, "slower": True}, {"name": "alice", "groups": []}]
    challenge = await step(policy, connection)
    assert isinstance(challenge, Challenge)
    text = challenge.prompts[0].text
    assert "https://x/activate" in text
    assert "WDJB" in text
    assert await step(policy, connection, "") is True
    assert [one.get("device_code") for one in asked.questions] == [None, "a", "a", "a"]
    assert (await policy.login("alice", connection)).name == "alice"


async def test_another_name_is_another_user(policy: Any, asked: Asked) -> None:
    connection = AnyConnection()
    asked.answers = [BEGUN, {"name": "Alice", "groups": []}]
    await step(policy, connection)
    assert await step(policy, connection, "") is False
    assert connection.reasons == ["at the issuer the user is Alice"]


async def test_responses_to_no_question(policy: Any, asked: Asked) -> None:
    connection = AnyConnection()
    assert await step(policy, connection, "") is False
    asked.answers = [BEGUN]
    await step(policy, connection)
    assert await step(policy, connection, "", name="bob") is False
    assert await step(policy, connection, "") is False
    assert set(connection.reasons) == {"responses to no question"}


@pytest.mark.parametrize(
    "answer",
    [
        AccountError("it is down"),
        ValueError("x"),
        [],
        {},
        {**BEGUN, "url": "a\x1b[2J"},
        {**BEGUN, "interval": "1"},
        {**BEGUN, "seconds": 0},
    ],
)
async def test_a_beginning_that_fails(policy: Any, asked: Asked, answer: object) -> None:
    connection = AnyConnection()
    asked.answers = [answer]
    assert await step(policy, connection) is False
    assert "no login at the issuer" in str(connection.reasons)


@pytest.mark.parametrize(
    "answer",
    [
        AccountError("it is down"),
        [],
        {},
        {"wait": False},
        {"name": ["alice"], "groups": []},
        {"name": "alice"},
        {"name": "alice", "groups": "staff"},
        {"name": "alice", "groups": [1]},
        {"name": "alice", "groups": ["ghosts"]},
    ],
)
async def test_an_end_that_fails(policy: Any, asked: Asked, answer: object) -> None:
    connection = AnyConnection()
    asked.answers = [BEGUN, answer]
    await step(policy, connection)
    assert await step(policy, connection, "") is False
    assert "no login at the issuer" in str(connection.reasons)


async def test_nobody_waits_for_ever(
    policy: Any, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = AnyConnection()
    monkeypatch.setattr(device, "_PATIENCE", 0.0)
    asked.answers = [BEGUN]
    await step(policy, connection)
    assert await step(policy, connection, "") is False
    assert "in time" in str(connection.reasons)


async def test_nothing_else_lets_in(policy: Any, asked: Asked) -> None:
    connection = AnyConnection()
    await settled(policy.requirement("alice", connection))
    assert await policy.password("alice", "secret", connection) is False
    assert await settled(policy.public_key("alice", KEY, "", True, connection)) is False
    assert await step(policy, connection, name="../etc") is False
    token = TokenProgram().certificate("a:b:c")
    assert await settled(policy.public_key("alice", token, "", True, connection)) is False
    assert asked.questions == []


# --- tokens ---

PROGRAM = TokenProgram()
ALICE = {"name": "alice", "groups": []}


@pytest.fixture
def trusting(asked: Asked, tmp_path: Path) -> Iterator[Any]:
    """A policy by which tokens log in, and whose group of the store says more of a user."""
    store = UserStore(tmp_path / FILE)
    store.groups.add(Group(name="late", expires=1))
    store.groups.add(Group(name="staff", service="shell"))
    authorities = tmp_path / "authorities"
    authorities.write_text(f"{AUTHORITY.public}\n")
    policy = StorePolicy(
        store,
        "root",
        users=DeviceUsers(asked, store, tokens=True),
        rules=ServerRules(parse([f"TrustedUserCAKeys={authorities}"])),
    )
    yield policy
    policy.close()
    store.close()


async def show(policy: Any, connection: Any, key: Any, *, signed: bool = True) -> Any:
    return await settled(policy.public_key("alice", key, "", signed, connection))


async def test_a_token_logs_in(trusting: Any, asked: Asked) -> None:
    connection: Any = AnyConnection()
    connection.methods = ()
    required = await settled(trusting.requirement("alice", connection))
    assert required.requirement == (
        frozenset({"publickey"}),
        frozenset({"keyboard-interactive"}),
    )
    asked.answers = [{"name": "alice", "groups": ["staff"]}]
    key = PROGRAM.certificate("a:b:c")
    # What is asked about once for a query counts for the signature.
    assert isinstance(await show(trusting, connection, key, signed=False), KeyTerms)
    assert isinstance(await show(trusting, connection, key), KeyTerms)
    assert asked.questions == [{"question": "token", "token": "a:b:c", "key": PROGRAM.key}]
    connection.methods = ("publickey",)
    assert (await trusting.login("alice", connection)).service == "shell"
    assert connection.reasons == []


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (AccountError("the nonce is wrong"), "no login by a token: the nonce is wrong"),
        (ValueError("x"), r"no login by a token: it failed \(ValueError\)"),
        ({"name": "bob", "groups": []}, "at the issuer the user is bob"),
        ({"name": "alice", "groups": [1]}, "no login by a token: the groups"),
        ({"name": "alice", "groups": ["ghosts"]}, "no login by a token: .*ghosts"),
        ({"name": "alice", "groups": ["late"]}, "the user has expired"),
        ([], "no login by a token: the answer is no object"),
    ],
)
async def test_a_token_that_does_not_log_in(
    trusting: Any, asked: Asked, answer: object, reason: str
) -> None:
    connection = AnyConnection()
    asked.answers = [answer]
    key = PROGRAM.certificate("a:b:c")
    assert await show(trusting, connection, key, signed=False) is False
    assert await show(trusting, connection, key) is False
    assert len(asked.questions) == 1
    assert re.match(reason, str(connection.reasons[0]))


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"authority": AUTHORITY}, "not signed by its own key"),
        ({"extensions": {EXTENSION: b"x"}}, "damaged"),
    ],
)
async def test_a_certificate_without_a_token_that_can_be_read(
    trusting: Any, asked: Asked, more: dict[str, Any], reason: str
) -> None:
    connection = AnyConnection()
    assert await show(trusting, connection, PROGRAM.certificate("a", **more)) is False
    assert reason in str(connection.reasons)
    assert asked.questions == []


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"principals": ["bob"]}, "not among the certificate's principals"),
        ({"valid_before": 1}, "has expired"),
        ({"kind": "host"}, "not a user's certificate"),
        ({"critical_options": {"source-address": option("198.51.100.0/24")}}, "address"),
        ({"critical_options": {"unknown": b""}}, "is not known"),
    ],
)
async def test_what_the_certificate_says_holds_too(
    trusting: Any, asked: Asked, more: dict[str, Any], reason: str
) -> None:
    connection = AnyConnection()
    asked.answers = [ALICE]
    assert await show(trusting, connection, PROGRAM.certificate("a", **more)) is False
    assert reason in str(connection.reasons)


async def test_a_trusted_authority_does_not_vouch_for_users_of_an_issuer(
    trusting: Any, asked: Asked
) -> None:
    connection = AnyConnection()
    key = Certificate.issue(KEY, AUTHORITY, principals=["alice"])
    assert await show(trusting, connection, key) is False
    assert await show(trusting, connection, KEY) is False
    assert asked.questions == []


async def test_a_token_counts_for_its_certificate_alone(trusting: Any, asked: Asked) -> None:
    connection: Any = AnyConnection()
    connection.methods = ()
    mine, shown = PROGRAM.certificate("mine"), TokenProgram().certificate("shown")
    asked.answers = [ALICE, {"name": "alice", "groups": ["staff"]}]
    assert await show(trusting, connection, mine, signed=False)
    # Another token of the user, which the client has only seen, brings no groups.
    assert await show(trusting, connection, shown, signed=False)
    assert await show(trusting, connection, mine)
    assert (await trusting.login("alice", connection)).service != "shell"
    # The key of a token that is right vouches for no other key.
    other = Certificate.issue(KEY, PROGRAM.private, principals=["alice"])
    assert await show(trusting, connection, other) is False


async def test_a_browser_logs_in_beside_tokens(
    trusting: Any, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "_FASTEST", 0.0)
    connection = AnyConnection()
    asked.answers = [BEGUN, ALICE]
    assert isinstance(await step(trusting, connection), Challenge)
    assert await step(trusting, connection, "") is True
