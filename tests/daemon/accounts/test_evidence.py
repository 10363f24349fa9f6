"""The files of a session: how its user logged in, and tickets that came along."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from contexts import FakeContext
from nacre.daemon.accounts.accounts import own_account, system_login
from nacre.daemon.accounts.evidence import conceal, expose, keep_tickets


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_the_file_is_the_accounts_alone() -> None:
    account = replace(own_account(), uid=4711, gid=4712)
    path = Path(expose(replace(system_login(account), evidence="password\n")))
    try:
        status = path.stat()
        assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (4711, 4712, 0o600)
        assert path.read_text() == "password\n"
    finally:
        conceal(str(path))
    assert not path.exists()
    conceal(str(path))  # the user may have removed it


def test_files_differ() -> None:
    login = replace(system_login(own_account()), evidence="password\n")
    paths = {expose(login), expose(login)}
    assert len(paths) == 2
    for path in paths:
        conceal(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_tickets_are_the_accounts_alone() -> None:
    account = replace(own_account(), uid=4711, gid=4712)
    login = replace(system_login(account), security=FakeContext(delegated=b"tickets"))
    path = Path(keep_tickets(login) or "")
    try:
        status = path.stat()
        assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (4711, 4712, 0o600)
        assert path.name.startswith("krb5cc_4711_")
        assert path.read_bytes() == b"tickets"
    finally:
        conceal(str(path))


def test_without_delegation_there_is_no_file() -> None:
    login = system_login(own_account())
    assert keep_tickets(login) is None
    assert keep_tickets(replace(login, security=FakeContext())) is None


def test_a_file_that_can_not_be_written_does_not_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(number: int, content: bytes) -> int:
        raise OSError("no space left")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(os, "write", fail)
    with pytest.raises(OSError, match="no space"):
        expose(replace(system_login(own_account()), evidence="password\n"))
    assert not list(tmp_path.iterdir())
