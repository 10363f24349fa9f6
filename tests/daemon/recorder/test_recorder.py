"""The server's side of the recorder."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from nacre.config.values import LogLevel
from nacre.daemon.processes.template import TEMPLATE
from nacre.daemon.recorder.recorder import SessionRecorder
from nacre.daemon.recorder.recorder_process import RecorderSettings
from nacre.daemon.recording.directory import open_directory
from nacre.daemon.recording.recording import Recording
from nacre.errors import StateError


class Client:
    """Somebody who has logged in."""

    user, peer, host, id = "alice", ("192.0.2.1", 22), "192.0.2.1", 7


@pytest.fixture
async def recorder(tmp_path: Path) -> AsyncIterator[SessionRecorder]:
    directory = open_directory(tmp_path / "recordings", None)
    settings = RecorderSettings(rights=None, recipient=None, keep=None, log_level=LogLevel.INFO)
    TEMPLATE.close()  # one that has no recorder
    made = SessionRecorder(directory, settings)
    yield made
    await made.close()
    os.close(directory)
    TEMPLATE.close()


async def recorded(recorder: SessionRecorder) -> None:
    client: Any = Client()
    recording = Recording(await recorder.open(client))
    async with asyncio.timeout(20):
        await recording.open({"kind": "shell"})
        await recording.end(0)
    recording.close()


async def process_of(recorder: SessionRecorder) -> Any:
    assert recorder._starting is not None
    return await recorder._starting


async def test_a_recorder_that_was_killed_is_started_again(
    recorder: SessionRecorder, tmp_path: Path
) -> None:
    await recorder.start(lambda record: None)
    await recorded(recorder)
    first = await process_of(recorder)
    os.kill(first.pid, signal.SIGKILL)
    async with asyncio.timeout(20):
        await first.gone.wait()
    await recorded(recorder)
    assert (await process_of(recorder)).pid != first.pid
    assert len(list((tmp_path / "recordings").glob("*/*.cast"))) == 2


async def test_at_the_end_it_has_written_all(recorder: SessionRecorder) -> None:
    await recorder.start(lambda record: None)
    client: Any = Client()
    recording = Recording(await recorder.open(client))
    async with asyncio.timeout(20):
        await recording.open({"kind": "shell"})
        closing = asyncio.create_task(recorder.close())
        await recording.end(0)
        await closing
    recording.close()
    assert (await process_of(recorder)).gone.is_set()
    with pytest.raises(StateError, match="the server ends"):
        await recorder.open(client)


async def test_one_that_can_not_be_started_is_told(
    recorder: SessionRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("no more processes")

    monkeypatch.setattr(TEMPLATE, "fork", fail)
    for _ in range(2):
        with pytest.raises(StateError, match="can't be started: no more processes"):
            await recorder.start(lambda record: None)
    monkeypatch.undo()
    await recorder.start(lambda record: None)
