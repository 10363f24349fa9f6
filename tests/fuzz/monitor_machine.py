"""The monitor beside gates and session processes that somebody has taken over.

They send what the rules make up: questions in any order with any values, for any login, mutations
of them, and descriptors that nobody asked for. A model, which has its own table of what is legal,
says which questions may be answered; the policy says who is who. Beside them an honest gate logs
users in.
"""

from __future__ import annotations

import json
import os
import random
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fuzz.monitored import (
    CERTIFIED,
    HOST_KEY,
    KEY,
    MOST_ASKED,
    MOST_VISITS,
    STRANGE,
    USERS,
    Monitored,
    Taken,
    descriptor,
    framed,
    host_proof,
    proof,
)
from fuzz.mutate import mutated
from nacre.daemon.accounts.accounts import Login
from nacre.daemon.separate.messages import (
    FROM_GATES,
    FROM_SESSIONS,
    Answered,
    AnswerPrompts,
    Arrived,
    AtTerminal,
    Certify,
    ConnectionOver,
    Drop,
    HandOver,
    Left,
    LogRecord,
    LookUp,
    NameUser,
    OfferPassword,
    OpenLedger,
    OpenTrail,
    ProveHost,
    ProveKey,
    QueryKey,
    Reads,
    Ready,
    Retire,
    Serve,
    Sign,
    SignExchange,
    StartWith,
    Stopped,
    unpacked,
)
from nacre.keys import PrivateKey
from nacre.protocol import hostkeys
from nacre.protocol.asks import Answer, Denied, Signature, UserRequirement
from nacre.wire.codec import text
from nacre.wire.message import Message

BLOBS = st.sampled_from(
    [HOST_KEY.public.blob, CERTIFIED.public.blob, STRANGE.public.blob, b"", b"rubbish"]
)
ALGORITHMS = st.sampled_from(["ssh-ed25519", CERTIFIED.public.signature_algorithms[0], "ssh-rsa"])
HASHES = [bytes((n,)) * 32 for n in b"abc"]
DATA = st.sampled_from([*HASHES, *HASHES, bytes(20), bytes(64), b"", bytes(31), bytes(5000)])
NAMES = st.sampled_from([*USERS, "alice", "nobody", "", "a\0b", "\udcff", "x" * 1025])
NUMBERS = st.integers(0, 3)
SECRETS = st.sampled_from(["right", "right", "wrong", "old", "", "x" * 9000])

_HASH_SIZES = {20, 32, 48, 64}
_NAMED = {NameUser, OfferPassword, QueryKey, ProveKey, ProveHost, AnswerPrompts, HandOver}
_LEGAL: dict[str, set[type[Message]]] = {
    "new": {SignExchange},
    "keyed": {SignExchange, NameUser},
    "named": {SignExchange, *_NAMED},
}
"""What the model thinks that a gate may say of a login without an open question."""


@dataclass
class Known:
    """What the model knows of a login.

    :ivar asks: the open questions, by number.
    :ivar right: whether the latest proof was one.
    """

    state: str = "new"
    asks: dict[int, Message] = field(default_factory=dict)
    session: bytes = b""
    host_key: PrivateKey = HOST_KEY
    user: str = ""
    right: bool = False


