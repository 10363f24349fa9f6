"""What nodes with one database can do together: a model of costs, from measured service times.

A login costs a node processor time, and the database some. Each node costs the database a little
all the time: leases that are renewed, connections that are looked at, notifications. A processor
that is busy to a share u makes a request wait for u / (1 - u) times its own service time (M/M/1),
so each may be busy to a bound only. The rate of logins is the largest at which none is above it.
The clients, the network, the proxy and the storage of files cost nothing here.
"""

from __future__ import annotations

from dataclasses import dataclass

BOUND = 0.7
"""The share to which a processor may be busy: a request waits for 2.3 times its service time."""


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What was measured; times are seconds of one processor.

    :ivar login: of a node for one login, and ``login_database`` of the database.
    :ivar transactions: of the database for one login.
    :ivar idle: seconds a second of the database for a node that does nothing.
    :ivar idle_transactions: of such a node, a second.
    :ivar notify: of the database to tell one connection that listens of one change.
    :ivar hear: of a node that is told of a change.
    """

    login: float
    login_database: float
    transactions: float
    idle: float
    idle_transactions: float
    notify: float
    hear: float


@dataclass(frozen=True, kw_only=True)
class Machines:
    """What serves.

    :ivar cores: of each node; ``database_cores`` of the database.
    :ivar changes: of users, a second, of which all nodes are told.
    :ivar connections: of each node to the database, when all are used.
    :ivar listeners: those of them that listen for changes, all of which each change wakes.
    """

    cores: int = 2
    database_cores: int = 8
    changes: float = 1.0
    connections: int = 12
    listeners: int = 2

    def keeping(self, costs: Costs) -> float:
        """Return the seconds a second that a node costs the database without logins."""
        return costs.idle + self.changes * self.listeners * costs.notify


@dataclass(frozen=True)
class Reached:
    """What so many nodes reach.

    :ivar rate: logins a second.
    :ivar node: the share to which a node's processors are busy; ``database`` that of its ones.
    :ivar transactions: of the database, a second.
    :ivar connections: to the database.
    :ivar wait: seconds for which a login waits for processors, besides its service time.
    """

    nodes: int
    rate: float
    node: float
    database: float
    transactions: float
    connections: int
    wait: float


def reached(costs: Costs, machines: Machines, nodes: int) -> Reached:
    """Return what so many nodes reach; a rate of 0 if the database has enough with the nodes."""
    quiet = machines.changes * costs.hear  # of each node
    busy = nodes * machines.keeping(costs)  # of the database
    by_nodes = nodes * max(0.0, BOUND * machines.cores - quiet) / costs.login
    by_database = max(0.0, BOUND * machines.database_cores - busy) / costs.login_database
    rate = min(by_nodes, by_database)
    node = (rate / nodes * costs.login + quiet) / machines.cores
    database = (rate * costs.login_database + busy) / machines.database_cores
    return Reached(
        nodes,
        rate,
        node,
        database,
        rate * costs.transactions + nodes * costs.idle_transactions,
        nodes * machines.connections,
        _wait(node, costs.login) + _wait(database, costs.login_database),
    )


def bends_at(costs: Costs, machines: Machines) -> int:
    """Return from how many nodes on one more adds less than half of what the first one does."""
    one = reached(costs, machines, 1).rate
    low, high = 1, 2
    while _adds(costs, machines, high) >= one / 2 and high < 1 << 20:
        low, high = high, 2 * high
    while low + 1 < high:
        middle = (low + high) // 2
        if _adds(costs, machines, middle) >= one / 2:
            low = middle
        else:
            high = middle
    return high


def most_nodes(costs: Costs, machines: Machines) -> int:
    """Return how many nodes a database holds that does nothing else than keep them."""
    return int(BOUND * machines.database_cores / machines.keeping(costs))


def _adds(costs: Costs, machines: Machines, nodes: int) -> float:
    return reached(costs, machines, nodes).rate - reached(costs, machines, nodes - 1).rate


def _wait(busy: float, service: float) -> float:
    return float("inf") if busy >= 1 else busy / (1 - busy) * service
