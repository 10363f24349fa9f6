"""Uploads of OpenSSH's sftp: atomic ones, and those that break off."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from interop.clients import Login
from interop.daemons import RUN_AS, Daemon, State, start_nacre
from interop.programs import environment, manage, require, run
from nacre.limits import MIB

pytestmark = pytest.mark.interop


@pytest.fixture
def files(tmp_path: Path) -> Path:
    path = tmp_path / "files"
    path.mkdir()
    return path


@pytest.fixture(params=[[], ["--gates", "0"], ["--gates", "0", "--workers", "2"]], ids=str)
def server(
    request: pytest.FixtureRequest, files: Path, keys: dict[str, Path], tmp_path: Path
) -> Iterator[Daemon]:
    state = State(tmp_path / "state")
    key = keys["ed25519"].with_suffix(".pub")
    words = ["--key", key, "--service", "sftp", "--root", files, "--uploads", "atomic"]
    manage("user", "add", "alice", "--state", state.path, *RUN_AS, *words)
    with start_nacre(state, *request.param) as server:
        yield server


def sftp(login: Login, *flags: str) -> list[str]:
    where = ["-P" if word == "-p" else word for word in login.options()]
    return [require("sftp"), *flags, "-b", "-", *where, "alice@127.0.0.1"]


def until(holds: Callable[[], object]) -> None:
    """Ask until it holds."""
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def break_off(login: Login, files: Path, large: Path) -> None:
    """Begin to put ``large`` as ``name``, and end the client when some of it is there."""
    talk = subprocess.Popen(
        sftp(login, "-l", "50000"), stdin=subprocess.PIPE, env=environment(), text=True
    )
    assert talk.stdin is not None
    try:
        print(f"put {large} name", file=talk.stdin, flush=True)
        until(lambda: any(path.stat().st_size > 100_000 for path in files.glob(".name.*.part")))
    finally:
        talk.kill()
        talk.wait()
        talk.stdin.close()
    until(lambda: not list(files.glob(".name.*.part")))


def test_uploads(server: Daemon, files: Path, keys: dict[str, Path], tmp_path: Path) -> None:
    login = Login(server, "alice", tmp_path, keys["ed25519"])
    large = tmp_path / "large"
    large.write_bytes(bytes(range(256)) * (80 * MIB // 256))
    (files / "name").write_text("old")
    # It is kept under another name, and the old file is as it was.
    break_off(login, files, large)
    assert (files / "name").read_text() == "old"
    begun = (files / "name.part").stat().st_size
    assert 0 < begun < 80 * MIB
    # It is resumed under that name.
    lines = f"reput {large} name.part\nrename name.part name\nput {tmp_path}/state/users.db other\n"
    done = run(sftp(login), input=lines.encode())
    assert done.returncode == 0, done.stderr
    assert (files / "name").read_bytes() == large.read_bytes()
    assert sorted(path.name for path in files.iterdir()) == ["name", "other"]
    # The next session has what is set now.
    words = ["--partial-uploads", "remove", "--state", tmp_path / "state"]
    manage("user", "set", "alice", *words)
    server.wait_for("event=closed")
    (files / "name").write_text("old")
    break_off(login, files, large)
    assert (files / "name").read_text() == "old"
    assert sorted(path.name for path in files.iterdir()) == ["name", "other"]
