"""Accounts, and the environment that sessions get."""

from __future__ import annotations

import asyncio
import os
import pwd
from dataclasses import replace

import pytest

from nacre.daemon.accounts import accounts
from nacre.daemon.accounts.accounts import (
    Account,
    RecentAccounts,
    account_name,
    find_account,
    own_account,
    system_login,
    virtual_login,
)
from nacre.daemon.store.values import User
from nacre.errors import AccountError
from nacre.server.admission.user_threads import UserThreads

ALICE = Account(name="alice", uid=4711, gid=4712, groups=(4712, 7), home="/", shell="/bin/bash")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs sessions as others")


def test_own_account_needs_no_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 123456)
    account = own_account()
    assert (account.name, account.uid, account.shell) == ("123456", 123456, "/bin/sh")
    assert account.credentials is None


@pytest.mark.parametrize("name", ["no-such-account", "a\0b", "\udcff", ""])
def test_no_such_account(name: str) -> None:
    with pytest.raises(AccountError, match="no account"):
        find_account(name)


def test_groups_are_the_accounts() -> None:
    entry = pwd.getpwnam("nobody")
    assert set(find_account("nobody").groups) == set(os.getgrouplist("nobody", entry.pw_gid))


async def test_accounts_are_looked_up_once_in_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def look(name: str) -> Account:
        asked.append(name)
        return find_account(name)

    monkeypatch.setattr(accounts, "find_account", look)
    recent = RecentAccounts(UserThreads())
    found = await asyncio.gather(*[recent.find("nobody") for _ in range(3)])
    assert [*found, await recent.find("nobody")] == [find_account("nobody")] * 4
    assert await recent.find(None) == own_account()
    for _ in range(2):
        with pytest.raises(AccountError):
            await recent.find("no-such-account")
    assert asked == ["nobody", "no-such-account", "no-such-account"]
    monkeypatch.setattr(accounts, "RECENT", 0.0)
    recent = RecentAccounts(UserThreads())
    for _ in range(2):
        await recent.find("nobody")
    assert asked[3:] == ["nobody"] * 2


def test_credentials_of_another() -> None:
    credentials = ALICE.credentials
    assert credentials is not None
    assert (credentials.uid, credentials.gid, credentials.groups) == (4711, 4712, (4712, 7))


@as_root
def test_virtual_user_under_root() -> None:
    user = User(name="alice")
    with pytest.raises(AccountError, match="nacre user set alice --run-as"):
        account_name(user, None)
    assert account_name(user, "nobody") == "nobody"
    assert account_name(replace(user, run_as="root"), "nobody") == "root"


@as_root
def test_account_without_a_shell_has_one_for_virtual_users() -> None:
    nobody = find_account("nobody")
    assert virtual_login(User(name="alice"), nobody).shell == "/bin/sh"
    assert system_login(nobody).shell == nobody.shell


@pytest.mark.parametrize(
    ("user", "root"),
    [
        (User(name="alice", home="/home/alice"), None),
        (User(name="alice", home="/home/alice", service="shell"), None),
        (User(name="alice", home="/home/alice", root="/home"), "/home"),
        (User(name="alice", home="/home/alice", service="sftp"), "/home/alice"),
        (User(name="alice", home="/home/alice", service="sftp", root="/srv"), "/srv"),
    ],
)
def test_only_a_root_and_a_service_of_files_alone_confine(user: User, root: str | None) -> None:
    files = virtual_login(user, own_account()).files
    assert files is not None
    assert (files.root, files.home, files.set_id) == (root, "/home/alice", False)


def test_virtual_user_without_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 123456)
    user = User(name="alice", run_as="root", home="/srv")
    assert account_name(user, None) is None
    login = virtual_login(user, own_account())
    assert (login.account.uid, login.home, login.name) == (123456, "/srv", "alice")
