"""Every (stage, message number) pair of both roles: taken exactly where the tables have it.

What follows on a message is checked in test_transitions.py.
"""

from __future__ import annotations

import pytest

from contexts import GSS, FakeContext, stepping
from nacre.errors import Disconnected, RemoteProtocolError
from nacre.protocol.asks import (
    Answer,
    Ask,
    AskAuthentication,
    AskHostKey,
    AskKeyboardInteractive,
    AskSecurityStep,
    AskUser,
    Challenge,
    Granted,
    Prompt,
    SecurityStep,
    TryGSSAPIWithMIC,
    TryKeyboardInteractive,
    TryPublicKey,
    UserRequirement,
)
from nacre.protocol.events import ConnectionEnded
from nacre.protocol.options import Algorithms, ClientOptions, ServerOptions, algorithms
from nacre.protocol.phases import Role
from nacre.ssh2 import routes
from nacre.ssh2.auth.stages import AuthStage
from nacre.ssh2.client import SSH2Client
from nacre.ssh2.connection.messages import GlobalRequest
from nacre.ssh2.routes import Resting, Stage
from nacre.ssh2.server import SSH2Server
from nacre.ssh2.transport.stages import KexStage
from nacre.testing import Pair, agreeable, host_key
from nacre.wire.codec import string

GEX = "diffie-hellman-group-exchange-sha256"

CLIENT_STAGES: list[Stage] = [
    Resting.FIRST_KEXINIT,
    KexStage.REPLY,
    KexStage.GEX_GROUP,
    KexStage.GEX_REPLY,
    KexStage.GSS_REPLY,
    KexStage.NEWKEYS,
    Resting.SERVICE,
    AuthStage.CLIENT_IDLE,
    AuthStage.CLIENT_PASSWORD,
    AuthStage.CLIENT_PUBLICKEY_QUERY,
    AuthStage.CLIENT_INTERACTIVE,
    AuthStage.CLIENT_MECHANISM,
    AuthStage.CLIENT_TOKEN,
    Resting.CONNECTION,
]
SERVER_STAGES: list[Stage] = [
    Resting.FIRST_KEXINIT,
    KexStage.INITIATE,
    KexStage.GEX_REQUEST,
    KexStage.GEX_INIT,
    KexStage.GSS_INITIATE,
    KexStage.GSS_CONTINUE,
    KexStage.NEWKEYS,
    Resting.SERVICE,
    AuthStage.SERVER_REQUEST,
    AuthStage.SERVER_INTERACTIVE,
    AuthStage.SERVER_TOKEN,
    AuthStage.SERVER_MIC,
    Resting.CONNECTION,
]

PLAIN = frozenset({1, 2, 3, 4})
KEYED = PLAIN | {7, 20, 192, 193}
CHANNELS = frozenset({80, 81, 82, 90, 91, 92, 93, 94, 95, 96, 97, 98, 99, 100})

# Written out once more on purpose: a change of the tables must be a change here.
EXPECTED: dict[tuple[Role, Stage], frozenset[int]] = {
    (Role.CLIENT, Resting.FIRST_KEXINIT): PLAIN | {20},
    (Role.CLIENT, KexStage.REPLY): frozenset({1, 31}),
    (Role.CLIENT, KexStage.GEX_GROUP): frozenset({1, 31}),
    (Role.CLIENT, KexStage.GEX_REPLY): frozenset({1, 33}),
    (Role.CLIENT, KexStage.GSS_REPLY): frozenset({1, 31, 32, 33, 34}),
    (Role.CLIENT, KexStage.NEWKEYS): frozenset({1, 21}),
    (Role.CLIENT, Resting.SERVICE): KEYED | {6},
    (Role.CLIENT, AuthStage.CLIENT_IDLE): KEYED | {53},
    (Role.CLIENT, AuthStage.CLIENT_PASSWORD): KEYED | {51, 52, 53, 60},
    (Role.CLIENT, AuthStage.CLIENT_PUBLICKEY_QUERY): KEYED | {51, 53, 60},
    (Role.CLIENT, AuthStage.CLIENT_INTERACTIVE): KEYED | {51, 52, 53, 60},
    (Role.CLIENT, AuthStage.CLIENT_MECHANISM): KEYED | {51, 53, 60},
    (Role.CLIENT, AuthStage.CLIENT_TOKEN): KEYED | {51, 53, 61, 64, 65},
    (Role.CLIENT, Resting.CONNECTION): KEYED | CHANNELS,
    (Role.SERVER, Resting.FIRST_KEXINIT): PLAIN | {20},
    (Role.SERVER, KexStage.INITIATE): frozenset({1, 30}),
    (Role.SERVER, KexStage.GEX_REQUEST): frozenset({1, 34}),
    (Role.SERVER, KexStage.GEX_INIT): frozenset({1, 32}),
    (Role.SERVER, KexStage.GSS_INITIATE): frozenset({1, 30}),
    (Role.SERVER, KexStage.GSS_CONTINUE): frozenset({1, 31}),
    (Role.SERVER, KexStage.NEWKEYS): frozenset({1, 21}),
    (Role.SERVER, Resting.SERVICE): KEYED | {5},
    (Role.SERVER, AuthStage.SERVER_REQUEST): KEYED | {5, 50},
    (Role.SERVER, AuthStage.SERVER_INTERACTIVE): KEYED | {5, 50, 61},
    (Role.SERVER, AuthStage.SERVER_TOKEN): KEYED | {5, 50, 61, 65},
    (Role.SERVER, AuthStage.SERVER_MIC): KEYED | {5, 50, 65, 66},
    (Role.SERVER, Resting.CONNECTION): KEYED | CHANNELS | {50},
}

