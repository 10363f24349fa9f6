"""The revision that brought quotas."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from daemon.store.migrations.fifth import fifth_store


def test_users_stay_and_have_no_limits(tmp_path: Path) -> None:
    with closing(fifth_store(tmp_path)) as store:
        alice = store.user("alice")
        assert (alice.quota_bytes, alice.rate_down, alice.transfer_period) == (None, None, "month")
        store.groups.change("staff", quota_bytes=1 << 40, transfer_period="day", rate_up=5000)
        alice = store.user("alice")
        assert (alice.quota_bytes, alice.rate_up, alice.transfer_period) == (1 << 40, 5000, "day")
