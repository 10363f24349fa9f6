"""OpenSSH's sftp, and programs like it, on files that are objects of S3."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from interop.clients import Login
from interop.daemons import RUN_AS, Daemon, State, start_nacre
from interop.mounts import mounted
from interop.programs import check, environment, manage, require, run
from interop.stores import BUCKET, STORES, Store, environment_of
from nacre.limits import MIB

pytestmark = [pytest.mark.interop, pytest.mark.slow]

PREFIX = "files"


@pytest.fixture(scope="module", params=sorted(STORES))
def store(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Store]:
    with STORES[request.param](tmp_path_factory.mktemp(request.param)) as store:
        yield store


@pytest.fixture(scope="module")
def state(
    store: Store, keys: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[State]:
    """A state with alice, whose files are objects; servers find the store by the environment."""
    state = State(tmp_path_factory.mktemp("stored") / "state")
    root = ["--service", "sftp", "--root", f"s3://{BUCKET}/{PREFIX}"]
    key = keys["ed25519"].with_suffix(".pub")
    with pytest.MonkeyPatch.context() as patched:
        for name, value in environment_of(store.url).items():
            patched.setenv(name, value)
        manage("user", "add", "alice", "--state", state.path, *RUN_AS, "--key", key, *root)
        yield state


@pytest.fixture(scope="module")
def server(state: State) -> Iterator[Daemon]:
    with start_nacre(state) as server:
        yield server


@pytest.fixture
def login(server: Daemon, store: Store, keys: dict[str, Path], tmp_path: Path) -> Iterator[Login]:
    yield Login(server, "alice", tmp_path, keys["ed25519"])
    store.client.invalidate_cache()
    for name in store.client.find(f"{BUCKET}/{PREFIX}"):
        store.client.rm_file(name)


def batch(login: Login, *lines: str, timeout: float = 120.0) -> str:
    """Have sftp carry out lines, which must succeed unless they begin with a dash."""
    done = run(command(login), input="\n".join(lines).encode() + b"\n", timeout=timeout)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode() + done.stderr.decode()


def command(login: Login) -> list[str]:
    where = ["-P" if word == "-p" else word for word in login.options()]
    return [require("sftp"), "-b", "-", *where, "alice@127.0.0.1"]


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def test_directories_are_markers(login: Login, store: Store) -> None:
    said = batch(login, "mkdir d", "mkdir d/sub", "ls -1 d", "-rmdir d", "ls -1", "rmdir d/sub")
    assert "d/sub" in said
    assert "Directory not empty" in said or "Failure" in said
    assert store.names(PREFIX) == ["d/"]
    batch(login, "rmdir d")
    assert store.names(PREFIX) == []


@pytest.mark.parametrize("words", [[], ["--workers", "2"]], ids=["one", "workers"])
def test_servers_without_gates(
    state: State, login: Login, store: Store, tmp_path: Path, words: list[str]
) -> None:
    (tmp_path / "one").write_text("1")
    with start_nacre(state, "--gates", "0", *words) as other:
        there = Login(other, "alice", tmp_path, login.key)
        batch(
            there, "mkdir d", f"put {tmp_path}/one d/one", "rename d e", f"get e/one {tmp_path}/b"
        )
    assert store.content(f"{PREFIX}/e/one") == b"1"
    assert (tmp_path / "b").read_text() == "1"


def make_tree(directory: Path, count: int) -> None:
    for number in range(count):
        path = directory / f"d{number % 20}" / f"f{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"%d" % number * 100)
    (directory / "empty").mkdir(parents=True)


@pytest.mark.parametrize(
    "count", [60, pytest.param(2000, marks=[pytest.mark.long, pytest.mark.timeout(600)])]
)
def test_a_tree_goes_there_and_back(login: Login, store: Store, tmp_path: Path, count: int) -> None:
    make_tree(tmp_path / "tree", count)
    batch(login, f"put -Rp {tmp_path}/tree", timeout=500)
    assert len(store.names(PREFIX)) == count + 22  # with the markers
    batch(login, f"get -Rp tree {tmp_path}/back", timeout=500)
    check(["diff", "-r", tmp_path / "tree", tmp_path / "back"])


def test_renames(login: Login, store: Store, tmp_path: Path) -> None:
    make_tree(tmp_path / "tree", 30)
    (tmp_path / "one").write_text("1")
    (tmp_path / "two").write_text("2")
    batch(login, f"put -R {tmp_path}/tree", f"put {tmp_path}/one", f"put {tmp_path}/two")
    before = store.names(f"{PREFIX}/tree")
    said = batch(login, "rename tree wood", "-rename one two/x", "rename one two", "-ls tree")
    assert "not found" in said
    assert store.names(f"{PREFIX}/wood") == before
    assert store.names(f"{PREFIX}/tree") == []
    assert store.content(f"{PREFIX}/two") == b"1"


def test_what_winscp_does(login: Login, store: Store, tmp_path: Path) -> None:
    """It uploads to NAME.filepart, deletes NAME, renames, and sets the time."""
    (tmp_path / "new").write_bytes(os.urandom(100_000))
    (tmp_path / "old").write_text("old")
    batch(
        login,
        f"put {tmp_path}/old new",
        f"put {tmp_path}/new new.filepart",
        "rm new",
        "rename new.filepart new",
        "chmod 644 new",
        "ls -l",
    )
    assert store.content(f"{PREFIX}/new") == (tmp_path / "new").read_bytes()
    assert store.names(PREFIX) == ["new"]


def file_process(server: Daemon) -> int:
    """Return the number of the process nacre-files of the only session."""
    found = []
    for path in Path("/proc").glob("[0-9]*/comm"):
        try:
            if path.read_text() == "nacre-files\n" and _below(int(path.parent.name), server.pid):
                found.append(int(path.parent.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return max(found)


def _below(pid: int, above: int) -> bool:
    while pid > 1:
        if pid == above:
            return True
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return False


def peak(pid: int) -> int:
    """Return the most memory that a process has had, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    assert found
    return int(found[1]) * 1024


