"""What a server hands over, and when, with a successor that a test plays."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nacre.daemon.accounts.virtual.connection_counts import ConnectionCounts
from nacre.daemon.background import PidFile
from nacre.daemon.handover import restart as restart_module
from nacre.daemon.handover.restart import Restart
from nacre.daemon.handover.successor import Invocation
from nacre.daemon.sockets import Address, ListeningSockets
from nacre.errors import StateError

TAKES_OVER = "before.take_over(); import time; time.sleep(60)"


class Control:
    given: socket.socket | None = None

    def hand_over(self, sock: socket.socket) -> None:
        self.given = sock


@pytest.fixture
def sockets() -> Iterator[ListeningSockets]:
    with ListeningSockets() as sockets:
        sockets.change([Address("127.0.0.1", 0)])
        yield sockets


@pytest.fixture
def file(tmp_path: Path) -> PidFile:
    file = PidFile(lambda problem: pytest.fail(problem))
    file.write(str(tmp_path / "pid"))
    return file


def made(sockets: ListeningSockets, file: PidFile, code: str) -> Restart:
    begin = "from nacre.daemon.handover.predecessor import predecessor; before = predecessor()"
    words = [sys.executable, "-c", f"{begin}\n{code}"]
    command = Invocation(words, os.getcwd(), os.environ)
    return Restart(command, sockets, None, file, ConnectionCounts(), None)


async def test_one_that_listens_gets_what_only_one_can_have(
    sockets: ListeningSockets, file: PidFile, tmp_path: Path
) -> None:
    restart = made(sockets, file, TAKES_OVER)
    restart.control = control = Control()
    successor = await restart.prepare(2)
    assert control.given is None
    restart.hand_over(successor)
    assert control.given is not None
    control.given.close()
    file.remove()
    assert (tmp_path / "pid").exists()  # it is the successor's to write, and to remove
    with pytest.raises(StateError, match="has taken over already"):
        await restart.prepare(2)
    successor.end()


@pytest.mark.parametrize(("last", "first"), [(0, 100), (2, 100), (99, 100), (102, 200)])
async def test_numbers_go_on_at_the_next_hundred(
    sockets: ListeningSockets, file: PidFile, last: int, first: int
) -> None:
    restart = made(sockets, file, "before.fail(str(before.estate.first))")
    with pytest.raises(StateError, match=f"^{first}$"):
        await restart.prepare(last)


async def test_one_that_never_listens_is_ended(
    sockets: ListeningSockets, file: PidFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restart_module, "PATIENCE", 0.5)
    restart = made(sockets, file, "import time; time.sleep(60)")
    with pytest.raises(StateError, match="did not listen after"):
        await restart.prepare(0)


async def test_process_1_of_a_container_is_not_restarted(
    sockets: ListeningSockets, file: PidFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    restart = made(sockets, file, "")
    monkeypatch.setattr(os, "getpid", lambda: 1)
    with pytest.raises(StateError, match="a container ends with its process 1"):
        restart.begin(0)


async def test_one_that_ends_when_it_is_to_take_over_changes_nothing(
    sockets: ListeningSockets, file: PidFile, tmp_path: Path
) -> None:
    restart = made(sockets, file, TAKES_OVER)
    successor = await restart.prepare(0)
    successor.end()
    with pytest.raises(StateError):
        restart.hand_over(successor)
    file.remove()
    assert not (tmp_path / "pid").exists()


async def test_a_first_server_waits_for_nobody(sockets: ListeningSockets, file: PidFile) -> None:
    restart = made(sockets, file, "")
    assert restart.first == 0
    restart.take_over()
    await restart.attend()
    await restart.wait_gone()
    restart.forget_gone()
