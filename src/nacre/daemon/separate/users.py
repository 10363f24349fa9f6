"""The monitor's side of session processes: which user has which, and what they ask.

A connection that has logged in goes to the process of its user, which is started if there is none.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
from collections.abc import Awaitable, Callable, Hashable
from contextlib import suppress
from functools import partial

from nacre.aio.maybe import settled
from nacre.daemon.accounts.accounts import Login
from nacre.daemon.accounts.certifying import LONGEST_KEY
from nacre.daemon.audit.frames import AuditedEvent, AuditState
from nacre.daemon.control.values import Details
from nacre.daemon.processes.child import Passed
from nacre.daemon.processes.login_records import TerminalLogin
from nacre.daemon.separate.kept import ToldEvents
from nacre.daemon.separate.link import LinkError
from nacre.daemon.separate.messages import (
    FROM_SESSIONS,
    AllDescribed,
    Answered,
    AtTerminal,
    Certify,
    ConnectionOver,
    Describe,
    Described,
    DescriptorGiven,
    Drop,
    LookUp,
    OpenLedger,
    OpenTrail,
    RecordSession,
    Rests,
    Serve,
    ShowSession,
    Sign,
    packed,
)
from nacre.daemon.separate.monitor import Configured, Report, Separated
from nacre.daemon.separate.records import PATIENCE, Description, details_in
from nacre.daemon.separate.resting import MOST_STATE, RestingVisits
from nacre.daemon.separate.session import HandedOver, Rights, UserTerms, portable, request
from nacre.daemon.separate.visit import Visit
from nacre.daemon.watching.frames import WatchOrder
from nacre.errors import (
    AccountError,
    ConnectionLost,
    DisconnectCode,
    NacreError,
    StateError,
)
from nacre.keys import PublicKey, decode_public
from nacre.server.admission.proxy_header import ClientOrigin
from nacre.sftp.server.receipts import UNKEPT
from nacre.value import replace
from nacre.wire.message import Message
from nacre.wire.text import safe

IDLE = 10.0
"""Seconds for which a session process waits for another connection of its user."""

REST = 60.0
"""Seconds of silence after which a connection without channels rests. A client that sends
keepalives more often never does: to go on costs as much as the start of a process."""

_MOST_ASKED = 4096
"""Questions of a session process that may be open."""

_NOT_SERVED = "the user can't be served"

_TERMINAL = re.compile(r"/dev/pts/[0-9]+")


_Opening = RecordSession | OpenLedger | OpenTrail
"""The questions that a descriptor answers."""


class UserProcess(Separated):
    """The session process of a user.

    :param resting: gets the connections on which nothing happens.
    """

    KIND = "session"
    MESSAGES = FROM_SESSIONS

    def __init__(self, user: str, report: Report, resting: RestingVisits) -> None:
        super().__init__(report)
        self.user = user
        self._resting = resting
        self._served: dict[bytes, tuple[Visit, Configured]] = {}
        self._gates: dict[bytes, int] = {}
        self._dropped: dict[bytes, str] = {}
        self._terminals: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._idle: asyncio.TimerHandle | None = None
        self._description: Description | None = None
        self._last = 0
        self._told = ToldEvents(self.send)
        self._packed: tuple[Login | None, bytes] = None, packed(None)

    @property
    def about(self) -> dict[str, object]:
        return {"process": self.pid, "user": safe(self.user)}

    async def describe(self) -> dict[Visit, Details | None]:
        """Return what the process says of its connections; None where it says nothing in time.

        One question is open at a time: a process that is stopped must not be asked ever more.
        """
        if not self._served:
            return {}
        if self._description is None or self._description.done.done():
            self._description = Description(asyncio.get_running_loop().create_future())
            self._last += 1
            self._description.ask = self._last
            self.send(Describe(self._last))
        description = self._description
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                await asyncio.shield(description.done)
        # What a process says before it has said everything counts as well.
        found = description.found
        return {visit: found.get(one) for one, (visit, _) in list(self._served.items())}

    def can_serve(self, session: bytes) -> bool:
        """Tell whether a new connection may have this session identifier, which its gate chose."""
        return not self.retired and session not in self._served

    def keeps(self, visit: Visit) -> bool:
        """Tell whether it has a connection that it was to end."""
        proof = visit.session
        return proof is not None and (
            proof.session_id in self._dropped
            and self._served.get(proof.session_id, (None,))[0] is visit
        )

    def show(self, visit: Visit, order: WatchOrder, sock: socket.socket) -> bool:
        """Have a session of a connection shown over a socket; tell whether the process has it."""
        proof = visit.session
        if proof is None or self._served.get(proof.session_id, (None,))[0] is not visit:
            return False
        self.send(ShowSession(proof.session_id, packed(order)), [sock.fileno()])
        return True

    def packed(self, login: Login | None) -> bytes:
        """Return a login for the process: the same bytes as before if it is the same."""
        told = None if login is None else portable(login)
        if told != self._packed[0]:
            self._packed = told, packed(told)
        return self._packed[1]

    def serve(self, visit: Visit, configured: Configured, handed: HandedOver) -> None:
        """Have a connection served."""
        assert visit.session is not None
        self._served[visit.session.session_id] = visit, configured
        self._gates[visit.session.session_id] = handed.gate
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        self.send(Serve(packed(handed)), [visit.sock.fileno()])
        visit.sock.close()
        visit.drop = partial(self._drop, visit.session.session_id)

    def _drop(self, session: bytes, reason: str) -> None:
        self._dropped[session] = reason
        self.send(Drop(session, reason))

    def take(self, message: Message) -> None:
        if isinstance(message, ConnectionOver):
            self._end(message.session)
            return
        if isinstance(message, Rests):
            self._let_rest(message)
            return
        if isinstance(message, Described | AllDescribed):
            self._take_description(message)
            return
        assert isinstance(message, Sign | LookUp | AtTerminal | Certify | AuditedEvent | _Opening)
        found = self._served.get(message.session)
        if found is None or len(self._tasks) >= _MOST_ASKED:
            raise LinkError("a question about no connection, or one too many")
        visit, configured = found
        if isinstance(message, AuditedEvent):
            self._told.take(message, visit)
            return
        if isinstance(message, LookUp):
            work = self._look_up(message, visit, configured)
        elif isinstance(message, AtTerminal):
            work = self._note(message, visit, configured)
        elif isinstance(message, RecordSession):
            recorder = partial(configured.record, visit, self._gates[message.session])
            work = self._open(message, recorder, visit)
        elif isinstance(message, OpenLedger):
            ledger = partial(configured.policy.ledger, visit.user, visit, message.group or None)
            work = self._open(message, ledger, visit)
        elif isinstance(message, OpenTrail):
            work = self._open(message, visit.open_trail, visit)
        elif isinstance(message, Certify):
            work = self._certify(message, visit, configured, _key_of(message))
        elif configured.may_sign(message.session, message.key, message.data):
            work = self._sign(message, configured)
        else:
            raise LinkError("what is to be signed is no exchange hash")
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _look_up(self, message: LookUp, visit: Visit, configured: Configured) -> None:
        answer: Login | str
        try:
            answer = portable(await configured.policy.login(visit.user, visit))
        except AccountError as error:
            answer = str(error)
        except Exception as error:  # a question without an answer would hang the session
            visit.record_error("the policy failed", error)
            answer = "the login can't be looked up"
        self.send(Answered(0, message.ask, False, packed(answer)))

    async def _note(self, message: AtTerminal, visit: Visit, configured: Configured) -> None:
        policy = configured.policy
        with suppress(AccountError, OSError, TimeoutError):
            login = await policy.login(visit.user, visit)
            if not login.virtual:
                await policy.threads.run(visit.user, partial(self._record, message, login, visit))

    def _record(self, message: AtTerminal, login: Login, visit: Visit) -> None:
        """Record a login at a terminal, if the terminal is the user's. Blocks."""
        terminal, uid = message.terminal, login.account.uid
        if message.begins and not (_TERMINAL.fullmatch(terminal) and _belongs_to(uid, terminal)):
            return
        pid = 0 if login.pam is None else login.pam.pid
        record = TerminalLogin(login.name, uid, pid, visit.host, visit.peer[0])
        if message.begins:
            self._terminals.add(terminal)
            record.begin(terminal)
        elif terminal in self._terminals:
            self._terminals.discard(terminal)
            record.end(terminal)

    async def _open(
        self,
        message: RecordSession | OpenLedger | OpenTrail,
        opens: Callable[[], Awaitable[Passed]],
        visit: Visit,
    ) -> None:
        """Answer with a descriptor of what is opened, or with the reason why it can't be."""
        try:
            opened = await opens()
        except (AccountError, StateError, OSError) as error:
            answer = str(error)
        except Exception as error:  # a question without an answer would hang the session
            visit.record_error("what a session needs can't be opened", error)
            answer = "the server failed, and its log has more"
        else:
            with opened:
                self.send(DescriptorGiven(message.ask), [opened.fileno()])
            return
        self.send(Answered(0, message.ask, False, packed(answer)))

    async def _sign(self, message: Sign, configured: Configured) -> None:
        made: bytes | None = None
        try:
            made = await configured.sign(message.key, message.data, message.algorithm)
        except NacreError as error:
            what = "no signature with a host key"
            self.report({"event": "error", "what": what, "error": safe(str(error)), **self.about})
        self.send(Answered(0, message.ask, False, packed(made)))

    def _take_description(self, message: Described | AllDescribed) -> None:
        description = self._description
        if description is None or message.ask != description.ask or description.done.done():
            raise LinkError("an answer that nobody has asked for")
        if isinstance(message, AllDescribed):
            description.done.set_result(None)
        elif message.session not in self._served:
            raise LinkError("a description of no connection")
        else:
            description.found[message.session] = details_in(message)

    async def _certify(
        self, message: Certify, visit: Visit, configured: Configured, key: PublicKey | None
    ) -> None:
        answer: bytes | str
        try:
            answer = (await configured.policy.certify(visit.user, visit, key)).blob
        except (NacreError, TimeoutError) as error:
            answer = str(error)
        except Exception as error:  # a question without an answer would hang the session
            visit.record_error("the policy failed", error)
            answer = "the server failed, and its log has more"
        self.send(Answered(0, message.ask, False, packed(answer)))

    def _let_rest(self, message: Rests) -> None:
        sock = self.taken_socket()
        session = message.session
        if session not in self._served or len(message.state) > MOST_STATE:
            sock.close()
            raise LinkError("no connection rests like that")
        visit, _ = self._served.pop(session)
        self._gates.pop(session, None)
        self._resting.add(visit, sock, message.state)
        if (reason := self._dropped.pop(session, None)) is not None and visit.drop is not None:
            visit.drop(reason)  # the process had it no more
        self.rest()

    def _end(self, session: bytes) -> None:
        self._dropped.pop(session, None)
        self._gates.pop(session, None)
        if (found := self._served.pop(session, None)) is not None:
            found[0].leave()
        self.rest()

    def rest(self) -> None:
        """Let the process end after a while if it has no connection by then."""
        if not self._served and self._idle is None:
            self._idle = asyncio.get_running_loop().call_later(IDLE, self.retire, 0)

    def lost(self) -> None:
        self.retired = True
        for session in list(self._served):
            self._served.pop(session)[0].leave()
        if self._idle is not None:
            self._idle.cancel()
        for task in self._tasks:
            task.cancel()
        if self._description is not None and not self._description.done.done():
            self._description.done.set_result(None)


