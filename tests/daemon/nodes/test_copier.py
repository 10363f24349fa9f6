"""The events of a server are copied to the database of all: each once, also after a break."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from nacre.daemon.audit.events import AuditEvent
from nacre.daemon.audit.search import Search
from nacre.daemon.audit.table import FILE, AuditTable, now
from nacre.daemon.nodes import copier as module
from nacre.daemon.nodes.copier import AuditCopier
from nacre.daemon.nodes.events import find_events
from nacre.daemon.nodes.tables import DatabaseConnection
from nacre.daemon.nodes.values import NodeIdentity
from nacre.daemon.store.postgres.store_url import StoreURL
from parties import until

pytestmark = pytest.mark.interop

END_ALL = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE pid <> pg_backend_pid() AND datname = current_database()"
)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(module, "EVERY", 0.05)
    monkeypatch.setattr(module, "_PAUSE", 0.05)
    path = tmp_path / FILE
    AuditTable(path, create=True).close()
    return path


def add(path: Path, *users: str) -> None:
    with closing(AuditTable(path, create=False)) as table:
        table.add([(now(), AuditEvent("1", user, "", "login", "success", "{}")) for user in users])


def users(connection: DatabaseConnection) -> list[str]:
    return [one.event.user for one in find_events(connection, Search())]


def has(connection: DatabaseConnection, *expected: str) -> Callable[[], bool]:
    return lambda: sorted(users(connection)) == sorted(expected)


@asynccontextmanager
async def copying(path: Path, url: StoreURL) -> AsyncIterator[list[object]]:
    log: list[object] = []
    copier = AuditCopier(path, url, NodeIdentity("web1", "s1"))
    copier.begin(log.append)
    try:
        yield log
    finally:
        copier.close()


async def test_what_comes_is_copied_and_what_came_last(
    path: Path, url: StoreURL, connection: DatabaseConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_TOGETHER", 2)
    add(path, "a", "b", "c", "d", "e")
    async with copying(path, url):
        await until(has(connection, *"abcde"))
        add(path, "f")
        await until(has(connection, *"abcdef"))
        monkeypatch.setattr(module, "EVERY", 600.0)
        add(path, "g")
    assert users(connection) == list("abcdefg")
    add(path, "h")
    async with copying(path, url):
        await until(has(connection, *"abcdefgh"))


async def test_a_database_that_was_gone_gets_all_once(
    path: Path, url: StoreURL, connection: DatabaseConnection
) -> None:
    async with copying(path, url) as log:
        add(path, "a")
        await until(has(connection, "a"))
        connection.execute(END_ALL)
        add(path, "b")
        await until(has(connection, "a", "b"))
        assert len(log) == 1
    assert users(connection) == ["a", "b"]


async def test_an_audit_that_was_begun_anew_is_copied_from_its_beginning(
    path: Path, url: StoreURL, connection: DatabaseConnection
) -> None:
    add(path, "a", "b")
    async with copying(path, url):
        await until(has(connection, "a", "b"))
    for file in path.parent.glob(f"{FILE}*"):
        file.unlink()
    AuditTable(path, create=True).close()
    add(path, "c")
    async with copying(path, url):
        await until(has(connection, "a", "b", "c"))


async def test_without_the_database_it_ends_soon_and_the_log_says_why(path: Path) -> None:
    async with copying(path, StoreURL("postgresql:///none?host=/nowhere")) as log:
        await until(lambda: log)
    assert "are not copied to the store" in str(log)
