"""What a session of the daemon becomes: files, or a process, or a message why not."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from contextlib import asynccontextmanager
from dataclasses import replace
from io import FileIO
from pathlib import Path
from typing import Any, cast

import pytest

from contexts import FakeContext
from nacre.config.server.config import ServerConfig
from nacre.daemon import sessions as sessions_module
from nacre.daemon.accounts.accounts import Login, own_account
from nacre.daemon.accounts.work import work_of
from nacre.daemon.processes.kinds.file_process import FileRoot
from nacre.daemon.processes.login_records import TerminalLogin
from nacre.daemon.processes.processes import Processes
from nacre.daemon.sessions import NOT_SFTP, NOT_STARTED, Sessions
from nacre.daemon.watching.shown import Watching
from nacre.errors import AccountError, StateError
from nacre.keys.key_options import NO_OPTIONS
from nacre.server.admission.user_threads import _SHARE, UserThreads
from nacre.sftp.filesystems.quota.ledger import open_ledger
from nacre.sftp.filesystems.quota.limits import QuotaLimits
from nacre.sftp.filesystems.quota.shared import open_shared
from nacre.sftp.server.restrictions import UNRESTRICTED, parse

LIMITS = QuotaLimits(bytes=1), QuotaLimits(bytes=2, group="staff")
FILES = FileRoot(root="/srv", home="/srv", user="alice")
LOGIN = Login(
    name="alice", account=own_account(), home="/", shell="/bin/sh", files=FILES, environment={}
)
VIRTUAL = replace(LOGIN, virtual=True)
FORCED = replace(NO_OPTIONS, command="only this")


class Stderr:
    def __init__(self) -> None:
        self.data = b""

    async def write(self, data: bytes) -> None:
        self.data += data


class Connection:
    host = "192.0.2.1"
    peer = local = ("192.0.2.1", 22)
    detailed = True
    trail = None

    peer_version = "SSH-2.0-libssh_0.10.4"

    def __init__(self) -> None:
        self.records: list[dict[str, object]] = []

    def record(self, event: str, **fields: object) -> None:
        self.records.append({"event": event, **fields})


class Session:
    """A session without a client."""

    def __init__(self, command: bytes | None = None, subsystem: str | None = None) -> None:
        self.user = "alice"
        self.command = command
        self.subsystem = subsystem
        self.connection = Connection()
        self.stdout = Stderr()
        self.stderr = Stderr()
        self.environment: dict[str, str] = {}
        self.terminal: object = None
        self.forwards_agent = self.closed = False
        self.x11: object = None
        self.signals: list[str] = []

    def exit_signal(self, name: str) -> None:
        self.signals.append(name)

    def agent_socket(self, owner: object) -> Any:
        raise OSError("no room for\na socket")


class Policy:
    def __init__(self, login: Login) -> None:
        self.login = login
        self.threads = UserThreads()
        self.recordings: Any = None

    def granted(self, session: object) -> Login:
        return self.login


def planned(what: Any) -> Any:
    """Return a program, which without a terminal is found out when it is started."""
    return what() if callable(what) else what


def sessions(login: Login) -> Sessions:
    policy: Any = Policy(login)
    return Sessions(policy)


@pytest.mark.parametrize(
    ("login", "session", "files"),
    [
        (LOGIN, Session(subsystem="sftp"), True),
        (LOGIN, Session(command=b"scp -f x"), False),  # a system user's shell runs scp
        (VIRTUAL, Session(command=b"scp -f x"), True),
        (replace(VIRTUAL, service="shell"), Session(command=b"scp -f x"), False),
        (VIRTUAL, Session(command=b"ls"), False),
        (VIRTUAL, Session(), False),
        (replace(LOGIN, key=FORCED), Session(subsystem="sftp"), False),
        (replace(VIRTUAL, key=FORCED), Session(command=b"scp -f x"), False),
    ],
)
def test_files_are_for_sftp_and_the_scp_of_virtual_users(
    login: Login, session: Any, files: bool
) -> None:
    work = work_of(login, session.command, session.subsystem)
    assert work.files == (FILES if files else None)


RESTRICTED = replace(NO_OPTIONS, command="internal-sftp -R -l INFO")


async def test_a_forced_internal_sftp_is_a_process_with_its_restrictions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    served = sessions(replace(LOGIN, key=RESTRICTED))
    jobs: list[Any] = []

    async def run(session: object, job: Any, stderr: Any) -> int:
        jobs.append(job)
        await stderr.write(b'{"event": "file", "op": "open"}\n{"event": "file", "op": "stat"}\n')
        return 0

    monkeypatch.setattr(served.processes, "run", run)
    session: Any = Session(subsystem="sftp")
    assert await served.handle(session) == 0
    files = FileRoot.of(json.loads(json.dumps(jobs[0].given))["files"])
    assert files == replace(FILES, restrictions=parse(["-R", "-l", "INFO"]))
    assert session.connection.records == [
        {"event": "file", "op": "open", "level": "info"},
        {"event": "file", "op": "stat"},
    ]


@pytest.mark.parametrize("command", [None, b"ls", b"scp -f x"], ids=["shell", "ls", "scp"])
async def test_where_internal_sftp_is_forced_there_is_nothing_else(command: bytes | None) -> None:
    session: Any = Session(command=command)
    assert await sessions(replace(LOGIN, key=RESTRICTED)).handle(session) == NOT_SFTP
    assert session.stderr.data == b"nacre: only sftp is served here\n"


async def test_a_forced_internal_sftp_with_a_wrong_option_is_refused_and_logged() -> None:
    session: Any = Session(subsystem="sftp")
    wrong = replace(NO_OPTIONS, command="internal-sftp -P opne")
    assert await sessions(replace(LOGIN, key=wrong)).handle(session) == NOT_STARTED
    assert b"-P: bad value 'opne'" in session.stderr.data
    (record,) = session.connection.records
    assert "-P: bad value 'opne'" in record["error"]


async def test_a_shell_that_can_not_be_started_is_named_to_client_and_log() -> None:
    session: Any = Session(command=b"x")
    handler = sessions(replace(LOGIN, shell="/no/such/shell")).handle
    assert await handler(session) == NOT_STARTED
    assert session.stderr.data.startswith(b"nacre: can't start /no/such/shell: ")
    assert session.stderr.data.endswith(b"\n")
    assert [record["what"] for record in session.connection.records] == [
        "the session can't be started"
    ]


async def test_a_missing_home_is_announced(monkeypatch: pytest.MonkeyPatch) -> None:
    session: Any = Session(command=b"x")
    served = sessions(replace(LOGIN, home="/no/such/home"))

    async def run(session: Any, program: Any, **_: Any) -> int:
        run = planned(program)
        assert run.directory == "/"
        await session.stderr.write(run.notice)
        return 0

    monkeypatch.setattr(served.processes, "run", run)
    assert await served.handle(session) == 0
    assert session.stderr.data == b"nacre: can't enter the home /no/such/home: starting in /\n"


@pytest.mark.parametrize("end_processes", [False, True])
@pytest.mark.parametrize("forced", [False, True])
async def test_signals_are_for_commands_of_the_client_and_what_is_left_is_as_configured(
    monkeypatch: pytest.MonkeyPatch, end_processes: bool, forced: bool
) -> None:
    login = replace(LOGIN, key=FORCED) if forced else LOGIN
    policy: Any = Policy(login)
    served = Sessions(policy, end_processes=end_processes)
    programs: list[Any] = []

    async def run(session: object, program: Any, **_: Any) -> int:
        programs.append(planned(program))
        return 0

    monkeypatch.setattr(served.processes, "run", run)
    session: Any = Session(command=b"x")
    await served.handle(session)
    assert (programs[0].takes_signals, programs[0].ends) == (not forced, end_processes)


async def test_files_that_can_not_be_opened_are_named_to_client_and_log(tmp_path: Path) -> None:
    missing = FileRoot(root=str(tmp_path / "missing"), home="/", user="alice")
    session: Any = Session(subsystem="sftp")
    assert await sessions(replace(VIRTUAL, files=missing)).handle(session) == NOT_STARTED
    assert session.stderr.data.startswith(b"nacre: can't serve the files of alice: ")
    assert session.connection.records[0]["what"] == "files can't be served"


@pytest.mark.parametrize("apart", [False, True])
async def test_files_with_limits_need_a_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, apart: bool
) -> None:
    limited = FileRoot(root=str(tmp_path), home="/", user="alice", limits=LIMITS)
    login = replace(VIRTUAL, files=limited)
    problems: list[Exception] = [AccountError("there is none"), OSError(28, "No space left")]
    opened: list[FileIO] = []

    async def ledger(user: str, connection: object, group: str | None) -> FileIO:
        if problems:
            raise problems.pop()
        if group is None:
            opened.append(open_ledger(tmp_path / "usage", user))
        else:
            opened.append(open_shared(tmp_path / "groups", group, [str(tmp_path)]))
        return opened[-1]

    policy: Any = Policy(login)
    policy.ledger = ledger
    served = Sessions(policy, sandboxed=apart)

    async def run(session: Session, job: Any, stderr: Any) -> int:
        assert job.passed == opened
        assert [one["group"] for one in job.given["files"]["limits"]] == [None, "staff"]
        return 0

    monkeypatch.setattr(served.processes, "run", run)
    monkeypatch.setattr(sessions_module, "serve_files", serve_nothing)
    for told in (b"No space left", b"there is none"):
        session: Any = Session(subsystem="sftp")
        assert await served.handle(session) == NOT_STARTED
        assert told in session.stderr.data
    assert await served.handle(Session(subsystem="sftp")) == 0  # type: ignore[arg-type]
    assert [one.closed for one in opened] == [True, True]


async def serve_nothing(_session: object, filesystem: Any) -> int:
    filesystem.close()
    return 0


async def test_files_are_closed_when_the_session_ends_while_they_are_opened() -> None:
    opened, go_on, closed = threading.Event(), threading.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    class Files:
        def close(self) -> None:
            loop.call_soon_threadsafe(closed.set)

    class Root:
        restrictions = UNRESTRICTED
        limits = ()

        def open(self, ledgers: object) -> Files:
            opened.set()
            assert go_on.wait(20)
            return Files()

    root: Any = Root()
    session: Any = Session(subsystem="sftp")
    served = asyncio.ensure_future(sessions(replace(VIRTUAL, files=root)).handle(session))
    assert await asyncio.to_thread(opened.wait, 20)
    served.cancel()
    with pytest.raises(asyncio.CancelledError):
        await served
    assert not closed.is_set()
    go_on.set()
    async with asyncio.timeout(20):
        await closed.wait()


async def test_ledgers_are_closed_when_the_session_ends_before_a_thread_takes_them(
    tmp_path: Path,
) -> None:
    limited = FileRoot(root=str(tmp_path), home="/", user="alice", limits=(QuotaLimits(bytes=9),))
    ledgers: list[FileIO] = []
    policy: Any = Policy(replace(VIRTUAL, files=limited))

    async def ledger(user: str, connection: object, group: str | None) -> FileIO:
        ledgers.append(open_ledger(tmp_path / "usage", user))
        return ledgers[-1]

    policy.ledger = ledger
    begun, go_on = threading.Semaphore(0), threading.Event()

    def hang() -> None:
        begun.release()
        assert go_on.wait(20)

    # They are all threads of the user's.
    others = [asyncio.ensure_future(policy.threads.run("alice", hang)) for _ in range(_SHARE)]
    for _ in others:
        assert await asyncio.to_thread(begun.acquire, timeout=20)
    session: Any = Session(subsystem="sftp")
    served = asyncio.ensure_future(Sessions(policy).handle(session))
    async with asyncio.timeout(20):
        while not ledgers:  # noqa: ASYNC110
            await asyncio.sleep(0)
    served.cancel()
    with pytest.raises(asyncio.CancelledError):
        await served
    closed = [one.closed for one in ledgers]
    go_on.set()
    await asyncio.gather(*others)
    assert closed == [True]


async def test_an_agent_that_can_not_be_forwarded_does_not_stop_the_session(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    session: Any = Session(command=b"x")
    session.forwards_agent = True
    served = sessions(LOGIN)

    async def run(session: Session, program: Any, **_: Any) -> int:
        assert "SSH_AUTH_SOCK" not in planned(program).environment
        return 4

    monkeypatch.setattr(served.processes, "run", run)
    assert await served.handle(session) == 4
    (record,) = session.connection.records
    assert record == {
        "event": "error",
        "what": "no agent is forwarded",
        "error": "no room for\\x0aa socket",
    }


async def test_a_session_that_the_client_closed_ends_by_a_hangup() -> None:
    session: Any = Session(command=b"x")
    session.closed = True
    await sessions(replace(LOGIN, shell="/no/such/shell")).handle(session)
    assert session.signals == ["HUP"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root serves files as another account")
async def test_files_of_another_account_are_served_by_a_process_with_its_rights(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = replace(own_account(), uid=12345, gid=23456, groups=(23456,))
    session: Any = Session(subsystem="sftp")
    session.terminal = object()
    served = sessions(replace(LOGIN, account=other))
    jobs: list[Any] = []
    status: int | None = 0
    said = b'{"event": "file", "op": "open"}\n'

    async def run(session: Session, job: Any, stderr: Any) -> int | None:
        assert session.terminal is None
        await stderr.write(said)
        jobs.append(job)
        return status

    monkeypatch.setattr(served.processes, "run", run)
    assert await served.handle(session) == 0
    assert (jobs[0].takes_signals, jobs[0].ends) == (False, True)
    assert jobs[0].credentials is None  # the process gives up its rights by itself
    assert jobs[0].given["rights"] == (12345, 23456, (23456,), 0o022)
    assert jobs[0].given["peer"] == "SSH-2.0-libssh_0.10.4"
    assert jobs[0].given["detailed"]
    assert session.connection.records == [{"event": "file", "op": "open"}]
    # One that can't start says why, to the log and to the client.
    status, said = 1, b"no such\x1b directory\n"
    assert await served.handle(session) == NOT_STARTED
    assert session.connection.records[-1]["error"] == "no such\\x1b directory"
    assert b"can't serve the files of alice: no such" in session.stderr.data
    status, said = None, b""
    assert await served.handle(session) is None
    assert "a signal ended" in session.connection.records[-1]["what"]


# --- what comes before the program ---


class Stdout(Stderr):
    pass


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The programs that sessions would have run."""
    found: list[Any] = []

    async def run(self: object, session: Any, program: Any, stderr: object = None, **_: Any) -> int:
        found.append(planned(program))
        path = found[-1].environment.get("SSH_USER_AUTH")
        session.told = None if path is None else Path(path).read_text()
        return 0

    monkeypatch.setattr(Processes, "run", run)
    return found


