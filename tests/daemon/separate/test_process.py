"""A separated server as a whole: who has what, what ends what, and how it is told things."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

import nacre
from daemon import served
from daemon.conftest import SystemAccount
from daemon.separate.watched import (
    Watched,
    echo,
    gates,
    make_host_key,
    monitor,
    of_user,
    port_of,
    processes,
    reader,
    readers,
    separated,
    stranger,
    template,
    until,
)
from daemon.served import KEY, Server, make_state, serving
from nacre.daemon.sandbox.filter import has_filters

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes other accounts"),
    pytest.mark.skipif(not has_filters(), reason="this kernel has no seccomp(2)"),
]


@pytest.fixture
def state(tmp_path: Path, system_account: SystemAccount, other_account: SystemAccount) -> Path:
    for account in (system_account, other_account):
        account.authorize(f"{KEY.public}\n")
    return make_state(tmp_path)


def change_monitor(
    directory: Path, monkeypatch: pytest.MonkeyPatch, module: str, change: str
) -> None:
    """Have the next server begin with a change of a constant in a module of its monitor."""
    patch = f"from nacre.daemon.separate import {module}\n{module}.{change}\n"
    (directory / "sitecustomize.py").write_text(patch)
    monkeypatch.setenv("PYTHONPATH", f"{directory}:{os.environ.get('PYTHONPATH', '')}")


# --- who has what ---


async def test_who_reads_what_a_stranger_sends_can_do_nothing(
    state: Path, system_account: SystemAccount
) -> None:
    async with separated(state) as server:
        # The last fields are the seed and the public key (32 bytes each).
        secret = nacre.load_private((state / "host_key").read_bytes()).secret_fields()
        seed = secret[-64:-32]
        async with stranger(server) as client:
            gate = reader(server, client.port)
            assert 0 not in gate.uids
            assert gate.status["Groups"] == ""
            assert gate.capabilities == 0
            assert (gate.status["Seccomp"], gate.status["NoNewPrivs"]) == ("2", "1")
            assert os.listdir(f"/proc/{gate.pid}/root") == []
            assert monitor(server).holds(seed)
            assert [one.pid for one in processes(server) if one.holds(seed)] == []
        async with server.connect(system_account.name) as ssh:
            await echo(ssh)
            session = reader(server, port_of(ssh))
            assert session.uids == {system_account.uid}
            assert session.capabilities == 0
            assert not session.holds(seed)


async def test_connections_of_a_user_share_a_process_and_users_do_not(
    state: Path, system_account: SystemAccount, other_account: SystemAccount
) -> None:
    async with (
        separated(state) as server,
        server.connect(system_account.name) as one,
        server.connect(system_account.name) as two,
        server.connect(other_account.name) as other,
    ):
        first, second, third = (reader(server, port_of(ssh)) for ssh in (one, two, other))
        assert first.pid == second.pid != third.pid
        assert (first.uids, third.uids) == ({system_account.uid}, {other_account.uid})
        assert (await other.run("id -un")).stdout == f"{other_account.name}\n"


async def test_the_process_of_a_user_waits_for_another_connection(
    state: Path, system_account: SystemAccount, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_monitor(tmp_path, monkeypatch, "users", "IDLE = 600.0")
    async with separated(state) as server:
        async with server.connect(system_account.name) as ssh:
            await echo(ssh)
        await server.until("event=closed")
        (process,) = of_user(server, system_account.uid)
        async with server.connect(system_account.name) as ssh:
            assert reader(server, port_of(ssh)).pid == process.pid


async def test_the_process_of_a_user_ends_some_time_after_the_last_connection(
    state: Path, system_account: SystemAccount, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_monitor(tmp_path, monkeypatch, "users", "IDLE = 1.0")
    async with separated(state) as server:
        async with server.connect(system_account.name) as ssh:
            await echo(ssh)
            process = reader(server, port_of(ssh))
        await until(lambda: process.gone)
        async with server.connect(system_account.name) as ssh:
            await echo(ssh)


# --- rest ---


async def test_a_connection_at_rest_has_no_process_and_goes_on(
    state: Path, system_account: SystemAccount, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_monitor(tmp_path, monkeypatch, "users", "REST = users.IDLE = 0.3")
    async with separated(state) as server:
        async with (
            server.connect(system_account.name) as one,
            server.connect(system_account.name) as two,
        ):
            for _ in range(2):
                await asyncio.gather(echo(one), echo(two))
                await until(lambda: not of_user(server, system_account.uid))
                assert reader(server, port_of(one)).pid == server.process.pid
            await one.rekey()
        for _ in range(2):
            await server.until("event=closed")
        lines = [line for line in server.lines if "event=authenticated" in line]
        assert len(lines) == 2


async def test_what_is_in_use_does_not_rest(
    state: Path, system_account: SystemAccount, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_monitor(tmp_path, monkeypatch, "users", "REST = 0.01")
    async with (
        separated(state) as server,
        server.connect(system_account.name) as idle,
        server.connect(system_account.name) as ssh,
        ssh.process("cat") as process,
    ):
        await until(lambda: reader(server, port_of(idle)).pid == server.process.pid)
        (user,) = of_user(server, system_account.uid)
        assert reader(server, port_of(ssh)).pid == user.pid
        await process.stdin.write(b"x\n")
        assert await process.stdout.readline() == b"x\n"


async def test_a_client_that_is_gone_at_rest_is_logged(
    state: Path, system_account: SystemAccount, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_monitor(tmp_path, monkeypatch, "users", "REST = users.IDLE = 0.1")
    async with separated(state) as server:
        async with server.connect(system_account.name) as ssh:
            await until(lambda: not of_user(server, system_account.uid))
            assert reader(server, port_of(ssh)).pid == server.process.pid
            ssh.driver.abort()
        assert "the client has closed the connection" in await server.until("event=closed")


async def test_connections_at_rest_end_with_the_server(
    state: Path, system_account: SystemAccount, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_monitor(tmp_path, monkeypatch, "users", "REST = users.IDLE = 0.1")
    async with separated(state) as server, server.connect(system_account.name) as ssh:
        await until(lambda: not of_user(server, system_account.uid))
        server.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            await ssh.wait_closed()
            assert await server.process.wait() == 0


# --- what ends what ---


async def test_a_gate_that_dies_takes_those_who_log_in_there_along(
    state: Path, system_account: SystemAccount
) -> None:
    async with separated(state) as server, server.connect(system_account.name) as ssh:
        async with stranger(server) as client:
            gate = reader(server, client.port)
            os.kill(gate.pid, signal.SIGKILL)
            await client.ended()
        await echo(ssh)
        async with server.connect(system_account.name) as another:
            await echo(another)
        await server.until("a gate died")
        await until(lambda: len(gates(server)) == 2)
        assert gate.pid not in {one.pid for one in gates(server)}
        async with stranger(server), server.connect(system_account.name) as another:
            await echo(another)


async def test_the_process_of_a_user_dies_alone(
    state: Path, system_account: SystemAccount, other_account: SystemAccount
) -> None:
    async with (
        separated(state) as server,
        stranger(server) as client,
        server.connect(other_account.name) as other,
    ):
        async with server.connect(system_account.name) as ssh:
            os.kill(reader(server, port_of(ssh)).pid, signal.SIGKILL)
            async with asyncio.timeout(20):
                await ssh.wait_closed()
        await echo(other)
        assert reader(server, client.port).pid in {one.pid for one in gates(server)}
        async with server.connect(system_account.name) as ssh:
            await echo(ssh)


async def test_the_template_dies_and_another_one_takes_its_place(
    state: Path, system_account: SystemAccount, other_account: SystemAccount
) -> None:
    async with separated(state) as server, server.connect(system_account.name) as ssh:
        before = template(server)
        os.kill(before.pid, signal.SIGKILL)
        await echo(ssh)
        async with server.connect(other_account.name) as other:
            await echo(other)
        # The process that waited for a request was the first of these.
        for one in gates(server):
            os.kill(one.pid, signal.SIGKILL)
        await server.until("a gate died")
        await until(lambda: len(gates(server)) == 2)
        assert template(server).pid != before.pid


async def test_everything_ends_with_the_first_process(
    state: Path, system_account: SystemAccount
) -> None:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(separated(state))
        client = await stack.enter_async_context(stranger(server))
        ssh = await stack.enter_async_context(server.connect(system_account.name))
        all_of_them = processes(server)
        # Two gates, the template, the process of PAM, and that of the user.
        assert len(all_of_them) == 5
        server.process.kill()
        await client.ended()
        async with asyncio.timeout(20):
            await ssh.wait_closed()
        await until(lambda: all(one.gone for one in all_of_them))


# --- what it is told ---


async def test_a_reload_gives_new_gates_and_leaves_sessions_alone(
    state: Path, system_account: SystemAccount, tmp_path: Path
) -> None:
    file = tmp_path / "config"
    file.write_text("MaxAuthTries 5\n")
    async with separated(state, "-f", str(file)) as server, stranger(server) as client:
        before = {one.pid for one in gates(server)}
        async with server.connect(system_account.name) as ssh:
            make_host_key(state)
            file.write_text("MaxAuthTries 1\n")
            server.process.send_signal(signal.SIGHUP)
            await server.until("event=reloaded")
            await echo(ssh)
            async with server.connect(system_account.name) as another:
                assert another.server_host_key != ssh.server_host_key
                assert reader(server, port_of(another)).pid == reader(server, port_of(ssh)).pid
                await echo(another)
            await ssh.rekey()
            await echo(ssh)
        with pytest.raises(nacre.NacreError):
            await server.connect(system_account.name, keys=[nacre.generate("ssh-ed25519"), KEY])
        await server.until("too many authentication failures")
        # Who logs in at a gate that was retired may go on.
        old = reader(server, client.port)
        assert old.pid in before
        client.writer.close()
        await until(lambda: old.gone and not before & {one.pid for one in gates(server)})
        await until(lambda: len(gates(server)) == 2)


async def test_a_reload_of_what_can_not_be_leaves_all_as_it_is(
    state: Path, system_account: SystemAccount, tmp_path: Path
) -> None:
    file = tmp_path / "config"
    file.write_text("MaxAuthTries 5\n")
    async with separated(state, "-f", str(file)) as server:
        for text in ("Nonsense yes\n", "Protocol 2,1\n"):
            file.write_text(text)
            since = len(server.lines)
            server.process.send_signal(signal.SIGHUP)
            await server.until("nothing was reloaded", since)
            async with server.connect(system_account.name) as ssh:
                await echo(ssh)
        await until(lambda: len(gates(server)) == 2)


async def test_reloads_do_not_wait_for_strangers(
    state: Path, system_account: SystemAccount
) -> None:
    """Of the gates that were retired, those of the last reloads alone remain."""
    async with separated(state) as server, AsyncExitStack() as stack:
        strangers = []
        for _ in range(6):
            strangers.append(await stack.enter_async_context(stranger(server)))
            since = len(server.lines)
            server.process.send_signal(signal.SIGHUP)
            await server.until("event=reloaded", since)
        await strangers[0].ended()
        assert readers(server, strangers[-1].port) != []
        async with server.connect(system_account.name) as ssh:
            await echo(ssh)


async def test_a_reload_changes_the_addresses(
    state: Path, system_account: SystemAccount, tmp_path: Path
) -> None:
    file = tmp_path / "config"
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as two,
    ):
        before, after = (free.getsockname()[1] for free in (one, two))
    file.write_text(f"ListenAddress 127.0.0.1:{before}\n")
    key = f"HostKey={make_host_key(state)}"
    where = ("-f", str(file), "--users", "system", "-o", key)
    async with serving(state, where=where) as server:
        file.write_text(f"ListenAddress 127.0.0.1:{after}\n")
        server.process.send_signal(signal.SIGHUP)
        await server.until("event=reloaded")
        server.port = after
        async with server.connect(system_account.name) as ssh:
            await echo(ssh)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", before)


async def test_it_stops_when_sessions_have_ended(
    state: Path, system_account: SystemAccount
) -> None:
    async with separated(state) as server, stranger(server) as client:
        async with server.connect(system_account.name) as ssh:
            process = await ssh.process("read line; echo got $line")
            server.process.terminate()
            await server.until("event=stopping at_once=False")
            await client.ended()
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", server.port)
            await process.stdin.write(b"it\n")
            assert await process.stdout.read() == b"got it\n"
        assert await server.end() == 0


async def test_a_reload_while_it_stops_starts_no_gates(
    state: Path, system_account: SystemAccount
) -> None:
    async with separated(state) as server:
        async with server.connect(system_account.name) as ssh, ssh.process("cat") as process:
            before = {one.pid for one in gates(server)}
            server.process.terminate()
            await server.until("event=stopping")
            server.process.send_signal(signal.SIGHUP)
            for _ in range(10):  # time for a reload
                await process.stdin.write(b"still here\n")
                assert await process.stdout.readline() == b"still here\n"
            assert {one.pid for one in gates(server)} <= before
        assert await server.end() == 0
        said = "".join(server.lines)
        assert "event=reloaded" not in said
        assert "event=error" not in said


async def test_a_second_signal_hurries(state: Path, system_account: SystemAccount) -> None:
    async with separated(state) as server, server.connect(system_account.name) as ssh:
        await ssh.process("sleep 1000")
        everyone = processes(server)
        server.process.terminate()
        await server.until("event=stopping at_once=False")
        server.process.terminate()
        async with asyncio.timeout(4):  # less than sessions have after the first one
            await ssh.wait_closed()
        assert await server.end() == 0
        await until(lambda: all(one.gone for one in everyone))


async def test_it_stops_though_a_user_has_stopped_the_process(
    state: Path,
    system_account: SystemAccount,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    change_monitor(tmp_path, monkeypatch, "monitor", "_MARGIN = 0.1")
    async with separated(state) as server, server.connect(system_account.name) as ssh:
        process = reader(server, port_of(ssh))
        running = asyncio.create_task(ssh.run(f"kill -STOP {process.pid}"))
        status = Path(f"/proc/{process.pid}/status")
        await until(lambda: "State:\tT" in status.read_text())
        server.process.terminate()
        await server.until("stopping")
        server.process.terminate()
        assert await server.end() == 0
        await asyncio.wait({running})
        assert running.exception() is not None
        assert process.gone


async def test_nothing_is_left_of_clients_who_leave_at_any_moment(
    state: Path, system_account: SystemAccount
) -> None:
    def descriptors() -> dict[int, int]:
        everyone = [monitor(server), *gates(server)]
        return {one.pid: len(one.descriptors()) for one in everyone}

    async def leave_after(steps: int) -> None:
        trying = asyncio.ensure_future(server.connect(system_account.name, keys=[], password="x"))
        for _ in range(steps):
            await asyncio.sleep(0)
        trying.cancel()
        await asyncio.wait({trying})
        assert trying.cancelled() or trying.exception() is not None

    options = ("MaxStartups=100", "LogLevel=QUIET", "PerSourcePenalties=no")
    async with separated(state, *(f"-o{one}" for one in options)) as server:
        await leave_after(10_000)
        await until(lambda: not open_connections(server))
        # The password of a client who has left is still looked at, which takes descriptors, too.
        looks = [descriptors()]
        while looks[-20:] != looks[-1:] * 20:
            await asyncio.sleep(0.01)
            looks.append(descriptors())
        before = looks[-1]
        for steps in range(1, 60):
            await leave_after(steps)
        await until(lambda: not open_connections(server))
        await until(lambda: descriptors() == before)


async def test_a_gate_without_descriptors_recovers(
    state: Path, system_account: SystemAccount, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They run out while strangers connect; the gate recovers when these have left."""
    program = tmp_path / "limited"
    program.write_text(f'#!/bin/sh\nulimit -n 60\nexec {served.NACRE} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setattr(served, "NACRE", program)
    options = ("MaxStartups=1000", "PerSourcePenalties=no")
    async with separated(state, *(f"-o{one}" for one in options)) as server:
        before = {one.pid for one in gates(server)}
        strangers = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(150)]
        line = await server.until("Too many open files")
        assert "level=error event=error" in line
        for _, writer in strangers:
            writer.close()
        async with asyncio.timeout(30):
            while True:
                try:
                    async with server.connect(system_account.name) as ssh:
                        await echo(ssh)
                    break
                except (nacre.NacreError, OSError):
                    await asyncio.sleep(0.1)
        assert {one.pid for one in gates(server)} == before


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_nothing_grows(
    state: Path, system_account: SystemAccount, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gate that the monitor knows more than 30 connections of would be ended."""
    change_monitor(tmp_path, monkeypatch, "monitor", "_MOST_VISITS = 30")

    async def log_in() -> None:
        async with server.connect(system_account.name) as ssh:
            await echo(ssh)

    async def log_in_often(times: int) -> None:
        for _ in range(times // 10):
            await asyncio.gather(*(log_in() for _ in range(10)))

    def everyone() -> list[Watched]:
        return [monitor(server), *processes(server)]

    def sizes() -> dict[int, int]:
        return {one.pid: int(one.status["RssAnon"].split()[0]) for one in everyone()}

    def descriptors() -> dict[int, int]:
        return {one.pid: len(one.descriptors()) for one in everyone()}

    async with separated(state, "-o", "MaxStartups=100", "-o", "LogLevel=QUIET") as server:
        await log_in_often(100)
        await until(lambda: not open_connections(server))
        before, memory = descriptors(), sizes()
        await log_in_often(500)
        await until(lambda: not open_connections(server))
        after, grown = descriptors(), sizes()
        assert after.keys() == before.keys()
        assert {pid: after[pid] - before[pid] for pid in after if after[pid] > before[pid]} == {}
        # Garbage in cycles waits for the next look at all objects (12 KiB of each login); a
        # connection that stays would be 10 times as much.
        kib = {pid: grown[pid] - memory[pid] for pid in grown}
        assert {pid: more for pid, more in kib.items() if more > 16384} == {}


def open_connections(server: Server) -> list[str]:
    """Return the connections that are open, or are being closed, at a process of the server."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    ends = [line.split() for line in lines]
    local = f":{server.port:04X}"
    return [word[1] for word in ends if word[1].endswith(local) and word[3] in ("01", "08")]
