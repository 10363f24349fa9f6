"""The server's end of a process of PAM: it is started, asked, and closed."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from nacre.daemon.processes.child import ChildProcess, watch
from nacre.daemon.processes.pam import messages
from nacre.daemon.processes.pam.messages import LARGEST, Judged, OpenedSession, Prompts
from nacre.daemon.processes.template import TEMPLATE, Forked, Kind, NoAnswer, request_fork
from nacre.errors import AccountError
from nacre.server.admission.user_threads import PATIENCE

GRACE = 10.0
"""Seconds that a process has to close its session."""

_LONGEST = 512
"""Bytes of a response that PAM takes (PAM_MAX_RESP_SIZE)."""

_TOO_LONG = f"longer than the {_LONGEST} bytes that PAM takes"


class PAMLogin:
    """PAM for one login, in a process of its own.

    One request is under way at a time. A request fails with :class:`AccountError` when the process
    has ended, or does not answer in time.

    :ivar user: the name that the client has given.
    :ivar pid: the process.
    :ivar ended: done when the process has ended; its result says how.
    :ivar closed: whether this side has told it to end.
    :ivar texts: what modules have to say to a user who is let in.
    :ivar session: what the session gives its processes, once it is open.
    """

    def __init__(
        self, user: str, child: ChildProcess, sock: socket.socket, settled: Callable[[], None]
    ) -> None:
        """Watch a process.

        :param child: what :func:`spawn` has started.
        :param sock: our end of its socket.
        :param settled: called when the session is open or refused, and when the process has ended.
        :raises OSError: it can't be watched, and was killed.
        """
        self.user = user
        self._child = child
        self.pid = child.pid
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._settled = settled
        self._killing: asyncio.TimerHandle | None = None
        self.ended: asyncio.Future[str] = self._loop.create_future()
        self.closed = False
        self.texts: list[str] = []
        self.session: OpenedSession | None = None
        try:
            watch(child.pid, self._loop, self._on_exit)
        except BaseException:
            child.kill()
            child.wait()
            sock.close()
            raise

    def _on_exit(self) -> None:
        how = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        assert how is not None
        self._child.wait()
        if self._killing is not None:
            self._killing.cancel()
        self._sock.close()
        self._settled()
        kind = "status" if how.si_code == os.CLD_EXITED else "signal"
        self.ended.set_result(f"{kind} {how.si_status}")

    def close(self) -> None:
        """Let the process close the session and end. A second call does nothing."""
        if self.closed:
            return
        self.closed = True
        if not self.ended.done():
            with suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)
            self._killing = self._loop.call_later(GRACE, self._child.kill)

    # --- requests ---

    async def begin(self, service: str, host: str) -> Judged:
        """Begin a transaction; the parameters are those of :class:`.messages.Begin`."""
        return await self._outcome(messages.Begin(service, self.user, host))

    async def check_password(
        self, password: str, *, empty: bool = False, new: str | None = None
    ) -> Judged:
        """Check a password and the account; see :class:`.messages.CheckPassword`."""
        if _too_long(password, new or ""):
            return Judged(_TOO_LONG)
        return await self._outcome(messages.CheckPassword(password, empty, new))

    async def hold_dialogue(
        self, *, empty: bool = False, pretended: bool = False
    ) -> Prompts | Judged:
        """Begin a dialogue that ends with an outcome; one that is under way is given up.

        See :class:`.messages.HoldDialogue`.
        """
        return await self._step(messages.HoldDialogue(empty, pretended))

    async def respond(self, responses: Sequence[str]) -> Prompts | Judged:
        """Go on with the dialogue."""
        if _too_long(*responses):
            return Judged(_TOO_LONG)
        return await self._step(messages.Respond(tuple(responses)))

    async def check_account(self) -> Judged:
        """Check whether the account may be used."""
        return await self._outcome(messages.CheckAccount())

    async def open_session(self, groups: Sequence[int]) -> Judged:
        """Open the session; if the outcome has no reason, :attr:`session` is there."""
        try:
            answer = await self._ask(messages.OpenSession(tuple(groups)))
        finally:
            self._settled()
        if isinstance(answer, Judged):
            return answer
        assert isinstance(answer, OpenedSession)
        self.session = answer
        return Judged()

    async def _outcome(self, request: messages.Request) -> Judged:
        answer = await self._ask(request)
        assert isinstance(answer, Judged)
        return answer

    async def _step(self, request: messages.Request) -> Prompts | Judged:
        answer = await self._ask(request)
        assert not isinstance(answer, OpenedSession)
        return answer

    async def _ask(self, request: messages.Request) -> messages.Answer:
        data = b""
        try:
            async with asyncio.timeout(PATIENCE):
                with suppress(ConnectionError):
                    await self._loop.sock_sendall(self._sock, messages.encode(request))
                    data = await self._loop.sock_recv(self._sock, LARGEST)
                if not data:
                    how = await asyncio.shield(self.ended)
                    raise AccountError(f"the process of PAM has ended: {how}")
        except TimeoutError:
            self._child.kill()
            raise AccountError(f"PAM has not answered within {PATIENCE:g} seconds") from None
        answer: messages.Answer = messages.decode(data)
        if isinstance(answer, OpenedSession) or (isinstance(answer, Judged) and not answer.reason):
            self.texts += [text for text in answer.texts if text not in self.texts]
        return answer

    # --- processes of the session ---

    def fork(
        self, kind: Kind, given: Mapping[str, object], streams: Sequence[int], *more: int
    ) -> Forked:
        """Have the process fork one of the session; see :class:`~.template.Forks`. Blocks."""
        try:
            return request_fork(self._sock, kind, given, (*streams, *more))
        except NoAnswer:
            raise OSError(errno.EIO, "the process of PAM does not answer") from None


def _too_long(*responses: str) -> bool:
    return any(len(text.encode("utf-8", "surrogateescape")) > _LONGEST for text in responses)


def spawn() -> tuple[ChildProcess, socket.socket]:
    """Start a process of PAM; return it, and our end of its socket. Blocks.

    Nobody else has the socket, so a process whose socket is let go of ends.

    :raises OSError: it can't be started.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    try:
        with theirs, open(os.devnull, "r+b") as null:
            streams = (null.fileno(),) * 3
            forked = TEMPLATE.fork("pam", {}, streams, theirs.fileno())
    except BaseException:
        ours.close()
        raise
    forked.link.close()
    return forked, ours
