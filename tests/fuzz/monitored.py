"""A monitor whose gates and session processes are sockets here, so that they may say anything."""

from __future__ import annotations

import asyncio
import atexit
import fcntl
import gc
import logging
import os
import re
import socket
import termios
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace as changed
from functools import cache
from struct import Struct
from typing import Any, TypeVar, cast
from unittest import mock
from weakref import WeakKeyDictionary

from nacre.config.server.config import ServerConfig
from nacre.config.server.rules import ServerRules
from nacre.crypto.signatures.eddsa import ED25519, EdDSASigner
from nacre.daemon.accounts.accounts import Login, own_account
from nacre.daemon.accounts.policy import AccountPolicy
from nacre.daemon.log.form import line
from nacre.daemon.separate import monitor as monitor_module
from nacre.daemon.separate import users as users_module
from nacre.daemon.separate import visit as visit_module
from nacre.daemon.separate.link import LONGEST, Link, pair
from nacre.daemon.separate.messages import (
    TO_GATES,
    TO_SESSIONS,
    Answered,
    Arrived,
    HandOver,
    Left,
    NameUser,
    OfferPassword,
    SignExchange,
    StartWith,
    unpacked,
)
from nacre.daemon.separate.monitor import Configured, GateProcess, Separated
from nacre.daemon.separate.users import UserProcess, UserProcesses
from nacre.daemon.separate.visit import Visit
from nacre.errors import AccountError
from nacre.keys import PrivateKey, PublicKey
from nacre.keys.certificate import Certificate, CertifiedKey
from nacre.keys.families.eddsa import EdDSAPrivateKey
from nacre.limits import DEFAULT_LIMITS
from nacre.protocol.asks import Challenge, PasswordExpired, Prompt, UserRequirement
from nacre.protocol.requirement import Requirement, satisfied
from nacre.server.peer import Client
from nacre.server.settings import ServerSettings
from nacre.ssh2.auth.messages import HOST_BOUND, UserauthRequest
from nacre.wire.codec import boolean, string, text
from nacre.wire.message import Message

T = TypeVar("T")


def _key(number: int) -> EdDSAPrivateKey:
    """Return the same key each time: inputs that were kept have signatures of it."""
    return EdDSAPrivateKey(EdDSASigner(ED25519, bytes((number,)) * 32))


HOST_KEY, KEY, STRANGE, _AUTHORITY = map(_key, range(4))
CERTIFIED = CertifiedKey(
    Certificate.issue(HOST_KEY.public, _AUTHORITY, kind="host", random=bytes), HOST_KEY
)

USERS: Mapping[str, Requirement] = {
    "alice": (frozenset({"publickey"}), frozenset({"password"})),
    "bob": (("publickey", "password"),),
    "carol": (frozenset({"hostbased"}), frozenset({"keyboard-interactive"})),
    "dave": (frozenset(),),
}
"""Who may log in, and by what; everybody else seems to be as alice, and is never let in."""

SESSION = bytes(32)
"""The session identifier of the connection whose process a target takes over."""

MOST_VISITS = 6
MOST_ASKED = 40
_QUIET = 2
"""Turns of the loop with nothing to call and nothing that comes, after which nothing will."""

_PEEK = Struct("i")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


class _Threads:
    """Calls at once what a thread would be for."""

    async def run(self, user: str, work: Callable[[], T]) -> T:
        return work()


