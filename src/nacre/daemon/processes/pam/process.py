"""The process of one login: it uses PAM, holds the session open, and forks its processes.

What modules change of a process in opening a session, they change of this one, and what it forks
inherits it: limits, the login's number for audits, a priority, a context of SELinux, a control
group, namespaces, a key ring. So the session's processes are forked here as the template forks
others, which has forked this one: they are children of the server.

When the server closes its socket, or is gone, this process closes the session and ends. It has one
thread, so a module that hangs holds up this login alone.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import chain, islice, repeat
from typing import TypeAlias

from nacre.daemon.processes.kinds.launcher import UMASK
from nacre.daemon.processes.pam.library import (
    AUTHTOK_EXPIRED,
    SUCCESS,
    Ask,
    Prompt,
    Transaction,
    refuse,
)
from nacre.daemon.processes.pam.messages import (
    LARGEST,
    Answer,
    Begin,
    CheckAccount,
    CheckPassword,
    HoldDialogue,
    Judged,
    OpenedSession,
    OpenSession,
    Prompts,
    Request,
    Respond,
    decode,
    encode,
)
from nacre.daemon.processes.template import FIRST_MORE, MOST_DESCRIPTORS
from nacre.value import replace

_ROOM = 32 * 1024
"""Characters of all prompts and texts in one answer."""

Fork: TypeAlias = "Callable[[str, list[int]], None]"
"""Forks a child for a request of the server, and closes the request's descriptors: see
:mod:`nacre.daemon.processes.template_process`."""


class LoginProcess:
    """Carries out a server's requests, one after the other.

    :param sock: a socket whose packets are messages, and requests for processes of the session.
    :param fork: makes these processes.
    """

    def __init__(self, sock: socket.socket, fork: Fork) -> None:
        self._sock = sock
        self._fork = fork
        self._pam: Transaction | None = None
        self._texts: list[str] = []
        self._authenticated = self._established = self._opened = False
        self._gone = False
        # What came in place of responses to prompts: the client has begun something else.
        self._next: Request | None = None

    def serve(self) -> None:
        """Return when the server is gone, and the session closed."""
        request = self._receive()
        while request is not None:
            answer = self._carry_out(request)
            request, self._next = self._next, None
            if request is None and not self._gone:
                self._send(answer)
                request = self._receive()
        self._close()

    def _send(self, answer: Answer) -> None:
        with suppress(ConnectionError):  # which the next call of _receive finds out
            self._sock.send(encode(answer))

    def _receive(self) -> Request | None:
        """Return the next request, or None when there will be none; fork processes meanwhile."""
        while True:
            data, descriptors = b"", list[int]()
            with suppress(ConnectionError):
                data, descriptors, _, _ = socket.recv_fds(self._sock, LARGEST, MOST_DESCRIPTORS)
            if not data:
                self._gone = True
                return None
            if not descriptors:
                request: Request = decode(data)
                return request
            self._fork(data.decode(), descriptors)

    def _carry_out(self, request: Request) -> Answer:
        match request:
            case Begin():
                return self._begin(request)
            case CheckPassword():
                return self._check_password(request)
            case HoldDialogue():
                return self._hold_dialogue(request)
            case CheckAccount():
                return self._concluded(self._transaction(refuse).account())
            case OpenSession(groups):
                return self._open(groups)
        return Judged("the dialogue is over")

    def _begin(self, request: Begin) -> Judged:
        try:
            self._pam = Transaction(request.service, request.user, request.host, self._say)
        except (OSError, ValueError) as error:
            return Judged(str(error))
        return Judged()

    def _transaction(self, ask: Ask) -> Transaction:
        assert self._pam is not None
        self._pam.ask = ask
        return self._pam

    def _check_password(self, request: CheckPassword) -> Judged:
        password, new = request.password, request.new
        code = self._check(_giving([password]), empty=request.empty)
        if new is None or code not in (SUCCESS, AUTHTOK_EXPIRED):
            return self._concluded(code)
        if code == SUCCESS:
            return Judged("the password has not expired")
        pam = self._transaction(_giving(chain([password], repeat(new))))
        return self._concluded(pam.change_expired())

    def _hold_dialogue(self, request: HoldDialogue) -> Judged:
        if request.pretended:
            outcome = self._concluded(
                self._transaction(self._ask).authenticate(empty=request.empty)
            )
            return replace(outcome, reason=outcome.reason or "the dialogue was pretended")
        code = self._check(self._ask, empty=request.empty)
        if code == AUTHTOK_EXPIRED:
            code = self._transaction(self._ask).change_expired()
        return self._concluded(code)

    def _check(self, ask: Ask, *, empty: bool) -> int:
        """Check who the user is, and the account."""
        pam = self._transaction(ask)
        code = pam.authenticate(empty=empty)
        if code == SUCCESS:
            self._authenticated = True
            code = pam.account()
        return code

    def _concluded(self, code: int) -> Judged:
        assert self._pam is not None
        reason = "" if code == SUCCESS else self._pam.reason(code)
        return Judged(reason, code == AUTHTOK_EXPIRED, self._said())

    def _open(self, groups: tuple[int, ...]) -> OpenedSession | Judged:
        pam = self._transaction(refuse)
        os.setgroups(groups)
        code = pam.establish()
        self._established = code == SUCCESS
        # Some modules have no credentials for a user whom they have not authenticated.
        if self._established or not self._authenticated:
            code = pam.open_session()
            self._opened = code == SUCCESS
        if not self._opened:
            return self._concluded(code)
        umask = os.umask(0)
        os.umask(umask)
        return OpenedSession(tuple(pam.environment()), tuple(os.getgroups()), umask, self._said())

    def _close(self) -> None:
        if self._pam is None:
            return
        if self._opened:
            self._transaction(refuse).close_session()
        if self._established:
            self._transaction(refuse).delete()
        self._pam.end()

    # --- what PAM says and asks ---

    def _say(self, text: str) -> None:
        """Keep a text for the user, as long as there is room."""
        room = _ROOM - sum(map(len, self._texts))
        if room > 0:
            self._texts.append(text[:room])

    def _said(self) -> tuple[str, ...]:
        """Return the texts since the last call."""
        said = tuple(self._texts)
        self._texts.clear()
        return said

    def _ask(self, prompts: Sequence[Prompt]) -> Sequence[str] | None:
        """Ask the server, and tell it what was said before."""
        shown = tuple((text[: _ROOM // len(prompts)], echo) for text, echo in prompts)
        self._send(Prompts(self._said(), shown))
        request = self._receive()
        if isinstance(request, Respond):
            return request.responses
        self._next = request
        return None


def _giving(answers: Iterable[str]) -> Ask:
    """Return what answers hidden prompts with ``answers`` in turn, and no other prompt."""
    left = iter(answers)

    def ask(prompts: Sequence[Prompt]) -> Sequence[str] | None:
        if any(echo for _, echo in prompts):
            return None
        return list(islice(left, len(prompts)))

    return ask


def main(fork: Fork) -> None:
    """Serve the login whose socket is the first descriptor behind the link.

    :param fork: makes the processes of the session.
    """
    os.umask(UMASK)
    with socket.socket(fileno=FIRST_MORE) as sock:
        LoginProcess(sock, fork).serve()
