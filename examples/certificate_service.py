"""Certificates for an hour: python examples/certificate_service.py PORT PASSWORD

For a user with the password: ssh -p PORT alice@127.0.0.1 < id_ed25519.pub > id_ed25519-cert.pub
"""

import asyncio
import sys
import time
from pathlib import Path

import nacre


def certificate(line: bytes, user: str, authority: nacre.PrivateKey) -> nacre.Certificate:
    key, _ = nacre.load_public(line)
    now = int(time.time())
    return nacre.Certificate.issue(
        key,
        authority,
        key_id=f"{user} by password",
        principals=[user],
        valid_after=now - 60,  # clocks differ
        valid_before=now + 3600,
        serial=time.time_ns(),
        extensions={"permit-pty": b""},
    )


def kept_key(path: Path) -> nacre.PrivateKey:
    if not path.exists():
        path.touch(mode=0o600)
        path.write_bytes(nacre.dump_private(nacre.generate("ssh-ed25519")))
    return nacre.load_private(path.read_bytes())


async def main(port: int, password: str) -> None:
    users = nacre.Users({"alice": password})
    authority = kept_key(Path("authority_key"))

    async def answer(session: nacre.Session) -> int:
        try:
            made = certificate(await session.stdin.readline(), session.user, authority)
        except nacre.UnusableKey as error:
            await session.stderr.write(f"{error}\n".encode())
            return 1
        await session.stdout.write(f"{made}\n".encode())
        return 0

    key = kept_key(Path("host_key"))
    async with nacre.listen(port=port, host_keys=[key], policy=users, handler=answer) as server:
        print(f"ssh -p {server.port} alice@127.0.0.1, and trust {authority.public}", flush=True)
        await server.wait_closed()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