class Judgement(AccountPolicy):
    """Knows who is who, and notes what it has granted to whom.

    :ivar evidence: the user that each client was last named as, and the methods granted since.
    :ivar shown: the clients about whose signed keys and hosts it was asked.
    :ivar slow: whether answers wait in ``waiting``.
    :ivar failure: what the next question raises, or None.
    :ivar faults: what it was asked and should not have been.
    """

    def __init__(self) -> None:
        super().__init__(ServerRules(ServerConfig()))
        self.threads.close()
        self.threads = cast(Any, _Threads())
        self.evidence: WeakKeyDictionary[Client, tuple[str, list[str]]] = WeakKeyDictionary()
        self.shown: list[Client] = []
        self.slow = False
        self.waiting: list[asyncio.Future[None]] = []
        self.failure: Exception | None = None
        self.faults: list[str] = []

    def close(self) -> None:
        """There are no threads."""

    async def _judged(self, connection: Client, user: str, method: str, right: bool) -> bool:
        if self.slow:
            self.waiting.append(asyncio.get_running_loop().create_future())
            await self.waiting[-1]
        self._fail()
        if right and user in USERS:
            named, methods = self.evidence[connection]
            self._see(named == user, "a client is granted what another user has shown")
            methods.append(method)
            return True
        return False

    def _see(self, holds: bool, fault: str) -> None:
        # What a policy raises is a refusal and nothing more.
        if not holds:
            self.faults.append(fault)

    def _bound(self, what: str, text: str, most: int) -> None:
        self._see(len(text.encode("utf-8", "surrogateescape")) <= most, f"a {what} is too long")

    def _fail(self) -> None:
        failure, self.failure = self.failure, None
        if failure is not None:
            raise failure

    def requirement(self, user: str, connection: Client) -> UserRequirement:
        self._bound("user name", user, DEFAULT_LIMITS.user_name)
        self._fail()
        self._begin(user, connection)
        self.evidence[connection] = user, []
        return UserRequirement(USERS.get(user, USERS["alice"]))

    async def password(self, user: str, password: str, connection: Client) -> Any:
        self._bound("password", password, DEFAULT_LIMITS.password)
        granted = await self._judged(connection, user, "password", password == "right")
        return PasswordExpired("choose") if password == "old" else granted

    async def change_password(self, user: str, old: str, new: str, connection: Client) -> bool:
        self._bound("password", new, DEFAULT_LIMITS.password)
        return await self._judged(connection, user, "password", old == "old")

    def public_key(
        self, user: str, key: PublicKey, algorithm: str, signed: bool, connection: Client
    ) -> Any:
        if not signed:
            return key == KEY.public
        self.shown.append(connection)
        return self._judged(connection, user, "publickey", key == KEY.public)

    def host_based(self, user: str, host: Any, connection: Client) -> Any:
        self.shown.append(connection)
        return self._judged(connection, user, "hostbased", host.key == KEY.public)

    async def keyboard_interactive(
        self, user: str, submethods: str, responses: tuple[str, ...] | None, connection: Client
    ) -> Any:
        self._bound("list", submethods, DEFAULT_LIMITS.name_list)
        if responses is None:
            return Challenge("", "", (Prompt("Word: ", False),))
        self._see(len(responses) <= DEFAULT_LIMITS.auth_prompts, "too many responses")
        for response in responses:
            self._bound("response", response, DEFAULT_LIMITS.password)
        right = responses == ("right",)
        return await self._judged(connection, user, "keyboard-interactive", right)

    def authenticated(self, user: str, methods: tuple[str, ...], connection: Client) -> None:
        super().authenticated(user, methods, connection)
        self._fail()

    async def login(self, user: str, connection: Client) -> Login:
        self._fail()
        if user not in USERS:
            raise AccountError("there is no such user")
        return changed(_LOGIN, name=user)


_LOGIN = Login(name="", account=own_account(), home="/", shell="/bin/sh", environment={})


class Taken:
    """A process that was taken over: the other end of its link, which may send anything.

    :ivar said: what it was told, and has not looked at.
    :ivar reasons: why the monitor has ended the link.
    """

    def __init__(self, process: Separated) -> None:
        ours, self.raw = pair()
        self.raw.setblocking(False)
        self.process = process
        self.said: list[Message] = []
        self.reasons: list[str | None] = []
        self.link = process._link = Link(ours, process._on_message, self._on_lost)
        process._begin = StartWith(b"settings"), ()
        self._table = TO_GATES if isinstance(process, GateProcess) else TO_SESSIONS
        self._read = bytearray()

    @property
    def over(self) -> bool:
        return bool(self.reasons)

    def _on_lost(self, reason: str | None) -> None:
        self.reasons.append(reason)
        self.process._on_lost(reason)
        self.process.gone.set()

    async def send(self, data: bytes, descriptors: Sequence[int] = ()) -> None:
        """Send bytes, as far as the monitor takes them."""
        left = memoryview(data)
        while left and not self.over:
            try:
                left = left[socket.send_fds(self.raw, [left], descriptors) :]
                descriptors = ()
            except BlockingIOError:
                await asyncio.sleep(0)
                self.look()
            except OSError:
                return

    def look(self) -> bool:
        """Read what has come; tell whether something moves."""
        moves = self._coming()
        while True:
            try:
                data, descriptors, _, _ = socket.recv_fds(self.raw, 1 << 20, 64)
            except OSError:
                return moves
            for one in descriptors:
                os.close(one)
            if not data:
                return moves
            moves = True
            self._read += data
            while len(self._read) >= 4 and len(self._read) >= (
                end := 4 + int.from_bytes(self._read[:4])
            ):
                body = bytes(self._read[4:end])
                self.said.append(self._table[body[0]].decode(body))
                del self._read[:end]

    def _coming(self) -> bool:
        if self.link._closed:
            return False
        size = fcntl.ioctl(self.link._sock, termios.FIONREAD, bytes(_PEEK.size))
        return bool(_PEEK.unpack(size)[0])

    def hear(self) -> list[Message]:
        """Return what it was told since the last time."""
        said, self.said = self.said, []
        return said

    def close(self) -> None:
        self.link.close()
        self.process.lost()
        self.process.gone.set()
        self.raw.close()


