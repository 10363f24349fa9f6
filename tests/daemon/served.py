"""``nacre serve`` as its own process, for the tests of several files."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import nacre
from nacre.crypto.password import hash_password
from nacre.daemon.store.store import FILE, UserStore
from nacre.daemon.store.values import StoredKey, StoredUser

KEY = nacre.generate("ssh-ed25519")
HASH = hash_password(b"secret", os.urandom)
NACRE = Path(sys.executable).parent / "nacre"
RUN_AS = "root" if os.geteuid() == 0 else None


class Server:
    """The process, and what it said."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []
        self.port = 0

    async def until(self, pattern: str, since: int = 0) -> str:
        """Return the first line that matches, from line ``since`` on."""
        while True:
            for line in self.lines[since:]:
                if re.search(pattern, line):
                    return line
            assert self.process.stderr is not None
            # A machine with much to do takes more than 20 seconds to start a server.
            async with asyncio.timeout(60):
                line = (await self.process.stderr.readline()).decode()
            assert line, f"ended without {pattern!r}:\n{''.join(self.lines)}"
            self.lines.append(line)

    async def end(self) -> int:
        """Read what is left and return the exit status."""
        assert self.process.stderr is not None
        async with asyncio.timeout(60):
            self.lines += (await self.process.stderr.read()).decode().splitlines(keepends=True)
            return await self.process.wait()

    def statuses(self) -> list[dict[str, str]]:
        """Return /proc/PID/status of each process that the server has started."""
        found = []
        for file in Path("/proc").glob("[0-9]*/status"):
            with suppress(OSError):
                lines = [line.partition(":") for line in file.read_text().splitlines()]
                found.append({name: rest.strip() for name, _, rest in lines})
        return [status for status in found if status["PPid"] == str(self.process.pid)]

    def connect(self, user: str = "alice", **options: Any) -> Any:
        options = {"keys": [KEY], "agent": False, **options}
        return nacre.connect("127.0.0.1", self.port, user=user, trust=nacre.AnyHostKey(), **options)


@asynccontextmanager
async def serving(
    state: Path, *arguments: str, where: Sequence[str] = ("--listen", "127.0.0.1:0")
) -> AsyncIterator[Server]:
    process = await asyncio.create_subprocess_exec(
        *(str(NACRE), "serve", "--state", str(state)),
        *(*where, *arguments),
        stderr=asyncio.subprocess.PIPE,
        stdin=asyncio.subprocess.DEVNULL,
    )
    server = Server(process)
    try:
        ready = await server.until(r"^listening on 127\.0\.0\.1:\d+$")
        server.port = int(ready.rpartition(":")[2])
        yield server
    finally:
        if process.returncode is None:
            process.kill()
        await server.end()


def make_state(tmp_path: Path) -> Path:
    """Return a state directory with alice, both and files."""
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    store = UserStore(state / FILE)
    key = StoredKey(KEY.public, "")
    store.add(StoredUser(name="alice", password=HASH, home=str(tmp_path), run_as=RUN_AS), [key])
    store.add(
        StoredUser(name="both", password=HASH, auth="password-publickey", run_as=RUN_AS), [key]
    )
    home = str(tmp_path / "files")
    store.add(StoredUser(name="files", service="sftp", home=home, run_as=RUN_AS), [key])
    store.close()
    return state
