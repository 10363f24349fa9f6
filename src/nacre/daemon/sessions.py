"""A session of ``nacre serve``: a process of the user's account, or files that are served here."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from dataclasses import replace

from nacre.daemon.accounts.accounts import Login, program
from nacre.daemon.accounts.policy import AccountPolicy
from nacre.daemon.processes.child import Program
from nacre.daemon.processes.file_log import FileProcessLog
from nacre.daemon.processes.file_process import FileRoot, command_line, environment
from nacre.daemon.processes.processes import Processes
from nacre.errors import ConfigurationError
from nacre.scp.command import parse_scp
from nacre.server.dispatch import serve_files
from nacre.server.session import Session
from nacre.sftp.filesystems.base import Filesystem
from nacre.sftp.server.restrictions import UNRESTRICTED, parse_command
from nacre.wire.text import safe

NOT_STARTED = 255
"""The exit status of a session whose process could not be started."""

NOT_SFTP = 1
"""The exit status of a command or a shell where ``internal-sftp`` is forced, as with sshd."""


class Sessions:
    """Serves the sessions of all connections.

    :param policy: returns what each session's user works as.
    :param end_processes: end what outlives its session; otherwise it lives on, as with sshd.
    :ivar processes: the processes that run; the caller ends them at the end.
    """

    def __init__(self, policy: AccountPolicy, *, end_processes: bool = False) -> None:
        self._policy = policy
        self._end_processes = end_processes
        self.processes = Processes()

    async def handle(self, session: Session) -> int | None:
        """Serve a session that was granted; returns the exit status, or None for a signal."""
        try:
            async with AsyncExitStack() as stack:
                return await self._run(session, stack)
        finally:
            if session.closed:
                session.exit_signal("HUP")

    async def _run(self, session: Session, stack: AsyncExitStack) -> int | None:
        connection = session.connection
        login = self._policy.granted(session)
        try:
            files = _files(session, login)
        except ConfigurationError as error:
            return await _not_served(session, login, str(error))
        if files is not None:
            if login.key.command is not None and session.subsystem is None:
                await _warn(session, "this key is for sftp only")
                return NOT_SFTP
            return await self._serve_files(session, login, files)
        if session.forwards_agent:
            await _forward_agent(session, login, stack)
        run = replace(
            program(login, session.command, session.environment, connection.peer, connection.local),
            ends=self._end_processes,
            takes_signals=login.key.command is None,  # a forced command is none of the client's
        )
        try:
            if run.directory != login.home:
                await _warn(session, f"no directory {login.home}: starting in {run.directory}")
            return await self.processes.run(session, run)
        except (OSError, ValueError) as error:
            reason = safe(str(error))
            connection.record("error", what="the session can't be started", error=reason)
            await _warn(session, f"can't start {login.shell}: {reason}")
            return NOT_STARTED

    async def _serve_files(self, session: Session, login: Login, files: FileRoot) -> int | None:
        """Serve files here, or in a process with the rights of the user's account."""
        session.terminal = None
        try:
            if login.account.credentials is not None or files.restrictions != UNRESTRICTED:
                return await self._serve_in_process(session, login, files)
            filesystem = await _opened(files)
        except (OSError, ConfigurationError, RuntimeError) as error:
            if isinstance(error, ConnectionError):
                raise  # of the client, and not of the files
            return await _not_served(session, login, safe(str(error)))
        return await serve_files(session, filesystem)

    async def _serve_in_process(
        self, session: Session, login: Login, files: FileRoot
    ) -> int | None:
        level = files.restrictions.log_level
        log = FileProcessLog(session.connection.record, level)
        status = await self.processes.run(session, _service(session, login, files), log)
        if status and log.failure:
            return await _not_served(session, login, log.failure)
        if status is None:
            session.connection.record("error", what="a signal ended the process that serves files")
        return status


async def _not_served(session: Session, login: Login, reason: str) -> int:
    session.connection.record("error", what="files can't be served", error=reason)
    await _warn(session, f"can't serve the files of {login.name}: {reason}")
    return NOT_STARTED


async def _opened(files: FileRoot) -> Filesystem:
    """Open the files in a thread; close them when the session has ended meanwhile.

    :raises OSError, ConfigurationError: see :meth:`FileRoot.open`.
    :raises RuntimeError: the system has no thread for it.
    """
    opening = asyncio.get_running_loop().run_in_executor(None, files.open)
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_close_opened)
        raise


def _close_opened(opening: asyncio.Future[Filesystem]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        with suppress(OSError):
            opening.result().close()


async def _forward_agent(session: Session, login: Login, stack: AsyncExitStack) -> None:
    """Make a socket that leads to the client's agent, and remove it at the session's end."""
    rights = login.account.credentials
    try:
        agent = session.agent_socket(None if rights is None else (rights.uid, rights.gid))
        socket = await stack.enter_async_context(agent)
    except OSError as error:
        session.connection.record("error", what="no agent is forwarded", error=safe(str(error)))
    else:
        session.environment["SSH_AUTH_SOCK"] = socket.path


def _files(session: Session, login: Login) -> FileRoot | None:
    """Return the files when the session is sftp, or a virtual user's scp; otherwise None.

    The ``command=`` option of the user's key overrides every request; it may be ``internal-sftp``.

    :raises ConfigurationError: that has options that are not valid.
    """
    if login.key.command is not None:
        restrictions = parse_command(login.key.command)
        if restrictions is None or login.files is None:
            return None
        return replace(login.files, restrictions=restrictions)
    scp = session.command is not None and parse_scp(session.command) is not None
    if session.subsystem == "sftp" or (scp and login.virtual and login.service != "shell"):
        return login.files
    return None


def _service(session: Session, login: Login, files: FileRoot) -> Program:
    """Return the program that serves files with the rights of the user's account."""
    account, arguments = login.account, command_line(files)
    rights = account.uid, account.gid, account.groups
    connection = session.connection
    return Program(
        path=arguments[0],
        arguments=arguments,
        environment=environment(
            files,
            session.command,
            rights,
            connection.peer_version,
            detailed=connection.detailed,
        ),
        directory="/",
        takes_signals=False,
        ends=True,
    )


async def _warn(session: Session, text: str) -> None:
    end = "\r\n" if session.terminal is not None else "\n"
    await session.stderr.write(f"nacre: {text}{end}".encode(errors="surrogateescape"))
