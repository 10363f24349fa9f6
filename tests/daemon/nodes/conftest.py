"""A database with the tables of nodes, and the clients of servers that have leases there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from daemon.store.postgres.cluster import Cluster
from nacre.daemon.nodes.tables import DatabaseConnection, node_tables
from nacre.daemon.store.postgres.store_url import StoreURL
from nacre.daemon.store.store import FILE, UserStore


@pytest.fixture(scope="session")
def nodes_database(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> StoreURL:
    url = cluster.database()
    with closing(UserStore(tmp_path_factory.mktemp("state") / FILE, url=url)):
        return url


@pytest.fixture
def url(cluster: Cluster, nodes_database: StoreURL) -> StoreURL:
    """A database in which no node is."""
    cluster.empty(nodes_database)
    return nodes_database


@pytest.fixture
def connection(url: StoreURL) -> Iterator[DatabaseConnection]:
    with node_tables(url, seconds=30) as found:
        yield found
