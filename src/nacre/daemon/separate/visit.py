"""One login, as the monitor sees it: what a gate may ask about it at which moment, and the answers.

The gate that has the connection may have been taken over by its client. So nothing that it says
counts as proved: the address is the socket's, signatures are verified here, over the exchange hash
that was signed here, and what has succeeded is counted here. A question that :data:`LEGAL` does not
have ends the gate.
"""

from __future__ import annotations

import asyncio
import enum
import socket
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from nacre.daemon.audit.trail import AuditLog
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
    packed,
)
from nacre.errors import (
    ConnectionLost,
    DisconnectCode,
    NacreError,
    ProtocolError,
    StateError,
)
from nacre.keys import decode_public
from nacre.limits import Limits
from nacre.protocol.asks import (
    Answer,
    Ask,
    AskKeyboardInteractive,
    AskPassword,
    AskPublicKey,
    AskUser,
    Denied,
    Granted,
    KeyTerms,
    SessionProof,
    Signature,
    UserRequirement,
)
from nacre.protocol.options import ServerOptions
from nacre.protocol.requirement import Requirement, satisfied, useful
from nacre.server.admission.proxy_header import ClientOrigin
from nacre.server.judge import Judge
from nacre.server.peer import Client, Log, address_of, domain_of
from nacre.server.questions import Questions
from nacre.server.settings import ServerSettings
from nacre.ssh2.auth import hostbased, publickey
from nacre.ssh2.auth.attempt import Attempt, Steps, check_length
from nacre.ssh2.auth.messages import HostBoundRequest
from nacre.ssh2.auth.server import options_for
from nacre.value import replace
from nacre.wire.codec import WireReader
from nacre.wire.message import Message
from nacre.wire.text import safe

HASHES = {20, 32, 48, 64}
"""The bytes that an exchange hash may have: nothing else that a host key signs is as short."""

_ASKED_MOST = 256
"""Signatures and user names of one login."""


class LoginState(enum.Enum):
    """What is known of the client."""

    NEW = enum.auto()
    """Nothing: the first exchange hash is not signed."""

    KEYED = enum.auto()
    """The session identifier: it is the first exchange hash."""

    NAMED = enum.auto()
    """The user."""

    ASKED = enum.auto()
    """A question is open, of which a gate has one at a time."""

    OVER = enum.auto()
    """The connection was handed over, or turned away."""


LEGAL: Mapping[LoginState, frozenset[type[Message]]] = {
    LoginState.NEW: frozenset({SignExchange}),
    LoginState.KEYED: frozenset({SignExchange, NameUser}),
    LoginState.NAMED: frozenset(
        {
            *(SignExchange, NameUser, OfferPassword, QueryKey),
            *(ProveKey, ProveHost, AnswerPrompts, HandOver),
        }
    ),
    LoginState.ASKED: frozenset(),
    LoginState.OVER: frozenset(),
}
"""What a gate may say about a login in each state; that it is over, it may always say."""

HostSign = Callable[[bytes, bytes, str], Coroutine[Any, Any, bytes]]
"""Makes the signature of the host key with this blob; raises NacreError."""


class _Progress:
    """How far a login has come.

    :ivar named: the name that the client has given last.
    :ivar since: when it began, in seconds since the epoch.
    :ivar asked: how many questions there were of those that are bounded.
    :ivar failures: how many attempts have failed.
    :ivar requirement: what the user must pass; ``options``: the server's, for this user.
    :ivar refusal: why the user is not served after the login, or None.
    :ivar left: whether the client is gone.
    :ivar method: what is being tried, or None.
    :ivar steps: the attempt, and the check of it that the answer resumes, or None.
    :ivar putting: whether the judge is being asked: an answer meanwhile took no thread.
    """

    def __init__(self, options: ServerOptions) -> None:
        self.state = LoginState.NEW
        self.named = ""
        self.asked = 0
        self.since = time.time()
        self.failures = 0
        self.requirement: Requirement = ()
        self.options = options
        self.refusal: str | None = None
        self.left = False
        self.method: str | None = None
        self.steps: tuple[Attempt, Steps[bool | Message]] | None = None
        self.putting = False


