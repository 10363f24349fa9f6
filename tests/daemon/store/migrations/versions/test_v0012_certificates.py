"""The revision that brought certificates."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from daemon.store.migrations.fifth import fifth_store


def test_users_stay_and_get_no_certificates(tmp_path: Path) -> None:
    with closing(fifth_store(tmp_path)) as store:
        assert store.user("alice").certificate_valid is None
        store.groups.change("staff", certificate_valid=60, certificate_principals="%u,web")
        assert store.user("alice").certificate_valid == 60
        assert store.certificates.all() == []
