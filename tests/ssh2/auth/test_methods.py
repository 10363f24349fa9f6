"""Each method by itself: a generator that yields questions and messages (RFC 4252, RFC 4256)."""

from __future__ import annotations

from typing import Any

import pytest

from nacre.errors import (
    AuthenticationFailed,
    LocalProtocolError,
    PacketTooLarge,
    RemoteProtocolError,
    UnusableKey,
)
from nacre.keys import generate
from nacre.limits import Limits
from nacre.protocol.asks import (
    AskKeyboardInteractive,
    AskNewPassword,
    AskPassword,
    AskPrompts,
    AskPublicKey,
    AskSignature,
    Challenge,
    Denied,
    GiveUp,
    Granted,
    NewPassword,
    PasswordExpired,
    Prompt,
    Responses,
    SessionProof,
    Signature,
    TryKeyboardInteractive,
    TryPassword,
    TryPublicKey,
)
from nacre.protocol.options import ClientOptions, ServerOptions
from nacre.ssh2.auth import keyboard_interactive, password, publickey
from nacre.ssh2.auth.attempt import Attempt, Exchange, check_length
from nacre.ssh2.auth.messages import (
    HOST_BOUND,
    HostBoundQuery,
    HostBoundRequest,
    InfoPrompt,
    InfoRequest,
    InfoResponse,
    InteractiveRequest,
    PasswordChange,
    PasswordChangeRequest,
    PasswordRequest,
    PublicKeyOk,
    PublicKeyQuery,
    PublicKeyRequest,
    UserauthRequest,
)
from nacre.ssh2.auth.stages import AuthStage
from nacre.ssh2.auth.texts import shown
from nacre.wire.codec import string, text

KEY = generate("ssh-ed25519")
HOST_KEY, ANOTHER = (generate("ssh-ed25519").public for _ in range(2))
SESSION = SessionProof(bytes(32), HOST_KEY)
ED25519 = "ssh-ed25519"


def serving(method: str, **limits: int) -> Attempt:
    return Attempt("alice", method, SESSION, ServerOptions(host_keys=(), limits=Limits(**limits)))


def trying(method: str, **limits: int) -> Attempt:
    return Attempt("alice", method, SESSION, ClientOptions(user="alice", limits=Limits(**limits)))


def result(steps: Any, answer: object) -> Any:
    """Resume a method for the last time, and return its result."""
    with pytest.raises(StopIteration) as ended:
        steps.send(answer)
    return ended.value.value


def fields(exchange: Exchange) -> bytes:
    """Return the method's fields of the request in an exchange."""
    return UserauthRequest.decode(exchange.message.encode()).fields


# --- password ---


@pytest.mark.parametrize("answer", [Granted(), Denied("wrong")])
def test_a_password_is_asked_about(answer: Granted | Denied) -> None:
    attempt = serving("password")
    steps = password.check(attempt, PasswordRequest(False, "secret").encode())
    ask = next(steps)
    assert isinstance(ask, AskPassword)
    assert (ask.user, ask.password, ask.new_password) == ("alice", "secret", None)
    assert result(steps, answer) is isinstance(answer, Granted)
    assert attempt.detail == ("(wrong)" if isinstance(answer, Denied) else "")


def test_an_expired_password_is_answered_with_a_request_to_change_it() -> None:
    steps = password.check(serving("password"), PasswordRequest(False, "old").encode())
    next(steps)
    assert result(steps, PasswordExpired("New: ")) == PasswordChangeRequest("New: ", "")


def test_a_change_carries_both_passwords() -> None:
    steps = password.check(serving("password"), PasswordChange(True, "old", "new").encode())
    ask = next(steps)
    assert isinstance(ask, AskPassword)
    assert (ask.password, ask.new_password) == ("old", "new")


@pytest.mark.parametrize(
    "request_", [PasswordRequest(False, "x" * 9), PasswordChange(True, "x", "y" * 9)]
)
def test_a_password_above_the_bound(request_: PasswordRequest | PasswordChange) -> None:
    with pytest.raises(PacketTooLarge, match="password has more than 8 bytes"):
        next(password.check(serving("password", password=8), request_.encode()))


