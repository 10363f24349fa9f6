"""A session process: serves the connections of one user after the login, with the user's rights.

What it runs, opens and connects to is the user's: nothing of it needs more rights. The monitor
signs the key exchanges to come, and tells what the user's sessions may do.
"""

from __future__ import annotations

import asyncio
import os
import resource
import socket
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from dataclasses import replace as changed
from functools import lru_cache, partial
from io import FileIO
from typing import Any, TypeAlias

from nacre.config.server.config import ServerConfig
from nacre.config.server.rules import ServerRules
from nacre.config.values import LogLevel
from nacre.crypto.secrecy import hide_memory
from nacre.daemon.accounts.accounts import Login, Recent
from nacre.daemon.accounts.admission import Admission
from nacre.daemon.accounts.candidate import Candidate
from nacre.daemon.accounts.policy import AccountPolicy
from nacre.daemon.audit.events import OF_SESSIONS, AuditMode
from nacre.daemon.audit.frames import AuditState, Recorded
from nacre.daemon.audit.trail import AuditLog
from nacre.daemon.control.roster import begin_watch, details_of
from nacre.daemon.memory import keep_secrets
from nacre.daemon.processes.kinds.launcher import take_rights
from nacre.daemon.processes.limits import allow_descriptors
from nacre.daemon.processes.template import LIMITS, TEMPLATE
from nacre.daemon.processes.template_process import serve_copy
from nacre.daemon.recording.recordings import Recordings
from nacre.daemon.separate import preload
from nacre.daemon.separate.held import held
from nacre.daemon.separate.kept import LinkKeeper, SessionKeeper
from nacre.daemon.separate.link import Link
from nacre.daemon.separate.messages import (
    TO_SESSIONS,
    AllDescribed,
    Answered,
    AtTerminal,
    Certify,
    ConnectionOver,
    Describe,
    DescriptorGiven,
    Drop,
    LookUp,
    OpenLedger,
    OpenTrail,
    Reads,
    Ready,
    RecordSession,
    Rests,
    Retire,
    Serve,
    ShowSession,
    Sign,
    StartWith,
    unpacked,
)
from nacre.daemon.separate.records import LinkLog, described
from nacre.daemon.sessions import Sessions
from nacre.daemon.watching.shown import Watching
from nacre.errors import (
    AccountError,
    ConnectionLost,
    DisconnectCode,
    MalformedMessage,
    StateError,
    UnusableKey,
)
from nacre.keys import PublicKey, decode_public
from nacre.keys.certificate import Certificate
from nacre.keys.key_options import KeyOptions
from nacre.protocol.frozen import FrozenServer
from nacre.server.admission.proxy_header import ClientOrigin
from nacre.server.admission.startups import Startups
from nacre.server.admission.user_threads import UserThreads
from nacre.server.handover import rested
from nacre.server.listen import Server
from nacre.server.peer import Client, ConnectionTerms, Log
from nacre.server.serving import Serving
from nacre.server.settings import ServerSettings
from nacre.ssh2.thawed import ThawedServer
from nacre.value import replace, value
from nacre.wire.message import Message

