"""Both sides back to back, and both against whatever a peer may send."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nacre.errors import RemoteProtocolError
from nacre.keys import generate
from nacre.limits import DEFAULT_LIMITS
from nacre.protocol.asks import (
    Answer,
    AskNewPassword,
    AskPassword,
    AskPrompts,
    AskPublicKey,
    Denied,
    Granted,
    NewPassword,
    PasswordExpired,
    Responses,
    TryKeyboardInteractive,
    TryNone,
    TryPassword,
    TryPublicKey,
)
from nacre.protocol.events import AuthBanner, Authenticated, AuthResult
from nacre.ssh2.auth.messages import (
    InfoResponse,
    InteractiveRequest,
    PasswordChange,
    PasswordRequest,
    PublicKeyQuery,
    PublicKeyRequest,
    UserauthRequest,
)
from nacre.ssh2.auth.stages import LEGAL
from nacre.wire.codec import string
from ssh2.auth.back_to_back import (
    ED25519,
    GAVE_UP,
    ClientSide,
    Policy,
    ServerSide,
    client_policy,
    log_in,
    server_policy,
)

KEY = TryPublicKey(ED25519.public, ("ssh-ed25519",))
PASSWORD = TryPassword("secret")
INTERACTIVE = TryKeyboardInteractive()


def clients(*answers: Answer) -> Policy:
    return {**client_policy(answers), AskPrompts: lambda ask: Responses(("42",))}


@pytest.mark.parametrize(
    ("requirement", "answers", "methods"),
    [
        (("",), [TryNone()], ("none",)),
        (("password",), [TryNone(), PASSWORD], ("password",)),
        (("publickey",), [TryNone(), KEY], ("publickey",)),
        (("keyboard-interactive",), [INTERACTIVE], ("keyboard-interactive",)),
        (("password+publickey",), [KEY, PASSWORD], ("publickey", "password")),
        (("password+publickey",), [PASSWORD, KEY], ("password", "publickey")),
        (("password+publickey",), [PASSWORD], None),
        (("password+publickey",), [KEY, KEY], None),
        (("password", "publickey"), [TryPassword("wrong"), KEY], ("publickey",)),
        (("publickey",), [PASSWORD, INTERACTIVE], None),
    ],
)
def test_logins(
    requirement: tuple[str, ...], answers: list[Answer], methods: tuple[str, ...] | None
) -> None:
    client, server = ClientSide(), ServerSide()
    log_in(client, clients(*answers), server, server_policy(*requirement, banner="Hello"))
    assert client.auth.succeeded is server.auth.succeeded is (methods is not None)
    assert [banner.text for banner in client.take(AuthBanner)] == ["Hello"]
    if methods is None:
        assert client.auth.gave_up is GAVE_UP
    else:
        expected = [Authenticated("alice", methods)]
        assert client.take(Authenticated) == server.take(Authenticated) == expected
    outcomes = [(r.method, r.outcome, r.can_continue) for r in client.take(AuthResult)]
    assert outcomes == [(r.method, r.outcome, r.can_continue) for r in server.take(AuthResult)]


@pytest.mark.parametrize(
    "kind", ["ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ssh-rsa"]
)
def test_every_kind_of_key(kind: str) -> None:
    key = generate(kind)
    client, server = ClientSide(), ServerSide()
    offer = TryPublicKey(key.public, key.public.signature_algorithms)
    policy = {**server_policy("publickey"), AskPublicKey: lambda ask: Granted()}
    log_in(client, client_policy([offer], key), server, policy)
    assert server.auth.methods == ("publickey",)


def test_a_changed_password() -> None:
    stored = {"password": "old"}

    def check(ask: AskPassword) -> Answer:
        if ask.password != stored["password"]:
            return Denied()
        if ask.new_password is None:
            return PasswordExpired("Choose another")
        stored["password"] = ask.new_password
        return Granted()

    client, server = ClientSide(), ServerSide()
    policy = {**clients(TryPassword("old")), AskNewPassword: lambda ask: NewPassword("old", "new")}
    log_in(client, policy, server, {**server_policy("password"), AskPassword: check})
    assert client.auth.succeeded
    assert stored == {"password": "new"}


def test_the_seventh_attempt_never_happens() -> None:
    guesses: list[str] = []

    def check(ask: AskPassword) -> Answer:
        guesses.append(ask.password)
        return Granted() if ask.password == "7" else Denied()

    client, server = ClientSide(), ServerSide()
    answers = [TryNone(), *(TryPassword(str(number)) for number in range(1, 8))]
    servers = {**server_policy("password"), AskPassword: check}
    with pytest.raises(RemoteProtocolError, match="too many authentication failures"):
        log_in(client, clients(*answers), server, servers)
    assert guesses == ["1", "2", "3", "4", "5", "6"]


# --- what a peer may send ---

data = st.binary(max_size=64)
texts = st.sampled_from(["", "alice", "bob", "ssh-ed25519", "rsa-sha2-256", "\udcff", "x" * 40])
blobs = st.one_of(data, st.just(ED25519.public.blob), st.just(string(b"ssh-ed25519")))
truth = st.booleans()
fields = st.one_of(
    data,
    st.builds(PasswordRequest, truth, texts).map(PasswordRequest.encode),
    st.builds(PasswordChange, truth, texts, texts).map(PasswordChange.encode),
    st.builds(PublicKeyQuery, truth, texts, blobs).map(PublicKeyQuery.encode),
    st.builds(PublicKeyRequest, truth, texts, blobs, data).map(PublicKeyRequest.encode),
    st.builds(InteractiveRequest, texts, texts).map(InteractiveRequest.encode),
)
requests = st.builds(
    UserauthRequest,
    st.sampled_from(["alice", "bob", "\udcff"]),
    st.sampled_from(["ssh-connection"] * 9 + ["ssh-userauth"]),
    st.sampled_from(["none", "password", "publickey", "keyboard-interactive", "hostbased", ""]),
    fields,
).map(UserauthRequest.encode)
responses = st.builds(InfoResponse, st.integers(0, 2), data).map(InfoResponse.encode)
good_responses = st.just(InfoResponse(1, string(b"42")).encode())


def _cut(payloads: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Payloads, some cut short, some with bytes behind them."""
    return st.one_of(
        payloads,
        st.tuples(payloads, st.integers(1, 200)).map(lambda p: p[0][: p[1]]),
        st.tuples(payloads, data).map(b"".join),
    )


