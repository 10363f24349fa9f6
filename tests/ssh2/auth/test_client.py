"""The client's side: what it sends for each answer, and what it takes from a server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from nacre.errors import LocalProtocolError, MalformedMessage, RemoteProtocolError
from nacre.keys import generate
from nacre.limits import DEFAULT_LIMITS
from nacre.protocol.asks import (
    Answer,
    AskAuthentication,
    AskNewPassword,
    AskPrompts,
    AskSignature,
    Denied,
    GiveUp,
    NewPassword,
    Prompt,
    Responses,
    Signature,
    TryKeyboardInteractive,
    TryNone,
    TryPassword,
    TryPublicKey,
)
from nacre.protocol.events import AuthBanner, Authenticated, AuthResult
from nacre.ssh2.auth.messages import (
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
    UserauthBanner,
    UserauthFailure,
    UserauthRequest,
    UserauthSuccess,
)
from nacre.ssh2.auth.stages import LEGAL, AuthStage
from nacre.wire.codec import string
from ssh2.auth.back_to_back import ED25519, GAVE_UP, SESSION_ID, ClientSide

RSA = generate("ssh-rsa", bits=2048)
SHA2 = ("rsa-sha2-512", "rsa-sha2-256")


def started(answer: Answer | None = None, **limits: int) -> ClientSide:
    client = ClientSide(replace(DEFAULT_LIMITS, **limits))
    client.auth.start()
    if answer is not None:
        client.reply(AskAuthentication, answer)
    return client


def request(method: str, fields: bytes = b"") -> list[bytes]:
    return [UserauthRequest("alice", "ssh-connection", method, fields).encode()]


def failed(*can_continue: str, partial: bool = False) -> bytes:
    return UserauthFailure(can_continue, partial).encode()


def info(*prompts: str, count: int | None = None) -> bytes:
    encoded = b"".join(InfoPrompt(text, False).encode() for text in prompts)
    return InfoRequest("", "", "", len(prompts) if count is None else count, encoded).encode()


def test_it_begins_with_a_question() -> None:
    client = ClientSide()
    client.auth.server_algorithms = ("ssh-ed25519",)
    client.auth.start()
    ask = client.question(AskAuthentication)
    assert (ask.can_continue, ask.partial, ask.server_algorithms) == ((), False, ("ssh-ed25519",))
    assert client.sent() == []
    assert client.auth.stage is AuthStage.CLIENT_IDLE


OFFER = TryPublicKey(ED25519.public, ("ssh-ed25519",))


@pytest.mark.parametrize(
    ("answer", "sent", "stage"),
    [
        (TryNone(), request("none"), AuthStage.CLIENT_WAITING),
        (
            TryPassword("pw"),
            request("password", b"\0" + string(b"pw")),
            AuthStage.CLIENT_PASSWORD,
        ),
        (
            OFFER,
            request(
                "publickey", PublicKeyQuery(False, "ssh-ed25519", ED25519.public.blob).encode()
            ),
            AuthStage.CLIENT_PUBLICKEY_QUERY,
        ),
        (
            TryKeyboardInteractive("pam"),
            request("keyboard-interactive", string(b"") + string(b"pam")),
            AuthStage.CLIENT_INTERACTIVE,
        ),
    ],
)
def test_what_each_answer_sends(answer: Answer, sent: list[bytes], stage: AuthStage) -> None:
    client = started(answer)
    assert client.sent() == sent
    assert client.auth.stage is stage
    client.deliver(failed("password", "publickey"))
    ask = client.question(AskAuthentication)
    assert (ask.can_continue, ask.partial) == (("password", "publickey"), False)
    (result,) = client.take(AuthResult)
    assert (result.outcome, result.attempt) == ("failure", 1)
    assert client.auth.stage is AuthStage.CLIENT_IDLE


@pytest.mark.parametrize(
    ("answer", "strays"),
    [
        (None, {51, 52, 60, 61}),
        (TryNone(), {60, 61, 50}),
        (TryPassword("pw"), {50, 61}),
        (OFFER, {50, 52, 61}),
        (TryKeyboardInteractive(), {50, 61}),
    ],
)
def test_strays_are_not_in_the_table(answer: Answer | None, strays: set[int]) -> None:
    client = started(answer)
    assert not strays & LEGAL[client.auth.stage]


def test_success_is_the_end() -> None:
    client = started(TryPassword("pw"))
    client.deliver(UserauthSuccess().encode())
    assert client.auth.succeeded
    assert client.events == [
        AuthResult("alice", "password", "", "success", (), 0),
        Authenticated("alice", ("password",)),
    ]
    assert LEGAL[client.auth.stage] == frozenset()


def test_partial_success() -> None:
    client = started(TryPassword("pw"))
    client.deliver(failed("publickey", partial=True))
    ask = client.question(AskAuthentication)
    assert (ask.can_continue, ask.partial) == (("publickey",), True)
    client.asks.answer(ask.ask_id, TryNone())
    client.deliver(UserauthSuccess().encode())
    assert client.auth.methods == ("password", "none")
    assert [r.outcome for r in client.take(AuthResult)] == ["partial", "success"]


@pytest.mark.parametrize("flag", [b"", b"\0\0"])
def test_malformed_verdicts(flag: bytes) -> None:
    client = started(TryNone())
    with pytest.raises(MalformedMessage):
        client.deliver(b"\x33" + string(b"password") + flag)


def test_what_a_server_adds_to_its_success_is_not_looked_at() -> None:
    client = started(TryNone())
    client.deliver(b"\x34x")
    assert client.auth.succeeded


def test_a_list_of_methods_is_bounded() -> None:
    client = started(TryNone(), name_list=64)
    with pytest.raises(RemoteProtocolError, match="too long"):
        client.deliver(failed("a" * 64))


def test_giving_up_is_left_to_the_engine() -> None:
    client = started(GiveUp(GAVE_UP))
    assert client.auth.gave_up is GAVE_UP
    assert client.sent() == []
    assert not client.asks.blocking


# --- publickey ---


def test_query_then_signature() -> None:
    client = started(OFFER)
    client.sent()
    client.deliver(PublicKeyOk("ssh-ed25519", ED25519.public.blob).encode())
    ask = client.question(AskSignature)
    blob = ED25519.public.blob
    signed = b"\x01" + string(b"ssh-ed25519") + string(blob)
    assert ask.data == string(SESSION_ID) + request("publickey", signed)[0]
    client.asks.answer(ask.ask_id, Signature(b"the signature"))
    fields = PublicKeyRequest(True, "ssh-ed25519", blob, b"the signature").encode()
    assert client.sent() == request("publickey", fields)
    assert client.auth.stage is AuthStage.CLIENT_WAITING
    client.deliver(UserauthSuccess().encode())
    (result,) = client.take(AuthResult)
    assert result.detail == f"ssh-ed25519 {ED25519.public.fingerprint()}"


@pytest.mark.parametrize(
    ("given", "server", "chosen"),
    [
        (SHA2, None, "rsa-sha2-512"),
        (SHA2[::-1], None, "rsa-sha2-256"),
        (SHA2, ("ssh-ed25519", "rsa-sha2-256"), "rsa-sha2-256"),
        (("ssh-ed25519", "rsa-sha2-256"), None, "rsa-sha2-256"),
        (SHA2, ("ssh-rsa",), None),
        (SHA2, (), None),
        (("ssh-ed25519",), None, None),
        ((), None, None),
    ],
)
def test_the_choice_of_an_algorithm(
    given: tuple[str, ...], server: tuple[str, ...] | None, chosen: str | None
) -> None:
    client = ClientSide()
    client.auth.start()
    client.auth.server_algorithms = server
    client.reply(AskAuthentication, TryPublicKey(RSA.public, given))
    if chosen is not None:
        fields = PublicKeyQuery(False, chosen, RSA.public.blob).encode()
        assert client.sent() == request("publickey", fields)
        return
    assert client.sent() == []
    (result,) = client.take(AuthResult)
    assert result.outcome == "failure"
    assert result.detail.endswith("(no signature algorithm in common with the server)")
    client.question(AskAuthentication)


def test_a_signature_without_an_offer() -> None:
    client = started(TryPublicKey(ED25519.public, ("ssh-ed25519",), signed=True))
    assert client.sent() == []
    question = client.question(AskSignature)
    assert (question.key, question.algorithm) == (ED25519.public, "ssh-ed25519")
    signature = ED25519.sign(question.data, "ssh-ed25519")
    client.asks.answer(question.ask_id, Signature(signature))
    (sent,) = client.sent()
    assert sent.endswith(string(signature))
    assert client.auth.stage is AuthStage.CLIENT_WAITING


def test_ok_for_another_key_is_refused() -> None:
    client = started(OFFER)
    with pytest.raises(RemoteProtocolError, match="not offered"):
        client.deliver(PublicKeyOk("ssh-ed25519", RSA.public.blob).encode())


def test_ok_with_the_name_of_the_key_type_is_taken() -> None:
    client = started(TryPublicKey(RSA.public, SHA2))
    client.deliver(PublicKeyOk("ssh-rsa", RSA.public.blob).encode())
    assert client.question(AskSignature).algorithm == "rsa-sha2-512"


def test_a_denied_signature_goes_back_to_the_same_question() -> None:
    client = started(TryPassword("pw"))
    client.deliver(failed("publickey", partial=True))
    client.reply(AskAuthentication, OFFER)
    client.deliver(PublicKeyOk("ssh-ed25519", ED25519.public.blob).encode())
    client.sent()
    client.reply(AskSignature, Denied("the agent said no"))
    ask = client.question(AskAuthentication)
    assert (ask.can_continue, ask.partial) == (("publickey",), True)
    assert client.sent() == []
    assert client.take(AuthResult)[-1].detail.endswith("(the agent said no)")


# --- password ---


def test_a_new_password() -> None:
    client = started(TryPassword("old"))
    client.sent()
    client.deliver(PasswordChangeRequest("Expired\x1b!", "").encode())
    ask = client.reply(AskNewPassword, NewPassword("old", "new"))
    assert ask.prompt == "Expired\\x1b!"
    assert client.sent() == request("password", PasswordChange(True, "old", "new").encode())
    client.deliver(PasswordChangeRequest("Too weak", "").encode())
    client.reply(AskNewPassword, Denied())
    assert client.sent() == []
    (result,) = client.take(AuthResult)
    assert "expired" in result.detail
    client.question(AskAuthentication)


def test_no_event_shows_a_password() -> None:
    client = started(TryPassword("hunter2"))
    client.deliver(PasswordChangeRequest("Expired", "").encode())
    client.reply(AskNewPassword, NewPassword("hunter2", "hunter3"))
    client.deliver(failed("password"))
    assert "hunter" not in repr(client.events) + repr(TryPassword("hunter2"))


# --- keyboard-interactive ---


def test_rounds_of_prompts() -> None:
    client = started(TryKeyboardInteractive())
    client.sent()
    encoded = InfoPrompt("P\x1b: ", False).encode() + InfoPrompt("C\\: ", True).encode()
    client.deliver(InfoRequest("N\x07", "line\r\n\tline", "", 2, encoded).encode())
    ask = client.reply(AskPrompts, Responses(("secret", "42")))
    assert (ask.name, ask.instruction) == ("N\\x07", "line\n\tline")
    assert ask.prompts == (Prompt("P\\x1b: ", False), Prompt("C\\: ", True))
    assert client.sent() == [b"\x3d\0\0\0\2" + string(b"secret") + string(b"42")]
    client.deliver(info())
    client.reply(AskPrompts, Responses(()))
    assert client.sent() == [InfoResponse(0, b"").encode()]
    client.deliver(UserauthSuccess().encode())
    assert client.auth.succeeded


def test_giving_up_at_the_prompts() -> None:
    client = started(TryKeyboardInteractive())
    client.deliver(info("Code: "))
    client.sent()
    client.reply(AskPrompts, GiveUp(GAVE_UP))
    assert client.auth.gave_up is GAVE_UP
    assert client.sent() == []


def test_a_wrong_number_of_responses_is_the_owners_fault() -> None:
    client = started(TryKeyboardInteractive())
    client.deliver(info("Code: "))
    client.sent()
    client.reply(AskPrompts, Responses(("hunter2", "hunter3")))
    assert isinstance(client.auth.gave_up, LocalProtocolError)
    assert "hunter" not in str(client.auth.gave_up)
    assert client.sent() == []


@pytest.mark.parametrize(
    "payload",
    [
        info("a", count=2),
        info("a", "b", count=1),
        info(count=2**32 - 1),
        info(*["a"] * (DEFAULT_LIMITS.auth_prompts + 1)),
        b"\x3c",
    ],
)
def test_bad_prompts_end_the_connection(payload: bytes) -> None:
    client = started(TryKeyboardInteractive())
    with pytest.raises(RemoteProtocolError):
        client.deliver(payload)


@pytest.mark.parametrize(
    ("answer", "payload", "react"),
    [
        (
            TryKeyboardInteractive(),
            info(),
            lambda client: client.reply(AskPrompts, Responses(())),
        ),
        (
            TryPassword("old"),
            PasswordChangeRequest("", "").encode(),
            lambda client: client.reply(AskNewPassword, NewPassword("old", "new")),
        ),
    ],
)
def test_rounds_are_bounded(
    answer: Answer, payload: bytes, react: Callable[[ClientSide], object]
) -> None:
    client = started(answer, auth_rounds=3)
    for _ in range(3):
        client.deliver(payload)
        react(client)
    with pytest.raises(RemoteProtocolError, match="more than 3"):
        client.deliver(payload)


# --- banner ---


def test_banners_are_made_safe() -> None:
    client = started(TryNone())
    client.deliver(UserauthBanner("Hi \\o/\r\n\t\x1b[2J\u202e\n", "").encode())
    (banner,) = client.take(AuthBanner)
    assert banner.text == "Hi \\o/\n\t\\x1b[2J\\u202e\n"
    assert client.auth.stage is AuthStage.CLIENT_WAITING


def test_banners_are_bounded_together() -> None:
    client = started(TryNone(), banner=100)
    for _ in range(10):
        client.deliver(UserauthBanner("x" * 40, "").encode())
    texts = [banner.text for banner in client.take(AuthBanner)]
    assert 1 < len(texts) < 4
    assert sum(text.count("x") for text in texts) <= 100


def test_empty_banners_are_not_shown() -> None:
    client = started(TryNone())
    client.deliver(UserauthBanner("", "").encode())
    assert client.take(AuthBanner) == []


def test_layouts_that_only_a_client_sends() -> None:
    client = started(TryKeyboardInteractive("a,b"))
    fields = InteractiveRequest.decode(UserauthRequest.decode(client.sent()[0]).fields)
    assert (fields.language, fields.submethods) == ("", "a,b")
    client = started(TryPassword("p\u00e4ss"))
    password = PasswordRequest.decode(UserauthRequest.decode(client.sent()[0]).fields)
    assert (password.change, password.password) == (False, "p\u00e4ss")
