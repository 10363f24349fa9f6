"""AsyncSSH as a server: HOST_KEY USER_PUBLIC_KEY; prints "listening on PORT"."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import asyncssh


async def execute(process: Any) -> None:
    child = await asyncio.create_subprocess_shell(
        process.command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, problems = await child.communicate()
    process.stdout.write(out)
    process.stderr.write(problems)
    process.exit(child.returncode)


async def main(host_key: str, user_key: str) -> None:
    options: dict[str, Any] = {
        "server_host_keys": [host_key],
        "authorized_client_keys": user_key,
        "process_factory": execute,
        "sftp_factory": True,
        "encoding": None,
        "rekey_bytes": 1 << 20,
        "config": None,
    }
    server = await asyncssh.listen("127.0.0.1", 0, **options)
    print("listening on", server.get_port(), flush=True)
    await server.wait_closed()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3]))
