"""Three servers with one store behind HAProxy: one is killed, one is told to stop, logins go on.

The long run, of ``make long``, has load for long, and measures how long a login was refused. In the
short one each that was refused is repeated until it succeeds, and a few are enough.
"""

from __future__ import annotations

import asyncio
import json
import re
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import nacre
from daemon.store.postgres.cluster import Cluster, running_cluster
from interop.daemons import RUN_AS, Daemon, State, on_free_port, start_nacre
from interop.programs import NACRE, check, require
from interop.test_proxy import listens
from nacre.daemon.store.postgres.store_url import StoreURL
from nacre.daemon.store.store import FILE, UserStore
from nacre.daemon.store.values import StoredKey, StoredUser
from parties import until

pytestmark = [pytest.mark.timeout(120), pytest.mark.slow]

CONFIGURATION = Path(__file__).parents[2] / "deploy" / "haproxy" / "haproxy.cfg"


@dataclass
class Farm:
    """The servers, their database, and HAProxy.

    :ivar start: starts a server with a number from 1 on, also on the ports of one that has ended.
    """

    url: str
    cluster: Cluster
    nodes: list[Daemon]
    proxy: Daemon
    key: Path
    files: Path
    start: Callable[..., Daemon]

    def leases(self) -> dict[str, dict[str, Any]]:
        """Return the nodes by their names."""
        listed: list[dict[str, Any]] = json.loads(
            check([*NACRE, "nodes", "--json"], NACRE_STORE=self.url)
        )
        return {one["name"]: one for one in listed}

    async def node_of(self, user: str) -> tuple[Daemon, str]:
        """Return the server that a user has logged in to, and its name."""

        def found() -> list[int]:
            said = re.compile(rf"event=authenticated .*user={user}\b")
            return [i for i, node in enumerate(self.nodes) if said.search(node.tail(1000))]

        await until(found)
        return self.nodes[found()[0]], f"web{found()[0] + 1}"

    def connect(self, user: str) -> Any:
        return nacre.connect(
            "127.0.0.1",
            self.proxy.port,
            user=user,
            keys=[self.key],
            agent=False,
            trust=nacre.AnyHostKey(),
            config=None,
        )


@contextmanager
def haproxy(directory: Path, nodes: list[Daemon]) -> Iterator[Daemon]:
    """Run HAProxy with the configuration of ``deploy``, with the addresses of these nodes."""

    def start(port: int) -> Daemon:
        text = CONFIGURATION.read_text().replace("bind :22\n", f"bind 127.0.0.1:{port}\n")
        text = text.replace("log stdout", "log stderr").replace("gt 200", "gt 1000000")
        for number, node in enumerate(nodes, 1):
            health = re.search(r"event=metrics .*:(\d+)", "\n".join(node.log))
            assert health is not None
            name = f"web{number}"
            address = f"127.0.0.1:{node.port} check port {health[1]}"
            text = text.replace(f"server {name} {name}:2222", f"server {name} {address}")
        path = directory / f"haproxy-{port}.cfg"
        path.write_text(text)
        return Daemon("haproxy", [require("haproxy"), "-db", "-V", "-f", path])

    with on_free_port(start, "Using epoll") as daemon:
        deadline = time.monotonic() + 30
        while not listens(daemon.port):  # it says nothing when it does
            assert time.monotonic() < deadline, daemon.tail()
            time.sleep(0.02)
        yield daemon


@pytest.fixture
def farm(keys: dict[str, Path], tmp_path: Path) -> Iterator[Farm]:
    with running_farm(tmp_path, keys["ed25519"], drain=60) as found:
        yield found


@contextmanager
def running_farm(directory: Path, key: Path, *, drain: int) -> Iterator[Farm]:
    """Run three servers behind HAProxy.

    :param drain: the seconds that connections have when a server stops.
    """
    files = directory / "files"
    files.mkdir()
    with running_cluster() as cluster, ExitStack() as stack:
        url = cluster.database().text
        options = ["--store", url, "--bans", "0", "--proxy-from", "127.0.0.1", "--gates", "1"]
        options += ["--drain", str(drain), "-o", "PerSourcePenalties=no"]
        add_users(StoreURL(url), directory, key)

        def start(number: int, port: str = "0", health: str = "0") -> Daemon:
            state = State(directory / f"state{number}")
            words = ["--listen", f"127.0.0.1:{port}"] if port != "0" else []
            words += ["--metrics", f"127.0.0.1:{health}", "--node", f"web{number}"]
            node = start_nacre(state, *options, *words)
            stack.callback(stopped, node)
            node.wait_for("event=metrics")
            return node

        with ThreadPoolExecutor(3) as threads:
            nodes = list(threads.map(start, (1, 2, 3)))
        proxy = stack.enter_context(haproxy(directory, nodes))
        yield Farm(url, cluster, nodes, proxy, key, files, start)


