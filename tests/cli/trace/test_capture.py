"""``nacre trace`` with the options that write files, for a server in this process."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import stat
import sys
from collections.abc import AsyncIterator
from html import escape
from pathlib import Path
from typing import Any

import pytest

import nacre
from cli.trace.captured import streams_of
from nacre.cli.trace.capture import open_secret
from nacre.wire.codec import WireReader, string
from parties import handle

SECRET = "never-on-a-page"


@pytest.fixture
async def traced(tmp_path: Path) -> AsyncIterator[Any]:
    """A function that traces a command to a server; returns the status and the records."""
    key = nacre.generate("ssh-ed25519")
    (tmp_path / "key").touch(mode=0o600)
    (tmp_path / "key").write_bytes(nacre.dump_private(key))
    async with nacre.listen(
        host_keys=[nacre.generate("ssh-ed25519")],
        policy=nacre.Users({"alice": key.public}),
        handler=handle,
        accept_env=["TOKEN"],
    ) as server:

        async def trace(*options: str) -> tuple[int | None, list[dict[str, Any]]]:
            words = ["StrictHostKeyChecking=no", f"UserKnownHostsFile={tmp_path / 'known'}"]
            words += [f"SetEnv=TOKEN={SECRET}", "BatchMode=yes", "LogLevel=ERROR"]
            given = [part for word in words for part in ("-o", word)]
            where = ["-F", "none", "-i", str(tmp_path / "key"), "-p", str(server.port)]
            program = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "nacre", "trace", "--json", *options, *given, *where),
                *("alice@127.0.0.1", "print", "5000", "3"),
                stdout=asyncio.subprocess.PIPE,
                cwd=tmp_path,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            )
            out, _ = await asyncio.wait_for(program.communicate(), 60)
            return program.returncode, [json.loads(line) for line in out.splitlines()]

        yield trace


def packets(stream: bytes) -> list[bytes]:
    """Return the payloads of the packets before encryption, behind the identification line."""
    at = stream.index(b"\n") + 1
    found: list[bytes] = []
    while not found or found[-1][0] != 21:
        size = int.from_bytes(stream[at : at + 4], "big")
        found.append(stream[at + 5 : at + 4 + size - stream[at + 4]])
        at += 4 + size
    return found


async def test_the_key_log_has_the_secret_of_the_exchange(traced: Any, tmp_path: Path) -> None:
    """The exchange hash over the captured bytes and the secret is the session id."""
    status, records = await traced(
        *("--pcap", "c.pcap", "--keylog", "keys"), "-o", "KexAlgorithms=curve25519-sha256"
    )
    assert status == 0
    out, received = streams_of((tmp_path / "c.pcap").read_bytes())
    client, server = packets(out), packets(received)
    cookie, kind, secret = (tmp_path / "keys").read_text().split()
    assert (kind, cookie) == ("SHARED_SECRET", client[0][1:17].hex())
    reply = WireReader(server[1], 1)
    host_key, public = reply.string(), reply.string()
    lines = (out.split(b"\r\n")[0], received.split(b"\r\n")[0])
    initial = WireReader(client[1], 1).string()
    hashed = (*lines, client[0], server[0], host_key, initial, public, bytes.fromhex(secret))
    digest = hashlib.sha256(b"".join(map(string, map(bytes, hashed)))).hexdigest()
    (keys,) = [record for record in records if record["event"] == "keys"]
    assert keys["session_id"] == digest
    for name in ("c.pcap", "keys"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


async def test_a_rekey_has_a_line_of_its_own(traced: Any, tmp_path: Path) -> None:
    status, records = await traced("--keylog", "keys", "-o", "RekeyLimit=16")
    assert status == 0
    exchanges = [record for record in records if record["event"] == "keys"]
    lines = (tmp_path / "keys").read_text().splitlines()
    assert len(lines) == len(exchanges) > 1
    assert len(set(lines)) == len(lines)


async def test_the_page_shows_the_connection_and_no_secret(traced: Any, tmp_path: Path) -> None:
    status, _ = await traced("--html", "page.html")
    assert status == 0
    page = (tmp_path / "page.html").read_text()
    for text in ("Phase 5", "SSH_MSG_KEXINIT", "print 5000 3", "exit status 0", "<mark>"):
        assert text in page
    assert SECRET not in page


async def test_a_connection_that_fails_has_a_page_too(traced: Any, tmp_path: Path) -> None:
    status, records = await traced("--html", "page.html", "-o", "HostKeyAlgorithms=rsa-sha2-256")
    assert status == 255
    page = (tmp_path / "page.html").read_text()
    assert escape(records[-1]["error"]) in page
    assert "Phase 2" in page
    assert "Phase 3" not in page


async def test_a_file_that_can_t_be_written_is_told_first(traced: Any) -> None:
    for option in ("--html", "--pcap", "--keylog"):
        assert await traced(option, "none/file") == (255, [])


def test_a_secret_file_is_closed_to_others(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text("old")
    path.chmod(0o644)
    with open_secret(str(path)) as file:
        file.write(b"n")
    assert path.read_bytes() == b"n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
