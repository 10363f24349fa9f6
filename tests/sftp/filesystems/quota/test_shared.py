"""What the members of a group store and transfer together."""

from __future__ import annotations

import errno
import os
import signal
import struct
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from nacre.sftp.filesystems.local import LocalFilesystem
from nacre.sftp.filesystems.quota import shared as module
from nacre.sftp.filesystems.quota.counted import QuotaFilesystem
from nacre.sftp.filesystems.quota.ledger import CHANGED, MARK, Ledger, open_ledger
from nacre.sftp.filesystems.quota.limits import LARGEST, QuotaLimits
from nacre.sftp.filesystems.quota.quota import Quota, Share
from nacre.sftp.filesystems.quota.shared import (
    SharedLedger,
    count_shared,
    keep_shared,
    open_shared,
    read_shared,
)
from nacre.sftp.protocol.attributes import Attributes
from nacre.sftp.protocol.messages import OpenFlag
from sftp.filesystems.quota.ledgers import NONE, OPENED, figures, put, refused

STAFF = QuotaLimits(group="staff", bytes=100, files=6)


def member(top: Path, name: str, *limits: QuotaLimits, root: str | None = None) -> QuotaFilesystem:
    """Return the files of a member, who has a quota of 95 bytes too, for one more session."""
    tree = str(top / (root or name))
    Path(tree).mkdir(exist_ok=True)
    shares = [Share(QuotaLimits(bytes=95), Ledger(open_ledger(top / "usage", name)))]
    for one in limits or (STAFF,):
        assert one.group is not None
        shares.append(Share(one, SharedLedger(open_shared(top / "groups", one.group, [tree]))))
    OPENED.extend(one.ledger for one in shares)
    return QuotaFilesystem(LocalFilesystem(tree), Quota(*shares), tree)


def together(top: Path, *roots: str, group: str = "staff") -> tuple[int, int]:
    """Return what a group has, which must be counted."""
    found = read_shared(top / "groups", group, [str(top / one) for one in roots])
    assert found is not None
    assert found[1], "it is in doubt"
    return found[0].bytes, found[0].files


def dies(act: Callable[[], object]) -> None:
    """Do it in a process that is killed in the end."""
    child = os.fork()
    if not child:
        try:
            act()
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)


def test_all_members_together_have_what_the_group_may_have(tmp_path: Path) -> None:
    alice, bob = member(tmp_path, "alice"), member(tmp_path, "bob")
    put(alice, "a", 60)
    text = "the quota of the group staff is 100 bytes: 40 bytes of it are left, and this needs 41"
    with refused(errno.EDQUOT, text):
        put(bob, "a", 41)
    put(bob, "a", 40)
    assert together(tmp_path, "alice", "bob") == (100, 2)
    with refused(errno.EDQUOT, "your quota is 95 bytes"):
        put(alice, "a", 96)
    alice.remove("a")
    assert together(tmp_path, "alice", "bob") == (40, 1)
    assert figures(tmp_path) == (0, 0)
    assert (bob.statvfs("/").files, bob.statvfs("/").ffree) == (6, 5)
    for name in "cdefg":
        bob.mkdir(name, NONE)
    text = "the quota of the group staff is 6 files and directories, and its members have 6"
    with refused(errno.EDQUOT, text):
        alice.mkdir("c", NONE)


def test_each_group_of_a_member_holds(tmp_path: Path) -> None:
    other = QuotaLimits(group="other", bytes=30)
    alice, bob = member(tmp_path, "alice", other, STAFF), member(tmp_path, "bob")
    put(bob, "a", 79)
    with refused(errno.EDQUOT, "the group other is 30 bytes"):
        put(alice, "a", 31)
    alice.remove("a")
    with refused(errno.EDQUOT, "the group staff is 100 bytes: 21 bytes"):
        put(alice, "a", 22)
    put(alice, "a", 21)
    assert together(tmp_path, "alice", "bob") == (100, 2)
    assert together(tmp_path, "alice", group="other") == (21, 1)


def test_a_directory_of_several_members_counts_once(tmp_path: Path) -> None:
    alice, bob = (member(tmp_path, name, root="all") for name in ("alice", "bob"))
    put(alice, "a", 50)
    put(bob, "b", 20)
    bob.remove("a")
    assert together(tmp_path, "all") == (20, 1)
    count_shared(tmp_path / "groups", "staff", None)
    put(alice, "c", 7)
    assert together(tmp_path, "all") == (27, 2)


