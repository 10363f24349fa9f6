"""Ledgers that several servers share: handed over, taken from the dead, and exact meanwhile."""

from __future__ import annotations

import os
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from nacre.daemon.nodes import ledgers as module
from nacre.daemon.nodes import tables
from nacre.daemon.nodes.ledger_rows import GRACE, PendingRow, TakenRow, take_ledger
from nacre.daemon.nodes.ledgers import LedgerKeeper, _Held
from nacre.daemon.nodes.tables import DatabaseConnection
from nacre.daemon.nodes.values import NodeIdentity
from nacre.daemon.store.postgres.store_url import StoreURL
from nacre.daemon.store.values import LedgerKey
from nacre.limits import KIB, MIB
from nacre.sftp.filesystems.local import LocalFilesystem
from nacre.sftp.filesystems.quota.claim import ACQUIRE, Ahead, Claim, ClaimRequest, since_start
from nacre.sftp.filesystems.quota.counted import QuotaFilesystem
from nacre.sftp.filesystems.quota.ledger import Usage
from nacre.sftp.filesystems.quota.limits import QuotaLimits
from nacre.sftp.filesystems.quota.quota import Quota
from nacre.sftp.filesystems.quota.shared import quota_of, shared_figures
from nacre.sftp.protocol.status import ToldError
from sftp.filesystems.quota.ledgers import put, refused

pytestmark = pytest.mark.interop

ALICE = LedgerKey("user", "alice")
TEAM = LedgerKey("group", "team")


class Server:
    """A server that shares ledgers, with a lease that a test ends."""

    def __init__(
        self, url: StoreURL, connection: DatabaseConnection, state: Path, name: str
    ) -> None:
        state.mkdir(exist_ok=True)
        self._connection = connection
        self.number = tables.register(
            connection, NodeIdentity(name, f"server-of-{name}"), 1, "serving", None
        )
        self._hold()
        self.settled: list[LedgerKey] = []
        self.errors: list[str] = []
        self.keeper = LedgerKeeper(url, state, self.settled.append)
        self.keeper.begin(lambda: self.lease, self.errors.append)

    def _hold(self) -> None:
        self._connection.execute(
            "UPDATE nodes SET until = until + 600000 WHERE number = %s", [self.number]
        )
        self.lease: tuple[int, int] | None = (self.number, since_start() + 600_000_000_000)

    def die(self) -> None:
        """Have the lease end, and the keeper do nothing any more, as after SIGKILL."""
        self.keeper._leave_all = lambda connection: None  # type: ignore[method-assign]
        self.lease = None
        self.keeper.close()
        self._connection.execute(
            f"UPDATE nodes SET until = {tables.NOW} - %s WHERE number = %s",
            [int(GRACE * 1000) + 1, self.number],
        )

    def session(self, root: Path, **limits: Any) -> QuotaFilesystem:
        """Begin a session of alice."""
        group = limits.get("group")
        key = ALICE if group is None else LedgerKey("group", group)
        file = self.keeper.open(key, (str(root),))
        quota = quota_of([QuotaLimits(**limits)], [file])
        return QuotaFilesystem(LocalFilesystem(root), quota, str(root))


@pytest.fixture
def server(
    url: StoreURL, connection: DatabaseConnection, tmp_path: Path
) -> Iterator[Callable[[str], Server]]:
    made: list[Server] = []

    def make(name: str) -> Server:
        made.append(Server(url, connection, tmp_path / name, name))
        return made[-1]

    yield make
    for one in made:
        one.keeper.close()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    found = tmp_path / "files"
    found.mkdir()
    return found


@contextmanager
def sessions(*files: QuotaFilesystem) -> Iterator[tuple[QuotaFilesystem, ...]]:
    try:
        yield files
    finally:
        for one in files:
            one.close()


def record(connection: DatabaseConnection, key: LedgerKey) -> bytes:
    found = connection.execute(
        "SELECT record FROM ledgers WHERE kind = %s AND name = %s", key
    ).fetchone()
    return b"" if found is None or found[0] is None else bytes(found[0])


def usage(files: QuotaFilesystem) -> Usage:
    """Return the figures, which the session gets from whichever server has them."""
    quota: Quota = files._quota
    with quota.shares[0].ledger.held() as found:
        return found


def stored(root: Path) -> int:
    return sum(path.stat().st_size for path in root.iterdir())


def test_two_servers_store_no_more_than_one_may(
    server: Callable[[str], Server], root: Path
) -> None:
    servers = [server("web1"), server("web2")]
    most = 200 * KIB  # the count of empty files is no matter

    def fill(number: int) -> int:
        done = 0
        with sessions(servers[number % 2].session(root, bytes=most)) as (files,):
            for count in range(60):
                try:
                    put(files, f"/{number}-{count}", KIB)
                    done += 1
                except ToldError:
                    return done
        return done

    with ThreadPoolExecutor(4) as threads:
        done = list(threads.map(fill, range(4)))
    assert sum(done) == 200
    assert min(done) > 0
    assert stored(root) == most
    with sessions(servers[0].session(root, bytes=most)) as (files,):
        found = usage(files)
        assert (found.bytes, found.doubted) == (most, False)
        assert found.files == len(list(root.iterdir()))
    assert servers[0].errors == servers[1].errors == []


