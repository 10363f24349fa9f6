"""Controls a server with workers: a process of its own has the socket, and asks all workers.

The supervisor has no loop. So it forks one more process, and makes a link to each place of a worker
before: a worker that replaces another one has its link. A message is a number and a line of JSON;
what a worker sends that nobody waits for any more is dropped.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import struct
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from typing import Any, NoReturn

from nacre.daemon.control.controlled import Everywhere
from nacre.daemon.control.elder import ElderRoster, JoinedRoster
from nacre.daemon.control.followers import Followers, stamped
from nacre.daemon.control.place import ControlPlace
from nacre.daemon.control.requests import (
    REQUESTS,
    Kill,
    ServerControl,
    Who,
    asked,
    noted_by,
    written,
)
from nacre.daemon.control.roster import Listing, Roster
from nacre.daemon.control.service import ControlService
from nacre.daemon.control.values import (
    Begun,
    ControlError,
    Finished,
    Logged,
    Lost,
    Rejected,
    json_line,
    line_of,
    value_of,
)
from nacre.daemon.log.server_log import ServerLog
from nacre.daemon.sandbox.kernel import call_itself
from nacre.daemon.watching.frames import WatchMode, WatchOrder
from nacre.limits import KIB

_NUMBER = struct.Struct("=I")
_UNASKED = 0
"""The number of what a worker sends without a question: records of the log."""

_LONGEST = 256 * KIB
"""Bytes of a message."""

_PATIENCE = 2.0
"""Seconds that a worker has to answer."""

_FOLLOW = b"follow"
_STOP = b"stop"
"""What a worker is told about its log."""


class WorkerLinks:
    """The links between the control process and the workers, with the socket and its process.

    :param place: the control socket.
    :param workers: how many places for workers there are.
    :param watch: whether sessions may be watched.
    :param elder: the connections of the server that this one follows.
    :param everywhere: adds the connections of other servers; None for none.
    :ivar pid: the number of the process; 0 for none.
    """

    def __init__(
        self,
        place: ControlPlace,
        workers: int,
        watch: WatchMode = "no",
        elder: ElderRoster | None = None,
        everywhere: Everywhere | None = None,
    ) -> None:
        self.place = place
        self._everywhere = everywhere
        self._watch = watch
        self._elder = elder
        self._heir: socket.socket | None = None
        kind = socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK
        pairs = [socket.socketpair(socket.AF_UNIX, kind) for _ in range(workers + 1)]
        self._ours = [ours for ours, _ in pairs]
        # The last one is the supervisor's own.
        self._theirs = [theirs for _, theirs in pairs]
        self._ends, self._alive = os.pipe()
        self.pid = 0

    def start(self, others: Iterable[socket.socket]) -> None:
        """Fork the control process.

        :param others: sockets of the supervisor, which that process must not keep open.
        """
        self.pid = os.fork()
        if self.pid == 0:
            for sock in others:
                sock.close()
            self._be()

    def stop(self) -> None:
        """End the process, and leave the place to another server."""
        self._kill()
        self.place.remove()

    def hand_over(self, sock: socket.socket) -> None:
        """Leave the socket to a successor, which asks about what is left here on ``sock``.

        The process is ended: the next one that is started answers there.
        """
        self._kill()
        self._heir = sock
        self.place.leave()

    def forget(self, place: int) -> None:
        """Ask nothing any more where a worker has ended that no other replaces."""
        with suppress(OSError):
            gone = Rejected(reason="the worker has ended")
            self._theirs[place].send(_NUMBER.pack(_UNASKED) + line_of(gone))

    def _kill(self) -> None:
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.pid = 0

    def follow(self, log: ServerLog) -> None:
        """Give records of the supervisor to those who follow the log."""
        sock = self._theirs[-1]

        def take(record: Mapping[str, object]) -> None:
            # Where nobody takes them, the link is full, and they are dropped.
            with suppress(OSError):
                sock.send(_NUMBER.pack(_UNASKED) + line_of(Logged(record=stamped(record))))

        log.follow = take

    def be_worker(self, place: int) -> WorkerEnd:
        """Return what controls this process, which was forked as the worker of a place."""
        self.place.leave()
        os.close(self._alive)
        return WorkerEnd(self._theirs[place])

    def _be(self) -> NoReturn:
        """Run as the control process and never return into the supervisor's code."""
        status = 1
        try:
            call_itself("control")
            os.close(self._alive)
            for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
                signal.signal(number, signal.SIG_IGN)  # they are for the supervisor
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            asyncio.run(self._serve())
            status = 0
        finally:
            os._exit(status)

    async def _serve(self) -> None:
        """Answer until the supervisor has ended."""
        loop = asyncio.get_running_loop()
        followers = Followers(lambda on: roster.tell(on))
        roster = WorkersRoster(self._ours[:-1], followers)
        own = _Link(self._ours[-1], followers)
        joined: Roster = roster if self._elder is None else JoinedRoster(roster, self._elder)
        if self._everywhere is not None and self._heir is None:
            joined = self._everywhere(joined)
        control = ServerControl(joined, followers, roster.note, self._watch)
        service = ControlService(self.place.listener, control)
        if self._heir is not None:
            service.attend(self._heir, "", None)
        over = asyncio.Event()
        loop.add_reader(self._ends, over.set)
        await over.wait()
        service.close()
        own.close()


