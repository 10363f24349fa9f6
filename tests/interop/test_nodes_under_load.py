"""Three servers behind HAProxy, with logins and transfers at a rate, while servers come and go.

The short run replaces each server once, as an upgrade does. The long one, of ``make long``, asks
for 50 logins and 20 transfers a second, kills a server, restarts the database, and then does the
same; it prints what was reached.
"""

from __future__ import annotations

import asyncio
import re
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

import nacre
from interop.test_nodes_behind_haproxy import Farm, running_farm, until_free, until_soon
from nacre.limits import KIB
from parties import until

pytestmark = [pytest.mark.timeout(180), pytest.mark.slow]

CONTENT = b"0123456789abcdef" * 256
"""4 KiB, which each transfer writes."""

MOST = 5
"""Logins, and transfers, that are not done yet; if there are so many, none begins. Both together
are no more than the first number of MaxStartups, so one node refuses none of them."""


@pytest.fixture
def farm(keys: dict[str, Path], tmp_path: Path) -> Iterator[Farm]:
    with running_farm(tmp_path, keys["ed25519"], drain=6) as found:
        yield found


@dataclass
class PacedLoad:
    """Logins and transfers that begin at a rate.

    :ivar logins: how many have logged in and out; ``transfers`` the names of acknowledged uploads.
    :ivar refused: how long each client was refused that was, in seconds.
    :ivar lost: what ended connections whose user was in.
    """

    farm: Farm
    logins: int = 0
    transfers: list[str] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    began: float = 0.0
    before: tuple[int, int] = (0, 0)
    count: int = 0

    async def log_in(self) -> None:
        """Log in, and out."""
        async with await self._entered() as ssh:
            await self._inside(ssh.run("true", timeout=60))
        self.logins += 1

    async def transfer(self) -> None:
        """Log in, and leave a file."""
        self.count += 1
        name = f"paced-{self.count}"
        async with await self._entered() as ssh:

            async def upload() -> None:
                async with ssh.sftp() as files:
                    path = str(self.farm.files / name)
                    await files.write_bytes(path, CONTENT)
                    self.transfers.append(name)

            await self._inside(upload())

    async def _entered(self) -> nacre.Connection:
        """Log in, as often as it takes."""
        refused = 0.0
        while True:
            try:
                ssh: nacre.Connection = await self.farm.connect("alice")
                break
            except (nacre.NacreError, OSError):
                refused = refused or time.monotonic()
                await asyncio.sleep(0.02)
        if refused:
            self.refused.append(time.monotonic() - refused)
        return ssh

    async def _inside(self, work: Awaitable[object]) -> None:
        try:
            await work
        except (nacre.NacreError, OSError) as error:
            self.lost.append(repr(error))

    async def pace(self, rate: float, begin: Callable[[], Awaitable[None]]) -> None:
        """Begin something so many times a second, until this is cancelled."""
        running: set[asyncio.Task[None]] = set()
        due = time.monotonic()
        try:
            while True:
                if len(running) < MOST:
                    task = asyncio.ensure_future(begin())
                    running.add(task)
                    task.add_done_callback(running.discard)
                due = max(due + 1 / rate, time.monotonic())
                await asyncio.sleep(due - time.monotonic())
        finally:
            for result in await asyncio.gather(*running, return_exceptions=True):
                if isinstance(result, BaseException):
                    raise result

    async def more(self, logins: int) -> None:
        """Wait until so many more have logged in."""
        before = self.logins
        await until_soon(lambda: self.logins >= before + logins, 4)

    def report(self, what: str) -> None:
        """Print the rates since the last report."""
        now, done = time.monotonic(), (self.logins, len(self.transfers))
        logins, transfers = (
            (many - few) / (now - self.began) for many, few in zip(done, self.before, strict=True)
        )
        longest = max(self.refused, default=0.0)
        print(
            f"{what}: {logins:.1f} logins and {transfers:.1f} transfers a second; "
            f"{len(self.refused)} refused at first, for {longest:.2f} s at most; "
            f"{len(self.lost)} sessions lost"
        )
        self.began, self.before = now, done


