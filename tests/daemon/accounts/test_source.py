"""Where the users of a server come from: checks before the start, the store, the policies."""

from __future__ import annotations

import gc
import os
import pwd
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from daemon.store.postgres.cluster import Cluster
from nacre.config.server.config import ServerConfig
from nacre.config.server.rules import ServerRules
from nacre.daemon.accounts import source as module
from nacre.daemon.accounts.source import SHARED_ACCOUNT, UNCHECKED, UserSource
from nacre.daemon.accounts.system import SystemPolicy
from nacre.daemon.accounts.virtual.policy import StorePolicy
from nacre.daemon.nodes.tables import node_tables, nodes
from nacre.daemon.store.store import FILE, UserStore
from nacre.daemon.store.values import StoredUser
from nacre.errors import AccountError

ME = pwd.getpwuid(os.geteuid()).pw_name
RULES = ServerRules(ServerConfig())


def source(**changed: Any) -> UserSource:
    usual: dict[str, Any] = {
        "users": "store",
        "url": None,
        "run_as": None,
        "powerless": lambda: None,
        "profile": "default",
        "ssh1_strict": False,
        "trust_own_ca": False,
        "workers": 1,
    }
    return UserSource(**{**usual, **changed})


@pytest.fixture
def state(tmp_path: Path) -> Path:
    with closing(UserStore(tmp_path / FILE)) as store:
        store.add(StoredUser(name="alice"))
    return tmp_path


@pytest.mark.parametrize(
    ("changed", "uid", "refusal"),
    [
        ({"users": "system"}, 1000, "needs root's rights"),
        ({"users": "system", "trust_own_ca": True}, 0, "--trust-own-ca is for virtual users"),
        ({"users": "system", "run_as": ME}, 0, "--run-as is for virtual users"),
        ({"run_as": ME}, os.geteuid() + 1, "only root can run sessions as"),
    ],
)
def test_what_this_process_has_no_right_to_serve_is_refused(
    changed: dict[str, Any], uid: int, refusal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    with pytest.raises(AccountError, match=refusal):
        source(**changed).check_rights(RULES)


def test_an_account_of_ones_own_may_be_served() -> None:
    source(run_as=ME).check_rights(RULES)


@pytest.mark.parametrize(("uid", "warnings"), [(0, []), (1000, [SHARED_ACCOUNT])])
def test_users_with_shells_share_an_account_without_root(
    state: Path, uid: int, warnings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "check_roots", lambda *_, **__: None)
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    told: list[str] = []
    source().check_users(state, told.append)
    assert told == warnings


def test_users_that_are_too_many_to_look_at_are_a_warning(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_long(*_: object, **__: object) -> bool:
        raise TimeoutError

    monkeypatch.setattr(module, "check_roots", too_long)
    monkeypatch.setattr(UserStore, "has_shell_user", too_long)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    told: list[str] = []
    source().check_users(state, told.append)
    assert told == [UNCHECKED, SHARED_ACCOUNT]


@pytest.mark.parametrize(
    ("users", "bans", "opened"),
    [("store", False, True), ("system", True, True), ("system", False, False)],
)
def test_a_store_is_opened_where_somebody_needs_it(
    state: Path, users: str, bans: bool, opened: bool
) -> None:
    with ExitStack() as stack:
        store = source(users=users).open_store(state, stack, bans=bans)
        assert (store is not None) == opened
        assert source(users=users).open_store(None, stack, bans=bans) is None


@pytest.mark.parametrize(("users", "kind"), [("store", StorePolicy), ("system", SystemPolicy)])
def test_policies_are_closed_at_the_end(
    state: Path, users: str, kind: type[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[int] = []
    close = kind.close

    def noted(policy: object) -> None:
        closed.append(id(policy))
        close(policy)

    monkeypatch.setattr(kind, "close", noted)
    with ExitStack() as stack:
        made = source(users=users)
        make = made.policies(made.open_store(state, stack, bans=False), stack, None)
        policy = make(RULES)
        assert isinstance(policy, kind)
        make(RULES).close()
        gc.collect()  # nothing has the second one any more
        del closed[:]
        kept = id(policy)
    assert closed == [kept]


@pytest.mark.interop
def test_a_shared_store_has_its_tables_before_accounts_of_the_system_are_served(
    cluster: Cluster, tmp_path: Path
) -> None:
    url = cluster.database()
    warned: list[str] = []
    source(users="system", url=url).check_users(tmp_path, warned.append)
    with node_tables(url, seconds=30) as connection:
        assert nodes(connection) == []
    assert warned == []
