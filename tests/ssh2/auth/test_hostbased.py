"""``hostbased`` by itself: a generator that yields questions and messages (RFC 4252 section 9)."""

from __future__ import annotations

from typing import Any

import pytest

from nacre.errors import AuthenticationFailed, PacketTooLarge
from nacre.keys import generate
from nacre.protocol.asks import (
    AskHostBased,
    AskSignature,
    ClientHost,
    Denied,
    GiveUp,
    Granted,
    SessionProof,
    Signature,
    TryHostBased,
)
from nacre.protocol.options import ClientOptions, ServerOptions
from nacre.ssh2.auth import hostbased
from nacre.ssh2.auth.attempt import Attempt, Exchange
from nacre.ssh2.auth.messages import HostBasedRequest, UserauthRequest
from nacre.ssh2.auth.stages import AuthStage
from nacre.wire.codec import string

KEY, SERVER = generate("ssh-ed25519"), generate("ssh-ed25519")
SESSION = SessionProof(bytes(32), SERVER.public)
HOST = ClientHost("client.example.", "alice", KEY.public, "ssh-ed25519")


def attempt(*, server: bool) -> Attempt:
    options: Any = ServerOptions(host_keys=(SERVER,)) if server else ClientOptions(user="bob")
    return Attempt("bob", "hostbased", SESSION, options)


def request(**changed: Any) -> bytes:
    """Return the fields of a signed request."""
    fields: dict[str, Any] = {
        "algorithm": "ssh-ed25519",
        "blob": KEY.public.blob,
        "host": "client.example.",
        "host_user": "alice",
        "signature": b"",
        **changed,
    }
    if not fields["signature"]:
        covered = HostBasedRequest(**fields).encode()[:-4]
        data = string(bytes(32)) + attempt(server=True).request(covered).encode()
        fields["signature"] = KEY.sign(data, "ssh-ed25519")
    return HostBasedRequest(**fields).encode()


def result_of(steps: Any, answer: object) -> Any:
    with pytest.raises(StopIteration) as stop:
        steps.send(answer)
    return stop.value.value


@pytest.mark.parametrize(("answer", "expected"), [(Granted(), True), (Denied("no"), False)])
def test_the_policy_is_asked_once_the_signature_has_verified(answer: Any, expected: bool) -> None:
    one = attempt(server=True)
    steps = hostbased.check(one, request())
    ask = next(steps)
    assert isinstance(ask, AskHostBased)
    assert (ask.user, ask.host.name, ask.host.user) == ("bob", "client.example", "alice")
    assert (ask.host.key, ask.host.algorithm) == (KEY.public, "ssh-ed25519")
    assert result_of(steps, answer) is expected
    assert "of alice@client.example." in one.detail


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"signature": KEY.sign(b"other", "ssh-ed25519")}, "does not verify"),
        ({"algorithm": "rsa-sha2-512"}, "not a key for rsa-sha2-512"),
        ({"blob": b"nonsense"}, ""),
    ],
)
def test_what_is_refused_without_a_question(changed: dict[str, Any], reason: str) -> None:
    one = attempt(server=True)
    assert result_of(hostbased.check(one, request(**changed)), None) is False
    assert reason in one.detail


@pytest.mark.parametrize("field", ["host", "host_user"])
def test_names_are_bounded(field: str) -> None:
    steps = hostbased.check(attempt(server=True), request(**{field: "x" * 5000}))
    with pytest.raises(PacketTooLarge):
        next(steps)


def test_the_client_has_the_request_signed() -> None:
    steps = hostbased.prove(attempt(server=False), TryHostBased(HOST), None)
    ask = next(steps)
    assert isinstance(ask, AskSignature)
    assert ask.key == KEY.public
    sent = steps.send(Signature(KEY.sign(ask.data, ask.algorithm)))
    assert isinstance(sent, Exchange)
    assert sent.stage is AuthStage.CLIENT_WAITING
    message = UserauthRequest.decode(sent.message.encode())
    asked = next(hostbased.check(attempt(server=True), message.fields))
    assert isinstance(asked, AskHostBased)
    assert asked.host.name == "client.example"


@pytest.mark.parametrize("answer", [Denied("no key"), GiveUp(AuthenticationFailed("enough"))])
def test_a_client_without_a_signature(answer: Any) -> None:
    one = attempt(server=False)
    steps = hostbased.prove(one, TryHostBased(HOST), None)
    next(steps)
    result = result_of(steps, answer)
    assert result is (answer.error if isinstance(answer, GiveUp) else None)
    assert ("no key" in one.detail) is isinstance(answer, Denied)
