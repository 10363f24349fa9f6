"""``nacre-sftp-server`` as the subsystem of OpenSSH's sshd, and beside OpenSSH's sftp-server."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from interop.clients import ME, Login
from interop.daemons import Daemon, start_sshd
from interop.mounts import mounted
from interop.programs import NACRE, check, environment, require, run
from interop.trees import ODD, PLAIN, UTF8, make_tree, summary

OURS = f"{NACRE[0]}-sftp-server"
THEIRS = "/usr/lib/openssh/sftp-server"
CONTENT = hashlib.shake_256(b"nacre").digest(5_000_003)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sshd")


@pytest.fixture
def log(directory: Path) -> Path:
    return directory / "files.log"


@pytest.fixture(scope="module")
def subsystem(
    host_keys: dict[str, Path], authorized_keys: Path, directory: Path
) -> Iterator[Daemon]:
    # sshd drops what a subsystem writes to standard error.
    line = f"Subsystem sftp {OURS} -e -l INFO 2>>{directory / 'files.log'}"
    with start_sshd(directory, [host_keys["ed25519"]], authorized_keys, line) as daemon:
        yield daemon


@pytest.fixture
def login(subsystem: Daemon, keys: dict[str, Path], tmp_path: Path) -> Login:
    return Login(subsystem, ME, tmp_path, keys["ed25519"])


def sftp(login: Login, *lines: str) -> subprocess.CompletedProcess[bytes]:
    options = login.options()
    options[options.index("-p")] = "-P"
    batch = login.directory / "batch"
    batch.write_text("\n".join(lines) + "\n")
    return run([require("sftp"), *options, "-b", batch, f"{login.user}@127.0.0.1"], timeout=60)


def test_files_and_trees_over_openssh_at_both_ends(login: Login, log: Path, tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(CONTENT)
    make_tree(tmp_path / "tree", 100, PLAIN + UTF8 + ODD)
    (tmp_path / "there").mkdir()
    done = sftp(
        login,
        f"cd {tmp_path}/there",
        f"put {tmp_path}/big",
        f"get big {tmp_path}/back",
        f"put -rp {tmp_path}/tree",
        f"get -rp tree {tmp_path}/tree-back",
        "rename big other",
        "ln -s other link",
        "rm link",
        "df",
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "back").read_bytes() == (tmp_path / "there/other").read_bytes() == CONTENT
    assert summary(tmp_path / "there/tree") == summary(tmp_path / "tree")
    assert summary(tmp_path / "tree-back") == summary(tmp_path / "tree")
    lines = log.read_text()
    assert f"session opened for local user {ME} from [127.0.0.1]\n" in lines
    assert f'close "{tmp_path}/there/big" bytes read {len(CONTENT)} written 0\n' in lines
    assert f'posix-rename old "{tmp_path}/there/big" new "{tmp_path}/there/other"\n' in lines


def test_the_session_starts_in_the_home_directory(login: Login) -> None:
    done = sftp(login, "pwd")
    assert f"Remote working directory: {os.path.realpath(Path.home())}" in done.stdout.decode()


def test_scp_uses_it(login: Login, tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(CONTENT)
    options = login.options()
    options[options.index("-p")] = "-P"
    check([require("scp"), "-s", *options, tmp_path / "big", f"{ME}@127.0.0.1:{tmp_path}/copy"])
    assert (tmp_path / "copy").read_bytes() == CONTENT


def test_sshfs_over_it(login: Login, tmp_path: Path) -> None:
    mount = tmp_path / "mount"
    (tmp_path / "there").mkdir()
    make_tree(tmp_path / "tree", 100, PLAIN)
    with mounted(f"{ME}@127.0.0.1:{tmp_path}/there", mount, login.options()):
        check(["cp", "-rp", tmp_path / "tree", mount / "copy"], timeout=60)
        assert summary(mount / "copy") == summary(tmp_path / "tree")
    assert summary(tmp_path / "there/copy") == summary(tmp_path / "tree")


BATCH = """\
-ls -1
-put {local} up
-get kept {local}.back
-ls none
-rename up moved
-chmod 600 kept
-mkdir new
-mkdir new
-ln kept hard
-ln -s kept symbolic
-cp kept copied
-rm kept
-rmdir new
-df
-ls -1
"""

OPTIONS = {
    "none": "",
    "read-only": "-R",
    "umask": "-u 077",
    "denied": "-P remove,mkdir,posix-rename,copy-data",
    "not-allowed": "-p open,close,read,opendir,readdir,realpath,stat,lstat",
    "denied-of-allowed": "-p open,close,read,write,opendir,readdir,realpath,stat,mkdir -P mkdir",
    "start": "-d {there}/kept.d",
    "start-with-tokens": "-d {there}/%u%%",
    "no-start": "-d {there}/none",
}


def session(server: str, options: str, there: Path) -> tuple[str, str, dict[bytes, object]]:
    """Run the batch; return what the client prints, the server's log, and the files after it."""
    there.mkdir()
    (there / "kept").write_bytes(b"kept")
    for name in ("kept.d", f"{ME}%"):
        (there / name).mkdir()
        (there / name / "kept").write_bytes(b"kept below")
    local = there.parent / f"{there.name}-local"
    local.write_bytes(b"uploaded")
    log = there.parent / f"{there.name}-log"
    direct = f"{server} -e -l INFO {options.format(there=there)}"
    done = subprocess.run(
        # The log is the server's alone.
        [require("sftp"), "-q", "-b", "-", "-D", f"/bin/sh -c {shlex.quote(f'{direct} 2>{log}')}"],
        input=BATCH.format(local=local),
        cwd=there,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=30,
        check=False,
    )

    def plain(text: str) -> str:
        return text.replace(str(there), "/there").replace(str(local), "/local").replace("\r", "")

    # The space that is free changes meanwhile.
    return (
        re.sub(r"^ +\d.*\n", "", plain(done.stdout), flags=re.M),
        plain(log.read_text()),
        summary(there, times=False),
    )


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
def test_each_option_has_the_effect_that_it_has_with_openssh(tmp_path: Path, options: str) -> None:
    ours = session(OURS, options, tmp_path / "ours")
    theirs = session(require(THEIRS), options, tmp_path / "theirs")
    assert ours[0] == theirs[0]
    assert ours[1] == theirs[1]
    assert ours[2] == theirs[2]
