"""Programs that print what lets users in: AuthorizedKeysCommand and AuthorizedPrincipalsCommand.

They are run as sshd(8) does: as an account of their own, without input, and only if no other
account than root could have changed the program. They are killed with the connection.
"""

from __future__ import annotations

import asyncio
import os
import signal
import stat
from asyncio.subprocess import DEVNULL, PIPE, Process, SubprocessStreamProtocol
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from nacre.config.syntax.lexer import words
from nacre.config.syntax.tokens import expand
from nacre.daemon.accounts.accounts import Account, find_account
from nacre.errors import AccountError, ConfigurationError
from nacre.limits import KIB, MIB
from nacre.server.admission.user_threads import InThread
from nacre.wire.text import safe

T = TypeVar("T")

SECONDS = 60.0
"""How long a program may take. sshd has no bound but LoginGraceTime, which may be none."""

_MOST = 64 * MIB
"""Bytes of output; as many as a file of keys may have."""

_LONGEST = 1 * MIB
"""Bytes of a line."""

_BLOCK = 64 * KIB

_PATH = "/usr/bin:/bin:/usr/sbin:/sbin"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysCommand:
    """A program that sshd_config(5) names.

    :ivar keyword: the keyword's name, for messages.
    :ivar line: its value: the program, and arguments with tokens.
    :ivar user: the account that it runs as, with the token ``%u``.
    """

    keyword: str
    line: str
    user: str | None


async def ask(
    command: KeysCommand,
    tokens: Mapping[str, str],
    take: Callable[[bytes, int], T | None],
    in_thread: InThread,
) -> T | None:
    """Run a program and return what its output holds, or None.

    :param tokens: the values of the tokens of its arguments; ``u`` is the user's name.
    :param take: gets whole lines as they come, and the number of the first; what it returns first
        is the result, and the rest of the output is thrown away.
    :param in_thread: calls what looks at the program's file and its account.
    :raises AccountError: the program can't be run, fails, takes too long or prints too much.
    """
    arguments, account = await in_thread(partial(_prepared, command, tokens))
    try:
        transport, streams = await _started(arguments, account)
    except (OSError, ValueError) as error:  # ValueError: a NUL in a certificate's text
        raise _failed(command, f"can't run {arguments[0]}: {safe(str(error))}") from error
    process = Process(transport, streams, asyncio.get_running_loop())
    assert process.stdout is not None
    try:
        async with asyncio.timeout(SECONDS):
            found = await _taken(process.stdout, take)
            status = await process.wait()
    except TimeoutError:
        raise _failed(command, f"it took more than {SECONDS:g} seconds") from None
    except ValueError as error:
        raise _failed(command, str(error)) from None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        transport.close()  # what the program has left running may hold the pipe
        await process.wait()
    if status:
        raise _failed(command, f"it ended with status {status}, so its output does not count")
    return found


def _failed(command: KeysCommand, reason: str) -> AccountError:
    return AccountError(f"{command.keyword}: {reason}")


def _prepared(command: KeysCommand, tokens: Mapping[str, str]) -> tuple[list[str], Account]:
    if command.user is None:
        raise _failed(command, f"{command.keyword}User is not set")
    try:
        program, *arguments = words(command.line)
        arguments = [expand(word, tokens) for word in arguments]
        account = find_account(expand(command.user, {"u": tokens["u"]}))
    except (ConfigurationError, AccountError) as error:
        raise _failed(command, str(error)) from None
    _check(command, program)
    return [program, *(arguments or [tokens["u"]])], account


def _check(command: KeysCommand, program: str) -> None:
    """Check that only root could have changed the program."""
    if (fault := program_fault(program, frozenset({0}))) is not None:
        raise _failed(command, fault)


def program_fault(program: str, owners: frozenset[int]) -> str | None:
    """Return why others than ``owners`` could have changed a program, or None. Blocks.

    :param owners: the numbers of accounts that it and the directories above it may belong to.
    """
    if not os.path.isabs(program):
        return f"{safe(program, 200)} is not an absolute path"
    try:
        real = Path(os.path.realpath(program, strict=True))
        for path in (real, *real.parents):
            status = path.stat()
            if path == real and not stat.S_ISREG(status.st_mode):
                return f"{path} is not a regular file"
            if status.st_uid not in owners or status.st_mode & 0o022:
                return (
                    f"{path} must belong to root, and others must not be able to write to it: "
                    f"chown root {path}; chmod go-w {path}"
                )
    except OSError as error:
        return f"{safe(program, 200)}: {error.strerror}"
    return None


async def _started(
    arguments: list[str], account: Account
) -> tuple[asyncio.SubprocessTransport, SubprocessStreamProtocol]:
    rights = account.credentials
    environment = {
        "PATH": _PATH,
        "USER": account.name,
        "LOGNAME": account.name,
        "HOME": account.home,
    }
    if "LANG" in os.environ:
        environment["LANG"] = os.environ["LANG"]
    loop = asyncio.get_running_loop()
    return await loop.subprocess_exec(
        lambda: SubprocessStreamProtocol(_BLOCK, loop),
        *arguments,
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=DEVNULL,
        env=environment,
        cwd="/",
        start_new_session=True,
        user=None if rights is None else rights.uid,
        group=None if rights is None else rights.gid,
        extra_groups=None if rights is None else rights.groups,
    )


async def _taken(output: asyncio.StreamReader, take: Callable[[bytes, int], T | None]) -> T | None:
    """Read to the end.

    :raises ValueError: the output, or a line of it, is too long.
    """
    found: T | None = None
    rest, number, size = b"", 1, 0
    while data := await output.read(_BLOCK):
        size += len(data)
        if size > _MOST:
            raise ValueError(f"it printed more than {_MOST} bytes")
        if found is not None:
            continue
        lines, end, rest = (rest + data).rpartition(b"\n")
        if len(rest) > _LONGEST:
            raise ValueError(f"it printed a line of more than {_LONGEST} bytes")
        if end:
            found = take(lines, number)
            number += lines.count(b"\n") + 1
    return take(rest, number) if found is None and rest else found
