"""Sort standard input on a host, line by line: python examples/streams.py HOST PORT USER"""

import asyncio
import sys

import nacre


async def main(host: str, port: int, user: str) -> None:
    async with (
        nacre.connect(host, port, user=user, keepalive=15) as ssh,
        ssh.process("sort") as process,
    ):
        for line in sys.stdin.buffer:
            await process.stdin.write(line)  # waits when the server is slow
        process.stdin.write_eof()
        async for line in process.stdout:
            sys.stdout.buffer.write(line)
        await process.wait()


if __name__ == "__main__":
    host, port, user = sys.argv[1:]
    asyncio.run(main(host, int(port), user))
