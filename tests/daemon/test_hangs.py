"""Nobody slows anybody else: what a user, a disk or a network can hang is not called on the loop.

A test double hangs one call of a user, while the sessions of others go on.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import signal
import socket
import sqlite3
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any, TypeAlias

import pytest

import nacre
from daemon import served
from daemon.served import make_state
from interop.mounts import from_stoppable
from nacre.config.server.files import parse
from nacre.config.server.rules import ServerRules
from nacre.config.values import LogLevel
from nacre.crypto.password import hash_password
from nacre.daemon import names
from nacre.daemon import sessions as sessions_module
from nacre.daemon.accounts import accounts as accounts_module
from nacre.daemon.accounts import policy as account_policies
from nacre.daemon.accounts import system as system_module
from nacre.daemon.accounts.authorized import commands, files, search
from nacre.daemon.accounts.candidate import Candidates
from nacre.daemon.accounts.system import SystemPolicy
from nacre.daemon.accounts.virtual import policy as policy_module
from nacre.daemon.accounts.virtual import users as users_module
from nacre.daemon.accounts.virtual.policy import StorePolicy
from nacre.daemon.log.server_log import ServerLog, StandardError
from nacre.daemon.names import name_of
from nacre.daemon.processes import login_records
from nacre.daemon.processes import processes as processes_module
from nacre.daemon.processes.child import Child, Exit
from nacre.daemon.processes.kinds.file_process import FileRoot
from nacre.daemon.processes.kinds.launcher import Steps
from nacre.daemon.sessions import Sessions
from nacre.daemon.store.store import FILE, UserStore
from nacre.daemon.store.values import StoredKey, StoredUser
from nacre.server.listen import Server
from nacre.server.peer import ConnectionTerms
from nacre.server.settings import ServerSettings
from nacre.sftp.filesystems import local
from nacre.sftp.filesystems.local import SystemFilesystem

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root serves accounts")

KEY, OTHER = nacre.generate("ssh-ed25519"), nacre.generate("ssh-ed25519")
HOST_KEY, OTHER = nacre.generate("ssh-ed25519"), nacre.generate("ssh-ed25519")
ME = pwd.getpwuid(os.geteuid()).pw_name
PATIENCE = 20.0

Connect: TypeAlias = Callable[..., Any]


class Hang:
    """A call that does not return until the end of the test, or for :data:`PATIENCE` seconds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self._begun, self.released = threading.Event(), threading.Event()
        self._armed = False
        self._timer = threading.Timer(PATIENCE, self.released.set)

    def put(self, place: Any, name: str, only: Callable[..., bool]) -> None:
        """Have a function hang if ``only`` is true of its arguments, after :meth:`arm`."""
        real = getattr(place, name)

        def call(*given: Any, **named: Any) -> Any:
            if self._armed and only(*given, **named):
                self._begun.set()
                self.released.wait()
            return real(*given, **named)

        self._monkeypatch.setattr(place, name, call)

    def arm(self) -> None:
        self._armed = True
        self._timer.start()

    async def begun(self) -> None:
        assert await asyncio.to_thread(self._begun.wait, PATIENCE), "the call is not made"

    def end(self) -> None:
        self.released.set()
        self._timer.cancel()


