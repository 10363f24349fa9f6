"""Roots that would give away the account, or the user store."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from nacre.daemon.accounts.accounts import own_account
from nacre.daemon.accounts.roots import check_roots, refusal
from nacre.daemon.accounts.store import FILE, User, UserStore
from nacre.errors import StateError

RUN_AS = "root" if os.geteuid() == 0 else None


@pytest.fixture
def state(tmp_path: Path) -> Path:
    state = tmp_path / "home" / "state"
    state.mkdir(parents=True)
    (tmp_path / "files").mkdir()
    (tmp_path / "link").symlink_to(state)
    (state / "files").mkdir()
    return state


@pytest.fixture
def store(state: Path) -> Iterator[UserStore]:
    store = UserStore(state / FILE)
    yield store
    store.close()


BAD = ["/", "home", "home/state", "home/state/files", ".", "link", "link/files", "files/.."]
GOOD = ["files", "home/other", "home/state-of-another", "missing"]


def where(tmp_path: Path, name: str) -> str:
    return name if name == "/" else f"{tmp_path}/{name}"


@pytest.mark.parametrize("name", BAD + GOOD)
@pytest.mark.parametrize("form", ["{}", "file://{}", "local://{}", "simplecache::file://{}"])
def test_files_alone_never_reach_the_account_or_the_state(
    state: Path, tmp_path: Path, name: str, form: str
) -> None:
    account = replace(own_account(), home=str(tmp_path / "home"))
    user = User(name="bob", service="sftp", root=form.format(where(tmp_path, name)))
    reason = refusal(user, account, state)
    assert (reason is not None) is (name in BAD), reason
    if reason is not None:
        assert "--unsafe-root" in reason
        assert refusal(replace(user, unsafe_root=True), account, state) is None
        assert refusal(replace(user, service="all"), account, state) is None


def test_a_directory_is_required_and_other_storages_are_no_directories(state: Path) -> None:
    user = User(name="bob", service="sftp")
    reason = refusal(user, own_account(), state)
    assert reason is not None
    assert "give it with --root" in reason
    assert refusal(replace(user, root="memory:///"), own_account(), state) is None
    assert refusal(replace(user, home=str(state)), own_account(), state) is not None


@pytest.mark.parametrize("name", ["/", "home", "home/state", "home/state/files", ".", None])
def test_a_server_does_not_start_with_such_a_root(
    store: UserStore, tmp_path: Path, name: str | None
) -> None:
    root = None if name is None else str(Path(where(tmp_path, name)))
    store.add(User(name="good", service="sftp", root=str(tmp_path / "files"), run_as=RUN_AS))
    store.add(User(name="shell", run_as=RUN_AS))
    check_roots(store, None)
    store.add(User(name="bad", service="sftp", root=root, run_as=RUN_AS))
    with pytest.raises(StateError, match="nacre user set bad"):
        check_roots(store, None)
    store.change("bad", unsafe_root=True)
    if root is not None:
        check_roots(store, None)


def test_the_home_of_the_account_is_refused_at_the_start(store: UserStore) -> None:
    user = User(name="bob", service="sftp", home=own_account().home, run_as=RUN_AS)
    store.add(user)
    with pytest.raises(StateError, match="the home of"):
        check_roots(store, None)
