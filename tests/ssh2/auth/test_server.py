"""The server's side: policy, limits, bounds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nacre.errors import DisconnectCode, MalformedMessage, RemoteProtocolError
from nacre.keys import PrivateKey, generate
from nacre.limits import DEFAULT_LIMITS, Limits
from nacre.protocol.asks import (
    AskKeyboardInteractive,
    AskPassword,
    AskPublicKey,
    AskUser,
    Challenge,
    Denied,
    Granted,
    PasswordExpired,
    Prompt,
    UserRequirement,
)
from nacre.protocol.events import Authenticated, AuthResult
from nacre.ssh2.auth.messages import (
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
from nacre.ssh2.auth.stages import AuthStage
from nacre.wire.codec import string, text
from ssh2.auth.back_to_back import (
    ED25519,
    SESSION_ID,
    Policy,
    ServerSide,
    requires,
    server_policy,
)

SUCCESS = UserauthSuccess().encode()
RSA = generate("ssh-rsa", bits=2048)


def failure(*can_continue: str, partial: bool = False) -> list[bytes]:
    return [UserauthFailure(can_continue, partial).encode()]


def signed(
    key: PrivateKey = ED25519,
    algorithm: str = "ssh-ed25519",
    *,
    user: str = "alice",
    session_id: bytes = SESSION_ID,
) -> PublicKeyRequest:
    """Sign as RFC 4252 section 7 says, field by field."""
    blob = key.public.blob
    data = (
        string(session_id)
        + b"\x32"
        + text(user)
        + string(b"ssh-connection")
        + string(b"publickey")
        + b"\x01"
        + string(algorithm.encode())
        + string(blob)
    )
    return PublicKeyRequest(True, algorithm, blob, key.sign(data, algorithm))


def query(key: PrivateKey = ED25519, algorithm: str = "ssh-ed25519") -> PublicKeyQuery:
    return PublicKeyQuery(False, algorithm, key.public.blob)


def attempt(server: ServerSide, method: str, policy: Policy) -> None:
    """Make one attempt that the method's check would grant."""
    if method == "password":
        server.password()
    elif method == "publickey":
        server.request("publickey", signed())
    elif method == "none":
        server.request("none")
    else:
        server.interactive()
        server.obey(policy)
        if server.auth.stage is AuthStage.SERVER_INTERACTIVE:
            server.sent()
            server.deliver(InfoResponse(1, string(b"42")).encode())
    server.obey(policy)


P, K, I = "password", "publickey", "keyboard-interactive"  # noqa: E741
IN = None

POLICIES: list[
    tuple[tuple[str, ...], tuple[str, ...], list[tuple[tuple[str, ...], bool] | None]]
] = [
    # requirement, methods tried, what each is answered: (can continue, partial), or IN
    ((P,), (P,), [IN]),
    ((P,), (K,), [((P,), False)]),
    ((P,), ("none", I, P), [((P,), False), ((P,), False), IN]),
    ((K,), (K,), [IN]),
    ((K,), (P, K), [((K,), False), IN]),
    ((P, K), (P,), [IN]),
    ((P, K), (K,), [IN]),
    ((P + "+" + K,), (P, K), [((K,), True), IN]),
    ((P + "+" + K,), (K, P), [((P,), True), IN]),
    ((P + "+" + K,), (K, K, P), [((P,), True), ((P,), False), IN]),
    ((P + "+" + K,), (P, P, K), [((K,), True), ((K,), False), IN]),
    ((P + "+" + K,), (P, "none"), [((K,), True), ((K,), False)]),
    ((I,), (P, I), [((I,), False), IN]),
    ((K + "+" + I,), (I, K), [((K,), True), IN]),
    ((K + "+" + P, I), (K, I), [((P, I), True), IN]),
    ((K + "+" + P + "+" + I,), (I, P, K), [((K, P), True), ((K,), True), IN]),
    ((K + ">" + P,), (K, P), [((P,), True), IN]),
    ((K + ">" + P,), (P, K, P), [((K,), False), ((P,), True), IN]),  # not in this order
    ((K + ">" + P, P + ">" + I), (P, I), [((K, I), True), IN]),
    ((K + ">" + P, K + ">" + I, P), (K, I), [((P, I), True), IN]),
    ((K + ">" + K,), (K, K), [((K,), True), IN]),
    ((K + ">" + "mystery", P), (K, P), [((P,), False), IN]),
    (("",), ("none",), [IN]),
    (("", P), ("none",), [IN]),
    (("", P), (P,), [IN]),
    (("",), (P,), [((), False)]),
    ((), ("none", P, K, I), [((), False)] * 4),
    (("mystery",), ("hostbased",), [((), False)]),
    ((P,), ("mystery", "what?", P), [((P,), False), ((P,), False), IN]),
]


