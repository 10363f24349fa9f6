"""What -v, -vv and -vvv tell, and what Ansible gives, for ssh, sftp and scp alike."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import nacre
import nacre.blocking
from cli.transfers import HOST_KEY, USER_KEY
from nacre.keys import dump_private

pytestmark = [pytest.mark.slow, pytest.mark.untraced]

ANSIBLE = [
    "-C",
    "-oControlMaster=auto",
    "-oControlPersist=60s",
    "-oStrictHostKeyChecking=no",
    "-oKbdInteractiveAuthentication=no",
    "-oPreferredAuthentications=gssapi-with-mic,gssapi-keyex,hostbased,publickey",
    "-oPasswordAuthentication=no",
    '-oUser="alice"',
    "-oConnectTimeout=10",
    '-oControlPath="{here}/cp/1234"',
    "-oUserKnownHostsFile={here}/known",
]
ALONE = "-oControlPath=none"
"""With -v a master in the background keeps standard error open, as ssh does."""

TOOLS = {
    "ssh": (["127.0.0.1", "echo hello"], ""),
    "sftp": (["-b", "-", "[127.0.0.1]"], "put file copy\n"),
    "scp": (["file", "[127.0.0.1]:copy"], ""),
}


def handle(session: nacre.blocking.Session) -> int:
    session.stdout.write(b"hello\n")
    return 0


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "root").mkdir()
    (tmp_path / "cp").mkdir()
    (tmp_path / "file").write_text("content")
    (tmp_path / "key").write_bytes(dump_private(USER_KEY))
    (tmp_path / "key").chmod(0o600)
    with nacre.blocking.listen(
        host_keys=[HOST_KEY],
        policy=nacre.Users({"alice": [USER_KEY.public, "open sesame"]}),
        handler=handle,
        sftp=lambda session: nacre.LocalFilesystem(tmp_path / "root"),
        log=lambda record: None,
    ) as server:
        yield server.port


@pytest.fixture
def run(port: int, tmp_path: Path):
    def run(tool: str, *options: str) -> subprocess.CompletedProcess[str]:
        words, typed = TOOLS[tool]
        keep = {k: v for k, v in os.environ.items() if not k.startswith("SSH_")}
        given = [option.format(here=tmp_path) for option in (*options, *ANSIBLE)]
        key = tmp_path / "key"
        where = ["-o", f"Port={port}", "-o", f'IdentityFile="{key}"']
        return subprocess.run(
            [sys.executable, "-m", "nacre", tool, *given, *where, *words],
            input=typed,
            capture_output=True,
            text=True,
            timeout=30,
            cwd=tmp_path,
            env={**keep, "PYTHONPATH": os.pathsep.join(sys.path), "HOME": str(tmp_path)},
        )

    return run


@pytest.mark.parametrize("tool", TOOLS)
def test_the_arguments_of_ansible(run, tool, tmp_path):
    done = run(tool)
    assert done.returncode == 0, done.stderr
    if tool == "ssh":
        assert done.stdout == "hello\n"
    else:
        assert (tmp_path / "root" / "copy").read_text() == "content"


LEVELS = {
    "-v": [
        "debug1: Connecting to 127.0.0.1 ",
        "debug1: Connection established.",
        "debug1: Remote version string SSH-2.0-nacre",
        "debug1: kex: algorithm: ",
        "debug1: Server host key: ssh-ed25519 SHA256:",
        "debug1: Next authentication method: publickey",
        "debug1: Offering public key: ",
        "debug1: Authentication succeeded (publickey).",
    ],
    "-vv": [
        "debug2: command line: PasswordAuthentication no",
        "debug2: local client KEXINIT proposal",
        "debug2: peer server KEXINIT proposal",
        "debug2: KEX algorithms: ",
        "debug2: MACs server->client: ",
        "debug2: send packet: SSH_MSG_SERVICE_REQUEST",
        "debug2: send packet: SSH_MSG_USERAUTH_REQUEST",
        "debug2: receive packet: SSH_MSG_USERAUTH_SUCCESS",
    ],
    "-vvv": [
        "debug3: send packet: SSH_MSG_KEXINIT",
        "debug3: receive packet: SSH_MSG_NEWKEYS",
        "debug3: send packet: SSH_MSG_CHANNEL_OPEN",
        "debug3: send packet: SSH_MSG_CHANNEL_REQUEST",
        "debug3: receive packet: SSH_MSG_CHANNEL_DATA",
    ],
}


@pytest.mark.parametrize("tool", TOOLS)
def test_each_level_tells_more(run, tool):
    seen: list[str] = []
    for depth, option in enumerate(LEVELS, 1):
        done = (
            run(tool, ALONE, option, "-o", "SetEnv=TOKEN=verysecret")
            if tool == "ssh"
            else run(tool, ALONE, option)
        )
        assert done.returncode == 0
        told = done.stderr
        for number, lines in enumerate(LEVELS.values(), 1):
            for line in lines:
                assert (line in told) is (number <= depth), line
        assert "verysecret" not in told
        assert len(told.splitlines()) > len(seen) + 4
        seen = told.splitlines()
