"""The file that tells a session how its user logged in."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from nacre.daemon.accounts.accounts import own_account, system_login
from nacre.daemon.accounts.evidence import conceal, expose


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
