"""The store in each of its databases: a file of SQLite, and a database of PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from daemon.store.postgres.cluster import Cluster, StorePlace
from nacre.daemon.store.postgres.store_url import StoreURL
from nacre.daemon.store.store import FILE, UserStore


@pytest.fixture(scope="session")
def one_database(cluster: Cluster) -> StoreURL:
    """A database that many tests use, one after another."""
    return cluster.database()


@pytest.fixture
def shared_place(cluster: Cluster, one_database: StoreURL, tmp_path: Path) -> StorePlace:
    """A place in PostgreSQL for a store, in which nothing is."""
    cluster.empty(one_database)
    return StorePlace(tmp_path / FILE, one_database)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.interop)])
def place(request: Any, tmp_path: Path) -> StorePlace:
    """A place for a store, in which nothing is."""
    if request.param == "sqlite":
        return StorePlace(tmp_path / FILE)
    shared: StorePlace = request.getfixturevalue("shared_place")
    return shared


@pytest.fixture
def store(place: StorePlace) -> Iterator[UserStore]:
    with closing(place.open()) as found:
        yield found
