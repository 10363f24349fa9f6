"""What `nacre serve` was told of hooks."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from nacre.config.values import LogLevel
from nacre.daemon.hooks.plan import HooksWanted
from nacre.errors import AccountError

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root takes another account")


@as_root
def test_the_account_of_hooks_is_that_of_gates_or_the_one_that_is_named() -> None:
    nobody = pwd.getpwnam("nobody")
    assert HooksWanted().rights("nobody") == (nobody.pw_uid, nobody.pw_gid)
    assert HooksWanted(user="nobody").rights(None) == (nobody.pw_uid, nobody.pw_gid)
    with pytest.raises(AccountError, match="root's rights"):
        HooksWanted(user="root").rights(None)
    with pytest.raises(AccountError):
        HooksWanted(user="nobody-of-this-name").rights(None)


def test_without_root_it_is_the_servers_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert HooksWanted(user="root").rights(None) is None


def test_nothing_is_started_before_the_server_is(tmp_path: Path) -> None:
    HooksWanted(user="nobody").open(tmp_path, None, LogLevel.INFO)
    assert list(tmp_path.iterdir()) == []