async def test_a_login_shell_at_a_terminal_is_greeted(
    monkeypatch: pytest.MonkeyPatch, programs: list[Any]
) -> None:
    monkeypatch.setattr(sessions_module, "greeting", lambda login: "hello\n")
    for login, command, terminal, shown in (
        (LOGIN, None, True, b"hello\r\n"),
        (LOGIN, b"ls", True, b""),
        (LOGIN, None, False, b""),
        (replace(LOGIN, root="/"), None, True, b""),
        (VIRTUAL, None, True, b""),
    ):
        session: Any = Session(command=command)
        session.stdout = Stdout()
        session.terminal = object() if terminal else None
        assert await sessions(login).handle(session) == 0
        assert session.stdout.data == shown
    recorded = TerminalLogin(LOGIN.name, LOGIN.account.uid, 0, "192.0.2.1", "192.0.2.1")
    assert [one.login for one in programs] == [recorded, recorded, None, recorded, None]


@pytest.mark.parametrize("exposed", [True, False])
async def test_how_the_user_logged_in_is_in_a_file_while_the_session_lasts(
    programs: list[Any], exposed: bool
) -> None:
    login = replace(
        LOGIN, evidence="password\n", config=ServerConfig(expose_auth_info=exposed), virtual=True
    )
    session: Any = Session(command=b"x")
    await sessions(login).handle(session)
    assert session.told == ("password\n" if exposed else None)
    path = programs[0].environment.get("SSH_USER_AUTH")
    assert (path is not None) is exposed
    assert path is None or not Path(path).exists()


