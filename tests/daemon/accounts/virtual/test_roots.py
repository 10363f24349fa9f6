"""Roots that would give away the account, or the user store."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nacre.daemon.accounts.accounts import own_account
from nacre.daemon.accounts.virtual.roots import check_roots, refusal
from nacre.daemon.store.store import FILE, UserStore
from nacre.daemon.store.values import StoredUser, User
from nacre.errors import StateError
from nacre.sftp.filesystems.quota.limits import QuotaLimits

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
    store.add(StoredUser(name="good", service="sftp", root=str(tmp_path / "files"), run_as=RUN_AS))
    store.add(StoredUser(name="shell", run_as=RUN_AS))
    check_roots(store, None)
    store.add(StoredUser(name="bad", service="sftp", root=root, run_as=RUN_AS))
    with pytest.raises(StateError, match="nacre user set bad"):
        check_roots(store, None)
    store.change("bad", unsafe_root=True)
    if root is not None:
        check_roots(store, None)


def test_the_home_of_the_account_is_refused_at_the_start(store: UserStore) -> None:
    user = StoredUser(name="bob", service="sftp", home=own_account().home, run_as=RUN_AS)
    store.add(user)
    with pytest.raises(StateError, match="the home of"):
        check_roots(store, None)


def test_rights_do_not_go_with_a_shell(state: Path, tmp_path: Path) -> None:
    user = User(name="bob", root=str(tmp_path / "files"), rights="/:list")
    for service in ("all", "shell"):
        reason = refusal(replace(user, service=service), own_account(), state)
        assert reason is not None
        assert "--service sftp" in reason
    assert refusal(replace(user, service="sftp"), own_account(), state) is None


@pytest.mark.parametrize("limit", ["quota_bytes", "quota_files"])
def test_quotas_do_not_go_with_a_shell(state: Path, tmp_path: Path, limit: str) -> None:
    limits: dict[str, Any] = {limit: 1 << 20}
    user = User(name="bob", root=str(tmp_path / "files"), **limits)
    for service in ("all", "shell"):
        reason = refusal(replace(user, service=service), own_account(), state)
        assert reason is not None
        assert "a quota, which does not hold in a shell: give --service sftp" in reason
        rates = replace(user, quota_bytes=None, quota_files=None, transfer_down=9, rate_up=9999)
        assert refusal(replace(rates, service=service), own_account(), state) is None
    assert refusal(replace(user, service="sftp"), own_account(), state) is None
    limits[limit] = 0
    assert refusal(User(name="bob", **limits), own_account(), state) is None


def test_limits_that_a_group_shares_are_refused_like_own_ones(state: Path, tmp_path: Path) -> None:
    staff = QuotaLimits(group="staff", bytes=1)
    user = User(name="bob", service="sftp", root=str(tmp_path / "files"), shared=(staff,))
    assert refusal(user, own_account(), state) is None
    assert "does not hold in a shell" in (
        refusal(replace(user, service="all"), own_account(), state) or ""
    )
    many = tuple(QuotaLimits(group=f"g{number}", rate_up=5000) for number in range(9))
    reason = refusal(replace(user, shared=many), own_account(), state)
    assert "bob is in 9 groups with shared limits, and may be in 8" in (reason or "")
    assert refusal(replace(user, shared=many[:8]), own_account(), state) is None


def test_a_quota_is_for_storages_too(state: Path) -> None:
    user = User(name="bob", service="sftp", root="memory://files", quota_bytes=1)
    assert refusal(user, own_account(), state) is None
    assert refusal(replace(user, folders="/s=s3://bucket"), own_account(), state) is None


@pytest.mark.parametrize("name", BAD + GOOD)
def test_folders_never_reach_the_account_or_the_state(
    state: Path, tmp_path: Path, name: str
) -> None:
    account = replace(own_account(), home=str(tmp_path / "home"))
    target = where(tmp_path, name) if name == "/" else os.path.normpath(where(tmp_path, name))
    user = User(
        name="bob",
        service="sftp",
        root=str(tmp_path / "files"),
        folders=f"/good={tmp_path}/files\n/in={target}:ro\n/out=s3://bucket",
    )
    reason = refusal(user, account, state)
    assert (reason is not None) is (name in BAD), reason
    if reason is not None:
        assert "folder /in" in reason
        assert "--folder, or --unsafe-root" in reason
        assert refusal(replace(user, unsafe_root=True), account, state) is None


def test_folders_need_a_root(state: Path, tmp_path: Path) -> None:
    user = User(name="bob", folders="/a=/srv/a")
    reason = refusal(user, own_account(), state)
    assert reason is not None
    assert "give --root or --service sftp" in reason
    assert refusal(replace(user, root=str(tmp_path)), own_account(), state) is None


def test_encrypted_files_need_a_key_that_is_elsewhere(state: Path, tmp_path: Path) -> None:
    root, key = f"{tmp_path}/files", str(tmp_path / "key")
    for user in (
        User(name="bob", service="sftp", root=f"encrypted+{root}"),
        User(name="bob", service="all", root=f"encrypted+{root}"),
        User(name="bob", service="sftp", root=root, folders="/a=encrypted+s3://bucket"),
    ):
        reason = refusal(user, own_account(), state)
        assert reason is not None
        assert "--file-key FILE" in reason
        assert refusal(replace(user, file_key=key), own_account(), state) is None
    for place in (root, f"encrypted+{root}"):
        user = User(name="bob", service="sftp", root=place, file_key=f"{root}/key")
        reason = refusal(user, own_account(), state)
        assert reason is not None
        assert "holds the key" in reason
    user = User(name="bob", service="sftp", root=f"encrypted+{state}", file_key=key)
    assert "state directory" in (refusal(user, own_account(), state) or "")


def test_a_server_does_not_start_with_the_state_as_an_encrypted_root(store: UserStore) -> None:
    root = f"encrypted+{store.directory}"
    store.add(StoredUser(name="bad", service="sftp", root=root, run_as=RUN_AS, file_key="/etc/key"))
    with pytest.raises(StateError, match="nacre user set bad"):
        check_roots(store, None)
