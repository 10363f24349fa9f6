"""Which calls are done: keys, scopes, rates and forms."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nacre.cli.api.actions import BY_NAME
from nacre.cli.api.call import Problem, Resources
from nacre.cli.api.judge import BURST, REFUSED_BURST, KeyJudge, Permit, ScopeRefused, call_of
from nacre.cli.api.pipe import APICall
from nacre.cli.api.sessions.table import PREFIX
from nacre.daemon.store.api_keys import SCOPES
from nacre.daemon.store.values import StoredUser


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def resources(tmp_path: Path) -> Iterator[Resources]:
    found = Resources(tmp_path)
    yield found
    found.store.close()


@pytest.fixture
def judge(resources: Resources, clock: Clock) -> KeyJudge:
    return KeyJudge(resources, clock)


def asked(action: str = "users.list", token: str = "", **more: Any) -> APICall:
    usual: dict[str, Any] = {"number": 1, "peer": "192.0.2.1:5", "path": (), "query": ()}
    return APICall(**{**usual, "action": action, "token": token, "body": None, **more})


def status_of(judge: KeyJudge, call: APICall) -> int:
    try:
        judge.judge(call)
    except Problem as problem:
        return int(problem.status)
    return 200


def test_a_key_is_for_its_scopes(judge: KeyJudge, resources: Resources) -> None:
    token = resources.store.api_keys.create("ci", ["users:read"])
    assert judge.judge(asked(token=token)) == Permit(BY_NAME["users.list"], "ci")
    with pytest.raises(ScopeRefused, match="the key ci lacks the scope users:write") as raised:
        judge.judge(asked("users.add", token))
    assert raised.value.key == "ci"
    assert status_of(judge, asked("health")) == 200
    for action in ("openapi", "nonsense"):
        assert status_of(judge, asked(action, token)) == 404


def test_a_key_that_has_expired_is_none(judge: KeyJudge, resources: Resources) -> None:
    token = resources.store.api_keys.create("past", ["users:read"], 1)
    with pytest.raises(Problem, match="the key past has expired") as raised:
        judge.judge(asked(token=token))
    assert raised.value.headers == {"WWW-Authenticate": "Bearer"}


def test_too_many_calls_of_a_key_wait_and_others_do_not(
    judge: KeyJudge, resources: Resources, clock: Clock
) -> None:
    one = resources.store.api_keys.create("one", ["users:read"])
    two = resources.store.api_keys.create("two", ["users:read"])
    found = [status_of(judge, asked(token=one)) for _ in range(int(BURST) + 1)]
    assert found == [200] * int(BURST) + [429]
    assert status_of(judge, asked(token=two)) == 200
    clock.now += 1
    assert status_of(judge, asked(token=one)) == 200


def test_guesses_keep_nobody_out_who_has_a_key(judge: KeyJudge, resources: Resources) -> None:
    token = resources.store.api_keys.create("one", ["users:read"])
    found = [status_of(judge, asked(token=f"nacre_{'0' * 12}_{'0' * 64}")) for _ in range(60)]
    assert found == [401] * int(REFUSED_BURST) + [429] * 10
    assert status_of(judge, asked("health")) == 429
    assert status_of(judge, asked(token=token)) == 200


def test_parameters_have_their_types_and_defaults() -> None:
    found = call_of(asked(query=("limit", "7")), Permit(BY_NAME["users.list"]))
    assert found.query == {"limit": 7, "after": ""}
    query = ("user", "a", "event", "x", "user", "b")
    found = call_of(asked("log.follow", query=query), Permit(BY_NAME["log.follow"]))
    assert found.query == {"user": ["a", "b"], "event": ["x"]}
    call = asked("users.show", path=("name", "alice"))
    assert call_of(call, Permit(BY_NAME["users.show"])).path == {"name": "alice"}


@pytest.mark.parametrize(
    ("action", "more", "status"),
    [
        ("users.list", {"query": ("limit", "0")}, 422),
        ("users.list", {"query": ("limit", "१")}, 422),
        ("users.list", {"query": ("limit", "1", "limit", "2")}, 422),
        ("users.list", {"query": ("more", "1")}, 422),
        ("users.list", {"body": "{}"}, 400),
        ("users.add", {}, 400),
        ("users.add", {"body": "nonsense"}, 400),
        ("users.add", {"body": "[" * 60000}, 400),
        ("users.add", {"body": '{"name": NaN}'}, 400),
        ("users.add", {"body": '{"name": "' + "x" * 65536 + '"}'}, 413),
        ("users.add", {"body": "{}"}, 422),
    ],
)
def test_a_call_of_another_form_is_refused(action: str, more: dict[str, Any], status: int) -> None:
    with pytest.raises(Problem) as raised:
        call_of(asked(action, **more), Permit(BY_NAME[action]))
    assert raised.value.status == status
    members = raised.value.members()
    assert (members["type"], members["status"]) == ("about:blank", status)


def test_the_servers_account_needs_no_key_and_a_key_counts_nevertheless(
    resources: Resources, clock: Clock
) -> None:
    judge = KeyJudge(resources, clock, trusted=True)
    for _ in range(int(BURST) * 2):
        assert judge.judge(asked("users.add")) == Permit(BY_NAME["users.add"])
    assert judge.holds(asked("log.follow"))
    token = resources.store.api_keys.create("ci", ["users:read"])
    assert status_of(judge, asked("users.list", token)) == 200
    assert status_of(judge, asked("users.add", token)) == 403
    assert status_of(judge, asked("users.list", "nonsense")) == 401
    assert not judge.holds(asked("log.follow", token))
    assert status_of(judge, asked("openapi")) == 404


def signed_in(resources: Resources, role: str, **settings: Any) -> str:
    user = StoredUser(name="alice", password="$hash", role=role, **settings)
    resources.store.add(user)
    return resources.sessions.begin(resources.store.user("alice"), "192.0.2.7")


ALLOWED = {
    "user": ("own.show",),
    "auditor": ("own.show", "users.list", "audit.search", "log.follow"),
    "admin": ("own.show", "users.list", "audit.search", "users.add", "bans.remove"),
}
REFUSED = {
    "user": ("users.list", "users.show", "connections.list", "users.add", "sessions.add"),
    "auditor": ("users.add", "users.change", "connection.end", "bans.add", "sessions.add"),
    "admin": ("sessions.add",),
}


@pytest.mark.parametrize("role", ALLOWED)
def test_a_session_is_for_what_the_users_role_is(
    judge: KeyJudge, resources: Resources, role: str
) -> None:
    token = signed_in(resources, role)
    for name in ALLOWED[role]:
        permit = judge.judge(asked(name, token))
        assert (permit.key, permit.session is not None) == ("user:alice", True)
    for name in REFUSED[role]:
        with pytest.raises(ScopeRefused, match=f"the role {role} has no scope") as raised:
            judge.judge(asked(name, token))
        assert raised.value.key == "user:alice"


@pytest.mark.parametrize(
    "change",
    [
        {"disabled": True},
        {"role": "none"},
        {"expires": 1},
        {"sources": "198.51.100.0/24"},
    ],
)
def test_a_session_ends_with_what_lets_the_user_in(
    judge: KeyJudge, resources: Resources, change: dict[str, Any]
) -> None:
    token = signed_in(resources, "admin")
    assert judge.holds(asked("log.follow", token))
    resources.store.change("alice", **change)
    assert not judge.holds(asked("log.follow", token))
    assert status_of(judge, asked("users.list", token)) == 401
    back: dict[str, Any] = {"disabled": False, "role": "admin", "expires": None, "sources": None}
    resources.store.change("alice", **back)
    assert status_of(judge, asked("users.list", token)) == 401, "it has ended for good"


def test_a_new_password_ends_the_sessions_of_the_old_one(
    judge: KeyJudge, resources: Resources
) -> None:
    token = signed_in(resources, "admin")
    resources.store.passwords.set("alice", "$other")
    assert status_of(judge, asked("users.list", token)) == 401


def test_who_loses_a_role_loses_its_scopes_at_once(judge: KeyJudge, resources: Resources) -> None:
    token = signed_in(resources, "admin")
    resources.store.change("alice", role="user")
    assert status_of(judge, asked("users.add", token)) == 403
    assert not judge.holds(asked("log.follow", token))
    assert status_of(judge, asked("own.show", token)) == 200


def test_tokens_that_are_none_are_refused_and_bounded(judge: KeyJudge) -> None:
    found = [status_of(judge, asked(token=PREFIX + "0" * 64)) for _ in range(60)]
    assert found == [401] * int(REFUSED_BURST) + [429] * 10


def test_a_key_is_no_user(judge: KeyJudge, resources: Resources) -> None:
    token = resources.store.api_keys.create("ci", SCOPES)
    assert status_of(judge, asked("own.show", token)) == 403
    assert status_of(judge, asked("sessions.add", token)) == 200


@pytest.mark.parametrize("action", ["own.check", "audit.count"])
def test_what_is_polled_is_no_use_of_a_session(
    judge: KeyJudge, resources: Resources, action: str
) -> None:
    token = signed_in(resources, "admin")
    session = resources.sessions.find(token)
    assert session is not None
    session.used = used = session.used - 60
    assert status_of(judge, asked(action, token)) == 200
    assert session.used == used
    assert status_of(judge, asked("own.show", token)) == 200
    assert session.used > used
