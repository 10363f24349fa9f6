"""An agent whose keys another service holds: python examples/signing_service.py SOCKET

SSH_AUTH_SOCK=SOCKET ssh alice@example.org
"""

import asyncio
import sys

import nacre


class Service:
    """Stands for a vault or a hardware module, which signs and never shows its key."""

    def __init__(self) -> None:
        self._key = nacre.generate("ssh-ed25519")
        self.public_key = self._key.public

    async def sign(self, data: bytes) -> bytes:
        return self._key.sign(data, "ssh-ed25519")


class Vault(nacre.Keyring):
    def __init__(self, service: Service) -> None:
        self.service = service

    async def keys(self) -> list[tuple[nacre.PublicKey, str]]:
        return [(self.service.public_key, "in the vault")]

    async def sign(self, key: nacre.PublicKey, data: bytes, algorithm: str) -> bytes:
        if key != self.service.public_key:
            raise nacre.UnusableKey("the vault has no such key")
        return await self.service.sign(data)


async def main(path: str) -> None:
    async with nacre.serve_agent(path, Vault(Service()), log=print) as agent:
        print(f"SSH_AUTH_SOCK={agent.path}", flush=True)
        await agent.wait_closed()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
