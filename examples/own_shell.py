"""A shell of one's own: python examples/own_shell.py PORT PASSWORD"""

import asyncio
import sys
from pathlib import Path

from greeting_server import kept_key

import nacre
import nacre.apps


async def calculator(shell: nacre.apps.LineShell) -> None:
    async for line in shell:  # up to Ctrl-D; Ctrl-C drops a line
        numbers = line.replace("+", " ").split()
        if all(number.isdigit() for number in numbers):
            shell.print(sum(map(int, numbers)))
        else:
            shell.print("Give numbers with + between them.")


async def main(port: int, password: str) -> None:
    users = nacre.Users({"alice": password})
    key = kept_key(Path("shell_key"))
    handler = nacre.apps.shell_handler(calculator, prompt="sum> ")
    async with nacre.listen(port=port, host_keys=[key], policy=users, handler=handler) as server:
        print(f"ssh -p {server.port} alice@127.0.0.1", flush=True)
        await server.wait_closed()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
