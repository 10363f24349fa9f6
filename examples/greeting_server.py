"""A server that greets alice: python examples/greeting_server.py PORT PASSWORD"""

import asyncio
import sys
from pathlib import Path

import nacre


async def greet(session: nacre.Session) -> int:
    await session.stdout.write(b"hello, " + session.user.encode() + b"\r\n")
    if session.command is not None:
        await session.stdout.write(b"no " + session.command + b" here\r\n")
    return 0


def kept_key(path: Path) -> nacre.PrivateKey:
    """Return the server's key, made at the first start: clients remember it."""
    if not path.exists():
        path.touch(mode=0o600)
        path.write_bytes(nacre.dump_private(nacre.generate("ssh-ed25519")))
    return nacre.load_private(path.read_bytes())


async def main(port: int, password: str) -> None:
    users = nacre.Users({"alice": password})
    key = kept_key(Path("greeting_key"))
    async with nacre.listen(port=port, host_keys=[key], policy=users, handler=greet) as server:
        print(f"ssh -p {server.port} alice@127.0.0.1", flush=True)
        await server.wait_closed()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
