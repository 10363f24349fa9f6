"""The revision that brought the security keys of the web console."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from daemon.store.migrations.fifth import fifth_store
from nacre.daemon.store.second_factor.webauthn_keys import WebAuthnKey


def test_users_of_an_older_store_enrol_security_keys(tmp_path: Path) -> None:
    with closing(fifth_store(tmp_path)) as store:
        keys = store.factors.security_keys
        assert keys.of("alice") == []
        keys.add(
            WebAuthnKey(credential=b"c", user="alice", name="blue", rp_id="x", public_key=b"p")
        )
        assert [one.name for one in keys.of("alice")] == ["blue"]
        store.remove("alice")
        assert keys.all() == []
