"""A session of ``nacre serve``: a process of the user's account, or files that are served here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, ExitStack, suppress
from dataclasses import replace
from functools import partial
from io import FileIO
from typing import TypeAlias

from nacre.daemon.accounts.accounts import Login
from nacre.daemon.accounts.authorized.files import rights_of
from nacre.daemon.accounts.certifying import gets_certificate, serve_certificate
from nacre.daemon.accounts.evidence import conceal, expose, keep_tickets
from nacre.daemon.accounts.policy import AccountPolicy
from nacre.daemon.accounts.work import Work, program, steps_before, work_of, x11_steps
from nacre.daemon.audit.trail import ConnectionTrail
from nacre.daemon.greeting import greeting
from nacre.daemon.processes.child import FileService, Passed, Program
from nacre.daemon.processes.file_log import FileProcessLog
from nacre.daemon.processes.kinds.file_process import FileRoot, request
from nacre.daemon.processes.kinds.launcher import Steps
from nacre.daemon.processes.login_records import LoginRecord, TerminalLogin
from nacre.daemon.processes.processes import Plan, Processes
from nacre.daemon.recording.recording import OutputSink, Recording
from nacre.daemon.recording.recordings import NO, Recordings
from nacre.daemon.watching.shown import ShownSession, Watching, tapped
from nacre.errors import AccountError, ConfigurationError, StateError
from nacre.server.admission.user_threads import InThread
from nacre.server.dispatch import serve_files
from nacre.server.peer import ServerConnection
from nacre.server.session import Session
from nacre.sftp.filesystems.base import Filesystem
from nacre.sftp.server.restrictions import UNRESTRICTED
from nacre.wire.text import safe

NOT_STARTED = 255
"""The exit status of a session whose process could not be started."""

NOT_SFTP = 1
"""The exit status of a command or a shell where ``internal-sftp`` is forced, as with sshd."""


Recorder: TypeAlias = Callable[[Login, ServerConnection], LoginRecord]


class Sessions:
    """Serves the sessions of all connections.

    :param policy: returns what each session's user works as.
    :param end_processes: end what outlives its session; otherwise it lives on, as with sshd.
    :param sandboxed: serve the files of users who are confined to some in a sandbox, which is a
        process of its own.
    :param record: returns what records a login at a terminal.
    :param watching: the sessions that can be watched; None for none.
    :ivar processes: the processes that run; the caller ends them at the end.
    """

    def __init__(
        self,
        policy: AccountPolicy,
        *,
        end_processes: bool = False,
        sandboxed: bool = False,
        record: Recorder | None = None,
        watching: Watching | None = None,
    ) -> None:
        self._watching = watching
        self._policy = policy
        self._record = record or _terminal_login
        self._sandboxed = sandboxed
        self._end_processes = end_processes
        self.processes = Processes(policy.threads)

    async def end(self) -> None:
        """End what runs, and the recordings of connections, which are closed."""
        await self.processes.end()
        if self._policy.recordings is not None:
            await self._policy.recordings.end()

    async def handle(self, session: Session) -> int | None:
        """Serve a session that was granted; returns the exit status, or None for a signal."""
        try:
            async with AsyncExitStack() as stack:
                if (recordings := self._policy.recordings) is None:
                    return await self._run(session, stack)
                return await self._run_recorded(session, stack, recordings)
        finally:
            if session.closed:
                session.exit_signal("HUP")

    async def _run_recorded(
        self, session: Session, stack: AsyncExitStack, recordings: Recordings
    ) -> int | None:
        """Serve a session that the recorder records; it ends when that does so no more."""
        login = self._policy.granted(session)
        if login.record == NO:
            return await self._run(session, stack)
        try:
            if _serves_files(session, login):
                await recordings.attend(session.connection)
                return await self._run(session, stack)
            async with recordings.of_session(session, login.record) as recording:
                status = await recording.guard(self._run(session, stack, recording))
                await recording.end(status)
                return status
        except StateError as error:
            reason = safe(str(error))
            what = "a session that can't be recorded ends"
            session.connection.record("error", what=what, error=reason)
            await _warn(session, "this session can't be recorded, so it ends")
            return NOT_STARTED

    async def _run(
        self, session: Session, stack: AsyncExitStack, recording: Recording | None = None
    ) -> int | None:
        login = self._policy.granted(session)
        if gets_certificate(login, session):
            return await serve_certificate(session, self._policy)
        in_thread = partial(self._policy.threads.run, session.user)
        try:
            work = work_of(login, session.command, session.subsystem)
        except ConfigurationError as error:
            return await _not_served(session, login, str(error))
        if work.misused:
            await _warn(session, "only sftp is served here")
            return NOT_SFTP
        if work.files is not None:
            return await self._serve_files(session, login, work.files)
        if login.files is not None and login.files.limits:
            self._hold(session, login, stack)
        if session.forwards_agent:
            await _forward_agent(session, login, stack)
        if session.x11 is not None:
            session.environment["DISPLAY"] = session.x11.name
        if session.subsystem is not None:
            session.terminal = None
        try:
            shown = self._shown(session, stack, recording)
            out = tapped(session.stdout, shown, recording)
            plan = await _prepared(session, login, work, stack, in_thread, self._end_processes)
            run: Program | Plan = plan
            if session.terminal is not None:
                run = await _greeted(session, login, work, plan, in_thread, self._record, out)
            status = await self.processes.run(session, run, recording=recording, shown=shown)
            if shown is not None:
                shown.end(status)
            return status
        except (OSError, ValueError, RuntimeError) as error:
            if isinstance(error, ConnectionError):
                raise  # of the client, and not of the program
            reason = safe(str(error))
            session.connection.record("error", what="the session can't be started", error=reason)
            await _warn(session, f"can't start {login.shell}: {reason}")
            return NOT_STARTED

    def _hold(self, session: Session, login: Login, stack: AsyncExitStack) -> None:
        """Hold a session to the user's rates, until it ends."""
        meter = self._policy.meter(login, session.connection)
        if meter is not None:
            meter.enter()
            stack.callback(meter.leave)
            session.hold_to(meter)

    def _shown(
        self, session: Session, stack: AsyncExitStack, recording: Recording | None
    ) -> ShownSession | None:
        """Return what shows a session to those who watch, if anybody may."""
        if self._watching is None or session.subsystem is not None:
            return None
        return stack.enter_context(self._watching.showing(session, recording))

    async def _serve_files(self, session: Session, login: Login, files: FileRoot) -> int | None:
        """Serve files here, or in a process with the rights of the user's account."""
        session.terminal = None
        try:
            with ExitStack() as stack:
                ledgers: list[FileIO] = []
                for one in files.limits:
                    ledger = self._policy.ledger(session.user, session.connection, one.group)
                    ledgers.append(stack.enter_context(await ledger))
                if self._serves_apart(login, files):
                    return await self._serve_in_process(session, login, files, ledgers)
                stack.pop_all()
            filesystem = await self._opened(session, files, ledgers)
        except (OSError, AccountError, ConfigurationError, RuntimeError, StateError) as error:
            if isinstance(error, ConnectionError):
                raise  # of the client, and not of the files
            return await _not_served(session, login, safe(str(error)))
        return await serve_files(session, filesystem)

    async def _opened(
        self, session: Session, files: FileRoot, ledgers: Sequence[FileIO]
    ) -> Filesystem:
        """Open files in a thread; the ledgers are closed with them, or because it did not begin."""
        untaken = [ledgers]  # the thread takes them, or this call does at its end
        try:
            return await self._policy.threads.run(
                session.user, lambda: files.open(untaken.pop()), _close
            )
        finally:
            with suppress(IndexError):
                for ledger in untaken.pop():
                    ledger.close()

    def _serves_apart(self, login: Login, files: FileRoot) -> bool:
        """Tell whether files are served by a process of their own."""
        own = login.account.credentials is None and login.root is None
        if not own or files.restrictions != UNRESTRICTED:
            return True
        # Who has a shell can do with it what the sandbox would refuse.
        return self._sandboxed and (files.root is not None or not login.has_shell)

    async def _serve_in_process(
        self, session: Session, login: Login, files: FileRoot, ledgers: Sequence[FileIO]
    ) -> int | None:
        level = files.restrictions.log_level
        log = FileProcessLog(session.connection.record, level)
        with ExitStack() as stack:
            passed: list[Passed] = [*ledgers]
            if isinstance(trail := session.connection.trail, ConnectionTrail):
                passed.insert(0, stack.enter_context(await trail.open()))
            job = _service(session, login, files, passed)
            status = await self.processes.run(session, job, log)
        if status and log.failure:
            return await _not_served(session, login, log.failure)
        if status is None:
            session.connection.record("error", what="a signal ended the process that serves files")
        return status


