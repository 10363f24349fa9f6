"""Scans of a server in this process."""

from __future__ import annotations

import asyncio
import socket

import pytest

import nacre
from nacre.cli.keyscan.arguments import parse_arguments
from nacre.cli.keyscan.scanning import Scan
from nacre.cli.keyscan.targets import targets
from nacre.keys.certificate import Certificate, CertifiedKey
from nacre.keys.hosts.known_hosts import KnownHosts
from parties import handle

KEY = nacre.generate("ssh-ed25519")
OTHER = nacre.generate("ecdsa-sha2-nistp384")
CERTIFICATE = Certificate.issue(KEY.public, OTHER, kind="host")


async def scan(*words: str, host: str = "127.0.0.1") -> bool:
    """Scan a server, and return whether there was a key."""
    async with nacre.listen(
        host_keys=[CertifiedKey(CERTIFICATE, KEY), OTHER], policy=nacre.Users({}), handler=handle
    ) as server:
        arguments = parse_arguments(["-p", str(server.port), *words, host])
        made = Scan(arguments)
        await made.run(targets(arguments.hosts))
        print(server.port)
        return made.found


async def test_each_key_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert await scan()
    out, err = capsys.readouterr()
    *lines, port = out.splitlines()
    assert sorted(lines) == sorted(f"[127.0.0.1]:{port} {key.public}" for key in (KEY, OTHER))
    assert err.count(f"# 127.0.0.1:{port} SSH-2.0-nacre") == 5


async def test_names_may_be_hashed_and_comments_left_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert await scan("-q", "-H", "-t", "ed25519", host="127.0.0.1 one,two")
    out, err = capsys.readouterr()
    *lines, port = out.splitlines()
    assert err == ""
    assert len(lines) == 2
    known = KnownHosts.parse("\n".join(lines) + "\n")
    for name in ("one", "two"):
        assert known.check(name, int(port), KEY.public).verdict.name == "TRUSTED"


async def test_certificates_and_records(capsys: pytest.CaptureFixture[str]) -> None:
    assert await scan("-c", "-t", "ed25519")
    assert capsys.readouterr().out.splitlines()[0] == str(CERTIFICATE)
    assert await scan("-D", "-O", "hashalg=sha256", "-t", "ed25519")
    out, err = capsys.readouterr()
    assert out.startswith("127.0.0.1 IN SSHFP 4 2 ")
    assert err.startswith("; 127.0.0.1:")


async def test_a_server_without_such_a_key_gives_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert not await scan("-v", "-t", "dsa")
    assert "debug1: 127.0.0.1: " in capsys.readouterr().err


async def test_the_first_address_that_answers_counts(capsys: pytest.CaptureFixture[str]) -> None:
    assert await scan("-t", "ed25519", host="no-host.invalid,127.0.0.1 name")
    out, err = capsys.readouterr()
    assert out.startswith("[name]:")
    assert "getaddrinfo no-host.invalid: " in err


async def test_a_server_that_says_nothing_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        arguments = parse_arguments(["-T", "1", "-t", "rsa", "-p", str(port), "127.0.0.1"])
        made = Scan(arguments)
        async with asyncio.timeout(20):
            await made.run(targets(arguments.hosts))
        assert not made.found
