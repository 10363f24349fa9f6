"""``nacre ssh HOST COMMAND`` without a configuration loads nothing that reads one."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

import nacre
from nacre.keys import dump_private

SCHEMA = "nacre.config.client.words"

UNNEEDED = {
    "nacre.client.trust.hostfile",
    "nacre.client.trust.certificates",
    "nacre.client.trust.revoked",
    "nacre.client.trust.sshfp",
    "nacre.keys.signed.revocation",
}
"""What a host whose plain key is on record needs nothing of."""

PROGRAM = """\
import socket
import sys

from nacre.cli.common import connect
from nacre.cli.ssh.command import run
from nacre.config.client import files


async def dial(target, config, debug):
    # Another port than 22 would take an option.
    sock = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    sock.setblocking(False)
    return sock


connect.dial_host = dial
files.SYSTEM_FILE = sys.argv[2]
status = run("nacre-ssh", sys.argv[3:])
print(*(name for name in sys.modules if name.startswith("nacre.")))
sys.exit(status)
"""
"""A session at the port of the first argument, with the second in place of the system's file."""


async def handle(session: nacre.Session) -> int:
    return 0


async def loaded(home: Path, *words: str) -> set[str]:
    """Return nacre's modules that the program loads for a session with a server of this process."""
    key, host_key = nacre.generate("ssh-ed25519"), nacre.generate("ssh-ed25519")
    kept = home / ".ssh"
    kept.mkdir(mode=0o700, exist_ok=True)
    (kept / "id_ed25519").write_bytes(dump_private(key))
    (kept / "id_ed25519").chmod(0o600)
    (kept / "known_hosts").write_text(f"server {host_key.public}\n")
    users = nacre.Users({"alice": key.public})
    async with nacre.listen(host_keys=[host_key], policy=users, handler=handle) as server:
        given = [str(server.port), str(home / "ssh_config"), *words]
        environment = {name: it for name, it in os.environ.items() if not name.startswith("SSH_")}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", PROGRAM, *given),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**environment, "HOME": str(home), "LOGNAME": "alice"},
        )
        out, err = await asyncio.wait_for(process.communicate(), 30)
    assert (process.returncode, err) == (0, b""), err.decode()
    return set(out.decode().split())


async def test_without_a_file_and_options_the_schema_is_not_built(tmp_path: Path) -> None:
    modules = await loaded(tmp_path, "server", "true")
    assert "nacre.ssh2.engine" in modules
    assert not modules & {SCHEMA, "nacre.config.client.reader", "nacre.config.client.kinds"}
    assert not modules & UNNEEDED


@pytest.mark.parametrize("what", ["option", "user's file", "system's file"])
async def test_with_one_of_them_it_is(what: str, tmp_path: Path) -> None:
    (tmp_path / ".ssh").mkdir(mode=0o700)
    words = ["-oPort=22"] if what == "option" else []
    if what != "option":
        file = ".ssh/config" if what == "user's file" else "ssh_config"
        (tmp_path / file).write_text("Port 22\n")
    assert SCHEMA in await loaded(tmp_path, *words, "server", "true")


KEYGEN = """\
import sys

from nacre.cli.keygen.command import run

status = run("nacre-ssh-keygen", sys.argv[1:])
print(*(name for name in sys.modules if name in ("asyncio", "click", "logging", "subprocess")))
sys.exit(status)
"""


def test_keygen_opens_no_connection(tmp_path: Path) -> None:
    """Scripts call it once for each key."""
    key = nacre.generate("ssh-ed25519").public
    (tmp_path / "key.pub").write_text(f"{key}\n")
    done = subprocess.run(
        [sys.executable, "-c", KEYGEN, "-l", "-f", tmp_path / "key.pub"],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stdout.splitlines()[1:] == [""]


FILES = """\
import sys

sys.path.append({!r})
import nacre.cli.sftp_server.command

slow = ("asyncio", "ctypes", "dataclasses", "inspect", "logging")
print(*(name for name in sys.modules if name in slow))
"""


def test_a_session_of_sftp_starts_with_little() -> None:
    """A process of its own serves it, which these modules would take a quarter longer to start."""
    here = str(Path(nacre.__file__).parent.parent)
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", FILES.format(here)],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stdout == "\n"
