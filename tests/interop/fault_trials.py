"""What goes through the fault proxy, and what must hold of it afterwards.

A work raises an OSError or a NacreError where it failed, and an AssertionError where what it was
given as whole is not.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nacre
from interop.clients import ME
from interop.programs import NACRE, environment, require
from nacre.errors import NacreError

DATA = random.Random(12).randbytes(300_000)
OLD = b"what was there before\n"
COMMAND = "seq 1 30000; echo noted >&2; exit 3"
PRINTED = "".join(f"{number}\n" for number in range(1, 30001))
_PATIENCE = 12.0  # seconds, for a program
PATIENCE: dict[str, Any] = {"timeout": 5.0, "keepalive": 0.4, "keepalive_count": 2}


class FailedError(OSError):
    """A work failed, and has said so."""


class Everything(nacre.Policy):
    """Lets one key in, and allows it everything."""

    def __init__(self, key: nacre.PublicKey) -> None:
        self._key = key

    def public_key(
        self, user: str, key: nacre.PublicKey, algorithm: str, signed: bool, connection: object
    ) -> bool:
        return key == self._key

    def rsa_key(self, user: str, modulus: int, connection: object) -> nacre.PublicKey:
        return self._key

    def session_request(self, session: object, request: object) -> bool:
        return True

    def direct_connection(self, host: str, port: int, connection: object) -> bool:
        return True

    def remote_listen(self, host: str, port: int, connection: object) -> str:
        return host


async def handle(session: nacre.Session) -> int:
    """Do what a shell does with the two commands of the works."""
    if session.command == b"cat":
        while data := await session.stdin.read(1 << 16):
            await session.stdout.write(data)
        return 0
    assert session.command == COMMAND.encode()
    await session.stdout.write(PRINTED.encode())
    await session.stderr.write(b"noted\n")
    return 3


async def serve(key: nacre.PrivateKey, root: str = "/") -> nacre.Server:
    """Serve commands and files, and give up clients that fall silent."""
    old = key.public.type == "rsa1"
    return await nacre.listen(
        host_keys=[nacre.generate("rsa1", bits=1280) if old else nacre.generate("ssh-ed25519")],
        protocols=(1,) if old else (2,),
        policy=Everything(key.public),
        handler=handle,
        sftp=lambda session: nacre.LocalFilesystem(root),
        login_grace=4.0,
        keepalive=0.4,
        keepalive_count=2,
        max_startups="1000",
        log=lambda record: None,
    )


@dataclass
class Trial:
    """One work's surroundings.

    :ivar port: where to log in.
    :ivar direct: the server's own port, without the proxy.
    :ivar draw: chooses among the work's variants.
    :ivar limit: seconds for a command: SSH-1 has no keepalives.
    """

    port: int
    direct: int
    key: Path | nacre.PrivateKey
    directory: Path
    draw: random.Random
    protocols: tuple[int, ...] = (2,)
    limit: float = 20.0
    options: dict[str, bool] = field(default_factory=dict)

    def login(self, port: int | None = None) -> Any:
        return nacre.connect(
            "127.0.0.1",
            port or self.port,
            user=ME,
            keys=[self.key],
            agent=False,
            trust=nacre.AnyHostKey(),
            protocols=self.protocols,
            **PATIENCE,
        )

    def file(self, name: str, data: bytes) -> Path:
        path = self.directory / name
        path.write_bytes(data)
        return path


# --- the library ---


async def run(trial: Trial) -> None:
    async with trial.login() as ssh:
        result = await ssh.run(COMMAND, timeout=trial.limit)
        assert result == nacre.Completed(COMMAND, 3, None, PRINTED, "noted\n")


async def echo(trial: Trial) -> None:
    async with trial.login() as ssh:
        result = await ssh.run("cat", input=DATA, encoding=None, timeout=trial.limit)
        assert (result.exit_status, result.stdout) == (0, DATA)


async def stream(trial: Trial) -> None:
    async with trial.login() as ssh, ssh.process(COMMAND) as process:
        lines = [line async for line in process.stdout]
        assert b"".join(lines) == PRINTED.encode()
        assert await process.stderr.read() == b"noted\n"
        assert await process.wait() == 3


async def _copy(trial: Trial, *, up: bool) -> None:
    """Copy a file; after a failure, once more without faults, going on where it ended."""
    draw = trial.draw
    trial.options = {name: draw.random() < 0.4 for name in ("atomic", "verify", "resume")}
    source = trial.file("source", DATA)
    begun = DATA[: draw.randrange(len(DATA))] if trial.options["resume"] else OLD
    target = trial.file("target", begun)

    async def copy(port: int, **options: bool) -> None:
        async with trial.login(port) as ssh, ssh.sftp() as sftp:
            await (sftp.put if up else sftp.get)(str(source), str(target), **options)

    try:
        await copy(trial.port, **trial.options)
    except (NacreError, OSError):
        if trial.options["atomic"]:
            assert target.read_bytes() in (begun, DATA), "an atomic copy left a part of the file"
        elif trial.options["resume"] and not up:
            await copy(trial.direct, resume=True, verify=True)
            assert target.read_bytes() == DATA, "a copy went on from a wrong place"
        raise
    assert target.read_bytes() == DATA, "the copy differs"


async def put(trial: Trial) -> None:
    await _copy(trial, up=True)


async def get(trial: Trial) -> None:
    await _copy(trial, up=False)


async def open_file(trial: Trial) -> None:
    """Write a file and read it by the calls of a file object."""
    path = str(trial.directory / "opened")
    async with trial.login() as ssh, ssh.sftp() as sftp:
        async with await sftp.open(path, "wb") as file:
            for start in range(0, len(DATA), 50_000):
                await file.write(DATA[start : start + 50_000])
        async with await sftp.open(path, "rb") as file:
            assert await file.read() == DATA


async def tree(trial: Trial) -> None:
    """Copy many files there and back."""
    source = trial.directory / "tree"
    source.mkdir(exist_ok=True)
    for number in range(20):
        (source / str(number)).write_bytes(DATA[: 1000 * number])
    there, back = trial.directory / "there", trial.directory / "back"
    for left in (there, back):
        shutil.rmtree(left, ignore_errors=True)
    async with trial.login() as ssh, ssh.sftp() as sftp:
        await sftp.put(str(source), str(there), recursive=True)
        await sftp.get(str(there), str(back), recursive=True)
        assert sorted(await sftp.listdir(str(there))) == sorted(os.listdir(source))
    for number in range(20):
        assert (back / str(number)).read_bytes() == DATA[: 1000 * number], "a file differs"


async def rekeying(trial: Trial) -> None:
    """Exchange keys while data flows in both directions."""
    async with trial.login() as ssh:
        running = asyncio.ensure_future(
            ssh.run("cat", input=DATA, encoding=None, timeout=trial.limit)
        )
        try:
            for _ in range(4):
                await ssh.rekey()
            result = await running
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        assert (result.exit_status, result.stdout) == (0, DATA)


@contextlib.asynccontextmanager
async def _echoing() -> AsyncIterator[int]:
    """Serve what sends back what it got, once it has all; its port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.CancelledError):
            writer.write(await reader.read())
            await writer.drain()
        writer.close()
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