class Visit(Client):
    """A client that logs in at a gate.

    :ivar sock: its socket, which the session process gets.
    :ivar session: what the signed exchange hash proves; None before.
    :ivar gate: the number of its gate.
    :ivar on_leave: called when the client has left; or None.
    :ivar drop: ends the connection, with a reason, once a session process serves it; or None.
    :ivar keepalive: seconds of silence before a keepalive, and how many may go unanswered.
    """

    protocol = "2.0"
    gate = 0
    on_leave: Callable[[], None] | None = None

    def __init__(
        self,
        number: int,
        sock: socket.socket,
        settings: ServerSettings,
        sign: HostSign,
        send: Callable[[Message], None],
        hand_over: Callable[[Visit, bytes, float | None], None],
        log: Log,
        origin: ClientOrigin | None = None,
    ) -> None:
        """Prepare.

        :param number: the gate's number of the connection.
        :param origin: whom a proxy has named; None for a connection without one.
        :param sign: signs with the host keys.
        :param send: sends a message to the gate.
        :param hand_over: has the connection served whose frozen state it gets, and for how many
            seconds it has rested; None the first time.
        """
        self.id, self.sock, self.settings = number, sock, settings
        self.peer = _end(sock.getpeername) if origin is None else origin.peer
        self.local = _end(sock.getsockname) if origin is None else origin.local
        self.host, self.user, self.methods = self.peer[0], "", ()
        self.terms, self.accept_env = settings.terms, settings.accept_env
        self.keepalive = settings.keepalive, settings.keepalive_count
        self.session: SessionProof | None = None
        self.drop: Callable[[str], None] | None = None
        self._log = log
        self._sign, self._send, self._hand_over = sign, send, hand_over
        self._judge = Judge(self, Questions(self, settings.policy), settings.banner)
        self._progress = _Progress(settings.options)
        self._tasks: set[asyncio.Task[None]] = set()

    # --- what the gate asks ---

    def take(self, message: Message) -> None:
        """Act on a message of the gate.

        :raises LinkError: it may not say this now.
        """
        if type(message) not in LEGAL[self._progress.state]:
            raise LinkError(f"{type(message).__name__} in the state {self._progress.state.name}")
        _HANDLERS[type(message)](self, message)

    def _on_sign(self, message: SignExchange) -> None:
        self._count()
        if len(message.data) not in HASHES:
            raise LinkError("what is to be signed is no exchange hash")
        try:
            key = decode_public(message.key)
        except NacreError as error:
            raise LinkError("the key that is to sign can't be read") from error
        before, self._progress.state = self._progress.state, LoginState.ASKED

        async def sign() -> None:
            answer: Answer
            try:
                made = await self._sign(message.key, message.data, message.algorithm)
                answer = Signature(made)
            except NacreError as error:
                self.record("error", what="no signature with a host key", error=safe(str(error)))
                answer = Denied()
            if self._progress.state is not LoginState.ASKED:
                return  # the client was turned away meanwhile
            if before is not LoginState.NEW:
                self._progress.state = before
            elif isinstance(answer, Signature):
                self._progress.state = LoginState.KEYED
                self.session = SessionProof(message.data, key)
                self._note("kex")
            else:
                self._progress.state = LoginState.NEW
            self._reply(message.ask, answer)

        self.spawn(sign())

    def _count(self) -> None:
        self._progress.asked += 1
        if self._progress.asked > _ASKED_MOST:
            raise LinkError("too many questions about one login")

    def _on_user(self, message: NameUser) -> None:
        self._count()
        self._bound("the user name", message.user, self._limits.user_name)
        self._progress.named, self.methods = message.user, ()
        self._progress.requirement, self._progress.method = (), None
        self._put(message.ask, AskUser(user=message.user))

    def _on_password(self, message: OfferPassword) -> None:
        for password in (message.password, message.new):
            self._bound("a password", password, self._limits.password)
        new = message.new if message.changes else None
        ask = AskPassword(user=self._progress.named, password=message.password, new_password=new)
        self._try("password", message.ask, ask)

    def _on_query(self, message: QueryKey) -> None:
        attempt = self._attempt("publickey", host_bound=False)
        key = publickey.usable(attempt, message.algorithm, message.key)
        if key is None:
            self._reply(message.ask, Denied())
            return
        ask = AskPublicKey(
            user=self._progress.named, key=key, algorithm=message.algorithm, signed=False
        )
        self._check_useful("publickey")
        self._put(message.ask, ask)

    def _on_prove_key(self, message: ProveKey) -> None:
        attempt = self._attempt("publickey", host_bound=message.host_bound)
        if message.fields[:1] != b"\1":
            raise LinkError("a request without a signature is no proof")
        if message.host_bound:
            attempt.session = self._session_for(message.fields)
        self._check(message.ask, attempt, publickey.check(attempt, message.fields))

    def _session_for(self, fields: bytes) -> SessionProof:
        """Return the session, with the host key as the client knows it: perhaps a certificate.

        :raises LinkError: the request can't be read.
        """
        assert self.session is not None, "the table lets no proof through before"
        try:
            named = HostBoundRequest.decode(fields).host_key
        except ProtocolError as error:
            raise LinkError(f"a request can't be read: {error}") from error
        for key in self.settings.host_keys:
            if key.public.blob == named and key.public.plain == self.session.host_key:
                return replace(self.session, host_key=key.public)
        return self.session

    def _on_prove_host(self, message: ProveHost) -> None:
        attempt = self._attempt("hostbased", host_bound=False)
        self._check(message.ask, attempt, hostbased.check(attempt, message.fields))

    def _on_respond(self, message: AnswerPrompts) -> None:
        self._bound("the list of submethods", message.submethods, self._limits.name_list)
        reader = WireReader(message.responses)
        responses: list[str] = []
        while reader.remaining:
            if len(responses) == self._limits.auth_prompts:
                raise LinkError("there are more responses than prompts")
            responses.append(reader.text())
            self._bound("a response", responses[-1], self._limits.password)
        ask = AskKeyboardInteractive(
            user=self._progress.named,
            submethods=message.submethods,
            responses=None if message.begins else tuple(responses),
        )
        self._try("keyboard-interactive", message.ask, ask)

    def _on_hand_over(self, message: HandOver) -> None:
        if not satisfied(self._progress.requirement, self.methods):
            raise LinkError("a login is claimed that has not succeeded")
        # Where a user needs no method, the request "none" succeeds (RFC 4252 section 5.2).
        if not self.methods:
            self.methods = ("none",)
            self._note_login("none", "success")
        self._progress.state, self.user = LoginState.OVER, self._progress.named
        self._hand_over(self, message.state, None)

    def move(self, state: bytes, seconds: float) -> None:
        """Have the connection served again, which has rested for so long."""
        self._hand_over(self, state, seconds)

    @property
    def _limits(self) -> Limits:
        return self._progress.options.limits

    def _bound(self, what: str, text: str, limit: int) -> None:
        """Check what the gate's engine has checked, if the gate was not taken over.

        :raises LinkError: the text has more than ``limit`` bytes.
        """
        try:
            check_length(what, text, limit)
        except ProtocolError as error:
            raise LinkError(str(error)) from error

    # --- how it is answered ---

    def _attempt(self, method: str, *, host_bound: bool) -> Attempt:
        assert self.session is not None, "the table lets no proof through before"
        return Attempt(
            self._progress.named, method, self.session, self._progress.options, host_bound
        )

    def _check_useful(self, method: str) -> None:
        if method not in useful(self._progress.requirement, self.methods):
            raise LinkError(f"the method {method} is of no use to the user")

    def _begins(self, method: str, ask_id: int) -> bool:
        """StartWith an attempt; tell whether it is to be judged, which one too many is not.

        A client may come to another user, whose attempts are fewer, with all these made before.
        """
        self._check_useful(method)
        if self._progress.failures >= self._limits.auth_attempts:
            self._reply(ask_id, Denied("too many authentication failures"))
            return False
        self._progress.method = method
        return True

    def _try(self, method: str, ask_id: int, ask: Ask) -> None:
        if self._begins(method, ask_id):
            self._put(ask_id, ask)

    def _check(self, ask_id: int, attempt: Attempt, steps: Steps[bool | Message]) -> None:
        """Run the check of a request, up to its question to the policy."""
        if not self._begins(attempt.method, ask_id):
            return
        try:
            step = next(steps)
        except StopIteration:
            self._conclude(ask_id, Denied(attempt.reason))
        except ProtocolError as error:
            raise LinkError(f"a request can't be read: {error}") from error
        else:
            assert isinstance(step, Ask)
            self._progress.steps = attempt, steps
            self._put(ask_id, step)

    def _put(self, ask_id: int, ask: Ask) -> None:
        self._progress.state = LoginState.ASKED
        ask.ask_id = ask_id
        self._progress.putting = True
        self._judge.take(ask)
        self._progress.putting = False

    def answer(self, ask_id: int, answer: Answer) -> None:
        """Send the judge's answer to the gate."""
        if self._progress.state is not LoginState.ASKED:
            return  # the client has left
        self._progress.state = LoginState.NAMED
        if isinstance(answer, UserRequirement):
            self._progress.requirement = answer.requirement
            self._progress.options = options_for(self.settings.options, answer)
        detail = ""
        if self._progress.steps is not None:
            (attempt, steps), self._progress.steps = self._progress.steps, None
            try:
                steps.send(answer)
            except StopIteration as end:
                if end.value is not True:
                    answer = Denied(attempt.reason)
            detail = attempt.detail
        self._conclude(ask_id, answer, detail)

    def _conclude(self, ask_id: int, answer: Answer, detail: str = "") -> None:
        method, self._progress.method = self._progress.method, None
        if method is not None:
            if isinstance(answer, Granted | KeyTerms):
                self.methods = (*self.methods, method)
                whole = satisfied(self._progress.requirement, self.methods)
                self._note_login(method, "success" if whole else "partial", detail)
            elif isinstance(answer, Denied):
                self._progress.failures += 1
                self._note_login(method, "failure", detail)
        self._reply(ask_id, answer)

    def _reply(self, ask_id: int, answer: Answer) -> None:
        self._send(Answered(self.id, ask_id, self._progress.putting, packed(answer)))

    @property
    def audit(self) -> AuditLog | None:
        """Where the events of this connection are kept, if they are."""
        return self._log if isinstance(self._log, AuditLog) else None

    async def open_trail(self) -> socket.socket:
        """Return a socket on which a process of files has its operations kept.

        :raises StateError: there is no audit, or no place for one more.
        """
        if self.audit is None:
            raise StateError("this server has no audit")
        return await self.audit.trail(self).open()

    def _note_login(self, method: str, outcome: str, detail: str = "") -> None:
        """Keep an attempt to log in; the gate logs it."""
        self._note(
            "auth",
            name=safe(self._progress.named),
            method=method,
            detail=detail,
            outcome=outcome,
            attempt=self._progress.failures,
        )

    def _note(self, event: str, **fields: object) -> None:
        """Keep what the gate logs, if it is an event of the audit."""
        if self.audit is not None:
            host, port = self.peer
            about = {"event": event, "connection": self.id, "peer": f"{host}:{port}"}
            self.audit.note({**about, **fields})

    # --- what a client is to its judge ---

    @property
    def domain(self) -> str | None:
        """The routing domain of the connection."""
        return domain_of(self.sock)

    def set_keepalive(self, interval: float | None, count: int) -> None:
        """Note what the session process is to use."""
        self.keepalive = interval, count

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run ``work`` in a task that is cancelled when the client leaves."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if self._progress.left:
            asyncio.get_running_loop().call_soon(task.cancel)
        return task

    def fail(self, error: NacreError, code: DisconnectCode, description: str) -> None:
        """Have whoever has the connection end it."""
        if self.drop is not None:
            self.drop(description)
        elif self.user:
            self._progress.refusal = description  # no process serves it yet
        else:
            self.refuse(self._progress.named)

    def end(self, reason: str) -> None:
        """Have whoever has the connection end it, and tell the client why."""
        if self.drop is None and not self.user:
            # What the gate says before it hears of it is legal, also that the login is over.
            self._progress.refusal = reason
            self._send(DropVisit(self.id, reason))
        else:
            self.fail(ConnectionLost(reason), DisconnectCode.BY_APPLICATION, reason)

    @property
    def since(self) -> float:
        """When it began, in seconds since the epoch."""
        return self._progress.since

    @property
    def named(self) -> str:
        """The name that the client has given last."""
        return self._progress.named

    @property
    def refusal(self) -> str | None:
        """Why the connection ends as soon as there is a process that tells the client; or None."""
        return self._progress.refusal

    def refuse(self, user: str) -> None:
        """Have the gate turn the client away (RefuseConnection)."""
        self._progress.state = LoginState.OVER
        self._send(TurnedAway(self.id))

    def leave(self) -> None:
        """End everything about the client: it is gone. A process of PAM ends with it."""
        for task in self._tasks:
            task.cancel()
        self._progress.left, self._progress.state = True, LoginState.OVER
        self.sock.close()
        if self.on_leave is not None:
            self.on_leave()


def _end(name: Callable[[], object]) -> tuple[str, int]:
    """Return the host and port of one end of a socket, whose client may be gone."""
    try:
        return address_of(name())
    except OSError:
        return "", 0


_HANDLERS: Mapping[type[Message], Callable[[Visit, Any], None]] = {
    SignExchange: Visit._on_sign,
    NameUser: Visit._on_user,
    OfferPassword: Visit._on_password,
    QueryKey: Visit._on_query,
    ProveKey: Visit._on_prove_key,
    ProveHost: Visit._on_prove_host,
    AnswerPrompts: Visit._on_respond,
    HandOver: Visit._on_hand_over,
}
