"""What a login costs a node and its database: python -m bench.nodes [--logins N] [--rounds N]

One server has its users in a file of SQLite, another one in PostgreSQL. Users log in with a key and
leave, at each in turn; each user logs in once in a round, so PostgreSQL is asked for most of them.
The rows say how many logins a second there were, and the processor time that a login took of the
server and of the database. Then nothing happens for some seconds, which is what a node costs the
database in any case, and users are changed, which all nodes are told. The figures are those of
:mod:`bench.scaling`, which prints what more nodes would reach.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.ground import ROOT as ROOT  # that module sets the path of the tests

# isort: split
import nacre
from bench.idle import below
from bench.scaling import Costs, Machines, bends_at, most_nodes, reached
from daemon.store.postgres.cluster import Cluster, running_cluster
from interop.daemons import RUN_AS, Daemon, State, start_nacre
from nacre.daemon.nodes.tables import DatabaseConnection
from nacre.daemon.store.postgres.store_url import StoreURL
from nacre.daemon.store.store import FILE, UserStore
from nacre.daemon.store.values import StoredKey, StoredUser

USERS = 1000
AT_ONCE = 4
QUIET = 9.0
"""Seconds for which nothing happens: three renewals of a lease."""

LISTENERS, TOLD = 20, 2000
"""Connections that listen, and how often they are told, to measure what a notification costs."""

_TICK = os.sysconf("SC_CLK_TCK")


@dataclass
class Side:
    """A server, and the processor time of it and of its database so far."""

    name: str
    server: Daemon
    rates: list[float]
    costs: list[float]
    database: list[float]
    transactions: list[float]


def processor(pid: int) -> float:
    """Return the seconds of processor time of a process and all below it, the ended ones too."""
    whole = 0.0
    for one in (pid, *below(pid)):
        try:
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        whole += sum(map(int, fields[11:15])) / _TICK
    return whole


class Measured:
    """The database, and what it has done so far."""

    def __init__(self, cluster: Cluster, url: StoreURL) -> None:
        self.cluster, self.url = cluster, url

    def seconds(self) -> float:
        """Return its processor time."""
        assert self.cluster._daemon is not None
        return processor(self.cluster._daemon.pid)

    def transactions(self) -> int:
        """Return how many there were; processes tell of theirs within a second."""
        time.sleep(1.5)
        ((count,),) = self.cluster.execute(
            self.url,
            "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()",
        )
        return int(count)

    def notification(self) -> float:
        """Return the processor time for one notification of one connection.

        PostgreSQL wakes each connection that listens to anything in the database.
        """
        with ExitStack() as stack:
            teller = stack.enter_context(self.url.connect(autocommit=True))
            alone = self._told(teller)
            for _ in range(LISTENERS):
                listener = stack.enter_context(self.url.connect(autocommit=True))
                listener.execute("LISTEN bench")
            return max(0.0, self._told(teller) - alone) / TOLD / LISTENERS

    def _told(self, teller: DatabaseConnection) -> float:
        before = self.seconds()
        for _ in range(TOLD):
            teller.execute("SELECT pg_notify('bench', '')")
        time.sleep(0.5)
        return self.seconds() - before


async def logins(server: Daemon, key: Path, names: Sequence[str]) -> float:
    """Have users log in, some at a time; return the seconds."""
    waiting = list(names)

    async def client() -> None:
        while waiting:
            async with nacre.connect(
                "127.0.0.1",
                server.port,
                user=waiting.pop(),
                keys=[key],
                agent=False,
                trust=nacre.AnyHostKey(),
                config=None,
            ):
                pass

    began = time.monotonic()
    await asyncio.gather(*(client() for _ in range(AT_ONCE)))
    return time.monotonic() - began


def fill(store: UserStore, key: nacre.PublicKey, directory: Path) -> None:
    """Make the users."""
    public = StoredKey(key, "")
    run_as = RUN_AS[1] if RUN_AS else None
    with closing(store):
        for number in range(USERS):
            user = StoredUser(name=f"user{number}", home=str(directory), run_as=run_as)
            store.add(user, [public])


@contextmanager
def served(
    directory: Path, cluster: Cluster, key: nacre.PublicKey
) -> Iterator[tuple[list[Side], Measured]]:
    """Run both servers."""
    url = cluster.database()
    options = ["--gates", "1", "-o", "PerSourcePenalties=no", "-o", "MaxStartups=1000"]
    states = [State(directory / name) for name in ("sqlite", "postgresql")]
    for state in states:
        state.path.mkdir(mode=0o700)
    fill(UserStore(states[0].path / FILE), key, directory)
    fill(UserStore(states[1].path / FILE, url=url), key, directory)
    with (
        start_nacre(states[0], *options) as one,
        start_nacre(states[1], *options, "--store", url.text) as two,
    ):
        sides = [Side(n, s, [], [], [], []) for n, s in (("SQLite", one), ("PostgreSQL", two))]
        yield sides, Measured(cluster, url)


def measure(side: Side, database: Measured, key: Path, names: Sequence[str]) -> None:
    """Measure one round of logins."""
    count, before = len(names), processor(side.server.pid)
    busy, done = database.seconds(), database.transactions()
    seconds = asyncio.run(logins(side.server, key, names))
    side.rates.append(count / seconds)
    side.costs.append((processor(side.server.pid) - before) / count)
    side.database.append((database.seconds() - busy) / count)
    side.transactions.append((database.transactions() - done) / count)


def costs(sides: Sequence[Side], database: Measured, directory: Path) -> Costs:
    """Return the medians, and what a node costs that does nothing."""
    shared = sides[1]
    done = database.transactions()
    began, busy = time.monotonic(), database.seconds()
    time.sleep(QUIET)
    idle = (database.seconds() - busy) / (time.monotonic() - began)
    quiet = (database.transactions() - done) / (time.monotonic() - began)
    spent = processor(shared.server.pid)
    with closing(UserStore(directory / FILE, url=database.url)) as store:
        for number in range(100):
            store.change(f"user{number}", max_sessions=100 + number)
    time.sleep(1)
    hear = (processor(shared.server.pid) - spent) / 100
    return Costs(
        login=statistics.median(shared.costs),
        login_database=statistics.median(shared.database),
        transactions=statistics.median(shared.transactions),
        idle=idle,
        idle_transactions=quiet,
        notify=database.notification(),
        hear=hear,
    )


def show(sides: Sequence[Side], found: Costs) -> None:
    """Print what was measured, and what the model makes of it."""
    for side in sides:
        print(
            f"{side.name:12}{statistics.median(side.rates):8.1f} logins/s"
            f"{statistics.median(side.costs) * 1000:8.2f} ms of the node"
            f"{statistics.median(side.database) * 1000:8.3f} ms of the database"
            f"{statistics.median(side.transactions):7.2f} transactions a login"
        )
    ratio = statistics.median(
        two / one for one, two in zip(sides[0].rates, sides[1].rates, strict=True)
    )
    print(f"PostgreSQL / SQLite: {ratio:.2f} of the rate (median of the rounds)")
    print(found)
    machines = Machines()
    one = reached(found, machines, 1).rate
    for nodes in (1, 3, 10, 100, 1000):
        row = reached(found, machines, nodes)
        print(
            f"{nodes:5} nodes {row.rate:9.0f} logins/s {row.rate / one:7.1f}x"
            f"  node {row.node:4.0%}  database {row.database:4.0%}"
            f"{row.transactions:8.0f} transactions/s {row.connections:6} connections"
        )
    print(
        f"bends at {bends_at(found, machines)} nodes; "
        f"the database holds {most_nodes(found, machines)} nodes that do nothing"
    )


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--logins", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory(prefix="nacre-nodes-")))
        directory.chmod(0o755)
        key = directory / "key"
        made = nacre.generate("ssh-ed25519")
        key.write_bytes(nacre.dump_private(made))
        key.chmod(0o600)
        cluster = stack.enter_context(running_cluster())
        sides, database = stack.enter_context(served(directory, cluster, made.public))
        names = [f"user{number}" for number in range(USERS)]
        for number in range(chosen.rounds):
            some = [names[(number * chosen.logins + one) % USERS] for one in range(chosen.logins)]
            for side in sides if number % 2 else sides[::-1]:
                measure(side, database, key, some)
        show(sides, costs(sides, database, directory))


if __name__ == "__main__":
    main()
