"""Which servers are separated, and which account their gates have."""

from __future__ import annotations

import os
import pwd
from dataclasses import replace

import pytest

from nacre.config.server.config import ServerConfig
from nacre.daemon.accounts.accounts import find_account
from nacre.daemon.separate import rights
from nacre.daemon.separate.rights import (
    GATES,
    check_separable,
    default_gates,
    gate_rights,
    recorder_rights,
)
from nacre.errors import AccountError, ConfigurationError

CONFIG = ServerConfig()
SSH1 = replace(CONFIG, protocol=(2, 1))
GSSAPI = replace(CONFIG, gssapi_authentication=True)


def test_the_account_of_gates_is_the_first_that_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = pwd.getpwnam("nobody")
    monkeypatch.setattr(rights, "ACCOUNTS", ("nacre-is-not-here", "nobody", "root"))
    assert gate_rights(None) == (nobody.pw_uid, nobody.pw_gid)


def test_an_account_that_is_named() -> None:
    daemon = pwd.getpwnam("daemon")
    assert gate_rights("daemon") == (daemon.pw_uid, daemon.pw_gid)


def test_gates_are_never_roots() -> None:
    with pytest.raises(AccountError, match="root's"):
        gate_rights("root")


def test_the_group_of_root_is_refused_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    account = replace(find_account("nobody"), gid=0)
    monkeypatch.setattr(rights, "find_account", lambda _: account)
    with pytest.raises(AccountError, match="root's"):
        gate_rights(None)


@pytest.mark.parametrize("name", ["nacre-is-not-here", None])
def test_no_account(name: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rights, "ACCOUNTS", ("nacre-is-not-here",))
    with pytest.raises(AccountError, match="--gate-user"):
        gate_rights(name)


@pytest.mark.parametrize("config", [SSH1, GSSAPI])
def test_what_gates_can_not_do(config: ServerConfig) -> None:
    with pytest.raises(ConfigurationError, match="gates"):
        check_separable(config)


def test_what_gates_can_do() -> None:
    check_separable(CONFIG)


@pytest.mark.parametrize(
    ("config", "workers", "expected"),
    [(CONFIG, 1, GATES), (CONFIG, 2, 0), (SSH1, 1, 0), (GSSAPI, 1, 0)],
)
@pytest.mark.parametrize("uid", [0, 1000])
def test_how_many_gates_there_are_by_default(
    monkeypatch: pytest.MonkeyPatch, uid: int, config: ServerConfig, workers: int, expected: int
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    assert default_gates(config, workers) == expected


def test_the_recorder_has_an_account_without_rights() -> None:
    account = pwd.getpwnam("daemon")
    assert recorder_rights("daemon") == (account.pw_uid, account.pw_gid)
    with pytest.raises(AccountError, match="has root's"):
        recorder_rights("root")
    with pytest.raises(AccountError, match="--record-user names another one"):
        recorder_rights("nobody-has-this-name")
