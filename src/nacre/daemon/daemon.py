"""``nacre serve``: the listeners, the signals, and what a session is."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import signal
import socket
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from nacre.aio.versions import RISK
from nacre.config.server import ServerConfig
from nacre.daemon.accounts.accounts import Login, find_account, program
from nacre.daemon.accounts.policy import AccountPolicy, StorePolicy
from nacre.daemon.accounts.store import FILE, UserStore
from nacre.daemon.accounts.system import SystemPolicy
from nacre.daemon.hostkeys import DEFAULT_TYPES, key_types, load_host_keys
from nacre.daemon.log import StderrLog
from nacre.daemon.memory import give_back_memory
from nacre.daemon.processes.child import Program
from nacre.daemon.processes.file_process import FileRoot, command_line, environment
from nacre.daemon.processes.processes import Processes
from nacre.daemon.sockets import bind, show
from nacre.daemon.state import open_state
from nacre.daemon.workers import AT_ONCE, Supervisor, Worker
from nacre.errors import AccountError, ConfigurationError, NacreError
from nacre.keys import PrivateKey
from nacre.protocol.options import Profile
from nacre.scp.command import parse_scp
from nacre.server.dispatch import serve_files
from nacre.server.listen import Server, listen
from nacre.server.peer import Log
from nacre.server.session import Session
from nacre.server.startups import Startups
from nacre.wire.text import safe

GRACE = 5.0
"""Seconds that open sessions have to end by themselves when the server is told to stop."""

NOT_STARTED = 255
"""The exit status of a session whose process could not be started."""

_SSH1_CIPHERS = {"default": ("3des", "blowfish"), "legacy": ("3des", "blowfish", "des")}
_DESCRIPTORS = 65536
_LOOKUPS = 4
"""Threads that look up users and accounts; few enough that all are soon there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon:
    """What ``nacre serve`` was told.

    :ivar state: the state directory, or None for the default one.
    :ivar addresses: where to listen; port 0 lets the system choose, "" is every address.
    :ivar ssh1_strict: refuse SSH-1 for users who need both a password and a key: in SSH-1 either
        is enough for them.
    :ivar run_as: the account of virtual users who have none of their own, under root.
    :ivar workers: processes that serve; with several, one more supervises them.
    """

    state: Path | None
    addresses: tuple[tuple[str, int], ...]
    users: Literal["store", "system"] = "store"
    run_as: str | None = None
    config: ServerConfig
    profile: Profile = "default"
    ssh1_strict: bool = False
    workers: int = 1

    def run(self) -> None:
        """Serve until a signal says stop.

        :raises NacreError: it can't start; the message says why and what to do.
        """
        self._check_rights()
        give_back_memory()
        state = open_state(self.state)
        if self.speaks_ssh1:
            print(f"WARNING: SSH-1 is switched on. {RISK}", file=sys.stderr, flush=True)
        with ExitStack() as stack:
            sockets = [sock for address in self.addresses for sock in bind(*address)]
            for sock in sockets:
                stack.enter_context(sock)
            if self.workers == 1:
                self._serve(state, sockets, Startups(), None)
            else:
                self._supervise(state, sockets)

    def _supervise(self, state: Path, sockets: list[socket.socket]) -> None:
        # What is missing is made once, and what is wrong with it is said once.
        self.host_keys(state)
        if self.users == "store":
            UserStore(state / FILE).close()
        startups = Startups(self.workers)
        Supervisor(
            self.workers,
            sockets,
            startups,
            StderrLog(self.config.log_level),
            lambda worker: self._serve(state, sockets, startups, worker),
        ).run(lambda: announce(sockets))

    def _serve(
        self, state: Path, sockets: list[socket.socket], startups: Startups, worker: Worker | None
    ) -> None:
        with ExitStack() as stack:
            policy: StorePolicy | SystemPolicy
            if self.users == "system":
                policy = SystemPolicy(self.config)
            else:
                store = UserStore(state / FILE)
                stack.callback(store.close)
                policy = StorePolicy(
                    store,
                    self.run_as,
                    ssh1_strict=self.ssh1_strict,
                    workers=self.workers,
                    config=self.config,
                )
            stack.callback(policy.close)
            asyncio.run(_Serving(self, state, policy, startups, worker).run(sockets))

    def _check_rights(self) -> None:
        if self.users == "system" and os.geteuid() != 0:
            raise AccountError(
                "--users system needs root's rights: sessions become other accounts; "
                "start it as root, or leave --users system away"
            )
        if self.run_as is None:
            return
        if self.users == "system":
            raise AccountError("--run-as is for virtual users; system users run as themselves")
        account = find_account(self.run_as)
        if os.geteuid() not in (0, account.uid):
            raise AccountError(
                f"only root can run sessions as {self.run_as}: "
                "start the server as root or as that account, or leave --run-as away"
            )

    def host_keys(self, state: Path) -> tuple[PrivateKey, ...]:
        """Return the host keys: those every server has, and those of algorithms that were named.

        :raises StateError: a key can't be made or used.
        """
        types: tuple[str, ...] = DEFAULT_TYPES
        if self.config.host_key_algorithms is not None:
            types = key_types(self.config.algorithms(self.profile).host_key)
        return load_host_keys(state, (*types, "rsa1") if self.speaks_ssh1 else types)

    @property
    def speaks_ssh1(self) -> bool:
        """Whether SSH-1 was switched on."""
        return 1 in self.config.protocol

    def banner(self) -> str:
        """Return the text to show before login.

        :raises ConfigurationError: its file can't be read.
        """
        if self.config.banner is None:
            return ""
        try:
            return self.config.banner.read_text(errors="replace")
        except OSError as error:
            raise ConfigurationError(
                f"Banner: can't read {self.config.banner}: {error.strerror}"
            ) from error