# Not legal, but answered with UNIMPLEMENTED: they are late, and have no effect.
UNNEEDED: dict[tuple[Role, Stage], set[int]] = {
    (Role.CLIENT, Resting.CONNECTION): {6, 51, 52, 53, 60},
    (Role.SERVER, Resting.CONNECTION): {5, 61},
}

BY_GSSAPI = (
    AuthStage.CLIENT_MECHANISM,
    AuthStage.CLIENT_TOKEN,
    AuthStage.SERVER_TOKEN,
    AuthStage.SERVER_MIC,
)
METHODS = ("password", "keyboard-interactive", "publickey", "gssapi-with-mic")

CASES = [(Role.CLIENT, stage) for stage in CLIENT_STAGES] + [
    (Role.SERVER, stage) for stage in SERVER_STAGES
]


def answers(stage: Stage) -> object:
    methods: dict[Stage, Answer] = {
        AuthStage.CLIENT_PUBLICKEY_QUERY: TryPublicKey(host_key().public, ("ssh-ed25519",)),
        AuthStage.CLIENT_INTERACTIVE: TryKeyboardInteractive(),
        AuthStage.SERVER_INTERACTIVE: TryKeyboardInteractive(),
    }
    method = methods.get(stage)

    def answer(ask: Ask) -> Answer | None:
        match ask:
            case AskAuthentication() if stage is AuthStage.CLIENT_IDLE:
                return None
            case AskAuthentication() if stage in BY_GSSAPI:
                return by_gssapi()
            case AskAuthentication() if method is not None:
                return method
            case AskUser():
                return UserRequirement(tuple(frozenset({method}) for method in METHODS))
            case AskKeyboardInteractive():
                return Challenge("", "", (Prompt("Password: ", False),))
            case AskHostKey():
                return Granted()
            case AskSecurityStep(token=token):
                initiates = not token or token.startswith(b"acceptor")
                return stepping(ask, initiates, rounds=2)
        return agreeable(ask)

    return answer


def by_gssapi() -> TryGSSAPIWithMIC:
    context = FakeContext(2)
    step = context.step(b"")
    assert isinstance(step, SecurityStep)
    return TryGSSAPIWithMIC(context, step.token)


def at(role: Role, stage: Stage, chosen: Algorithms | None = None) -> SSH2Client | SSH2Server:
    """Return an engine that a real peer has brought to ``stage``."""
    if chosen is None and stage.name.startswith("GEX"):
        chosen = algorithms(kex=GEX)
    by_keys = (GSS,) if stage.name.startswith("GSS") else ()
    both = chosen or algorithms()
    pair = Pair(
        client=ClientOptions(user="alice", algorithms=both, gss_kex=by_keys),
        server=ServerOptions(host_keys=(host_key(),), algorithms=both, gss_kex=by_keys),
        answers_client=answers(stage),  # type: ignore[arg-type]
        answers_server=answers(stage),  # type: ignore[arg-type]
    )
    ours, other = (pair.client, pair.server) if role is Role.CLIENT else (pair.server, pair.client)
    logs = {pair.client: pair.client_events, pair.server: pair.server_events}
    for _ in range(100):
        for engine in (ours, other):
            pair._settle(engine, logs[engine])
        other.receive(bytes(ours.take_output()), 0.0)
        pair._settle(other, logs[other])
        for byte in bytes(other.take_output()):
            # Byte by byte, so that we stop where the stage is entered.
            ours.receive(bytes((byte,)), 0.0)
            if not ours._asks.blocking and ours._stage is stage:  # type: ignore[attr-defined]
                ours.take_events()
                return ours  # type: ignore[return-value]
            pair._settle(ours, logs[ours])
            if ours._stage is stage:  # type: ignore[attr-defined]
                ours.take_events()
                return ours  # type: ignore[return-value]
    raise AssertionError(f"{stage} was not reached")


def receive(engine: SSH2Client | SSH2Server, payload: bytes) -> None:
    """Let ``engine`` take ``payload`` as the next packet, as if it had been opened."""
    payloads = [memoryview(payload)]
    engine._inbox.next = lambda: payloads.pop() if payloads else None  # type: ignore[method-assign]
    engine._inbox.left = len(payload)
    engine.take_output()
    engine.receive(b"", 0.0)


