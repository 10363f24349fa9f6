"""Which connection has which process of PAM, and what ends it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest

from daemon.processes.pam.conftest import MakeService
from nacre.daemon.processes.pam import logins as module
from nacre.daemon.processes.pam import places
from nacre.daemon.processes.pam.login import PAMLogin
from nacre.daemon.processes.pam.logins import PAMLogins
from nacre.errors import AccountError
from nacre.server.admission.user_threads import UserThreads
from pam_services import all_of

pytestmark = pytest.mark.slow


class Client:
    """A client whose tasks and whose end the test sees."""

    def __init__(self, address: str = "192.0.2.1") -> None:
        self.peer = (address, 40000)
        self.tasks: list[asyncio.Task[None]] = []
        self.records: list[dict[str, object]] = []
        self.failed: list[str] = []

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self.tasks.append(asyncio.create_task(work))

    def record(self, event: str, **fields: object) -> None:
        self.records.append({"event": event, **fields})

    def fail(self, error: Exception, code: object, description: str) -> None:
        self.failed.append(description)

    async def end(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.wait(self.tasks)


@pytest.fixture
def logins(pam_logins: list[PAMLogin]) -> Iterator[Any]:
    threads = UserThreads()
    yield PAMLogins(threads)
    threads.close()


async def test_a_user_of_a_connection_has_one_process(logins: Any, service: MakeService) -> None:
    client, name = Client(), service(*all_of())
    assert logins.find(client) is None
    first = await logins.begin("nobody", client, name)
    assert await logins.begin("nobody", client, name) is first
    assert logins.find(client) is first
    await client.end()
    assert client.failed == []


async def test_another_user_has_another_process(logins: Any, service: MakeService) -> None:
    client, name = Client(), service(*all_of())
    first = await logins.begin("nobody", client, name)
    second = await logins.begin("daemon", client, name)
    assert second.pid != first.pid
    assert await first.ended == "status 0"
    assert logins.find(client) is second
    assert client.failed == client.records == []
    await client.end()


async def test_the_end_of_the_connection_closes_the_session(
    logins: Any, service: MakeService
) -> None:
    client = Client()
    login = await logins.begin("nobody", client, service(*all_of()))
    await login.open_session([])
    await client.end()
    assert await login.ended == "status 0"


async def test_a_process_that_is_killed_ends_its_connection_and_no_other(
    logins: Any, service: MakeService
) -> None:
    client, other, name = Client(), Client("192.0.2.2"), service(*all_of())
    login, left = [await logins.begin("nobody", one, name) for one in (client, other)]
    os.kill(login.pid, signal.SIGKILL)
    await asyncio.wait_for(asyncio.wait(client.tasks), 20)
    assert client.failed == ["the server can't serve this user now"]
    what = "the process of PAM has ended"
    assert client.records == [{"event": "error", "what": what, "error": "signal 9"}]
    assert (await left.check_account()).reason == ""
    assert other.failed == other.records == []
    await other.end()


async def test_a_transaction_that_does_not_begin_leaves_nothing(
    logins: Any, pam_logins: list[PAMLogin]
) -> None:
    client = Client()
    with pytest.raises(AccountError, match="PAM does not begin"):
        await logins.begin("a\0b", client, "sshd")
    assert logins.find(client) is None
    assert await pam_logins[0].ended == "status 0"
    await client.end()
    assert client.failed == []


@pytest.mark.parametrize("begin", ["open_session", "close"])
async def test_a_login_has_a_place_until_it_is_complete(
    logins: Any, service: MakeService, monkeypatch: pytest.MonkeyPatch, begin: str
) -> None:
    monkeypatch.setattr(places, "SHARE", 1)
    first, second, name = Client(), Client(), service(*all_of())
    login = await logins.begin("nobody", first, name)
    waiting = asyncio.create_task(logins.begin("nobody", second, name))
    await asyncio.sleep(0)
    assert not waiting.done()
    if begin == "open_session":
        await login.open_session([])
    else:
        await first.end()
    await asyncio.wait_for(waiting, 20)
    for client in (first, second):
        await client.end()


async def test_a_process_that_can_not_be_started_leaves_its_place(
    logins: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spawn() -> None:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(module, "spawn", spawn)
    with pytest.raises(AccountError, match=r"no process of PAM: .*unavailable"):
        await logins.begin("nobody", Client(), "sshd")
    assert not logins._places._taken
