"""A process answers on the control socket while it serves."""

from __future__ import annotations

from pathlib import Path

from daemon.control.answering import MadeUp, Nowhere
from nacre.config.values import LogLevel
from nacre.daemon.control.controlled import ControlledHere
from nacre.daemon.control.place import NAME, ControlPlace
from nacre.daemon.log.server_log import ServerLog


async def test_at_its_end_nothing_is_left(state: Path) -> None:
    log = ServerLog(LogLevel.INFO, Nowhere())
    controlled = ControlledHere(ControlPlace(state))
    controlled.begin(MadeUp(), log)
    assert log.follow is not None
    for _ in range(2):
        controlled.end()
        assert log.follow is None
        assert not (state / NAME).exists()


def test_a_process_that_never_served_leaves_nothing(state: Path) -> None:
    ControlledHere(ControlPlace(state)).end()
    assert not (state / NAME).exists()
