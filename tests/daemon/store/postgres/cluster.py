"""A cluster of PostgreSQL for tests: on a socket in a directory of its own, and on no port."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interop.daemons import Daemon
from interop.programs import check, require
from nacre.daemon.store.postgres.store_url import StoreURL
from nacre.daemon.store.store import UserStore
from nacre.daemon.store.tables import METADATA

_SETTINGS = {
    "listen_addresses": "",
    "shared_buffers": "8MB",
    "max_connections": "60",
    "fsync": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
}


def _program(name: str) -> list[str]:
    """Return the words that run one of PostgreSQL's programs, which refuse to run as root."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    path = str(found[-1]) if found else require(name)
    if os.geteuid() != 0:
        return [path]
    return [require("setpriv"), "--reuid=nobody", "--regid=nogroup", "--clear-groups", path]


@dataclass
class StorePlace:
    """Where a store is.

    :ivar url: of its database; None for a file.
    """

    path: Path
    url: StoreURL | None = None

    def open(self, *, create: bool = True) -> UserStore:
        return UserStore(self.path, create=create, url=self.url)


class Cluster:
    """A cluster that runs.

    :ivar directory: has the socket.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._databases = 0
        self._daemon: Daemon | None = None

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        options = [f"--{name}={value}" for name, value in _SETTINGS.items()]
        where: list[str | Path] = ["-D", self.directory / "data", "-k", self.directory]
        words = [*_program("postgres"), *where, *options]
        self._daemon = Daemon("postgres", words, directory=self.directory)
        self._daemon.wait_for("database system is ready to accept connections")

    def stop(self) -> None:
        """End it, and all connections to it."""
        if self._daemon is not None:
            self._daemon.process.send_signal(signal.SIGINT)
            self._daemon.stop()
            self._daemon = None

    def url(self, database: str) -> StoreURL:
        return StoreURL(f"postgresql://nacre@/{database}?host={self.directory}")

    def database(self) -> StoreURL:
        """Make a database that is empty."""
        self._databases += 1
        name = f"store{self._databases}"
        self.execute(self.url("postgres"), f"CREATE DATABASE {name}")
        return self.url(name)

    def execute(self, url: StoreURL, statement: str) -> list[tuple[Any, ...]]:
        """Have a statement run, as an administrator would, and return its rows."""
        with url.connect(autocommit=True) as connection:
            done = connection.execute(statement.encode())
            return list(done.fetchall()) if done.description else []

    def empty(self, url: StoreURL) -> None:
        """Remove what is in the tables of a store, if there are any; its secret stays."""
        names = ", ".join(name for name in METADATA.tables if name != "settings")
        if self.execute(url, "SELECT 1 FROM pg_tables WHERE tablename = 'users'"):
            self.execute(url, f"TRUNCATE {names} RESTART IDENTITY")


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    """Make a cluster, and remove it at the end."""
    initdb = _program("initdb")
    # The path of a socket has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="nacre-pg-", dir="/tmp") as name:
        directory = Path(name)
        if os.geteuid() == 0:
            shutil.chown(directory, "nobody")
        words = ["--locale=C", "--encoding=UTF8", "--auth=trust", "--no-sync", "-U", "nacre"]
        check([*initdb, "-D", directory / "data", *words], timeout=120.0)
        cluster = Cluster(directory)
        cluster.start()
        try:
            yield cluster
        finally:
            cluster.stop()