Rights: TypeAlias = tuple[int, int, tuple[int, ...], int]
"""The numbers of an account, its group, and all its groups; and its umask."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserTerms:
    """What holds for the connections of a user, most of which share one value.

    :ivar config: the configuration for the user; ``changed`` whether it is a user's own.
    :ivar settings: the arguments of :class:`~nacre.server.settings.ServerSettings` that are values.
    :ivar host_keys: the blobs of the host keys and of their certificates.
    :ivar log_level: the level of the log.
    :ivar end_processes: whether processes that outlive their sessions are ended.
    :ivar rest: seconds of silence after which a connection rests.
    :ivar records: whether the server records sessions.
    :ivar audit: whether events are kept.
    :ivar watched: whether sessions may be watched.
    """

    config: ServerConfig
    changed: bool
    settings: dict[str, Any]
    host_keys: tuple[bytes, ...]
    log_level: LogLevel
    end_processes: bool
    rest: float
    records: bool = False
    audit: AuditMode = "off"
    watched: bool = False


_MOST_TERMS = 4
"""Terms that are kept for further connections: after a reload those are others."""


@lru_cache(_MOST_TERMS)
def _terms(data: bytes) -> UserTerms:
    """Return what ``data`` says: one value for all connections for which it is the same."""
    found: UserTerms = unpacked(data)
    return found


def portable(login: Login) -> Login:
    """Return what another process gets of a login."""
    if (login.security, login.pam, login.template) == (None, None, None):
        return login
    return changed(login, security=None, pam=None, template=None)


@lru_cache(_MOST_TERMS)
def _login(data: bytes) -> Login | None:
    """Return what ``data`` says: one value for all connections for which it is the same."""
    found: Login | None = unpacked(data)
    return found


@value(kw_only=True, repr=False)
class HandedOver:
    """A connection after its login.

    :ivar state: the frozen end of the connection, as the gate has sent it, or a session process
        before; ``rested`` the seconds since then.
    :ivar session: the session identifier, ``user`` the user and ``methods`` the methods that have
        succeeded, as the monitor knows them.
    :ivar number: its number in the log, at the ``gate`` where it began.
    :ivar host: the client's name, or address.
    :ivar origin: the addresses of both ends, as the monitor knows them: a proxy may have the
        socket's other end.
    :ivar options: what the keys of the login permit.
    :ivar terms: a :class:`UserTerms`, packed.
    :ivar login: what the user's sessions run as, as looked up just now: a :class:`Login` or None,
        packed.
    """

    state: bytes
    rested: float
    session: bytes
    user: str
    methods: tuple[str, ...]
    number: int
    gate: int
    host: str
    origin: ClientOrigin
    options: KeyOptions
    terms: bytes
    login: bytes


_MONITOR_READS = 0.01
"""Seconds that the monitor has to read before more is told that it has asked for."""


class _Descriptor(int):
    """A descriptor that came with an answer, which whoever gets it closes."""


class SessionProcess:
    """The connections of one user.

    :param sock: the socket of the link to the monitor.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._link = Link(sock, self._on_message, self._on_lost)
        self._loop = asyncio.get_running_loop()
        self._begun: asyncio.Future[StartWith] = self._loop.create_future()
        self._over = asyncio.Event()
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._last = 0
        self._servers: set[Server] = set()
        self._connections: dict[bytes, Serving] = {}
        self._dropped: dict[bytes, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        # Nobody logs in here.
        self._startups = Startups()
        self._watching = Watching()
        self._keeper = LinkKeeper(self._link)
        # All connections are those of one user, whose share of threads they have.
        self._threads = UserThreads()

    async def run(self) -> None:
        """Serve until the monitor retires this process, or is gone."""
        self._link.send(Reads().encode())
        await self._begun
        LinkLog(self._link, LogLevel.ERROR).attend(self._loop)
        self._link.send(Ready().encode())
        await self._over.wait()
        while self._tasks:
            await asyncio.wait(self._tasks)
        self._threads.close()
        self._link.close()

    # --- the monitor's messages ---

    def _on_message(self, data: bytes) -> None:
        message = TO_SESSIONS[data[0]].decode(data)
        if isinstance(message, StartWith):
            self._begun.set_result(message)
        elif isinstance(message, Answered):
            if (asked := self._asked.pop(message.ask, None)) is not None and not asked.done():
                asked.set_result(unpacked(message.answer))
        elif isinstance(message, DescriptorGiven):
            self._take_opened(message)
        elif isinstance(message, Drop):
            self._drop(message)
        elif isinstance(message, Recorded | AuditState):
            self._keeper.take(message)
        elif isinstance(message, Retire):
            self._retire(float(message.seconds))
        elif isinstance(message, ShowSession):
            sock = socket.socket(fileno=self._link.descriptor())
            connection = self._connections.get(message.session)
            begin_watch(connection, self._watching, unpacked(message.order), sock)
        elif isinstance(message, Describe):
            self._spawn(self._describe(message.ask))
        elif isinstance(message, Serve):
            sock = socket.socket(fileno=self._link.descriptor())
            self._spawn(self._serve(unpacked(message.about), sock))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _describe(self, ask: int) -> None:
        """Tell what happens on all connections, no faster than the monitor reads."""
        for session in list(self._connections):
            if (connection := self._connections.get(session)) is not None:
                self._link.send(described(ask, session, details_of(connection)).encode())
            while self._link.unsent:  # noqa: ASYNC110 - a link has no event for it
                await asyncio.sleep(_MONITOR_READS)
        self._link.send(AllDescribed(ask).encode())

    def _take_opened(self, message: DescriptorGiven) -> None:
        opened = self._link.descriptor()
        asked = self._asked.pop(message.ask, None)
        if asked is None or asked.done():
            os.close(opened)
        else:
            asked.set_result(_Descriptor(opened))

    def _drop(self, message: Drop) -> None:
        session, why = message.session, message.description
        connection = self._connections.get(session)
        if connection is None:
            self._dropped[session] = why  # until it is there
        else:
            connection.fail(ConnectionLost(why), DisconnectCode.BY_APPLICATION, why)

    def _on_lost(self, reason: str | None) -> None:
        self._keeper.end()
        self._retire(0.0)

    def _retire(self, seconds: float) -> None:
        if not self._begun.done():
            self._begun.cancel()
        for server in self._servers:
            server.close(graceful=seconds)
        self._over.set()

    # --- one connection ---

    async def _serve(self, handed: HandedOver, sock: socket.socket) -> None:
        terms = _terms(handed.terms)
        log = LinkLog(self._link, terms.log_level, gate=handed.gate)
        given_up = None
        try:
            given_up = await self._serve_thawed(handed, terms, _thawed(handed), sock, log)
        except MalformedMessage as error:
            sock.close()
            log({"event": "error", "what": "a connection ends", "error": str(error)})
        finally:
            if given_up is None:
                self._link.send(ConnectionOver(handed.session).encode())
        if given_up is not None:
            frozen, moved = given_up
            with moved:
                message = Rests(handed.session, frozen.encode())
                self._link.send(message.encode(), [moved.fileno()])

    async def _serve_thawed(
        self,
        handed: HandedOver,
        told: UserTerms,
        frozen: FrozenServer,
        sock: socket.socket,
        log: LinkLog,
    ) -> tuple[FrozenServer, socket.socket] | None:
        """Serve a connection; return what is left of it at rest, or None at its end."""
        session = handed.session
        policy = _SessionPolicy(
            handed,
            told,
            lambda _user: self._look_up(session),
            partial(self._certify, session),
            partial(self._ledger, session),
            self._threads,
        )
        if told.records:
            policy.recordings = Recordings(lambda _client: self._socket(RecordSession, session))
        sessions = Sessions(
            policy,
            end_processes=told.end_processes,
            sandboxed=True,
            record=lambda _login, _connection: _Recorded(self._link, self._loop, session),
            watching=self._watching if told.watched else None,
        )
        terms: ConnectionTerms = told.settings["terms"]
        settings = ServerSettings(
            **{**told.settings, "terms": replace(terms, sign_host=partial(self._sign, session))},
            host_keys=[held(blob) for blob in told.host_keys],
            policy=policy,
            handler=sessions.handle,
            on_session=policy.look_ahead,
            startups=self._startups,
            log=self._audited(log, session, told.audit),
        )
        server = Server(settings, checked=True)  # by the monitor and the gates
        self._servers.add(server)
        try:
            connection = await server.attach(sock, frozen, handed.number, handed.origin)
            connection.host = handed.host
            # The silence counts, after which a keepalive may be due.
            connection.driver.received_at -= handed.rested
            connection.set_keepalive(settings.keepalive, settings.keepalive_count)
            self._connections[session] = connection
            if (why := self._dropped.pop(session, None)) is not None:
                self._drop(Drop(session, why))
            thawed = connection.engine
            assert isinstance(thawed, ThawedServer)
            given_up = await rested(connection, thawed.freeze, told.rest)
            await server.close()
            return given_up
        finally:
            self._servers.discard(server)
            self._connections.pop(session, None)
            await sessions.end()

    def _audited(self, log: LinkLog, session: bytes, mode: AuditMode) -> Log:
        """Return the log of a connection, whose events are kept if they are to be."""
        if mode == "off":
            return log
        keeper = SessionKeeper(self._keeper, session, mode, partial(self._socket, OpenTrail))
        return AuditLog(log, keeper, only=OF_SESSIONS)

    def _ask(self, make: Any) -> asyncio.Future[Any]:
        self._last += 1
        asked = self._asked[self._last] = self._loop.create_future()
        message: Message = make(self._last)
        self._link.send(message.encode())
        return asked

    async def _opened(self, make: Any) -> Any:
        """Return a descriptor that the monitor has opened, or its reason."""
        asked = self._ask(make)
        try:
            return await asked
        except asyncio.CancelledError:
            if not asked.cancelled() and isinstance(found := asked.result(), _Descriptor):
                os.close(found)  # the answer came in the same turn of the loop
            raise

    async def _sign(self, session: bytes, key: PublicKey, data: bytes, algorithm: str) -> bytes:
        made = await self._ask(lambda ask: Sign(ask, session, key.blob, algorithm, data))
        if not isinstance(made, bytes):
            raise UnusableKey("the monitor has made no signature")
        return made

    async def _socket(
        self, question: type[RecordSession | OpenTrail], session: bytes
    ) -> socket.socket:
        """Return a socket that the monitor opens; raises StateError."""
        found = await self._opened(lambda ask: question(ask, session))
        if not isinstance(found, _Descriptor):
            raise StateError(str(found))
        return socket.socket(fileno=found)

    async def _look_up(self, session: bytes) -> Login:
        found = await self._ask(lambda ask: LookUp(ask, session))
        if not isinstance(found, Login):
            raise AccountError(str(found))
        return found

    async def _ledger(self, session: bytes, group: str | None) -> FileIO:
        """Return the ledger of the user or of a group; raises AccountError."""
        found = await self._opened(lambda ask: OpenLedger(ask, session, group or ""))
        if not isinstance(found, _Descriptor):
            raise AccountError(str(found))
        return FileIO(found, "r+")

    async def _certify(self, session: bytes, key: PublicKey | None) -> Certificate:
        blob = b"" if key is None else key.plain.blob
        made = await self._ask(lambda ask: Certify(ask, session, blob))
        if not isinstance(made, bytes):
            raise AccountError(str(made))
        certificate = decode_public(made)
        assert isinstance(certificate, Certificate)
        return certificate


def _thawed(handed: HandedOver) -> FrozenServer:
    """Return the state of a connection.

    :raises MalformedMessage: it is none, or not that of the login which the monitor has seen.
    """
    frozen = FrozenServer.decode(handed.state)
    seen = handed.session, handed.user, handed.methods
    if (frozen.session_id, frozen.user, frozen.methods) != seen:
        raise MalformedMessage("its state is that of another login")
    # Keys get older at rest, too.
    return replace(frozen, age=frozen.age + int(handed.rested))


class _Recorded:
    """Has the monitor record a login at a terminal; called in threads."""

    def __init__(self, link: Link, loop: asyncio.AbstractEventLoop, session: bytes) -> None:
        self._link = link
        self._loop = loop
        self._session = session

    def begin(self, terminal: str) -> None:
        """Have the login recorded."""
        self._tell(terminal, begins=True)

    def end(self, terminal: str) -> None:
        """Have its end recorded."""
        self._tell(terminal, begins=False)

    def _tell(self, terminal: str, *, begins: bool) -> None:
        told = AtTerminal(self._session, terminal, begins).encode()
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._link.send, told)