def test_a_client_changes_an_expired_password() -> None:
    steps = password.prove(trying("password"), TryPassword("old"), None)
    first = next(steps)
    assert isinstance(first, Exchange)
    assert fields(first) == PasswordRequest(False, "old").encode()
    ask = steps.send(PasswordChangeRequest("New\x1b: ", "").encode())
    assert isinstance(ask, AskNewPassword)
    assert ask.prompt == "New\\x1b: "
    second = steps.send(NewPassword("old", "new"))
    assert isinstance(second, Exchange)
    assert second.stage is AuthStage.CLIENT_PASSWORD
    assert fields(second) == PasswordChange(True, "old", "new").encode()


def test_a_client_that_keeps_its_password_says_why() -> None:
    attempt = trying("password")
    steps = password.prove(attempt, TryPassword("old"), None)
    next(steps)
    steps.send(PasswordChangeRequest("", "").encode())
    assert result(steps, Denied()) is None
    assert "was not changed" in attempt.detail


# --- publickey ---


def signed_data(attempt: Attempt) -> bytes:
    """Return what a signature of KEY covers: the session id, and the request before it."""
    request = attempt.request(PublicKeyQuery(True, ED25519, KEY.public.blob))
    return string(attempt.session.session_id) + request.encode()


def signed(attempt: Attempt) -> bytes:
    data = signed_data(attempt)
    return PublicKeyRequest(True, ED25519, KEY.public.blob, KEY.sign(data, ED25519)).encode()


def test_a_query_is_answered_with_ok() -> None:
    attempt = serving("publickey")
    query = PublicKeyQuery(False, ED25519, KEY.public.blob).encode()
    steps = publickey.check(attempt, query)
    ask = next(steps)
    assert isinstance(ask, AskPublicKey)
    assert not ask.signed
    assert result(steps, Granted()) == PublicKeyOk(ED25519, KEY.public.blob)
    assert KEY.public.fingerprint() in attempt.detail


def test_a_signature_that_verifies_is_asked_about() -> None:
    attempt = serving("publickey")
    steps = publickey.check(attempt, signed(attempt))
    ask = next(steps)
    assert isinstance(ask, AskPublicKey)
    assert ask.signed
    assert result(steps, Granted()) is True


@pytest.mark.parametrize("what", ["user", "session"])
def test_a_signature_for_another_user_or_session_is_not(what: str) -> None:
    other = serving("publickey")
    if what == "user":
        other.user = "bob"
    else:
        other.session = SessionProof(b"\1" * 32, HOST_KEY)
    attempt = serving("publickey")
    assert result(publickey.check(attempt, signed(other)), None) is False
    assert "does not verify" in attempt.detail


@pytest.mark.parametrize(
    ("algorithm", "blob", "reason"),
    [
        ("rsa-sha2-512", KEY.public.blob, "not a key for rsa-sha2-512 signatures"),
        (ED25519, b"", "damaged"),
        ("ssh-dss\x1b", b"\0\0\0\1x", "not supported"),
    ],
    ids=["another algorithm", "no key", "an unknown type"],
)
def test_a_key_that_can_not_be_used(algorithm: str, blob: bytes, reason: str) -> None:
    attempt = serving("publickey")
    query = PublicKeyQuery(False, algorithm, blob).encode()
    assert result(publickey.check(attempt, query), None) is False
    assert reason in attempt.detail
    assert attempt.detail.isprintable()


@pytest.mark.parametrize(("bits", "least", "taken"), [(1024, 2048, False), (1024, 1024, True)])
def test_a_short_rsa_key_is_refused(bits: int, least: int, taken: bool) -> None:
    attempt = serving("publickey", user_rsa_bits=least)
    blob = generate("ssh-rsa", bits=bits).public.blob
    steps = publickey.check(attempt, PublicKeyQuery(False, "rsa-sha2-256", blob).encode())
    if taken:
        assert isinstance(next(steps), AskPublicKey)
    else:
        assert result(steps, None) is False
        assert "1024 bits; RequiredRSASize is 2048" in attempt.detail


def test_a_client_that_gives_up_instead_of_signing_ends_the_login() -> None:
    steps = publickey.prove(
        trying("publickey"), TryPublicKey(KEY.public, (ED25519,), signed=True), None
    )
    assert isinstance(next(steps), AskSignature)
    error = UnusableKey("the passphrase is wrong")
    assert result(steps, GiveUp(error)) is error


def test_a_servers_list_does_not_keep_other_keys_than_rsa_back() -> None:
    steps = publickey.prove(
        trying("publickey"), TryPublicKey(KEY.public, (ED25519,)), ("rsa-sha2-256",)
    )
    offer = next(steps)
    assert isinstance(offer, Exchange)
    assert fields(offer) == PublicKeyQuery(False, ED25519, KEY.public.blob).encode()


