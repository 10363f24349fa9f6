"""The policies of the library: what the base refuses, and a few users with secrets."""

from __future__ import annotations

from typing import Any

import pytest

import nacre
from nacre.aio.maybe import settled
from nacre.keys.certificate import option
from nacre.protocol.asks import Challenge
from nacre.protocol.requests import Exec, Shell
from nacre.server.policy import ANY_METHOD, Policy, Users, with_modulus
from server.stand_ins import FakeChannel, FakeHost, RecordingConnection

KEY = nacre.generate("ssh-ed25519").public
OTHER = nacre.generate("ssh-ed25519").public
OTHER_CA = nacre.generate("ssh-ed25519")
NOBODY: Any = None


def methods(policy: Users, user: str) -> set[str]:
    alternatives = policy.requirement(user, NOBODY).requirement
    return {method for alternative in alternatives for method in alternative}


async def test_the_base_policy_refuses_every_login_and_all_forwarding() -> None:
    policy = Policy()
    assert policy.requirement("a", NOBODY) is ANY_METHOD
    assert policy.password("a", "", NOBODY) is False
    assert policy.change_password("a", "", "", NOBODY) is False
    assert policy.public_key("a", KEY, "ssh-ed25519", True, NOBODY) is False
    assert policy.rsa_key("a", 35, NOBODY) is None
    assert policy.direct_connection("h", 1, NOBODY) is False
    assert policy.remote_listen("", 0, NOBODY) is None
    assert policy.agent_forwarding(NOBODY) is False


async def test_the_base_policy_allows_what_the_server_serves() -> None:
    channel: Any = FakeChannel()
    session = nacre.Session(RecordingConnection(), channel, FakeHost())
    assert Policy().session_request(session, Exec(b"x")) is True
    assert Policy().session_request(session, Shell()) is False


async def test_keyboard_interactive_prompts_once_for_the_password() -> None:
    policy = Users({"alice": "secret"})
    challenge = await settled(policy.keyboard_interactive("alice", "", None, NOBODY))
    assert isinstance(challenge, Challenge)
    assert [prompt.echo for prompt in challenge.prompts] == [False]
    assert await settled(policy.keyboard_interactive("alice", "", ("secret",), NOBODY)) is True
    for responses in (("wrong",), (), ("secret", "secret")):
        assert await settled(policy.keyboard_interactive("alice", "", responses, NOBODY)) is False


class Riddle(Policy):
    """Each method may be plain, also for a type checker."""

    def keyboard_interactive(
        self,
        user: str,
        submethods: str,
        responses: tuple[str, ...] | None,
        connection: nacre.ServerConnection,
    ) -> bool | Challenge:
        return responses == ("42",)


async def test_keyboard_interactive_may_be_plain() -> None:
    assert Riddle().keyboard_interactive("a", "", ("42",), NOBODY) is True


async def test_keyboard_interactive_takes_only_true_from_the_password() -> None:
    class Expired(Policy):
        async def password(self, *about: object) -> nacre.PasswordExpired:
            return nacre.PasswordExpired("old")

    assert await settled(Expired().keyboard_interactive("a", "", ("x",), NOBODY)) is False


def test_each_secret_of_a_user_is_enough_and_no_other() -> None:
    policy = Users({"alice": ["one", "two", KEY], "bob": OTHER})
    assert policy.password("alice", "one", NOBODY)
    assert policy.password("alice", "two", NOBODY)
    for user, password in [("alice", "three"), ("alice", ""), ("bob", "one"), ("eve", "one")]:
        assert not policy.password(user, password, NOBODY)
    assert policy.public_key("alice", KEY, "ssh-ed25519", False, NOBODY)
    for user, key in [("alice", OTHER), ("bob", KEY), ("eve", KEY)]:
        assert not policy.public_key(user, key, "ssh-ed25519", False, NOBODY)


CA = nacre.generate("ssh-ed25519")


