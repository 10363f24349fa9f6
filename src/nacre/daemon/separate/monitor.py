"""The monitor: has the rights, the host keys and the users, and reads nothing that a client sends.

It starts the gates, answers what they ask (:mod:`nacre.daemon.separate.visit`), and gives each
connection that has logged in to the session process of its user.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from nacre.config.values import LogLevel
from nacre.daemon.accounts.policy import AccountPolicy
from nacre.daemon.audit.events import AuditMode
from nacre.daemon.audit.trail import AuditLog
from nacre.daemon.processes.child import watch
from nacre.daemon.processes.template import TEMPLATE, Forked, Forks, Kind
from nacre.daemon.separate.gate import GateSettings
from nacre.daemon.separate.held import blobs_of
from nacre.daemon.separate.link import Link, LinkError
from nacre.daemon.separate.messages import (
    FROM_GATES,
    Arrived,
    HandOver,
    Left,
    LogRecord,
    OriginRead,
    ReadOrigin,
    Reads,
    Ready,
    Retire,
    StartWith,
    Stopped,
    packed,
)
from nacre.daemon.separate.records import read
from nacre.daemon.separate.visit import HASHES, Visit
from nacre.errors import (
    MalformedMessage,
    StateError,
    UnusableKey,
)
from nacre.keys import PrivateKey
from nacre.limits import KIB
from nacre.protocol import hostkeys
from nacre.server.admission.proxied import HEADER_ERRORS, ProxyGone, read_first
from nacre.server.admission.proxy_header import ClientOrigin
from nacre.server.peer import Client, Log, address_of
from nacre.server.settings import ServerSettings
from nacre.value import replace
from nacre.wire.message import Message

if TYPE_CHECKING:
    from nacre.daemon.audit.writer import AuditWriter

Report = Callable[[Mapping[str, object]], None]

_VALUES = (
    *("algorithms", "protocols", "ssh1_ciphers", "limits", "login_grace", "max_startups"),
    *("keepalive", "keepalive_count", "banner", "accept_env", "proxy_from"),
)
"""The arguments of :class:`ServerSettings` that other processes get as they are."""

_LAST_WORDS = 1.0
"""Seconds that a process has to end after its link."""

_MARGIN = 30.0
"""Seconds that a process has to end after the time that its connections were given."""

_MOST_VISITS = 4096
"""Connections that log in at one gate."""

_LONGEST = 256 * KIB
"""Bytes of a message that hands no connection over: what a packet of a client has at most."""


class Configured:
    """What one reading of the configuration has led to.

    :ivar made: the settings of servers; the host keys are in them.
    :ivar policy: judges logins.
    :ivar log_level: the level of the log.
    :ivar end_processes: whether processes that outlive their sessions are ended.
    :ivar usual_terms: what session processes are told of users without a configuration of their
        own, packed; None before the first of them.
    :ivar recorder: returns a socket to the recorder for a session of a client who has logged in at
        a gate; None where nothing is recorded.
    :ivar keeper: keeps the events of connections; None without an audit.
    :ivar watched: whether sessions may be watched.
    """

    usual_terms: bytes | None = None

    def __init__(
        self,
        made: ServerSettings,
        policy: AccountPolicy,
        log_level: LogLevel = LogLevel.INFO,
        *,
        end_processes: bool = False,
        recorder: Callable[[Client, int], Awaitable[socket.socket]] | None = None,
        keeper: AuditWriter | None = None,
        watched: bool = False,
    ) -> None:
        self.keeper = keeper
        self.watched = watched
        self.made = made
        self.policy = policy
        self.log_level = log_level
        self.end_processes = end_processes
        self.recorder = recorder
        self._keys: dict[bytes, PrivateKey] = {}
        for key in made.host_keys:
            self._keys[key.public.blob] = key
            self._keys.setdefault(key.plain.public.blob, key.plain)

    @property
    def audit(self) -> AuditMode:
        """Whether events are kept."""
        if self.keeper is None:
            return "off"
        return "hashes" if self.keeper.hashes else "on"

    @property
    def blobs(self) -> tuple[bytes, ...]:
        """The host keys, as other processes get them."""
        return blobs_of(self.made.host_keys)

    async def record(self, client: Client, gate: int) -> socket.socket:
        """Return a socket to the recorder; raises StateError."""
        if self.recorder is None:
            raise StateError("this server records nothing")
        return await self.recorder(client, gate)

    def values(self) -> dict[str, Any]:
        """Return the arguments of :class:`ServerSettings` that other processes get."""
        given = {name: getattr(self.made, name) for name in _VALUES}
        return {**given, "terms": replace(self.made.terms, resolve=None, sign_host=None)}

    async def sign(self, blob: bytes, data: bytes, algorithm: str) -> bytes:
        """Make the signature of the host key with this blob.

        :raises NacreError: there is none, or it makes none.
        """
        key = self._keys.get(blob)
        if key is None or algorithm not in key.public.signature_algorithms:
            raise UnusableKey("there is no such host key")
        if not key.held:
            return key.sign(data, algorithm)
        if self.made.terms.sign_host is None:
            raise UnusableKey("no program holds the host key")
        return await self.made.terms.sign_host(key.public, data, algorithm)

    def may_sign(self, session: bytes, blob: bytes, data: bytes) -> bool:
        """Tell whether a session process may have this signed: for a key exchange, or a proof."""
        return len(data) in HASHES or data == hostkeys.signed(session, blob)


class Separated:
    """A process that the template has forked, and the link to it.

    :ivar pid: its number.
    :ivar ready: done when the process is; cancelled when it has ended before.
    :ivar gone: set when it has ended.
    :ivar retired: whether it takes no more connections.
    """

    KIND: Kind
    MESSAGES: Mapping[int, type[Message]]

    def __init__(self, report: Report) -> None:
        self.report = report
        self.pid = 0
        loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[None] = loop.create_future()
        self.gone = asyncio.Event()
        self.retired = False
        self._link: Link | None = None
        self._begin: tuple[StartWith, Sequence[int]] | None = None

    async def start(
        self,
        settings: object,
        descriptors: Sequence[int] = (),
        given: Mapping[str, object] | None = None,
        forks: Forks | None = None,
    ) -> None:
        """Start the process; return when it has told that it is ready.

        :param settings: what it is started with; ``given`` what it needs before its loop runs.

        :raises OSError: it can't be started, or has ended at once.
        """
        loop = asyncio.get_running_loop()
        try:
            fork = partial(_forked, forks or TEMPLATE, self.KIND, given or {})
            forked = await loop.run_in_executor(None, fork)
        except OSError:
            self.gone.set()
            raise
        self.pid = forked.pid
        watch(forked.pid, loop, partial(self._reap, forked))
        self._begin = StartWith(packed(settings)), descriptors
        self._link = Link(forked.link, self._on_message, self._on_lost)
        try:
            await self.ready
        except asyncio.CancelledError:
            if self.gone.is_set():
                raise OSError(f"the {self.KIND} process has ended at once") from None
            raise

    def send(self, message: Message, descriptors: Sequence[int] = ()) -> None:
        """Send a message, once the process reads; the descriptors remain the caller's."""
        if self._link is not None:
            self._link.send(message.encode(), descriptors)

    def retire(self, seconds: int) -> None:
        """Have the process take no more connections, and end; those it has get so many seconds.

        One that goes on nevertheless is killed.
        """
        self.retired = True
        self.send(Retire(seconds))
        asyncio.get_running_loop().call_later(seconds + _MARGIN, self.kill)

    def taken_socket(self) -> socket.socket:
        """Return the socket of a client that came with the message that is being received.

        :raises LinkError: there is none.
        """
        assert self._link is not None
        return _client(self._link.descriptor())

    def kill(self) -> None:
        """End the process at once."""
        if self.pid and not self.gone.is_set():
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def _on_message(self, data: bytes) -> None:
        kind = self.MESSAGES.get(data[0]) if data else None
        if kind is None:
            raise LinkError("no such message")
        if len(data) > _LONGEST and kind is not HandOver:
            raise LinkError("a message is too long")
        try:
            self._act(kind.decode(data))
        except MalformedMessage as error:
            raise LinkError(f"a message can't be read: {error}") from error

    def _act(self, message: Message) -> None:
        if isinstance(message, LogRecord):  # as most are
            self.report({**read(message.fields), **self.about})
        elif isinstance(message, Reads):
            if self._begin is None:
                raise LinkError("a process begins once")
            self.send(*self._begin)
            self._begin = None
        elif isinstance(message, Ready):
            if not self.ready.done():
                self.ready.set_result(None)
        else:
            self.take(message)

    @property
    def about(self) -> dict[str, object]:
        """What the log says of the process."""
        return {"process": self.pid}

    def take(self, message: Message) -> None:
        """Act on a message of the process.

        :raises LinkError: it may not say this now.
        """
        raise NotImplementedError

    def lost(self) -> None:
        """Drop what the process had."""
        raise NotImplementedError

    def _on_lost(self, reason: str | None) -> None:
        if reason is not None:
            what = f"a {self.KIND} process was ended"
            self.report({"event": "error", "what": what, "error": reason, **self.about})
            self.kill()
        else:
            # What it ends with, it may still tell.
            asyncio.get_running_loop().call_later(_LAST_WORDS, self.kill)
        self.lost()

    def _reap(self, forked: Forked) -> None:
        forked.wait()
        self.gone.set()
        if not self.ready.done():
            self.ready.cancel()
        if self._link is not None:
            self._link.close()
        self.lost()