def test_a_client_offers_then_signs() -> None:
    steps = publickey.prove(trying("publickey"), TryPublicKey(KEY.public, (ED25519,)), None)
    offer = next(steps)
    assert isinstance(offer, Exchange)
    assert offer.stage is AuthStage.CLIENT_PUBLICKEY_QUERY
    ask = steps.send(PublicKeyOk(ED25519, KEY.public.blob).encode())
    assert isinstance(ask, AskSignature)
    last = steps.send(Signature(KEY.sign(ask.data, ask.algorithm)))
    assert isinstance(last, Exchange)
    assert last.stage is AuthStage.CLIENT_WAITING
    assert fields(last) == signed(trying("publickey"))


def test_a_client_refuses_the_ok_for_another_key() -> None:
    steps = publickey.prove(trying("publickey"), TryPublicKey(KEY.public, (ED25519,)), None)
    next(steps)
    with pytest.raises(RemoteProtocolError, match="not offered"):
        steps.send(PublicKeyOk(ED25519, generate(ED25519).public.blob).encode())


@pytest.mark.parametrize(
    ("server", "algorithm"),
    [
        (None, "rsa-sha2-512"),
        (("rsa-sha2-256", "ssh-rsa"), "rsa-sha2-256"),
        ((ED25519,), None),
        ((), None),
    ],
)
def test_the_first_algorithm_that_the_server_names_is_used(
    server: tuple[str, ...] | None, algorithm: str | None
) -> None:
    key = generate("ssh-rsa", bits=1024).public
    chosen = TryPublicKey(key, ("ssh-ed25519", "rsa-sha2-512", "rsa-sha2-256"))
    attempt = trying("publickey")
    steps = publickey.prove(attempt, chosen, server)
    if algorithm is None:
        assert result(steps, None) is None
        assert "no signature algorithm in common" in attempt.detail
    else:
        offer = next(steps)
        assert isinstance(offer, Exchange)
        assert fields(offer) == PublicKeyQuery(False, algorithm, key.blob).encode()


# --- keyboard-interactive ---

CHALLENGE = Challenge("Token", "Read it", (Prompt("Code: ", False), Prompt("PIN: ", True)))


def responses(*given: str) -> bytes:
    return InfoResponse(len(given), b"".join(map(text, given))).encode()


def test_challenges_go_on_until_the_policy_decides() -> None:
    request = InteractiveRequest("", "otp").encode()
    steps = keyboard_interactive.check(serving("keyboard-interactive"), request)
    ask = next(steps)
    assert isinstance(ask, AskKeyboardInteractive)
    assert (ask.submethods, ask.responses) == ("otp", None)
    exchange = steps.send(CHALLENGE)
    assert isinstance(exchange, Exchange)
    prompts = b"".join(InfoPrompt(p.text, p.echo).encode() for p in CHALLENGE.prompts)
    assert exchange.message == InfoRequest("Token", "Read it", "", 2, prompts)
    ask = steps.send(responses("1", "2"))
    assert isinstance(ask, AskKeyboardInteractive)
    assert ask.responses == ("1", "2")
    assert result(steps, Granted()) is True


def test_a_policy_that_never_decides_is_denied() -> None:
    attempt = serving("keyboard-interactive", auth_rounds=2)
    steps = keyboard_interactive.check(attempt, InteractiveRequest("", "").encode())
    next(steps)
    for _ in range(2):
        steps.send(CHALLENGE)
        steps.send(responses("1", "2"))
    assert result(steps, CHALLENGE) is False
    assert "too many rounds" in attempt.detail


@pytest.mark.parametrize("count", [0, 1, 3])
def test_another_number_of_responses(count: int) -> None:
    request = InteractiveRequest("", "").encode()
    steps = keyboard_interactive.check(serving("keyboard-interactive"), request)
    next(steps)
    steps.send(CHALLENGE)
    with pytest.raises(RemoteProtocolError, match=f"{count} responses were sent to 2 prompts"):
        steps.send(responses(*["x"] * count))


def interactive(**limits: int) -> Any:
    steps = keyboard_interactive.prove(
        trying("keyboard-interactive", **limits), TryKeyboardInteractive(), None
    )
    next(steps)
    return steps


def info(*prompts: str) -> bytes:
    encoded = b"".join(InfoPrompt(prompt, False).encode() for prompt in prompts)
    return InfoRequest("", "", "", len(prompts), encoded).encode()