@pytest.mark.parametrize(("requirement", "methods", "answers"), POLICIES)
def test_policy(
    requirement: tuple[str, ...],
    methods: tuple[str, ...],
    answers: list[tuple[tuple[str, ...], bool] | None],
) -> None:
    server = ServerSide()
    policy = server_policy(*requirement)
    for method, answer in zip(methods, answers, strict=True):
        if method in (P, K, I, "none"):
            attempt(server, method, policy)
        else:
            server.request(method)
            server.obey(policy)
        expected = [SUCCESS] if answer is IN else failure(*answer[0], partial=answer[1])
        assert server.sent() == expected
    let_in = answers[-1] is IN
    assert server.auth.succeeded is let_in
    assert len(server.take(Authenticated)) == let_in
    assert len(server.take(AuthResult)) == len(methods)


def test_success_is_reported_in_order() -> None:
    server = ServerSide()
    policy = server_policy("password+publickey")
    server.request("publickey", signed())
    server.obey(policy)
    server.password()
    server.obey(policy)
    detail = f"ssh-ed25519 {ED25519.public.fingerprint()}"
    assert server.events == [
        AuthResult("alice", "publickey", detail, "partial", ("password",), 0),
        AuthResult("alice", "password", "", "success", (), 0),
        Authenticated("alice", ("publickey", "password")),
    ]
    assert server.auth.stage is AuthStage.DONE


def test_a_useless_method_is_not_put_to_the_policy() -> None:
    server = ServerSide()
    server.password()
    server.reply(AskUser, requires("publickey"))
    assert not server.asks.blocking
    assert server.sent() == failure("publickey")


def test_another_user_starts_from_nothing() -> None:
    server = ServerSide()
    policy = server_policy("password+publickey")
    server.password()
    server.obey(policy)
    assert server.sent() == failure("publickey", partial=True)
    server.request("publickey", signed(user="bob"), user="bob")
    assert server.auth.methods == ()
    asked = server.obey(policy)
    assert isinstance(asked[0], AskUser)
    assert asked[0].user == "bob"
    assert server.sent() == failure("password", partial=True)
    server.request("publickey", signed())
    assert isinstance(server.obey(policy)[0], AskUser)
    assert server.sent() == failure("password", partial=True)


def test_the_policy_is_asked_once_for_one_user() -> None:
    server = ServerSide()
    policy = server_policy("password")
    asked = []
    for _ in range(3):
        server.password("wrong")
        asked += server.obey(policy)
    assert [type(ask) for ask in asked] == [AskUser, AskPassword, AskPassword, AskPassword]


def test_names_that_are_not_utf_8_come_through() -> None:
    server = ServerSide()
    payload = b"\x32" + string(b"\xff\xfe") + string(b"ssh-connection") + string(b"none")
    server.deliver(payload)
    ask = server.question(AskUser)
    assert ask.user.encode("utf-8", "surrogateescape") == b"\xff\xfe"


def test_signatures_cover_the_bytes_of_a_name_that_is_not_utf_8() -> None:
    server = ServerSide()
    user = b"\xff\xfe".decode("utf-8", "surrogateescape")
    server.request("publickey", signed(user=user), user=user)
    server.obey(server_policy("publickey"))
    assert server.sent() == [SUCCESS]


# --- limits ---


@pytest.mark.parametrize("limit", [1, 3, 6])
def test_no_attempt_after_the_limit_is_evaluated(limit: int) -> None:
    server = ServerSide(replace(DEFAULT_LIMITS, auth_attempts=limit))
    policy = server_policy("password")
    server.request("none")
    server.obey(policy)
    for _ in range(limit - 1):
        server.password("wrong")
        server.obey(policy)
    assert server.sent() == failure("password") * limit
    server.password("wrong")
    with pytest.raises(RemoteProtocolError, match="too many authentication failures") as caught:
        server.obey(policy)
    assert caught.value.code == DisconnectCode.NO_MORE_AUTH_METHODS_AVAILABLE
    assert server.sent() == []
    assert [event.attempt for event in server.take(AuthResult)] == list(range(limit + 1))


