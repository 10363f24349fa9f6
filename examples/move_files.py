"""Move files there and back: python examples/move_files.py HOST PORT USER FILE DIRECTORY"""

import asyncio
import sys

import nacre


async def main(host: str, port: str, user: str, file: str, directory: str) -> None:
    async with nacre.connect(host, int(port), user=user) as ssh, ssh.sftp() as sftp:
        await sftp.makedirs("releases", exist_ok=True)
        await sftp.put(file, "releases/release.tar", atomic=True, verify=True)
        async with await sftp.open("releases/notes.txt", "a") as notes:
            await notes.write("done\n")
        await sftp.get("releases", directory, recursive=True, preserve=True)
        print(sorted(await sftp.listdir("releases")))


asyncio.run(main(*sys.argv[1:]))