LOOSE = replace(DEFAULT_LIMITS, auth_attempts=50, user_name=8, password=32, auth_rounds=2)


@pytest.mark.slow
@settings(deadline=None)
@given(st.lists(_cut(st.one_of(requests, responses, good_responses)), max_size=12))
def test_a_server_survives_any_messages(payloads: list[bytes]) -> None:
    server = ServerSide(LOOSE)
    policy = server_policy("password+publickey+keyboard-interactive")
    with suppress(RemoteProtocolError):
        for payload in payloads:
            if payload[0] in LEGAL[server.auth.stage]:
                server.deliver(payload)
                server.obey(policy)
    # The password is not among the texts above, so nobody gets in.
    assert not server.auth.succeeded
    assert server.auth.stage in LEGAL


answers = st.sampled_from([TryNone(), PASSWORD, KEY, INTERACTIVE])
numbers = st.sampled_from([51, 52, 53, 60])
from_server = st.one_of(
    st.tuples(numbers, data).map(lambda p: bytes((p[0],)) + p[1]),
    st.tuples(st.lists(texts.filter(str.isalnum), max_size=3), truth).map(
        lambda p: b"\x33" + string(",".join(p[0]).encode()) + bytes((p[1],))
    ),
    st.tuples(data, data).map(lambda p: b"\x35" + string(p[0]) + string(p[1])),
    st.tuples(data, data).map(lambda p: b"\x3c" + string(p[0]) + string(p[1])),
    st.just(b"\x3c" + string(b"ssh-ed25519") + string(ED25519.public.blob)),
    st.tuples(data, data, st.integers(0, 2)).map(
        lambda p: b"\x3c" + string(p[0]) + string(p[1]) + string(b"") + bytes((0, 0, 0, p[2]))
        + (string(p[0]) + b"\1") * p[2]
    ),
)  # fmt: skip


@settings(deadline=None)
@given(st.lists(answers, max_size=8), st.lists(_cut(from_server), max_size=12))
def test_a_client_survives_any_messages(tries: list[Answer], payloads: list[bytes]) -> None:
    client = ClientSide(LOOSE)
    policy: Policy = {
        **client_policy(tries),
        AskPrompts: lambda ask: Responses(("42",) * len(ask.prompts)),
        AskNewPassword: lambda ask: Denied(),
    }
    client.auth.start()
    client.obey(policy)
    with suppress(RemoteProtocolError):
        for payload in payloads:
            if payload[0] in LEGAL[client.auth.stage]:
                client.deliver(payload)
                client.obey(policy)
    assert client.auth.succeeded is bool(client.take(Authenticated))
    assert all(payload[0] in (50, 61) for payload in client.sent())


def test_a_login_that_is_bound_to_the_host_key_is_one_by_publickey() -> None:
    client, server = ClientSide(), ServerSide()
    client.auth.host_bound = True
    log_in(client, client_policy([KEY]), server, server_policy("publickey"))
    for side in (client, server):
        assert side.auth.succeeded
        assert side.auth.methods == ("publickey",)
        assert {event.method for event in side.take(AuthResult)} == {"publickey"}
