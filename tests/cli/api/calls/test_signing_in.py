"""Users sign in to the API."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.api.calls.test_second_step import enrol
from console.authenticator import SoftKey
from nacre.cli.api import call as call_module
from nacre.cli.api.call import CheckedCall, Problem, Resources
from nacre.cli.api.calls.signing_in import confirm, sign_in
from nacre.cli.api.schema import check
from nacre.cli.api.shapes import SCHEMAS
from nacre.crypto.password import hash_password
from nacre.daemon.store.second_factor.totp import INTERVAL, code_at
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
    assert problem.offence == "authfail"


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
    assert problem.offence == "", "a ban does not prolong itself"
    resources.store.bans.remove([network])
    done = sign_in(resources, call())
    assert done["name"] == "alice"


def test_the_address_is_one(resources: Resources) -> None:
    add(resources)
    assert refused(resources, address="nonsense").status == 422


ORIGIN = "https://files.example.org"


def asked(resources: Resources, **more: str) -> dict[str, Any]:
    """Show the password, and return what is asked for as well."""
    problem = refused(resources, origin=ORIGIN, **more)
    assert problem.logged == "asked for a security key"
    found = problem.members()
    check(found, SCHEMAS["Problem"], SCHEMAS)
    assert found["status"] == 401
    return dict(found["second_factor"])


def answer(key: SoftKey, challenge: dict[str, Any], **changes: Any) -> CheckedCall:
    body: dict[str, Any] = {"name": "alice", "address": "192.0.2.7", "ticket": challenge["ticket"]}
    body["answer"] = key.get(challenge["options"], changes.pop("origin", ORIGIN), **changes)
    return CheckedCall(body=body)


def refused_answer(resources: Resources, given: CheckedCall) -> str:
    with pytest.raises(Problem) as raised:
        confirm(resources, given)
    assert raised.value.status == 401
    assert raised.value.detail[:18] == "the name, the pass"
    return raised.value.logged


def test_who_has_a_security_key_shows_it_after_the_password(resources: Resources) -> None:
    add(resources, second_factor="required")
    key = enrol(resources, resources.store.user("alice"))
    assert "wrong password" in refused(resources, password="x", origin=ORIGIN).logged
    challenge = asked(resources)
    assert not challenge["code"]
    done: Any = confirm(resources, answer(key, challenge))
    assert (done["name"], done["role"]) == ("alice", "admin")
    assert resources.sessions.find(done["token"]) is not None


def test_a_program_that_has_no_page_for_keys_needs_a_code(resources: Resources) -> None:
    add(resources)
    enrol(resources, resources.store.user("alice"))
    for more in ({}, {"code": "123456"}, {"origin": "https://other.example.org"}):
        assert (
            "no codes, and no security key for where this is" in refused(resources, **more).logged
        )
    resources.store.factors.enrol("alice", SECRET)
    done: Any = sign_in(resources, call(code=code_at(SECRET, int(time.time()) // INTERVAL)))
    assert done["name"] == "alice"


def test_a_code_does_in_place_of_a_key(resources: Resources) -> None:
    add(resources)
    enrol(resources, resources.store.user("alice"))
    resources.store.factors.enrol("alice", SECRET, recovery=["AAAA-BBBB-CCCC-DDDD"])
    challenge = asked(resources)
    assert challenge["code"]
    body = {"name": "alice", "address": "192.0.2.7", "code": "aaaa bbbb cccc dddd"}
    done: Any = confirm(resources, CheckedCall(body={**body, "ticket": challenge["ticket"]}))
    assert done["name"] == "alice"
    given = {**body, "ticket": asked(resources)["ticket"]}
    assert "wrong recovery code" in refused_answer(resources, CheckedCall(body=given))
    given = {**body, "ticket": asked(resources)["ticket"]}
    del given["code"]
    assert "wrong recovery code" in refused_answer(resources, CheckedCall(body=given))


def test_an_answer_counts_once_for_its_own_sign_in(
    resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(resources)
    key = enrol(resources, resources.store.user("alice"))
    monkeypatch.setattr(resources.sign_ins, "take", lambda source: True)
    given = answer(key, asked(resources))
    assert confirm(resources, given)
    assert "unknown, was used" in refused_answer(resources, given)
    first, second = asked(resources), asked(resources)
    replayed = answer(key, first)
    replayed = CheckedCall(body={**replayed.body, "ticket": second["ticket"]})
    assert "challenge" in refused_answer(resources, replayed)
    for wrong in ({"name": "bob"}, {"address": "192.0.2.8"}, {"ticket": "0" * 64}):
        given = answer(key, asked(resources))
        given = CheckedCall(body={**given.body, **wrong})
        assert "unknown, was used" in refused_answer(resources, given)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"origin": "https://evil.example.org"}, "origin"),
        ({"rp_id": "evil.example.org"}, "RP ID"),
    ],
)
def test_what_a_key_signed_for_another_page_signs_nobody_in(
    resources: Resources, changes: dict[str, Any], why: str
) -> None:
    add(resources)
    key = enrol(resources, resources.store.user("alice"))
    assert why in refused_answer(resources, answer(key, asked(resources), **changes))


def test_the_log_has_it_when_a_counter_goes_back(resources: Resources) -> None:
    add(resources)
    key = enrol(resources, resources.store.user("alice"))
    assert confirm(resources, answer(key, asked(resources)))
    key.counter = 0
    logged = refused_answer(resources, answer(key, asked(resources)))
    assert "went from 1 to 1: the key may have been copied" in logged


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"disabled": True}, "disabled"),
        ({"role": "none"}, "role is none"),
        ({"password": "another"}, "password was changed"),
    ],
)
def test_what_changes_between_both_steps_counts(
    resources: Resources, change: dict[str, Any], why: str
) -> None:
    add(resources)
    key = enrol(resources, resources.store.user("alice"))
    given = answer(key, asked(resources))
    resources.store.change("alice", **change)
    assert why in refused_answer(resources, given)


def test_a_user_or_a_key_that_is_gone_meanwhile_signs_nobody_in(resources: Resources) -> None:
    add(resources)
    key = enrol(resources, resources.store.user("alice"))
    (stored,) = resources.store.factors.security_keys.of("alice")
    given = answer(key, asked(resources))
    resources.store.factors.security_keys.remove("alice", stored.id)
    assert "no such security key" in refused_answer(resources, given)
    key = enrol(resources, resources.store.user("alice"))
    given = answer(key, asked(resources))
    resources.store.remove("alice")
    assert "no such user" in refused_answer(resources, given)


def test_a_password_that_has_to_be_changed_begins_nothing_behind_a_key(
    resources: Resources,
) -> None:
    add(resources, must_change=True)
    key = enrol(resources, resources.store.user("alice"))
    with pytest.raises(Problem, match="log in with ssh"):
        confirm(resources, answer(key, asked(resources)))


def test_an_origin_where_browsers_have_no_keys_is_told_whoever_signs_in(
    resources: Resources,
) -> None:
    for name in ("alice", "nobody"):
        problem = refused(resources, name=name, origin="http://files.example.org")
        assert (problem.status, "HTTPS" in problem.detail) == (422, True)


def test_the_second_step_checks_the_address_and_bans_as_the_first(resources: Resources) -> None:
    add(resources)
    key = enrol(resources, resources.store.user("alice"))
    given = answer(key, asked(resources))
    wrong = CheckedCall(body={**given.body, "address": "nonsense"})
    with pytest.raises(Problem) as raised:
        confirm(resources, wrong)
    assert raised.value.status == 422
    network = parse_network("192.0.2.0/24")
    resources.store.bans.put([Ban(network, 0)])
    assert refused_answer(resources, given) == "the network is banned"
    resources.store.bans.remove([network])
    assert confirm(resources, given)


def test_a_ticket_that_is_too_old_is_no_offence_and_a_wrong_code_is(resources: Resources) -> None:
    add(resources)
    enrol(resources, resources.store.user("alice"))
    resources.store.factors.enrol("alice", SECRET)
    body = {"name": "alice", "address": "192.0.2.7", "code": "aaaa bbbb cccc dddd"}
    tickets = {"0" * 64: "", asked(resources)["ticket"]: "authfail"}
    for ticket, offence in tickets.items():
        with pytest.raises(Problem) as raised:
            confirm(resources, CheckedCall(body={**body, "ticket": ticket}))
        assert (raised.value.status, raised.value.offence) == (401, offence)
