"""From a configuration to a connection that is logged in."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import nacre
from nacre.cli.common.connect import dial_and_log_in
from nacre.cli.common.log import Log, open_log
from nacre.client.target import Target
from nacre.config.client.config import ClientConfig
from nacre.config.client.files import parse
from nacre.errors import AuthenticationFailed, DeadlineExceeded, HostKeyError, PeerSilent
from nacre.keys import dump_private
from nacre.ssh2.server import SSH2Server

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


def silence_after(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let servers say nothing more once they have sent this message; 0: after their line."""
    made = SSH2Server.__init__

    def make(engine: Any, *args: Any, **kwargs: Any) -> None:
        made(engine, *args, **kwargs)
        outbox, silent = engine._outbox, number == 0
        send = outbox.send_parts

        def send_parts(head: bytes, body: bytes) -> None:
            nonlocal silent
            if not silent:
                send(head, body)
            silent = silent or head[0] == number

        outbox.send_parts = send_parts

    monkeypatch.setattr(SSH2Server, "__init__", make)


ALIVE = ["ServerAliveInterval=1", "ServerAliveCountMax=1"]
BEFORE_LOGIN = {
    "line": (0, "during banner exchange or key exchange"),
    "KEXINIT": (20, "during banner exchange or key exchange"),
    "reply": (31, "during the login"),
    "NEWKEYS": (21, "during the login"),
    "SERVICE_ACCEPT": (6, "during the login"),
    "USERAUTH_FAILURE": (51, "during the login"),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "bound", [["ConnectTimeout=1"], ["ServerAliveInterval=1", "ServerAliveCountMax=1"]]
)
@pytest.mark.parametrize("last", BEFORE_LOGIN)
async def test_a_server_that_falls_silent_before_the_login(
    last: str,
    bound: list[str],
    server: nacre.Server,
    options: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    number, phase = BEFORE_LOGIN[last]
    silence_after(number, monkeypatch)
    words = [f"Port={server.port}", "StrictHostKeyChecking=no", *bound, *options]
    if last == "USERAUTH_FAILURE":
        words.insert(0, "User=bob")
    async with asyncio.timeout(20):
        with pytest.raises(DeadlineExceeded, match=phase):
            await connected(parse(words), tmp_path / "log")


@pytest.mark.slow
@pytest.mark.parametrize("last", [52, 91], ids=["channel open", "exec"])
async def test_a_server_that_falls_silent_after_the_login(
    last: int,
    server: nacre.Server,
    options: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    silence_after(last, monkeypatch)
    words = [f"Port={server.port}", "StrictHostKeyChecking=no", *ALIVE, *options]
    async with asyncio.timeout(20):
        ssh = await connected(parse(words), tmp_path / "log")
        with pytest.raises(PeerSilent):
            await ssh.run("x")


@pytest.mark.slow
async def test_the_time_in_which_the_user_is_asked_does_not_count(
    server: nacre.Server, options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async def confirm(*_: object, **__: object) -> bool:
        asked.append("host key")
        await asyncio.sleep(1.5)
        return True

    monkeypatch.setattr("nacre.cli.common.login.confirm_host", confirm)
    words = [f"Port={server.port}", "ConnectTimeout=1", "StrictHostKeyChecking=ask"]
    words += [word for word in options if not word.startswith(("Strict", "BatchMode"))]
    async with asyncio.timeout(20), await connected(parse(words), tmp_path / "log"):
        assert asked == ["host key"]
