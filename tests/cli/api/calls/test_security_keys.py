"""Calls about security keys."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bcrypt
import pytest

from cli.api.calls.test_second_step import ORIGIN, enrol
from console.authenticator import SoftKey
from nacre.cli.api.call import CheckedCall, Problem, Resources
from nacre.cli.api.calls.security_keys import (
    add_own_key,
    challenge_own,
    list_own_keys,
    list_security_keys,
    prove_own,
    remove_own_key,
    remove_security_key,
)
from nacre.cli.api.sessions.table import PROOF, APISession, APISessions
from nacre.daemon.store.second_factor.totp import INTERVAL, code_at
from nacre.daemon.store.second_factor.webauthn_keys import MOST_KEYS
from nacre.daemon.store.values import StoredUser

PASSWORD = "right words"
HASH = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
SECRET = bytes(20)

Action = Callable[[Resources, CheckedCall], object]


@pytest.fixture
def resources(tmp_path: Path) -> Iterator[Resources]:
    found = Resources(tmp_path)
    for name in ("alice", "bob"):
        found.store.add(StoredUser(name=name, role="user", password=HASH))
    yield found
    found.store.close()


@pytest.fixture
def session(resources: Resources) -> APISession:
    return session_of(resources, "alice")


def session_of(resources: Resources, name: str) -> APISession:
    token = resources.sessions.begin(resources.store.user(name), "192.0.2.7")
    found = resources.sessions.find(token)
    assert found is not None
    return found


def do(resources: Resources, action: Action, session: APISession, **body: Any) -> Any:
    return action(resources, CheckedCall(session=session, body=body))


def refused(resources: Resources, action: Action, session: APISession, **body: Any) -> Problem:
    with pytest.raises(Problem) as raised:
        do(resources, action, session, **body)
    return raised.value


def challenge(resources: Resources, session: APISession, use: str) -> Any:
    return do(resources, challenge_own, session, use=use, origin=ORIGIN)


def remove(resources: Resources, session: APISession, key: str) -> None:
    remove_own_key(resources, CheckedCall(session=session, path={"id": key}))


def test_who_has_no_second_factor_shows_the_password_and_enrols_a_key(
    resources: Resources, session: APISession
) -> None:
    shown = do(resources, list_own_keys, session)
    assert shown == {"security_keys": [], "second_factor": False, "codes": False, "proof": 0}
    problem = refused(resources, challenge_own, session, use="enrolment", origin=ORIGIN)
    assert (problem.status, "/v1/own/proof" in problem.detail) == (403, True)
    problem = refused(resources, prove_own, session, password="wrong words")
    assert (problem.status, problem.logged) == (403, "wrong password")
    assert 0 < do(resources, prove_own, session, password=PASSWORD)["proof"] <= PROOF
    asked, key = challenge(resources, session, "enrolment"), SoftKey()
    given = key.create(asked["options"], ORIGIN)
    done = do(resources, add_own_key, session, ticket=asked["ticket"], name="blue", answer=given)
    (one,) = done["security_keys"]
    assert (one["name"], one["host"], one["used"]) == ("blue", "files.example.org", None)
    assert one["added"] > 0
    assert do(resources, list_own_keys, session)["second_factor"]
    problem = refused(
        resources, add_own_key, session, ticket=asked["ticket"], name="blue", answer=given
    )
    assert problem.status == 409, "the challenge was used"


def test_who_has_a_key_shows_it_again_before_one_is_removed(
    resources: Resources, session: APISession
) -> None:
    key = enrol(resources, resources.store.user("alice"))
    (stored,) = resources.store.factors.security_keys.of("alice")
    with pytest.raises(Problem, match="show your second factor again"):
        remove(resources, session, stored.id)
    problem = refused(resources, prove_own, session, password=PASSWORD)
    assert "has a second factor, and has shown none" in problem.logged
    asked = challenge(resources, session, "proof")
    given = {"ticket": asked["ticket"], "answer": key.get(asked["options"], ORIGIN)}
    assert do(resources, prove_own, session, **given)["proof"] > 0
    assert "unknown, was used" in refused(resources, prove_own, session, **given).logged
    with pytest.raises(Problem, match="has no security key") as raised:
        remove(resources, session, "0" * 16)
    assert raised.value.status == 404
    remove(resources, session, stored.id)
    assert resources.store.factors.security_keys.of("alice") == []


def test_a_code_is_shown_again_as_well_and_counts_once(
    resources: Resources, session: APISession
) -> None:
    resources.store.factors.enrol("alice", SECRET)
    assert do(resources, list_own_keys, session)["codes"]
    problem = refused(resources, prove_own, session, code="wrong")
    assert problem.logged == "wrong recovery code"
    code = code_at(SECRET, int(time.time()) // INTERVAL)
    assert do(resources, prove_own, session, code=code)["proof"] > 0
    assert "used already" in refused(resources, prove_own, session, code=code).logged


def test_a_proof_counts_in_its_session_and_not_for_long(resources: Resources) -> None:
    now = 1000.0
    resources.sessions = APISessions(lambda: now)
    session, other = session_of(resources, "alice"), session_of(resources, "alice")
    do(resources, prove_own, session, password=PASSWORD)
    assert challenge(resources, session, "enrolment")
    assert refused(resources, challenge_own, other, use="enrolment", origin=ORIGIN).status == 403
    now += PROOF - 1
    assert challenge(resources, session, "enrolment")
    now += 1
    assert refused(resources, challenge_own, session, use="enrolment", origin=ORIGIN).status == 403


def test_a_challenge_of_another_session_or_use_counts_for_nothing(
    resources: Resources, session: APISession
) -> None:
    key = enrol(resources, resources.store.user("alice"))
    other = session_of(resources, "bob")
    asked = challenge(resources, session, "proof")
    given = {"ticket": asked["ticket"], "answer": key.get(asked["options"], ORIGIN)}
    assert "unknown, was used" in refused(resources, prove_own, other, **given).logged
    assert "unknown, was used" in refused(resources, prove_own, session, **given).logged
    resources.sessions.prove(session)
    asked = challenge(resources, session, "proof")
    made = SoftKey().create({**asked["options"], "rp": {"id": "files.example.org"}}, ORIGIN)
    problem = refused(
        resources, add_own_key, session, ticket=asked["ticket"], name="x", answer=made
    )
    assert problem.status == 409


@pytest.mark.parametrize(
    ("origin", "changes", "why"),
    [
        ("https://evil.example.org", {}, "origin"),
        (ORIGIN, {"rp_id": "evil.example.org"}, "RP ID"),
    ],
)
def test_no_key_is_enrolled_that_is_for_another_page(
    resources: Resources, session: APISession, origin: str, changes: dict[str, Any], why: str
) -> None:
    resources.sessions.prove(session)
    asked = challenge(resources, session, "enrolment")
    given = SoftKey().create(asked["options"], origin, **changes)
    problem = refused(
        resources, add_own_key, session, ticket=asked["ticket"], name="x", answer=given
    )
    assert (problem.status, why in problem.detail) == (422, True)


def test_a_key_that_somebody_has_and_one_too_many_are_refused(
    resources: Resources, session: APISession
) -> None:
    resources.sessions.prove(session)
    key = enrol(resources, resources.store.user("bob"))
    for _ in range(MOST_KEYS):
        enrol(resources, resources.store.user("alice"))
    for wrong, why in ((SoftKey(), "which is the most"), (key, "enrolled already")):
        if wrong is key:
            first = resources.store.factors.security_keys.of("alice")[0]
            remove(resources, session, first.id)
        asked = challenge(resources, session, "enrolment")
        given = wrong.create(asked["options"], ORIGIN)
        problem = refused(
            resources, add_own_key, session, ticket=asked["ticket"], name="x", answer=given
        )
        assert (problem.status, why in problem.detail) == (409, True)


def test_where_no_key_is_for_none_is_asked(resources: Resources, session: APISession) -> None:
    problem = refused(resources, challenge_own, session, use="proof", origin=ORIGIN)
    assert problem.status == 404
    problem = refused(resources, challenge_own, session, use="proof", origin="http://files")
    assert problem.status == 422


def test_who_guesses_has_as_many_tries_as_at_a_sign_in(
    resources: Resources, session: APISession
) -> None:
    found = [refused(resources, prove_own, session, password="x").status for _ in range(11)]
    assert found == [403] * 10 + [429]


def test_an_admin_sees_and_removes_the_keys_of_others(resources: Resources) -> None:
    enrol(resources, resources.store.user("alice"))
    call = CheckedCall(path={"name": "alice"})
    shown: Any = list_security_keys(resources, call)
    (one,) = shown["security_keys"]
    for name in ("alice", "bob", "nobody"):
        gone = CheckedCall(path={"name": name, "id": one["id"] if name == "bob" else "0"})
        with pytest.raises(Problem) as raised:
            remove_security_key(resources, gone)
        assert raised.value.status == 404
    removed = CheckedCall(path={"name": "alice", "id": one["id"]})
    assert remove_security_key(resources, removed) is None
    assert list_security_keys(resources, call) == {"security_keys": []}


@pytest.mark.parametrize(
    "action", [list_own_keys, challenge_own, prove_own, add_own_key, remove_own_key]
)
def test_a_client_without_a_key_is_no_user(resources: Resources, action: Action) -> None:
    with pytest.raises(Problem) as raised:
        action(resources, CheckedCall())
    assert raised.value.status == 403
