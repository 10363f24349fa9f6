"""What the statements say of settings that hold."""

from __future__ import annotations

from contextlib import closing

from sqlalchemy import select

from daemon.store.postgres.cluster import StorePlace
from nacre.daemon.store.tables import USERS, holding
from nacre.daemon.store.values import SETTINGS, Group, StoredUser


def test_every_setting_holds_as_for_a_login(place: StorePlace) -> None:
    with closing(place.open()) as store:
        store.groups.add(
            Group(name="one", auth="password", hours="Mon", read_only=True, run_as="nobody"),
            Group(name="two", auth="publickey", service="sftp", root="/two", expires=5, home="/h"),
        )
        store.add(StoredUser(name="none"))
        store.add(StoredUser(name="both", groups=("one", "two"), read_only=False, sources="*"))
        store.add(StoredUser(name="turned", groups=("two", "one"), expires=0))
        with store._database.reading() as connection:
            chosen = select(USERS.c.name, *(holding(name).label(name) for name in SETTINGS))
            rows = {row.name: row for row in connection.execute(chosen)}
        for name, row in rows.items():
            user = store.user(name)
            shown = {one: getattr(row, one) for one in SETTINGS}
            assert shown == {one: getattr(user, one) for one in SETTINGS}, name
        assert (rows["both"].auth, rows["turned"].auth) == ("password", "publickey")