async def test_a_program_has_steps_before_it_only_where_there_is_something_to_do(
    programs: list[Any], tmp_path: Path
) -> None:
    login = replace(LOGIN, home=str(tmp_path))
    await sessions(login).handle(Session(command=b"x"))  # type: ignore[arg-type]
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "rc").touch()
    await sessions(login).handle(Session(command=b"x"))  # type: ignore[arg-type]
    assert [one.steps is not None for one in programs] == [
        os.path.exists("/etc/ssh/sshrc"),
        True,
    ]


async def test_a_subsystem_that_is_a_program_has_no_terminal(programs: list[Any]) -> None:
    config = ServerConfig(subsystems=(("hello", "echo hello"),))
    session: Any = Session(subsystem="hello")
    session.terminal = object()
    assert await sessions(replace(LOGIN, config=config)).handle(session) == 0
    assert session.terminal is None
    assert programs[0].arguments == ["sh", "-c", "echo hello"]


async def test_files_below_a_root_directory_are_served_by_a_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    served = sessions(replace(LOGIN, root="/srv/jail"))
    jobs: list[Any] = []

    async def run(session: object, job: Any, stderr: object) -> int:
        jobs.append(job)
        return 0

    monkeypatch.setattr(served.processes, "run", run)
    session: Any = Session(subsystem="sftp")
    assert await served.handle(session) == 0
    assert jobs[0].given["root"] == "/srv/jail"


