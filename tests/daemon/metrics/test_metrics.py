"""``nacre serve --metrics``: the numbers of a server, from a process without rights."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

pytest.importorskip("prometheus_client")

from daemon.separate.test_process import change_monitor
from daemon.separate.watched import gates, processes
from daemon.served import Server, make_state, serving
from nacre.daemon.metrics import metrics
from nacre.daemon.metrics.metrics import check_installed, processes_by_kind
from nacre.errors import ConfigurationError

MODES = {"gates": (), "one-process": ("--gates", "0")}


async def fetched(server: Server, path: str) -> tuple[int, str]:
    """Return the status and the body of a page."""
    line = await server.until("event=metrics ")
    port = int(line.rstrip().rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    try:
        async with asyncio.timeout(20):
            head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
    finally:
        writer.close()
    return int(head.split()[1]), body


async def until_it_says(server: Server, path: str, status: int, text: str) -> str:
    """Fetch a page until it has this text: the numbers are those of the last second."""
    async with asyncio.timeout(30):
        while True:
            found, body = await fetched(server, path)
            if found == status and text in body:
                return body
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("mode", MODES)
async def test_what_happens_is_counted_without_names(tmp_path: Path, mode: str) -> None:
    arguments = (*MODES[mode], "--metrics", "127.0.0.1:0", "-o", "LogLevel=VERBOSE")
    async with serving(make_state(tmp_path), *arguments) as server:
        await until_it_says(server, "/health", 200, "ok")
        async with server.connect() as ssh:
            assert (await ssh.run("echo x")).stdout == "x\n"
        body = await until_it_says(
            server, "/metrics", 200, 'nacre_sessions_total{request="exec"} 1'
        )
        lines = body.splitlines()
        assert "nacre_connections_total 1.0" in lines
        assert 'nacre_logins_total{method="publickey",outcome="success"} 1.0' in lines
        assert 'nacre_key_exchanges_total{kind="first"} 1.0' in lines
        assert "alice" not in body
        assert "127.0.0.1" not in body


async def test_the_level_of_the_log_does_not_matter(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    arguments = ("--metrics", f":{port}", "-o", "LogLevel=QUIET")
    async with serving(make_state(tmp_path), *arguments) as server:
        server.lines.append(f"event=metrics address=127.0.0.1:{port}")  # which is not logged
        async with server.connect():
            pass
        await until_it_says(server, "/metrics", 200, "nacre_connections_total 1.0")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root takes another account")
async def test_the_process_has_no_rights(tmp_path: Path) -> None:
    async with serving(make_state(tmp_path), "--metrics", "127.0.0.1:0") as server:
        await until_it_says(server, "/health", 200, "ok")
        (process,) = [one for one in processes(server) if one.name == "nacre-metrics"]
        assert 0 not in process.uids
        assert process.capabilities == 0
        assert (process.status["Seccomp"], process.status["NoNewPrivs"]) == ("2", "1")
        assert os.listdir(f"/proc/{process.pid}/root") == []
        os.kill(process.pid, signal.SIGKILL)
        await server.until("the process for metrics died|a metrics process was ended")
        await until_it_says(server, "/health", 200, "ok")


@pytest.mark.parametrize("options", [*MODES.values(), ("--drain", "3600")])
async def test_a_server_that_stops_says_so(tmp_path: Path, options: tuple[str, ...]) -> None:
    arguments = (*options, "--metrics", "127.0.0.1:0")
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(serving(make_state(tmp_path), *arguments))
        await until_it_says(server, "/health", 200, "ok")
        ssh = await stack.enter_async_context(server.connect())
        await stack.enter_async_context(ssh.process("sleep 60"))
        server.process.send_signal(signal.SIGTERM)
        await until_it_says(server, "/health", 503, "the server is stopping")
        server.process.send_signal(signal.SIGTERM)


async def test_a_server_without_gates_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_monitor(tmp_path, monkeypatch, "process", "PAUSE = 600.0")
    async with serving(make_state(tmp_path), "--metrics", "127.0.0.1:0") as server:
        await until_it_says(server, "/health", 200, "ok")
        for gate in gates(server):
            os.kill(gate.pid, signal.SIGKILL)
        await until_it_says(server, "/health", 503, "no gate runs")


async def test_workers_have_no_metrics(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="--metrics can't be used with --workers"):
        async with serving(make_state(tmp_path), "--metrics", ":0", "--workers", "2"):
            pass


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    check_installed()
    monkeypatch.setattr(metrics, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"pip install 'nacre\[metrics\]'"):
        check_installed()


def test_processes_and_their_memory_are_counted() -> None:
    found = processes_by_kind({"server": [os.getpid()], "session": [2**22 + 1]})
    assert found["processes", ("server",)] == 1
    assert found["memory_bytes", ("server",)] > 1 << 20
    assert found["memory_bytes", ("session",)] == 0
