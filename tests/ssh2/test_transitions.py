"""TRANSITIONS holds what engines do: each change of stage is in it, and each row was seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from attacks.links import Crooked
from contexts import GSS, FakeContext, stepping
from nacre.errors import AuthenticationFailed
from nacre.keys.base import RemoteKey
from nacre.protocol.asks import (
    Answer,
    Ask,
    AskAuthentication,
    AskHostBased,
    AskHostSignature,
    AskKeyboardInteractive,
    AskNewPassword,
    AskPrincipal,
    AskPrompts,
    AskPublicKey,
    AskSecurityStep,
    AskSignature,
    AskUser,
    Challenge,
    ClientHost,
    Denied,
    GiveUp,
    Granted,
    NewPassword,
    PasswordExpired,
    Prompt,
    Responses,
    SecurityStep,
    Signature,
    TryGSSAPIKeyex,
    TryGSSAPIWithMIC,
    TryHostBased,
    TryKeyboardInteractive,
    TryNone,
    TryPassword,
    TryPublicKey,
    UserRequirement,
)
from nacre.protocol.events import Proposal
from nacre.protocol.options import ClientOptions, ServerOptions, algorithms
from nacre.protocol.phases import Phase, Role
from nacre.ssh2 import routes
from nacre.ssh2.auth.messages import PasswordRequest, SecurityErrorToken, UserauthRequest
from nacre.ssh2.auth.stages import AuthStage
from nacre.ssh2.routes import Resting, Stage
from nacre.ssh2.transport import negotiate
from nacre.ssh2.transport.messages import KexInit, KexInitiate
from nacre.ssh2.transport.stages import KexStage
from nacre.testing import PASSWORD, Pair, agreeable, host_key
from nacre.wire.codec import Buffer
from nacre.wire.message import Message

Row = tuple[Role, Stage, str, Stage]
Answering = Callable[[Ask], Answer | None]
Replies = Callable[[Any], Answer | None]

KEY = host_key().public
QUERY = TryPublicKey(KEY, ("ssh-ed25519",))
SIGNED = TryPublicKey(KEY, ("ssh-ed25519",), signed=True)
HOST = TryHostBased(ClientHost("client.example.org.", "bob", KEY, "ssh-ed25519"))
INTERACTIVE = TryKeyboardInteractive()
CHALLENGE = Challenge("", "", (Prompt("Code: ", False),))

LOGIN = "login "
GSS_NIST = GSS.replace("curve25519", "nistp256")
GSS_14 = GSS.replace("curve25519", "group14")
GEX = "diffie-hellman-group-exchange-sha256"
ECDH = "curve25519-sha256"
DH = "diffie-hellman-group14-sha256"

TABLE: set[Row] = {
    (role, stage, trigger.__name__, after)
    for role, table in routes.TRANSITIONS.items()
    for stage, triggers in table.items()
    for trigger, stages in triggers.items()
    for after in stages
}


# --- the observer ---


def name_of(role: Role, stage: Stage, number: int) -> str:
    """Return the name that the table has for the message ``number`` in ``stage``."""
    if stage is KexStage.GUESS:
        return "KexInitiate"
    for trigger in routes.TRANSITIONS[role].get(stage, {}):
        if getattr(trigger, "NUMBER", None) == number:
            return trigger.__name__
    return f"message {number}"


def watch(engine: Any, rows: set[Row]) -> None:
    """Add to ``rows`` each change of stage, with the message or the answer that caused it."""
    cause: list[int | str] = [0]
    take, reply, enter = engine._inbox.next, engine._asks.answer, engine._enter

    def following() -> Buffer | None:
        payload: Buffer | None = take()
        if payload is not None:
            cause[0] = payload[0]
        return payload

    def answer(ask_id: int, given: Answer) -> bool:
        cause[0] = type(engine._asks._open[ask_id][0]).__name__
        return bool(reply(ask_id, given))

    def entered(stage: Stage) -> None:
        left, last = engine._stage, cause[0]
        if left is not None:
            name = name_of(engine.role, left, last) if isinstance(last, int) else last
            rows.add((engine.role, left, name, stage))
        enter(stage)

    engine._inbox.next, engine._asks.answer, engine._enter = following, answer, entered


class Watched(Crooked):
    """A pair whose changes of stage are noted.

    :param guesses: the role whose first KEXINIT announces a wrongly guessed packet.
    :param rounds: the tokens that each side sends in a key exchange by GSSAPI.
    """

    def __init__(
        self, rows: set[Row], *, guesses: Role | None = None, rounds: int = 2, **options: Any
    ) -> None:
        self._rows = rows
        self._guesses = guesses
        for role, initiates in ("client", True), ("server", False):
            answers = options.get(f"answers_{role}", agreeable)
            options[f"answers_{role}"] = with_steps(answers, initiates, rounds)
        super().__init__(**options)

    def _start(self) -> None:
        for engine in (self.client, self.server):
            watch(engine, self._rows)
            if engine.role is self._guesses:
                guess_wrongly(engine)
        super()._start()


def with_steps(answers: Answering, initiates: bool, rounds: int) -> Answering:
    """Answer the questions of key exchanges by GSSAPI too; ``answers`` are for logins."""

    def answer(ask: Ask) -> Answer | None:
        if isinstance(ask, AskSecurityStep) and not ask.token.startswith(LOGIN.encode()):
            return stepping(ask, initiates, rounds)
        return answers(ask)

    return answer


def guess_wrongly(engine: Any) -> None:
    """Let the next KEXINITs of ``engine`` announce a guessed packet, which its peer has to drop."""
    kex = engine._kex

    def send_kexinit() -> tuple[Proposal, bytes]:
        names = tuple(kex._signers) or kex._options.algorithms.host_key
        options = kex._options
        _, payload = negotiate.kexinit(
            options.algorithms, names, engine.role, bytes(16), options.gss_kex
        )
        init = KexInit.decode(payload)
        fields: dict[str, Any] = {name: getattr(init, name) for name in KexInit.FIELDS}
        fields["kex"] = (init.kex[1], init.kex[0], *init.kex[2:])
        fields["first_kex_packet_follows"] = True
        payload = KexInit(**fields).encode()
        ours = kex._ours = negotiate.received(payload)[0], payload
        kex._outbox.send(payload)
        kex._outbox.send(KexInitiate(b"guessed").encode())
        kex._outbox.begin_kex()
        kex.active = True
        return ours

    kex._send_kexinit = send_kexinit


def without(*numbers: int) -> Callable[[bytes], list[bytes]]:
    """Swallow the messages of these numbers."""
    return lambda payload: [] if payload[0] in numbers else [payload]


# --- both sides' answers ---


def client(*tries: Answer, **replies: Replies) -> Answering:
    """Try these methods one after another; ``replies`` are by the name of the question."""
    pending = iter(tries)

    def answer(ask: Ask) -> Answer | None:
        if (reply := replies.get(type(ask).__name__)) is not None:
            return reply(ask)
        match ask:
            case AskAuthentication():
                return next(pending, GiveUp(AuthenticationFailed("nothing is left to try")))
            case AskSignature(data=data, algorithm=algorithm):
                return Signature(host_key().sign(data, algorithm))
            case AskPrompts(prompts=prompts):
                return Responses(("42",) * len(prompts))
            case AskNewPassword():
                return NewPassword("old", "new")
        return stepping(ask, True) or agreeable(ask)

    return answer


def server(*methods: str, **replies: Replies) -> Answering:
    """Let users in who succeed with one of ``methods``; the empty one is ``none``."""

    def answer(ask: Ask) -> Answer | None:
        if (reply := replies.get(type(ask).__name__)) is not None:
            return reply(ask)
        match ask:
            case AskUser():
                return UserRequirement(tuple(frozenset(filter(None, (m,))) for m in methods))
            case AskKeyboardInteractive(responses=None):
                return CHALLENGE
            case AskPublicKey() | AskHostBased() | AskKeyboardInteractive() | AskPrincipal():
                return Granted()
        return stepping(ask, False) or agreeable(ask)

    return answer


def refuse(_ask: Ask) -> Answer:
    return Denied()


def open_question(_ask: Ask) -> None:
    """Leave it open."""


def rounds(*answers: Answer) -> Replies:
    """Give these answers in turn."""
    pending = iter(answers)
    return lambda ask: next(pending)


def by_gssapi(key: bytes = b"shared") -> TryGSSAPIWithMIC:
    """Log in by a new security context.

    :param key: another one leads to a MIC that does not verify.
    """
    context = FakeContext(purpose=LOGIN, key=key)
    step = context.step(b"")
    assert isinstance(step, SecurityStep)
    return TryGSSAPIWithMIC(context, step.token)


def logins() -> Iterator[tuple[Answering, Answering]]:
    """Yield the answers of both sides for every way that authentication can take."""
    yield client(TryNone()), server("")
    yield client(TryPassword(PASSWORD)), server("password")
    yield client(QUERY), server("publickey")
    yield client(SIGNED), server("publickey")
    yield client(INTERACTIVE), server("keyboard-interactive")
    yield client(HOST), server("hostbased")
    tries = TryNone(), QUERY, TryPassword("wrong"), INTERACTIVE, SIGNED, TryNone()
    yield (
        client(*tries),
        server(
            "password",
            "publickey",
            "keyboard-interactive",
            AskPublicKey=lambda ask: Denied() if ask.signed else Granted(),
            AskKeyboardInteractive=lambda ask: CHALLENGE if ask.responses is None else Denied(),
        ),
    )
    yield client(QUERY), server("publickey", AskPublicKey=refuse)
    yield client(QUERY, SIGNED, AskSignature=refuse), server("publickey")
    expired = PasswordExpired("New password: ")
    change = server("password", AskPassword=lambda ask: Granted() if ask.new_password else expired)
    yield client(TryPassword("old")), change
    yield client(TryPassword("old"), AskNewPassword=refuse), change
    straight = server("keyboard-interactive", AskKeyboardInteractive=lambda ask: Granted())
    yield client(INTERACTIVE), straight
    twice = server(
        "keyboard-interactive", AskKeyboardInteractive=rounds(CHALLENGE, CHALLENGE, Granted())
    )
    yield client(INTERACTIVE), twice
    yield client(TryPassword("wrong"), TryNone()), server("", "password")
    mic = "gssapi-with-mic"
    yield client(by_gssapi()), server(mic)
    yield client(TryNone(), by_gssapi()), server(mic)
    yield client(by_gssapi()), server(mic, AskPrincipal=refuse)
    yield client(by_gssapi()), server(mic, AskSecurityStep=refuse)
    yield client(by_gssapi(), AskSecurityStep=refuse), server(mic)
    yield client(by_gssapi(b"another")), server(mic)
    yield client(by_gssapi()), server("password")


def logged_in() -> set[Row]:
    rows: set[Row] = set()
    for clients, servers in logins():
        Watched(rows, answers_client=clients, answers_server=servers).run()
    options = ServerOptions(host_keys=(host_key(),), handover=True)
    # The process that let the user in goes on itself.
    here = server("password", AskHandover=refuse)
    Watched(rows, server=options, answers_server=here).run()
    # A server without EXT_INFO accepts the service before the client has asked what to try.
    Watched(rows, server_says=without(7)).run()
    by_keys = Watched(
        rows,
        **by(GSS, None),
        answers_client=client(TryGSSAPIKeyex()),
        answers_server=server("gssapi-keyex"),
    )
    by_keys.run()
    for method, fields in ("none", b""), ("password", PasswordRequest(False, "wrong").encode()):
        abandon(rows, UserauthRequest("alice", "ssh-connection", method, fields))
    abandon(rows, SecurityErrorToken(b"bye"))
    return rows


def abandon(rows: set[Row], message: Message) -> None:
    """Have clients send a message where the server waits for something else of a method."""
    for lost in 61, 66:
        held = Watched(
            rows,
            answers_client=client(by_gssapi()),
            answers_server=server("", "gssapi-with-mic", "password"),
            client_says=without(lost),
        )
        send_late(held, message)
    if isinstance(message, UserauthRequest):
        prompted = Watched(
            rows,
            answers_client=client(INTERACTIVE, AskPrompts=open_question),
            answers_server=server("", "keyboard-interactive", "password"),
        )
        send_late(prompted, message)


def send_late(pair: Pair, message: Message) -> None:
    pair.run()
    pair.client._outbox.send(message.encode())  # type: ignore[attr-defined]
    pair.run()


# --- key exchanges, from every stage that a connection rests in ---


def always(method: Answer) -> Answering:
    """Try ``method``, and leave prompts open."""
    return lambda ask: method if isinstance(ask, AskAuthentication) else agreeable(ask)


HELD: dict[tuple[Role, Stage], dict[str, Any]] = {
    (Role.CLIENT, Resting.SERVICE): {
        "server_says": without(6),
        "answers_client": client(AskAuthentication=open_question),
    },
    (Role.SERVER, Resting.SERVICE): {
        "client_says": without(5),
        "answers_client": client(AskAuthentication=open_question),
    },
    (Role.SERVER, AuthStage.SERVER_REQUEST): {
        "answers_client": client(AskAuthentication=open_question),
    },
    (Role.SERVER, AuthStage.SERVER_INTERACTIVE): {
        "answers_client": always(INTERACTIVE),
        "answers_server": server("keyboard-interactive"),
    },
    (Role.CLIENT, AuthStage.CLIENT_TOKEN): {
        "answers_client": client(AskAuthentication=lambda ask: by_gssapi()),
        "answers_server": server("gssapi-with-mic", AskSecurityStep=open_question),
    },
    (Role.SERVER, AuthStage.SERVER_TOKEN): {
        "answers_client": client(AskAuthentication=lambda ask: by_gssapi()),
        "answers_server": server("gssapi-with-mic"),
        "client_says": without(61),
    },
    (Role.SERVER, AuthStage.SERVER_MIC): {
        "answers_client": client(AskAuthentication=lambda ask: by_gssapi()),
        "answers_server": server("gssapi-with-mic"),
        "client_says": without(66),
    },
    (Role.CLIENT, Resting.CONNECTION): {},
    (Role.SERVER, Resting.CONNECTION): {},
}
"""What keeps an engine in each stage."""

for _stage, _method in {
    AuthStage.CLIENT_WAITING: TryNone(),
    AuthStage.CLIENT_PUBLICKEY_QUERY: QUERY,
    AuthStage.CLIENT_PASSWORD: TryPassword(PASSWORD),
    AuthStage.CLIENT_INTERACTIVE: INTERACTIVE,
    AuthStage.CLIENT_MECHANISM: by_gssapi(),
}.items():
    HELD[Role.CLIENT, _stage] = {
        "answers_client": always(_method),
        "answers_server": server("password", AskUser=open_question),
    }


def by(method: str, guesses: Role | None) -> dict[str, Any]:
    """Return options that lead to ``method``, also when ``guesses`` swaps its first two names."""
    if method not in (GSS, GSS_14):
        return {"algorithms": chosen(method, guesses)}
    names = (GSS_NIST, method) if guesses is Role.CLIENT else (method, GSS_NIST)
    return {
        "client": ClientOptions(user="alice", gss_kex=names),
        "server": ServerOptions(host_keys=(host_key(),), gss_kex=names),
    }


def chosen(method: str, guesses: Role | None) -> Any:
    """Return algorithms that lead to ``method``, also when ``guesses`` swaps its first two."""
    other = {GEX: ECDH, DH: ECDH, ECDH: "ecdh-sha2-nistp256"}[method]
    return algorithms(kex=[other, method] if guesses is Role.CLIENT else [method, other])


def rekeyed(role: Role, stage: Stage, method: str, *, guessed: bool) -> set[Row]:
    """Bring ``role`` to ``stage``, let its peer begin a key exchange there, and return the rows."""
    rows: set[Row] = set()
    peer = Role.SERVER if role is Role.CLIENT else Role.CLIENT
    both = by(method, peer if guessed else None)
    pair: Any = Watched(rows, **both, **HELD[role, stage])
    pair.run()
    engine, other = (pair.client, pair.server)[:: 1 if role is Role.CLIENT else -1]
    assert engine._stage is stage
    # An open question would keep its engine from the packets of the exchange.
    engine._asks.withdraw_all()
    other._asks.withdraw_all()
    if guessed:
        guess_wrongly(other)
    other._kex.begin()
    pair.run()
    assert engine._stage is stage
    assert engine.phase is not Phase.CLOSED
    return {row for row in rows if row[0] is role}


METHODS = (ECDH, DH, GEX, GSS)
VARIANTS = [(method, guessed) for method in METHODS for guessed in (False, True)]


def held_elsewhere(method: str) -> set[Row]:
    """Exchange keys with a host key that another program holds."""

    def sign(ask: Ask) -> Answer | None:
        if isinstance(ask, AskHostSignature):
            return Signature(host_key().sign(ask.data, ask.algorithm))
        return agreeable(ask)

    rows: set[Row] = set()
    both = algorithms(kex=method)
    options = ServerOptions(host_keys=(RemoteKey(KEY),), algorithms=both)
    Watched(rows, server=options, algorithms=both, answers_server=sign).run()
    return rows


def exchanged() -> set[Row]:
    rows: set[Row] = set()
    for method, guessed in VARIANTS:
        for role in Role if guessed else [None]:
            Watched(rows, **by(method, role), guesses=role).run()
    for method, rounds in (GSS, 1), (GSS_14, 1), (GSS_14, 2):
        Watched(rows, rounds=rounds, **by(method, None)).run()
    for method in (ECDH, DH, GEX):
        rows |= held_elsewhere(method)
    for role, stage in HELD:
        for method, guessed in VARIANTS:
            rows |= rekeyed(role, stage, method, guessed=guessed)
    return rows


@pytest.fixture(scope="module")
def seen() -> set[Row]:
    return logged_in() | exchanged()


@pytest.mark.slow
def test_every_change_of_stage_is_in_the_table(seen: set[Row]) -> None:
    assert seen - TABLE == set()


@pytest.mark.slow
def test_every_row_of_the_table_is_what_an_engine_did(seen: set[Row]) -> None:
    assert TABLE - seen == set()


@pytest.mark.parametrize("role", list(Role))
def test_every_stage_can_be_reached(role: Role) -> None:
    table = routes.TRANSITIONS[role]
    reached: set[Stage] = {Resting.FIRST_KEXINIT}
    while more := {s for stage in reached for to in table[stage].values() for s in to} - reached:
        reached |= more
    assert reached == set(table)


@pytest.mark.parametrize("role", list(Role))
def test_every_message_of_the_table_is_legal_in_its_stage(role: Role) -> None:
    for stage, triggers in routes.TRANSITIONS[role].items():
        numbers = {trigger.NUMBER for trigger in triggers if not issubclass(trigger, Ask)}
        assert numbers <= routes.legal(role, stage)


def test_an_idle_pair_changes_no_stage() -> None:
    rows: set[Row] = set()
    pair = Pair()
    pair.run()
    watch(pair.client, rows)
    pair.client.ping()
    pair.run()
    assert not rows
