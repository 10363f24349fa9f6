"""Ledgers: the record, the lock, and processes that die."""

from __future__ import annotations

import errno
import os
import signal
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nacre.sftp.filesystems.quota import claim as claims
from nacre.sftp.filesystems.quota import ledger as module
from nacre.sftp.filesystems.quota.claim import Ahead
from nacre.sftp.filesystems.quota.ledger import (
    Ledger,
    Usage,
    count_later,
    is_from_here,
    open_ledger,
    read_ledger,
    remove_ledger,
    sent_ledger,
    taken_ledger,
)
from nacre.sftp.protocol.status import ToldError


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Ledger]:
    made = Ledger(open_ledger(tmp_path, "alice"))
    with made.held() as usage:
        usage.settle(5, 1)
    yield made
    made.close()
    made.close()


def test_a_new_ledger_is_in_doubt_and_for_nobody_else(tmp_path: Path) -> None:
    assert read_ledger(tmp_path / "usage", "alice") is None
    open_ledger(tmp_path / "usage", "alice").close()
    found = read_ledger(tmp_path / "usage", "alice")
    assert found is not None
    assert found.doubted
    assert (tmp_path / "usage" / "alice").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "usage").stat().st_mode & 0o777 == 0o700
    remove_ledger(tmp_path / "usage", "alice")
    remove_ledger(tmp_path / "usage", "alice")
    assert read_ledger(tmp_path / "usage", "alice") is None


def test_what_is_changed_is_kept(opened: Ledger, tmp_path: Path) -> None:
    with opened.held() as usage:
        assert not usage.doubted
        usage.bytes += 1
        usage.up, usage.down, usage.period, usage.due_up = 2, 3, 4, 5
    other = Ledger(open_ledger(tmp_path, "alice"))
    found = other.read()
    assert (found.bytes, found.files, found.up, found.down) == (6, 1, 2, 3)
    assert (found.period, found.due_up, found.doubted) == (4, 5, False)
    other.close()


def test_what_is_changed_before_an_error_is_kept(opened: Ledger) -> None:
    def change() -> None:
        with opened.held() as usage:
            usage.bytes = 9
            raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        change()
    assert opened.read().bytes == 9


@pytest.mark.parametrize("data", [b"", b"x", bytes(200), b"nacreLG1" + bytes(3)])
def test_a_record_that_is_none_is_in_doubt(data: bytes) -> None:
    assert Usage.decode(data).doubted


def test_figures_below_zero_are_in_doubt(opened: Ledger) -> None:
    with opened.held() as usage:
        usage.bytes -= 6
    found = opened.read()
    assert (found.bytes, found.doubted) == (0, True)


def test_a_process_that_dies_in_a_change_leaves_a_doubt(opened: Ledger, tmp_path: Path) -> None:
    doubts = opened.read().doubts
    child = os.fork()
    if not child:
        own = Ledger(open_ledger(tmp_path, "alice"))
        with own.held() as usage:
            own.mark(usage)
            usage.bytes = 1000
            os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    with opened.held() as usage:
        assert (usage.bytes, usage.doubted, usage.doubts) == (5, True, doubts + 1)
    assert opened.read().doubted


def test_a_process_that_dies_between_changes_leaves_none(opened: Ledger, tmp_path: Path) -> None:
    child = os.fork()
    if not child:
        with Ledger(open_ledger(tmp_path, "alice")).held():
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    with opened.held() as usage:
        assert (usage.bytes, usage.doubted) == (5, False)


def test_nobody_waits_for_ever(opened: Ledger, tmp_path: Path) -> None:
    other = Ledger(open_ledger(tmp_path, "alice"))
    with other.held():
        with pytest.raises(ToldError, match="try again") as raised, opened.held(patience=0.05):
            pass
        assert raised.value.errno == errno.EAGAIN
    with opened.held(), pytest.raises(ToldError), opened.held(patience=0.05):
        pass  # another thread of the same session
    with opened.held():
        other.close()


