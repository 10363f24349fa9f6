"""The revision that brought limits which a group shares, the last one."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from sqlalchemy import create_engine, inspect

from daemon.store.migrations.fifth import fifth_store
from nacre.daemon.store.store import FILE
from nacre.daemon.store.tables import METADATA
from nacre.sftp.filesystems.quota.limits import QuotaLimits


def test_groups_stay_and_share_nothing(tmp_path: Path) -> None:
    with closing(fifth_store(tmp_path)) as store:
        assert store.groups.find("staff").shared_quota_bytes is None
        assert store.user("alice").shared == ()
        store.groups.change("staff", shared_quota_bytes=1 << 40, shared_transfer_period="day")
        expected = QuotaLimits(group="staff", bytes=1 << 40, transfer_period="day")
        assert store.user("alice").shared == (expected,)


def test_the_tables_are_those_of_a_new_store(tmp_path: Path) -> None:
    fifth_store(tmp_path).close()
    found = inspect(create_engine(f"sqlite:///{tmp_path / FILE}"))
    for table in METADATA.sorted_tables:
        columns = {column["name"] for column in found.get_columns(table.name)}
        assert columns == set(table.columns.keys()), table.name
        names = {index["name"] for index in found.get_indexes(table.name)}
        assert names == {index.name for index in table.indexes}, table.name
