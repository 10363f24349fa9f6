"""A store in PostgreSQL: how it is made and brought up to date, and what servers share of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import BigInteger, Integer, create_engine, text
from sqlalchemy.dialects import postgresql

from daemon.store.postgres.cluster import Cluster, StorePlace
from nacre.daemon.store.database import VERSION
from nacre.daemon.store.migrations import migrate
from nacre.daemon.store.postgres.store_url import StoreURL
from nacre.daemon.store.store import FILE, UserStore
from nacre.daemon.store.tables import METADATA
from nacre.daemon.store.values import StoredKey, StoredUser
from nacre.errors import StateError
from nacre.keys import generate

pytestmark = pytest.mark.interop

KEY = generate("ssh-ed25519").public
PATIENCE = 30.0


@pytest.fixture
def empty(cluster: Cluster, tmp_path: Path) -> StorePlace:
    """A database without tables."""
    return StorePlace(tmp_path / FILE, cluster.database())


@pytest.fixture
def nodes(shared_place: StorePlace) -> Iterator[tuple[UserStore, UserStore]]:
    """The store as two servers have it open."""
    with closing(shared_place.open()) as one, closing(shared_place.open()) as two:
        yield one, two


def up(store: UserStore) -> None:
    """Wait until changes are told to a store."""
    deadline = threading.Event()
    for _ in range(int(PATIENCE / 0.01)):
        assert store.lookups is not None
        store.lookups.look_up("nobody")
        if store.lookups.remembered("nobody") is not None:
            return
        deadline.wait(0.01)
    raise AssertionError("changes are not told")


def test_the_tables_are_made_by_one_of_several_at_once(empty: StorePlace) -> None:
    with ThreadPoolExecutor(4) as threads:
        stores = list(threads.map(lambda _: empty.open(), range(4)))
    assert len({store.secret for store in stores}) == 1
    for store in stores:
        store.close()


def test_an_empty_database_is_not_filled_for_reading(empty: StorePlace) -> None:
    with pytest.raises(StateError, match="has no tables yet: `nacre user add` makes them"):
        empty.open(create=False)


def test_a_newer_version_is_refused(empty: StorePlace, cluster: Cluster) -> None:
    empty.open().close()
    assert empty.url is not None
    newer = f"{VERSION + 1:04}"
    cluster.execute(empty.url, f"UPDATE alembic_version SET version_num = '{newer}'")
    with pytest.raises(StateError, match="made by a newer nacre"):
        empty.open()


def test_all_revisions_lead_to_the_tables_that_a_new_store_has(empty: StorePlace) -> None:
    assert empty.url is not None
    engine = create_engine("postgresql+psycopg://", creator=empty.url.connect)
    with engine.begin() as connection:
        migrate(connection, 0)
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []
        assert context.get_current_revision() == f"{VERSION:04}"
    engine.dispose()


def test_every_number_has_64_bits() -> None:
    dialect = postgresql.dialect()
    for table in METADATA.tables.values():
        for column in table.columns:
            kind = column.type.dialect_impl(dialect)
            assert not isinstance(kind, Integer) or isinstance(kind, BigInteger), column


def test_a_server_that_can_not_be_reached_is_named_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(StateError, match=r"can't use the user store postgresql:///none\?host=/no"):
        UserStore(tmp_path / FILE, url=StoreURL("postgresql:///none?host=/nonexistent"))


def test_no_error_has_values_of_a_row(nodes: tuple[UserStore, UserStore]) -> None:
    (store, _), statement = nodes, "INSERT INTO users (name, password) VALUES ('x', 'the hash')"
    reported = pytest.raises(StateError, match="null value in column")
    with reported as failed, store._database.reading() as connection:
        try:
            connection.execute(text(statement))
        except Exception as error:
            raise store._database._broken(error.orig) from None  # type: ignore[attr-defined]
    assert "the hash" not in str(failed.value)


def test_what_one_server_changes_another_one_has_forgotten(
    nodes: tuple[UserStore, UserStore],
) -> None:
    one, two = nodes
    one.add(StoredUser(name="alice"), [StoredKey(KEY, "")])
    up(two)
    assert two.lookups is not None
    found = two.lookups.look_up("alice")
    assert (found.keys, found.enrolled, found.policies) == ({KEY.blob: ""}, False, ("any",))
    assert found.user == one.user("alice")
    told = threading.Event()
    two._database.subscribe(lambda _: told.set())  # type: ignore[attr-defined]
    one.change("alice", disabled=True)
    assert told.wait(PATIENCE)
    assert two.lookups.remembered("alice") is None
    found = two.lookups.look_up("alice")
    assert found.user is not None
    assert found.user.disabled


def test_the_version_stays_until_a_change(nodes: tuple[UserStore, UserStore]) -> None:
    one, two = nodes
    assert two.bans.version() != two.bans.version()  # nobody tells of changes yet
    up(two)
    before = two.bans.version()
    assert two.bans.version() == before
    told = threading.Event()
    two._database.subscribe(lambda _: told.set())  # type: ignore[attr-defined]
    one.add(StoredUser(name="alice"))
    assert told.wait(PATIENCE)
    assert two.bans.version() != before


@pytest.mark.parametrize("name", ["a\0b", "a\udc80", "ä", "", "x" * 5000])
def test_names_that_nobody_can_have_are_not_asked_for(
    nodes: tuple[UserStore, UserStore], name: str
) -> None:
    assert nodes[0].lookups is not None
    assert nodes[0].lookups.look_up(name).user is None


def test_connections_that_the_server_has_ended_are_made_anew(
    nodes: tuple[UserStore, UserStore], cluster: Cluster, shared_place: StorePlace
) -> None:
    store, _ = nodes
    store.add(StoredUser(name="alice"))
    assert shared_place.url is not None
    end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    cluster.execute(shared_place.url, end)
    assert store.find("alice") is not None