def test_only_the_very_first_none_is_free() -> None:
    server = ServerSide(replace(DEFAULT_LIMITS, auth_attempts=2))
    policy = server_policy("password")
    server.request("none")
    server.obey(policy)
    server.request("none")
    with pytest.raises(RemoteProtocolError, match="too many authentication failures"):
        server.request("none")


def test_failures_count_across_users() -> None:
    server = ServerSide(replace(DEFAULT_LIMITS, auth_attempts=3))
    policy = server_policy("password")
    for user in ("a", "b"):
        server.password("wrong", user)
        server.obey(policy)
    server.password("wrong", "c")
    with pytest.raises(RemoteProtocolError, match="too many authentication failures"):
        server.obey(policy)


def test_accepted_queries_are_no_failures_and_rejected_ones_are() -> None:
    server = ServerSide(replace(DEFAULT_LIMITS, auth_attempts=2))
    policy = server_policy("publickey")
    for _ in range(5):
        server.request("publickey", query())
        server.obey(policy)
    assert server.sent() == [PublicKeyOk("ssh-ed25519", ED25519.public.blob).encode()] * 5
    assert server.take(AuthResult) == []
    other = generate("ssh-ed25519")
    server.request("publickey", query(other))
    server.obey(policy)
    (result,) = server.take(AuthResult)
    assert (result.outcome, result.attempt) == ("failure", 1)
    assert result.detail == f"ssh-ed25519 {other.public.fingerprint()} (not listed)"
    server.request("publickey", query(other))
    with pytest.raises(RemoteProtocolError, match="too many authentication failures"):
        server.obey(policy)


def test_requests_of_any_outcome_are_bounded() -> None:
    server = ServerSide(replace(DEFAULT_LIMITS, auth_requests=4))
    policy = server_policy("publickey")
    for _ in range(4):
        server.request("publickey", query())
        server.obey(policy)
    with pytest.raises(RemoteProtocolError, match="too many authentication requests"):
        server.request("publickey", query())


def test_bounds_of_texts() -> None:
    limits = replace(DEFAULT_LIMITS, user_name=4, password=4)
    secret = "s3cr\u00e9t"
    server = ServerSide(limits)
    with pytest.raises(RemoteProtocolError) as caught:
        server.request("none", user="\u00e9\u00e9\u00e9")
    assert caught.value.code == DisconnectCode.ILLEGAL_USER_NAME
    for fields in (
        PasswordRequest(False, secret),
        PasswordChange(True, secret, "new"),
        PasswordChange(True, "old", secret),
    ):
        server = ServerSide(limits)
        server.request("password", fields, "al")
        with pytest.raises(RemoteProtocolError) as caught:
            server.reply(AskUser, requires("password"))
        assert secret not in str(caught.value)


def test_another_service_ends_the_connection() -> None:
    server = ServerSide()
    with pytest.raises(RemoteProtocolError, match=r"the service x\\x1b is not") as caught:
        server.deliver(UserauthRequest("alice", "x\x1b", "none", b"").encode())
    assert caught.value.code == DisconnectCode.SERVICE_NOT_AVAILABLE
    assert not server.asks.blocking


def test_the_bounds_are_the_users() -> None:
    server = ServerSide(replace(DEFAULT_LIMITS, auth_attempts=6))
    strict = UserRequirement(requires("password").requirement, None, Limits(auth_attempts=2))
    server.password("wrong")
    server.reply(AskUser, strict)
    server.reply(AskPassword, Denied())
    assert server.auth.limits.auth_attempts == 2
    # Another user has the server's bounds again; the failures count on.
    server.password("wrong", "bob")
    server.reply(AskUser, requires("password"))
    server.reply(AskPassword, Denied())
    assert server.auth.limits.auth_attempts == 6
    server.password("wrong")
    server.reply(AskUser, strict)
    with pytest.raises(RemoteProtocolError, match="too many authentication failures"):
        server.reply(AskPassword, Denied())


def test_the_algorithms_are_the_users() -> None:
    server = ServerSide(signatures="ssh-ed25519,rsa-sha2-512")
    fields = PublicKeyQuery(False, "ssh-ed25519", ED25519.public.blob)
    requirement = requires("publickey").requirement
    usual = UserRequirement(requirement)
    other = UserRequirement(requirement, signatures=("rsa-sha2-512",), ca_signatures=("ssh-rsa",))
    server.request("publickey", fields, "alice")
    server.reply(AskUser, other)
    (result,) = server.take(AuthResult)
    assert "ssh-ed25519 signatures are not allowed" in result.detail
    # Another user has the server's algorithms again.
    server.request("publickey", fields, "bob")
    server.reply(AskUser, usual)
    server.reply(AskPublicKey, Granted())
    assert PublicKeyOk.decode(server.sent()[-1]).blob == ED25519.public.blob


