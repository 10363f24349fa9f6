"""``nacre serve``: the listeners, the signals, and what a session is."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import signal
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nacre.config.server import ServerConfig
from nacre.errors import AccountError, ConfigurationError, NacreError, StateError
from nacre.keys import PrivateKey
from nacre.protocol.options import Profile
from nacre.runtime.listen import Server, listen
from nacre.runtime.session import Session
from nacre.server.accounts import find_account, program
from nacre.server.hostkeys import DEFAULT_TYPES, key_types, load_host_keys
from nacre.server.log import StderrLog
from nacre.server.memory import give_back_memory
from nacre.server.policy import AccountPolicy, StorePolicy
from nacre.server.processes import Processes
from nacre.server.state import open_state
from nacre.server.store import FILE, UserStore
from nacre.server.system import SystemPolicy
from nacre.wire.text import safe

GRACE = 5.0
"""Seconds that open sessions have to end by themselves when the server is told to stop."""

NOT_STARTED = 255
"""The exit status of a session whose process could not be started."""

_DESCRIPTORS = 65536
_LOOKUPS = 4
"""Threads that look up users and accounts; few enough that all are soon there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon:
    """What ``nacre serve`` was told.

    :ivar state: the state directory, or None for the default one.
    :ivar addresses: where to listen; port 0 lets the system choose, "" is every address.
    :ivar run_as: the account of virtual users who have none of their own, under root.
    """

    state: Path | None
    addresses: tuple[tuple[str, int], ...]
    users: Literal["store", "system"] = "store"
    run_as: str | None = None
    config: ServerConfig
    profile: Profile = "default"

    def run(self) -> None:
        """Serve until a signal says stop.

        :raises NacreError: it can't start; the message says why and what to do.
        """
        self._check_rights()
        give_back_memory()
        state = open_state(self.state)
        host_keys = self.host_keys(state)
        self.banner()
        log = StderrLog(self.config.log_level)
        policy: StorePolicy | SystemPolicy
        if self.users == "system":
            policy = SystemPolicy()
            asyncio.run(_serve(self, state, host_keys, policy, log))
            policy.close()
            return
        store = UserStore(state / FILE)
        policy = StorePolicy(store, self.run_as)
        try:
            asyncio.run(_serve(self, state, host_keys, policy, log))
        finally:
            policy.close()
            store.close()

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
        if self.config.host_key_algorithms is None:
            return load_host_keys(state, DEFAULT_TYPES)
        return load_host_keys(state, key_types(self.config.algorithms(self.profile).host_key))

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
            return await self._run(session)
        finally:
            if session.closed:
                session.exit_signal("HUP")

    async def _run(self, session: Session) -> int | None:
        connection = session.connection
        login = await self._policy.login(session)
        run = await asyncio.to_thread(
            program, login, session.command, session.environment, connection.peer, connection.local
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


async def _say(session: Session, text: str) -> None:
    end = "\r\n" if session.terminal is not None else "\n"
    await session.stderr.write(f"nacre: {text}{end}".encode(errors="surrogateescape"))


async def _serve(
    daemon: Daemon,
    state: Path,
    host_keys: tuple[PrivateKey, ...],
    policy: AccountPolicy,
    log: StderrLog,
) -> None:
    _allow_descriptors()
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_LOOKUPS, "lookup"))
    sessions = Sessions(policy)
    servers: list[Server] = []
    try:
        for number, address in enumerate(daemon.addresses, 1):
            servers.append(await _listen(daemon, number, address, host_keys, policy, sessions, log))
        for server in servers:
            for host, port in server.addresses:
                print(f"listening on {show(host, port)}", file=sys.stderr, flush=True)
        await _until_stopped(daemon, state, servers, log)
    finally:
        for server in servers:
            await server.close()
        await sessions.processes.end()


async def _listen(
    daemon: Daemon,
    number: int,
    address: tuple[str, int],
    host_keys: tuple[PrivateKey, ...],
    policy: AccountPolicy,
    sessions: Sessions,
    log: StderrLog,
) -> Server:
    config = daemon.config

    def record(fields: Mapping[str, object]) -> None:
        # Each listener counts its connections from 1.
        if len(daemon.addresses) > 1 and "connection" in fields:
            fields = {**fields, "connection": f"{number}.{fields['connection']}"}
        log(fields)

    try:
        return await listen(
            *address,
            host_keys=host_keys,
            policy=policy,
            handler=sessions.handle,
            algorithms=config.algorithms(daemon.profile),
            limits=config.limits(),
            login_grace=config.login_grace_time,
            max_startups=config.max_startups,
            keepalive=config.keepalive,
            keepalive_count=config.client_alive_count_max,
            banner=daemon.banner(),
            accept_env=config.accept_env,
            log=record,
        )
    except OSError as error:
        raise _cannot_listen(address, error) from error


def _cannot_listen(address: tuple[str, int], error: OSError) -> StateError:
    where, remedy = show(*address), "give another address with --listen"
    if error.errno == errno.EADDRINUSE:
        remedy = "another program has it; give another port with --listen, or 0 for a free one"
    elif error.errno == errno.EACCES:
        remedy = "ports below 1024 are for root; give another port with --listen"
    # asyncio's own text repeats the address; the errors of name lookup have negative numbers.
    known = error.errno is not None and error.errno > 0
    reason = os.strerror(error.errno) if known else error.strerror
    return StateError(f"can't listen on {where}: {reason}: {remedy}")


def show(host: str, port: int) -> str:
    """Return ``ADDR:PORT``, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def _until_stopped(
    daemon: Daemon, state: Path, servers: list[Server], log: StderrLog
) -> None:
    """Return when a signal said stop and all is closed; the second such signal hurries."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def end() -> None:
        log({"event": "stopping", "at_once": stop.is_set()})
        for server in servers:
            server.close(graceful=0.0 if stop.is_set() else GRACE)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    loop.add_signal_handler(signal.SIGHUP, _reload, daemon, state, servers, log)
    await stop.wait()
    for server in servers:
        await server.wait_closed()


def _reload(daemon: Daemon, state: Path, servers: list[Server], log: StderrLog) -> None:
    """Read host keys and banner anew, for connections that come from now on."""
    try:
        host_keys, banner = daemon.host_keys(state), daemon.banner()
        for server in servers:
            server.reload(host_keys=host_keys, banner=banner)
    except NacreError as error:
        log({"event": "error", "what": "nothing was reloaded", "error": str(error)})
    else:
        log({"event": "reloaded", "host_keys": len(host_keys)})


def _allow_descriptors() -> None:
    """Let this process, not its sessions, have more descriptors: a session takes up to six."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
