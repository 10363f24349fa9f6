"""The first process of the API: it starts the others, and starts them again when one dies.

It reads what the server gives it at its start, and nothing else. When the server is gone, all of
them end.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import ssl
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NoReturn

from nacre.cli.api import back, front
from nacre.cli.api.front import FrontClients
from nacre.cli.api.http import tls_context
from nacre.cli.api.recordings import reader
from nacre.daemon.api.plan import READY, ServedSSH
from nacre.daemon.control.caller import ControlCaller
from nacre.daemon.control.requests import Tell
from nacre.daemon.memory import keep_secrets
from nacre.daemon.sandbox.kernel import call_itself
from nacre.errors import NacreError

_PAUSE = 1.0
"""The least number of seconds from one start of the processes to the next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class APISettings:
    """What the server gives.

    :ivar state: the state directory.
    :ivar sockets: the descriptors to listen on; ``local`` those of Unix sockets.
    :ivar shared: whether other accounts may connect to the Unix sockets.
    :ivar certificate: a file; empty for HTTP without TLS. ``key`` likewise.
    :ivar rights: the account and group of the process that reads HTTP; None to keep the server's.
    :ivar audited: whether calls are events of the audit.
    :ivar recordings: a descriptor of the directory of recordings; None where there are none.
    :ivar addresses: where SSH is served, and ``host_keys`` with which keys.
    :ivar recorder: the account and group that it belongs to; None for the server's.
    """

    state: str
    sockets: list[int]
    local: list[int]
    shared: bool
    certificate: str
    key: str
    rights: list[int] | None
    audited: bool
    recordings: int | None
    recorder: list[int] | None
    addresses: list[str]
    host_keys: list[str]


def main(number: int) -> NoReturn:
    """Serve until the server ends.

    :param number: the descriptor of the link to the server.
    """
    link = socket.socket(fileno=number)
    link.set_inheritable(False)
    keep_secrets()
    with link.makefile("rb") as lines:
        given = APISettings(**json.loads(lines.readline()))
    try:
        tls = tls_context(given.certificate, given.key) if given.certificate else None
    except (OSError, ValueError) as error:
        link.sendall(f"the certificate or its key can't be used: {error}\n".encode())
        sys.exit(1)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    call_itself("api")
    link.sendall(READY)
    sockets, local = (
        [socket.socket(fileno=one) for one in some] for some in (given.sockets, given.local)
    )
    while True:
        began = time.monotonic()
        with _Processes(given, sockets, local, tls, link) as processes:
            over = processes.wait(link)
        if over:
            sys.exit(0)
        _report(Path(given.state))
        if _ended(link, max(0.0, began + _PAUSE - time.monotonic())):
            sys.exit(0)


def _ended(link: socket.socket, seconds: float) -> bool:
    """Wait, and tell whether the server has ended meanwhile."""
    return bool(_readable([link.fileno()], seconds * 1000))


def _readable(descriptors: Iterable[int], milliseconds: float | None = None) -> list[int]:
    """Wait; return which can be read. ``select`` would take none beyond 1023."""
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return [descriptor for descriptor, _ in poll.poll(milliseconds)]


def _report(state: Path) -> None:
    """Have the server log that a process has died, if it can."""
    told = Tell(key="", action="died", status=500, peer="", reason="a process of the API has died")
    with suppress(NacreError), ControlCaller(state) as caller:
        list(caller.ask("tell", told))


class _Processes:
    """The processes, which end together.

    There are two for clients with keys, and two for clients of the Unix sockets that need none: so
    a process which strangers have taken over has no link to one that asks for no key.
    """

    def __init__(
        self,
        given: APISettings,
        sockets: list[socket.socket],
        local: list[socket.socket],
        tls: ssl.SSLContext | None,
        link: socket.socket,
    ) -> None:
        self._given = given
        # Its other end is kept by this process alone: the others notice its end by that.
        self._alive, self._kept = os.pipe()
        self._pids: list[int] = []
        passes, gets = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._open = [link, *sockets, *local, passes, gets]
        self._readers: list[socket.socket] = []
        if sockets or given.shared:
            listening = FrontClients(sockets=sockets, tls=tls, passed=gets)
            self._start(listening, [*sockets, gets], trusted=False)
        if local:
            owners = frozenset({0, os.geteuid()})
            listening = FrontClients(sockets=local, owners=owners, passes=passes)
            self._start(listening, [*local, passes], trusted=True)
        if given.recordings is not None:
            self._start_reader(given.recordings)
        for one in (passes, gets, *self._readers):
            one.close()
        os.close(self._alive)

    def _start(
        self, listening: FrontClients, sockets: list[socket.socket], *, trusted: bool
    ) -> None:
        """Start a process that reads HTTP, and the one that does what it asks for.

        :param sockets: those that are for the first.
        :param trusted: whether its clients need no keys.
        """
        given = self._given
        ours, theirs = socket.socketpair()
        rights = None if given.rights is None else (given.rights[0], given.rights[1])
        state, audited = Path(given.state), given.audited
        asks, answers = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._readers.append(answers)
        # Without recordings nobody is at the other end, and nothing is asked.
        recordings = None if given.recordings is None else asks
        serve = partial(
            back.main,
            state,
            ours,
            self._alive,
            audited=audited,
            trusted=trusted,
            recordings=recordings,
            ssh=ServedSSH(tuple(given.addresses), tuple(given.host_keys)),
        )
        listen = partial(front.main, theirs, self._alive, listening, rights)
        with ours, theirs, asks:
            self._fork("api-back", serve, [theirs, *self._readers, *self._open])
            foreign = [one for one in self._open if one not in sockets]
            self._fork("api-front", listen, [ours, asks, *self._readers, *foreign])

    def _start_reader(self, directory: int) -> None:
        """Start the process with the recordings, for all that ask for some."""
        given = self._given
        rights = None if given.recorder is None else (given.recorder[0], given.recorder[1])
        read = partial(reader.main, directory, rights, self._readers, self._alive)
        self._fork("api-recordings", read, self._open, directory)

    def _fork(
        self,
        name: str,
        run: Callable[[], None],
        foreign: list[socket.socket],
        directory: int | None = None,
    ) -> None:
        """Fork a process.

        :param foreign: sockets that are not for it.
        :param directory: the directory of recordings, where it is for it.
        """
        pid = os.fork()
        if pid:
            self._pids.append(pid)
            return
        status = 1
        try:
            call_itself(name)
            os.close(self._kept)
            for sock in foreign:
                sock.close()
            if directory is None and self._given.recordings is not None:
                os.close(self._given.recordings)
            run()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)

    def __enter__(self) -> _Processes:
        return self

    def wait(self, link: socket.socket) -> bool:
        """Wait until one of them or the server ends; tell whether it was the server."""
        watched = [os.pidfd_open(pid) for pid in self._pids]
        try:
            return link.fileno() in _readable([link.fileno(), *watched])
        finally:
            for descriptor in watched:
                os.close(descriptor)

    def __exit__(self, *_: object) -> None:
        os.close(self._kept)
        for pid in self._pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)
