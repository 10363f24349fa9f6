"""Real processes, driven by a session that is not one."""

from __future__ import annotations

import asyncio
import hashlib
import os
import pwd
import signal
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest

from nacre.daemon.processes import child as child_module
from nacre.daemon.processes import processes as processes_module
from nacre.daemon.processes.child import ProcessCredentials, Program
from nacre.daemon.processes.processes import Processes
from nacre.errors import ConnectionLost
from nacre.protocol.modes import Mode, encode
from nacre.server.admission.user_threads import UserThreads
from parties import until

pytestmark = pytest.mark.slow


class Source:
    """What the peer sends: pieces, and b"" for the end."""

    def __init__(self, *pieces: bytes) -> None:
        self.queue: asyncio.Queue[bytes | Exception] = asyncio.Queue()
        self.taken = 0
        for piece in pieces:
            self.queue.put_nowait(piece)

    async def read(self, n: int = -1, /) -> bytes:
        piece = await self.queue.get()
        if isinstance(piece, Exception):
            raise piece
        self.taken += len(piece)
        return piece

    async def read_chunks(self, n: int, /) -> list[bytes]:
        data = await self.read(n)
        return [data] if data else []


class Sink:
    """To the peer, which may be slow."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.open = asyncio.Event()
        self.open.set()
        self.changed = asyncio.Event()
        self.error: Exception | None = None

    async def write(self, data: bytes, /) -> None:
        await self.open.wait()
        if self.error is not None:
            raise self.error
        self.data += data
        self.changed.set()

    async def until(self, text: bytes) -> bytes:
        """Return what came when ``text`` did, and forget it."""
        async with asyncio.timeout(20):
            while text not in self.data:
                self.changed.clear()
                await self.changed.wait()
        seen = bytes(self.data)
        self.data.clear()
        return seen


@dataclass
class Terminal:
    term: str = "xterm"
    columns: int = 80
    rows: int = 24
    width: int = 0
    height: int = 0
    modes: bytes = b"\x00"


class Connection:
    def __init__(self) -> None:
        self.records: list[dict[str, object]] = []

    def record(self, event: str, **fields: object) -> None:
        self.records.append({"event": event, **fields})


@dataclass
class Session:
    stdin: Source = field(default_factory=Source)
    stdout: Sink = field(default_factory=Sink)
    stderr: Sink = field(default_factory=Sink)
    terminal: Terminal | None = None
    connection: Connection = field(default_factory=Connection)
    on_resize: Callable[[Any], object] | None = None
    on_signal: Callable[[str], object] | None = None
    on_break: Callable[[int], object] | None = None
    ended_by: tuple[str, bool] | None = None
    user: str = "alice"

    def exit_signal(self, name: str, core_dumped: bool = False, message: str = "") -> None:
        self.ended_by = (name, core_dumped)


def sh(command: str, **environment: str) -> Program:
    return Program(
        path="/bin/sh",
        arguments=["sh", "-c", command],
        environment={"PATH": os.environ["PATH"], **environment},
        directory="/",
    )


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


async def until_dead(pid: int) -> None:
    async with asyncio.timeout(20):
        while alive(pid):  # noqa: ASYNC110 - it is nobody's child here
            await asyncio.sleep(0.01)


def children() -> set[str]:
    """Return this process's children, dead ones too; other tests' servers may be among them."""
    found = set[str]()
    for thread in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            found.update((thread / "children").read_text().split())
    return found


@pytest.fixture
async def processes() -> AsyncIterator[Processes]:
    before, children_before = descriptors(), children()
    processes = Processes(UserThreads())
    yield processes
    await processes.end()
    # What has sent a signal for an account is reaped a moment after the program that got it.
    await until(lambda: descriptors() == before)
    assert children() == children_before  # nothing unreaped is left


async def run(processes: Processes, session: Session, program: Program) -> int | None:
    async with asyncio.timeout(30):
        return await processes.run(cast(Any, session), program)


async def cancelled(running: asyncio.Future[int | None]) -> None:
    """Cancel what runs, as a session does that is closed."""
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_streams_and_status(processes: Processes) -> None:
    session = Session(Source(b"12", b"345", b""))
    status = await run(processes, session, sh("wc -c; echo wrong >&2; exit 42"))
    assert status == 42
    assert session.stdout.data.strip() == b"5"
    assert session.stderr.data == b"wrong\n"


async def test_end_by_signal(processes: Processes) -> None:
    session = Session()
    assert await run(processes, session, sh("kill -USR1 $$")) is None
    assert session.ended_by == ("USR1", False)


async def test_environment_and_directory(processes: Processes) -> None:
    session = Session()
    await run(processes, session, sh("echo $NAME; pwd; env | grep -c SSH_TTY", NAME="value"))
    assert session.stdout.data == b"value\n/\n0\n"


async def test_a_program_may_be_found_out_in_the_thread_that_starts_it(
    processes: Processes,
) -> None:
    threads = list[threading.Thread]()

    def plan() -> Program:
        threads.append(threading.current_thread())
        return sh("echo planned")

    session = Session()
    assert await processes.run(cast(Any, session), plan) == 0
    assert session.stdout.data == b"planned\n"
    assert threads != [threading.main_thread()]


async def test_a_plan_that_fails_starts_nothing(processes: Processes) -> None:
    before = descriptors()

    def plan() -> Program:
        raise OSError("no such home")

    with pytest.raises(OSError, match="no such home"):
        await processes.run(cast(Any, Session()), plan)
    assert descriptors() == before


async def test_a_notice_comes_before_what_the_program_prints(processes: Processes) -> None:
    session = Session()
    program = replace(sh("echo first >&2"), notice=b"notice\n")
    await run(processes, session, program)
    assert session.stderr.data == b"notice\nfirst\n"


async def test_a_session_that_ends_before_its_notice_is_read_ends_its_program(
    processes: Processes, tmp_path: Path
) -> None:
    session = Session()
    session.stderr.open.clear()
    file = tmp_path / "number"
    program = replace(sh(f"echo $$ >{file}; exec sleep 60"), notice=b"notice\n", ends=True)
    running = asyncio.ensure_future(run(processes, session, program))
    await until(lambda: file.exists() and file.read_text().endswith("\n"))
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    await until_dead(int(file.read_text()))


async def test_nothing_but_the_three_streams_is_inherited(processes: Processes) -> None:
    secret = os.open("/etc/passwd", os.O_RDONLY)
    os.set_inheritable(secret, True)
    session = Session()
    try:
        await run(processes, session, sh("ls /proc/self/fd"))
    finally:
        os.close(secret)
    # ls opens one of its own to list them.
    assert session.stdout.data.split() == [b"0", b"1", b"2", b"3"]


async def test_bulk_comes_out_unchanged(processes: Processes) -> None:
    session = Session()
    script = "head -c 33554433 /dev/urandom | tee /dev/stderr"
    assert await run(processes, session, sh(script)) == 0
    assert len(session.stdout.data) == 33554433
    assert session.stdout.data == session.stderr.data


async def test_bulk_goes_in_unchanged(processes: Processes) -> None:
    data = os.urandom(8 << 20)
    session = Session(Source(*[data[i : i + 99_991] for i in range(0, len(data), 99_991)], b""))
    assert await run(processes, session, sh("sha256sum")) == 0
    assert session.stdout.data.split()[0].decode() == hashlib.sha256(data).hexdigest()


async def test_what_is_opened_by_its_name(processes: Processes) -> None:
    session = Session(Source(b"in", b""))
    script = "cat /dev/stdin >/dev/stderr; test -S /proc/self/fd/1"
    assert await run(processes, session, sh(script)) == 0
    assert session.stderr.data == b"in"


async def test_a_slow_peer_stops_the_process(processes: Processes, tmp_path: Path) -> None:
    session = Session()
    session.stdout.open.clear()
    progress = tmp_path / "progress"
    script = f"echo ready >&2; dd if=/dev/zero bs=1M count=64; echo done >{progress}"
    running = asyncio.ensure_future(run(processes, session, sh(script)))
    await session.stderr.until(b"ready")
    await asyncio.sleep(0.3)
    assert not progress.exists()
    assert not session.stdout.data
    session.stdout.open.set()
    assert await running == 0
    assert len(session.stdout.data) == 64 << 20


async def test_a_slow_process_stops_the_peer(processes: Processes) -> None:
    session = Session(Source(*[bytes(1 << 20)] * 16, b""))
    running = asyncio.ensure_future(
        run(processes, session, replace(sh("echo ready; read x; wc -c"), ends=True))
    )
    await session.stdout.until(b"ready")
    # `read` takes its line byte by byte: nothing else leaves the pipe.
    await asyncio.sleep(0.1)
    assert session.stdin.taken <= 4 << 20
    await cancelled(running)


async def test_input_that_nobody_reads_is_dropped(processes: Processes) -> None:
    session = Session(Source(*[bytes(1 << 20)] * 8))
    running = asyncio.ensure_future(
        run(processes, session, replace(sh("exec <&-; echo closed; sleep 60 & wait"), ends=True))
    )
    await session.stdout.until(b"closed")
    async with asyncio.timeout(20):
        while session.stdin.taken < 8 << 20:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await cancelled(running)


async def test_a_command_that_prints_nothing_needs_one_task(processes: Processes) -> None:
    made: list[object] = []

    def make(loop: asyncio.AbstractEventLoop, work: Any, **how: Any) -> asyncio.Task[Any]:
        made.append(work)
        return asyncio.Task(work, loop=loop, **how)

    asyncio.get_running_loop().set_task_factory(make)
    assert await run(processes, Session(Source(b"")), sh("exit 3")) == 3
    assert len(made) == 1


async def test_what_a_pump_raises_is_told(processes: Processes) -> None:
    session = Session()
    session.stdout.error = RuntimeError("no error of the peer's")
    with pytest.raises(RuntimeError, match="no error"):
        await run(processes, session, sh("echo"))


async def test_output_that_nobody_takes_ends_the_process(processes: Processes) -> None:
    session = Session()
    session.stdout.error = ConnectionLost("gone")
    status = await run(processes, session, sh("exec yes"))
    # Who waits for room in a socket gets EPIPE alone, and SIGPIPE the next time.
    assert session.ended_by == ("PIPE", False) or status == 1


async def test_background_output_keeps_the_session_open(processes: Processes) -> None:
    session = Session()
    script = "(read x < /dev/null; sleep 0.2; echo late) & echo early"
    assert await run(processes, session, sh(script)) == 0
    assert session.stdout.data == b"early\nlate\n"


BACKGROUND = "sleep 60 >/dev/null 2>&1 & echo $!"


async def logged(session: Session, outcome: str) -> int:
    """Return the process group that the log names with this outcome."""
    async with asyncio.timeout(20):
        while not session.connection.records:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    (record,) = session.connection.records
    assert (record["event"], record["outcome"]) == ("processes", outcome)
    group = record["group"]
    assert isinstance(group, int)
    return group


async def test_what_outlives_its_command_lives_on(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes_module, "SETTLED", 0.05)
    session = Session()
    assert await run(processes, session, sh(BACKGROUND)) == 0
    pid = int(session.stdout.data)
    try:
        assert os.getpgid(pid) == await logged(session, "left")
        await processes.end()  # nor does the server's end end it
        assert alive(pid)
    finally:
        os.kill(pid, signal.SIGKILL)
        await until_dead(pid)


async def test_what_outlives_its_command_is_ended_where_that_is_wanted(
    processes: Processes,
) -> None:
    session = Session()
    assert await run(processes, session, replace(sh(BACKGROUND), ends=True)) == 0
    await until_dead(int(session.stdout.data))
    await logged(session, "ended")


async def test_a_command_without_a_terminal_outlives_a_lost_client(processes: Processes) -> None:
    """Its streams are closed; no signal is sent."""
    session = Session()
    script = "trap 'echo hup >&2; exit' HUP; echo $$; cat >/dev/null; exec sleep 60"
    running = asyncio.ensure_future(run(processes, session, sh(script)))
    pid = int(await session.stdout.until(b"\n"))
    await cancelled(running)
    assert await logged(session, "left") == pid
    command = Path(f"/proc/{pid}/cmdline")
    async with asyncio.timeout(20):
        while not command.read_bytes().startswith(b"sleep"):  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # until cat got the end of its input
    os.kill(pid, signal.SIGKILL)
    async with asyncio.timeout(20):
        while str(pid) in children():  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # until it is reaped


async def test_a_command_without_background_processes_is_not_logged(processes: Processes) -> None:
    for ends in (False, True):
        session = Session()
        await run(processes, session, replace(sh("echo x | cat"), ends=ends))
        assert session.connection.records == []


async def test_group_ends_with_the_session_where_that_is_wanted(processes: Processes) -> None:
    session = Session()
    script = "sleep 60 & echo $! $$; wait"
    running = asyncio.ensure_future(run(processes, session, replace(sh(script), ends=True)))
    pids = [int(word) for word in (await session.stdout.until(b"\n")).split()]
    await cancelled(running)
    for pid in pids:
        await until_dead(pid)


async def test_what_ignores_the_hangup_is_killed(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child_module, "GRACE", 0.2)
    session = Session()
    script = "trap '' HUP; sleep 60 & echo $! $$; while :; do sleep 1; done"
    running = asyncio.ensure_future(run(processes, session, replace(sh(script), ends=True)))
    pids = [int(word) for word in (await session.stdout.until(b"\n")).split()]
    await cancelled(running)
    for pid in pids:
        await until_dead(pid)


async def test_signals_reach_the_group(processes: Processes) -> None:
    session = Session()
    script = "trap 'echo got it; exit 7' USR1; echo ready; while :; do sleep 0.05; done"
    running = asyncio.ensure_future(run(processes, session, sh(script)))
    await session.stdout.until(b"ready")
    assert session.on_signal is not None
    session.on_signal("NONSENSE")
    session.on_signal("USR1")
    # sleep is of the group too, and has no trap.
    assert await running == 7
    assert b"got it" in session.stdout.data


async def test_signals_are_for_commands_of_the_client_only(processes: Processes) -> None:
    session = Session(Source(b""))
    program = replace(sh("cat"), takes_signals=False)
    assert await run(processes, session, program) == 0
    assert session.on_signal is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
async def test_signals_have_the_rights_of_the_account(processes: Processes) -> None:
    nobody = pwd.getpwnam("nobody")
    rights = ProcessCredentials(uid=nobody.pw_uid, gid=nobody.pw_gid, groups=())
    session = Session()
    script = "trap 'echo one' USR1; trap 'echo two; exit 7' USR2; echo ready; while :; do :; done"
    program = replace(sh(script), credentials=rights)
    running = asyncio.ensure_future(run(processes, session, program))
    await session.stdout.until(b"ready")
    assert session.on_signal is not None
    for name in ("USR1", "USR1", "USR2"):
        session.on_signal(name)
    assert await running == 7
    assert session.stdout.data == b"one\ntwo\n"


async def test_many_at_once(processes: Processes) -> None:
    sessions = [Session(Source(b"%d" % number, b"")) for number in range(50)]
    statuses = await asyncio.gather(
        *(run(processes, session, sh("cat; exit 3")) for session in sessions)
    )
    assert statuses == [3] * 50
    assert [int(session.stdout.data) for session in sessions] == list(range(50))


async def test_what_can_not_be_started(processes: Processes) -> None:
    program = Program(path="/no/such", arguments=["such"], environment={}, directory="/")
    with pytest.raises(FileNotFoundError):
        await run(processes, Session(), program)
    with pytest.raises(FileNotFoundError):
        await run(processes, Session(terminal=Terminal()), program)
    with pytest.raises(ValueError, match="null"):
        await run(processes, Session(), sh("echo \0"))


# --- at a terminal ---


async def test_terminal_is_the_controlling_one(processes: Processes) -> None:
    session = Session(terminal=Terminal(columns=132, rows=50))
    script = "tty; echo $SSH_TTY $TERM; stty size; ps -o tty= -p $$; echo x >/dev/tty"
    assert await run(processes, session, sh(script)) == 0
    tty, line, size, shown, x = session.stdout.data.split(b"\r\n")[:5]
    assert tty.startswith(b"/dev/pts/")
    assert line == tty + b" xterm"
    assert size == b"50 132"
    assert b"/dev/" + shown.strip() == tty
    assert x == b"x"


async def test_terminal_modes(processes: Processes) -> None:
    modes = encode({Mode.ECHO: 0, Mode.VINTR: 5, Mode.VQUIT: 255, Mode.ONLCR: 0, Mode.IXANY: 1})
    session = Session(terminal=Terminal(modes=modes))
    assert await run(processes, session, sh("stty -a")) == 0
    shown = session.stdout.data.decode()
    assert "intr = ^E" in shown
    assert "quit = <undef>" in shown
    words = shown.replace(";", " ").split()
    assert {"-echo", "-onlcr", "ixany", "icanon", "opost"} <= set(words)


@pytest.mark.parametrize("modes", [b"", b"\xff\xff", b"\x35", bytes(range(256)) * 4])
async def test_broken_modes_do_no_harm(processes: Processes, modes: bytes) -> None:
    session = Session(terminal=Terminal(modes=modes, columns=1 << 31, rows=0))
    assert await run(processes, session, sh("exit 4")) == 4


async def test_resize_sends_winch(processes: Processes) -> None:
    session = Session(terminal=Terminal())
    script = "trap 'stty size; exit 0' WINCH; echo ready; while :; do sleep 0.05; done"
    running = asyncio.ensure_future(run(processes, session, sh(script)))
    await session.stdout.until(b"ready")
    assert session.on_resize is not None
    session.on_resize(Terminal(columns=100, rows=33))
    assert await running == 0
    assert b"33 100" in session.stdout.data


async def test_typed_interrupt(processes: Processes) -> None:
    session = Session(terminal=Terminal())
    running = asyncio.ensure_future(run(processes, session, sh("echo ready; exec sleep 60")))
    await session.stdout.until(b"ready")
    session.stdin.queue.put_nowait(b"\x03")
    assert await running is None
    assert session.ended_by == ("INT", False)


async def test_break_is_taken(processes: Processes) -> None:
    session = Session(terminal=Terminal())
    running = asyncio.ensure_future(run(processes, session, sh("echo ready; read x; echo $x-")))
    await session.stdout.until(b"ready")
    assert session.on_break is not None
    session.on_break(500)
    session.stdin.queue.put_nowait(b"word\n")
    assert await running == 0
    assert b"word-" in session.stdout.data


async def test_hangup_when_the_session_ends(processes: Processes, tmp_path: Path) -> None:
    session = Session(terminal=Terminal())
    mark = tmp_path / "mark"
    script = f"trap 'echo hup >{mark}; exit' HUP; echo $$; while :; do sleep 0.05; done"
    running = asyncio.ensure_future(run(processes, session, sh(script)))
    pid = int((await session.stdout.until(b"\n")).split()[0])
    await cancelled(running)
    await until_dead(pid)
    assert mark.read_text() == "hup\n"


async def test_terminal_ends_with_its_shell(processes: Processes) -> None:
    session = Session(terminal=Terminal())
    # The background process has the terminal open, and ignores that it is hung up.
    script = "trap '' HUP; sleep 60 & echo $!; exit 5"
    assert await run(processes, session, sh(script)) == 5
    os.kill(int(session.stdout.data.split()[0]), signal.SIGKILL)


async def test_slow_peer_gets_all_of_a_terminal_that_ended(processes: Processes) -> None:
    session = Session(terminal=Terminal())
    session.stdout.open.clear()
    running = asyncio.ensure_future(run(processes, session, sh("seq 300; exit 6")))
    done, _ = await asyncio.wait({running}, timeout=1)
    assert not done
    session.stdout.open.set()
    assert await running == 6
    assert session.stdout.data.split()[-1] == b"300"


async def test_much_output_at_a_terminal(processes: Processes) -> None:
    session = Session(terminal=Terminal())
    assert await run(processes, session, sh("seq 200000")) == 0
    assert session.stdout.data.split()[-1] == b"200000"
    assert session.stdout.data.count(b"\r\n") == 200000


# --- as another account ---


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize("terminal", [None, Terminal()])
async def test_rights_of_another_account(processes: Processes, terminal: Terminal | None) -> None:
    nobody = pwd.getpwnam("nobody")
    groups = (nobody.pw_gid, 1234)
    program = Program(
        path="/bin/sh",
        arguments=["sh", "-c", "id -u; id -g; id -G; umask; cat /etc/shadow; echo ok"],
        environment={"PATH": os.environ["PATH"]},
        directory="/",
        credentials=ProcessCredentials(uid=nobody.pw_uid, gid=nobody.pw_gid, groups=groups),
    )
    session = Session(terminal=terminal)
    assert await run(processes, session, program) == 0
    lines = session.stdout.data.decode().split("\n")
    assert lines[0].strip() == str(nobody.pw_uid)
    assert lines[1].strip() == str(nobody.pw_gid)
    assert set(lines[2].split()) == {str(group) for group in groups}
    assert lines[3].strip() == "0022"
    assert b"denied" in session.stdout.data + session.stderr.data
    assert "ok" in lines[-2]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
async def test_terminal_belongs_to_its_user(processes: Processes) -> None:
    nobody = pwd.getpwnam("nobody")
    program = sh("stat -c '%U %G %a' $(tty); echo x >/dev/tty")
    credentials = ProcessCredentials(uid=nobody.pw_uid, gid=nobody.pw_gid, groups=())
    session = Session(terminal=Terminal())
    status = await run(processes, session, replace(program, credentials=credentials))
    assert (status, session.stdout.data) == (0, b"nobody tty 620\r\nx\r\n")
