from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import pytest

from nacre.cli.agent import running


async def test_the_end_of_the_parent_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = asyncio.Event()
    process = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    assert process.stdin is not None
    monkeypatch.setattr(os, "getppid", lambda: process.pid)
    running._watch(process.pid, ended.set)
    assert not ended.is_set()
    process.stdin.close()
    async with asyncio.timeout(20):
        await ended.wait()
    process.wait(20)


async def test_a_parent_that_ended_before(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = asyncio.Event()
    monkeypatch.setattr(os, "getppid", lambda: 1)
    running._watch(os.getpid(), ended.set)
    assert ended.is_set()


async def test_where_the_system_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    parent, ended = 4711, asyncio.Event()
    monkeypatch.delattr(os, "pidfd_open", raising=False)
    monkeypatch.setattr(os, "getppid", lambda: parent)
    monkeypatch.setattr(running, "_PARENT", 0.0)
    running._watch(4711, ended.set)
    await asyncio.sleep(0.01)
    assert not ended.is_set()
    parent = 1
    async with asyncio.timeout(20):
        await ended.wait()


def test_nacre_ssh_loads_nothing_of_an_agents_side() -> None:
    program = (
        "import sys, nacre.cli.ssh.command, nacre.client.connect, nacre.client.identities; "
        "print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True
    )
    loaded = set(done.stdout.split())
    assert "nacre.agent.client" in loaded
    for name in ("server", "service", "keyring", "memory", "lock"):
        assert f"nacre.agent.{name}" not in loaded
    for name in ("requests", "changes", "private", "constraints", "destinations"):
        assert f"nacre.keys.agents.{name}" not in loaded