class WorkersRoster:
    """The connections of all workers.

    :param links: the ends of the links to them.
    """

    def __init__(self, links: list[socket.socket], followers: Followers) -> None:
        self._links = [_Link(sock, followers) for sock in links]

    def tell(self, on: bool) -> None:
        """Tell all workers whether somebody follows the log."""
        for link in self._links:
            link.tell(_FOLLOW if on else _STOP)

    async def _ask(self, name: str, request: object) -> tuple[list[Any], int]:
        """Return the values of all answers, and how many workers did not answer in time."""
        asked = written(name, request)
        answers = await asyncio.gather(*(link.ask(asked) for link in self._links))
        return [one for values, _ in answers for one in values], sum(
            not complete for _, complete in answers
        )

    async def connections(self) -> Listing:
        """Return all, also those that log in."""
        return Listing(*await self._ask("who", Who(everyone=True)))

    async def end(self, ids: Collection[str], user: str | None, reason: str) -> list[Any]:
        """End the connections with these numbers, and those of a user who is logged in."""
        found, _ = await self._ask("kill", Kill(ids=tuple(ids), user=user, reason=reason))
        return found

    async def watch(self, order: WatchOrder, sock: socket.socket) -> bool:
        """Have a session shown over a socket; tell whether its connection is here.

        Each worker gets the socket, and only the one that has the connection answers on it.
        """
        asked = written("watch", order)
        answers = await asyncio.gather(*(link.ask(asked, [sock.fileno()]) for link in self._links))
        values = [one for values, _ in answers for one in values]
        for one in values:
            if isinstance(one, Rejected):
                raise ControlError(one.reason)
        if values:
            sock.close()
        return bool(values)

    async def note(self, record: Mapping[str, object]) -> None:
        """Have a worker log a record: the first one that answers."""
        members = {name: one for name, one in record.items() if name != "event"}
        for link in self._links:
            _, complete = await link.ask({"ask": "tell", **members})
            if complete:
                return


