"""A gate: reads what strangers send, up to the login, and can do nothing else.

It accepts from the server's sockets, exchanges keys and reads the requests to log in; the monitor
signs, and answers the questions. After the login the connection leaves for a session process.
"""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any

from nacre.config.values import LogLevel
from nacre.daemon.processes.limits import allow_descriptors
from nacre.daemon.sandbox.landlock import READ_DIR
from nacre.daemon.sandbox.rules import gate_rules
from nacre.daemon.sandbox.sandbox import Sandbox
from nacre.daemon.separate import preload
from nacre.daemon.separate.held import held
from nacre.daemon.separate.link import Link
from nacre.daemon.separate.messages import (
    TO_GATES,
    Answered,
    AnswerPrompts,
    Arrived,
    Banned,
    DropVisit,
    HandOver,
    Left,
    NameUser,
    OfferPassword,
    OriginRead,
    ProveHost,
    ProveKey,
    QueryKey,
    ReadOrigin,
    Reads,
    Ready,
    Retire,
    SignExchange,
    StartWith,
    Stopped,
    TurnedAway,
    unpacked,
)
from nacre.daemon.separate.records import LinkLog
from nacre.errors import ConnectionLost, DisconnectCode, UnusableKey
from nacre.keys import PublicKey
from nacre.protocol.asks import (
    Answer,
    Ask,
    AskHostBased,
    AskKeyboardInteractive,
    AskPassword,
    AskPublicKey,
    AskUser,
    Signature,
)
from nacre.protocol.frozen import FrozenServer
from nacre.server.admission.bans import BANNED, Ban, BanTable
from nacre.server.admission.proxied import ProxyGone
from nacre.server.admission.proxy_header import ClientOrigin
from nacre.server.admission.startups import Startups
from nacre.server.judge import Judging
from nacre.server.listen import Server
from nacre.server.peer import Client, ServerConnection
from nacre.server.policy import Policy
from nacre.server.questions import Questions
from nacre.server.serving import Serving
from nacre.server.settings import ServerSettings
from nacre.value import replace, value
from nacre.wire.codec import text
from nacre.wire.message import Message

_LOOK_AGAIN = 0.5
"""Seconds between two looks whether all have left a gate that was retired."""


@value(kw_only=True, repr=False)
class GateSettings:
    """What a gate is started with.

    :ivar number: the gate's number, from 1.
    :ivar place: its place in :class:`~nacre.server.admission.startups.Startups`, of ``places``.
    :ivar host_keys: the blobs of the host keys and of their certificates.
    :ivar settings: the arguments of :class:`~nacre.server.settings.ServerSettings` that are values.
    :ivar rights: the numbers of the account that it runs as, and of its group; None for a server
        that is not root: the gate keeps its account.
    :ivar sockets: how many sockets there are to listen on.
    :ivar log_level: the level of the log.
    :ivar bans: the networks whose connections are closed at once; None for no bans.
    """

    number: int
    place: int
    places: int
    host_keys: tuple[bytes, ...]
    settings: dict[str, Any]
    rights: tuple[int, int] | None
    sockets: int
    log_level: LogLevel
    bans: tuple[Ban, ...] | None


