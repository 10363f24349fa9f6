"""Users sign in to the API."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nacre.cli.api import call as call_module
from nacre.cli.api.call import CheckedCall, Problem, Resources
from nacre.cli.api.calls.signing_in import sign_in
from nacre.crypto.password import hash_password
from nacre.daemon.store.totp import INTERVAL, code_at
from nacre.daemon.store.values import Group, StoredUser
from nacre.server.admission.bans import Ban
from nacre.server.admission.networks import parse_network

HASH = hash_password(b"right words", os.urandom)
SECRET = bytes(20)


@pytest.fixture
def resources(tmp_path: Path) -> Iterator[Resources]:
    found = Resources(tmp_path)
    yield found
    found.store.close()


def call(**more: str) -> CheckedCall:
    usual = {"name": "alice", "password": "right words", "address": "192.0.2.7"}
    return CheckedCall(body={**usual, **more})


def add(resources: Resources, **settings: Any) -> None:
    usual: dict[str, Any] = {"name": "alice", "password": HASH, "role": "admin"}
    resources.store.add(StoredUser(**{**usual, **settings}))


def refused(resources: Resources, **more: str) -> Problem:
    with pytest.raises(Problem) as raised:
        sign_in(resources, call(**more))
    return raised.value


def test_a_user_gets_a_session_with_the_role_that_holds(resources: Resources) -> None:
    resources.store.groups.add(Group(name="staff", role="auditor"))
    add(resources, role=None, groups=("staff",))
    done: Any = sign_in(resources, call())
    assert (done["name"], done["role"]) == ("alice", "auditor")
    session = resources.sessions.find(done["token"])
    assert session is not None
    assert (session.user, session.address) == ("alice", "192.0.2.7")


@pytest.mark.parametrize(
    ("settings", "given", "why"),
    [
        ({}, {"password": "wrong words"}, "wrong password"),
        ({}, {"name": "nobody"}, "there is no such user"),
        ({"password": None}, {}, "no password"),
        ({"role": None}, {}, "the user's role is none"),
        ({"disabled": True}, {}, "disabled"),
        ({"expires": 1}, {}, "expired"),
        ({"sources": "198.51.100.0/24"}, {}, "from this address"),
        ({"auth": "publickey"}, {}, "auth needs a key"),
        ({"auth": "password-publickey"}, {}, "auth needs a key"),
        ({"second_factor": "required"}, {}, "no second factor"),
    ],
)
def test_each_refusal_looks_like_the_others_and_the_log_has_the_reason(
    resources: Resources, settings: dict[str, Any], given: dict[str, str], why: str
) -> None:
    add(resources, **settings)
    problem = refused(resources, **given)
    assert (problem.status, problem.detail[:18]) == (401, "the name, the pass")
    assert why in problem.logged
    assert why not in problem.detail


def test_who_has_a_second_factor_shows_it_and_a_code_counts_once(resources: Resources) -> None:
    add(resources)
    resources.store.factors.enrol("alice", SECRET, recovery=["AAAA-BBBB-CCCC-DDDD"])
    assert "wrong recovery code" in refused(resources).logged
    code = code_at(SECRET, int(time.time()) // INTERVAL)
    assert "wrong password" in refused(resources, password="x", code=code).logged
    done: Any = sign_in(resources, call(code=code))
    assert done["name"] == "alice"
    assert "used already" in refused(resources, code=code).logged
    done = sign_in(resources, call(code="aaaa bbbb cccc dddd"))
    assert done["name"] == "alice"


def test_a_password_that_has_to_be_changed_begins_nothing(resources: Resources) -> None:
    add(resources, must_change=True)
    problem = refused(resources)
    assert (problem.status, "log in with ssh" in problem.detail) == (403, True)
    assert refused(resources, password="wrong").status == 401


def test_a_network_has_so_many_tries_and_others_have_theirs(
    resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(resources)
    burst = int(call_module.SIGN_IN_BURST)
    monkeypatch.setattr("nacre.cli.api.calls.signing_in.verify_unknown", lambda given: False)
    for n in range(burst):
        assert refused(resources, name="nobody", address=f"2001:db8::{n}").status == 401
    problem = refused(resources, address="2001:db8::ffff")
    assert (problem.status, problem.headers) == (429, {"Retry-After": "60"})
    done: Any = sign_in(resources, call(address="2001:db8:0:1::1"))
    assert done["name"] == "alice"


def test_from_a_banned_network_nobody_signs_in_and_the_answer_does_not_tell(
    resources: Resources,
) -> None:
    add(resources)
    done: Any = sign_in(resources, call())
    assert done["name"] == "alice"
    network = parse_network("192.0.2.0/24")
    resources.store.bans.put([Ban(network, 0)])
    problem = refused(resources)
    assert (problem.status, problem.logged) == (401, "the network is banned")
    assert "banned" not in problem.detail
    resources.store.bans.remove([network])
    done = sign_in(resources, call())
    assert done["name"] == "alice"


def test_the_address_is_one(resources: Resources) -> None:
    add(resources)
    assert refused(resources, address="nonsense").status == 422