def test_a_server_alone_asks_for_a_ledger_once(
    server: Callable[[str], Server],
    root: Path,
    connection: DatabaseConnection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken = list[LedgerKey]()

    def note(connection: DatabaseConnection, key: LedgerKey, lease: int) -> TakenRow | None:
        taken.append(key)
        return take_ledger(connection, key, lease)

    monkeypatch.setattr(module, "take_ledger", note)
    one = server("web1")
    with sessions(one.session(root, bytes=MIB)) as (files,):
        put(files, "/a", 10)
        for number in range(50):
            put(files, f"/{number}", 10)
        assert usage(files).bytes == 510
        (row,) = connection.execute("SELECT owner, loaded FROM ledgers").fetchall()
        assert row == (one.number, True)
        assert taken == [ALICE]


def test_what_is_transferred_counts_on_both(server: Callable[[str], Server], root: Path) -> None:
    one, two = server("web1"), server("web2")
    limits = {"transfer_up": 100 * KIB, "transfer_period": "total"}
    with sessions(one.session(root, **limits), two.session(root, **limits)) as (first, second):
        put(first, "/a", 60 * KIB)
        put(second, "/b", 30 * KIB)
        with refused(122, "you may upload 100 KiB, of which 10 KiB are left"):
            put(first, "/c", 20 * KIB)
        put(second, "/d", 10 * KIB)
        assert usage(first).up == 100 * KIB


def test_a_server_that_is_closed_hands_its_ledgers_over(
    server: Callable[[str], Server], root: Path, connection: DatabaseConnection
) -> None:
    one, two = server("web1"), server("web2")
    with sessions(one.session(root, bytes=MIB)) as (files,):
        put(files, "/a", 1000)
    one.keeper.close()
    found = Usage.decode(record(connection, ALICE))
    assert (found.bytes, found.files, found.doubted) == (1000, 1, False)
    (root / "unseen").write_bytes(bytes(5))  # so it would be seen if files were counted anew
    with sessions(two.session(root, bytes=MIB)) as (files,):
        put(files, "/b", 1)
        assert usage(files).bytes == 1001


def test_files_are_counted_anew_after_a_server_has_died_and_transfers_not_below_what_they_were(
    server: Callable[[str], Server], root: Path
) -> None:
    one, two = server("web1"), server("web2")
    limits = {"bytes": 100 * MIB, "transfer_up": 64 * MIB, "transfer_period": "total"}
    with sessions(one.session(root, **limits)) as (files,):
        put(files, "/a", 3000)
        one.die()
    with sessions(two.session(root, **limits)) as (files,):
        put(files, "/b", 100)
        found = usage(files)
        assert (found.bytes, found.files, found.doubted) == (3100, 2, False)
        # A portion is a sixteenth of the limit.
        assert 3100 <= found.up <= 3100 + 4 * MIB


def test_a_server_that_is_started_again_has_what_it_had(
    url: StoreURL, server: Callable[[str], Server], root: Path, connection: DatabaseConnection
) -> None:
    one = server("web1")
    limits = {"bytes": MIB, "transfer_up": MIB, "transfer_period": "total"}
    with sessions(one.session(root, **limits)) as (files,):
        put(files, "/a", 3000)
        one.die()
    (root / "unseen").write_bytes(bytes(5))
    again = server("web1")
    with sessions(again.session(root, **limits)) as (files,):
        put(files, "/b", 100)
        found = usage(files)
        assert (found.bytes, found.files, found.up) == (3100, 2, 3100)


def test_a_group_never_has_more_than_its_limit_after_a_server_has_died(
    server: Callable[[str], Server], tmp_path: Path, connection: DatabaseConnection
) -> None:
    one, two = server("web1"), server("web2")
    limits = {"group": "team", "bytes": 4 * MIB}
    places = [tmp_path / name for name in ("alice", "bob")]
    for place in places:
        place.mkdir()
    with sessions(one.session(places[0], **limits)) as (files,):
        put(files, "/a", 3 * MIB)
        one.die()
    with sessions(two.session(places[1], **limits)) as (files,):
        # Bob's session can't look into the directory of alice.
        with refused(122, "the quota of the group team is 4 MiB"):
            put(files, "/b", 2 * MIB)
        with sessions(two.session(places[0], **limits)) as (mine,):
            put(mine, "/c", 1)
        files.remove("/b")
        put(files, "/b", 1000)
        assert usage(files).bytes == 3 * MIB + 1001
    two.keeper.close()
    found, counted = shared_figures(record(connection, TEAM), map(str, places))
    assert (found.bytes, counted) == (3 * MIB + 1001, True)


def test_without_a_lease_nothing_is_stored(server: Callable[[str], Server], root: Path) -> None:
    one = server("web1")
    with sessions(one.session(root, bytes=MIB)) as (files,):
        put(files, "/a", 10)
        number, _ = one.lease or (0, 0)
        one.lease = number, since_start()
        with one.keeper._claim(ALICE) as file:  # as if the lease had been over then all along
            Claim(*one.lease).write(file.fileno())
        quota = files._quota
        with refused(11, "for 1 seconds: try again"), quota.changing(str(root), patience=1.0):
            raise AssertionError("it was held")


def test_somebody_who_wants_files_counted_is_heard(
    server: Callable[[str], Server], root: Path, connection: DatabaseConnection
) -> None:
    one = server("web1")
    with sessions(one.session(root, bytes=MIB)) as (files,):
        put(files, "/a", 10)
        connection.execute("UPDATE ledgers SET asked = asked + 1")
        wait_until(lambda: one.settled == [ALICE])
        wait_until(
            lambda: connection.execute("SELECT asked - answered FROM ledgers").fetchone() == (0,)
        )


def test_a_ledger_whose_row_was_removed_begins_anew(
    server: Callable[[str], Server], root: Path, connection: DatabaseConnection
) -> None:
    one = server("web1")
    with sessions(one.session(root, bytes=MIB)) as (files,):
        put(files, "/a", 10)
        connection.execute("DELETE FROM ledgers")
        (root / "unseen").write_bytes(bytes(5))
        wait_until(lambda: ALICE not in one.keeper._held)
        put(files, "/b", 1)
        assert usage(files).bytes == 16


def test_a_connection_that_breaks_loses_nothing(
    server: Callable[[str], Server], root: Path, connection: DatabaseConnection
) -> None:
    one, two = server("web1"), server("web2")
    with sessions(one.session(root, bytes=MIB), two.session(root, bytes=MIB)) as (first, second):
        put(first, "/a", 10)
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE pid <> pg_backend_pid() AND datname = current_database()"
        )
        put(second, "/b", 20)
        put(first, "/c", 30)
        assert usage(second).bytes == 60


