"""The files of the authorities."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nacre.daemon.authority.files import AuthorityFiles
from nacre.daemon.store.values import CertificateRecord
from nacre.errors import StateError
from nacre.keys import generate
from nacre.keys.certificate import Certificate

KEY = generate("ssh-ed25519").public
ONE = CertificateRecord(
    serial=7,
    kind="user",
    key_id="alice",
    principals=("alice",),
    valid_after=0,
    valid_before=9,
    fingerprint="",
    user="alice",
    issued=0,
)


def test_they_are_made_once_and_the_server_alone_reads_the_keys(tmp_path: Path) -> None:
    files = AuthorityFiles(tmp_path)
    assert files.public("user") is None
    assert files.make() is True
    modes = {path.name: path.stat().st_mode & 0o777 for path in files.directory.iterdir()}
    assert modes == {
        "user_ca": 0o600,
        "host_ca": 0o600,
        "user_ca.pub": 0o644,
        "host_ca.pub": 0o644,
        "revoked": 0o644,
    }
    before = files.private("user").public
    assert before == files.public("user")
    assert before != files.public("host")
    assert files.make() is False
    assert files.private("user").public == before


def test_what_is_revoked_is_that_of_one_authority(tmp_path: Path) -> None:
    files = AuthorityFiles(tmp_path)
    files.make()
    user, host = files.private("user"), files.private("host")
    by_user = Certificate.issue(KEY, user, serial=7, principals=["alice"])
    by_host = Certificate.issue(KEY, host, serial=7, kind="host", principals=["h"])
    assert files.refusal(by_user) is None
    files.write_revoked([ONE, replace(ONE, serial=8, kind="host")])
    assert "serial number 7 is revoked" in str(files.refusal(by_user))
    assert files.refusal(by_host) is None
    assert files.refusal(KEY) is None
    files.revoked.unlink()
    assert "can't be read" in str(files.refusal(by_host))


def test_without_authorities_the_remedy_is_named(tmp_path: Path) -> None:
    files = AuthorityFiles(tmp_path)
    for use in (lambda: files.private("user"), lambda: files.write_revoked([])):
        with pytest.raises(StateError, match="nacre ca init"):
            use()
    files.make()
    files.public_path("user").write_text("no key")
    (files.directory / "user_ca").write_text("no key")
    for read in (files.public, files.private):
        with pytest.raises(StateError, match="can't use the authority's key"):
            read("user")
