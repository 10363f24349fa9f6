"""git and rsync over nacre's client, and over nacre's server."""

from __future__ import annotations

import random
import shlex
import sys
from pathlib import Path

import pytest

from interop.clients import Login
from interop.programs import check, require

GIT = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "A",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@example.org",
}


@pytest.fixture(params=["nacre-ssh to OpenSSH", "OpenSSH to nacre serve"])
def way(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Login, Path]:
    """A login, and an ``ssh`` of the name the tool knows it by, with the login's options."""
    name, fixture = {
        "nacre-ssh to OpenSSH": ("nacre-ssh", "to_sshd"),
        "OpenSSH to nacre serve": ("ssh", "to_nacre"),
    }[request.param]
    login: Login = request.getfixturevalue(fixture)
    program = Path(sys.executable).parent / name if name == "nacre-ssh" else require(name)
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin" / name
    options = login.options()
    port = options.index("-p")
    del options[port : port + 2]  # the tools give it themselves
    script.write_text(f'#!/bin/sh\nexec {program} {shlex.join(options)} "$@"\n')
    script.chmod(0o700)
    return login, script


def _git(*words: str | Path, **env: str) -> str:
    return check([require("git"), *words], timeout=60, **GIT, **env).decode().strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    path = tmp_path / "origin"
    path.mkdir()
    _git("-C", path, "init", "-q", "-b", "main")
    for number in range(20):
        (path / f"file{number}").write_bytes(random.Random(number).randbytes(200_000))
        _git("-C", path, "add", ".")
        _git("-C", path, "commit", "-q", "-m", f"number {number}")
    return path


def test_git_clones_and_pushes(way: tuple[Login, Path], repository: Path, tmp_path: Path) -> None:
    login, ssh = way
    url = f"ssh://{login.user}@127.0.0.1:{login.server.port}{repository}"
    clone = tmp_path / "clone"
    _git("clone", "-q", url, clone, GIT_SSH=str(ssh))
    head = _git("-C", repository, "rev-parse", "HEAD")
    assert _git("-C", clone, "rev-parse", "HEAD") == head
    _git("-C", clone, "fsck", "--strict")
    (clone / "new").write_text("new")
    _git("-C", clone, "add", "new")
    _git("-C", clone, "commit", "-q", "-m", "new")
    _git("-C", clone, "push", "-q", "origin", "HEAD:refs/heads/pushed", GIT_SSH=str(ssh))
    pushed = _git("-C", repository, "rev-parse", "pushed")
    assert pushed == _git("-C", clone, "rev-parse", "HEAD")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    path = tmp_path / "tree"
    for number in range(100):
        file = path / f"directory {number % 7}" / f"file{number}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(random.Random(number).randbytes(number * 700))
    (path / "link").symlink_to("directory 1/file1")
    return path


def test_rsync_there_and_back(way: tuple[Login, Path], tree: Path, tmp_path: Path) -> None:
    login, ssh = way
    rsync = [require("rsync"), "-a", "-e", f"{ssh} -p {login.server.port}"]
    remote = f"{login.user}@127.0.0.1:{tmp_path}/there/"
    check([*rsync, f"{tree}/", remote], timeout=60)
    check([*rsync, remote, tmp_path / "back"], timeout=60)
    check(["diff", "-r", "--no-dereference", tree, tmp_path / "back"])
    changed = tree / "directory 1" / "file99"
    changed.write_bytes(changed.read_bytes()[::-1])
    (tree / "link").unlink()
    check([*rsync, "--checksum", "--delete", f"{tree}/", remote], timeout=60)
    check(["diff", "-r", "--no-dereference", tree, tmp_path / "there"])