def certificate(**about: Any) -> nacre.Certificate:
    given = {"key": KEY, "authority": CA, "principals": ["alice"], **about}
    return nacre.Certificate.issue(**given)


async def test_a_certificate_by_an_authority_of_the_user_is_enough() -> None:
    deploy = nacre.CertificateAuthority(CA.public, ("deploy", "web"))
    policy = Users(
        {"alice": ["x", nacre.CertificateAuthority(CA.public)], "bob": deploy, "eve": KEY}
    )
    assert methods(policy, "eve") == {"publickey", "password", "keyboard-interactive"}
    assert methods(Users({"bob": deploy}), "bob") == {"publickey"}

    def enters(user: str, shown: nacre.PublicKey) -> Any:
        return policy.public_key(user, shown, "ssh-ed25519", True, RecordingConnection())

    assert enters("alice", certificate())
    assert enters("alice", certificate(critical_options={"source-address": option("192.0.2.0/24")}))
    assert enters("bob", certificate(principals=["web"]))
    for user, about in {
        "alice": {"principals": ["bob"]},
        "bob": {"principals": ["bob"]},
        "eve": {},
        "ghost": {},
    }.items():
        assert not enters(user, certificate(**about)), user
    refusals: tuple[dict[str, Any], ...] = (
        {"principals": []},
        {"kind": "host"},
        {"valid_before": 5},
        {"critical_options": {"unknown": b""}},
        {"critical_options": {"source-address": option("198.51.100.0/24")}},
        {"critical_options": {"force-command": option("true")}},
        {"authority": OTHER_CA},
    )
    for refused in refusals:
        assert not enters("alice", certificate(**refused))
    assert not enters("alice", CA.public)
    assert not enters("alice", KEY)


async def test_a_certificate_restricts_what_its_user_may_do() -> None:
    policy = Users({"alice": nacre.CertificateAuthority(CA.public)})
    connection = RecordingConnection()
    about: dict[str, Any] = {"extensions": {}, "critical_options": {"verify-required": b""}}
    terms = policy.public_key("alice", certificate(**about), "ssh-ed25519", True, connection)
    assert terms == nacre.KeyTerms(touch_required=True, verify_required=True)
    channel: Any = FakeChannel()
    session = nacre.Session(connection, channel, FakeHost())
    terminal = nacre.PtyRequest("xterm", 80, 24, 0, 0, b"")
    assert await settled(policy.session_request(session, terminal)) is False
    assert await settled(policy.session_request(session, Exec(b"x"))) is True
    shown = policy.certificate(connection)
    assert shown is not None
    assert shown.extensions == {}
    assert policy.certificate(RecordingConnection()) is None


def test_a_password_that_is_not_utf_8_is_only_wrong() -> None:
    assert not Users({"alice": "x"}).password("alice", "\udcff", NOBODY)


@pytest.mark.parametrize(
    ("users", "expected"),
    [
        ({"a": "x"}, {"password", "keyboard-interactive"}),
        ({"a": KEY}, {"publickey"}),
        ({"a": KEY, "b": "x"}, {"publickey", "password", "keyboard-interactive"}),
        ({}, {"password", "keyboard-interactive"}),
    ],
)
def test_the_same_methods_are_offered_to_known_and_unknown_users(
    users: dict[str, Any], expected: set[str]
) -> None:
    policy = Users(users)
    assert methods(policy, "a") == methods(policy, "unknown") == expected


def test_an_rsa1_key_is_found_by_its_modulus_among_the_users_own() -> None:
    old = nacre.generate("rsa1", bits=1024).public
    number: int = old.verifier.n  # type: ignore[attr-defined]
    policy = Users({"alice": [KEY, old], "bob": KEY})
    assert policy.rsa_key("alice", number, NOBODY) == old
    assert policy.rsa_key("bob", number, NOBODY) is None
    assert with_modulus([KEY, old], number + 2) is None
