"""A server that is not root's: its processes have one account, and are the same otherwise."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon import served
from daemon.separate.watched import echo, gates, processes, until
from daemon.served import Server, make_state, serving
from interop.programs import require, run
from nacre.daemon.sandbox.filter import has_filters

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not has_filters(), reason="this kernel has no seccomp(2)"),
]

NOBODY = 65534


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory that every account may enter."""
    path = Path(tempfile.mkdtemp(prefix="nacre-plain-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def state(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state directory of a server that runs as the account of this test, or as nobody."""
    monkeypatch.setattr(served, "RUN_AS", None)
    state = make_state(directory)
    if os.geteuid() == 0:
        become = f"{require('setpriv')} --reuid {NOBODY} --regid {NOBODY} --clear-groups"
        program = directory / "as_nobody"
        program.write_text(f'#!/bin/sh\nexec {become} {served.NACRE} "$@"\n')
        program.chmod(0o755)
        again = "import subprocess, sys; subprocess.run([sys.executable, '-c', ''], check=True)"
        if run([*become.split(), sys.executable, "-c", again]).returncode != 0:
            pytest.skip("another account can't run the interpreter")
        for path in (directory, *directory.rglob("*")):
            shutil.chown(path, NOBODY, NOBODY)
        monkeypatch.setattr(served, "NACRE", program)
    return state


def uid() -> int:
    return os.geteuid() or NOBODY


def sessions(server: Server) -> set[int]:
    return {one.pid for one in processes(server) if one.name == "nacre-session"}


def both(server: Server) -> Any:
    """Return a connection of the user who needs a password, too."""
    return server.connect("both", password="secret")


async def test_who_reads_what(state: Path) -> None:
    async with serving(state) as server, server.connect() as ssh:
        await echo(ssh)
        assert (await ssh.run("id -u")).stdout == f"{uid()}\n"
        async with ssh.sftp() as sftp:
            assert await sftp.realpath(".") == str(state.parent)
        assert {one for process in processes(server) for one in process.uids} == {uid()}
        assert [gate.status["Seccomp"] for gate in gates(server)] == ["2", "2"]
        (session,) = sessions(server)
        assert f" process={session}" in await server.until("event=authenticated .* user=alice")


async def test_each_user_has_a_process(state: Path) -> None:
    async with serving(state) as server, server.connect() as one, server.connect() as two:
        assert len(sessions(server)) == 1
        async with both(server) as other:
            assert len(sessions(server)) == 2
            for ssh in (one, two, other):
                await ssh.rekey()
                await echo(ssh)


async def test_files_of_a_user_who_is_confined_to_them(state: Path) -> None:
    (state.parent / "files").mkdir()
    shutil.chown(state.parent / "files", uid())
    async with serving(state) as server, server.connect("files") as ssh, ssh.sftp() as sftp:
        await sftp.write_bytes("made", b"x")
        assert await sftp.listdir("/") == ["made"]
    assert (state.parent / "files" / "made").read_bytes() == b"x"


async def test_a_gate_that_dies_is_replaced(state: Path) -> None:
    async with serving(state) as server, server.connect() as ssh:
        before = gates(server)
        for gate in before:
            os.kill(gate.pid, signal.SIGKILL)
        await until(lambda: len({one.pid for one in gates(server)} - {g.pid for g in before}) == 2)
        await echo(ssh)
        async with both(server) as other:
            await echo(other)


async def test_a_reload_gives_new_gates_and_leaves_sessions_alone(state: Path) -> None:
    async with serving(state) as server, server.connect() as ssh:
        before = gates(server)
        server.process.send_signal(signal.SIGHUP)
        await server.until("event=reloaded")
        await until(lambda: all(gate.gone for gate in before))
        assert len(gates(server)) == 2
        await echo(ssh)
        async with both(server) as other:
            await echo(other)


async def test_everything_ends_with_the_first_process(state: Path) -> None:
    async with serving(state) as server, server.connect() as ssh:
        started = processes(server)
        server.process.kill()
        async with asyncio.timeout(20):
            await ssh.wait_closed()
        await until(lambda: all(one.gone for one in started))


async def test_one_process_does_it_all_without_gates(state: Path) -> None:
    async with serving(state, "--gates", "0") as server, server.connect() as ssh:
        await echo(ssh)
        assert not gates(server)
        assert not sessions(server)
