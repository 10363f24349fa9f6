"""scp and sftp of OpenSSH and nacre: each starts the other's programs, at both ends."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from interop.clients import ME, Login
from interop.daemons import Daemon
from interop.programs import check, require, run
from interop.trees import summary

PROGRAMS = {
    "openssh": {"ssh": "ssh", "scp": "scp", "sftp": "sftp"},
    "nacre": {"ssh": "nacre-ssh", "scp": "nacre-scp", "sftp": "nacre-sftp"},
}


def program(whose: str, name: str) -> str:
    return require(PROGRAMS[whose][name])


def make_tree(top: Path) -> None:
    (top / "sub").mkdir(parents=True)
    (top / "empty").write_text("")
    (top / "sub" / "with space *").write_bytes(os.urandom(300_000))
    (top / "sub" / "with space *").chmod(0o640)


@pytest.mark.parametrize(("client", "server"), [("openssh", "nacre"), ("nacre", "openssh")])
def test_the_scp_protocol_without_a_network(tmp_path: Path, client: str, server: str) -> None:
    """A script in place of ssh runs the command here, where ``scp`` is the server's program."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "scp").symlink_to(program(server, "scp"))
    script = tmp_path / "in place of ssh"
    script.write_text(
        '#!/bin/sh\nfor last; do :; done\nPATH="${0%/*}/bin:$PATH"\nexec sh -c "$last"\n'
    )
    script.chmod(0o700)
    scp = [program(client, "scp"), "-q", "-O", "-S", script]
    make_tree(tmp_path / "tree")
    expected = summary(tmp_path / "tree", times=False)
    for source, target in (("tree", "there:up"), ("there:up", "down"), ("a:down", "b:third")):
        source, target = (
            f"{host}{colon}{tmp_path}/{path}"
            for host, colon, path in (source.rpartition(":"), target.rpartition(":"))
        )
        words = ["-3"] if source.startswith("a:") else []
        check([*scp, "-rp", *words, source.lstrip(":"), target.lstrip(":")])
        assert summary(Path(target.rpartition(":")[2]), times=False) == expected
    # Failures have the status 1, and change nothing.
    two = [f"there:{tmp_path}/tree/empty", f"there:{tmp_path}/tree/sub/with?space*"]
    for failing in (
        [f"there:{tmp_path}/nosuch", f"{tmp_path}/x"],
        [f"there:{tmp_path}/tree", f"{tmp_path}/x"],
        [f"{tmp_path}/tree/empty", f"there:{tmp_path}/no/x"],
        ["-3", *two, f"b:{tmp_path}/tree/empty"],
    ):
        done = run([*scp, *failing], timeout=60)
        assert done.returncode == 1, (failing, done)
    assert not (tmp_path / "x").exists()
    assert (tmp_path / "tree" / "empty").read_bytes() == b""


@pytest.fixture
def config(sshd_with_sftp: Daemon, keys: dict[str, Path], tmp_path: Path) -> Path:
    login = Login(sshd_with_sftp, ME, tmp_path, keys["ed25519"])
    path = login.config("there")
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if "Control" not in line))
    return path


@pytest.mark.parametrize(("client", "ssh"), [("openssh", "nacre"), ("nacre", "openssh")])
def test_sftp_by_the_program_of_the_other(
    config: Path, tmp_path: Path, client: str, ssh: str
) -> None:
    options = ["-F", config, "-S", program(ssh, "ssh")]
    data = tmp_path / "data"
    data.write_bytes(os.urandom(100_000))
    check([program(client, "scp"), *options, data, f"there:{tmp_path}/up"])
    batch = tmp_path / "batch"
    batch.write_text(f"get {tmp_path}/up {tmp_path}/down\n")
    check([program(client, "sftp"), *options, "-b", batch, "there"])
    check([program(client, "scp"), *options, "-3", "-O", f"there:{data}", f"there:{tmp_path}/3"])
    for name in ("up", "down", "3"):
        assert (tmp_path / name).read_bytes() == data.read_bytes()
    done = run([program(client, "sftp"), *options, "-oPort=1", "-b", batch, "there"])
    assert done.returncode == 255
    assert b"refused" in done.stderr
    done = run([program(client, "sftp"), "-F", config, "-S", "/no/such", "-b", batch, "there"])
    assert done.returncode in (1, 255)
