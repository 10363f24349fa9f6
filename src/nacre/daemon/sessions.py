"""A session of ``nacre serve``: a process of the user's account, or files that are served here."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from dataclasses import replace

from nacre.daemon.accounts.accounts import Login
from nacre.daemon.accounts.authorized.files import rights_of
from nacre.daemon.accounts.evidence import conceal, expose
from nacre.daemon.accounts.policy import AccountPolicy
from nacre.daemon.accounts.work import Work, program, steps_before, work_of, x11_steps
from nacre.daemon.greeting import greeting, note_login
from nacre.daemon.processes.child import Program
from nacre.daemon.processes.file_log import FileProcessLog
from nacre.daemon.processes.file_process import FileRoot, command_line, environment
from nacre.daemon.processes.launcher import Steps
from nacre.daemon.processes.processes import Processes
from nacre.errors import ConfigurationError
from nacre.server.dispatch import serve_files
from nacre.server.session import Session
from nacre.sftp.filesystems.base import Filesystem
from nacre.sftp.server.restrictions import UNRESTRICTED
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
        login = self._policy.granted(session)
        try:
            work = work_of(login, session.command, session.subsystem)
        except ConfigurationError as error:
            return await _not_served(session, login, str(error))
        if work.misused:
            await _warn(session, "only sftp is served here")
            return NOT_SFTP
        if work.files is not None:
            return await self._serve_files(session, login, work.files)
        if session.forwards_agent:
            await _forward_agent(session, login, stack)
        if session.x11 is not None:
            session.environment["DISPLAY"] = session.x11.name
        if session.subsystem is not None:
            session.terminal = None
        try:
            run = await _prepared(session, login, work, stack)
            return await self.processes.run(session, replace(run, ends=self._end_processes))
        except (OSError, ValueError) as error:
            if isinstance(error, ConnectionError):
                raise  # of the client, and not of the program
            reason = safe(str(error))
            session.connection.record("error", what="the session can't be started", error=reason)
            await _warn(session, f"can't start {login.shell}: {reason}")
            return NOT_STARTED

    async def _serve_files(self, session: Session, login: Login, files: FileRoot) -> int | None:
        """Serve files here, or in a process with the rights of the user's account."""
        session.terminal = None
        try:
            own = login.account.credentials is None and login.root is None
            if not own or files.restrictions != UNRESTRICTED:
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


async def _prepared(session: Session, login: Login, work: Work, stack: AsyncExitStack) -> Program:
    """Return the session's program, once the client has what is shown before it.

    :raises OSError: the file of ExposeAuthInfo can't be made.
    """
    connection = session.connection
    if login.config.expose_auth_info and login.evidence:
        path = await asyncio.to_thread(expose, login)
        stack.callback(conceal, path)
        session.environment["SSH_USER_AUTH"] = path
    run = program(login, work, session.environment, connection.peer, connection.local)
    if run.directory != login.home:
        await _warn(session, f"no directory {login.home}: starting in {run.directory}")
    x11 = x11_steps(login, session.x11)
    if login.virtual:
        return run if x11 is None else replace(run, steps=Steps(x11=x11))
    steps = steps_before(login, session.subsystem, x11)
    needed = await asyncio.to_thread(_needed, steps, login)
    if session.terminal is not None:
        await _greet(session, login, shown=work.command is None and login.root is None)
    return replace(run, steps=steps) if needed else run


def _needed(steps: Steps, login: Login) -> bool:
    with rights_of(login.account):
        return steps.needed()


async def _greet(session: Session, login: Login, *, shown: bool) -> None:
    text = await asyncio.to_thread(greeting, login) if shown else ""
    await asyncio.to_thread(note_login, login.account.uid, session.connection.peer[0])
    if text:
        lines = text.replace("\n", "\r\n")
        await session.stdout.write(lines.encode(errors="surrogateescape"))


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
            root=login.root,
            detailed=connection.detailed,
        ),
        directory="/",
        takes_signals=False,
        ends=True,
    )


async def _warn(session: Session, text: str) -> None:
    end = "\r\n" if session.terminal is not None else "\n"
    await session.stderr.write(f"nacre: {text}{end}".encode(errors="surrogateescape"))
