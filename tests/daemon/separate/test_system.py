"""What the log and the system are told of the connections of a separated server."""

from __future__ import annotations

import os
import re
import resource
import signal
import struct
from pathlib import Path
from typing import Any

import pytest

from daemon.conftest import SystemAccount
from daemon.separate.watched import (
    Watched,
    echo,
    gates,
    port_of,
    reader,
    separated,
    stranger,
    until,
)
from daemon.served import KEY, Server, make_state
from nacre.daemon.processes import login_records
from nacre.daemon.sandbox.filter import has_filters

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes other accounts"),
    pytest.mark.skipif(not has_filters(), reason="this kernel has no seccomp(2)"),
]


@pytest.fixture
def state(tmp_path: Path, system_account: SystemAccount) -> Path:
    system_account.authorize(f"{KEY.public}\n")
    return make_state(tmp_path)


def numbers(server: Server, event: str) -> list[tuple[str, str]]:
    """Return the gate and the connection of each record of an event."""
    found = (re.search(r"connection=(\S+) .*gate=(\d+)", line) for line in server.lines)
    return [(match[2], match[1]) for match in found if match and f"event={event} " in match.string]


async def test_a_connection_has_one_number_in_the_log(
    state: Path, system_account: SystemAccount
) -> None:
    """Also where others came before it about which the monitor was asked nothing."""
    name = system_account.name
    async with separated(state, "--gates", "1", "--listen", "127.0.0.1:0") as server:
        for _ in range(3):
            async with stranger(server):
                pass
            await server.until("event=closed", len(server.lines))
        async with server.connect(name) as ssh:
            await echo(ssh)
        await server.until(f"event=closed .*user={name}")
        *_, number = numbers(server, "accepted")
        assert len(set(numbers(server, "accepted"))) == 4
        assert {*numbers(server, "kex"), *numbers(server, "exit")} == {number}


async def test_a_login_at_a_terminal_is_noted(state: Path, system_account: SystemAccount) -> None:
    """Users can't write the file that has the last logins, which newer systems lack."""
    before = login_records.LASTLOG.exists()
    login_records.LASTLOG.touch(mode=0o664)
    try:
        forget_last_login(system_account.uid)
        async with separated(state) as server, server.connect(system_account.name) as ssh:
            assert not last_login(system_account.uid)
            await ssh.run("true", term="xterm")
            await until(lambda: last_login(system_account.uid))
            assert last_login(system_account.uid) == "127.0.0.1"
    finally:
        if not before:
            login_records.LASTLOG.unlink()


def forget_last_login(uid: int) -> None:
    """Remove the last login of an account, which may have been another one's with its number."""
    with login_records.LASTLOG.open("r+b") as file:
        os.pwrite(file.fileno(), bytes(login_records.LAST.size), uid * login_records.LAST.size)


def last_login(uid: int) -> str:
    """Return the address of the last login of an account, or an empty text."""
    record = struct.Struct("=i32s256s")  # lastlog(8)
    with login_records.LASTLOG.open("rb") as file:
        found = os.pread(file.fileno(), record.size, uid * record.size)
    return found[-256:].rstrip(b"\0").decode()


async def test_the_limits_of_processes_and_of_sessions(
    state: Path, system_account: SystemAccount
) -> None:
    """All processes may have as many descriptors as they can; sessions have the limits before.

    With PAM they have those that a module sets.
    """
    kinds = {resource.RLIMIT_NOFILE: 300, resource.RLIMIT_CORE: 1 << 20}
    before = {kind: resource.getrlimit(kind) for kind in kinds}
    for kind, soft in kinds.items():
        resource.setrlimit(kind, (soft, before[kind][1]))
    try:
        async with (
            separated(state, "-o", "UsePAM=no") as server,
            server.connect(system_account.name) as ssh,
        ):
            hard = before[resource.RLIMIT_NOFILE][1]
            for process in (*gates(server), reader(server, port_of(ssh))):
                assert soft_limit(process, "open files") == min(hard, 65536)
                assert soft_limit(process, "core file size") == 0
            for terminal in (None, "xterm"):
                command = "read x; ulimit -n; ulimit -c"
                async with ssh.process(command, term=terminal) as process:
                    await process.stdin.write(b"go\n")
                    words = (await process.stdout.read()).split()
                assert words[-2:] == [b"300", b"2048"]  # blocks of 512 bytes
    finally:
        for kind, bounds in before.items():
            resource.setrlimit(kind, bounds)


def soft_limit(process: Watched, name: str) -> int:
    limits = Path(f"/proc/{process.pid}/limits").read_text()
    found = re.search(rf"^Max {name} +(\d+)", limits, re.MULTILINE)
    assert found
    return int(found[1])


async def test_a_reload_changes_the_log_of_users_who_are_there(
    state: Path, system_account: SystemAccount, tmp_path: Path
) -> None:
    config = tmp_path / "config"
    config.write_text("LogLevel INFO\n")
    name = system_account.name
    async with separated(state, "-f", str(config)) as server, server.connect(name) as before:
        await list_files(before)
        config.write_text("LogLevel VERBOSE\n")
        server.process.send_signal(signal.SIGHUP)
        await server.until("event=reloaded")
        assert "event=file" not in "".join(server.lines)
        async with server.connect(name) as after:
            await list_files(after)
            assert reader(server, port_of(after)).pid == reader(server, port_of(before)).pid
            await server.until("event=file")


async def list_files(ssh: Any) -> None:
    async with ssh.sftp() as sftp:
        await sftp.listdir(".")
