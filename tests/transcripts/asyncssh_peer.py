"""AsyncSSH as a peer to record: ``asyncssh_peer.py client|server HOME [PORT WAY]``."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import asyncssh


async def client(home: Path, port: int, way: str) -> int:
    """Log in by ``way``, run a command or read a file, and return the command's exit status."""
    how: dict[str, Any] = {"client_keys": None, "password": "secret", "preferred_auth": way}
    if way in ("publickey", "sftp"):
        how = {"client_keys": [str(home / "key")]}
    async with asyncssh.connect(
        "127.0.0.1", port, username="alice", known_hosts=None, config=None, agent_path=None, **how
    ) as connection:
        if way == "sftp":
            async with connection.start_sftp_client() as files, files.open("file", "rb") as file:
                print(await files.listdir("/"), await file.read())
            return 0
        done = await connection.run("cat", input="a line of input\n")
        return done.exit_status or 0


class _Server(asyncssh.SSHServer):
    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return password == "secret"


async def _echo(process: asyncssh.SSHServerProcess[bytes]) -> None:
    async for data in process.stdin:
        process.stdout.write(data)
    process.stderr.write(b"wrong\n")
    process.exit(7)


async def server(home: Path) -> None:
    """Serve logins by key, password and keyboard-interactive; print the port."""
    listener = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_factory=_Server,
        process_factory=_echo,
        sftp_factory=True,
        encoding=None,
        config=None,
        server_host_keys=[str(home / "host")],
        authorized_client_keys=str(home / "key.pub"),
        compression_algs=["zlib@openssh.com", "none"],
    )
    print("port", listener.get_port(), flush=True)
    await listener.wait_closed()


if __name__ == "__main__":
    role, place, *more = sys.argv[1:]
    if role == "server":
        asyncio.run(server(Path(place)))
    else:
        sys.exit(asyncio.run(client(Path(place), int(more[0]), more[1])))