def _key_of(message: Certify) -> PublicKey | None:
    """Return the key that is to be certified.

    :raises LinkError: there is something else.
    """
    if not message.key:
        return None
    if len(message.key) > LONGEST_KEY:
        raise LinkError("a key is to be certified that is too long")
    try:
        return decode_public(message.key)
    except NacreError as error:
        raise LinkError("a key is to be certified that can't be read") from error


async def _refuse_unless_kept(visit: Visit) -> None:
    """Refuse a login whose event can't be kept."""
    if visit.audit is not None and await visit.audit.last.settled():
        visit.fail(ConnectionLost(UNKEPT), DisconnectCode.BY_APPLICATION, UNKEPT)


def _belongs_to(uid: int, terminal: str) -> bool:
    """Tell whether a terminal is an account's; one whose program has ended already is nobody's."""
    try:
        return os.stat(terminal).st_uid == uid
    except FileNotFoundError:
        return True


def _terms(visit: Visit, configured: Configured) -> bytes:
    """Return what the process is told that holds for all connections like this one."""
    config = configured.policy.candidate(visit.user, visit).config
    if config is not configured.policy.rules.base:
        return _made_terms(visit, configured)
    if configured.usual_terms is None:
        configured.usual_terms = _made_terms(visit, configured)
    return configured.usual_terms