def test_after_a_start_of_the_system_all_is_in_doubt(
    opened: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened.held() as usage:
        usage.due_up = 1 << 60
    monkeypatch.setattr(claims, "_BOOT", tmp_path / "boot")
    (tmp_path / "boot").write_text("01234567-89ab-cdef-0123-456789abcdef\n")
    open_ledger(tmp_path, "alice").close()
    found = opened.read()
    assert (found.doubted, found.due_up) == (True, 0)
    (tmp_path / "boot").write_text("unknown")
    open_ledger(tmp_path, "alice").close()
    (tmp_path / "boot").unlink()
    open_ledger(tmp_path, "alice").close()


def test_a_count_is_asked_for_without_the_lock(opened: Ledger, tmp_path: Path) -> None:
    count_later(tmp_path / "none")
    count_later(tmp_path, ["bob"])
    with opened.held() as usage:
        count_later(tmp_path)
    for asked in (False, True):
        if asked:
            count_later(tmp_path, ["alice"])
        assert opened.read().doubted
        with opened.held() as usage:
            assert usage.doubted
            usage.settle(7, 2)
        assert not opened.read().doubted
    found = read_ledger(tmp_path, "alice")
    assert found is not None
    assert (found.bytes, found.doubted) == (7, False)


def test_who_looks_waits_for_no_change_that_hangs(
    opened: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LOOKS", 2)
    with opened.held() as usage:
        opened.mark(usage)
        found = read_ledger(tmp_path, "alice")
    assert found is not None
    assert (found.bytes, found.doubted) == (5, True)


def test_a_ledger_that_was_written_beyond_its_end_is_cut(tmp_path: Path) -> None:
    with open_ledger(tmp_path, "alice") as file:
        os.pwrite(file.fileno(), bytes(10_000), 500)
    open_ledger(tmp_path, "alice").close()
    assert (tmp_path / "alice").stat().st_size < 100


def test_a_ledger_is_no_link(tmp_path: Path) -> None:
    (tmp_path / "usage").mkdir()
    (tmp_path / "usage" / "alice").symlink_to(tmp_path / "other")
    with pytest.raises(OSError, match="symbolic"):
        open_ledger(tmp_path / "usage", "alice")


def test_the_record_fits_its_format() -> None:
    assert len(Usage().encode()) == struct.calcsize("<8sIIqqQQQQQ16s")


def test_a_ledger_that_goes_to_another_server_keeps_its_figures_and_what_a_rate_is_due() -> None:
    usage = Usage()
    usage.bytes, usage.files, usage.period, usage.up = 5, 6, 7, 8
    usage.due_up = time.monotonic_ns() + 50_000_000_000
    found = Usage.decode(taken_ledger(sent_ledger(usage.encode()), None))
    assert (found.bytes, found.files, found.up, found.doubted) == (5, 6, 8, False)
    assert 0 <= found.due_up - usage.due_up < 40_000_000_000
    assert is_from_here(found.encode())
    assert not is_from_here(usage.encode())


def test_a_ledger_of_a_dead_server_is_counted_and_has_what_that_may_have_transferred() -> None:
    usage = Usage()
    usage.period, usage.up, usage.down = 7, 8, 9
    found = Usage.decode(taken_ledger(usage.encode(), Ahead(period=7, up=100)))
    assert (found.up, found.down, found.doubted) == (100, 9, True)
    found = Usage.decode(taken_ledger(usage.encode(), Ahead(period=8, up=100)))
    assert (found.period, found.up, found.down) == (8, 100, 0)
    # The kind of period was changed: this one began earlier.
    found = Usage.decode(taken_ledger(usage.encode(), Ahead(period=6, up=100)))
    assert (found.period, found.up, found.down) == (6, 100, 0)
    found = Usage.decode(taken_ledger(usage.encode(), Ahead(period=6)))
    assert (found.period, found.up, found.down) == (7, 8, 9)
    assert Usage.decode(taken_ledger(b"", None)).doubted
