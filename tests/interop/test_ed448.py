"""Keys of Ed448, which OpenSSH does not have: AsyncSSH in both roles, and PuTTY's client."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncssh
import pytest

import nacre
from interop.programs import require, run
from nacre import AnyHostKey, algorithms, dump_private, dump_public, generate

ED448 = "ssh-ed448"
USER, HOST = (generate(ED448, comment=name) for name in ("user", "host"))


async def _exit_7(session: nacre.Session) -> int:
    return 7


async def _asyncssh_exits_7(process: asyncssh.SSHServerProcess[str]) -> None:
    process.exit(7)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """The file of the user's private key."""
    path = tmp_path / "key"
    path.write_bytes(dump_private(USER))
    path.chmod(0o600)
    return path


async def test_nacre_logs_in_to_asyncssh(key: Path, tmp_path: Path) -> None:
    (tmp_path / "authorized").write_bytes(dump_public(USER.public))
    (tmp_path / "host").write_bytes(dump_private(HOST))
    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        process_factory=_asyncssh_exits_7,
        config=None,
        server_host_keys=[str(tmp_path / "host")],
        authorized_client_keys=str(tmp_path / "authorized"),
    )
    async with (
        server,
        nacre.connect(
            "127.0.0.1",
            server.get_port(),
            user="any",
            keys=[key],
            trust=AnyHostKey(),
            config=None,
            algorithms=algorithms(host_key=[ED448]),
        ) as ssh,
    ):
        assert (await ssh.run("any", timeout=30)).exit_status == 7


async def test_asyncssh_logs_in_to_nacre(key: Path) -> None:
    users = nacre.Users({"any": USER.public})
    async with nacre.listen(host_keys=[HOST], policy=users, handler=_exit_7) as server:
        trusted = asyncssh.import_known_hosts(f"[127.0.0.1]:{server.port} {HOST.public}\n")
        async with asyncssh.connect(
            "127.0.0.1",
            server.port,
            username="any",
            known_hosts=trusted,
            config=None,
            agent_path=None,
            client_keys=[str(key)],
            server_host_key_algs=[ED448],
        ) as connection:
            assert (await connection.run("any", timeout=30)).exit_status == 7


async def test_plink_logs_in_to_nacre_with_a_file_that_nacre_wrote(tmp_path: Path) -> None:
    ppk = tmp_path / "key.ppk"
    ppk.write_bytes(dump_private(USER, format="ppk3"))
    users = nacre.Users({"any": USER.public})
    async with nacre.listen(host_keys=[HOST], policy=users, handler=_exit_7) as server:
        command = [require("plink"), "-batch", "-ssh", "-noagent", "-i", ppk]
        command += ["-hostkey", HOST.public.fingerprint(), "-P", str(server.port)]
        done = await asyncio.to_thread(run, [*command, "any@127.0.0.1", "x"], HOME=str(tmp_path))
    assert done.returncode == 7, done.stderr.decode()