def _made_terms(visit: Visit, configured: Configured) -> bytes:
    candidate = configured.policy.candidate(visit.user, visit)
    values = configured.values()
    values["terms"] = replace(visit.terms, resolve=None, sign_host=None)
    values["accept_env"] = visit.accept_env
    values["keepalive"], values["keepalive_count"] = visit.keepalive
    terms = UserTerms(
        config=candidate.config,
        changed=candidate.changed,
        settings=values,
        host_keys=configured.blobs,
        log_level=configured.log_level,
        end_processes=configured.end_processes,
        rest=REST,
        records=configured.recorder is not None,
        audit=configured.audit,
        watched=configured.watched,
    )
    return packed(terms)


class UserProcesses:
    """The session processes, one for each user.

    :param nobody: the rights of a process for somebody who is refused everything.
    """

    def __init__(self, nobody: Rights | None, report: Report) -> None:
        self._nobody = nobody
        self._report = report
        self._processes: dict[Hashable, asyncio.Task[UserProcess]] = {}
        self._resting = RestingVisits()
        self._visits: set[Visit] = set()
        self._nobody_left = asyncio.Event()
        self._latest: dict[Hashable, UserProcess] = {}
        self._running: set[UserProcess] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def hand_over(
        self,
        visit: Visit,
        configured: Configured,
        gate: int,
        state: bytes,
        rested: float | None,
    ) -> None:
        """Give a connection that has logged in at a gate to the process of its user.

        :param rested: for how many seconds it has rested; None after the login.
        """
        self._visits.add(visit)
        visit.on_leave = partial(self._left, visit)
        work = self._hand_over(visit, configured, gate, state, rested)
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _left(self, visit: Visit) -> None:
        self._visits.discard(visit)
        if not self._visits:
            self._nobody_left.set()
        visit.on_leave = None

    async def _hand_over(
        self,
        visit: Visit,
        configured: Configured,
        gate: int,
        state: bytes,
        rested: float | None,
    ) -> None:
        policy = configured.policy
        try:
            if rested is None:
                await settled(policy.authenticated(visit.user, visit.methods, visit))
                await _refuse_unless_kept(visit)
            login: Login | None = None
            if visit.refusal is None:
                with suppress(AccountError):  # which each request is refused with
                    login = await policy.login(visit.user, visit)
            process = await self._process(visit.user, login, configured)
            assert visit.session is not None
            if not process.can_serve(visit.session.session_id):
                raise ConnectionLost("its process has ended, or has a session of this identifier")
        except (NacreError, OSError) as error:
            visit.record("error", what=_NOT_SERVED, error=safe(str(error)))
            visit.leave()
            return
        except Exception as error:  # a policy that raises has refused
            visit.record_error(_NOT_SERVED, error)
            visit.leave()
            return
        process.serve(
            visit,
            configured,
            HandedOver(
                state=state,
                rested=rested or 0.0,
                session=visit.session.session_id,
                user=visit.user,
                methods=visit.methods,
                number=visit.id,
                gate=gate,
                host=visit.host,
                origin=ClientOrigin(visit.peer, visit.local),
                options=policy.candidate(visit.user, visit).options,
                terms=_terms(visit, configured),
                login=process.packed(login),
            ),
        )
        if visit.refusal is not None:
            visit.fail(ConnectionLost(visit.refusal), DisconnectCode.BY_APPLICATION, visit.refusal)

    def _rights(self, login: Login | None) -> Rights | None:
        """Return the rights of the process for a login; None for those of this process."""
        if login is None:
            return self._nobody
        own = login.account.credentials
        # Another root directory is entered by root, for each session.
        if own is None or login.root is not None:
            return None
        return own.uid, own.gid, own.groups, own.umask

    async def _process(self, user: str, login: Login | None, configured: Configured) -> UserProcess:
        rights = self._rights(login)
        key = user, rights
        started = self._processes.get(key)
        if started is not None:
            process = await asyncio.shield(started)
            if not process.retired:
                return process
        started = asyncio.get_running_loop().create_task(
            self._start(user, rights, login, configured)
        )
        self._processes[key] = started
        try:
            return await asyncio.shield(started)
        except OSError:
            self._processes.pop(key, None)
            raise

    async def _start(
        self, user: str, rights: Rights | None, login: Login | None, configured: Configured
    ) -> UserProcess:
        process = self._latest[user, rights] = UserProcess(user, self._report, self._resting)
        self._running.add(process)
        task = asyncio.get_running_loop().create_task(self._watch(process, (user, rights)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # What modules of PAM have changed of the process that holds the session is inherited.
        forks = None if login is None else login.pam
        await process.start(None, given=request(rights, login), forks=forks)
        if configured.keeper is not None and configured.keeper.problem:
            process.send(AuditState(UNKEPT))
        process.rest()
        return process

    async def _watch(self, process: UserProcess, key: Hashable) -> None:
        await process.gone.wait()
        self._running.discard(process)
        if self._latest.get(key) is process:
            del self._latest[key]
            self._processes.pop(key, None)

    @property
    def visits(self) -> tuple[Visit, ...]:
        """The clients that have logged in and not left."""
        return tuple(self._visits)

    @property
    def running(self) -> tuple[UserProcess, ...]:
        """The processes that run."""
        return tuple(self._running)

    def rests(self, visit: Visit) -> bool:
        """Tell whether a connection rests."""
        return self._resting.has(visit)

    @property
    def pids(self) -> list[int]:
        """The numbers of the processes."""
        return [process.pid for process in self._running if process.pid]

    def tell_state(self, problem: str) -> None:
        """Tell all processes whether events can be kept."""
        for process in self._running:
            process.send(AuditState(UNKEPT if problem else ""))

    def retire(self, seconds: int) -> None:
        """Let all processes end; their connections have so many seconds for it.

        Connections at rest end at once.
        """
        self._resting.close()
        for process in self._running:
            process.retire(seconds)

    async def wait_left(self) -> None:
        """Return when no connection is left."""
        while self._visits:
            self._nobody_left.clear()
            await self._nobody_left.wait()

    async def wait_closed(self) -> None:
        """Return when all processes have ended."""
        while self._running:
            await asyncio.wait([asyncio.ensure_future(one.gone.wait()) for one in self._running])

    def kill(self) -> None:
        """End all processes at once."""
        for process in self._running:
            process.kill()