def _forked(forks: Forks, kind: Kind, given: Mapping[str, object]) -> Forked:
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        # A traceback of the process goes where the server's go.
        return forks.fork(kind, given, (null, null, 2))
    finally:
        os.close(null)


class GateProcess(Separated):
    """A gate, and the logins that it has."""

    KIND = "gate"
    MESSAGES = FROM_GATES

    def __init__(
        self,
        number: int,
        configured: Configured,
        hand_over: Callable[[Visit, Configured, int, bytes, float | None], None],
        report: Report,
    ) -> None:
        super().__init__(report)
        self.number = number
        self._stopped = asyncio.Event()
        self._configured = configured
        self._hand_over = hand_over
        self._visits: dict[int, Visit] = {}
        # The proxies that have connected, and whose headers are being read.
        self._arriving: dict[int, asyncio.Task[None]] = {}

    def settings(self, **more: Any) -> GateSettings:
        """Return what the gate is started with."""
        return GateSettings(
            number=self.number,
            host_keys=self._configured.blobs,
            settings=self._configured.values(),
            **more,
        )

    @property
    def about(self) -> dict[str, object]:
        return {"gate": self.number}

    async def wait_stopped(self) -> None:
        """Return when the gate accepts nothing any more."""
        await self._stopped.wait()

    def take(self, message: Message) -> None:
        if isinstance(message, Stopped):
            self._stopped.set()
            return
        number = message.visit  # type: ignore[attr-defined]  # each message of a gate has one
        if isinstance(message, Arrived):
            self._arrive(number)
        elif isinstance(message, ReadOrigin):
            self._read_origin(number)
        elif isinstance(message, Left):
            if (arriving := self._arriving.pop(number, None)) is not None:
                arriving.cancel()
            if (left := self._visits.pop(number, None)) is not None:
                left.leave()
        elif (visit := self._visits.get(number)) is not None:
            visit.take(message)
            if isinstance(message, HandOver):
                del self._visits[number]
        else:
            raise LinkError("a question about nobody")

    def _arrive(self, number: int) -> None:
        sock = self._new_socket(number)
        if _peer_of(sock)[0] in self._configured.made.proxies:
            sock.close()
            raise LinkError("a client of a proxy whose header the monitor has not read")
        self._visits[number] = self._visit(number, sock)

    def _new_socket(self, number: int) -> socket.socket:
        """Return the socket of a new connection.

        :raises LinkError: there is none, or the gate has a connection of this number, or too many.
        """
        sock = self.taken_socket()
        many = len(self._visits) + len(self._arriving) >= _MOST_VISITS
        if number in self._visits or number in self._arriving or many:
            sock.close()
            raise LinkError("one connection too many")
        return sock

    def _read_origin(self, number: int) -> None:
        sock = self._new_socket(number)
        host, _ = _peer_of(sock)
        if not host:
            sock.close()
            self.send(OriginRead(number, packed("")))
            return
        if host not in self._configured.made.proxies:
            sock.close()
            raise LinkError("only proxies are asked whom they speak for")
        task = asyncio.get_running_loop().create_task(self._find_origin(number, sock))
        self._arriving[number] = task

    async def _find_origin(self, number: int, sock: socket.socket) -> None:
        """Read a proxy's header; what the gate says does not count."""
        try:
            origin = await read_first(sock, self._configured.made.login_grace)
        except HEADER_ERRORS as error:
            sock.close()
            self.send(OriginRead(number, packed(str(error))))
        except ProxyGone:
            sock.close()
            self.send(OriginRead(number, packed("")))
        except asyncio.CancelledError:
            sock.close()
            raise
        else:
            self._visits[number] = self._visit(number, sock, origin)
            self.send(OriginRead(number, packed(origin)))
        finally:
            self._arriving.pop(number, None)

    def _visit(self, number: int, sock: socket.socket, origin: ClientOrigin | None = None) -> Visit:
        visit = Visit(
            number,
            sock,
            self._configured.made,
            self._configured.sign,
            self.send,
            lambda visit, state, rested: self._hand_over(
                visit, self._configured, self.number, state, rested
            ),
            self._log_of_visits(),
            origin,
        )
        visit.gate = self.number
        return visit

    @property
    def visits(self) -> Iterable[Visit]:
        """The clients that log in at the gate, and those that have left it without the monitor's
        having heard of it."""
        return tuple(self._visits.values())

    def _log_of_visits(self) -> Log:
        def log(record: Mapping[str, object]) -> None:
            self.report({**record, **self.about})

        keeper = self._configured.keeper
        return log if keeper is None else AuditLog(log, keeper, f"{keeper.run}.{self.number}.")

    def lost(self) -> None:
        self._stopped.set()
        for arriving in self._arriving.values():
            arriving.cancel()
        visits, self._visits = self._visits, {}
        for visit in visits.values():
            visit.leave()


def _peer_of(sock: socket.socket) -> tuple[str, int]:
    """Return the other end of a socket; no address where the client is gone."""
    try:
        return address_of(sock.getpeername())
    except OSError:
        return "", 0


def _client(descriptor: int) -> socket.socket:
    """Return the socket of a client, who may be gone.

    :raises LinkError: the descriptor, which is closed then, is something else, such as the socket
        on which the server listens: a user would get what this returns.
    """
    try:
        sock = socket.socket(fileno=descriptor)
    except OSError as error:
        os.close(descriptor)
        raise LinkError("what comes along is no socket") from error
    listens = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    if sock.type != socket.SOCK_STREAM or listens:
        sock.close()
        raise LinkError("what comes along is no client's socket")
    return sock