class MonitorMachine(RuleBasedStateMachine):
    """Every rule is something that a gate or a session process says, or what the policy does.

    A process that the monitor has ended is followed by another one with the next rule.
    """

    def __init__(self) -> None:
        super().__init__()
        self.monitor = Monitored()
        self.run = self.monitor.run
        self.known: dict[int, Known] = {}
        self.last = 0
        self.served: dict[Taken, dict[bytes, str]] = {}
        self.asked: dict[Taken, dict[int, Message]] = {}

    @initialize()
    def begin(self) -> None:
        self.gate = self.run(self.monitor.gate())
        self.honest = self.run(self.monitor.gate())

    def teardown(self) -> None:
        try:
            if hasattr(self, "honest"):
                self.somebody_else_logs_in("alice")
        finally:
            self.monitor.close()

    # --- what a gate says ---

    @rule(
        number=NUMBERS,
        kind=st.sampled_from(["stream", "stream", "stream", "udp", "null", "listens"]),
    )
    def arrive(self, number: int, kind: str) -> None:
        self._live()
        made = descriptor(kind)
        legal = kind == "stream" and number not in self.known and len(self.known) < MOST_VISITS
        self._tell([Arrived(number)], [made])
        os.close(made)
        assert self.gate.over is not legal
        if legal:
            self.known[number] = Known()

    @rule(number=NUMBERS)
    def arrive_without_a_socket(self, number: int) -> None:
        self._live()
        self._tell([Arrived(number)])
        assert self.gate.over

    @rule(counts=st.sampled_from([[1], [3], [64], [33, 33], [200]]))
    def send_descriptors(self, counts: list[int]) -> None:
        """Descriptors that no message needs: the next arrival gets the first of them."""
        self._live()
        made = descriptor("null")
        for count in counts:
            self._tell([Ready()], [made] * count)
        os.close(made)
        assert self.gate.over is (len(counts) > 1)
        if not self.gate.over:
            self.run(self.gate.send(framed(Arrived(1))))
            self._hear()
            assert self.gate.over

    @rule(number=NUMBERS, blob=BLOBS, algorithm=ALGORITHMS, data=DATA)
    def sign(self, number: int, blob: bytes, algorithm: str, data: bytes) -> None:
        self._ask(number, SignExchange, blob, algorithm, data)

    @rule(number=NUMBERS, data=st.sampled_from(HASHES))
    def sign_as_one_should(self, number: int, data: bytes) -> None:
        self._ask(number, SignExchange, HOST_KEY.public.blob, "ssh-ed25519", data)

    @rule(number=NUMBERS, user=NAMES, times=st.sampled_from([1, 1, 1, 1, MOST_ASKED]))
    def name_user(self, number: int, user: str, times: int) -> None:
        for _ in range(times):
            self._ask(number, NameUser, user)
            if self.gate.over:
                break

    @rule(number=NUMBERS, password=SECRETS, changes=st.booleans(), new=SECRETS)
    def offer_password(self, number: int, password: str, changes: bool, new: str) -> None:
        self._ask(number, OfferPassword, password, changes, new)

    @rule(number=NUMBERS, algorithm=ALGORITHMS, key=st.sampled_from([KEY, STRANGE]))
    def query_key(self, number: int, algorithm: str, key: PrivateKey) -> None:
        self._ask(number, QueryKey, algorithm, key.public.blob)

    @rule(
        number=NUMBERS,
        key=st.sampled_from([KEY, KEY, KEY, STRANGE]),
        user=st.none() | NAMES,
        session=st.none() | st.sampled_from(HASHES),
        bound=st.sampled_from([None, None, HOST_KEY, CERTIFIED, STRANGE]),
        claims=st.none() | st.booleans(),
        seed=st.none() | st.integers(0, 1 << 32),
    )
    def prove_key(
        self,
        number: int,
        key: PrivateKey,
        user: str | None,
        session: bytes | None,
        bound: PrivateKey | None,
        claims: bool | None,
        seed: int | None,
    ) -> None:
        """Send a proof: a right one, for None, or one for something else, or a damaged one."""
        known = self._chosen(number)
        signed_for = known.user if user is None else user
        over = known.session if session is None else session
        fields = proof(signed_for, over, key, bound)
        said = (bound is not None) if claims is None else claims
        right = (signed_for, over) == (known.user, known.session) and said is (bound is not None)
        if bound is not None:
            right = right and bound.plain.public == known.host_key.plain.public
        sent = fields if seed is None else mutated(fields, random.Random(seed))
        self._ask(number, ProveKey, said, sent, right=right and sent == fields)

    @rule(
        number=NUMBERS,
        user=st.none() | NAMES,
        session=st.none() | st.sampled_from(HASHES),
        key=st.sampled_from([KEY, STRANGE]),
        seed=st.none() | st.integers(0, 1 << 32),
    )
    def prove_host(
        self,
        number: int,
        user: str | None,
        session: bytes | None,
        key: PrivateKey,
        seed: int | None,
    ) -> None:
        known = self._chosen(number)
        signed_for = known.user if user is None else user
        over = known.session if session is None else session
        fields = host_proof(signed_for, over, key)
        sent = fields if seed is None else mutated(fields, random.Random(seed))
        right = (signed_for, over, sent) == (known.user, known.session, fields)
        self._ask(number, ProveHost, sent, right=right)

    @rule(
        number=NUMBERS,
        begins=st.booleans(),
        submethods=st.sampled_from([0, 3, 40_000]),
        response=st.sampled_from(["right", "right", "wrong", "x" * 9000]),
        times=st.sampled_from([1, 1, 1, 0, 2, 40, 60_000]),
        cut=st.sampled_from([0, 0, 0, 1]),
    )
    def answer_prompts(
        self, number: int, begins: bool, submethods: int, response: str, times: int, cut: int
    ) -> None:
        responses = text(response) * times if times < 60_000 else text("") * times
        self._ask(number, AnswerPrompts, begins, "x" * submethods, responses[cut:])

    @rule(number=NUMBERS, size=st.sampled_from([0, 5, 300_000]))
    def hand_over(self, number: int, size: int) -> None:
        self._ask(number, HandOver, bytes(size))

    @rule(number=NUMBERS)
    def leave(self, number: int) -> None:
        self._live()
        self._tell([Left(number)])
        assert not self.gate.over
        self.known.pop(number, None)

    @rule(number=NUMBERS, user=st.sampled_from(list(USERS)), data=st.sampled_from(HASHES))
    def log_in(self, number: int, user: str, data: bytes) -> None:
        """Bring a login as far as it gets: other rules go on from there."""
        if number in self.known:
            self.leave(number)
        self.arrive(number, "stream")
        if number in self.known:
            self.sign_as_one_should(number, data)
            self.name_user(number, user, 1)
        if number in self.known and user in ("alice", "bob"):
            self.prove_key(number, KEY, None, None, None, None, None)
        if number in self.known and user == "bob":
            self.offer_password(number, "right", False, "")

    @rule(data=st.binary(max_size=200), number=st.sampled_from(list(FROM_GATES)))
    def say_rubbish(self, data: bytes, number: int) -> None:
        """What it means is left to the monitor."""
        gate = self.run(self.monitor.gate())
        self.run(gate.send(framed(bytes((number,)) + data)))
        self._cut(gate)

    @rule(
        numbers=st.lists(NUMBERS, min_size=1, max_size=3),
        users=st.lists(NAMES, min_size=1, max_size=3),
        password=SECRETS,
        seed=st.integers(0, 1 << 32),
        changed=st.booleans(),
    )
    def say_much_at_once(
        self, numbers: list[int], users: list[str], password: str, seed: int, changed: bool
    ) -> None:
        """Say many things before the first is answered, in any order, and perhaps damaged."""
        gate = self.run(self.monitor.gate())
        draw = random.Random(seed)
        said: list[Message] = []
        for number in numbers:
            said += [SignExchange(number, 1, HOST_KEY.public.blob, "ssh-ed25519", HASHES[0])]
            said += [NameUser(number, 2, user) for user in users]
            said += [OfferPassword(number, 3, password, False, ""), HandOver(number, b"state")]
        draw.shuffle(said)
        data = b"".join(map(framed, said))
        made = descriptor("stream")
        arriving = b"".join(framed(Arrived(number)) for number in set(numbers))
        self.run(gate.send(arriving, [made] * len(set(numbers))))
        os.close(made)
        self.run(gate.send(mutated(data, draw) if changed else data))
        self._cut(gate)

    @rule(
        fields=st.dictionaries(
            st.sampled_from(["event", "user", "gate", "a\nb", "x=1 level=error", ""]),
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
            max_size=3,
        ).map(lambda made: json.dumps(made).encode())
        | st.sampled_from([b'{"event": "x"}', b"[" * 5000, b'{"event": "x", "n": 1e999}'])
    )
    def write_the_log(self, fields: bytes) -> None:
        self._live()
        self._tell([LogRecord(fields)])

    @rule(message=st.sampled_from([Reads(), Ready(), Stopped()]))
    def say_how_it_is(self, message: Message) -> None:
        self._live()
        self._tell([message])

    @rule()
    def die(self) -> None:
        self._live()
        self._cut(self.gate)
        self.known.clear()

    # --- what the policy does ---

    @rule(slow=st.booleans())
    def hesitate(self, slow: bool) -> None:
        self.monitor.policy.slow = slow

    @rule(which=st.integers(0, 5))
    def decide(self, which: int) -> None:
        waiting = self.monitor.policy.waiting
        if waiting:
            future = waiting.pop(which % len(waiting))

            async def conclude() -> None:
                if not future.done():
                    future.set_result(None)

            self.run(conclude())
            self._hear()

    @rule(failure=st.sampled_from([OSError, ValueError, RuntimeError]))
    def fail(self, failure: type[Exception]) -> None:
        self.monitor.policy.failure = failure("what the policy has not expected")

    # --- what a session process says ---

    @precondition(lambda self: self.served)
    @rule(
        which=st.integers(0, 9),
        session=st.integers(0, 3),
        blob=BLOBS,
        algorithm=ALGORITHMS,
        data=DATA | st.none(),
    )
    def sign_later(
        self, which: int, session: int, blob: bytes, algorithm: str, data: bytes | None
    ) -> None:
        process, one = self._session(which, session)
        proves = hostkeys.signed(one, blob)
        wanted = proves if data is None else data
        legal = one in self.served[process] and (len(wanted) in _HASH_SIZES or wanted == proves)
        self.last += 1
        self._say(process, Sign(self.last, one, blob, algorithm, wanted), legal)

    @precondition(lambda self: self.served)
    @rule(which=st.integers(0, 9), session=st.integers(0, 3))
    def look_up(self, which: int, session: int) -> None:
        process, one = self._session(which, session)
        self.last += 1
        self._say(process, LookUp(self.last, one), one in self.served[process])

    @precondition(lambda self: self.served)
    @rule(
        which=st.integers(0, 9),
        session=st.integers(0, 3),
        blob=st.sampled_from([b"", HOST_KEY.public.blob, b"no key", bytes(1 << 15)]),
    )
    def certify(self, which: int, session: int, blob: bytes) -> None:
        process, one = self._session(which, session)
        legal = one in self.served[process] and blob in (b"", HOST_KEY.public.blob)
        self.last += 1
        self._say(process, Certify(self.last, one, blob), legal)

    @precondition(lambda self: self.served)
    @rule(
        kind=st.sampled_from([OpenLedger, OpenTrail]),
        which=st.integers(0, 9),
        session=st.integers(0, 3),
    )
    def open(self, kind: type[OpenLedger | OpenTrail], which: int, session: int) -> None:
        process, one = self._session(which, session)
        self.last += 1
        message = kind(self.last, one, *([""] if kind is OpenLedger else []))
        self._say(process, message, one in self.served[process])

    @precondition(lambda self: self.served)
    @rule(
        which=st.integers(0, 9),
        session=st.integers(0, 3),
        terminal=st.sampled_from(
            ["", "/dev/pts/0", "/dev/pts/99999", "/dev/pts/../null", "/etc/passwd", "/dev/pts/1\n"]
        ),
        begins=st.booleans(),
    )
    def be_at_a_terminal(self, which: int, session: int, terminal: str, begins: bool) -> None:
        process, one = self._session(which, session)
        self._say(process, AtTerminal(one, terminal, begins), one in self.served[process])

    @precondition(lambda self: self.served)
    @rule(which=st.integers(0, 9), session=st.integers(0, 3))
    def end_connection(self, which: int, session: int) -> None:
        process, one = self._session(which, session)
        self._say(process, ConnectionOver(one), True)
        self.served[process].pop(one, None)

    @precondition(lambda self: self.served)
    @rule(
        which=st.integers(0, 9),
        data=st.binary(max_size=200),
        number=st.sampled_from(list(FROM_SESSIONS)),
    )
    def say_rubbish_after_the_login(self, which: int, data: bytes, number: int) -> None:
        process, _ = self._session(which, 0)
        self.run(process.send(framed(bytes((number,)) + data)))
        self._end(process)

    # --- somebody else ---

    @rule(user=st.sampled_from(["alice", "dave"]))
    def somebody_else_logs_in(self, user: str) -> None:
        """What the others say holds up nobody."""
        policy = self.monitor.policy
        policy.slow, slow = False, policy.slow
        policy.failure = None
        self.last += 1
        session = self.last.to_bytes(32)
        answers = self.monitor.log_in(self.honest, user, session)
        assert len(answers) == (3 if user == "alice" else 2)
        assert not any(isinstance(answer, Denied) for answer in answers)
        assert not self.honest.over
        self._hear()
        assert any(session in served for served in self.served.values())
        policy.slow = slow

    # --- how it is said, and what must follow ---

    def _live(self) -> None:
        if self.gate.over:
            self.gate.close()
            self.monitor.taken.remove(self.gate)
            self.known.clear()
            self.gate = self.run(self.monitor.gate())

    def _cut(self, gate: Taken) -> None:
        """Let a gate die, whatever it has said."""
        self.monitor.cut(gate)
        self._hear()
        if gate is not self.gate:
            gate.close()
            self.monitor.taken.remove(gate)

    def _tell(self, messages: list[Message], descriptors: list[int] | None = None) -> None:
        self.run(self.gate.send(b"".join(map(framed, messages)), descriptors or []))
        self._hear()

    def _ask(self, number: int, kind: type[Message], *fields: Any, right: bool = False) -> None:
        """Say something of a login, and see that it is answered only if it is legal."""
        self._live()
        number = self._number(number)
        known = self.known.get(number)
        legal = known is not None and not known.asks and kind in _LEGAL[known.state]
        self.last += 1
        if kind is HandOver:
            message: Message = HandOver(number, *fields)
        else:
            message = kind(number, self.last, *fields)
            if legal:
                assert known is not None
                known.asks[self.last] = message
        shown, handed = len(self.monitor.policy.shown), len(self.monitor.handed)
        self._tell([message])
        if len(self.monitor.policy.shown) > shown:
            assert right, "a proof that is none was believed"
        if len(self.monitor.handed) > handed:
            assert legal
            assert kind is HandOver
        if not legal:
            assert self.gate.over
        elif not self.gate.over and kind is HandOver:
            assert len(self.monitor.handed) > handed
            del self.known[number]

    def _number(self, number: int) -> int:
        """Return the number of a login that there is; the last one is left as it is."""
        if number == 3 or number in self.known:
            return number
        if not self.known:
            self._begin_some()
        return list(self.known)[number % len(self.known)]

    def _begin_some(self) -> None:
        """Begin three logins, two of which have come to a user."""
        for number, user in enumerate(("", "bob", "carol")):
            self.arrive(number, "stream")
            if user:
                for message in (
                    SignExchange(number, 0, HOST_KEY.public.blob, "ssh-ed25519", HASHES[number]),
                    NameUser(number, 0, user),
                ):
                    self.known[number].asks[0] = message
                    self._tell([message])

    def _chosen(self, number: int) -> Known:
        self._live()
        return self.known.get(self._number(number), Known())

    def _hear(self) -> None:
        """Take what the processes were told, and see that each of it is a right answer."""
        for message in self.gate.hear():
            if isinstance(message, Answered):
                known = self.known[message.visit]
                assert message.ask in known.asks, "an answer to what may not be asked"
                self._learn(known, known.asks.pop(message.ask), unpacked(message.answer))
            else:
                assert isinstance(message, StartWith)
        if self.gate.over:
            self.known.clear()
        self._hear_users()

    def _learn(self, known: Known, asked: Message, answer: Answer) -> None:
        if isinstance(answer, Signature):
            assert isinstance(asked, SignExchange)
            assert len(asked.data) in _HASH_SIZES
            key = {one.public.blob: one for one in (HOST_KEY, CERTIFIED)}[asked.key]
            assert key.public.verify(answer.blob, asked.data, asked.algorithm)
            if known.state == "new":
                known.state, known.session, known.host_key = "keyed", asked.data, key
        elif isinstance(answer, UserRequirement):
            assert isinstance(asked, NameUser)
            known.state, known.user = "named", asked.user
        else:
            assert not isinstance(asked, NameUser)

    def _hear_users(self) -> None:
        for process in [one for taken in self.monitor.users.values() for one in taken]:
            served = self.served.setdefault(process, {})
            for message in process.hear():
                match message:
                    case Serve():
                        handed = unpacked(message.about)
                        assert handed.user == process.process.user  # type: ignore[attr-defined]
                        assert handed.session not in served
                        served[handed.session] = handed.user
                    case Answered():
                        asked = self.asked[process].pop(message.ask)
                        self._right(process, asked, unpacked(message.answer))
                    case _:
                        assert isinstance(message, StartWith | Retire | Drop)
            if process.over:
                del self.served[process]
                self.monitor.users[process.process.user].remove(process)  # type: ignore[attr-defined]
                self.monitor.taken.remove(process)
                process.close()

    def _right(self, process: Taken, asked: Message, answer: Any) -> None:
        if isinstance(asked, LookUp):
            if isinstance(answer, str):  # why there is none
                return
            assert isinstance(answer, Login)
            assert answer.name == process.process.user  # type: ignore[attr-defined]
            assert (answer.pam, answer.security, answer.template) == (None, None, None)
            return
        if isinstance(asked, Certify):
            assert isinstance(answer, str)  # this policy certifies nothing
            return
        if isinstance(asked, OpenLedger | OpenTrail):
            assert isinstance(answer, str)  # and has no ledgers, and there is no audit
            return
        assert isinstance(asked, Sign)
        keys = {one.public.blob: one for one in (HOST_KEY, CERTIFIED)}
        if answer is not None:
            assert keys[asked.key].public.verify(answer, asked.data, asked.algorithm)

    def _session(self, which: int, session: int) -> tuple[Taken, bytes]:
        """Choose a session process, and a session: mostly one of its own."""
        process = list(self.served)[which % len(self.served)]
        sessions = [*self.served[process], *HASHES]
        return process, sessions[session % len(sessions)]

    def _say(self, process: Taken, message: Message, legal: bool) -> None:
        if isinstance(message, Sign | LookUp | Certify | OpenLedger | OpenTrail) and legal:
            self.asked.setdefault(process, {})[message.ask] = message
        self.run(process.send(framed(message)))
        assert process.over is not legal
        self._hear()
        assert not self.asked.get(process)

    def _end(self, process: Taken) -> None:
        self.monitor.cut(process)
        process.hear()
        self._hear()

    @invariant()
    def bounds_hold(self) -> None:
        self.monitor.check()
        assert vars(self.gate.process)["_visits"].keys() == self.known.keys()
        if not self.monitor.policy.waiting:
            assert not any(known.asks for known in self.known.values()), "no answer"