# --- banner ---


def test_the_banner_comes_once_before_the_first_reply() -> None:
    server = ServerSide()
    policy = server_policy("publickey", banner="Welcome\n")
    server.request("publickey", query())
    server.obey(policy)
    assert server.sent() == [
        UserauthBanner("Welcome\n", "").encode(),
        PublicKeyOk("ssh-ed25519", ED25519.public.blob).encode(),
    ]
    server.request("none", user="bob")
    server.obey(policy)
    assert server.sent() == failure("publickey")


# --- publickey ---


@pytest.mark.parametrize("algorithm", ["rsa-sha2-256", "rsa-sha2-512"])
def test_rsa_with_sha_2(algorithm: str) -> None:
    server = ServerSide()
    server.request("publickey", signed(RSA, algorithm))
    server.reply(AskUser, requires("publickey"))
    ask = server.reply(AskPublicKey, Granted())
    assert (ask.user, ask.key, ask.algorithm, ask.signed) == ("alice", RSA.public, algorithm, True)
    assert server.auth.succeeded


def test_sha_1_only_when_named() -> None:
    server = ServerSide()
    server.request("publickey", signed(RSA, "ssh-rsa"))
    server.reply(AskUser, requires("publickey"))
    assert server.sent() == failure("publickey")
    (result,) = server.take(AuthResult)
    assert "ssh-rsa signatures are not allowed" in result.detail
    server = ServerSide(signatures="+ssh-rsa")
    server.request("publickey", signed(RSA, "ssh-rsa"))
    server.reply(AskUser, requires("publickey"))
    server.reply(AskPublicKey, Granted())
    assert server.auth.succeeded


def _bent(**changes: object) -> PublicKeyRequest:
    return PublicKeyRequest(**(vars(signed()) | changes))


@pytest.mark.parametrize(
    "fields",
    [
        signed(session_id=bytes(32)),
        signed(user="bob"),
        _bent(signature=b""),
        _bent(signature=string(b"ssh-ed25519") + string(bytes(64))),
        _bent(blob=generate("ssh-ed25519").public.blob),
        _bent(blob=RSA.public.blob),
        _bent(blob=b""),
        _bent(blob=string(b"ssh-ed25519")),
        _bent(blob=string(b"\x1b[2J")),
        _bent(algorithm="rsa-sha2-256"),
        _bent(algorithm="\x1b[2J"),
    ],
)
def test_what_does_not_verify_is_never_put_to_the_policy(fields: PublicKeyRequest) -> None:
    server = ServerSide()
    server.request("publickey", fields)
    server.reply(AskUser, requires("publickey"))
    assert not server.asks.blocking
    assert server.sent() == failure("publickey")
    (result,) = server.take(AuthResult)
    assert result.detail
    assert "\x1b" not in result.detail


def test_a_verified_key_that_the_policy_denies() -> None:
    server = ServerSide()
    server.request("publickey", signed())
    server.reply(AskUser, requires("publickey"))
    server.reply(AskPublicKey, Denied())
    assert server.sent() == failure("publickey")
    assert not server.auth.succeeded


# --- password ---


def test_an_expired_password_is_changed() -> None:
    server = ServerSide()
    server.password("old")
    server.reply(AskUser, requires("password"))
    ask = server.reply(AskPassword, PasswordExpired("Change it"))
    assert (ask.password, ask.new_password) == ("old", None)
    assert server.sent() == [PasswordChangeRequest("Change it", "").encode()]
    server.request("password", PasswordChange(True, "old", "weak"))
    ask = server.reply(AskPassword, PasswordExpired("Too weak"))
    assert (ask.password, ask.new_password) == ("old", "weak")
    assert server.sent() == [PasswordChangeRequest("Too weak", "").encode()]
    assert server.take(AuthResult) == []
    server.request("password", PasswordChange(True, "old", "new"))
    server.reply(AskPassword, Granted())
    assert server.sent() == [SUCCESS]


def test_no_event_or_question_shows_a_password() -> None:
    server = ServerSide()
    server.request("password", PasswordChange(True, "hunter2", "hunter3"))
    server.reply(AskUser, requires("password"))
    assert "hunter" not in repr(server.events)
    server.reply(AskPassword, Denied("locked\x1b"))
    assert "hunter" not in repr(server.events)
    (result,) = server.take(AuthResult)
    assert result.detail == "(locked\\x1b)"


