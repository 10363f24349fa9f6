"""What a run does at each host: run a command or a script, copy files there or from there."""

from __future__ import annotations

import asyncio
import base64
import os
import shlex
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

from nacre.client.connection import Connection
from nacre.errors import ConfigurationError, DeadlineExceeded
from nacre.fleet.hosts import FleetHost
from nacre.fleet.verdicts import FleetVerdict
from nacre.limits import KIB
from nacre.sftp.protocol.paths import last_name
from nacre.value import value

MAX_OUTPUT = 256 * KIB
"""Bytes of output that a run keeps of a host, both streams together."""

_SCRIPT = (
    'f=$(mktemp) && trap \'rm -f "$f"\' EXIT && cat >"$f" && chmod 700 "$f" && "$f" "$@" </dev/null'
)
"""Runs standard input as a program, whatever its first line says, and removes it."""


class FleetTask(Protocol):
    """What to do at each host.

    :ivar idempotent: whether doing it twice is the same as doing it once. Such a task is begun
        again where its end was not seen.
    """

    @property
    def idempotent(self) -> bool: ...

    def check(self, host: FleetHost) -> None:
        """Check that the task can be done at a host, before it begins anywhere.

        :raises ConfigurationError: the host lacks a variable.
        """

    async def perform(
        self, connection: Connection, host: FleetHost, seconds: float | None
    ) -> FleetVerdict:
        """Do it.

        :param seconds: the time for it, or None.
        :raises NacreError: it could not be done.
        """


@value
class RunCommand:
    """Run a command line by the shell of the account.

    :ivar command: the command line; ``%{name}`` stands for a variable, quoted for the shell. So it
        has its place outside of quotes: within them the shell may run what is in the value.
    :ivar input: its standard input.
    :ivar max_output: bytes of output to keep; one that prints more is stopped, and has failed.
    """

    command: str
    input: bytes = b""
    idempotent: bool = False
    max_output: int = MAX_OUTPUT

    def check(self, host: FleetHost) -> None:
        """Check that the host has the variables."""
        host.fill(self.command)

    async def perform(
        self, connection: Connection, host: FleetHost, seconds: float | None
    ) -> FleetVerdict:
        """Run it, and take its exit status for how it ended."""
        done = await connection.run(
            host.fill(self.command),
            input=self.input,
            encoding=None,
            timeout=seconds,
            max_output=self.max_output,
        )
        ended_well = done.exit_status == 0
        seen = done.exit_status is not None or done.exit_signal is not None
        return FleetVerdict(
            host.name,
            "ok" if ended_well else "failed" if seen else "unknown",
            exit_status=done.exit_status,
            exit_signal=done.exit_signal,
            stdout=done.stdout,
            stderr=done.stderr,
            reason="" if seen else "the server did not report how the command ended",
        )


def script(
    content: bytes, arguments: str = "", *, idempotent: bool = False, max_output: int = MAX_OUTPUT
) -> RunCommand:
    """Return the task that runs a file of this machine at each host.

    It is written to a temporary file there, which is removed at its end, and begins with ``#!`` or
    is a script for ``sh``. Its standard input is empty.

    :param arguments: words for the script, as on a command line; ``%{name}`` stands for a variable.
    """
    line = f"exec sh -c {shlex.quote(_SCRIPT)} script {arguments}".rstrip()
    return RunCommand(line, content, idempotent, max_output)


