"""Users of a directory: what is asked, how often, and what a failure does."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon.accounts.test_policy import Connection
from nacre.aio.maybe import settled
from nacre.daemon.accounts.directories import asking, found
from nacre.daemon.accounts.directories.found import FoundUsers
from nacre.daemon.accounts.directories.values import Asker, FoundUser, PasswordOutcome
from nacre.daemon.accounts.virtual.policy import StorePolicy
from nacre.daemon.store.store import FILE, UserStore
from nacre.daemon.store.values import Group, StoredKey, StoredUser
from nacre.errors import AccountError
from nacre.keys import generate

KEY = generate("ssh-ed25519").public


class FakeDirectory:
    """Users in memory, and a gate that holds up questions while it is closed."""

    def __init__(self) -> None:
        self.users: dict[str, FoundUser] = {}
        self.asked: list[tuple[str, ...]] = []
        self.error: Exception | None = None
        self.outcome: PasswordOutcome = "right"
        self.begun = threading.Event()
        self.open = threading.Event()
        self.open.set()

    def add(self, name: str, **settings: Any) -> None:
        user = StoredUser(name=name, **settings)
        self.users[name] = FoundUser(user=user, keys=(StoredKey(KEY, "", options=""),))

    def find(self, asker: Asker) -> FoundUser | None:
        self.asked.append(("find", asker.name))
        self.begun.set()
        assert self.open.wait(30)
        if self.error is not None:
            raise self.error
        return self.users.get(asker.name)

    def check(self, asker: Asker, password: str) -> PasswordOutcome:
        self.asked.append(("password", asker.name, password))
        assert self.open.wait(30)
        if self.error is not None:
            raise self.error
        return self.outcome


class AnyConnection(Connection):
    """A connection that takes every record."""

    def __init__(self, address: str = "192.0.2.1") -> None:
        super().__init__()
        self.peer = (address, 40000)

    def record(self, event: str, **fields: object) -> None:
        self.reasons.append(fields.get("reason", fields.get("error")))


@pytest.fixture
def directory() -> FakeDirectory:
    return FakeDirectory()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[UserStore]:
    store = UserStore(tmp_path / FILE)
    yield store
    store.close()


@pytest.fixture
def users(directory: FakeDirectory, store: UserStore) -> Iterator[Any]:
    users = FoundUsers(directory, store, accounts=frozenset({"files"}))
    yield users
    users.close()


@pytest.fixture
def policy(users: FoundUsers, store: UserStore) -> Iterator[Any]:
    policy = StorePolicy(store, "root", users=users)
    yield policy
    policy.close()


async def look_up(users: Any, name: str, connection: Any) -> Any:
    await users.look_up(name, connection)
    return users.find(name, connection)


async def test_a_user_has_the_settings_of_directory_and_groups(
    users: Any, directory: FakeDirectory, store: UserStore
) -> None:
    store.groups.add(Group(name="staff", service="sftp", root="/srv/%u", password_expires=1))
    directory.add("alice", groups=("staff",), run_as="files", max_sessions=2)
    user = await look_up(users, "alice", AnyConnection())
    assert (user.service, user.root, user.run_as) == ("sftp", "/srv/alice", "files")
    assert (user.groups, user.max_sessions, user.password) == (("staff",), 2, None)
    # The store knows nothing of the age of this password.
    assert not user.password_expired()


async def test_an_account_is_named_only_where_that_is_allowed(
    users: Any, directory: FakeDirectory
) -> None:
    directory.add("alice", run_as="root")
    connection = AnyConnection()
    assert await look_up(users, "alice", connection) is None
    assert "names the account root" in users.absence("alice", connection)


async def test_a_group_that_is_not_there_refuses(users: Any, directory: FakeDirectory) -> None:
    directory.add("alice", groups=("ghosts",))
    connection = AnyConnection()
    assert await look_up(users, "alice", connection) is None
    assert "nacre group add" in users.absence("alice", connection)


async def test_an_answer_holds_for_a_while(
    users: Any, directory: FakeDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory.add("alice")
    for name in ("alice", "ghost"):
        for _ in range(3):
            await look_up(users, name, AnyConnection())
    assert directory.asked == [("find", "alice"), ("find", "ghost")]
    connection = AnyConnection("192.0.2.2")
    await look_up(users, "alice", connection)
    assert len(directory.asked) == 3
    # For one connection it is asked once; but at a session, again.
    users._recent.clear()
    assert users.look_up("alice", connection) is None
    await users.look_up("alice", connection, again=True)
    assert len(directory.asked) == 4


async def test_logins_at_the_same_time_ask_once(users: Any, directory: FakeDirectory) -> None:
    directory.add("alice")
    directory.open.clear()
    logins = [asyncio.create_task(look_up(users, "alice", AnyConnection())) for _ in range(20)]
    await asyncio.to_thread(directory.begun.wait, 30)
    logins[0].cancel()
    directory.open.set()
    found = await asyncio.gather(*logins[1:])
    assert {user.name for user in found} == {"alice"}
    assert directory.asked == [("find", "alice")]


async def test_what_is_remembered_is_bounded(
    users: Any, directory: FakeDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(found, "_KEPT", 4)
    for number in range(10):
        await look_up(users, f"user{number}", AnyConnection())
    assert len(users._recent) == 4


@pytest.mark.parametrize("error", [AccountError("it is down"), RuntimeError("secret"), OSError()])
async def test_a_failure_refuses_and_is_logged(
    policy: Any, directory: FakeDirectory, error: Exception
) -> None:
    directory.add("alice")
    directory.error = error
    connection = AnyConnection()
    await settled(policy.requirement("alice", connection))
    assert await settled(policy.public_key("alice", KEY, "", True, connection)) is False
    assert await policy.password("alice", "secret", connection) is False
    told = "it is down" if isinstance(error, AccountError) else f"({type(error).__name__})"
    assert all(told in str(reason) for reason in connection.reasons)
    assert len(connection.reasons) == 3
    assert [kind for kind, *_ in directory.asked] == ["find"]
    assert "secret" not in str(connection.reasons)


async def test_a_question_that_takes_too_long_is_not_waited_for(
    users: Any, directory: FakeDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "SECONDS", 0.01)
    directory.open.clear()
    connection = AnyConnection()
    assert await look_up(users, "alice", connection) is None
    assert "took more than" in users.absence("alice", connection)
    directory.open.set()


async def test_names_that_nobody_has_are_not_asked(policy: Any, directory: FakeDirectory) -> None:
    for name in ("*", "a)(uid=*", "../etc", "-n", "a b", "", "a" * 65, "a\n"):
        connection = AnyConnection()
        await settled(policy.requirement(name, connection))
        assert await policy.password(name, "x", connection) is False
        assert connection.reasons == ["unknown user"]
    assert directory.asked == []


async def test_passwords_that_prove_nothing_are_not_asked(
    policy: Any, directory: FakeDirectory
) -> None:
    directory.add("alice")
    for password in ("", "a\0b", "a" * 10000):
        assert await policy.password("alice", password, AnyConnection()) is False
    assert directory.asked == [("find", "alice")]


async def test_unknown_and_refused_users_take_the_same_questions(
    policy: Any, directory: FakeDirectory
) -> None:
    directory.add("alice")
    directory.add("gone", disabled=True)
    asked = {}
    for name in ("alice", "gone", "ghost"):
        directory.asked.clear()
        connection = AnyConnection()
        requirement = await settled(policy.requirement(name, connection))
        right = await policy.password(name, "secret", connection)
        assert right is (name == "alice")
        asked[name] = [kind for kind, *_ in directory.asked], requirement.requirement
    assert asked["alice"] == asked["gone"] == asked["ghost"]


@pytest.mark.parametrize("outcome", ["wrong", "expired", "yes", True])
async def test_only_right_is_right(policy: Any, directory: FakeDirectory, outcome: Any) -> None:
    directory.add("alice")
    directory.outcome = outcome
    assert await policy.password("alice", "secret", AnyConnection()) is False


async def test_keys_log_in_unless_the_user_is_disabled(
    policy: Any, directory: FakeDirectory
) -> None:
    directory.add("alice")
    directory.add("gone", disabled=True)
    other = generate("ssh-ed25519").public
    for name, key, is_in in (("alice", KEY, True), ("alice", other, False), ("gone", KEY, False)):
        connection = AnyConnection()
        # A gate that was taken over may ask for the key first.
        assert bool(await settled(policy.public_key(name, key, "", True, connection))) is is_in
    assert await policy.rsa_key("alice", 5, AnyConnection()) is None


async def test_a_session_looks_again(policy: Any, directory: FakeDirectory, users: Any) -> None:
    directory.add("alice")
    connection = AnyConnection()
    await settled(policy.requirement("alice", connection))
    assert (await policy.login("alice", connection)).name == "alice"
    directory.add("alice", disabled=True)
    users._recent.clear()
    with pytest.raises(AccountError, match="removed or disabled"):
        await policy.login("alice", connection)
    directory.error = AccountError("it is down")
    users._recent.clear()
    with pytest.raises(AccountError, match="it is down"):
        await policy.login("alice", connection)


async def test_no_certificates_and_no_new_passwords(policy: Any, directory: FakeDirectory) -> None:
    directory.add("alice")
    connection = AnyConnection()
    await settled(policy.requirement("alice", connection))
    with pytest.raises(AccountError, match="users of the store alone"):
        await policy.certify("alice", connection, KEY)
    assert await policy.change_password("alice", "old", "new", connection) is False


@pytest.mark.parametrize("error", [AccountError("it is down"), ValueError("secret")])
async def test_a_password_that_cannot_be_verified_is_wrong(
    policy: Any, directory: FakeDirectory, error: Exception
) -> None:
    directory.add("alice")
    connection = AnyConnection()
    await settled(policy.requirement("alice", connection))
    directory.error = error
    assert await policy.password("alice", "secret", connection) is False
    assert "the directory gave no answer" in str(connection.reasons[-1])
    assert "secret" not in str(connection.reasons)
