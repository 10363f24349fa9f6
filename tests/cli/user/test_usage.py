"""``nacre user usage``, and what happens to ledgers."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from nacre.cli.user import usage as module
from nacre.cli.user.command import command
from nacre.cli.user.usage import recount_user
from nacre.daemon.store.ledgers import StoredLedgers
from nacre.daemon.store.store import FILE, UserStore
from nacre.daemon.store.values import Group, StoredUser, usage_directory
from nacre.sftp.filesystems.quota.ledger import Ledger, open_ledger
from nacre.sftp.filesystems.quota.limits import QuotaLimits

Nacre = Callable[..., Result]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "files/alice/d").mkdir(parents=True)
    (tmp_path / "files/alice/d/a").write_bytes(bytes(1000))
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared/b").write_bytes(bytes(24))
    return tmp_path / "files/alice"


@pytest.fixture
def store(tmp_path: Path, files: Path) -> Iterator[UserStore]:
    (tmp_path / "state").mkdir(mode=0o700)
    store = UserStore(tmp_path / "state" / FILE)
    place = f"{files.parent}/%u"
    store.groups.add(Group(name="staff", service="sftp", root=place, quota_bytes=2048))
    folders = f"/s={tmp_path}/shared\n/r={tmp_path}/shared:ro"
    alice = StoredUser(name="alice", groups=("staff",), folders=folders, transfer_up=5 << 20)
    for user in (alice, StoredUser(name="bob"), StoredUser(name="carol", rate_up=0)):
        store.add(user)
    yield store
    store.close()


@pytest.fixture
def usage(tmp_path: Path, store: UserStore) -> Nacre:
    def call(*words: str) -> Result:
        state = ["--state", str(tmp_path / "state")]
        return CliRunner().invoke(command, ["usage", *words, *state])

    return call


def test_who_has_limits_is_listed(usage: Nacre) -> None:
    (alice,) = json.loads(usage("--json").stdout)
    assert alice == {
        "name": "alice",
        "bytes": 0,
        "quota_bytes": 2048,
        "files": 0,
        "quota_files": None,
        "up": 0,
        "transfer_up": 5 << 20,
        "down": 0,
        "transfer_down": None,
        "transfer_period": "month",
        "counted": False,
    }
    (bob,) = json.loads(usage("bob", "--json").stdout)
    assert bob["quota_bytes"] is None
    assert usage("nobody").exit_code == 1


def test_a_count(usage: Nacre, store: UserStore) -> None:
    done = usage("alice", "bob", "--recount")
    assert done.exit_code == 0, done.output
    head, alice, bob = (line.split() for line in done.stdout.splitlines())
    shown = dict(zip(head, alice, strict=True))
    assert (shown["bytes"], shown["quota_bytes"], shown["files"]) == ("1K", "2K", "3")
    assert (shown["up"], shown["transfer_up"], shown["counted"]) == ("0", "5M", "yes")
    assert dict(zip(head, bob, strict=True))["counted"] == "no"  # nothing counts
    (alice,) = json.loads(usage("--json").stdout)
    assert (alice["bytes"], alice["files"], alice["counted"]) == (1024, 3, True)


def test_files_are_counted_anew_when_others_count(usage: Nacre, store: UserStore) -> None:
    def counted() -> bool:
        return bool(json.loads(usage("alice", "--json").stdout)[0]["counted"])

    store.add(StoredUser(name="dave", service="sftp", root=str(store.directory.parent / "none")))
    changes: list[Callable[[], object]] = [
        lambda: store.change("alice", root=str(store.directory.parent / "files")),
        lambda: store.change("alice", groups=["staff"]),
        lambda: store.groups.change("staff", quota_files=5),
        lambda: store.put([], [(store.own("alice"), [])], update=True),
    ]
    for change in changes:
        assert usage("alice", "--recount").exit_code == 0
        assert counted()
        store.change("alice", uploads="atomic")
        store.change("dave", quota_bytes=5)
        assert counted()
        change()
        assert not counted()


def test_transfers_of_another_period_are_over(usage: Nacre, store: UserStore) -> None:
    ledger = Ledger(open_ledger(usage_directory(store.directory), "alice"))
    with ledger.held() as now:
        now.up, now.period = 7, 0
    assert json.loads(usage("--json").stdout)[0]["up"] == 0
    store.change("alice", transfer_period="total")
    assert json.loads(usage("--json").stdout)[0]["up"] == 7
    ledger.close()


def test_files_that_can_not_be_counted(usage: Nacre, store: UserStore, tmp_path: Path) -> None:
    store.change("alice", root=str(tmp_path / "none"))
    done = usage("--recount")
    assert done.exit_code == 1
    assert "the files of alice can't be counted" in done.output
    store.change("alice", root=None)
    directory = usage_directory(store.directory)
    os.unlink(directory / "alice")
    (directory / "alice").mkdir()
    done = usage()
    assert done.exit_code == 1
    assert "can't read" in done.output


def test_the_ledger_goes_with_the_user(usage: Nacre, store: UserStore) -> None:
    assert usage("--recount").exit_code == 0
    directory = usage_directory(store.directory)
    assert [path.name for path in directory.iterdir()] == ["alice"]
    store.remove("alice")
    assert list(directory.iterdir()) == []
    store.remove("bob")


def test_what_servers_share_is_counted_by_them_and_the_rest_here(
    store: UserStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[str | None] = []
    monkeypatch.setattr(module, "_count", lambda _, __, limits: counted.extend(_of(limits)))
    monkeypatch.setattr(StoredLedgers, "recount_shared", lambda _, key: key.kind == "group")
    store.groups.change("staff", shared_quota_bytes=1 << 20)
    recount_user(store, store.user("alice"))
    assert counted == [None], "alice's own"
    monkeypatch.setattr(StoredLedgers, "recount_shared", lambda *_: True)
    recount_user(store, store.user("alice"))
    assert counted == [None]


def _of(limits: Sequence[QuotaLimits]) -> list[str | None]:
    return [one.group for one in limits]
