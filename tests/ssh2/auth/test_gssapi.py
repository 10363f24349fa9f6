"""``gssapi-with-mic`` and ``gssapi-keyex`` by themselves (RFC 4462 sections 3 and 4)."""

from __future__ import annotations

from typing import Any

import pytest

from contexts import FakeContext
from nacre.errors import MalformedMessage, PacketTooLarge, RemoteProtocolError
from nacre.limits import DEFAULT_LIMITS
from nacre.protocol.asks import (
    AskPrincipal,
    AskSecurityStep,
    Denied,
    Granted,
    SecurityStep,
    SessionProof,
    TryGSSAPIKeyex,
    TryGSSAPIWithMIC,
)
from nacre.protocol.gssapi import KERBEROS
from nacre.protocol.options import ClientOptions, ServerOptions
from nacre.ssh2.auth import gssapi
from nacre.ssh2.auth.attempt import Attempt, Exchange
from nacre.ssh2.auth.messages import (
    KeyexRequest,
    MechanismChosen,
    MechanismsRequest,
    SecurityError,
    SecurityErrorToken,
    SecurityMIC,
    SecurityToken,
)
from nacre.ssh2.auth.stages import AuthStage
from nacre.wire.codec import string

OFFER = MechanismsRequest(1, string(KERBEROS)).encode()
SPNEGO = bytes.fromhex("06062b0601050502")
TOO_LARGE = bytes(DEFAULT_LIMITS.security_token + 1)


def attempt(method: str, *, server: bool, context: Any = None) -> Attempt:
    options: Any = ServerOptions(host_keys=()) if server else ClientOptions(user="alice")
    return Attempt("alice", method, SessionProof(bytes(32), None, context=context), options)


def established(initiates: bool) -> FakeContext:
    context = FakeContext(initiates=initiates)
    context.complete = True
    return context


def mic_of(method: str) -> bytes:
    covered = string(bytes(32)) + attempt(method, server=True).request().encode()
    return established(True).mic(covered)


def result_of(steps: Any, answer: object) -> Any:
    with pytest.raises(StopIteration) as stop:
        steps.send(answer)
    return stop.value.value


def waiting_for_mic() -> tuple[Attempt, Any]:
    """Return a server's attempt whose context is established."""
    tried = attempt("gssapi-with-mic", server=True)
    steps = gssapi.check(tried, OFFER)
    assert next(steps) == Exchange(MechanismChosen(KERBEROS), AuthStage.SERVER_TOKEN)
    asked = steps.send(SecurityToken(b"initiator 1").encode())
    assert isinstance(asked, AskSecurityStep)
    assert (asked.context, asked.token) == (None, b"initiator 1")
    sent = steps.send(FakeContext(initiates=False).step(asked.token))
    assert sent == Exchange(SecurityToken(b"acceptor 1"), AuthStage.SERVER_MIC)
    return tried, steps


def test_a_server_asks_about_the_name_that_is_proved() -> None:
    tried, steps = waiting_for_mic()
    asked = steps.send(SecurityMIC(mic_of("gssapi-with-mic")).encode())
    assert isinstance(asked, AskPrincipal)
    assert (asked.user, asked.context.principal) == ("alice", "alice@EXAMPLE.ORG")
    assert result_of(steps, Granted()) is True
    assert tried.detail == "alice@EXAMPLE.ORG"


@pytest.mark.parametrize("mic", [b"", b"garbage", mic_of("gssapi-keyex")])
def test_a_mic_of_something_else_asks_nobody(mic: bytes) -> None:
    tried, steps = waiting_for_mic()
    assert result_of(steps, SecurityMIC(mic).encode()) is False
    assert tried.detail == "alice@EXAMPLE.ORG (the MIC does not verify)"


def test_a_token_that_the_library_refuses_is_a_failure_with_a_reason() -> None:
    tried = attempt("gssapi-with-mic", server=True)
    steps = gssapi.check(tried, OFFER)
    next(steps)
    steps.send(SecurityToken(b"garbage").encode())
    assert result_of(steps, Denied("a bad token\x1b[2J")) is False
    assert tried.detail == "(a bad token\\x1b[2J)"


