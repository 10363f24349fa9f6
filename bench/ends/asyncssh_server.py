"""AsyncSSH as a server: commands, and SFTP. Arguments: host key, authorized keys."""

import asyncio
import os
import pwd
import signal
import sys

import asyncssh

SHELL = pwd.getpwuid(os.getuid()).pw_shell or "/bin/sh"
"""What the other servers here run commands with."""

# It let the account be looked up: what is started here needs it no more.
os.environ.pop("LD_PRELOAD", None)

PORTION = 1 << 16


class Forwarding(asyncssh.SSHServer):
    def connection_requested(self, *where: object) -> bool:
        return True


async def feed(process: asyncssh.SSHServerProcess[bytes], sink: asyncio.StreamWriter) -> None:
    while block := await process.stdin.read(PORTION):
        sink.write(block)
        await sink.drain()
    sink.close()


async def show(source: asyncio.StreamReader, sink: asyncssh.SSHWriter[bytes]) -> None:
    while block := await source.read(PORTION):
        sink.write(block)
        await sink.drain()


async def serve(process: asyncssh.SSHServerProcess[bytes]) -> None:
    assert process.command is not None
    child = await asyncio.create_subprocess_exec(
        SHELL,
        "-c",
        process.command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stderr is not None
    # redirect() is its own way to do this; it loses the exit status behind much output.
    feeding = asyncio.create_task(feed(process, child.stdin))
    await show(child.stdout, process.stdout)
    process.stderr.write(await child.stderr.read())
    status = await child.wait()
    feeding.cancel()
    process.exit(status)


async def main() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_host_keys=[sys.argv[1]],
        authorized_client_keys=sys.argv[2],
        process_factory=serve,
        sftp_factory=True,
        encoding=None,
        server_factory=Forwarding,
        backlog=1000,
    )
    print(f"listening on {server.get_port()}", flush=True)
    await stop.wait()
    server.close()


asyncio.run(main())