class TruncatedError(AssertionError):
    """A connection ended as if it were whole."""


async def _through(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(DATA)
        await writer.drain()
        writer.write_eof()
        got = await reader.read()
        assert got == DATA[: len(got)], "a connection carried other bytes"
        if len(got) < len(DATA):
            raise TruncatedError(f"a connection ended as if it were whole, after {len(got)} bytes")
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def local(trial: Trial) -> None:
    async with _echoing() as goal, trial.login() as ssh:
        listener = await ssh.forward_local("127.0.0.1", goal, listen_host="127.0.0.1")
        await _through(listener.port)


async def remote(trial: Trial) -> None:
    async with _echoing() as goal, trial.login() as ssh:
        listener = await ssh.forward_remote("127.0.0.1", goal, listen_host="127.0.0.1")
        await _through(listener.port)


async def remote_of_sshd(trial: Trial) -> None:
    """When its SSH connection is lost, OpenSSH's server ends its sockets like whole ones."""
    try:
        await remote(trial)
    except TruncatedError as error:
        raise FailedError(str(error)) from None


async def tunnel(trial: Trial) -> None:
    async with (
        _echoing() as goal,
        trial.login() as ssh,
        ssh.open_connection("127.0.0.1", goal) as there,
    ):
        reading = asyncio.ensure_future(there.reader.read())
        try:
            await there.writer.write(DATA)
            there.writer.write_eof()
            assert await reading == DATA
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)


