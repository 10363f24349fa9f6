"""Transfers, rates, and what a client is told of a quota."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

from nacre.sftp.filesystems.local import LocalFilesystem
from nacre.sftp.filesystems.quota.counted import QuotaFilesystem
from nacre.sftp.filesystems.quota.ledger import PATIENCE, Ledger, Usage
from nacre.sftp.filesystems.quota.quota import Change, Counted, shown_size
from nacre.sftp.protocol.messages import OpenFlag
from sftp.filesystems.quota.ledgers import NONE, figures, put, quota, refused, used


def test_transfers_add_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "root").mkdir()
    limits: dict[str, int | str] = {"transfer_up": 10, "transfer_down": 7, "transfer_period": "day"}
    files = QuotaFilesystem(LocalFilesystem(tmp_path / "root"), quota(tmp_path, **limits))
    now = [86400.0 * 5]
    monkeypatch.setattr("time.time", lambda: now[0])
    put(files, "a", 6)
    with refused(errno.EDQUOT, "you may upload 10 bytes a day, of which 4 bytes are left"):
        put(files, "a", 5)
    put(files, "a", 4)
    file = files.open("a", OpenFlag.READ, NONE)
    assert len(file.pread(10, 0)) == 4  # type: ignore[arg-type]
    with refused(errno.EDQUOT, "you may download 7 bytes a day, of which 3 bytes are left"):
        file.pread(10, 0)
    buffer = memoryview(bytearray(3))
    assert file.preadv([buffer], 0) == 3
    assert (used(tmp_path).up, used(tmp_path).down) == (10, 7)
    files.remove("a")  # what is not stored is not counted
    now[0] += 86400
    put(files, "b", 10)
    assert (used(tmp_path).up, used(tmp_path).down) == (10, 0)


def test_files_can_be_removed_after_the_limit_of_transfers_was_lowered(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    files = QuotaFilesystem(
        LocalFilesystem(tmp_path / "root"),
        quota(tmp_path, bytes=100, transfer_up=10, transfer_down=10),
    )
    put(files, "a", 10)
    files.open("a", OpenFlag.READ, NONE).pread(10, 0)
    files = QuotaFilesystem(
        LocalFilesystem(tmp_path / "root"),
        quota(tmp_path, bytes=100, transfer_up=6, transfer_down=6),
    )
    with refused(errno.EDQUOT, "you may upload 6 bytes a month, of which 0 bytes are left"):
        put(files, "b", 1)
    assert files.open("a", OpenFlag.READ, NONE).pread(10, 10) == b""
    files.remove("a")
    files.remove("b")
    assert figures(tmp_path) == (0, 0)


def test_rates_hold_for_all_sessions_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "root").mkdir()
    clock, waited = [10**12], list[float]()
    monkeypatch.setattr("time.monotonic_ns", lambda: clock[0])
    monkeypatch.setattr("time.sleep", waited.append)
    one, other = (
        QuotaFilesystem(LocalFilesystem(tmp_path / "root"), quota(tmp_path, rate_up=8, rate_down=2))
        for _ in range(2)
    )
    put(one, "a", 16)
    put(other, "b", 8)
    assert waited == [2.0, 3.0]
    clock[0] += 10 * 10**9
    put(one, "c", 4)
    one.open("a", OpenFlag.READ, NONE).pread(1, 0)
    assert waited == [2.0, 3.0, 0.5, 0.5]


def test_what_takes_a_moment_is_waited_for_with_what_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr("time.monotonic_ns", lambda: 5_000_000_000)
    monkeypatch.setattr("time.sleep", waited.append)
    of = quota(tmp_path, rate_down=1_000_000)
    for _ in range(4):
        of.transfer("down", 600)
    assert waited == [0.0024]


def test_a_count_that_comes_too_late_is_not_taken(tmp_path: Path) -> None:
    """Another session has counted meanwhile, and files were changed and doubted since."""
    (tmp_path / "root").mkdir()
    one, other = (
        QuotaFilesystem(LocalFilesystem(tmp_path / "root"), quota(tmp_path, bytes=100))
        for _ in range(2)
    )
    counts = one._quota.counts

    def late() -> list[tuple[str, Counted]]:
        found = counts()
        put(other, "a", 50)
        with other._quota.shares[0].ledger.held() as usage:
            usage.doubt()
        return found

    one._quota.counts = late  # type: ignore[method-assign]
    one._quota.recount()
    assert used(tmp_path).doubted
    one._quota.counts = counts  # type: ignore[method-assign]
    one._quota.recount()
    one._quota.recount()
    found = used(tmp_path)
    assert (found.bytes, found.files, found.doubted) == (50, 1, False)


def test_a_count_waits_for_others_as_long_as_the_change_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "root").mkdir()
    files = QuotaFilesystem(LocalFilesystem(tmp_path / "root"), quota(tmp_path, bytes=100))
    with files._quota.shares[0].ledger.held() as usage:
        usage.doubt()
    held, waits = Ledger.held, list[float]()

    def noted(self: Ledger, tree: str = "", patience: float = PATIENCE) -> Any:
        waits.append(patience)
        return held(self, tree, patience)

    monkeypatch.setattr(Ledger, "held", noted)
    files._quota.admit("", 1, 1, patience=300.0)
    assert set(waits) == {300.0}
    assert len(waits) == 4  # before the count, twice for it, and after it


def test_what_is_full_says_how_much_there_may_be(tmp_path: Path) -> None:
    (limited,), usage = quota(tmp_path, bytes=3 << 20, files=7).shares, Usage()
    usage.bytes, usage.files = 4 << 20, 7
    assert Change([(limited, usage)]).room() == 0
    assert Change([(quota(tmp_path, files=1).shares[0], usage)]).room() is None
    with refused(errno.EDQUOT, "your quota is 3 MiB: 0 bytes of it are left, and this needs 1 KiB"):
        limited.check(usage, 1024, 0)
    with refused(errno.EDQUOT, "your quota is 7 files and directories, and you have 7"):
        limited.check(usage, 0, 1)
    limited.check(usage, -5, 0)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1536, "1536 bytes"),
        (5 << 40, "5 TiB"),
        (1 << 50, "1024 TiB"),
    ],
)
def test_a_size_is_told_exactly(size: int, text: str) -> None:
    assert shown_size(size) == text


def test_what_is_taken_in_advance_waits_for_what_was_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.monotonic_ns", lambda: 5_000_000_000)
    of = quota(tmp_path, rate_down=1000, transfer_up=100)
    assert [of.lease("down", size) for size in (500, 1000, 10)] == [0.0, 0.5, 1.5]
    assert of.lease("up", 100) == 0.0
    with refused(errno.EDQUOT, "you may upload 100 bytes a month"):
        of.lease("up", 1)
    of.lease("up", -40)
    of.lease("down", -1010)
    assert of.lease("down", 1) == 0.5
    assert (used(tmp_path).up, used(tmp_path).down) == (60, 501)


def test_what_may_be_stored_later_is_admitted_and_not_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr("time.sleep", waits.append)
    of = quota(tmp_path, bytes=100, files=1, rate_up=10, transfer_up=70)
    for _ in range(2):
        of.admit("", 100, 1)
    of.admit("", 100, 1, up=50)
    assert [round(wait) for wait in waits] == [5]
    for size, count, up in ((101, 0, 0), (0, 2, 0), (0, 0, 21)):
        with refused(errno.EDQUOT, "your quota|you may upload"):
            of.admit("", size, count, up=up)
    assert (used(tmp_path).bytes, used(tmp_path).files, used(tmp_path).up) == (0, 0, 50)
