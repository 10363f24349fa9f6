"""The server's side: what holds from one request of a client to the next."""

from __future__ import annotations

from dataclasses import replace

import pytest

from contexts import FakeContext
from nacre.errors import PacketTooLarge
from nacre.keys import Certificate
from nacre.limits import DEFAULT_LIMITS
from nacre.protocol.asks import (
    AskKeyboardInteractive,
    AskPassword,
    AskPublicKey,
    AskUser,
    Challenge,
    Denied,
    Prompt,
    SessionProof,
    UserRequirement,
)
from nacre.protocol.events import AuthResult
from nacre.ssh2.auth.messages import PublicKeyQuery, UserauthFailure
from nacre.ssh2.auth.stages import AuthStage
from ssh2.auth.back_to_back import ED25519, HOST_KEY, SESSION_ID, ServerSide, requires

CODE = Challenge("", "", (Prompt("Code: ", False),))


def test_the_bounds_are_the_servers_until_a_user_is_named() -> None:
    server = ServerSide(replace(DEFAULT_LIMITS, auth_attempts=3))
    assert server.auth.limits.auth_attempts == 3


def test_a_user_without_a_name_is_asked_about_too() -> None:
    server = ServerSide()
    server.request("none", user="")
    assert server.reply(AskUser, requires("password")).user == ""
    assert server.sent() == [UserauthFailure(("password",), False).encode()]


def test_prompts_are_abandoned_once() -> None:
    server = ServerSide()
    server.interactive()
    server.reply(AskUser, requires("keyboard-interactive"))
    server.reply(AskKeyboardInteractive, CODE)
    assert server.auth.stage is AuthStage.SERVER_INTERACTIVE
    server.request("none", user="bob")
    assert server.auth.stage is AuthStage.SERVER_REQUEST
    server.reply(AskUser, requires("keyboard-interactive"))
    server.request("none", user="bob")
    found = [(r.user, r.method, r.attempt) for r in server.take(AuthResult)]
    assert found == [("alice", "keyboard-interactive", 1), ("bob", "none", 2), ("bob", "none", 3)]


@pytest.mark.parametrize("allowed", [True, False])
def test_the_algorithms_of_authorities_are_the_users(allowed: bool) -> None:
    shown = Certificate.issue(ED25519.public, HOST_KEY, kind="user", principals=["alice"])
    names = ("ssh-ed25519",) if allowed else ("ecdsa-sha2-nistp256",)
    server = ServerSide()
    server.request("publickey", PublicKeyQuery(False, shown.type, shown.blob))
    server.reply(AskUser, UserRequirement(requires("publickey").requirement, ca_signatures=names))
    if allowed:
        assert server.question(AskPublicKey).key == shown
    else:
        (result,) = server.take(AuthResult)
        assert "ssh-ed25519" in result.detail


@pytest.mark.parametrize(("method", "shown"), [("x" * 64, "x" * 64), ("x" * 65, "x" * 64 + "…")])
def test_names_of_methods_are_cut(method: str, shown: str) -> None:
    server = ServerSide()
    server.request(method)
    server.reply(AskUser, requires("password"))
    (result,) = server.take(AuthResult)
    assert result.method == shown


def test_a_name_of_a_user_is_bounded_in_bytes() -> None:
    server = ServerSide(replace(DEFAULT_LIMITS, user_name=4))
    server.request("none", user="\u00e9\u00e9")
    assert server.reply(AskUser, requires("password")).user == "\u00e9\u00e9"
    with pytest.raises(PacketTooLarge, match="more than 4 bytes"):
        server.request("none", user="\u00e9\u00e9x")


def test_a_denial_without_a_reason_adds_none() -> None:
    server = ServerSide()
    server.password("wrong")
    server.reply(AskUser, requires("password"))
    server.reply(AskPassword, Denied())
    (result,) = server.take(AuthResult)
    assert result.detail == ""


@pytest.mark.parametrize("context", [None, FakeContext()])
def test_the_context_of_a_key_exchange_is_offered_where_there_is_one(
    context: FakeContext | None,
) -> None:
    server = ServerSide()
    server.auth._session = SessionProof(SESSION_ID, HOST_KEY.public, context=context)
    server.request("none")
    server.reply(AskUser, requires("gssapi-keyex", "password"))
    offered = ("password",) if context is None else ("gssapi-keyex", "password")
    assert server.sent() == [UserauthFailure(offered, False).encode()]
