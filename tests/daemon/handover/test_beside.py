"""What a server process has beside its connections."""

from __future__ import annotations

from typing import Any

from nacre.daemon.background import PidFile
from nacre.daemon.handover.beside import ALONE, Beside
from nacre.daemon.handover.restart import Restart
from nacre.daemon.handover.successor import Invocation
from nacre.daemon.sockets import ListeningSockets


def restart(predecessor: Any) -> Restart:
    command = Invocation.own()
    return Restart(command, ListeningSockets(), None, PidFile(print), None, predecessor)


def test_a_server_follows_another_one_or_none() -> None:
    before: Any = object()
    assert ALONE.predecessor is None
    assert Beside(restart=restart(None)).predecessor is None
    assert Beside(restart=restart(before)).predecessor is before