LIBRARY: dict[str, Callable[[Trial], Awaitable[None]]] = {
    work.__name__: work
    for work in (run, echo, stream, put, get, open_file, tree, rekeying, local, remote, tunnel)
}


SSH1: dict[str, Callable[[Trial], Awaitable[None]]] = {"run": run, "echo": echo}
LIBRARY_TO_SSHD = {**LIBRARY, "remote": remote_of_sshd}

# --- programs ---


async def _start(trial: Trial, client: Sequence[str], port: str, *words: str) -> Process:
    """Start a client; ``port`` is its flag for the port, ``words`` follow the host."""
    options = [
        "StrictHostKeyChecking=no",
        f"UserKnownHostsFile={trial.directory / 'known_hosts'}",
        "IdentitiesOnly=yes",
        "ConnectTimeout=4",
        "ServerAliveInterval=1",
        "ServerAliveCountMax=2",
    ]
    listed = [word for option in options for word in ("-o", option)]
    where = ["-F", "none", port, str(trial.port), "-i", str(trial.key), *listed]
    return await asyncio.create_subprocess_exec(
        *client,
        *where,
        f"{ME}@127.0.0.1",
        *words,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(),
    )


async def _end(process: Process, client: Sequence[str], status: int, stdin: bytes = b"") -> bytes:
    """Return what a client printed; a foreign one that waits for ever is ended, as users do."""
    try:
        async with asyncio.timeout(_PATIENCE):
            out, err = await process.communicate(stdin)
    except TimeoutError:
        assert client[0] not in NACRE, f"{client} hangs"
        raise FailedError("it hangs") from None
    finally:
        await _kill(process)
        assert process.stdin is not None
        # Before Python 3.11.4 the loop complains of a broken pipe that nobody asked about.
        with contextlib.suppress(OSError):
            await process.stdin.wait_closed()
    assert b"Traceback" not in err, err.decode()
    if process.returncode != status or b"closed" in err:
        raise FailedError(f"status {process.returncode}: {err.decode()}")
    return out


async def _kill(process: Process) -> None:
    if process.returncode is None:
        process.kill()
        await process.communicate()


async def _runs(trial: Trial, *client: str) -> None:
    out = await _end(await _start(trial, client, "-p", COMMAND), client, 3)
    assert out == PRINTED.encode(), "truncated, and no error"


async def _copies(trial: Trial, *client: str) -> None:
    source = trial.file("source", DATA)
    up, down = trial.directory / "up", trial.directory / "down"
    batch = f"put {source} {up}\nget {up} {down}\n"
    process = await _start(trial, [*client, "-b", "-"], "-P")
    await _end(process, client, 0, batch.encode())
    assert up.read_bytes() == DATA, "the copy there differs"
    assert down.read_bytes() == DATA, "the copy here differs"


async def _forwards_here(trial: Trial, *client: str) -> None:
    """Have the server connect, and the client's standard input and output lead there."""
    async with _echoing() as goal:
        process = await _start(trial, [*client, "-W", f"127.0.0.1:{goal}"], "-p")
        assert await _end(process, client, 0, DATA) == DATA, "truncated, and no error"


async def _forwards_there(trial: Trial, *client: str) -> None:
    """Have the server listen, and the client connect."""
    async with _echoing() as goal:
        words = [*client, "-R", f"127.0.0.1:0:127.0.0.1:{goal}"]
        process = await _start(trial, words, "-p", "cat")
        try:
            async with asyncio.timeout(_PATIENCE):
                assert process.stderr is not None
                while b"Allocated port" not in (line := await process.stderr.readline()):
                    if not line:
                        raise FailedError("it does not listen")
            await _through(int(line.split()[2]))
        except TimeoutError:
            raise FailedError("it hangs") from None
        finally:
            await _kill(process)


PROGRAMS: dict[str, Callable[[Trial], Awaitable[None]]] = {
    "ssh": lambda trial: _runs(trial, require("ssh")),
    "sftp": lambda trial: _copies(trial, require("sftp")),
    "ssh -W": lambda trial: _forwards_here(trial, require("ssh")),
    "ssh -R": lambda trial: _forwards_there(trial, require("ssh")),
    "nacre ssh": lambda trial: _runs(trial, *NACRE, "ssh"),
    "nacre sftp": lambda trial: _copies(trial, *NACRE, "sftp"),
}