@pytest.fixture
def idle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[LedgerKeeper, list[float | None]]]:
    """A keeper without a thread or a database, and for how long it means to wait each time."""
    url: Any = None
    keeper = LedgerKeeper(url, tmp_path)
    keeper._lease = lambda: (1, since_start() + 600_000_000_000)
    keeper._visitors.register(keeper._wakeup, selectors.EVENT_READ)
    select, pauses = keeper._visitors.select, list[float | None]()

    def wait(seconds: float | None) -> Any:
        pauses.append(seconds)
        return select(0)

    monkeypatch.setattr(keeper._visitors, "select", wait)
    monkeypatch.setattr(module, "pending_ledgers", lambda connection, lease: [])
    monkeypatch.setattr(module, "leave_ledger", lambda *given: None)
    yield keeper, pauses
    keeper.close()


@pytest.mark.parametrize("lapsed", [True, False], ids=["lapsed", "none"])
def test_a_server_without_a_lease_waits_and_does_not_spin(
    idle: tuple[LedgerKeeper, list[float | None]], lapsed: bool
) -> None:
    keeper, pauses = idle
    keeper._lease = lambda: (1, 0) if lapsed else None
    connection: Any = None
    with keeper._admit(ALICE) as file, socket.socket(fileno=os.dup(file.fileno())) as session:
        session.send(ClaimRequest(ACQUIRE, 1, Ahead()).encode())
        while not keeper._waiting:
            keeper._turn(connection)
        pauses.clear()
        for _ in range(20):
            keeper._turn(connection)
        assert min(one or 0.0 for one in pauses) > 0.001
        assert (pauses[-1] or 0.0) >= 0.05
    keeper._turn(connection)


def test_a_ledger_that_no_session_has_any_more_is_handed_over_once(
    idle: tuple[LedgerKeeper, list[float | None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper, pauses = idle
    monkeypatch.setattr(
        module, "pending_ledgers", lambda connection, lease: [PendingRow(ALICE, True, 0)]
    )
    keeper._held[ALICE] = _Held(1, TakenRow(None, b"", Ahead(), 0, 0))
    connection: Any = None
    keeper._turn(connection)
    assert not keeper._held
    assert (pauses[-1] or 0.0) > 0.05


def test_no_thread_is_left(server: Callable[[str], Server], root: Path) -> None:
    one = server("web1")
    one.keeper.close()
    assert not any(thread.name == "node-ledgers" for thread in threading.enumerate())


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)
