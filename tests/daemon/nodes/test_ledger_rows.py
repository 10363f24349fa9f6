"""The statements about ledgers that several servers have."""

from __future__ import annotations

import pytest

from nacre.daemon.nodes import tables
from nacre.daemon.nodes.ledger_rows import (
    GRACE,
    extend_ledger,
    leave_ledger,
    pending_ledgers,
    take_ledger,
    write_ledger,
)
from nacre.daemon.nodes.tables import DatabaseConnection
from nacre.daemon.nodes.values import NodeIdentity
from nacre.daemon.store.values import LedgerKey
from nacre.sftp.filesystems.quota.claim import Ahead

pytestmark = pytest.mark.interop

ALICE = LedgerKey("user", "alice")
AHEAD = Ahead(7, 1, 2, 3, 4)


@pytest.fixture
def leases(connection: DatabaseConnection) -> list[int]:
    return [
        tables.register(connection, NodeIdentity(f"web{one}", f"s{one}"), 1, "serving", None)
        for one in (1, 2, 3)
    ]


def end(connection: DatabaseConnection, lease: int, seconds: float) -> None:
    connection.execute(
        f"UPDATE nodes SET until = {tables.NOW} - %s WHERE number = %s",
        [int(seconds * 1000), lease],
    )


def test_a_ledger_is_at_one_lease_at_a_time(
    connection: DatabaseConnection, leases: list[int]
) -> None:
    one, two, three = leases
    new = take_ledger(connection, ALICE, one)
    assert new is not None
    assert (new.before, new.record, new.ahead) == (None, b"", Ahead())
    assert take_ledger(connection, ALICE, two) is None
    assert take_ledger(connection, ALICE, three) is None
    assert [one.wanted for one in pending_ledgers(connection, one)] == [True]
    assert extend_ledger(connection, ALICE, one, AHEAD)
    assert not extend_ledger(connection, ALICE, two, AHEAD)
    leave_ledger(connection, ALICE, one, b"figures", 0)
    # It goes to who wanted it first, and to nobody else.
    assert take_ledger(connection, ALICE, three) is None
    taken = take_ledger(connection, ALICE, two)
    assert taken is not None
    assert (taken.before, taken.record, taken.ahead) == (None, b"figures", AHEAD)
    assert not write_ledger(connection, ALICE, one, b"late", 0)
    leave_ledger(connection, ALICE, one, b"late", 0)
    assert take_ledger(connection, ALICE, one) is None


def test_what_a_lease_had_that_has_ended_is_taken_after_a_while(
    connection: DatabaseConnection, leases: list[int]
) -> None:
    one, two, _ = leases
    take_ledger(connection, ALICE, one)
    assert write_ledger(connection, ALICE, one, b"older", 0)
    end(connection, one, GRACE / 2)
    assert take_ledger(connection, ALICE, two) is None
    end(connection, one, GRACE + 0.1)
    taken = take_ledger(connection, ALICE, two)
    assert taken is not None
    assert (taken.before, taken.record) == (one, b"older")


def test_what_was_handed_to_a_lease_that_has_ended_since_is_as_it_was(
    connection: DatabaseConnection, leases: list[int]
) -> None:
    one, two, three = leases
    take_ledger(connection, ALICE, one)
    take_ledger(connection, ALICE, two)
    leave_ledger(connection, ALICE, one, b"figures", 0)
    end(connection, two, GRACE + 0.1)
    taken = take_ledger(connection, ALICE, three)
    assert taken is not None
    assert (taken.before, taken.record) == (None, b"figures")


def test_who_wanted_it_and_has_died_does_not_get_it(
    connection: DatabaseConnection, leases: list[int]
) -> None:
    one, two, three = leases
    take_ledger(connection, ALICE, one)
    take_ledger(connection, ALICE, two)
    end(connection, two, GRACE + 0.1)
    assert take_ledger(connection, ALICE, three) is None
    leave_ledger(connection, ALICE, one, b"figures", 0)
    assert take_ledger(connection, ALICE, three) is not None


def test_files_are_to_be_counted_until_they_were(
    connection: DatabaseConnection, leases: list[int]
) -> None:
    take_ledger(connection, ALICE, leases[0])
    assert pending_ledgers(connection, leases[0]) == []
    connection.execute("UPDATE ledgers SET asked = asked + 1")
    assert pending_ledgers(connection, leases[0]) == [(ALICE, False, 1)]
    write_ledger(connection, ALICE, leases[0], b"figures")
    assert pending_ledgers(connection, leases[0]) == [(ALICE, False, 1)]
    write_ledger(connection, ALICE, leases[0], b"figures", 1)
    assert pending_ledgers(connection, leases[0]) == []
