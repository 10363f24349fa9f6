"""Run a command on a host: python examples/run.py HOST PORT USER COMMAND"""

import asyncio
import sys

import nacre


async def main(host: str, port: int, user: str, command: str) -> int:
    async with nacre.connect(host, port, user=user) as ssh:
        done = await ssh.run(command, timeout=60)
    print(done.stdout, end="")
    print(done.stderr, end="", file=sys.stderr)
    return 255 if done.exit_status is None else done.exit_status


if __name__ == "__main__":
    host, port, user, command = sys.argv[1:]
    try:
        sys.exit(asyncio.run(main(host, int(port), user, command)))
    except nacre.NacreError as error:
        sys.exit(str(error))