class Sessions:
    """Runs sessions as processes."""

    def __init__(self, policy: AccountPolicy) -> None:
        self._policy = policy
        self.processes = Processes()

    async def handle(self, session: Session) -> int | None:
        """Run a session; returns the exit status."""
        try:
            async with AsyncExitStack() as stack:
                return await self._run(session, stack)
        finally:
            if session.closed:
                session.exit_signal("HUP")

    async def _run(self, session: Session, stack: AsyncExitStack) -> int | None:
        connection = session.connection
        login = self._policy.granted(session)
        files = _files(session, login)
        if files is not None:
            return await self._serve_files(session, login, files)
        if session.forwards_agent:
            await _lend_agent(session, login, stack)
        run = program(
            login, session.command, session.environment, connection.peer, connection.local
        )
        try:
            if run.directory != login.home:
                await _say(session, f"there is no directory {login.home}: this is {run.directory}")
            return await self.processes.run(session, run)
        except (OSError, ValueError) as error:
            reason = safe(str(error))
            connection.record("error", what="the session can't be started", error=reason)
            await _say(session, f"can't start {login.shell}: {reason}")
            return NOT_STARTED

    async def _serve_files(self, session: Session, login: Login, files: FileRoot) -> int | None:
        """Serve files here, or in a process that has the rights of the user's account."""
        session.terminal = None
        try:
            if login.account.credentials is not None:
                return await self.processes.run(session, _service(session, login, files))
            filesystem = await asyncio.to_thread(files.open)
        except (OSError, ConfigurationError) as error:
            if isinstance(error, ConnectionError):
                raise  # it was not the files
            reason = safe(str(error))
            session.connection.record("error", what="files can't be served", error=reason)
            await _say(session, f"can't serve files of {login.name}: {reason}")
            return NOT_STARTED
        return await serve_files(session, filesystem)


async def _lend_agent(session: Session, login: Login, stack: AsyncExitStack) -> None:
    """Give the session a socket that leads to the client's agent, until its end."""
    rights = login.account.credentials
    try:
        agent = session.agent_socket(None if rights is None else (rights.uid, rights.gid))
        socket = await stack.enter_async_context(agent)
    except OSError as error:
        session.connection.record("error", what="no agent is forwarded", error=safe(str(error)))
    else:
        session.environment["SSH_AUTH_SOCK"] = socket.path


def _files(session: Session, login: Login) -> FileRoot | None:
    """Return what a session serves when it is sftp, or a virtual user's scp; otherwise None."""
    if login.key.command is not None:
        return None  # what the user's key demands is run, whatever is asked for
    scp = session.command is not None and parse_scp(session.command) is not None
    if session.subsystem == "sftp" or (scp and login.virtual and login.service != "shell"):
        return login.files
    return None


def _service(session: Session, login: Login, files: FileRoot) -> Program:
    account, arguments = login.account, command_line(files)
    return Program(
        path=arguments[0],
        arguments=arguments,
        environment=environment(files, session.command, (account.uid, account.gid, account.groups)),
        directory="/",
    )