@pytest.fixture
def hang(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hang]:
    made = Hang(monkeypatch)
    yield made
    made.end()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of the account of this process, with its key."""
    entry = list(pwd.getpwuid(os.geteuid()))
    entry[5], entry[6] = str(tmp_path), "/bin/sh"
    monkeypatch.setattr(pwd, "getpwnam", lambda name: pwd.struct_passwd(entry))
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh/authorized_keys").write_text(f"{KEY.public}\n")
    return tmp_path


@asynccontextmanager
async def serving(
    policy: Any, log: Callable[[Any], None] = lambda record: None
) -> AsyncIterator[Connect]:
    """Serve; yield what connects."""
    terms = ConnectionTerms.of(policy.rules.base, name_of)
    sessions = Sessions(policy, end_processes=True)
    server = Server(
        ServerSettings(
            host_keys=[HOST_KEY], policy=policy, handler=sessions.handle, log=log, terms=terms
        )
    )
    await server.start()

    def connect(user: str = ME, **options: Any) -> Any:
        options = {"keys": [KEY], "agent": False, "trust": nacre.AnyHostKey(), **options}
        return nacre.connect("127.0.0.1", server.port, user=user, **options)

    try:
        async with server:
            yield connect
    finally:
        await sessions.processes.end()
        policy.close()


async def others_go_on(hang: Hang, connection: Any, work: Awaitable[Any]) -> None:
    """Check that a session echoes while ``work`` hangs, and that this ends when the hang does."""
    async with connection.process("cat") as cat:
        await cat.stdin.write(b"before")
        assert await cat.stdout.readexactly(6) == b"before"
        hang.arm()
        task = asyncio.ensure_future(work)
        await hang.begun()
        await cat.stdin.write(b"meanwhile")
        assert await cat.stdout.readexactly(9) == b"meanwhile"
        assert not hang.released.is_set(), "the loop waited for the call"
        assert not task.done()
        hang.end()
        async with asyncio.timeout(PATIENCE):
            await task


def system_policy(*words: str) -> Any:
    lines = [
        "PermitRootLogin=yes",
        "AuthorizedKeysFile=.ssh/authorized_keys",
        "StrictModes=no",
        "PrintMotd=no",
        "UsePAM=no",  # it has its own tests
        "Subsystem=sftp internal-sftp",
        *words,
    ]
    return SystemPolicy(ServerRules(parse(lines)))


def always(*given: Any, **named: Any) -> bool:
    return True


# What hangs, in which calls, and what has to be configured for that.
LOGINS: dict[str, tuple[Any, str, Callable[..., bool], tuple[str, ...]]] = {
    "the directory of accounts": (system_module, "find_account", always, ()),
    "the file of authorized keys": (files, "_read", always, ()),
    "the file of revoked keys": (search, "refuse_revoked", always, ("RevokedKeys=/dev/null",)),
    "the program of authorized keys": (
        commands,
        "_prepared",
        always,
        ("AuthorizedKeysCommand=/bin/true", "AuthorizedKeysCommandUser=nobody"),
    ),
    "the banner": (Candidates, "banner_of", always, ()),
    "the name server": (names, "look_up", always, ("UseDNS=yes",)),
}


@pytest.mark.parametrize("what", LOGINS)
async def test_a_login_that_hangs_holds_up_no_session(hang: Hang, home: Path, what: str) -> None:
    place, name, only, words = LOGINS[what]
    hang.put(place, name, only)
    async with serving(system_policy(*words)) as connect, connect() as connection:

        async def log_in() -> None:
            with pytest.raises(nacre.errors.AuthenticationFailed):
                await connect(keys=[OTHER])

        await others_go_on(hang, connection, log_in())


def at_home(*given: Any) -> bool:
    return str(pwd.getpwnam(ME).pw_dir) == str(given[0])


async def a_command(connection: Any) -> None:
    assert (await connection.run("pwd")).stdout


async def a_shell(connection: Any) -> None:
    async with connection.shell(term="xterm") as shell:
        await shell.stdin.write(b"exit 3\n")
        assert await shell.wait() == 3


async def files_of(connection: Any) -> None:
    async with connection.sftp() as sftp:
        assert await sftp.stat(".")


async def a_tunnel(connection: Any) -> None:
    with pytest.raises(nacre.errors.NacreError):
        await connection.open_connection("name.invalid", 7)


SESSIONS: dict[str, tuple[Any, str, Callable[..., bool], Callable[[Any], Awaitable[None]]]] = {
    "/etc/environment": (accounts_module, "_system_environment", always, a_command),
    "the home directory": (os.path, "isdir", at_home, a_command),
    "chdir to the home directory": (os, "chdir", at_home, a_command),
    "chdir, for a terminal": (os, "chdir", at_home, a_shell),
    "files that a session begins with": (Steps, "needed", always, a_command),
    "the last login": (sessions_module, "greeting", always, a_shell),
    "the record of a login": (login_records, "note_login", always, a_shell),
    "the group of terminals": (processes_module, "open_terminal", always, a_shell),
    "how the user logged in": (sessions_module, "expose", always, a_command),
    "files": (FileRoot, "open", always, files_of),
    "one file": (SystemFilesystem, "stat", always, files_of),
    "the name of a forwarded place": (
        socket,
        "getaddrinfo",
        lambda host, *more, flags=0: host == b"name.invalid" and not flags,
        a_tunnel,
    ),
}


@pytest.mark.parametrize("what", SESSIONS)
async def test_a_session_that_hangs_holds_up_no_other(
    hang: Hang, home: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(local, "is_local", lambda directory: False)  # as a mount that may hang
    place, name, only, work = SESSIONS[what]
    hang.put(place, name, only)
    policy = system_policy("ExposeAuthInfo=yes")
    async with serving(policy) as connect, connect() as connection, connect() as another:
        await others_go_on(hang, connection, work(another))


async def test_a_root_directory_that_hangs_holds_up_no_session(hang: Hang, home: Path) -> None:
    hang.put(account_policies, "refuses_root", always)
    policy = system_policy("ChrootDirectory=/")
    async with serving(policy) as connect, connect() as connection, connect() as another:
        await others_go_on(hang, connection, another.run("true"))


async def test_a_log_that_hangs_holds_up_no_session(hang: Hang, home: Path) -> None:
    log = ServerLog(LogLevel.DEBUG3, StandardError())
    log.attend(asyncio.get_running_loop())
    try:
        hang.put(StandardError, "write", always)
        async with serving(system_policy(), log) as connect, connect() as connection:

            async def write() -> None:
                log.write(["a line"])
                await asyncio.to_thread(hang.released.wait)

            await others_go_on(hang, connection, write())
    finally:
        log.close()


# --- virtual users ---


@pytest.fixture
def store(tmp_path: Path) -> Iterator[UserStore]:
    store = UserStore(tmp_path / FILE)
    key = StoredKey(KEY.public, "")
    home = str(tmp_path)
    store.add(StoredUser(name="alice", home=home, run_as=ME), [key])
    store.add(
        StoredUser(name="files", service="sftp", root=home, unsafe_root=True, run_as=ME), [key]
    )
    store.add(StoredUser(name="secret", password=hash_password(b"secret", os.urandom), run_as=ME))
    yield store
    store.close()


VIRTUAL: dict[str, tuple[Any, str, str, Callable[[Any], Awaitable[None]]]] = {
    "the directory of accounts": (accounts_module, "find_account", "alice", a_command),
    "a root of files": (policy_module, "refusal", "files", files_of),
    "files": (FileRoot, "open", "files", files_of),
    "a password": (users_module, "verify_password", "secret", a_command),
}


@pytest.mark.parametrize("what", VIRTUAL)
async def test_a_virtual_user_holds_up_no_other(
    hang: Hang, store: UserStore, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(accounts_module, "RECENT", 0.0)
    place, name, user, work = VIRTUAL[what]
    hang.put(place, name, always)
    async with serving(StorePolicy(store)) as connect, connect("alice") as connection:

        async def log_in() -> None:
            async with connect(user, password="secret") as another:
                await work(another)

        await others_go_on(hang, connection, log_in())


async def test_another_process_that_writes_to_the_store_holds_up_no_login(
    store: UserStore, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(tmp_path / FILE, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        other.execute("UPDATE users SET created = 1")
        async with serving(StorePolicy(store)) as connect, connect("alice") as connection:
            await a_command(connection)


# --- the end of a session that hangs ---


async def test_a_process_that_comes_after_its_sessions_end_is_ended(
    hang: Hang, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = list[Child]()
    end = Child.end

    def note(child: Child) -> None:
        ended.append(child)
        end(child)

    monkeypatch.setattr(Child, "end", note)
    hang.put(os, "chdir", at_home)
    async with serving(system_policy()) as connect, connect() as connection:
        async with connect() as another:
            hang.arm()
            task = asyncio.ensure_future(another.run("exec sleep 600"))
            await hang.begun()
        with pytest.raises(nacre.errors.NacreError):
            await task
        hang.end()
        async with asyncio.timeout(PATIENCE):
            while not ended:
                await a_command(connection)
            await ended[0].gone
        assert ended[0].how == Exit(None, signal.SIGHUP)


@pytest.mark.slow
async def test_a_home_on_a_file_server_that_stops_holds_up_nobody(tmp_path: Path) -> None:
    """With a real mount, whose calls nothing interrupts."""
    files, mount = tmp_path / "files", tmp_path / "mount"
    files.mkdir()
    state = make_state(tmp_path)
    with closing(UserStore(state / FILE)) as store:
        store.add(
            StoredUser(name="bob", home=str(mount), run_as=ME), [StoredKey(served.KEY.public, "")]
        )
    with from_stoppable(files, mount) as file_server:
        async with (
            served.serving(state) as server,
            server.connect() as alice,
            server.connect("bob") as bob,
            alice.process("cat") as cat,
        ):
            await a_command(bob)
            os.kill(file_server, signal.SIGSTOP)
            hung = [asyncio.ensure_future(bob.run("pwd")) for _ in range(8)]
            async with asyncio.timeout(PATIENCE):
                for _ in range(5):
                    await cat.stdin.write(b"echo")
                    assert await cat.stdout.readexactly(4) == b"echo"
                    await a_command(alice)
                async with server.connect() as another:
                    await a_command(another)
            assert not any(one.done() for one in hung)
            os.kill(file_server, signal.SIGCONT)
            async with asyncio.timeout(PATIENCE):
                await asyncio.gather(*hung)