class GateServer:
    """The connections that log in here.

    :param sock: the socket of the link to the monitor.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._link = Link(sock, self._on_message, self._on_lost)
        self._visits: dict[int, Serving] = {}
        self._asked: dict[int, tuple[int, Callable[[Answer, bool], object]]] = {}
        self._last_ask = 0
        # The proxies whose headers the monitor reads, and those clients that it knows from them.
        self._origins: dict[int, asyncio.Future[ClientOrigin | str | None]] = {}
        self._known: set[int] = set()
        self._bans = BanTable()
        self._servers: list[Server] = []
        self._begun: asyncio.Future[StartWith] = asyncio.get_running_loop().create_future()
        self._over = asyncio.Event()

    async def run(self) -> None:
        """Serve until the monitor retires this gate, or is gone."""
        self._link.send(Reads().encode())
        begin = await self._begun
        given: GateSettings = unpacked(begin.settings)
        memory = self._link.descriptor()
        startups = Startups(given.places, memory)
        os.close(memory)
        startups.be(given.place)
        sockets = [socket.socket(fileno=self._link.descriptor()) for _ in range(given.sockets)]
        self._bans.replace(given.bans or ())
        log = LinkLog(self._link, given.log_level)
        log.attend(asyncio.get_running_loop())
        settings = ServerSettings(
            **given.settings,
            host_keys=[held(blob) for blob in given.host_keys],
            policy=Policy(),
            startups=startups,
            log=log,
            judge=self._judge,
            hand_over=self._hand_over,
            verify=False,  # the monitor does, which believes no gate
            find_origin=self._find_origin,
            bans=None if given.bans is None else self._bans,
        )
        confine(given.rights)
        numbers = count(1)
        for sock in sockets:
            server = Server(settings, numbers)
            await server.start(sock=sock)
            self._servers.append(server)
        self._link.send(Ready().encode())
        await self._over.wait()
        for server in self._servers:
            await server.wait_closed()
        self._link.close()

    # --- the monitor's messages ---

    def _on_message(self, data: bytes) -> None:
        message = TO_GATES[data[0]].decode(data)
        if isinstance(message, StartWith):
            self._begun.set_result(message)
        elif isinstance(message, Answered):
            self._on_answer(message)
        elif isinstance(message, OriginRead):
            if (waiting := self._origins.get(message.visit)) is not None and not waiting.done():
                waiting.set_result(unpacked(message.origin))
        elif isinstance(message, Banned):
            self._change_bans(message)
        elif isinstance(message, TurnedAway):
            if (visit := self._visits.get(message.visit)) is not None:
                visit.refuse("")
        elif isinstance(message, DropVisit):
            self._drop(message)
        elif isinstance(message, Retire):
            self._retire(float(message.seconds))

    def _drop(self, message: DropVisit) -> None:
        why = message.description
        if (visit := self._visits.get(message.visit)) is not None:
            visit.fail(ConnectionLost(why), DisconnectCode.BY_APPLICATION, why)

    def _change_bans(self, message: Banned) -> None:
        bans: list[Ban] = unpacked(message.bans)
        if message.whole:
            self._bans.replace(bans)
        else:
            for ban in bans:
                self._bans.put(ban)

    def _on_answer(self, message: Answered) -> None:
        asked, then = self._asked.get(message.visit, (0, None))
        if then is not None and asked == message.ask:
            del self._asked[message.visit]
            then(unpacked(message.answer), message.at_once)

    def _on_lost(self, reason: str | None) -> None:
        # Without the monitor nobody can log in.
        self._retire(0.0)

    def _retire(self, seconds: float) -> None:
        """Take no more connections; those that log in have so many seconds left."""
        if not self._begun.done():
            self._begun.cancel()
        for server in self._servers:
            server.stop_listening()
        self._link.send(Stopped().encode())
        loop = asyncio.get_running_loop()
        # What was accepted last is a connection of the server only some turns later.
        loop.call_later(min(seconds, _LOOK_AGAIN), self._look, loop.time() + seconds)

    def _look(self, deadline: float) -> None:
        """End when nobody is left who logs in, or at the deadline."""
        loop = asyncio.get_running_loop()
        if loop.time() >= deadline or all(server.empty for server in self._servers):
            self._close()
        else:
            loop.call_later(_LOOK_AGAIN, self._look, deadline)

    def _close(self) -> None:
        for server in self._servers:
            server.close()
        self._over.set()

    # --- one connection ---

    def _judge(self, client: Client, questions: Questions, banner: str) -> Judging:
        assert isinstance(client, Serving)
        client.terms = replace(client.terms, sign_host=partial(self._sign, client))
        if client.id in self._known:
            self._known.discard(client.id)
            self._enter(client)
        return _RemoteJudge(self, client)

    def number(self, client: Serving) -> int:
        """Return the number of the client, of whom the monitor is told with the first question."""
        number = client.id
        if number not in self._visits:
            transport = client.driver.transport
            assert transport is not None
            sock = transport.get_extra_info("socket")
            self._link.send_later(Arrived(number).encode(), [sock.fileno()])
            self._enter(client)
        return number

    def _enter(self, client: Serving) -> None:
        """Note that the monitor knows a client, until it leaves."""
        number = client.id
        self._visits[number] = client
        client.spawn(_until_cancelled()).add_done_callback(lambda _: self._left(number))

    async def _find_origin(self, number: int, sock: socket.socket) -> ClientOrigin | None:
        """Have the monitor read the header of a proxy, so that it need not take our word for it.

        :raises ConnectionLost: the connection is refused.
        :raises ProxyGone: the proxy has left.
        """
        waiting = asyncio.get_running_loop().create_future()
        self._origins[number] = waiting
        self._link.send(ReadOrigin(number).encode(), [sock.fileno()])
        try:
            found: ClientOrigin | str | None = await waiting
        except asyncio.CancelledError:
            self._link.send(Left(number).encode())
            raise
        finally:
            del self._origins[number]
        if isinstance(found, str):
            raise ConnectionLost(found) if found else ProxyGone
        if found is not None and self._bans.refuses(found.peer[0]):
            self._link.send(Left(number).encode())
            raise ConnectionLost(BANNED)
        self._known.add(number)
        return found

    def _left(self, number: int) -> None:
        """Forget a connection that is over, and tell the monitor, unless it was handed over."""
        self._asked.pop(number, None)
        if self._visits.pop(number, None) is not None:
            self._link.send_later(Left(number).encode())

    def ask(
        self, visit: int, make: Callable[[int], Message], then: Callable[[Answer, bool], object]
    ) -> None:
        """Send a question to the monitor, and call ``then`` with its answer.

        The second argument tells whether nothing was looked up in a thread for it.

        A connection has one question at a time; what it asked before needs no answer any more.
        """
        self._last_ask += 1
        self._asked[visit] = self._last_ask, then
        self._link.send(make(self._last_ask).encode())

    async def _sign(self, client: Serving, key: PublicKey, data: bytes, algorithm: str) -> bytes:
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        visit = self.number(client)
        self.ask(
            visit,
            lambda ask: SignExchange(visit, ask, key.blob, algorithm, data),
            partial(_settle, answered),
        )
        answer = await answered
        if not isinstance(answer, Signature):
            raise UnusableKey("the monitor has made no signature")
        return answer.blob

    async def _hand_over(
        self, client: ServerConnection, frozen: FrozenServer, sock: socket.socket
    ) -> None:
        # The monitor has the socket since the beginning.
        assert isinstance(client, Serving)
        number = self.number(client)
        del self._visits[number]
        self._link.send(HandOver(number, frozen.encode()).encode())


async def _until_cancelled() -> None:
    await asyncio.Event().wait()


def _settle(answered: asyncio.Future[Answer], answer: Answer, _at_once: bool) -> None:
    if not answered.done():
        answered.set_result(answer)


class _RemoteJudge:
    """Has the monitor answer the questions of a login."""

    __slots__ = ("_client", "_gate")

    def __init__(self, gate: GateServer, client: Serving) -> None:
        self._gate = gate
        self._client = client

    def take(self, ask: Ask) -> None:
        """Pass a question on; its answer comes later."""
        visit = self._gate.number(self._client)
        self._gate.ask(
            visit,
            partial(_MESSAGES[type(ask)], ask, visit),
            partial(self._client.answer_remotely, ask.ask_id),
        )


def _password(ask: AskPassword, visit: int, number: int) -> Message:
    new = ask.new_password
    return OfferPassword(visit, number, ask.password, new is not None, new or "")


def _public_key(ask: AskPublicKey, visit: int, number: int) -> Message:
    if not ask.signed:
        return QueryKey(visit, number, ask.algorithm, ask.key.blob)
    return ProveKey(visit, number, ask.host_bound, ask.fields)


def _respond(ask: AskKeyboardInteractive, visit: int, number: int) -> Message:
    responses = b"".join(map(text, ask.responses or ()))
    return AnswerPrompts(visit, number, ask.responses is None, ask.submethods, responses)


_MESSAGES: dict[type[Ask], Callable[[Any, int, int], Message]] = {
    AskUser: lambda ask, visit, number: NameUser(visit, number, ask.user),
    AskPassword: _password,
    AskPublicKey: _public_key,
    AskHostBased: lambda ask, visit, number: ProveHost(visit, number, ask.fields),
    AskKeyboardInteractive: _respond,
}


def confine(rights: tuple[int, int] | None) -> None:
    """Give up all rights, and all files; this process must have one thread.

    The root directory of a gate under root is an empty directory that no path leads to any more.

    :param rights: the numbers of the account and of its group to take on; None to keep them.
    :raises OSError: the kernel refuses what it has.
    """
    with tempfile.TemporaryDirectory(prefix="nacre-gate-") as path:
        empty = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    only = f"/proc/self/fd/{empty}"
    if rights is not None:
        os.fchdir(empty)
        os.chroot(".")
        only = "/"
        uid, gid = rights
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    Sandbox(gate_rules(os.getpid()), ((only, READ_DIR),)).enter()
    os.close(empty)


def load() -> None:
    """Load all that a gate needs, before it is forked."""
    preload.load()


def main(given: dict[str, Any], sock: socket.socket) -> None:
    """Be a gate: what to do comes over the link."""
    allow_descriptors()
    asyncio.run(_run(sock))


async def _run(sock: socket.socket) -> None:
    await GateServer(sock).run()