def framed(message: Message | bytes) -> bytes:
    data = message if isinstance(message, bytes) else message.encode()
    return len(data).to_bytes(4) + data


def proof(user: str, session: bytes, key: PrivateKey, bound: PrivateKey | None) -> bytes:
    """Return the fields of a signed request; ``bound`` is the host key that it names, or None."""
    fields = boolean(True) + text("ssh-ed25519") + string(key.public.blob)
    if bound is not None:
        fields += string(bound.public.blob)
    method = "publickey" if bound is None else HOST_BOUND
    request = UserauthRequest(user, "ssh-connection", method, fields).encode()
    return fields + string(key.sign(string(session) + request, "ssh-ed25519"))


def host_proof(user: str, session: bytes, key: PrivateKey) -> bytes:
    """Return the fields of a request in which a host vouches for its user."""
    fields = text("ssh-ed25519") + string(key.public.blob) + text("host.example.") + text("me")
    request = UserauthRequest(user, "ssh-connection", "hostbased", fields).encode()
    return fields + string(key.sign(string(session) + request, "ssh-ed25519"))


class Monitored:
    """A monitor on a loop of its own.

    :ivar handed: the visits that were handed over, in order.
    :ivar users: the session process of each user, the latest one last.
    """

    def __init__(self) -> None:
        self.before = descriptors()
        self.loop = asyncio.new_event_loop()
        self.uncaught: list[str] = []
        self.loop.set_exception_handler(self._on_error)
        self.policy = Judgement()
        settings = ServerSettings(host_keys=[HOST_KEY, CERTIFIED], policy=self.policy)
        self.configured = Configured(settings, self.policy)
        self.handed: list[Visit] = []
        self.taken: list[Taken] = []
        self.users: dict[str, list[Taken]] = {}
        self._users = UserProcesses(None, self._report)
        self._gates = 0
        self._patches = (
            mock.patch.object(monitor_module, "_MOST_VISITS", MOST_VISITS),
            mock.patch.object(visit_module, "_ASKED_MOST", MOST_ASKED),
            mock.patch.object(UserProcess, "start", lambda process, *_, **__: self._start(process)),
            mock.patch.object(users_module, "TerminalLogin", Recorded),
            mock.patch.object(logging.getLogger("nacre.server"), "disabled", True),
        )

    def _on_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.uncaught.append(f"{context.get('message')}: {context.get('exception')!r}")

    def _report(self, record: Mapping[str, object]) -> None:
        if not all(map(_NAME.fullmatch, record)) or not line(record).isprintable():
            self.uncaught.append(f"a line of the log is not one: {record!r}")

    async def _start(self, process: UserProcess) -> None:
        taken = Taken(process)
        self.taken.append(taken)
        self.users.setdefault(process.user, []).append(taken)

    def _hand_over(
        self,
        visit: Visit,
        configured: Configured,
        gate: int,
        state: bytes,
        rested: float | None,
    ) -> None:
        self.handed.append(visit)
        user, methods = self.policy.evidence[visit]
        if (visit.user, visit.methods) != (user, tuple(methods) or ("none",)):
            self.uncaught.append("a login is another than the one that was judged")
        if not satisfied(USERS[user], methods):
            self.uncaught.append("somebody is let in who has not shown enough")
        self._users.hand_over(visit, configured, gate, state, rested)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine, and then all that follows from it; nothing may raise."""

        async def both() -> T:
            made = await work
            await self._settle()
            return made

        with ExitStack() as patches:
            for one in self._patches:
                patches.enter_context(one)
            made = self.loop.run_until_complete(both())
        assert not self.uncaught, self.uncaught
        assert not self.policy.faults, self.policy.faults
        return made

    async def _settle(self) -> None:
        quiet = 0
        while quiet < _QUIET:
            await asyncio.sleep(0)
            moves = [one.look() for one in self.taken]
            called: object = self.loop._ready  # type: ignore[attr-defined]
            quiet = 0 if any(moves) or called else quiet + 1

    async def gate(self) -> Taken:
        """Start a gate."""
        self._gates += 1
        process = GateProcess(self._gates, self.configured, self._hand_over, self._report)
        self.taken.append(Taken(process))
        return self.taken[-1]

    def cut(self, taken: Taken) -> None:
        """Let a process die."""
        taken.raw.shutdown(socket.SHUT_RDWR)
        self.run(asyncio.sleep(0))
        assert taken.over

    def check(self) -> None:
        """Check what must hold at any time."""
        for one in self.taken:
            assert len(one.reasons) <= 1
            assert all(reason is None or _plain(reason) for reason in one.reasons)
            link = one.link
            assert len(link._read) <= LONGEST + (1 << 16) + 4
            assert len(link._descriptors) <= 64
            assert link._unsent_bytes == sum(len(data) for data, _ in link._unsent)
            process = one.process
            if isinstance(process, GateProcess):
                assert len(process._visits) <= MOST_VISITS
                for visit in process._visits.values():
                    assert len(visit._progress.named) <= DEFAULT_LIMITS.user_name
                if one.over:
                    assert not process._visits
            elif isinstance(process, UserProcess) and one.over:
                assert not process._served

    def log_in(self, gate: Taken, user: str, session: bytes) -> list[object]:
        """Log in as one should, as alice or dave; return the answers."""
        heard: list[Message] = []
        one, other = socket.socketpair()
        with one, other:
            self.run(gate.send(framed(Arrived(1)), [one.fileno()]))
        said: list[Message] = [
            SignExchange(1, 1, HOST_KEY.public.blob, "ssh-ed25519", session),
            NameUser(1, 2, user),
            *([OfferPassword(1, 3, "right", False, "")] if user == "alice" else []),
        ]
        for message in said:
            self.run(gate.send(framed(message)))
            heard += gate.hear()
        self.run(gate.send(framed(HandOver(1, b"state")) + framed(Left(1))))
        return [unpacked(one.answer) for one in heard if isinstance(one, Answered)]

    def end(self) -> None:
        """End all processes."""

        async def end() -> None:
            for future in self.policy.waiting:
                future.cancel()
            for one in self.taken:
                one.close()

        self.run(end())
        assert all(visit.sock.fileno() < 0 for visit in self.handed)
        self.policy.waiting.clear()
        self.taken.clear()
        self.users.clear()
        self.handed.clear()

    def close(self) -> None:
        """End all, and see that nothing is left."""
        try:
            self.end()
        finally:
            self.loop.close()
        assert descriptors() == self.before, "a descriptor is left open"


@cache
def _monitored() -> Monitored:
    gc.collect()  # what tests before have left is not to go while this one counts
    monitor = Monitored()
    atexit.register(monitor.loop.close)
    return monitor


def from_gate(data: bytes) -> None:
    """Have a gate send bytes: the first one says how many clients come along."""
    monitor = _monitored()
    before = descriptors()
    gate = monitor.run(monitor.gate())
    clients = [end for _ in range(data[0] % 8 if data else 0) for end in socket.socketpair()]
    sent = [one.fileno() for one in clients[::2]]
    for portion in _portions(data[1:]):
        monitor.run(gate.send(portion, sent))
        sent = []
    for one in clients:
        one.close()
    monitor.check()
    monitor.end()
    assert descriptors() <= before


def _portions(data: bytes) -> Iterator[bytes]:
    """Return the first messages, one at a time for the answers to come between, and the rest."""
    for _ in range(12):
        end = 4 + int.from_bytes(data[:4])
        if not 4 < end <= len(data):
            break
        yield data[:end]
        data = data[end:]
    yield data


def from_session(data: bytes) -> None:
    """Have a session process send bytes, which has one connection."""
    monitor = _monitored()
    before = descriptors()
    monitor.log_in(monitor.run(monitor.gate()), "dave", SESSION)
    (process,) = monitor.users["dave"]
    for portion in _portions(data):
        monitor.run(process.send(portion))
    monitor.check()
    monitor.end()
    assert descriptors() <= before


class Recorded:
    """Stands in for the files that know who is at which terminal."""

    def __init__(self, *_: object) -> None:
        pass

    def begin(self, terminal: str) -> None:
        """Check that the terminal is the user's."""
        assert re.fullmatch(r"/dev/pts/[0-9]+", terminal)
        assert os.stat(terminal).st_uid == os.geteuid()

    def end(self, terminal: str) -> None:
        """Do nothing."""


def _plain(text: str) -> bool:
    return 0 < len(text) < 300 and text.isprintable()


def descriptors() -> int:
    """Return how many descriptors this process has."""
    return len(os.listdir("/proc/self/fd"))


def descriptor(kind: str) -> int:
    """Return a new descriptor of a kind; the other end of a stream is gone."""
    if kind == "null":
        return os.open(os.devnull, os.O_RDONLY)
    if kind == "stream":
        one, other = socket.socketpair()
        other.close()
        return one.detach()
    if kind == "udp":
        return socket.socket(socket.AF_INET, socket.SOCK_DGRAM).detach()
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen()
    return sock.detach()
