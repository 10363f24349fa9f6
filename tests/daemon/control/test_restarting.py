"""A program has a server restart, as the one who answers plays it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.control.answering import Answering, MadeUp, answering
from nacre.daemon.control import restarting
from nacre.daemon.control.restarting import FAILED, restart
from nacre.daemon.control.values import ControlError


class Told:
    """What the server does when it is told to restart."""

    server: Answering | None = None
    record: dict[str, object]

    def __init__(self) -> None:
        self.record = {"event": "error", "what": FAILED, "error": "the file is wrong"}

    def act(self, *_: object) -> None:
        assert self.server is not None
        threading.Thread(target=self.server.record, args=(self.record,)).start()


@pytest.fixture
def told() -> Iterator[Told]:
    told = Told()
    before = signal.signal(signal.SIGUSR2, told.act)
    yield told
    signal.signal(signal.SIGUSR2, before)


def test_one_that_goes_on_says_why(state: Path, told: Told) -> None:
    why = f"{FAILED}: the file is wrong"
    with answering(state, MadeUp()) as told.server, pytest.raises(ControlError, match=why):
        restart(state)


def test_one_that_keeps_the_socket_has_not_restarted(
    state: Path, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restarting, "_PATIENCE", 0.2)
    told.record = {"event": "restarted", "process": os.getpid()}
    why = "goes on as before"
    with answering(state, MadeUp()) as told.server, pytest.raises(ControlError, match=why):
        restart(state)


def test_without_a_server_there_is_nothing_to_restart(state: Path) -> None:
    with pytest.raises(ControlError, match="no server runs"):
        restart(state)