def test_what_is_there_already_counts(tmp_path: Path) -> None:
    (tmp_path / "alice").mkdir()
    (tmp_path / "alice/old").write_bytes(bytes(70))
    bob = member(tmp_path, "bob")
    put(bob, "b", 1)
    alice = member(tmp_path, "alice")
    found = read_shared(tmp_path / "groups", "staff", [str(tmp_path / "alice")])
    assert found is not None
    assert not found[1]
    alice.statvfs("/")  # which counts
    with refused(errno.EDQUOT, "the group staff is 100 bytes: 29 bytes"):
        put(bob, "c", 30)
    alice.remove("old")
    assert together(tmp_path, "alice", "bob") == (1, 2)


def test_transfers_and_rates_are_those_of_all_members(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, waited = [10**12], list[float]()
    monkeypatch.setattr("time.monotonic_ns", lambda: clock[0])
    monkeypatch.setattr("time.sleep", waited.append)
    sent = QuotaLimits(group="staff", transfer_up=20, transfer_down=10, rate_up=8)
    alice, bob = (member(tmp_path, name, sent) for name in ("alice", "bob"))
    put(alice, "a", 8)
    put(bob, "a", 8)
    assert waited == [1.0, 2.0]
    with refused(errno.EDQUOT, "the group staff may upload 20 bytes a month, of which 4 bytes are"):
        put(bob, "a", 5)
    file = alice.open("a", OpenFlag.READ, NONE)
    assert len(file.pread(8, 0)) == 8  # type: ignore[arg-type]
    with refused(errno.EDQUOT, "the group staff may download 10 bytes a month, of which 2 bytes"):
        member(tmp_path, "carol", sent, root="alice").open("a", OpenFlag.READ, NONE).pread(8, 0)


@pytest.mark.parametrize("when", ["before", "amid", "after"])
def test_a_member_who_dies_in_a_change_never_lets_the_group_have_more(
    tmp_path: Path, when: str
) -> None:
    alice, bob = member(tmp_path, "alice"), member(tmp_path, "bob")
    put(alice, "a", 10)
    put(bob, "b", 10)
    path = tmp_path / "alice/a"

    def change() -> None:
        own = member(tmp_path, "alice")
        with own._quota.changing(own._tree) as found:
            if when != "before":
                found.check(50, 1)
            if when == "after":
                path.write_bytes(bytes(60))
                (tmp_path / "alice/new").touch()
            os.kill(os.getpid(), signal.SIGKILL)

    dies(change)
    # Bob can't count what Alice has: what she may have added is taken for added.
    room = 80 if when == "before" else 30
    with refused(errno.EDQUOT, f"staff is 100 bytes: {room} bytes of it are left"):
        bob.open("c", OpenFlag.WRITE | OpenFlag.CREAT, NONE).pwrite(bytes(room + 1), 0)
    found = read_shared(tmp_path / "groups", "staff", ())
    assert found is not None
    assert not found[1]
    # Alice's next change counts them.
    alice.mkdir("d", NONE)
    size = 60 if when == "after" else 10
    assert together(tmp_path, "alice", "bob") == (size + 10, 5 if when == "after" else 4)
    assert figures(tmp_path) == (size, 3 if when == "after" else 2)


def test_a_writer_of_the_record_who_dies_leaves_sums_to_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = member(tmp_path, "alice"), member(tmp_path, "bob")
    put(alice, "a", 10)
    put(bob, "b", 10)

    def change() -> None:
        own, write = member(tmp_path, "alice"), os.pwrite

        def last_but_one(number: int, data: bytes, at: int) -> int:
            if number == own._quota.shares[1].ledger._number and at == 0:
                os.kill(os.getpid(), signal.SIGKILL)  # the place is written, and the sums are not
            return write(number, data, at)

        monkeypatch.setattr("os.pwrite", last_but_one)
        own.set_attributes("a", Attributes(size=30))

    dies(change)
    bob.mkdir("d", NONE)
    assert together(tmp_path, "alice", "bob") == (40, 3)


def test_members_who_change_files_at_once_are_counted_exactly(tmp_path: Path) -> None:
    def work(name: str) -> None:
        files = member(tmp_path, name, QuotaLimits(group="staff", bytes=1 << 20))
        for number in range(40):
            put(files, f"f{number % 7}", number // 4)
            if number % 5 == 4:
                files.remove(f"f{number % 7}")

    names = ("alice", "bob", "carol")
    threads = [threading.Thread(target=work, args=(name,)) for name in names]
    for one in threads:
        one.start()
    for one in threads:
        one.join(60)
    there = [path for name in names for path in (tmp_path / name).iterdir()]
    assert together(tmp_path, *names) == (sum(path.stat().st_size for path in there), len(there))


def test_who_has_left_counts_no_more(tmp_path: Path) -> None:
    alice, bob = member(tmp_path, "alice"), member(tmp_path, "bob")
    put(alice, "a", 60)
    put(bob, "b", 10)
    keep_shared(tmp_path / "groups", "staff", [str(tmp_path / "bob")])
    assert together(tmp_path, "bob") == (10, 1)
    put(bob, "c", 70)
    put(alice, "a", 40)  # a session that began before
    assert together(tmp_path, "bob") == (80, 2)
    again = member(tmp_path, "alice")
    again.statvfs("/")
    assert together(tmp_path, "alice", "bob") == (120, 3)


def test_figures_below_zero_are_counted_anew(tmp_path: Path) -> None:
    alice = member(tmp_path, "alice")
    put(alice, "a", 5)
    os.truncate(tmp_path / "alice/a", 50)  # by another program
    alice.remove("a")
    found = read_shared(tmp_path / "groups", "staff", ())
    assert found is not None
    assert (found[0].bytes, found[1]) == (0, False)
    alice.mkdir("b", NONE)
    assert together(tmp_path, "alice") == (0, 1)


@pytest.mark.parametrize("figure", [-(1 << 63), (1 << 63) - 1])
def test_figures_that_somebody_has_spoilt_are_cut_to_what_fits(tmp_path: Path, figure: int) -> None:
    """A process that has died left them in the places of two members."""
    limits = QuotaLimits(group="staff", bytes=LARGEST, files=LARGEST)
    for name in ("alice", "bob"):
        put(member(tmp_path, name, limits), "a", 10)
    ledger = tmp_path / "groups/staff"
    data = bytearray(ledger.read_bytes())
    data[MARK : MARK + 4] = CHANGED
    for at in (128, 192):
        data[at + 16 : at + 20] = CHANGED
        struct.pack_into("<4q", data, at + 24, *[figure] * 4)
    ledger.write_bytes(data)
    members = [member(tmp_path, name, limits) for name in ("alice", "bob")]
    for one in members:
        one.remove("a")
    for one in members:
        put(one, "b", 20)
    assert together(tmp_path, "alice", "bob") == (40, 2)
    again = member(tmp_path, "alice", limits)
    with again._quota.shares[1].ledger.held() as usage:
        assert (usage.bytes, usage.files) == (40, 2)


def test_a_start_of_the_system_has_all_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("alice", "bob"):
        put(member(tmp_path, name), "a", 10)
    monkeypatch.setattr(module, "this_boot", lambda: b"another start   ")
    alice = member(tmp_path, "alice")
    (tmp_path / "alice/a").write_bytes(bytes(30))
    alice.mkdir("d", NONE)
    found = read_shared(tmp_path / "groups", "staff", ())
    assert found is not None
    assert (found[0].bytes, found[1]) == (40, False)


def test_there_is_room_for_so_many_directories_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LONGEST", module._FIRST + 2 * module._STEP)
    groups = tmp_path / "groups"
    open_shared(groups, "staff", ["/a", "/b"]).close()
    with pytest.raises(OSError, match="the group has more than"):
        open_shared(groups, "staff", ["/c"])
    keep_shared(groups, "staff", ["/b"])
    open_shared(groups, "staff", ["/b", "/c"]).close()
    (groups / "staff").write_bytes((groups / "staff").read_bytes() + bytes(1000))
    open_shared(groups, "staff", ["/b"]).close()
    assert (groups / "staff").stat().st_size == module.LONGEST
    assert read_shared(groups, "none", ()) is None