def _serves_files(session: Session, login: Login) -> bool:
    """Tell whether a session is one of files that this server serves."""
    try:
        work = work_of(login, session.command, session.subsystem)
    except ConfigurationError:  # which the session is told
        return True
    return work.files is not None


async def _not_served(session: Session, login: Login, reason: str) -> int:
    session.connection.record("error", what="files can't be served", error=reason)
    await _warn(session, f"can't serve the files of {login.name}: {reason}")
    return NOT_STARTED


def _close(filesystem: Filesystem) -> None:
    """Close files that were opened when their session had ended."""
    with suppress(OSError):
        filesystem.close()


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


async def _prepared(
    session: Session,
    login: Login,
    work: Work,
    stack: AsyncExitStack,
    in_thread: InThread,
    ends: bool,
) -> Plan:
    """Return what finds out the session's program, once that finds the files that it is to have.

    :param ends: end what outlives the session.

    :raises OSError: the file of ExposeAuthInfo can't be made.
    """
    if login.config.expose_auth_info and login.evidence:
        path = await in_thread(partial(expose, login))
        stack.callback(conceal, path)
        session.environment["SSH_USER_AUTH"] = path
    if login.security is not None:
        await _keep_tickets(session, login, stack, in_thread)
    steps = steps_before(login, session.subsystem, x11_steps(login, session.x11))
    return partial(_planned, session, login, work, steps, ends)


