"""Keyboard-interactive for the users of the store, asked directly."""

from __future__ import annotations

import os
import re
import time
from base64 import b32decode
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from nacre.config.server.files import parse
from nacre.config.server.rules import ServerRules
from nacre.crypto.password import hash_password, verify_password
from nacre.daemon.accounts.virtual.policy import StorePolicy
from nacre.daemon.store.second_factor.totp import INTERVAL, code_at
from nacre.daemon.store.store import FILE, UserStore
from nacre.daemon.store.values import StoredUser
from nacre.protocol.asks import Challenge, PasswordExpired

SECRET = b"12345678901234567890"
HASH = hash_password(b"secret", os.urandom)
RUN_AS = "root" if os.geteuid() == 0 else None


class Peer:
    """What the policy needs of a connection, and what it has told it."""

    def __init__(self, *methods: str) -> None:
        self.protocol = "2.0"
        self.peer = self.local = ("192.0.2.1", 40000)
        self.methods = methods
        self.looked_up = self.domain = None
        self.host = "192.0.2.1"
        self.terms = None
        self.reasons: list[object] = []

    def record(self, event: str, **fields: object) -> None:
        self.reasons.append(fields.get("reason", fields.get("what")))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[UserStore]:
    with closing(UserStore(tmp_path / FILE)) as store:
        user = StoredUser(name="alice", password=HASH, second_factor="required")
        store.add(user)
        store.factors.enrol("alice", SECRET)
        yield store


@pytest.fixture
def policy(store: UserStore) -> Iterator[Any]:
    policy = StorePolicy(store, RUN_AS)
    yield policy
    policy.close()