async def _say(session: Session, text: str) -> None:
    end = "\r\n" if session.terminal is not None else "\n"
    await session.stderr.write(f"nacre: {text}{end}".encode(errors="surrogateescape"))


class _Serving:
    """A daemon at work."""

    def __init__(
        self,
        daemon: Daemon,
        state: Path,
        policy: AccountPolicy,
        startups: Startups,
        worker: Worker | None,
    ) -> None:
        self._daemon = daemon
        self._state = state
        self._policy = policy
        self._startups = startups
        self._worker = worker
        always = {} if worker is None else {"worker": worker.number}
        self._log = StderrLog(daemon.config.log_level, **always)
        self._sessions = Sessions(policy)
        self._servers: list[Server] = []
        self._stop = asyncio.Event()

    async def run(self, sockets: list[socket.socket]) -> None:
        """Serve on all sockets, and return when a signal said stop and all is closed."""
        _allow_descriptors()
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_LOOKUPS, "lookup"))
        host_keys, banner = self._daemon.host_keys(self._state), self._daemon.banner()
        try:
            for number, sock in enumerate(sockets, 1):
                record = self._log if len(sockets) == 1 else partial(self._record, number)
                self._servers.append(await self._listen(sock, host_keys, banner, record))
            self._handle_signals()
            # What is there now stays to the end: nobody has to look for garbage in it again.
            gc.freeze()
            if self._worker is None:
                announce(sockets)
            else:
                self._worker.serves()
            await self._stop.wait()
            for server in self._servers:
                await server.wait_closed()
        finally:
            for server in self._servers:
                await server.close()
            await self._sessions.processes.end()
            self._log.flush()

    def _record(self, listener: int, fields: Mapping[str, object]) -> None:
        # Each listener counts its connections from 1.
        if "connection" in fields:
            fields = {**fields, "connection": f"{listener}.{fields['connection']}"}
        self._log(fields)

    async def _listen(
        self, sock: socket.socket, host_keys: tuple[PrivateKey, ...], banner: str, record: Log
    ) -> Server:
        config = self._daemon.config
        return await listen(
            sock=sock,
            host_keys=host_keys,
            policy=self._policy,
            handler=self._sessions.handle,
            algorithms=config.algorithms(self._daemon.profile),
            protocols=config.protocol,
            ssh1_ciphers=_SSH1_CIPHERS[self._daemon.profile],
            limits=config.limits(),
            login_grace=config.login_grace_time,
            max_startups=config.max_startups,
            startups=self._startups,
            keepalive=config.keepalive,
            keepalive_count=config.client_alive_count_max,
            banner=banner,
            accept_env=config.accept_env,
            log=record,
        )

    def _handle_signals(self) -> None:
        # What whoever started us ignores would be ignored in sessions too, and children be lost.
        for number in (signal.SIGQUIT, signal.SIGTSTP, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._end)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        if self._worker is None:
            loop.add_signal_handler(signal.SIGINT, self._end)
            return
        # A terminal sends SIGINT to all processes; the supervisor passes it on as SIGTERM.
        loop.add_signal_handler(signal.SIGINT, lambda: None)
        loop.add_signal_handler(AT_ONCE, self._end, True)
        loop.add_reader(self._worker.orphaned, self._on_orphaned, self._worker.orphaned)

    def _on_orphaned(self, descriptor: int) -> None:
        asyncio.get_running_loop().remove_reader(descriptor)
        self._end()

    def _end(self, at_once: bool = False) -> None:
        """Let open sessions end by themselves; at the second time end them."""
        at_once = at_once or self._stop.is_set()
        self._log({"event": "stopping", "at_once": at_once})
        for server in self._servers:
            server.close(graceful=0.0 if at_once else GRACE)
        self._stop.set()

    def _reload(self) -> None:
        """Read host keys and banner anew, for connections that come from now on."""
        try:
            host_keys, banner = self._daemon.host_keys(self._state), self._daemon.banner()
            for server in self._servers:
                server.reload(host_keys=host_keys, banner=banner)
        except NacreError as error:
            self._log({"event": "error", "what": "nothing was reloaded", "error": str(error)})
        else:
            self._log({"event": "reloaded", "host_keys": len(host_keys)})


def announce(sockets: list[socket.socket]) -> None:
    """Say that all is ready, and where."""
    for sock in sockets:
        host, port = sock.getsockname()[:2]
        print(f"listening on {show(host, port)}", file=sys.stderr, flush=True)


def _allow_descriptors() -> None:
    """Let this process, not its sessions, have more descriptors: a session takes up to six."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