def _planned(session: Session, login: Login, work: Work, steps: Steps, ends: bool) -> Program:
    """Return the session's program. Blocks."""
    connection = session.connection
    run = program(login, work, session.environment, connection.peer, connection.local)
    notice = ""
    if run.directory != login.home:
        notice = f"can't enter the home {login.home}: starting in {run.directory}"
    with rights_of(login.account):
        needed = steps.needed()
    return replace(
        run,
        steps=steps if needed else None,
        ends=ends,
        notice=_warning(session, notice) if notice else b"",
    )


async def _greeted(
    session: Session,
    login: Login,
    work: Work,
    plan: Plan,
    in_thread: InThread,
    record: Recorder,
    out: OutputSink,
) -> Program:
    """Return the program of a terminal, once the client has what is shown before it.

    :param out: where that is written.
    """
    greets = not login.virtual and work.command is None and login.root is None

    def planned() -> tuple[Program, str]:
        return plan(), greeting(login) if greets else ""

    run: Program
    run, shown = await in_thread(planned)
    if run.notice:
        await session.stderr.write(run.notice)
    if shown:
        await out.write(shown.replace("\n", "\r\n").encode(errors="surrogateescape"))
    noted = None if login.virtual else record(login, session.connection)
    return replace(run, login=noted, notice=b"")


async def _keep_tickets(
    session: Session, login: Login, stack: AsyncExitStack, in_thread: InThread
) -> None:
    """Give the session the client's tickets, if there are any; it does not fail without them."""
    try:
        path = await in_thread(partial(keep_tickets, login))
    except OSError as error:
        session.connection.record("error", what="no tickets are kept", error=safe(str(error)))
        return
    if path is None:
        return
    if login.config.gssapi_cleanup_credentials:
        stack.callback(conceal, path)
    session.environment["KRB5CCNAME"] = f"FILE:{path}"


def _terminal_login(login: Login, connection: ServerConnection) -> LoginRecord:
    return TerminalLogin(
        user=login.name,
        uid=login.account.uid,
        pid=0 if login.pam is None else login.pam.pid,
        host=connection.host,
        address=connection.peer[0],
    )


def _service(
    session: Session, login: Login, files: FileRoot, passed: Sequence[Passed]
) -> FileService:
    """Return what serves files with the rights of the user's account."""
    account, connection = login.account, session.connection
    rights = account.uid, account.gid, account.groups, account.umask
    given = request(
        files,
        session.command,
        rights,
        connection.peer_version,
        root=login.root,
        detailed=connection.detailed,
        audit=None if connection.trail is None else connection.trail.hashes,
    )
    return FileService(
        given=given, passed=passed, takes_signals=False, ends=True, template=login.template
    )


async def _warn(session: Session, text: str) -> None:
    await session.stderr.write(_warning(session, text))


def _warning(session: Session, text: str) -> bytes:
    end = "\r\n" if session.terminal is not None else "\n"
    return f"nacre: {text}{end}".encode(errors="surrogateescape")
