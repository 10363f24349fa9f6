"""Records of logins, as who and last read them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from nacre.daemon.processes import login_records, wtmpdb
from nacre.daemon.processes.login_records import LAST, TerminalLogin, note_login, note_logout

ALICE = TerminalLogin("alice", 7, os.getpid(), "192.0.2.1", "192.0.2.1")
BOB = TerminalLogin("bob", 8, 0, "host.example", "2001:db8::1")
TERMINAL, OTHER = "/dev/pts/701", "/dev/pts/702"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("UTMP", "WTMP", "LASTLOG"):
        monkeypatch.setattr(login_records, name, tmp_path / name.lower())
        (tmp_path / name.lower()).touch()
    monkeypatch.setattr(wtmpdb, "DATABASE", bytes(tmp_path / "wtmp.db"))
    return tmp_path


def printed(program: str, *arguments: str | Path) -> list[list[str]]:
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"no {program}")
    environment = {"LC_ALL": "C", "TZ": "UTC"}
    done = subprocess.run(
        [path, *arguments], capture_output=True, text=True, check=True, env=environment, timeout=20
    )
    return [line.split() for line in done.stdout.splitlines() if line.strip()]


def test_who_shows_who_is_there(files: Path) -> None:
    note_login(ALICE, TERMINAL)
    note_login(BOB, OTHER)
    shown = printed("who", files / "utmp")
    assert [(line[0], line[1], line[-1]) for line in shown] == [
        ("alice", "pts/701", "(192.0.2.1)"),
        ("bob", "pts/702", "(host.example)"),
    ]
    note_logout(ALICE, TERMINAL)
    assert [line[0] for line in printed("who", files / "utmp")] == ["bob"]


def test_a_terminal_has_one_record(files: Path) -> None:
    for login in (ALICE, BOB, ALICE):
        note_login(login, TERMINAL)
        note_logout(login, TERMINAL)
    note_login(BOB, TERMINAL)
    assert [line[0] for line in printed("who", files / "utmp")] == ["bob"]
    assert (files / "utmp").stat().st_size == login_records._RECORD.size


def test_last_shows_who_was_there(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    times: list[float] = [1_800_000_000.0, 1_800_000_000.5, 1_800_003_661.0]
    monkeypatch.setattr(login_records, "time", SimpleNamespace(time=lambda: times.pop(0)))
    note_login(ALICE, TERMINAL)
    note_login(BOB, OTHER)
    note_logout(ALICE, TERMINAL)
    bob, alice, *_ = printed("last", "-f", files / "wtmp")
    assert bob[:3] == ["bob", "pts/702", "host.example"]
    assert alice[:3] == ["alice", "pts/701", "192.0.2.1"]
    assert alice[3:] == ["Fri", "Jan", "15", "08:00", "-", "09:01", "(01:01)"]
    assert "gone" in bob  # there is no such account


def test_last_knows_the_addresses(files: Path) -> None:
    note_login(BOB, TERMINAL)
    assert "2001:db8::1" in printed("last", "-i", "-f", files / "wtmp")[0]


def test_the_database_has_the_login_too(files: Path) -> None:
    note_login(ALICE, TERMINAL)
    note_logout(ALICE, TERMINAL)
    assert (files / "wtmp.db").exists() == wtmpdb.available()


def test_the_last_login_of_each_account(files: Path) -> None:
    note_login(ALICE, TERMINAL)
    note_login(BOB, TERMINAL)
    data = (files / "lastlog").read_bytes()
    assert len(data) == 9 * LAST.size
    seconds, line, host = LAST.unpack_from(data, 8 * LAST.size)
    assert seconds
    assert (line.rstrip(b"\0"), host.rstrip(b"\0")) == (b"pts/701", b"host.example")


def test_a_file_that_is_not_there_is_not_made(files: Path) -> None:
    names = {"utmp", "wtmp", "lastlog"}
    for name in names:
        (files / name).unlink()
    note_login(ALICE, TERMINAL)
    note_logout(ALICE, TERMINAL)
    assert not names & {path.name for path in files.iterdir()}


def test_a_damaged_file_is_written_on(files: Path) -> None:
    (files / "utmp").write_bytes(b"\x07" * 100)
    note_login(ALICE, TERMINAL)
    assert [line[0] for line in printed("who", files / "utmp")] == ["alice"]


def test_a_client_without_an_address(files: Path) -> None:
    note_login(TerminalLogin("alice", 7, 0, "", ""), TERMINAL)
    assert [line[:2] for line in printed("who", files / "utmp")] == [["alice", "pts/701"]]


def test_who_keeps_the_file_locked_delays_no_login_for_long(files: Path) -> None:
    program = (
        "import fcntl, sys\n"
        "file = open(sys.argv[1])\n"
        "fcntl.lockf(file, fcntl.LOCK_SH)\n"
        "print('locked', flush=True)\n"
        "sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", program, str(files / "utmp")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"locked\n"
        noting = threading.Thread(target=note_login, args=(ALICE, TERMINAL), daemon=True)
        noting.start()
        noting.join(30)
        ended = not noting.is_alive()
        other.kill()
    assert ended
    assert (files / "utmp").stat().st_size == 0
    assert (files / "wtmp").stat().st_size == login_records._RECORD.size
    note_login(ALICE, TERMINAL)
    assert (files / "utmp").stat().st_size == login_records._RECORD.size