# A client that is asked what to try next looks at no packet before it has an answer.
LOOKED_AT = [case for case in CASES if case[1] is not AuthStage.CLIENT_IDLE]


@pytest.mark.slow
@pytest.mark.untraced
@pytest.mark.parametrize(("role", "stage"), LOOKED_AT)
def test_every_number_in_every_stage(role: Role, stage: Stage) -> None:
    taken = set()
    engine, as_before = at(role, stage), True
    for number in range(256):
        if not as_before:
            engine = at(role, stage)
        as_before = False
        receive(engine, bytes((number,)))
        errors = [e.error for e in engine.take_events() if isinstance(e, ConnectionEnded)]
        refused = any("is not legal" in str(error) for error in errors)
        strict_first = engine._first_strict()
        if number in EXPECTED[role, stage]:
            assert not refused, number
            taken.add(number)
        elif number in UNNEEDED.get((role, stage), ()):
            assert not errors, number
            assert engine.output_size > 0, number
        elif number in routes.KNOWN or strict_first:
            assert refused, number
            assert isinstance(errors[0], RemoteProtocolError)
        else:
            assert not errors, number
            assert len(engine.take_output()) > 0, f"{number} is not answered with UNIMPLEMENTED"
            as_before = True
    assert taken == EXPECTED[role, stage]


@pytest.mark.parametrize(("role", "stage"), CASES)
def test_the_tables_say_the_same(role: Role, stage: Stage) -> None:
    strict = isinstance(stage, KexStage)
    assert routes.legal(role, stage, strict=strict) == EXPECTED[role, stage]


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("stage", [KexStage.REPLY, KexStage.INITIATE, KexStage.NEWKEYS])
def test_channels_go_on_during_a_rekey_alone(role: Role, stage: KexStage) -> None:
    taken = routes.legal(role, stage, rekey=True) - routes.legal(role, stage)
    assert taken == CHANNELS | {192, 193}
    assert not taken & routes.legal(role, stage, strict=True)


@pytest.mark.parametrize("stage", [Resting.SERVICE, AuthStage.SERVER_REQUEST])
def test_a_keepalive_before_the_login_is_answered_with_unimplemented(stage: Stage) -> None:
    engine = at(Role.SERVER, stage)
    receive(engine, GlobalRequest("keepalive@lag.net", True, b"").encode())
    assert not [e for e in engine.take_events() if isinstance(e, ConnectionEnded)]
    assert engine.output_size > 0


@pytest.mark.parametrize("stage", [Resting.FIRST_KEXINIT, KexStage.INITIATE, KexStage.NEWKEYS])
def test_a_keepalive_before_the_keys_ends_the_connection(stage: Stage) -> None:
    engine = at(Role.SERVER, stage)
    receive(engine, GlobalRequest("keepalive@lag.net", True, b"").encode())
    assert [e for e in engine.take_events() if isinstance(e, ConnectionEnded)]


@pytest.mark.parametrize("number", [2, 3, 4])
def test_noise_during_a_rekey_is_legal(number: int) -> None:
    assert number in routes.legal(Role.CLIENT, KexStage.REPLY)


@pytest.mark.parametrize("role", list(Role))
def test_a_client_takes_nothing_that_only_a_client_sends(role: Role) -> None:
    only_from_client, only_from_server = {5, 30, 32, 34, 50, 61}, {6, 31, 33, 51, 52, 53, 60}
    never = only_from_client if role is Role.CLIENT else only_from_server
    stages = CLIENT_STAGES if role is Role.CLIENT else SERVER_STAGES
    for stage in stages:
        if stage.name.startswith("GSS") or stage in BY_GSSAPI:
            continue  # 31 and 61 go in both directions there, and 32 and 34 to the client
        assert not never & routes.legal(role, stage)


@pytest.mark.parametrize(
    ("rest", "code", "text"),
    [
        (b"", 11, ""),
        (string(b"bye"), 11, "bye"),
        (string(b"bye") + string(b"en"), 11, "bye"),
        (string(b"bye") + string(b"en") + b"more", 11, "bye"),
    ],
)
def test_a_disconnect_says_why_whatever_follows(rest: bytes, code: int, text: str) -> None:
    engine = at(Role.CLIENT, Resting.CONNECTION)
    receive(engine, b"\x01" + code.to_bytes(4, "big") + rest)
    (ended,) = [e for e in engine.take_events() if isinstance(e, ConnectionEnded)]
    assert isinstance(ended.error, Disconnected)
    assert (ended.error.code, ended.error.description) == (code, text)


@pytest.mark.parametrize("payload", [b"\x06", b"\x06" + string(b"ssh-userauth")])
def test_a_service_accept_may_leave_the_service_out(payload: bytes) -> None:
    engine = at(Role.CLIENT, Resting.SERVICE)
    receive(engine, payload)
    assert not [e for e in engine.take_events() if isinstance(e, ConnectionEnded)]
    assert isinstance(engine._stage, AuthStage)
