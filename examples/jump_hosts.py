"""Reach a host behind another: python examples/jump_hosts.py HOST PORT USER JUMP JUMPPORT"""

import asyncio
import sys

import nacre


async def main(host: str, port: int, user: str, jump: str, jump_port: int) -> None:
    jump_host = f"{user}@{jump}:{jump_port}"
    try:
        async with nacre.connect(host, port, user=user, jump=jump_host) as ssh:
            print((await ssh.run("echo $((6 * 7))", check=True)).stdout, end="")
    except nacre.ConnectionLost as error:
        print(f"failed at {error.hop or host}: {error}")

    # many hosts behind one connection, which stays open
    async with (
        nacre.connect(jump, jump_port, user=user) as gate,
        nacre.connect(host, port, user=user, jump=gate) as ssh,
    ):
        print((await ssh.run("true")).exit_status)


if __name__ == "__main__":
    host, port, user, jump, jump_port = sys.argv[1:]
    asyncio.run(main(host, int(port), user, jump, int(jump_port)))