@pytest.mark.timeout(600)
@pytest.mark.parametrize("size", [64, pytest.param(1024, marks=pytest.mark.long)])
def test_a_large_file_goes_through_a_small_process(
    login: Login, store: Store, tmp_path: Path, size: int, record_property: Any
) -> None:
    block = os.urandom(MIB)
    with (tmp_path / "large").open("wb") as file:
        for number in range(size):
            file.write(number.to_bytes(8, "big") + block[8:])
    talk = subprocess.Popen(
        command(login),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(),
    )
    assert talk.stdin is not None
    assert talk.stdout is not None
    try:
        for line, ready in (
            (f"put {tmp_path}/large", "put .*large"),
            (f"get large {tmp_path}/back", "get large"),
            ("pwd", "working directory"),
        ):
            print(line, file=talk.stdin, flush=True)
            while not re.search(ready, talk.stdout.readline()):
                assert talk.poll() is None
        most = peak(file_process(login.server))
        talk.stdin.close()
        assert talk.wait(60) == 0, talk.stdout.read()
    finally:
        talk.kill()
        talk.wait()
        talk.stdout.close()
    record_property("peak", most)
    print("peak", most // MIB, "MiB")
    assert most < 256 * MIB
    assert digest(tmp_path / "back") == digest(tmp_path / "large")
    assert store.open_uploads() == []


def test_an_upload_of_a_client_that_is_killed_leaves_nothing(
    login: Login, store: Store, tmp_path: Path
) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(300 * MIB)
    slowly = [require("sftp"), "-l", "100000", *command(login)[1:]]
    since = len(login.server.log)
    talk = subprocess.Popen(slowly, stdin=subprocess.PIPE, env=environment())
    assert talk.stdin is not None
    try:
        talk.stdin.write(f"put {tmp_path}/large half\n".encode())
        talk.stdin.flush()
        until(store.open_uploads)
        talk.kill()
    finally:
        talk.kill()
        talk.wait()
        talk.stdin.close()
    login.server.wait_for("event=closed", since=since)
    until(lambda: not store.open_uploads())
    assert store.names(PREFIX) == []


def until(holds: Callable[[], object]) -> None:
    """Ask until it holds."""
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_mount(login: Login, store: Store, tmp_path: Path) -> None:
    with mounted("alice@127.0.0.1:/", tmp_path / "mount", login.options()):
        mount = tmp_path / "mount"
        (mount / "d").mkdir()
        (mount / "d" / "one").write_bytes(b"first" * 1000)
        until(lambda: "d/one" in store.names(PREFIX))
        with (mount / "d" / "one").open("ab") as file:
            file.write(b"more")
        # FUSE tells of a close when it has returned.
        until(lambda: store.names(PREFIX) and store.content(f"{PREFIX}/d/one")[-4:] == b"more")
        (mount / "d" / "one").rename(mount / "two")
        assert (mount / "two").read_bytes() == b"first" * 1000 + b"more"
        assert sorted(os.listdir(mount)) == ["d", "two"]
        (mount / "d").rmdir()
    assert store.names(PREFIX) == ["two"]
