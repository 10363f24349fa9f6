"""A directory that is a program: a run for each question, with JSON in and out."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic

from nacre.daemon.accounts.accounts import find_account
from nacre.daemon.accounts.authorized.commands import program_fault
from nacre.daemon.accounts.directories.values import MOST, SECONDS
from nacre.errors import AccountError

_PATH = "/usr/bin:/bin:/usr/sbin:/sbin"
_BLOCK = 1 << 16


@dataclass(frozen=True, slots=True)
class AskedProgram:
    """Puts questions to a program; see :class:`~.values.AskDirectory`.

    It is killed, with the processes of its process group, when it takes too long or prints too
    much. What it leaves running when it ends by itself, lives on.

    :ivar path: the program. Nobody but root and this process's account may be able to change it.
    :ivar account: what it runs as; None for this process's account.
    """

    path: str
    account: str | None = None

    def check(self) -> None:
        """Check the program and the account, at the start.

        :raises AccountError: it can't be run.
        """
        if os.geteuid() == 0 and self.account is None:
            raise AccountError(
                "--users command: under root, say as which account the program runs: "
                "--users-program-account ACCOUNT"
            )
        if self.account is not None:
            account = find_account(self.account)
            if os.geteuid() not in (0, account.uid):
                raise AccountError(f"only root can run a program as {self.account}")
        self._check_program()

    def _check_program(self) -> None:
        fault = program_fault(self.path, frozenset({0, os.geteuid()}))
        if fault is not None:
            raise AccountError(f"--users command: {fault}")

    def __call__(self, question: Mapping[str, object]) -> object:
        """Return the answer. Blocks.

        :raises AccountError: the program fails, takes too long, or prints what is no JSON.
        """
        self._check_program()
        try:
            process = self._start()
        except OSError as error:
            raise AccountError(f"can't run {self.path}: {error.strerror}") from error
        try:
            output = _converse(process, json.dumps(question).encode(), monotonic() + SECONDS)
        finally:
            # Its number is its own until somebody has waited for it.
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with suppress(OSError):
                        stream.close()
        try:
            return json.loads(output)
        except (ValueError, RecursionError):
            raise AccountError(f"{self.path} printed what is no JSON") from None

    def _start(self) -> subprocess.Popen[bytes]:
        account = None if self.account is None else find_account(self.account)
        rights = None if account is None else account.credentials
        environment = {"PATH": _PATH}
        if account is not None:
            environment |= {"USER": account.name, "LOGNAME": account.name, "HOME": account.home}
        return subprocess.Popen(
            [self.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            cwd="/",
            bufsize=0,
            start_new_session=True,
            user=None if rights is None else rights.uid,
            group=None if rights is None else rights.gid,
            extra_groups=None if rights is None else rights.groups,
        )


def _converse(process: subprocess.Popen[bytes], question: bytes, deadline: float) -> bytes:
    """Write the question and return the output of a program that ends with status 0.

    :raises AccountError: it does not, or there is too much output.
    """
    assert process.stdin is not None
    assert process.stdout is not None
    output, rest = bytearray(), memoryview(question)
    os.set_blocking(process.stdin.fileno(), False)
    with selectors.DefaultSelector() as waiting:
        waiting.register(process.stdin, selectors.EVENT_WRITE)
        waiting.register(process.stdout, selectors.EVENT_READ)
        while process.stdout in (key.fileobj for key in waiting.get_map().values()):
            ready = waiting.select(max(0.0, deadline - monotonic()))
            if not ready:
                raise AccountError(_LATE)
            for key, _ in ready:
                if key.fileobj is process.stdin:
                    rest = rest[_written(process, rest) :]
                    if not rest:
                        waiting.unregister(process.stdin)
                        process.stdin.close()
                    continue
                data = os.read(process.stdout.fileno(), _BLOCK)
                output += data
                if not data:
                    waiting.unregister(process.stdout)
                if len(output) > MOST:
                    raise AccountError(f"the program printed more than {MOST} bytes")
    try:
        status = process.wait(max(0.0, deadline - monotonic()))
    except subprocess.TimeoutExpired:
        raise AccountError(_LATE) from None
    if status:
        raise AccountError(f"the program ended with status {status}")
    return bytes(output)


_LATE = f"the program took more than {SECONDS:g} seconds"


def _written(process: subprocess.Popen[bytes], rest: memoryview) -> int:
    """Write what fits; all of it where nobody reads any more."""
    assert process.stdin is not None
    try:
        return os.write(process.stdin.fileno(), rest)
    except BlockingIOError:
        return 0
    except BrokenPipeError:
        return len(rest)
