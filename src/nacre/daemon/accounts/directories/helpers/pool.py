"""Processes that ask a directory for this one, where a library could hang or be taken over.

A helper gets lines of JSON on its standard input and answers each with one: first its settings,
which it does not answer, then questions. It has the rights of a gate, ends when its input ends, and
is killed when an answer is late. So a library that hangs costs nothing but that helper.
"""

from __future__ import annotations

import fcntl
import json
import os
import selectors
import subprocess
import threading
import weakref
from collections.abc import Mapping
from contextlib import suppress
from time import monotonic
from typing import Any

from nacre.daemon.accounts.directories.values import MOST, SECONDS
from nacre.errors import AccountError
from nacre.isolated import isolated, with_modules

_MOST_HELPERS = 8
_MOST_IDLE = 2
_BLOCK = 1 << 16

_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""Where the authorities of TLS are, where the operator has said so."""

_PIPE = 1 << 19
"""Bytes of a pipe: more than settings and a question have together."""


class AskedHelpers:
    """Puts questions to helpers, and starts one when none is idle; see ``values.AskDirectory``.

    :param module: what a helper runs: its ``main()``.
    :param settings: what it is told first.
    :param rights: the account and the group that it runs as; None for this process's own.
    :ivar close: ends those that are idle, as the end of this object or of this process does.
    """

    def __init__(
        self, module: str, settings: Mapping[str, Any], rights: tuple[int, int] | None
    ) -> None:
        self._module = module
        self._first = json.dumps({"settings": settings, "rights": rights}).encode() + b"\n"
        self._idle: list[_Helper] = []
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(_MOST_HELPERS)
        self.close = weakref.finalize(self, _end_all, self._idle)

    def __call__(self, question: Mapping[str, object]) -> object:
        """Return the answer. Blocks.

        :raises AccountError: there is none; the message is the helper's, or says what it did.
        """
        deadline = monotonic() + SECONDS
        if not self._places.acquire(timeout=SECONDS):
            raise AccountError(f"{_MOST_HELPERS} questions wait for the directory already")
        try:
            return self._ask(json.dumps(question).encode() + b"\n", deadline)
        finally:
            self._places.release()

    def _ask(self, line: bytes, deadline: float) -> object:
        helper = self._take()
        try:
            answer = helper.ask(line, deadline)
        except AccountError:
            helper.end()
            raise
        with self._lock:
            kept = len(self._idle) < _MOST_IDLE
            if kept:
                self._idle.append(helper)
        if not kept:
            helper.end()
        return _read(answer)

    def _take(self) -> _Helper:
        """Return a helper that runs and has no question."""
        while True:
            with self._lock:
                helper = self._idle.pop() if self._idle else None
            if helper is None:
                return self._start()
            if helper.runs:
                return helper
            helper.end()

    def _start(self) -> _Helper:
        try:
            return _Helper(self._module, self._first)
        except OSError as error:
            raise AccountError(f"can't start a process for it: {error.strerror}") from error


def _end_all(helpers: list[_Helper]) -> None:
    while helpers:
        helpers.pop().end()


class _Helper:
    """A helper that runs."""

    def __init__(self, module: str, first: bytes) -> None:
        self._process = subprocess.Popen(
            isolated(with_modules(f"from {module} import main; main()")),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={name: os.environ[name] for name in _VARIABLES if name in os.environ},
            cwd="/",
            bufsize=0,
            start_new_session=True,
        )
        self._first = first
        assert self._process.stdin is not None
        fcntl.fcntl(self._process.stdin, fcntl.F_SETPIPE_SZ, _PIPE)

    @property
    def runs(self) -> bool:
        return self._process.poll() is None

    def ask(self, line: bytes, deadline: float) -> bytes:
        """Return the line that answers a line.

        :raises AccountError: it ends, is late, or says too much.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        sent, self._first = self._first + line, b""
        try:
            # The pipe takes it all, so this does not wait, whatever the helper does.
            self._process.stdin.write(sent)
        except OSError:
            raise AccountError(_ENDED) from None
        output = bytearray()
        with selectors.DefaultSelector() as waiting:
            waiting.register(self._process.stdout, selectors.EVENT_READ)
            while not output.endswith(b"\n"):
                if not waiting.select(max(0.0, deadline - monotonic())):
                    raise AccountError(f"it took more than {SECONDS:g} seconds")
                data = os.read(self._process.stdout.fileno(), _BLOCK)
                output += data
                if not data:
                    raise AccountError(_ENDED)
                if len(output) > MOST:
                    raise AccountError(f"it sent more than {MOST} bytes")
        return bytes(output)

    def end(self) -> None:
        """Kill it, and reap it."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()


_ENDED = "the process that asks it has ended"


def _read(line: bytes) -> object:
    """Return the answer in a line of a helper.

    :raises AccountError: it is an error, or can't be read.
    """
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, Mapping):
        if isinstance(found.get("error"), str):
            raise AccountError(found["error"])
        if "answer" in found:
            return found["answer"]
    raise AccountError("the process that asks it answers what can't be read")