@asynccontextmanager
async def paced(farm: Farm, logins: float, transfers: float) -> AsyncIterator[PacedLoad]:
    """Have clients log in and transfer files."""
    load = PacedLoad(farm, began=time.monotonic())
    tasks = [
        asyncio.create_task(load.pace(logins, load.log_in)),
        asyncio.create_task(load.pace(transfers, load.transfer)),
    ]
    try:
        yield load
    finally:
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(result, asyncio.CancelledError), result


async def replace_node(farm: Farm, number: int) -> None:
    """Have a server end, and another one start in its place."""
    old, name = farm.nodes[number], f"web{number + 1}"
    health = re.search(r"event=metrics .*:(\d+)", "\n".join(old.log))
    assert health is not None
    since = len(farm.proxy.log)
    if old.process.poll() is None:
        old.process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(farm.proxy.wait_for, f"Server nodes/{name} is DOWN", since=since)
        await asyncio.to_thread(old.process.wait, 60)
    new = await asyncio.to_thread(farm.start, number + 1, str(old.port), health[1])
    new.port = old.port
    farm.nodes[number] = new
    await asyncio.to_thread(farm.proxy.wait_for, f"Server nodes/{name} is UP", since=since)


async def upgrade(farm: Farm) -> None:
    """Replace each server, while sessions begin and end that need a second or two."""

    async def long_session() -> None:
        async with farm.connect("carol") as ssh:
            assert (await ssh.run("sleep 2; echo done", timeout=60)).stdout == "done\n"

    for number in range(len(farm.nodes)):
        before = _of(farm, "carol")
        sessions = [asyncio.create_task(long_session()) for _ in range(4)]
        await until(partial(_begun, farm, before + len(sessions)))
        await replace_node(farm, number)
        await asyncio.gather(*sessions)


def _begun(farm: Farm, count: int) -> bool:
    return _of(farm, "carol") >= count


def _of(farm: Farm, user: str) -> int:
    """Return how many sessions of a user have begun that the logs still show."""
    said = re.compile(rf"event=authenticated .*user={user}\b")
    return sum(bool(said.search(line)) for node in farm.nodes for line in node.log)


def check_files(farm: Farm, load: PacedLoad) -> None:
    """See that what was acknowledged is there."""
    assert load.transfers
    for name in load.transfers:
        assert (farm.files / name).read_bytes() == CONTENT
    assert len(CONTENT) == 4 * KIB


async def test_an_upgrade_of_all_nodes_loses_no_session_that_could_end(farm: Farm) -> None:
    async with paced(farm, logins=4, transfers=2) as load:
        await load.more(4)
        await upgrade(farm)
        await load.more(4)
    assert load.lost == []
    check_files(farm, load)


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_nodes_come_and_go_under_fifty_logins_and_twenty_transfers_a_second(
    farm: Farm,
) -> None:
    async with farm.connect("bob"), paced(farm, logins=50, transfers=20) as load:
        killed, _ = await farm.node_of("bob")
        await load.more(200)
        load.report("three nodes")
        killed.process.kill()
        at = time.monotonic()
        await until_free(farm, at)
        print(
            f"the leases of the node that was killed were free after {time.monotonic() - at:.1f} s"
        )
        await load.more(200)
        load.report("one of three killed")
        longest, lost = max(load.refused, default=0.0), len(load.lost)
        assert longest <= 1.0
        async with farm.connect("carol") as before:
            await asyncio.to_thread(farm.cluster.stop)
            await asyncio.to_thread(farm.cluster.start)
            await load.more(100)
            assert (await before.run("echo on")).stdout == "on\n"
        load.report("the database started again")
        await upgrade(farm)
        load.report("each node replaced")
        await load.more(100)
    # Only the node that was killed has taken sessions with it.
    assert len(load.lost) == lost, load.lost
    assert max(load.refused, default=0.0) <= 1.0
    check_files(farm, load)
