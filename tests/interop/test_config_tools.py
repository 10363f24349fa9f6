"""git, rsync, sshfs, scp and sftp run ``nacre-ssh -F FILE`` for a host that the file names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from interop.clients import ME, Login
from interop.daemons import Daemon
from interop.mounts import mounted
from interop.programs import NACRE, check, require
from interop.trees import PLAIN, make_tree, summary

NACRE_SSH = str(Path(NACRE[0]).with_name("nacre-ssh"))

GIT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "A",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@example.org",
}


@pytest.fixture
def config(sshd_with_sftp: Daemon, keys: dict[str, Path], tmp_path: Path) -> Path:
    """A configuration file in which ``there`` is OpenSSH's server."""
    return Login(sshd_with_sftp, ME, tmp_path, keys["ed25519"]).config("there")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    make_tree(tmp_path / "tree", 100, PLAIN)
    return tmp_path / "tree"


def test_git_clones_fetches_and_pushes(config: Path, tmp_path: Path) -> None:
    def git(*words: str | Path) -> str:
        ssh = f"{NACRE_SSH} -F {config}"
        return check([require("git"), *words], timeout=60, GIT_SSH_COMMAND=ssh, **GIT).decode()

    def commit(repository: Path, number: int) -> str:
        (repository / f"file{number}").write_text(str(number))
        git("-C", repository, "add", ".")
        git("-C", repository, "commit", "-q", "-m", f"number {number}")
        return git("-C", repository, "rev-parse", "HEAD")

    origin, clone = tmp_path / "origin", tmp_path / "clone"
    git("init", "-q", "-b", "main", origin)
    first = commit(origin, 1)
    git("clone", "-q", f"there:{origin}", clone)
    assert git("-C", clone, "rev-parse", "HEAD") == first
    second = commit(origin, 2)
    git("-C", clone, "fetch", "-q")
    assert git("-C", clone, "rev-parse", "origin/main") == second
    third = commit(clone, 3)
    git("-C", clone, "push", "-q", "origin", "HEAD:pushed")
    assert git("-C", origin, "rev-parse", "pushed") == third


def test_rsync(config: Path, tree: Path, tmp_path: Path) -> None:
    rsync = [require("rsync"), "-a", "-e", f"{NACRE_SSH} -F {config}"]
    check([*rsync, f"{tree}/", f"there:{tmp_path}/up/"], timeout=60)
    check([*rsync, f"there:{tmp_path}/up/", tmp_path / "back"], timeout=60)
    assert summary(tmp_path / "up") == summary(tmp_path / "back") == summary(tree)


def test_sshfs(config: Path, tree: Path, tmp_path: Path) -> None:
    mount, there = tmp_path / "mount", tmp_path / "files"
    there.mkdir()
    with mounted(f"there:{there}", mount, ["-F", str(config)], ssh=NACRE_SSH):
        check(["cp", "-rp", tree, mount / "copy"], timeout=60)
        assert summary(mount / "copy") == summary(tree)
    assert summary(there / "copy") == summary(tree)


@pytest.mark.parametrize("protocol", ["-s", "-O"], ids=["sftp", "rcp"])
def test_scp(config: Path, tree: Path, tmp_path: Path, protocol: str) -> None:
    """OpenSSH's scp over nacre's client."""
    scp = [require("scp"), "-S", NACRE_SSH, "-F", config, protocol, "-rp"]
    check([*scp, tree, f"there:{tmp_path}/up"], timeout=60)
    check([*scp, f"there:{tmp_path}/up", tmp_path / "back"], timeout=60)
    assert summary(tmp_path / "up") == summary(tmp_path / "back") == summary(tree)


def test_sftp(config: Path, tmp_path: Path) -> None:
    """OpenSSH's sftp over nacre's client."""
    content = os.urandom(300_000)
    (tmp_path / "file").write_bytes(content)
    batch = f"put {tmp_path}/file {tmp_path}/up\nget {tmp_path}/up {tmp_path}/back\n"
    sftp = [require("sftp"), "-S", NACRE_SSH, "-F", config, "-b", "-", "there"]
    check(sftp, input=batch.encode(), timeout=60)
    assert (tmp_path / "back").read_bytes() == content