def code(secret: bytes = SECRET) -> str:
    return code_at(secret, int(time.time()) // INTERVAL)


async def begin(policy: Any, peer: Peer, user: str = "alice") -> Any:
    methods = peer.methods
    policy.requirement(user, peer)
    peer.methods = methods
    return await policy.keyboard_interactive(user, "", None, peer)


async def answer(policy: Any, peer: Peer, *responses: str, user: str = "alice") -> Any:
    return await policy.keyboard_interactive(user, "", responses, peer)


def prompts(challenge: Any) -> list[str]:
    assert isinstance(challenge, Challenge), challenge
    return [prompt.text for prompt in challenge.prompts]


async def test_the_password_and_then_the_code(policy: Any) -> None:
    peer = Peer()
    assert prompts(await begin(policy, peer)) == ["Password: "]
    assert prompts(await answer(policy, peer, "secret")) == ["Verification code: "]
    assert await answer(policy, peer, code()) is True


@pytest.mark.parametrize("user", ["alice", "plain", "ghost", "off", "keys"])
async def test_a_wrong_password_looks_like_an_unknown_user(
    store: UserStore, policy: Any, user: str
) -> None:
    store.add(StoredUser(name="plain", password=HASH, must_change=True))
    store.add(StoredUser(name="off", password=HASH, disabled=True))
    store.add(StoredUser(name="keys", auth="password"))
    peer = Peer()
    assert prompts(await begin(policy, peer, user)) == ["Password: "]
    assert await answer(policy, peer, "wrong", user=user) is False
    assert await policy.password(user, "wrong", peer) is False
    assert await policy.change_password(user, "wrong", "another one", peer) is False


async def test_responses_to_no_question_count_for_nothing(policy: Any) -> None:
    peer = Peer("publickey")
    assert await answer(policy, peer, code()) is False
    await begin(policy, peer)
    assert await answer(policy, peer, code(), code()) is False
    # The dialogue is over.
    assert await answer(policy, peer, code()) is False
    assert peer.reasons == ["responses to no question"] * 3


async def test_a_user_who_is_named_anew_begins_anew(store: UserStore, policy: Any) -> None:
    store.add(StoredUser(name="bob", password=HASH))
    peer = Peer("publickey")
    assert prompts(await begin(policy, peer)) == ["Verification code: "]
    policy.requirement("bob", peer)
    policy.requirement("alice", peer)
    assert await answer(policy, peer, code()) is False
    assert prompts(await begin(policy, peer)) == ["Verification code: "]
    policy._candidates.begin("bob", peer)
    assert await answer(policy, peer, code(), user="bob") is False


@pytest.mark.parametrize(
    ("auth", "methods", "listed", "first"),
    [
        ("any", (), None, "Password: "),
        ("any", ("publickey",), None, "Verification code: "),
        ("any", ("password",), None, "Verification code: "),
        ("any", ("publickey",), "publickey", "Verification code: "),
        ("any", ("publickey",), "publickey,keyboard-interactive:pam", "Password: "),
        ("any", ("password",), "password,keyboard-interactive", "Verification code: "),
        ("password", ("publickey",), "publickey", "Password: "),
        ("password-publickey", ("publickey",), None, "Password: "),
        ("password-publickey", ("publickey", "password"), None, "Verification code: "),
        ("publickey", ("publickey",), None, "Verification code: "),
        ("publickey", (), None, "Password: "),
    ],
)
async def test_what_the_dialogue_begins_with(
    store: UserStore, auth: str, methods: tuple[str, ...], listed: str | None, first: str
) -> None:
    store.change("alice", auth=auth)
    options = [] if listed is None else [f"AuthenticationMethods={listed}"]
    policy: Any = StorePolicy(store, RUN_AS, rules=ServerRules(parse(options)))
    assert prompts(await begin(policy, Peer(*methods))) == [first]
    policy.close()


async def test_a_second_factor_that_is_gone_meanwhile_is_missing(
    store: UserStore, policy: Any
) -> None:
    store.change("alice", second_factor="optional")
    peer = Peer("publickey")
    policy.requirement("alice", peer)
    store.factors.remove("alice")
    assert await policy.keyboard_interactive("alice", "", None, peer) is False
    assert "the user has no second factor" in str(peer.reasons)


async def test_who_may_not_log_in_is_asked_for_no_code(store: UserStore, policy: Any) -> None:
    peer = Peer("publickey")
    store.change("alice", expires=1)
    assert await begin(policy, peer) is False
    store.change("alice", expires=0)
    await begin(policy, peer)
    store.change("alice", disabled=True)
    assert await answer(policy, peer, code()) is False
    assert peer.reasons == ["the user has expired", "the user is disabled"]


async def test_enrolment(store: UserStore, policy: Any) -> None:
    store.factors.remove("alice")
    peer = Peer("publickey")
    assert await begin(policy, peer) is False
    store.change("alice", enrol_within=3600)
    (shown,) = prompts(await begin(policy, peer))
    key = re.search("into it: ([A-Z2-7]{32})\n", shown)
    assert key is not None
    secret = b32decode(key[1])
    assert await answer(policy, peer, "wrong") is False
    (again,) = prompts(await begin(policy, peer))
    assert again == shown
    (told,) = prompts(await answer(policy, peer, code(secret)))
    codes = re.findall("(?:[A-Z2-7]{4}-){3}[A-Z2-7]{4}", told)
    assert len(codes) == 10
    assert store.factors.recovery_left("alice") == 10
    assert await answer(policy, peer, "") is True
    # The code that has shown it is used up.
    assert store.factors.check("alice", code(secret)) is not None
    assert store.factors.check("alice", codes[3]) is None
    assert "second factor enrolled" in peer.reasons


async def test_of_two_enrolments_the_first_one_counts(store: UserStore, policy: Any) -> None:
    store.factors.remove("alice")
    store.change("alice", enrol_within=3600)
    peer = Peer("publickey")
    (shown,) = prompts(await begin(policy, peer))
    store.factors.enrol("alice", SECRET)
    key = re.search("into it: ([A-Z2-7]{32})\n", shown)
    assert key is not None
    assert await answer(policy, peer, code(b32decode(key[1]))) is False
    assert store.factors.check("alice", code()) is None


async def test_who_was_added_long_ago_enrols_no_more(store: UserStore, policy: Any) -> None:
    store.factors.remove("alice")
    store.change("alice", enrol_within=3600, created=int(time.time()) - 3601)
    assert await begin(policy, Peer("publickey")) is False


# --- passwords that have expired ---


async def test_an_expired_password_is_changed_in_the_dialogue(
    store: UserStore, policy: Any
) -> None:
    store.change("alice", second_factor="none", must_change=True, password_length=8)
    peer = Peer()
    await begin(policy, peer)
    new = ["New password: ", "Repeat the new password: "]
    assert prompts(await answer(policy, peer, "secret")) == new
    asked = await answer(policy, peer, "one longer", "another one")
    assert (prompts(asked), "the two differ" in asked.instruction) == (new, True)
    asked = await answer(policy, peer, "short", "short")
    assert "5 characters" in asked.instruction
    assert await answer(policy, peer, "a longer one", "a longer one") is True
    found = store.user("alice").password
    assert found is not None
    assert verify_password(found, b"a longer one")


async def test_three_passwords_that_can_not_be_end_the_dialogue(
    store: UserStore, policy: Any
) -> None:
    store.change("alice", second_factor="none", must_change=True)
    peer = Peer()
    await begin(policy, peer)
    await answer(policy, peer, "secret")
    for _ in range(2):
        assert isinstance(await answer(policy, peer, "alice", "alice"), Challenge)
    assert await answer(policy, peer, "alice", "alice") is False
    assert store.user("alice").must_change


async def test_a_dialogue_changes_no_password_that_was_set_meanwhile(
    store: UserStore, policy: Any
) -> None:
    store.change("alice", second_factor="none", must_change=True)
    peer = Peer()
    await begin(policy, peer)
    await answer(policy, peer, "secret")
    store.passwords.set("alice", "another", must_change=True)
    asked = await answer(policy, peer, "mine", "mine")
    assert "somebody else" in asked.instruction
    assert store.user("alice").password == "another"


async def test_the_method_password_changes_it_before_no_second_factor(
    store: UserStore, policy: Any
) -> None:
    store.change("alice", must_change=True)
    peer = Peer()
    policy.requirement("alice", peer)
    # The second factor is first; the password counts for it.
    assert await policy.password("alice", "secret", peer) is True
    assert await policy.change_password("alice", "secret", "another one", peer) is False
    peer.methods = ("password",)
    asked = await policy.keyboard_interactive("alice", "", None, peer)
    assert prompts(asked) == ["Verification code: "]
    assert len(prompts(await answer(policy, peer, code()))) == 2
    assert await answer(policy, peer, "another one", "another one") is True


async def test_the_method_password_asks_for_another_one(store: UserStore, policy: Any) -> None:
    store.change("alice", second_factor="none", password_expires=3600, password_length=8)
    peer = Peer()
    policy.requirement("alice", peer)
    assert await policy.password("alice", "secret", peer) is True
    assert await policy.change_password("alice", "secret", "another one", peer) is False
    store.change("alice", password_changed=int(time.time()) - 3600)
    assert isinstance(await policy.password("alice", "secret", peer), PasswordExpired)
    again = await policy.change_password("alice", "secret", "short", peer)
    assert isinstance(again, PasswordExpired)
    assert "5 characters" in again.prompt
    assert await policy.change_password("alice", "secret", "another one", peer) is True
    assert await policy.password("alice", "another one", peer) is True


async def test_a_hash_of_bcrypt_is_changed_too(store: UserStore, policy: Any) -> None:
    import bcrypt

    old = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
    store.change("alice", second_factor="none", must_change=True, password=old)
    peer = Peer()
    policy.requirement("alice", peer)
    assert await policy.change_password("alice", "secret", "another one", peer) is True


async def test_a_one_time_password_stands_for_the_password_and_the_code(
    store: UserStore, policy: Any
) -> None:
    password = store.passwords.issue("alice", "192.0.2.7")
    peer = Peer()
    assert prompts(await begin(policy, peer)) == ["Password: "]
    assert await answer(policy, peer, password) is True
    await begin(policy, peer)
    assert await answer(policy, peer, password) is False
    assert peer.reasons == [None, "an unknown, used or expired one-time password"]


async def test_a_one_time_password_comes_from_the_address_that_the_api_has(
    store: UserStore, policy: Any
) -> None:
    store.change("alice", sources="192.0.2.7/32")
    for address, gets_in in (("192.0.2.7", True), ("192.0.2.8", False)):
        password, peer = store.passwords.issue("alice", address), Peer()
        await begin(policy, peer)
        assert await answer(policy, peer, password) is gets_in
    assert peer.reasons[-1] == "the user may not log in from this address"
    await begin(policy, peer)
    assert await answer(policy, peer, "secret") is False, "the address of another login is over"


@pytest.mark.parametrize("changed", [{"disabled": True}, {"expires": 1}])
async def test_a_one_time_password_is_of_no_use_to_who_may_not_log_in(
    store: UserStore, policy: Any, changed: dict[str, Any]
) -> None:
    password, peer = store.passwords.issue("alice", "192.0.2.7"), Peer()
    store.change("alice", **changed)
    await begin(policy, peer)
    assert await answer(policy, peer, password) is False


async def test_a_one_time_password_is_no_password_of_the_other_method(
    store: UserStore, policy: Any
) -> None:
    password, peer = store.passwords.issue("alice", "192.0.2.7"), Peer()
    policy.requirement("alice", peer)
    assert await policy.password("alice", password, peer) is False
    assert store.passwords.redeem("alice", password) == "192.0.2.7", "it was not used up"


async def test_a_one_time_password_is_of_no_use_where_a_directory_has_the_users(
    store: UserStore, policy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user of the store may have the name of one of the directory."""
    password, peer = store.passwords.issue("alice", "192.0.2.7"), Peer()
    await begin(policy, peer)
    monkeypatch.setattr(policy, "_stored", None)
    assert await policy.vouched("alice", password, peer) is False
