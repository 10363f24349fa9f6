"""Answers of directories: what is taken of them, and what refuses the whole answer."""

from __future__ import annotations

from typing import Any

import pytest

from nacre.daemon.accounts.directories.answers import AskedDirectory, read_keys, read_user
from nacre.daemon.accounts.directories.values import Asker
from nacre.errors import AccountError
from nacre.keys import generate

ASKER = Asker(name="alice", address="192.0.2.1")
KEY = generate("ssh-ed25519").public


def directory(answer: object) -> AskedDirectory:
    return AskedDirectory(lambda question: answer)


def test_a_question_says_who_asks() -> None:
    asked: list[Any] = []

    def ask(question: Any) -> object:
        asked.append(question)
        return {"user": None} if question["question"] == "find" else {"outcome": "wrong"}

    made = AskedDirectory(ask)
    assert made.find(Asker(name="bob", address="192.0.2.7", host="client.example")) is None
    assert made.check(ASKER, "secret") == "wrong"
    assert [{**one, "time": 0} for one in asked] == [
        {
            "version": 1,
            "question": "find",
            "name": "bob",
            "address": "192.0.2.7",
            "host": "client.example",
            "time": 0,
        },
        {
            "version": 1,
            "question": "password",
            "name": "alice",
            "address": "192.0.2.1",
            "host": None,
            "time": 0,
            "password": "secret",
        },
    ]


def test_a_user_has_what_the_answer_says() -> None:
    given = {
        "groups": ["staff", "staff", "ops"],
        "keys": [f"{KEY} a comment", f'from="192.0.2.0/24" {KEY}'],
        "auth": "publickey",
        "service": "sftp",
        "home": "/home/alice",
        "run_as": "files",
        "root": "s3://bucket/alice",
        "read_only": True,
        "rights": ["/:list,download", "/in:*"],
        "folders": ["/shared=/srv/shared:ro"],
        "expires": 1900000000,
        "sources": "192.0.2.0/24,*.example.com",
        "hours": "Mon-Fri 08:00-18:00",
        "max_sessions": 3,
        "second_factor": "optional",
        "record": "no",
        "uploads": "atomic",
        "partial_uploads": "remove",
        "disabled": None,
    }
    found = read_user("alice", given)
    user = found.user
    assert user.name == "alice"
    assert user.groups == ("staff", "ops")
    assert [one.options for one in found.keys][1] == 'from="192.0.2.0/24"'
    plain = {"keys", "groups", "folders", "rights", "disabled"}
    assert {name: getattr(user, name) for name in given if name not in plain} == {
        name: value for name, value in given.items() if name not in plain
    }
    assert user.rights is not None
    assert user.folders is not None
    assert user.password is None
    assert not user.disabled


@pytest.mark.parametrize(
    "given",
    [
        [],
        "alice",
        {"servise": "sftp"},
        {"name": "root"},
        {"password": "x"},
        {"unsafe_root": True},
        {"file_key": "/etc/shadow"},
        {"certificate_valid": 3600},
        {"password_expires": 1},
        {"auth": "none"},
        {"auth": ["any"]},
        {"service": ""},
        {"home": "relative"},
        {"home": "/a\nb"},
        {"home": "/" + "a" * 4096},
        {"root": "relative"},
        {"root": 1},
        {"read_only": "yes"},
        {"read_only": 1},
        {"disabled": "no"},
        {"expires": "soon"},
        {"expires": True},
        {"expires": -1},
        {"expires": 1 << 41},
        {"max_sessions": 1.5},
        {"groups": "staff"},
        {"groups": ["../etc"]},
        {"groups": ["g"] * 65},
        {"keys": ["not a key"]},
        {"keys": [f"{KEY}\n{KEY}"]},
        {"keys": [1]},
        {"sources": ""},
        {"hours": "always"},
        {"rights": ["/:fly"]},
        {"folders": ["nowhere"]},
        {1: 2},
    ],
)
def test_what_is_wrong_refuses_the_answer(given: object) -> None:
    with pytest.raises(AccountError):
        directory({"user": given}).find(ASKER)


@pytest.mark.parametrize("answer", [None, [], {}, "user", {"user": None, "more": 1}, {"users": 1}])
def test_an_answer_is_an_object_with_one_field(answer: object) -> None:
    with pytest.raises(AccountError, match="field user alone"):
        directory(answer).find(ASKER)
    with pytest.raises(AccountError, match="field outcome alone"):
        directory(answer).check(ASKER, "secret")


@pytest.mark.parametrize("outcome", ["right", "wrong", "expired"])
def test_outcomes(outcome: str) -> None:
    assert directory({"outcome": outcome}).check(ASKER, "secret") == outcome


@pytest.mark.parametrize("outcome", [True, None, "yes", ["right"], 1])
def test_no_other_outcome_is_right(outcome: object) -> None:
    with pytest.raises(AccountError, match="none of right, wrong, expired"):
        directory({"outcome": outcome}).check(ASKER, "secret")


def test_keys_that_nobody_knows_can_be_left_out() -> None:
    assert [one.key for one in read_keys(["ssh-dss AAAA", str(KEY)], skip=True)] == [KEY]
    with pytest.raises(ValueError, match="key 1"):
        read_keys(["ssh-dss AAAA", str(KEY)])