class _Link:
    """The control process's end of a link to a worker."""

    def __init__(self, sock: socket.socket, followers: Followers) -> None:
        self._sock = sock
        self._followers = followers
        self._loop = asyncio.get_running_loop()
        self._last = _UNASKED
        self._gone = False
        self._waiting: dict[int, tuple[list[Any], asyncio.Future[None]]] = {}
        self._loop.add_reader(sock, self._on_readable)
        self.tell(_FOLLOW if followers.any else _STOP)

    def close(self) -> None:
        self._loop.remove_reader(self._sock)

    def tell(self, what: bytes) -> None:
        with suppress(OSError):  # a worker that reads nothing hears of it when it is replaced
            self._sock.send(_NUMBER.pack(_UNASKED) + what)

    async def ask(
        self, request: Mapping[str, Any], descriptors: Collection[int] = ()
    ) -> tuple[list[Any], bool]:
        """Return the values of an answer, and whether it is complete.

        :param descriptors: go along with the request.
        """
        if self._gone:
            return [], True
        self._last += 1
        number, done = self._last, self._loop.create_future()
        values, _ = self._waiting[number] = [], done
        try:
            message = _NUMBER.pack(number) + json_line(request)
            socket.send_fds(self._sock, [message], list(descriptors))
            async with asyncio.timeout(_PATIENCE):
                await done
        except (OSError, TimeoutError):
            return values, False
        finally:
            del self._waiting[number]
        return values, True

    def _on_readable(self) -> None:
        try:
            data = self._sock.recv(_LONGEST)
            (number,) = _NUMBER.unpack_from(data)
            value = value_of(data[_NUMBER.size :])
        except (OSError, struct.error, ControlError):
            return  # a worker has the rights of this process: what it sends wrong is a mistake
        if number != _UNASKED:
            self._on_answer(number, value)
        elif isinstance(value, Logged):
            self._followers.give(value.record)
        elif isinstance(value, Lost):
            self._followers.lose(value.lines)
        elif isinstance(value, Rejected):  # the worker has ended, and none follows it
            self._gone = True
            for _, done in self._waiting.values():
                if not done.done():
                    done.set_result(None)
        else:  # a new worker
            self.tell(_FOLLOW if self._followers.any else _STOP)

    def _on_answer(self, number: int, value: object) -> None:
        values, done = self._waiting.get(number, ([], None))
        if done is None or done.done():
            return  # it comes too late
        if isinstance(value, Finished):
            done.set_result(None)
        else:
            values.append(value)


class WorkerEnd:
    """The worker's end of a link: see :class:`~nacre.daemon.control.controlled.Controlled`."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._sending = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._lost = 0

    def begin(self, roster: Roster, log: ServerLog) -> None:
        """Answer from now on, on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._log = log
        self._roster = roster
        self._control = ServerControl(roster, Followers(), noted_by(log))
        self._loop.add_reader(self._sock, self._on_readable)
        with suppress(OSError):
            self._sock.send(_NUMBER.pack(_UNASKED) + line_of(Finished()))

    def end(self) -> None:
        """Answer on: connections go on for a while, and the control process ends by itself."""

    def _on_readable(self) -> None:
        try:
            data, descriptors, _, _ = socket.recv_fds(self._sock, _LONGEST, 1)
        except OSError:
            return
        (number,) = _NUMBER.unpack_from(data)
        line = data[_NUMBER.size :]
        if number == _UNASKED:
            self._log.follow = self._take if line == _FOLLOW else None
            return
        if descriptors:
            os.set_inheritable(descriptors[0], False)
            work = self._watch(number, line, socket.socket(fileno=descriptors[0]))
        else:
            work = self._answer(number, line)
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, number: int, line: bytes) -> None:
        name, request = asked(line)
        _, handler = REQUESTS[name]
        with suppress(TimeoutError, OSError):  # nobody waits for the answer any more
            async with asyncio.timeout(_PATIENCE), self._sending:
                async for value in handler(self._control, request):
                    message = _NUMBER.pack(number) + line_of(value)
                    await self._loop.sock_sendall(self._sock, message)

    async def _watch(self, number: int, line: bytes, sock: socket.socket) -> None:
        """Have a session shown over a socket, if its connection is here."""
        _, order = asked(line)
        answer: list[object] = []
        try:
            if await self._roster.watch(order, sock):
                answer = [Begun(terminal=False)]  # or why not: the socket has the answer
            else:
                sock.close()
        except ControlError as error:
            answer = [Rejected(reason=str(error))]
            sock.close()
        with suppress(TimeoutError, OSError):  # nobody waits for the answer any more
            async with asyncio.timeout(_PATIENCE), self._sending:
                for value in (*answer, Finished()):
                    message = _NUMBER.pack(number) + line_of(value)
                    await self._loop.sock_sendall(self._sock, message)

    def _take(self, record: Mapping[str, object]) -> None:
        self._loop.call_soon_threadsafe(self._tell, stamped(record))

    def _tell(self, record: Mapping[str, object]) -> None:
        """Send a record, or count it as lost: nothing here waits for who follows the log."""
        try:
            if self._lost:
                self._sock.send(_NUMBER.pack(_UNASKED) + line_of(Lost(lines=self._lost)))
                self._lost = 0
            self._sock.send(_NUMBER.pack(_UNASKED) + line_of(Logged(record=record)))
        except OSError:
            self._lost += 1
