"""Forward ports for clients: python examples/gateway_server.py PORT PASSWORD ALLOWEDPORT

alice may reach ALLOWEDPORT of this host (ssh -L), and listen on its loopback (ssh -R).
There are no shells, commands or files.
"""

import asyncio
import sys

import nacre


class Gateway(nacre.Users):
    """Users who may have ports forwarded: nothing is allowed that no method here grants."""

    def __init__(self, users: dict[str, str], allowed: int) -> None:
        super().__init__(users)
        self.allowed = allowed

    def direct_connection(self, host, port, connection):
        return host in ("localhost", "127.0.0.1") and port == self.allowed

    def remote_listen(self, host, port, connection):
        if host in ("localhost", "127.0.0.1") and (port == 0 or port >= 1024):
            return "127.0.0.1"
        return None


async def main(port: int, password: str, allowed: int) -> None:
    policy = Gateway({"alice": password}, allowed)
    key = nacre.generate("ssh-ed25519")
    async with nacre.listen(port=port, host_keys=[key], policy=policy) as server:
        print(f"ssh -N -p {server.port} -L 8080:localhost:{allowed} alice@127.0.0.1", flush=True)
        await server.wait_closed()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
