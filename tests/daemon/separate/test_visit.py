"""One login as the monitor sees it: a gate that says anything, and a policy that answers."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from nacre.aio.waiting import Gate
from nacre.daemon.separate.link import LinkError
from nacre.daemon.separate.messages import (
    Answered,
    AnswerPrompts,
    DropVisit,
    HandOver,
    NameUser,
    OfferPassword,
    ProveHost,
    ProveKey,
    QueryKey,
    SignExchange,
    TurnedAway,
    unpacked,
)
from nacre.daemon.separate.visit import HASHES, LEGAL, LoginState, Visit, _end
from nacre.errors import UnusableKey
from nacre.keys import PrivateKey, generate
from nacre.keys.certificate import Certificate, CertifiedKey
from nacre.limits import DEFAULT_LIMITS
from nacre.protocol.asks import (
    Challenge,
    Denied,
    Granted,
    KeyTerms,
    PasswordExpired,
    Prompt,
    Signature,
    UserRequirement,
)
from nacre.protocol.requirement import Requirement
from nacre.server.policy import Policy
from nacre.server.settings import ServerSettings
from nacre.ssh2.auth.messages import HOST_BOUND, UserauthRequest
from nacre.value import replace
from nacre.wire.codec import boolean, string, text
from nacre.wire.message import Message

HOST_KEY = generate("ssh-ed25519")
KEY = generate("ssh-ed25519")
HASH = b"h" * 32
STATE = b"the frozen engine"

ONE: Requirement = (frozenset({"publickey"}), frozenset({"password"}))
TWO: Requirement = (("publickey", "password"),)
HOST_OR_PROMPTS: Requirement = (frozenset({"hostbased"}), frozenset({"keyboard-interactive"}))


class UserProcesses(Policy):
    """Grants the password ``right`` and the key, after :attr:`wait` if that is set."""

    def __init__(self) -> None:
        self.requirements: dict[str, UserRequirement] = {
            "two": UserRequirement(TWO),
            "other": UserRequirement(HOST_OR_PROMPTS),
            "none": UserRequirement((frozenset(),)),
            "few": UserRequirement(ONE, limits=replace(DEFAULT_LIMITS, auth_attempts=2)),
            "rsa": UserRequirement(ONE, signatures=("rsa-sha2-512",)),
        }
        self.asked: list[tuple[Any, ...]] = []
        self.wait: asyncio.Event | None = None
        self.granted: bool | KeyTerms = True

    def requirement(self, user: str, connection: Any) -> UserRequirement:
        return self.requirements.get(user, UserRequirement(ONE))

    async def password(self, user: str, password: str, connection: Any) -> Any:
        self.asked.append((user, "password", password))
        if self.wait is not None:
            await self.wait.wait()
        return PasswordExpired("choose") if password == "old" else password == "right"

    def change_password(self, user: str, old: str, new: str, connection: Any) -> bool:
        self.asked.append((user, "change", old, new))
        return old == "old"

    def public_key(self, user: str, key: Any, algorithm: str, signed: bool, connection: Any) -> Any:
        self.asked.append((user, "signed" if signed else "query", key))
        return self.granted

    def host_based(self, user: str, host: Any, connection: Any) -> bool:
        self.asked.append((user, "host", host.name, host.user))
        return True

    def keyboard_interactive(
        self, user: str, submethods: str, responses: tuple[str, ...] | None, connection: Any
    ) -> Any:
        self.asked.append((user, "prompts", responses))
        if responses is None:
            return Challenge("", "", (Prompt("Word: ", False),))
        return responses == ("right",)


class Login:
    """A visit, what it sends, and what it hands over."""

    def __init__(self) -> None:
        self.policy = UserProcesses()
        self.sent: list[Message] = []
        self.handed: list[bytes] = []
        self.records: list[dict[str, object]] = []
        self.changed = Gate()
        self.fails = False
        self.key: PrivateKey = HOST_KEY
        self.sock, self.client = socket.socketpair()
        settings = ServerSettings(host_keys=[HOST_KEY], policy=self.policy)
        self.visit = Visit(
            *(5, self.sock, settings, self._sign, self._send),
            lambda _, state, rested: self.handed.append(state),
            lambda record: self.records.append(dict(record)),
        )
        self._last = 0

    async def _sign(self, blob: bytes, data: bytes, algorithm: str) -> bytes:
        if self.fails:
            raise UnusableKey("there is no such host key")
        return HOST_KEY.sign(data, "ssh-ed25519")

    def _send(self, message: Message) -> None:
        self.sent.append(message)
        self.changed.wake()

    def say(self, kind: type[Message], *fields: Any) -> None:
        """Ask, without waiting."""
        self._last += 1
        self.visit.take(kind(5, self._last, *fields))

    async def ask(self, kind: type[Message], *fields: Any) -> Any:
        """Ask, and return the answer."""
        self.say(kind, *fields)
        return await self.answer()

    async def answer(self) -> Any:
        async with asyncio.timeout(30):
            while not self.sent:
                await self.changed.wait()
        message = self.sent.pop()
        assert self.sent == []
        assert isinstance(message, Answered)
        assert (message.visit, message.ask) == (5, self._last)
        return unpacked(message.answer)

    async def keyed(self) -> None:
        answer = await self.sign()
        assert isinstance(answer, Signature)

    async def sign(self, data: bytes = HASH) -> Any:
        return await self.ask(SignExchange, self.key.public.blob, "ssh-ed25519", data)

    async def named(self, user: str = "alice") -> Any:
        await self.keyed()
        return await self.ask(NameUser, user)

    def hand_over(self) -> None:
        self.visit.take(HandOver(5, STATE))


@pytest.fixture
async def login() -> AsyncIterator[Login]:
    login = Login()
    yield login
    login.visit.leave()
    login.sock.close()
    login.client.close()


def proof(
    user: str = "alice",
    key: PrivateKey = KEY,
    session: bytes = HASH,
    host_key: PrivateKey | None = None,
    algorithm: str = "ssh-ed25519",
) -> tuple[bool, bytes]:
    """Return what a gate says of a signed request: whether it is host-bound, and its fields."""
    fields = boolean(True) + text(algorithm) + string(key.public.blob)
    if host_key is not None:
        fields += string(host_key.public.blob)
    method = "publickey" if host_key is None else HOST_BOUND
    request = UserauthRequest(user, "ssh-connection", method, fields).encode()
    return host_key is not None, fields + string(key.sign(string(session) + request, algorithm))


def host_proof(user: str = "other", session: bytes = HASH) -> bytes:
    fields = text("ssh-ed25519") + string(KEY.public.blob) + text("host.example.") + text("me")
    request = UserauthRequest(user, "ssh-connection", "hostbased", fields).encode()
    return fields + string(KEY.sign(string(session) + request, "ssh-ed25519"))


# --- the table ---

QUESTIONS: dict[type[Message], tuple[Any, ...]] = {
    SignExchange: (HOST_KEY.public.blob, "ssh-ed25519", HASH),
    NameUser: ("alice",),
    OfferPassword: ("right", False, ""),
    QueryKey: ("ssh-ed25519", KEY.public.blob),
    ProveKey: proof(),
    ProveHost: (host_proof("alice"),),
    AnswerPrompts: (True, "", b""),
}


async def reach(login: Login, state: LoginState) -> None:
    if state is LoginState.NEW:
        return
    await login.keyed()
    if state is LoginState.KEYED:
        return
    await login.ask(NameUser, "alice")
    if state is LoginState.ASKED:
        login.policy.wait = asyncio.Event()
        login.say(OfferPassword, "right", False, "")
    elif state is LoginState.OVER:
        await login.ask(OfferPassword, "right", False, "")
        login.hand_over()


@pytest.mark.parametrize("state", LoginState)
@pytest.mark.parametrize("kind", [*QUESTIONS, HandOver], ids=lambda kind: kind.__name__)
async def test_what_the_table_does_not_have_ends_the_gate(
    login: Login, state: LoginState, kind: type[Message]
) -> None:
    if kind in LEGAL[state]:
        return
    await reach(login, state)
    asked = list(login.policy.asked)
    with pytest.raises(LinkError, match=f"{kind.__name__} in the state {state.name}"):
        login.visit.take(HandOver(5, STATE) if kind is HandOver else kind(5, 9, *QUESTIONS[kind]))
    assert login.sent == []
    assert login.policy.asked == asked
    assert len(login.handed) == (state is LoginState.OVER)


def test_every_state_is_in_the_table_and_every_question_in_one() -> None:
    assert set(LEGAL) == set(LoginState)
    assert frozenset().union(*LEGAL.values()) == {*QUESTIONS, HandOver}


@pytest.mark.parametrize("state", [LoginState.NEW, LoginState.KEYED, LoginState.NAMED])
async def test_an_exchange_is_signed_up_to_the_login(login: Login, state: LoginState) -> None:
    await reach(login, state)
    answer = await login.sign(b"i" * 64)
    assert HOST_KEY.public.verify(answer.blob, b"i" * 64, "ssh-ed25519")


@pytest.mark.parametrize("user", ["alice", "two", "other", "nobody"])
async def test_a_user_is_named(login: Login, user: str) -> None:
    answer = await login.named(user)
    assert answer.requirement == login.policy.requirement(user, None).requirement


@pytest.mark.parametrize(
    ("user", "kind", "fields"),
    [
        ("alice", OfferPassword, ("right", False, "")),
        ("alice", QueryKey, ("ssh-ed25519", KEY.public.blob)),
        ("alice", ProveKey, proof()),
        ("other", ProveHost, (host_proof(),)),
    ],
)
async def test_a_legal_question_is_granted(
    login: Login, user: str, kind: type[Message], fields: tuple[Any, ...]
) -> None:
    await login.named(user)
    assert await login.ask(kind, *fields) == Granted()
    assert len(login.policy.asked) == 1


# --- what is signed, and what it proves ---


@pytest.mark.parametrize("size", [0, 1, 19, 21, 31, 33, 65, 400])
async def test_what_has_not_the_size_of_a_hash_is_not_signed(login: Login, size: int) -> None:
    with pytest.raises(LinkError, match="no exchange hash"):
        login.say(SignExchange, HOST_KEY.public.blob, "ssh-ed25519", bytes(size))


@pytest.mark.parametrize("size", sorted(HASHES))
async def test_hashes_are_signed(login: Login, size: int) -> None:
    assert isinstance(await login.sign(bytes(size)), Signature)


async def test_a_key_that_is_none_ends_the_gate(login: Login) -> None:
    with pytest.raises(LinkError, match="can't be read"):
        login.say(SignExchange, b"rubbish", "ssh-ed25519", HASH)


async def test_a_signature_that_was_not_made_proves_no_session(login: Login) -> None:
    login.fails = True
    assert await login.sign() == Denied()
    assert login.records[-1]["what"] == "no signature with a host key"
    assert login.visit.session is None


async def test_nobody_proves_a_key_to_a_session_that_was_not_signed(login: Login) -> None:
    login.fails = True
    await login.sign()
    with pytest.raises(LinkError, match="NameUser in the state NEW"):
        login.say(NameUser, "alice")


async def test_the_session_is_the_first_hash_that_was_signed(login: Login) -> None:
    await login.keyed()
    await login.sign(b"i" * 32)
    assert login.visit.session is not None
    assert login.visit.session.session_id == HASH
    await login.ask(NameUser, "alice")
    assert await login.ask(ProveKey, *proof(session=HASH)) == Granted()


async def test_signatures_of_one_login_are_bounded(login: Login) -> None:
    for _ in range(256):
        await login.sign()
    with pytest.raises(LinkError, match="too many questions"):
        await login.sign()


# --- proofs ---


@pytest.mark.parametrize(
    "wrong",
    [
        {"session": b"i" * 32},
        {"user": "bob"},
        {"user": ""},
    ],
    ids=["session", "user", "nobody"],
)
async def test_a_signature_over_something_else_is_no_proof(
    login: Login, wrong: dict[str, Any]
) -> None:
    await login.named()
    assert isinstance(await login.ask(ProveKey, *proof(**wrong)), Denied)
    assert login.policy.asked == []
    with pytest.raises(LinkError, match="a login is claimed"):
        login.hand_over()


async def test_a_damaged_signature_is_no_proof(login: Login) -> None:
    await login.named()
    bound, fields = proof()
    damaged = fields[:-1] + bytes([fields[-1] ^ 1])
    assert isinstance(await login.ask(ProveKey, bound, damaged), Denied)
    assert login.policy.asked == []


async def test_a_request_without_a_signature_ends_the_gate(login: Login) -> None:
    await login.named()
    fields = boolean(False) + text("ssh-ed25519") + string(KEY.public.blob)
    with pytest.raises(LinkError, match="without a signature"):
        login.say(ProveKey, False, fields)


@pytest.mark.parametrize("fields", [b"", b"\1", b"\1\0\0\0\xff", b"\1" + bytes(20)])
async def test_a_request_that_can_not_be_read_ends_the_gate(login: Login, fields: bytes) -> None:
    await login.named()
    with pytest.raises(LinkError):
        login.say(ProveKey, False, fields)


async def test_a_query_lets_nobody_in(login: Login) -> None:
    await login.named()
    assert await login.ask(QueryKey, "ssh-ed25519", KEY.public.blob) == Granted()
    with pytest.raises(LinkError, match="a login is claimed"):
        login.hand_over()


async def test_a_query_about_rubbish(login: Login) -> None:
    await login.named()
    assert await login.ask(QueryKey, "ssh-ed25519", b"rubbish") == Denied()
    assert login.policy.asked == []


async def test_an_algorithm_that_is_not_the_users(login: Login) -> None:
    await login.named("rsa")
    assert isinstance(await login.ask(ProveKey, *proof("rsa")), Denied)
    assert login.policy.asked == []


async def test_a_proof_that_is_bound_to_the_host_key(login: Login) -> None:
    await login.named()
    assert await login.ask(ProveKey, *proof(host_key=HOST_KEY)) == Granted()
    login.hand_over()
    assert login.handed == [STATE]


async def test_a_proof_that_is_bound_to_another_host_key_ends_the_gate(login: Login) -> None:
    await login.named()
    with pytest.raises(LinkError, match="another server"):
        login.say(ProveKey, *proof(host_key=KEY))


async def test_a_bound_proof_is_none_without_the_bond(login: Login) -> None:
    await login.named()
    _, fields = proof(host_key=HOST_KEY)
    with pytest.raises(LinkError):
        login.say(ProveKey, False, fields)


async def test_a_proof_with_a_certificate(login: Login) -> None:
    authority = generate("ssh-ed25519")
    certified = CertifiedKey(Certificate.issue(KEY.public, authority), KEY)
    await login.named()
    algorithm = certified.public.signature_algorithms[0]
    assert await login.ask(ProveKey, *proof(key=certified, algorithm=algorithm)) == Granted()
    assert login.policy.asked == [("alice", "signed", certified.public)]


async def test_a_key_that_the_policy_refuses(login: Login) -> None:
    login.policy.granted = False
    await login.named()
    assert isinstance(await login.ask(ProveKey, *proof()), Denied)
    with pytest.raises(LinkError):
        login.hand_over()


async def test_a_host_vouches_for_its_user(login: Login) -> None:
    await login.named("other")
    assert await login.ask(ProveHost, host_proof()) == Granted()
    assert login.policy.asked == [("other", "host", "host.example", "me")]
    login.hand_over()
    assert login.visit.user == "other"


async def test_a_host_vouches_in_another_session(login: Login) -> None:
    await login.named("other")
    assert isinstance(await login.ask(ProveHost, host_proof(session=b"i" * 32)), Denied)
    assert login.policy.asked == []


# --- passwords and prompts ---


async def test_a_wrong_password_and_the_right_one(login: Login) -> None:
    await login.named()
    assert isinstance(await login.ask(OfferPassword, "wrong", False, ""), Denied)
    with pytest.raises(LinkError):
        login.hand_over()
    assert await login.ask(OfferPassword, "right", False, "") == Granted()
    login.hand_over()
    assert (login.handed, login.visit.user) == ([STATE], "alice")


async def test_an_expired_password_is_changed(login: Login) -> None:
    await login.named()
    assert await login.ask(OfferPassword, "old", False, "") == PasswordExpired("choose")
    with pytest.raises(LinkError):
        login.hand_over()
    assert await login.ask(OfferPassword, "old", True, "new") == Granted()
    assert login.policy.asked[-1] == ("alice", "change", "old", "new")
    login.hand_over()


async def test_prompts_are_answered(login: Login) -> None:
    await login.named("other")
    challenge = await login.ask(AnswerPrompts, True, "", b"")
    assert isinstance(challenge, Challenge)
    with pytest.raises(LinkError):
        login.hand_over()
    assert await login.ask(AnswerPrompts, False, "", text("right")) == Granted()
    login.hand_over()


async def test_responses_that_can_not_be_read_are_malformed(login: Login) -> None:
    from nacre.errors import MalformedMessage

    await login.named("other")
    with pytest.raises(MalformedMessage):
        login.say(AnswerPrompts, False, "", b"\0\0\0\xffx")


@pytest.mark.parametrize(
    ("user", "kind", "fields", "reason"),
    [
        ("alice", NameUser, ("x" * 1025,), "the user name"),
        ("alice", OfferPassword, ("x" * 8193, False, ""), "a password"),
        ("alice", OfferPassword, ("old", True, "x" * 8193), "a password"),
        ("other", AnswerPrompts, (True, "x" * 32769, b""), "the list of submethods"),
        ("other", AnswerPrompts, (False, "", text("x" * 8193)), "a response"),
        ("other", AnswerPrompts, (False, "", text("") * 33), "more responses than prompts"),
    ],
    ids=["user", "password", "new password", "submethods", "response", "responses"],
)
async def test_what_an_engine_would_refuse_ends_the_gate(
    login: Login, user: str, kind: type[Message], fields: tuple[Any, ...], reason: str
) -> None:
    """Each login may keep it, of which there are thousands."""
    await login.named(user)
    asked = list(login.policy.asked)
    with pytest.raises(LinkError, match=reason):
        login.say(kind, *fields)
    assert login.policy.asked == asked


# --- what is counted here ---


async def test_nobody_is_let_in_who_was_not_named(login: Login) -> None:
    await login.named()
    with pytest.raises(LinkError, match="a login is claimed"):
        login.hand_over()
    assert login.handed == []


async def test_all_methods_are_needed_in_their_order(login: Login) -> None:
    await login.named("two")
    with pytest.raises(LinkError, match="no use"):
        login.say(OfferPassword, "right", False, "")
    assert await login.ask(ProveKey, *proof("two")) == Granted()
    with pytest.raises(LinkError, match="a login is claimed"):
        login.hand_over()
    with pytest.raises(LinkError, match="no use"):
        login.say(ProveKey, *proof("two"))
    assert await login.ask(OfferPassword, "right", False, "") == Granted()
    login.hand_over()
    assert login.visit.methods == ("publickey", "password")


async def test_a_method_that_the_user_does_not_have_ends_the_gate(login: Login) -> None:
    await login.named()
    for kind in (ProveHost, AnswerPrompts):
        with pytest.raises(LinkError, match="no use"):
            login.say(kind, *QUESTIONS[kind])
    assert login.policy.asked == []


async def test_what_one_user_has_proved_counts_for_no_other(login: Login) -> None:
    await login.named("two")
    await login.ask(ProveKey, *proof("two"))
    await login.ask(NameUser, "alice")
    assert login.visit.methods == ()
    with pytest.raises(LinkError, match="a login is claimed"):
        login.hand_over()
    await login.ask(NameUser, "two")
    with pytest.raises(LinkError, match="no use"):
        login.say(OfferPassword, "right", False, "")


async def test_a_user_who_needs_nothing(login: Login) -> None:
    await login.named("none")
    login.hand_over()
    assert (login.visit.user, login.visit.methods) == ("none", ("none",))


async def test_attempts_are_bounded(login: Login) -> None:
    await login.named()
    for _ in range(DEFAULT_LIMITS.auth_attempts):
        await login.ask(OfferPassword, "wrong", False, "")
    asked = len(login.policy.asked)
    for kind in (OfferPassword, ProveKey):
        assert isinstance(await login.ask(kind, *QUESTIONS[kind]), Denied)
    assert len(login.policy.asked) == asked == DEFAULT_LIMITS.auth_attempts
    with pytest.raises(LinkError):
        login.hand_over()


async def test_attempts_of_one_user_count_for_another_who_has_fewer(login: Login) -> None:
    """The gate has done nothing illegal: its client alone is refused."""
    await login.named()
    for _ in range(3):
        await login.ask(OfferPassword, "wrong", False, "")
    await login.ask(NameUser, "few")
    assert isinstance(await login.ask(OfferPassword, "right", False, ""), Denied)
    assert ("few", "password", "right") not in login.policy.asked


async def test_user_names_of_one_login_are_bounded(login: Login) -> None:
    await login.keyed()
    for number in range(255):
        await login.ask(NameUser, f"user{number}")
    with pytest.raises(LinkError, match="too many questions"):
        await login.ask(NameUser, "one more")


# --- the end ---


async def test_the_socket_is_closed_at_the_end(login: Login) -> None:
    await login.named()
    assert login.sock.fileno() >= 0
    login.visit.leave()
    assert login.sock.fileno() < 0


async def test_an_answer_to_a_client_who_has_left_is_not_sent(login: Login) -> None:
    await login.named()
    login.policy.wait = asyncio.Event()
    login.say(OfferPassword, "right", False, "")
    await asyncio.sleep(0)
    login.visit.leave()
    login.policy.wait.set()
    for _ in range(5):
        await asyncio.sleep(0)
    assert login.sent == []


async def test_a_client_that_is_turned_away(login: Login) -> None:
    login.visit.terms = replace(login.visit.terms, refuse=True)
    await login.keyed()
    login.say(NameUser, "alice")
    assert login.sent == [TurnedAway(5)]
    with pytest.raises(LinkError, match="OVER"):
        login.say(NameUser, "bob")


async def test_a_client_that_logs_in_is_ended_with_a_reason(login: Login) -> None:
    await login.named()
    assert login.visit.named == "alice"
    login.say(OfferPassword, "right", False, "")  # which the gate has said before it hears of it
    login.visit.end("not now")
    assert DropVisit(5, "not now") in login.sent
    assert login.visit.refusal == "not now"


async def test_a_client_that_is_turned_away_while_a_signature_is_made(login: Login) -> None:
    """A process of PAM may end at any time."""
    await login.named()
    login.say(SignExchange, HOST_KEY.public.blob, "ssh-ed25519", HASH)
    login.visit.refuse("alice")
    await asyncio.gather(*login.visit._tasks)
    assert login.sent == [TurnedAway(5)]
    with pytest.raises(LinkError, match="OVER"):
        login.say(OfferPassword, "right", False, "")


async def test_work_for_a_client_that_has_left_is_cancelled(login: Login) -> None:
    """It may have left while its policy waited: nobody else would end what counts it."""
    login.visit.leave()
    waiting = login.visit.spawn(asyncio.sleep(60))
    await asyncio.wait([waiting], timeout=30)
    assert waiting.cancelled()


@pytest.mark.parametrize("failure", [OSError, ValueError])
async def test_a_policy_that_fails_lets_nobody_in(
    login: Login, failure: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise failure

    monkeypatch.setattr(login.policy, "public_key", fail)
    await login.named()
    assert isinstance(await login.ask(ProveKey, *proof()), Denied)
    with pytest.raises(LinkError):
        login.hand_over()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (lambda: ("192.0.2.1", 22), ("192.0.2.1", 22)),
        (lambda: ("2001:db8::1", 22, 0, 0), ("2001:db8::1", 22)),
        (lambda: "/run/socket", ("/run/socket", 0)),
        (lambda: b"", ("", 0)),
        (lambda: os.stat("/nacre/is/not/here"), ("", 0)),
    ],
)
def test_the_address_is_the_sockets(name: Callable[[], Any], expected: tuple[str, int]) -> None:
    assert _end(name) == expected


async def test_the_gate_learns_whether_an_answer_took_a_thread(login: Login) -> None:
    """How long an answer takes must not tell what was looked up for it."""
    await login.keyed()
    for at_once, kind, *fields in (
        (True, NameUser, "alice"),
        (False, OfferPassword, "wrong", False, ""),
    ):
        login.say(kind, *fields)
        async with asyncio.timeout(30):
            while not login.sent:
                await login.changed.wait()
        (answer,) = login.sent
        login.sent.clear()
        assert isinstance(answer, Answered)
        assert answer.at_once is at_once
