"""``nacre group usage``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from nacre.cli.group.command import command
from nacre.daemon.store.store import FILE, UserStore
from nacre.daemon.store.values import Group, StoredUser

Nacre = Callable[..., Result]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[UserStore]:
    (tmp_path / "state").mkdir(mode=0o700)
    for name, size in (("alice", 1000), ("bob", 24)):
        (tmp_path / "files" / name).mkdir(parents=True)
        (tmp_path / "files" / name / "a").write_bytes(bytes(size))
    with closing(UserStore(tmp_path / "state" / FILE)) as store:
        store.groups.add(
            Group(
                name="staff",
                service="sftp",
                root=f"{tmp_path}/files/%u",
                shared_quota_bytes=2048,
                shared_transfer_down=5 << 20,
            ),
            Group(name="guests", quota_bytes=5),
        )
        for name in ("alice", "bob"):
            store.add(StoredUser(name=name, groups=("staff",), quota_files=9))
        yield store


@pytest.fixture
def usage(tmp_path: Path, store: UserStore) -> Nacre:
    def call(*words: str) -> Result:
        state = ["--state", str(tmp_path / "state")]
        return CliRunner().invoke(command, ["usage", *words, *state])

    return call


def test_groups_that_share_limits_are_listed(usage: Nacre) -> None:
    (staff,) = json.loads(usage("--json").stdout)
    assert staff == {
        "name": "staff",
        "users": 2,
        "bytes": 0,
        "shared_quota_bytes": 2048,
        "files": 0,
        "shared_quota_files": None,
        "up": 0,
        "shared_transfer_up": None,
        "down": 0,
        "shared_transfer_down": 5 << 20,
        "shared_transfer_period": "month",
        "counted": False,
    }
    assert usage("nobody").exit_code == 1
    assert json.loads(usage("guests", "--json").stdout)[0]["shared_quota_bytes"] is None


def test_a_count_is_that_of_all_users(usage: Nacre) -> None:
    done = usage("--recount")
    assert done.exit_code == 0, done.output
    head, staff = (line.split() for line in done.stdout.splitlines())
    shown = dict(zip(head, staff, strict=True))
    assert (shown["bytes"], shown["shared_quota_bytes"], shown["files"]) == ("1K", "2K", "2")
    assert (shown["shared_transfer_down"], shown["counted"]) == ("5M", "yes")


def test_who_has_no_directory_yet_stops_no_count_of_the_others(
    usage: Nacre, store: UserStore
) -> None:
    store.add(StoredUser(name="aaron", groups=("staff",)))
    done = usage("staff", "--recount", "--json")
    assert done.exit_code == 0, done.output
    assert "the files of aaron can't be counted" in done.stderr
    (staff,) = json.loads(done.stdout)
    assert (staff["bytes"], staff["files"], staff["counted"]) == (1024, 2, False)


def test_settings_are_set_shown_and_removed(tmp_path: Path, store: UserStore) -> None:
    def call(*words: str) -> Result:
        return CliRunner().invoke(command, [*words, "--state", str(tmp_path / "state")])

    words = ["--shared-quota-files", "7", "--shared-rate-up", "2M", "--shared-transfer-up", "none"]
    assert call("set", "staff", *words, "--inherit", "shared-quota-bytes").exit_code == 0
    staff = store.groups.find("staff")
    assert (staff.shared_quota_files, staff.shared_rate_up) == (7, 2 << 20)
    assert (staff.shared_transfer_up, staff.shared_quota_bytes) == (0, None)
    shown = call("list", "--columns", "name,shared_rate_up")
    assert "2M" in shown.stdout
    assert call("set", "staff", "--shared-rate-up", "1").exit_code == 2


def test_the_store_may_be_shared(usage: Nacre) -> None:
    done = usage("--store", "postgresql://alice:secret@host/db")
    assert (done.exit_code, "password" in done.output) == (1, True)