@pytest.mark.parametrize("cleans", [True, False])
async def test_tickets_are_a_sessions_until_its_end_or_for_ever(
    cleans: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    config = ServerConfig(gssapi_cleanup_credentials=cleans)
    context = FakeContext(delegated=b"tickets")
    served = sessions(replace(LOGIN, security=context, config=config))
    seen: list[bytes] = []

    async def run(session: Any, program: Any, log: object = None, **_: Any) -> int:
        path = planned(program).environment["KRB5CCNAME"].removeprefix("FILE:")
        seen.append(Path(path).read_bytes())
        return 0

    monkeypatch.setattr(served.processes, "run", run)
    session: Any = Session(command=b"klist")
    assert await served.handle(session) == 0
    assert seen == [b"tickets"]
    assert bool(list(tmp_path.glob("krb5cc_*"))) is not cleans


async def test_a_session_goes_on_without_tickets_that_can_not_be_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/nowhere")
    served = sessions(replace(LOGIN, security=FakeContext(delegated=b"tickets")))

    async def run(session: Any, program: Any, log: object = None, **_: Any) -> int:
        assert "KRB5CCNAME" not in planned(program).environment
        return 0

    monkeypatch.setattr(served.processes, "run", run)
    session: Any = Session(command=b"klist")
    assert await served.handle(session) == 0
    assert session.connection.records[0]["what"] == "no tickets are kept"


class FakeRecordings:
    """Records nothing, and notes what it is asked for."""

    def __init__(self, error: Exception | None = None) -> None:
        self.asked: list[object] = []
        self.error = error
        self.ended: list[int | None] = []
        self.takes_input = False

    async def attend(self, connection: object) -> None:
        self.asked.append("connection")
        if self.error is not None:
            raise self.error

    @asynccontextmanager
    async def of_session(self, session: object, what: str) -> Any:
        self.asked.append(what)
        if self.error is not None:
            raise self.error
        yield self

    async def guard(self, work: Any) -> Any:
        return await work

    def output(self, sink: object, kind: object) -> object:
        return sink

    async def end(self, status: int | None = None) -> None:
        self.ended.append(status)


@pytest.mark.parametrize(
    ("login", "asked"),
    [
        (LOGIN, ["output"]),
        (replace(LOGIN, record="input"), ["input"]),
        (replace(LOGIN, record="no"), []),
        (replace(VIRTUAL, service="sftp"), ["connection"]),
    ],
)
async def test_what_is_recorded_of_a_session(
    login: Login, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run(*_: object, recording: object = None, shown: object = None) -> int:
        assert (recording is recordings) is (asked != [])
        return 5

    async def serve(*_: object) -> int:
        return 5

    recordings = FakeRecordings()
    served = sessions(login)
    served._policy.recordings = cast(Any, recordings)
    monkeypatch.setattr(served.processes, "run", run)
    monkeypatch.setattr(served, "_serve_files", serve)
    session: Any = Session(command=b"scp -f x")
    assert await served.handle(session) == 5
    assert recordings.asked == asked
    assert recordings.ended == [5] * (asked in (["output"], ["input"]))
    await served.end()


@pytest.mark.parametrize("watching", [None, Watching()], ids=["nobody may", "some may"])
@pytest.mark.parametrize("subsystem", [None, "program"])
async def test_what_can_be_watched_of_a_session(
    watching: Watching | None, subsystem: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run(*_: object, recording: object = None, shown: object = None) -> int:
        assert (shown is not None) is (watching is not None and subsystem is None)
        assert watching is None or watching.of(session) is shown
        return 5

    config = replace(LOGIN.config, subsystems=(("program", "/bin/true"),))
    policy: Any = Policy(replace(LOGIN, config=config))
    served = Sessions(policy, watching=watching)
    monkeypatch.setattr(served.processes, "run", run)
    session: Any = Session(command=None if subsystem else b"true", subsystem=subsystem)
    assert await served.handle(session) == 5
    assert watching is None or watching.of(session) is None


@pytest.mark.parametrize("login", [LOGIN, replace(VIRTUAL, service="sftp")])
async def test_a_session_that_can_not_be_recorded_is_refused(
    login: Login, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run(*_: object, **__: object) -> int:
        raise AssertionError

    served = sessions(login)
    served._policy.recordings = cast(Any, FakeRecordings(StateError("the disk is full")))
    monkeypatch.setattr(served.processes, "run", run)
    session: Any = Session(command=b"scp -f x")
    assert await served.handle(session) == NOT_STARTED
    assert b"can't be recorded" in session.stderr.data
    assert session.connection.records[-1]["error"] == "the disk is full"