def add_users(url: StoreURL, directory: Path, key: Path) -> None:
    """Make the tables, and the users: bob may have one connection."""
    public = StoredKey(nacre.load_public(key.with_suffix(".pub").read_text())[0], "")
    run_as = RUN_AS[1] if RUN_AS else None
    with closing(UserStore(directory / FILE, url=url)) as store:
        for name, most in (("alice", None), ("bob", 1), ("carol", None)):
            user = StoredUser(name=name, home=str(directory), run_as=run_as, max_sessions=most)
            store.add(user, [public])


def stopped(node: Daemon) -> None:
    if node.process.poll() is None:
        node.process.send_signal(signal.SIGTERM)  # and once more, as it has time to drain
        node.wait_for("event=draining")
    # One that was about to end when it was told to stop has its status from the signal.
    assert node.stop() in (0, -signal.SIGKILL, -signal.SIGTERM)


@dataclass
class Load:
    """Clients that log in all the time, and leave a file each time.

    :ivar long: whether it is that of the long run.
    :ivar done: how many have.
    :ivar refused: how long each client was refused that was, in seconds; ``reasons`` why.
    :ivar files: the names of the files that the server has acknowledged.
    """

    farm: Farm
    long: bool
    done: int = 0
    refused: list[float] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)

    async def run(self, number: int) -> None:
        count = 0
        while True:
            count += 1
            name = f"file-{number}-{count}"
            began = 0.0
            while True:
                try:
                    await self._login(name)
                    break
                except (nacre.NacreError, OSError) as error:
                    self.reasons.append(repr(error))
                    began = began or time.monotonic()
                    await asyncio.sleep(0.02)
            if began:
                self.refused.append(time.monotonic() - began)
            self.done += 1

    async def _login(self, name: str) -> None:
        async with self.farm.connect("alice") as ssh:
            text = f"sync; printf %s {name} > {self.farm.files / name} && echo done"
            done = await ssh.run(text if self.long else text.removeprefix("sync; "), timeout=30)
            assert done.stdout == "done\n"
            self.files.append(name)

    async def more(self, logins: int) -> None:
        """Wait until so many more have logged in."""
        before = self.done
        await until_soon(lambda: self.done >= before + logins, 4 if self.long else 1)


async def until_soon(holds: Any, times: int) -> None:
    for _ in range(times):  # 30 seconds each
        try:
            await until(holds)
        except TimeoutError:
            continue
        return
    raise AssertionError("it never holds")


@asynccontextmanager
async def load(farm: Farm, long: bool) -> AsyncIterator[Load]:
    """Have clients log in all the time, one after another each."""
    made = Load(farm, long)
    tasks = [asyncio.create_task(made.run(number)) for number in range(8 if long else 2)]
    try:
        yield made
    finally:
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(result, asyncio.CancelledError), result


@pytest.mark.parametrize(
    "long", [False, pytest.param(True, marks=[pytest.mark.long, pytest.mark.timeout(600)])]
)
async def test_a_node_that_is_killed_or_told_to_stop_refuses_nobody_for_long(
    farm: Farm, long: bool
) -> None:
    async with farm.connect("bob"), farm.connect("carol") as carol, load(farm, long) as clients:
        killed, _ = await farm.node_of("bob")
        drained, name = await farm.node_of("carol")
        assert killed is not drained
        with pytest.raises(nacre.ConnectionLost, match="you have 1 connections to this server"):
            async with farm.connect("bob") as again:
                await again.run("true")
        await clients.more(400 if long else 6)
        await until(lambda: all("event=authenticated" in node.tail(1000) for node in farm.nodes))
        killed.process.kill()
        at = time.monotonic()
        await clients.more(400 if long else 6)
        if long:
            await until_free(farm, at)
            await restart_database(farm, clients)
        since = len(drained.log)
        drained.process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(drained.wait_for, "event=draining", since=since)
        refused = list(clients.refused)
        await asyncio.to_thread(farm.proxy.wait_for, f"Server nodes/{name} is DOWN")
        assert farm.leases()[name]["state"] == "stopping"
        await clients.more(200 if long else 3)
        # Its clients go on, and nobody new was refused.
        assert (await carol.run("echo on")).stdout == "on\n"
        assert clients.refused == refused, (clients.reasons, farm.proxy.tail())
    kept = {path.name: path.read_text() for path in farm.files.iterdir()}
    assert all(kept.get(name) == name for name in clients.files)
    if long:
        assert max(clients.refused, default=0.0) <= 1.0


async def until_free(farm: Farm, killed: float) -> None:
    """Wait until the lease of the node that was killed is over: then bob may log in."""
    while True:
        try:
            async with farm.connect("bob") as bob:
                await bob.run("true")
            break
        except nacre.NacreError:
            assert time.monotonic() - killed < 15
            await asyncio.sleep(0.2)


async def restart_database(farm: Farm, clients: Load) -> None:
    """Start the database again: who is in goes on, and logins wait and succeed."""
    async with farm.connect("alice") as before:
        refused = list(clients.refused)
        await asyncio.to_thread(farm.cluster.stop)
        await asyncio.to_thread(farm.cluster.start)
        await clients.more(100)
        assert (await before.run("echo on")).stdout == "on\n"
        assert clients.refused == refused, clients.reasons