def test_prompts_are_made_safe_and_answered() -> None:
    steps = interactive()
    ask = steps.send(info("Code\x1b: "))
    assert isinstance(ask, AskPrompts)
    assert ask.prompts == (Prompt("Code\\x1b: ", False),)
    assert steps.send(Responses(("42",))).message.encode() == responses("42")


def test_a_user_who_gives_up_ends_the_method() -> None:
    steps = interactive()
    steps.send(info("Code: "))
    error = AuthenticationFailed("no")
    assert result(steps, GiveUp(error)) is error


def test_too_few_answers_are_this_program_s_fault() -> None:
    steps = interactive()
    steps.send(info("Code: "))
    assert isinstance(result(steps, Responses(())), LocalProtocolError)


def test_prompts_are_bounded() -> None:
    steps = interactive(auth_prompts=1)
    with pytest.raises(RemoteProtocolError, match="2 prompts in one round; at most 1"):
        steps.send(info("a", "b"))


# --- texts ---


def test_texts_keep_their_lines_and_backslashes() -> None:
    assert shown("a\r\nb\\\tc\x1b", 100) == "a\nb\\\tc\\x1b"


def test_texts_are_cut() -> None:
    assert shown("x" * 10, 4) == "xxxx…"


def test_a_length_is_counted_in_bytes_and_the_text_not_repeated() -> None:
    check_length("a name", "\xe9\xe9", 4)
    with pytest.raises(PacketTooLarge) as caught:
        check_length("a name", "\xe9\xe9secret", 4)
    assert str(caught.value) == "a name has more than 4 bytes"


# --- publickey-hostbound-v00@openssh.com ---


def host_bound(attempt: Attempt) -> Attempt:
    attempt.host_bound = True
    return attempt


def bound_signature(host_key: bytes) -> bytes:
    """Sign as section 3.1 of OpenSSH's PROTOCOL says, field by field."""
    data = (
        string(SESSION.session_id)
        + b"\x32"
        + text("alice")
        + string(b"ssh-connection")
        + string(b"publickey-hostbound-v00@openssh.com")
        + b"\x01"
        + text(ED25519)
        + string(KEY.public.blob)
        + string(host_key)
    )
    signature = KEY.sign(data, ED25519)
    return HostBoundRequest(True, ED25519, KEY.public.blob, host_key, signature).encode()


def test_a_request_that_is_bound_to_our_host_key_is_asked_about() -> None:
    attempt = host_bound(serving("publickey"))
    steps = publickey.check(attempt, bound_signature(HOST_KEY.blob))
    assert isinstance(next(steps), AskPublicKey)
    assert result(steps, Granted()) is True


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(
    "host_key", [ANOTHER.blob, b"", HOST_KEY.blob + b"\0"], ids=["another", "none", "longer"]
)
def test_a_request_that_is_bound_to_another_host_key_ends_the_connection(
    signed: bool, host_key: bytes
) -> None:
    """Who relays the login of somebody else gets no use of the signature."""
    fields = bound_signature(host_key)
    if not signed:
        fields = HostBoundQuery(False, ED25519, KEY.public.blob, host_key).encode()
    with pytest.raises(RemoteProtocolError, match="host key of another server"):
        next(publickey.check(host_bound(serving("publickey")), fields))


def test_a_signature_without_a_host_key_does_not_count_for_a_bound_request() -> None:
    data = signed_data(serving("publickey"))
    signature = KEY.sign(data, ED25519)
    fields = HostBoundRequest(True, ED25519, KEY.public.blob, HOST_KEY.blob, signature).encode()
    attempt = host_bound(serving("publickey"))
    assert result(publickey.check(attempt, fields), None) is False


def test_a_client_names_the_host_key_in_the_query_and_in_the_signed_request() -> None:
    attempt = host_bound(trying("publickey"))
    steps = publickey.prove(attempt, TryPublicKey(KEY.public, (ED25519,)), None)
    query = next(steps)
    assert isinstance(query, Exchange)
    request = UserauthRequest.decode(query.message.encode())
    assert request.method == HOST_BOUND
    expected = HostBoundQuery(False, ED25519, KEY.public.blob, HOST_KEY.blob)
    assert request.fields == expected.encode()
    ask = steps.send(PublicKeyOk(ED25519, KEY.public.blob).encode())
    assert isinstance(ask, AskSignature)
    sent = steps.send(Signature(KEY.sign(ask.data, ED25519)))
    assert isinstance(sent, Exchange)
    assert fields(sent) == bound_signature(HOST_KEY.blob)