class _SessionPolicy(AccountPolicy):
    """What the user of one connection may do."""

    def __init__(
        self,
        handed: HandedOver,
        terms: UserTerms,
        look_up: Callable[[str], Coroutine[Any, Any, Login]],
        certify: Callable[[PublicKey | None], Coroutine[Any, Any, Certificate]],
        ledger: Callable[[str | None], Coroutine[Any, Any, FileIO]],
        threads: UserThreads,
    ) -> None:
        config = terms.config
        super().__init__(ServerRules(config), threads=threads)
        self._user = handed.user
        self._logins = Recent[str, Login](look_up)
        if (login := _login(handed.login)) is not None:
            self._logins.know(handed.user, login)
        self._certify = certify
        self._ledger = ledger
        self._candidate = Candidate(
            handed.user, config, terms.changed, Admission(config), options=handed.options
        )

    def look_ahead(self) -> None:
        """Ask what the user's sessions run as: a session is open, and its requests come next."""
        self._logins.begin(self._user)

    async def login(self, user: str, connection: Client) -> Login:
        """Return what the user's sessions run as now."""
        return await self._logins.find(user)

    async def certify(self, user: str, connection: Client, key: PublicKey | None) -> Certificate:
        """Have the monitor certify a key: it alone has the authority's."""
        return await self._certify(key)

    async def ledger(self, user: str, connection: Client, group: str | None) -> FileIO:
        """Have the monitor open a ledger: the user's account can't."""
        return await self._ledger(group)

    def candidate(self, user: str, connection: Client) -> Candidate:
        """Return what the monitor knows of the user."""
        return self._candidate


def request(rights: Rights | None, login: Login | None) -> dict[str, object]:
    """Return what :func:`main` gets.

    :param rights: None to keep those of the server: another root directory is entered by root.
    :param login: what the user's sessions run as, if anything.
    """
    return {
        "rights": rights,
        "time_zone": os.environ.get("TZ"),
        "forks": login is not None and login.is_confined,
    }


def load() -> None:
    """Load all that a session process needs, before it is forked."""
    preload.load()


def main(given: dict[str, Any], sock: socket.socket) -> None:
    """Be a session process: what it is to serve comes over the link."""
    if given["time_zone"] is not None:
        os.environ["TZ"] = given["time_zone"]
    if given["rights"] is not None:
        take_rights(*given["rights"])
    # Another process of the user's must not read the keys of the connections.
    hide_memory()
    for name in LIMITS:
        # What modules of PAM have set is the user's.
        LIMITS[name] = resource.getrlimit(getattr(resource, name))
    TEMPLATE.split(partial(serve_copy, ahead=given["forks"]))
    # For this process, and not for what it has forked.
    keep_secrets()
    allow_descriptors()
    asyncio.run(_run(sock))


async def _run(sock: socket.socket) -> None:
    await SessionProcess(sock).run()
