"""A server of files: python examples/file_server.py PORT PASSWORD DIRECTORY

alice sees DIRECTORY/alice; bob sees reports that are made when they are read.
"""

import asyncio
import sys

import nacre


def report(path: str) -> bytes:
    """Return a report's text."""
    return b"all is well with " + path.removeprefix("/").encode() + b"\n"


class Report(nacre.File):
    def __init__(self, path: str) -> None:
        self.text = report(path)

    def pread(self, size, offset):
        return self.text[offset : offset + size]

    def stat(self):
        return nacre.Attributes(size=len(self.text), permissions=0o100444)


class Reports(nacre.Filesystem):
    def stat(self, path):
        return nacre.Attributes(size=len(report(path)), permissions=0o100444)

    def open(self, path, flags, attributes):
        return Report(path)  # a nacre.File with pread() and stat()

    def upload_ended(self, upload):
        print(upload.path, upload.size, "whole" if upload.complete else "broken off")


async def main(port: int, password: str, directory: str) -> None:
    key = nacre.generate("ssh-ed25519")
    users = nacre.Users({"alice": password, "bob": password})

    def files(session: nacre.Session) -> nacre.Filesystem:
        if session.user == "bob":
            return Reports()
        return nacre.LocalFilesystem(f"{directory}/{session.user}")

    async with nacre.listen(port=port, host_keys=[key], policy=users, sftp=files) as server:
        print(f"sftp -P {server.port} alice@127.0.0.1", flush=True)
        await server.wait_closed()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3]))