def test_a_client_may_give_up() -> None:
    gives_up = SecurityErrorToken(b"bye").encode()
    tried, steps = waiting_for_mic()
    assert result_of(steps, gives_up) is False
    steps = gssapi.check(tried, OFFER)
    next(steps)
    assert result_of(steps, gives_up) is False


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        (b"", MalformedMessage),
        (MechanismsRequest(2, string(KERBEROS)).encode(), MalformedMessage),
        (OFFER + b"more", MalformedMessage),
        (MechanismsRequest(65, string(KERBEROS) * 65).encode(), PacketTooLarge),
        (MechanismsRequest(0xFFFFFFFF, b"").encode(), PacketTooLarge),
    ],
)
def test_bad_requests_end_the_connection(fields: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        next(gssapi.check(attempt("gssapi-with-mic", server=True), fields))


@pytest.mark.parametrize("offer", [(), (SPNEGO,), (KERBEROS[2:],)])
def test_kerberos_alone_is_taken(offer: tuple[bytes, ...]) -> None:
    fields = MechanismsRequest(len(offer), b"".join(map(string, offer))).encode()
    steps = gssapi.check(attempt("gssapi-with-mic", server=True), fields)
    assert result_of(steps, None) is False


def test_tokens_and_mics_are_bounded_before_they_are_used() -> None:
    steps = gssapi.check(attempt("gssapi-with-mic", server=True), OFFER)
    next(steps)
    with pytest.raises(PacketTooLarge):
        steps.send(SecurityToken(TOO_LARGE).encode())
    _, steps = waiting_for_mic()
    with pytest.raises(PacketTooLarge):
        steps.send(SecurityMIC(TOO_LARGE).encode())
    keyed = attempt("gssapi-keyex", server=True, context=established(False))
    with pytest.raises(PacketTooLarge):
        next(gssapi.check_keyex(keyed, KeyexRequest(TOO_LARGE).encode()))


def proving() -> tuple[Attempt, Any]:
    tried = attempt("gssapi-with-mic", server=False)
    context = FakeContext()
    step = context.step(b"")
    assert isinstance(step, SecurityStep)
    steps: Any = gssapi.prove(tried, TryGSSAPIWithMIC(context, step.token), None)
    sent = next(steps)
    assert sent == Exchange(tried.request(OFFER), AuthStage.CLIENT_MECHANISM)
    return tried, steps


def test_a_client_sends_its_tokens_and_then_a_mic() -> None:
    _, steps = proving()
    sent = steps.send(MechanismChosen(KERBEROS).encode())
    assert sent == Exchange(SecurityToken(b"initiator 1"), AuthStage.CLIENT_TOKEN)
    asked = steps.send(SecurityToken(b"acceptor 1").encode())
    sent = steps.send(asked.context.step(asked.token))
    mic = SecurityMIC(mic_of("gssapi-with-mic"))
    assert sent == Exchange(mic, AuthStage.CLIENT_WAITING)


def test_a_server_that_is_not_the_wanted_one_gets_no_mic() -> None:
    tried, steps = proving()
    steps.send(MechanismChosen(KERBEROS).encode())
    asked = steps.send(SecurityToken(b"acceptor of another host").encode())
    assert result_of(steps, asked.context.step(asked.token)) is None
    assert tried.detail == "(a bad token)"


def test_a_client_holds_servers_to_its_offer_and_its_bounds() -> None:
    _, steps = proving()
    with pytest.raises(RemoteProtocolError, match="not offered"):
        steps.send(MechanismChosen(SPNEGO).encode())
    _, steps = proving()
    steps.send(MechanismChosen(KERBEROS).encode())
    with pytest.raises(PacketTooLarge):
        steps.send(SecurityToken(TOO_LARGE).encode())


def test_the_servers_reason_is_safe_to_print() -> None:
    tried = attempt("gssapi-with-mic", server=False)
    gssapi.explain_error(tried, SecurityError(1, 2, "no\x1b key", "").encode())
    assert tried.detail == "(no\\x1b key)"


def test_the_context_of_the_key_exchange_logs_in() -> None:
    ours = attempt("gssapi-keyex", server=False, context=established(True))
    sent: Any = next(gssapi.prove_keyex(ours, TryGSSAPIKeyex(), None))
    assert sent == Exchange(
        ours.request(KeyexRequest(mic_of("gssapi-keyex"))), AuthStage.CLIENT_WAITING
    )
    tried = attempt("gssapi-keyex", server=True, context=established(False))
    steps = gssapi.check_keyex(tried, KeyexRequest(mic_of("gssapi-keyex")).encode())
    assert isinstance(next(steps), AskPrincipal)
    assert result_of(steps, Denied("not alice")) is False
    steps = gssapi.check_keyex(tried, KeyexRequest(b"garbage").encode())
    assert result_of(steps, None) is False


def test_without_such_a_key_exchange_it_fails() -> None:
    ours, theirs = (attempt("gssapi-keyex", server=server) for server in (False, True))
    assert result_of(gssapi.prove_keyex(ours, TryGSSAPIKeyex(), None), None) is None
    steps = gssapi.check_keyex(theirs, KeyexRequest(b"").encode())
    assert result_of(steps, None) is False