@value
class CopyFiles:
    """Copy files of this machine to each host, by SFTP.

    A copy gets its name when it is whole, and is compared with the original by hash.

    :ivar sources: the paths here. ``%{name}`` stands for a variable, here and in the target.
    :ivar target: the path there, or a directory to copy into.
    :ivar recursive: copy directories with everything in them.
    :ivar preserve: keep permissions and times.
    :ivar fanout: hosts to which one that has the files, such as this machine, hands them on at a
        time; see fanout.py. 0: all hosts get them from this machine.
    """

    sources: tuple[str, ...]
    target: str
    recursive: bool = False
    preserve: bool = False
    idempotent: bool = True
    fanout: int = 0

    def check(self, host: FleetHost) -> None:
        """Check that the files are there, and the variables.

        :raises ConfigurationError: a file is not there.
        """
        host.fill(self.target, str)
        for source in self.sources:
            if not os.path.exists(path := host.fill(source, str)):
                raise ConfigurationError(f"there is no file {path} to copy to {host.name}")

    async def perform(
        self, connection: Connection, host: FleetHost, seconds: float | None
    ) -> FleetVerdict:
        """Copy them."""
        sources = [host.fill(source, str) for source in self.sources]
        async with within(seconds), connection.sftp() as sftp:
            await sftp.put(
                sources,
                host.fill(self.target, str),
                recursive=self.recursive,
                preserve=self.preserve,
                atomic=True,
                verify=True,
            )
        return FleetVerdict(host.name, "ok")


@value
class GetFiles:
    """Copy files of each host to a directory of its own, ``DIRECTORY/HOST``, by SFTP.

    A copy gets its name when it is whole, and is compared with the original by hash.

    :ivar sources: the paths there. ``%{name}`` stands for a variable.
    :ivar directory: the directory here. It is made if it is missing, and so are those of the hosts.
    """

    sources: tuple[str, ...]
    directory: str
    recursive: bool = False
    preserve: bool = False
    idempotent: bool = True

    def check(self, host: FleetHost) -> None:
        """Check that the host's name can be that of a directory.

        :raises ConfigurationError: it can't.
        """
        if "/" in host.name or host.name in (".", ".."):
            raise ConfigurationError(f"the name {host.name} can't be that of a directory")
        for source in self.sources:
            if not last_name(host.fill(source, str)):
                raise ConfigurationError(f"{source}: name the files or directories to get")

    async def perform(
        self, connection: Connection, host: FleetHost, seconds: float | None
    ) -> FleetVerdict:
        """Copy them."""
        target = Path(self.directory, host.name)
        await asyncio.to_thread(target.mkdir, parents=True, exist_ok=True)
        async with within(seconds), connection.sftp() as sftp:
            await sftp.get(
                [host.fill(source, str) for source in self.sources],
                target,
                recursive=self.recursive,
                preserve=self.preserve,
                atomic=True,
                verify=True,
            )
        return FleetVerdict(host.name, "ok")


@asynccontextmanager
async def within(seconds: float | None) -> AsyncIterator[None]:
    """Give what is in it so many seconds.

    :raises DeadlineExceeded: they were not enough.
    """
    deadline = asyncio.timeout(seconds)
    try:
        async with deadline:
            yield
    except TimeoutError as error:
        if not deadline.expired():
            raise
        raise DeadlineExceeded(f"the copy did not end within {seconds:.3g} seconds") from error


_KINDS: Mapping[str, Any] = {"command": RunCommand, "copy": CopyFiles, "get": GetFiles}


def task_object(task: FleetTask) -> dict[str, Any]:
    """Return a task as values of JSON: for the state of a run, and for workers.

    :raises ConfigurationError: it is none of this module's.
    """
    for kind, made in _KINDS.items():
        if isinstance(task, made):
            found = {name: getattr(task, name) for name in made.__match_args__}
            if isinstance(task, RunCommand):
                found["input"] = base64.b64encode(task.input).decode()
            return {"kind": kind, **found}
    raise ConfigurationError(
        f"a {type(task).__name__} can't be kept or given to workers: use the tasks of nacre.fleet, "
        "or neither state nor workers"
    )


def of_task_object(found: Mapping[str, Any]) -> FleetTask:
    """Return the task that :func:`task_object` made these values of."""
    given = dict(found)
    kind = given.pop("kind")
    if "input" in given:
        given["input"] = base64.b64decode(given["input"])
    if "sources" in given:
        given["sources"] = tuple(given["sources"])
    task: FleetTask = _KINDS[kind](**given)
    return task
