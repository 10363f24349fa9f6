"""Run a command over the connection of a master, if there is one:

python examples/shared_connection.py HOST PORT USER COMMAND
"""

import asyncio
import sys

import nacre


async def main(host: str, port: int, user: str, command: str) -> None:
    async with nacre.connect(host, port, user=user, control="auto") as ssh:
        print((await ssh.run(command)).stdout, end="")


if __name__ == "__main__":
    host, port, user, command = sys.argv[1:]
    try:
        asyncio.run(main(host, int(port), user, command))
    except nacre.NacreError as error:
        sys.exit(str(error))
