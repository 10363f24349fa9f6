"""From a configuration to a connection that is logged in."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import nacre
from nacre.cli.common.connect import dial_and_log_in
from nacre.cli.common.log import Log, open_log
from nacre.cli.common.target import Target
from nacre.config.client import ClientConfig, parse
from nacre.errors import AuthenticationFailed, DeadlineExceeded, HostKeyError
from nacre.keys import dump_private

HOST_KEY = nacre.generate("ssh-ed25519")
USER_KEY = nacre.generate("ssh-ed25519")


@pytest.fixture
async def server() -> AsyncIterator[nacre.Server]:
    policy = nacre.Users({"alice": USER_KEY.public})
    async with nacre.listen(
        host_keys=[HOST_KEY], policy=policy, log=lambda record: None
    ) as listening:
        yield listening


@pytest.fixture
def options(tmp_path: Path) -> list[str]:
    """Options with files of the test alone."""
    key = tmp_path / "key"
    key.write_bytes(dump_private(USER_KEY))
    key.chmod(0o600)
    return [
        "User=alice",
        f"IdentityFile={key}",
        "IdentityAgent=none",
        "BatchMode=yes",
        "GlobalKnownHostsFile=none",
        f"UserKnownHostsFile={tmp_path / 'known_hosts'}",
    ]


async def connected(config: ClientConfig, log_file: Path) -> nacre.Connection:
    target = Target.of("127.0.0.1", config)
    with open_log(str(log_file)) as file:
        return await dial_and_log_in(target, config, Log(config.log_level, file))


async def test_a_login_by_the_configuration(
    server: nacre.Server, options: list[str], tmp_path: Path
) -> None:
    config = parse(
        [f"Port={server.port}", "StrictHostKeyChecking=accept-new", "LogLevel=DEBUG1", *options]
    )
    async with await connected(config, tmp_path / "log"):
        log = (tmp_path / "log").read_text()
    lines = log.splitlines()
    assert lines[0] == (f"debug1: Connecting to 127.0.0.1 [127.0.0.1] port {server.port}.")
    assert "debug1: Authentication succeeded (publickey)." in lines
    assert 'Authenticated using "publickey".' in lines
    assert f"Server host key: ssh-ed25519 {HOST_KEY.public.fingerprint()}" in log
    assert f"[127.0.0.1]:{server.port} {HOST_KEY.public}" in (tmp_path / "known_hosts").read_text()


async def test_an_unknown_host_is_refused_in_a_batch(
    server: nacre.Server, options: list[str], tmp_path: Path
) -> None:
    with pytest.raises(HostKeyError):
        await connected(parse([f"Port={server.port}", *options]), tmp_path / "log")


async def test_a_wrong_user_is_refused(
    server: nacre.Server, options: list[str], tmp_path: Path
) -> None:
    config = parse([f"Port={server.port}", "User=bob", "StrictHostKeyChecking=no", *options])
    with pytest.raises(AuthenticationFailed):
        await connected(config, tmp_path / "log")


@pytest.mark.slow
async def test_connect_timeout_bounds_a_silent_server(options: list[str], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        config = parse([f"Port={port}", "ConnectTimeout=1", *options])
        with pytest.raises(DeadlineExceeded) as caught:
            await connected(config, tmp_path / "log")
    assert str(caught.value) == (
        f"connect to host 127.0.0.1 port {port}: "
        "Connection timed out during banner exchange or key exchange"
    )
