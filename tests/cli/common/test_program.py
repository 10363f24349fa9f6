"""How a program runs on a connection and ends it."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any, cast

import pytest

from nacre.cli.common import program
from nacre.cli.common.log import Log, open_log
from nacre.cli.common.program import close_or_abort, run_client
from nacre.client.connection import Connection
from nacre.client.target import Target
from nacre.config.values import LogLevel
from nacre.errors import ConnectFailed

TARGET = Target("name", "host", 22, "alice")


class Runner:
    """Runs work as a program does, and keeps what it logged."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def run(self, work: Any) -> tuple[int, str]:
        with open_log(str(self._path)) as file:
            status = run_client(work, TARGET, Log(LogLevel.INFO, file))
        return status, self._path.read_text()


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    return Runner(tmp_path / "log")


def test_the_status_of_the_work(runner: Runner) -> None:
    async def work() -> int:
        return 3

    assert runner.run(work()) == (3, "")


def test_an_error_is_255_and_logged(runner: Runner) -> None:
    async def work() -> int:
        raise ConnectFailed("connect to host h port 22: Connection refused")

    text = "ssh: connect to host h port 22: Connection refused\n"
    assert runner.run(work()) == (255, text)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_work_in_order(runner: Runner, number: signal.Signals) -> None:
    restored = []

    async def work() -> int:
        try:
            os.kill(os.getpid(), number)
            await asyncio.Event().wait()
        finally:
            restored.append("terminal")
        return 0

    assert runner.run(work()) == (255, f"Killed by signal {int(number)}.\n")
    assert restored == ["terminal"]


def test_an_ignored_signal_stays_ignored(runner: Runner) -> None:
    async def work() -> int:
        os.kill(os.getpid(), signal.SIGHUP)
        await asyncio.sleep(0)
        return 4

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert runner.run(work()) == (4, "")
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_parent_sees_an_interrupt(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[int, object]] = []
    monkeypatch.setattr(
        os,
        "kill",
        lambda pid, number: sent.append((number, signal.getsignal(signal.SIGINT))),
    )

    async def work() -> int:
        raise KeyboardInterrupt

    runner.run(work())
    assert sent == [(signal.SIGINT, signal.SIG_DFL)]


class Line:
    """A connection that counts how it was ended."""

    def __init__(self, *, answers: bool) -> None:
        self.answers = answers
        self.aborted = False

    async def wait_host_keys(self) -> None:
        pass

    async def close(self) -> None:
        if not self.answers:
            await asyncio.Event().wait()

    def abort(self) -> None:
        self.aborted = True


@pytest.mark.parametrize("answers", [True, False])
async def test_a_server_that_does_not_answer_is_not_waited_for(
    answers: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not answers:
        monkeypatch.setattr(program, "_PATIENCE", 0)
    line = Line(answers=answers)
    await close_or_abort(cast("Connection", line))
    assert line.aborted is not answers
