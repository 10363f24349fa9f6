"""Reach a web server through a host: python examples/forward_port.py HOST PORT USER PAGEPORT"""

import asyncio
import sys
from urllib.request import urlopen

import nacre


async def main(host: str, port: str, user: str, page: int) -> None:
    async with nacre.connect(host, int(port), user=user) as ssh:
        async with ssh.forward_local("127.0.0.1", page) as listener:
            url = f"http://127.0.0.1:{listener.port}/"
            with await asyncio.to_thread(urlopen, url) as answer:
                print(answer.status)
        async with ssh.open_connection("127.0.0.1", page) as tunnel:
            await tunnel.writer.write(b"HEAD / HTTP/1.0\r\n\r\n")
            print((await tunnel.reader.readline()).decode().strip())


if __name__ == "__main__":
    host, port, user, page = sys.argv[1:]
    asyncio.run(main(host, port, user, int(page)))
