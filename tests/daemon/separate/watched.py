"""The processes of a separated server, as the system shows them to root."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nacre
from daemon.served import Server, serving


@dataclass(frozen=True)
class Watched:
    """One process, with what /proc/PID/status says."""

    pid: int
    status: dict[str, str]

    @property
    def name(self) -> str:
        return self.status["Name"]

    @property
    def uids(self) -> set[int]:
        return {int(one) for one in self.status["Uid"].split()}

    @property
    def capabilities(self) -> int:
        names = ("CapInh", "CapPrm", "CapEff", "CapAmb")
        return sum(int(self.status[name], 16) for name in names)

    @property
    def gone(self) -> bool:
        try:
            return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except FileNotFoundError:
            return True

    def holds(self, needle: bytes) -> bool:
        """Tell whether its memory, as far as it can be written, has these bytes."""
        with open(f"/proc/{self.pid}/maps") as maps, open(f"/proc/{self.pid}/mem", "rb") as memory:
            for line in maps:
                span, rights = line.split()[:2]
                if not rights.startswith("rw"):
                    continue
                start, _, end = span.partition("-")
                with suppress(OSError, ValueError):
                    memory.seek(int(start, 16))
                    if needle in memory.read(int(end, 16) - int(start, 16)):
                        return True
        return False

    def descriptors(self) -> list[str]:
        """Return what its descriptors lead to."""
        found = []
        for one in Path(f"/proc/{self.pid}/fd").iterdir():
            with suppress(OSError):
                found.append(os.readlink(one))
        return found


def processes(server: Server) -> list[Watched]:
    """Return the children of the server's first process that do something: all but users' own."""
    found = [Watched(int(one["Pid"]), one) for one in server.statuses()]
    return [one for one in found if one.name != "nacre-spare" and not one.gone]


def monitor(server: Server) -> Watched:
    lines = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    words = (line.partition(":") for line in lines)
    return Watched(server.process.pid, {name: rest.strip() for name, _, rest in words})


def gates(server: Server) -> list[Watched]:
    return [one for one in processes(server) if one.name == "nacre-gate"]


def of_user(server: Server, uid: int) -> list[Watched]:
    """Return the session processes of an account."""
    sessions = [one for one in processes(server) if one.name == "nacre-session"]
    return [one for one in sessions if one.uids == {uid}]


def template(server: Server) -> Watched:
    (one,) = [one for one in processes(server) if one.name == "nacre-template"]
    return one


def readers(server: Server, port: int) -> list[Watched]:
    """Return the processes that have the connection of the client with this port."""
    inodes = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        ends = [int(word.rpartition(":")[2], 16) for word in words[1:3]]
        if ends == [server.port, port]:
            inodes.add(f"socket:[{words[9]}]")
    everyone = [monitor(server), *processes(server)]
    return [one for one in everyone if inodes & set(one.descriptors())]


async def until(holds: Callable[[], object]) -> None:
    """Wait for what the system does when it likes."""
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def make_host_key(state: Path) -> Path:
    """Make the server's host key, or another one in its place."""
    file = state / "host_key"
    file.write_bytes(nacre.dump_private(nacre.generate("ssh-ed25519")))
    file.chmod(0o600)
    return file


@asynccontextmanager
async def separated(state: Path, *arguments: str) -> AsyncIterator[Server]:
    """Run a server of the system's users, with gates, which must have nothing to complain about."""
    key = f"HostKey={make_host_key(state)}"
    async with serving(state, "--users", "system", "-o", key, *arguments) as server:
        yield server
        if server.process.returncode is None:
            server.process.kill()
        await server.end()
        assert not [line for line in server.lines if "Traceback" in line], server.lines


class Stranger:
    """A client that has sent its version, and no more."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.port = writer.get_extra_info("sockname")[1]

    async def ended(self) -> None:
        async with asyncio.timeout(20):
            try:
                await self.reader.read()
            except ConnectionError:
                return


@asynccontextmanager
async def stranger(server: Server) -> AsyncIterator[Stranger]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        writer.write(b"SSH-2.0-stranger\r\n")
        async with asyncio.timeout(20):
            assert (await reader.readline()).startswith(b"SSH-2.0-")
        yield Stranger(reader, writer)
    finally:
        writer.close()


async def echo(ssh: Any) -> None:
    assert (await ssh.run("echo x")).stdout == "x\n"


def port_of(ssh: Any) -> int:
    port: int = ssh.driver.transport.get_extra_info("sockname")[1]
    return port


def reader(server: Server, port: int) -> Watched:
    (one,) = readers(server, port)
    return one
