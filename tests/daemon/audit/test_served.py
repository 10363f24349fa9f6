"""``nacre serve --audit`` and OpenSSH's clients: what they were told has happened is kept."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import shutil
import signal
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from pathlib import Path

import pytest

import nacre
from daemon.served import KEY, Server, make_state, serving
from nacre.daemon.audit.chain import Kept, faults
from nacre.daemon.audit.search import Search
from nacre.daemon.audit.table import FILE, AuditTable
from procfs import below

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(shutil.which("sftp") is None, reason="OpenSSH's sftp is not installed"),
]

CLIENTS, FILES_EACH = 20, 40
MODES = {"gates": (), "one process": ("--gates", "0"), "workers": ("--workers", "2")}


@pytest.fixture
def state(tmp_path: Path) -> Path:
    (tmp_path / "files").mkdir()
    (tmp_path / "key").write_bytes(nacre.dump_private(KEY))
    (tmp_path / "key").chmod(0o600)
    (tmp_path / "small").write_bytes(b"x" * 4096)
    return make_state(tmp_path)


@pytest.fixture(params=list(MODES.values()), ids=list(MODES))
def mode(request: pytest.FixtureRequest) -> tuple[str, ...]:
    found: tuple[str, ...] = request.param
    return found


def events(state: Path, **wanted: str) -> list[Kept]:
    with closing(AuditTable(state / FILE, create=False)) as table:
        return list(Search(**wanted).events(table))  # type: ignore[arg-type]


def fields(event: Kept) -> dict[str, object]:
    found: dict[str, object] = json.loads(event.fields)
    return found


def breaks(state: Path) -> list[str]:
    with closing(AuditTable(state / FILE, create=False)) as table:
        anchor, head, found = table.chain()
        return list(faults(found, anchor, head))


def options(state: Path) -> list[str]:
    words = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "IdentitiesOnly=yes"]
    key = str(state.parent / "key")
    return ["-F", "none", "-i", key, *(word for one in words for word in ("-o", one))]


@asynccontextmanager
async def sftp(server: Server, state: Path, user: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *("sftp", *options(state), "-P", str(server.port), "-b", "-", f"{user}@127.0.0.1"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=state.parent,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def run(server: Server, state: Path, user: str, *commands: str) -> tuple[int, str]:
    """Return the exit status of sftp, and what it has printed."""
    async with sftp(server, state, user) as process, asyncio.timeout(50):
        out, err = await process.communicate("".join(f"{one}\n" for one in commands).encode())
    assert process.returncode is not None
    return process.returncode, out.decode() + err.decode()


def kill_all(server: Server) -> None:
    pids = [server.process.pid, *below(server.process.pid)]
    random.shuffle(pids)
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


async def uploaded(server: Server, state: Path, number: int, began: asyncio.Event) -> list[str]:
    """Upload files until the server is gone, and return those that sftp saw succeed."""
    names = [f"{number}-{one}" for one in range(FILES_EACH)]
    async with sftp(server, state, "files") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("".join(f"put small {name}\n" for name in names).encode())
        with suppress(ConnectionError):
            process.stdin.close()
        # It prints a command before it does it, and ends at the first one that fails.
        told = 0
        async with asyncio.timeout(50):
            while line := await process.stdout.readline():
                if line.startswith(b"sftp> put"):
                    told += 1
                    if told > 2:
                        began.set()
            status = await process.wait()
    return names if status == 0 else names[: max(0, told - 1)]


@pytest.mark.slow
@pytest.mark.parametrize("round_", range(3))
async def test_what_clients_saw_succeed_is_kept_when_all_processes_are_killed(
    state: Path, mode: tuple[str, ...], round_: int
) -> None:
    async with serving(state, "--audit", "-o", "MaxStartups=100", *mode) as server:
        began = [asyncio.Event() for _ in range(CLIENTS)]
        work = [
            asyncio.ensure_future(uploaded(server, state, number, one))
            for number, one in enumerate(began)
        ]
        async with asyncio.timeout(40):
            # In the midst of it: one client is further each round.
            for one in began[: 1 + 4 * round_]:
                await one.wait()
        kill_all(server)
        seen = {name for names in await asyncio.gather(*work) for name in names}
    assert seen
    assert breaks(state) == []
    closed = {
        fields(one)["path"]
        for one in events(state, event="file", outcome="success")
        if fields(one)["op"] == "close" and fields(one).get("written") == 4096
    }
    assert {f"/{name}" for name in seen} <= closed
    # The next server goes on with the chain.
    async with serving(state, "--audit", *mode) as server:
        status, text = await run(server, state, "files", "put small again", "rm again")
        assert status == 0, text
    assert breaks(state) == []
    runs = {one.connection.partition(".")[0] for one in events(state) if one.connection}
    assert len(runs) >= 2


def told(state: Path, event: str, user: str) -> list[tuple[str, dict[str, object]]]:
    return [(one.outcome, fields(one)) for one in events(state, event=event, user=user)]


async def test_logins_commands_and_operations_are_events(
    state: Path, mode: tuple[str, ...]
) -> None:
    async with serving(state, "--audit-hashes", *mode) as server:
        done = await run(
            server,
            state,
            "files",
            *("put small a", "get a back", "rename a b", "mkdir d", "rmdir d", "chmod 600 b"),
            *("symlink b l", "rm l", "-rm missing", "rm b"),
        )
        assert done[0] == 0, done[1]
        async with server.connect("alice") as ssh:
            await ssh.run("exit 3")
            with pytest.raises(nacre.ChannelOpenFailed):
                await ssh.open_connection("127.0.0.1", 1)
        with pytest.raises(nacre.AuthenticationFailed):
            async with server.connect("alice", keys=[nacre.generate("ssh-ed25519")]):
                pass
        with pytest.raises(nacre.AuthenticationFailed):
            async with server.connect("nobody", keys=[], password="guess"):
                pass
        # Failures are answered at once, and kept soon: a server that stops keeps all.
        server.process.terminate()
        assert await server.end() == 0
    assert breaks(state) == []
    operations = [(o, f["op"], f.get("path"), f.get("to")) for o, f in told(state, "file", "files")]
    wanted = [
        *(("success", "open", "/a", None), ("success", "close", "/a", None)),
        ("success", "posix-rename@openssh.com", "/a", "/b"),
        *(("success", "mkdir", "/d", None), ("success", "rmdir", "/d", None)),
        *(("success", "setstat", "/b", None), ("success", "remove", "/l", None)),
        *(("success", "remove", "/b", None), ("failure", "remove", "/missing", None)),
    ]
    assert [one for one in wanted if one not in operations] == []
    contents = "".join(f"{f.get('sha256_written')} " for _, f in told(state, "file", "files"))
    assert hashlib.sha256(b"x" * 4096).hexdigest() in contents
    assert ("success", "exit 3") in [(o, f["command"]) for o, f in told(state, "command", "alice")]
    assert 3 in [f["status"] for _, f in told(state, "exit", "alice")]
    assert "127.0.0.1:1" in str(told(state, "forward", "alice"))
    outcomes = {outcome for outcome, _ in told(state, "login", "alice")}
    assert outcomes >= {"success", "failure"}
    assert "unknown user" in str(told(state, "login", "nobody"))
    connections = {one.connection for one in events(state, user="files")}
    assert len(connections) == 1


@contextmanager
def full(state: Path) -> Iterator[None]:
    """Have the table take no events, as on a disk that is full."""
    statement = (
        "CREATE TRIGGER full BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'disk full'); END"
    )
    with closing(sqlite3.connect(state / FILE)) as table, table:
        table.execute(statement)
    yield
    with closing(sqlite3.connect(state / FILE)) as table, table:
        table.execute("DROP TRIGGER full")


async def test_nothing_that_can_not_be_kept_is_answered_with_success(
    state: Path, mode: tuple[str, ...]
) -> None:
    """The failures are told, nothing hangs, and all goes on when the table can be written again."""
    home = state.parent / "files"
    (home / "stays").write_bytes(b"x")
    async with (
        serving(state, "--audit", *mode) as server,
        server.connect("files") as before,
        before.sftp() as files,
    ):
        with full(state):
            async with asyncio.timeout(50):
                with pytest.raises(OSError, match="Input/output"):
                    await files.mkdir("/first")
                # Now it is known that nothing can be kept: nothing happens any more.
                with pytest.raises(OSError, match="Input/output"):
                    await files.remove("/stays")
                with pytest.raises(OSError, match="Input/output"):
                    await files.open("/new", "w")
                with pytest.raises(nacre.NacreError):
                    async with server.connect("files") as ssh, ssh.sftp():
                        pass
            await server.until('what="the audit fails" error=.*disk full')
        assert (home / "stays").exists()
        assert not (home / "new").exists()
        await server.until('outcome="works again"')
        async with asyncio.timeout(50):
            await files.remove("/stays")
        status, text = await run(server, state, "files", "put small later")
        assert status == 0, text
    assert breaks(state) == []
    lost = [f["lost"] for _, f in told(state, "audit", "") if f["op"] == "resume"]
    assert lost
    assert "/stays" in str(told(state, "file", "files"))
    assert "/first" not in str(told(state, "file", "files"))