# --- keyboard-interactive ---

TWO = Challenge("Login", "both please", (Prompt("Password: ", False), Prompt("Code: ", True)))


def _challenged(limits: int = DEFAULT_LIMITS.auth_rounds) -> ServerSide:
    server = ServerSide(replace(DEFAULT_LIMITS, auth_rounds=limits))
    server.request("keyboard-interactive", InteractiveRequest("", "pam"))
    server.reply(AskUser, requires("keyboard-interactive"))
    ask = server.reply(AskKeyboardInteractive, TWO)
    assert (ask.submethods, ask.responses) == ("pam", None)
    return server


def test_rounds_of_prompts() -> None:
    server = _challenged()
    (payload,) = server.sent()
    message = InfoRequest.decode(payload)
    assert (message.name, message.instruction) == ("Login", "both please")
    assert [(p.text, p.echo) for p in message.prompts()] == [
        ("Password: ", False),
        ("Code: ", True),
    ]
    assert server.auth.stage is AuthStage.SERVER_INTERACTIVE
    server.deliver(InfoResponse(2, string(b"secret") + string(b"42")).encode())
    ask = server.reply(AskKeyboardInteractive, Challenge("", "", ()))
    assert ask.responses == ("secret", "42")
    assert InfoRequest.decode(server.sent()[0]).count == 0
    server.deliver(InfoResponse(0, b"").encode())
    assert server.reply(AskKeyboardInteractive, Granted()).responses == ()
    assert server.sent() == [SUCCESS]
    assert server.auth.stage is AuthStage.DONE


@pytest.mark.parametrize(
    "responses",
    [
        InfoResponse(1, string(b"a")),
        InfoResponse(3, string(b"a") * 3),
        InfoResponse(2**32 - 1, string(b"a")),
        InfoResponse(2, string(b"a")),
        InfoResponse(2, string(b"a") * 3),
        InfoResponse(2, string(b"a") + string(b"x" * (DEFAULT_LIMITS.password + 1))),
    ],
)
def test_wrong_responses_end_the_connection(responses: InfoResponse) -> None:
    server = _challenged()
    with pytest.raises(RemoteProtocolError):
        server.deliver(responses.encode())


def test_rounds_are_bounded() -> None:
    server = _challenged(limits=2)
    for _ in range(2):
        server.sent()
        server.deliver(InfoResponse(2, string(b"a") * 2).encode())
        server.reply(AskKeyboardInteractive, TWO)
    assert server.sent() == failure("keyboard-interactive")
    assert server.auth.stage is AuthStage.SERVER_REQUEST
    (result,) = server.take(AuthResult)
    assert result.detail == "(too many rounds of prompts)"


def test_a_new_request_abandons_the_prompts() -> None:
    server = _challenged()
    server.sent()
    server.request("none")
    assert server.sent() == failure("keyboard-interactive")
    assert server.auth.stage is AuthStage.SERVER_REQUEST
    results = server.take(AuthResult)
    assert [(r.method, r.detail, r.attempt) for r in results] == [
        ("keyboard-interactive", "(abandoned)", 1),
        ("none", "", 2),
    ]


def test_abandoned_prompts_count_as_failures() -> None:
    server = ServerSide(replace(DEFAULT_LIMITS, auth_attempts=2))
    policy = server_policy("keyboard-interactive")
    for _ in range(2):
        server.interactive()
        server.obey(policy)
    with pytest.raises(RemoteProtocolError, match="too many authentication failures"):
        server.interactive()
    assert not server.asks.blocking


@pytest.mark.parametrize(
    ("method", "fields"),
    [
        ("password", b""),
        ("password", b"\0"),
        ("password", b"\1" + string(b"old")),
        ("password", b"\0" + string(b"pw") + b"x"),
        ("publickey", b""),
        ("publickey", b"\0" + string(b"ssh-ed25519")),
        ("publickey", b"\1" + string(b"ssh-ed25519") + string(b"blob")),
        ("publickey", b"\0" + string(b"ssh-ed25519") + string(b"blob") + string(b"sig")),
        ("keyboard-interactive", b""),
        ("keyboard-interactive", string(b"") + b"\xff\xff\xff\xff"),
    ],
)
def test_malformed_fields(method: str, fields: bytes) -> None:
    server = ServerSide()
    server.request(method, fields)
    with pytest.raises(MalformedMessage):
        server.reply(AskUser, UserRequirement((frozenset({method}),)))
