"""AsyncSSH's, Paramiko's and PuTTY's clients log in to ``nacre serve``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncssh
import paramiko
import pytest

from interop.clients import PASSWORD, Login
from interop.daemons import Daemon
from interop.programs import check, require
from interop.suites import MEBIBYTE, echo

KINDS = ["ed25519", "ecdsa256", "ecdsa521", "rsa"]


# --- AsyncSSH ---


def _asyncssh(server: Daemon, **how: Any) -> Any:
    return asyncssh.connect(
        "127.0.0.1",
        server.port,
        username="any",
        known_hosts=None,
        config=None,
        agent_path=None,
        **{"client_keys": None, **how},
    )


@pytest.mark.parametrize("kind", KINDS)
async def test_asyncssh_with_key(nacre_server: Daemon, keys: dict[str, Path], kind: str) -> None:
    async with _asyncssh(nacre_server, client_keys=[str(keys[kind])]) as connection:
        done = await connection.run("echo in; echo wrong >&2; exit 9")
    assert (done.stdout, done.stderr, done.exit_status) == ("in\n", "wrong\n", 9)


@pytest.mark.parametrize("method", ["password", "keyboard-interactive"])
async def test_asyncssh_with_password(nacre_server: Daemon, method: str) -> None:
    how = {"password": PASSWORD, "preferred_auth": method}
    async with _asyncssh(nacre_server, **how) as connection:
        assert (await connection.run("echo in")).stdout == "in\n"


async def test_asyncssh_is_refused(nacre_server: Daemon) -> None:
    with pytest.raises(asyncssh.PermissionDenied):
        await _asyncssh(nacre_server, password="wrong")


async def test_asyncssh_echoes_and_rekeys(nacre_server: Daemon, keys: dict[str, Path]) -> None:
    how: dict[str, Any] = {"client_keys": [str(keys["ed25519"])], "rekey_bytes": 65536}
    async with _asyncssh(nacre_server, **how) as connection:
        done = await connection.run("cat", input=MEBIBYTE, encoding=None)
    assert done.stdout == MEBIBYTE


async def test_asyncssh_at_a_terminal(nacre_server: Daemon, keys: dict[str, Path]) -> None:
    async with _asyncssh(nacre_server, client_keys=[str(keys["ed25519"])]) as connection:
        terminal = {"term_type": "vt100", "term_size": (81, 25)}
        async with connection.create_process(**terminal) as process:
            process.stdin.write("stty size; echo $TERM; exit 2\n")
            shown = await process.stdout.read()
        assert "25 81" in shown
        assert "vt100" in shown
        assert process.exit_status == 2


# --- Paramiko ---


@contextmanager
def _paramiko(server: Daemon, **how: Any) -> Iterator[paramiko.SSHClient]:
    with paramiko.SSHClient() as client:
        client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        client.connect(
            "127.0.0.1",
            server.port,
            "any",
            allow_agent=False,
            look_for_keys=False,
            timeout=20,
            **how,
        )
        transport = client.get_transport()
        assert transport is not None
        yield client
    # Its thread may still write; the next connection's socket could have the same descriptor.
    transport.join(20)


@pytest.mark.parametrize("kind", KINDS)
def test_paramiko_with_key(nacre_server: Daemon, keys: dict[str, Path], kind: str) -> None:
    with _paramiko(nacre_server, key_filename=str(keys[kind])) as client:
        _, out, err = client.exec_command("echo in; echo wrong >&2; exit 9", timeout=20)
        assert (out.read(), err.read()) == (b"in\n", b"wrong\n")
        assert out.channel.recv_exit_status() == 9


def test_paramiko_with_password(nacre_server: Daemon) -> None:
    with _paramiko(nacre_server, password=PASSWORD) as client:
        _, out, _ = client.exec_command("echo in", timeout=20)
        assert out.read() == b"in\n"


def test_paramiko_is_refused(nacre_server: Daemon) -> None:
    with (
        pytest.raises(paramiko.AuthenticationException),
        _paramiko(nacre_server, password="wrong"),
    ):
        pass


def test_paramiko_tries_again_on_one_connection(nacre_server: Daemon) -> None:
    """It asks for the service again with each attempt."""
    transport = paramiko.Transport(("127.0.0.1", nacre_server.port))
    try:
        transport.start_client(timeout=10)
        for password in ("wrong", "also wrong"):
            with pytest.raises(paramiko.AuthenticationException):
                transport.auth_password("any", password, fallback=False)
        assert transport.auth_password("any", PASSWORD, fallback=False) == []
    finally:
        transport.close()


def test_paramiko_echoes_and_rekeys(nacre_server: Daemon, keys: dict[str, Path]) -> None:
    with _paramiko(nacre_server, key_filename=str(keys["ed25519"])) as client:
        transport = client.get_transport()
        assert transport is not None
        transport.renegotiate_keys()
        stdin, out, _ = client.exec_command("cat > /dev/null; echo $?", timeout=20)
        stdin.write(MEBIBYTE)
        stdin.channel.shutdown_write()
        assert out.read() == b"0\n"
        stdin, out, _ = client.exec_command("head -c 1048576 /dev/zero", timeout=20)
        assert out.read() == bytes(1 << 20)


# --- PuTTY ---


@pytest.fixture
def plink(to_nacre: Login) -> list[str]:
    """The command line of ``plink`` up to the key or password."""
    port = str(to_nacre.server.port)
    command = [require("plink"), "-batch", "-ssh", "-noagent", "-P", port, "-l", "any"]
    scanned = check([require("ssh-keyscan"), "-p", port, "127.0.0.1"])
    for line in check([require("ssh-keygen"), "-lf", "-"], input=scanned).decode().splitlines():
        command += ["-hostkey", line.split()[1]]
    return command


@pytest.mark.parametrize("kind", KINDS)
def test_plink_with_key(plink: list[str], keys: dict[str, Path], tmp_path: Path, kind: str) -> None:
    ppk = tmp_path / "key.ppk"
    check([require("puttygen"), keys[kind], "-O", "private", "-o", ppk])
    echo([*plink, "-i", str(ppk), "127.0.0.1"], HOME=str(tmp_path))


def test_plink_with_password(plink: list[str], tmp_path: Path) -> None:
    echo([*plink, "-pw", PASSWORD, "127.0.0.1"], HOME=str(tmp_path))
