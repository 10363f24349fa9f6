"""Twisted Conch as a client: PORT USER KEY LOCAL BACK (see README.md)."""

from __future__ import annotations

import os
import struct
import sys
from pathlib import Path
from typing import Any

from twisted.conch.ssh import common, connection, keys, transport, userauth
from twisted.conch.ssh.channel import SSHChannel
from twisted.conch.ssh.filetransfer import (
    FXF_CREAT,
    FXF_READ,
    FXF_TRUNC,
    FXF_WRITE,
    FileTransferClient,
)
from twisted.internet import defer, protocol, task

BLOCK = 32768
AT_ONCE = 16
"""Requests in flight."""


class Login(userauth.SSHUserAuthClient):
    def __init__(self, user: str, key: str, instance: Any) -> None:
        super().__init__(user.encode(), instance)
        self._key: Any = keys.Key.fromFile(key)
        self._left = [self._key]

    def getPublicKey(self) -> Any:
        return self._left.pop() if self._left else None

    def getPrivateKey(self) -> Any:
        return defer.succeed(self._key)


class Connection(connection.SSHConnection):
    def __init__(self, ready: Any) -> None:
        super().__init__()
        self._ready = ready

    def serviceStarted(self) -> None:
        super().serviceStarted()
        self._ready.callback(self)


class Transport(transport.SSHClientTransport):
    """Logs in, and gives the connection to the factory's Deferred."""

    def verifyHostKey(self, *_: object) -> Any:
        return defer.succeed(True)

    def connectionSecure(self) -> None:
        # This is called after each exchange of keys.
        factory = self.factory
        if not factory.ready.called:
            self.requestService(Login(factory.user, factory.key, Connection(factory.ready)))

    def connectionLost(self, reason: Any = None) -> None:
        super().connectionLost(reason)
        if not self.factory.ready.called:
            self.factory.ready.errback(reason)


class Command(SSHChannel):
    """Runs a command; ``done`` has its output, what it wrote to stderr, and its status."""

    name = b"session"

    def __init__(self, command: bytes, **more: Any) -> None:
        super().__init__(**more)
        self._command, self.done = command, defer.Deferred()
        self._out, self._problems, self._status = b"", b"", -1

    def channelOpen(self, _data: Any) -> None:
        self.conn.sendRequest(self, b"exec", common.NS(self._command))

    def dataReceived(self, data: bytes) -> None:
        self._out += data

    def extReceived(self, _kind: int, data: bytes) -> None:
        self._problems += data

    def request_exit_status(self, data: bytes) -> None:
        (self._status,) = struct.unpack(">I", data)

    def closed(self) -> None:
        self.done.callback((self._out, self._problems, self._status))


class Files(SSHChannel):
    """Starts SFTP; ``ready`` has its client."""

    name = b"session"

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.ready = defer.Deferred()

    async def _start(self) -> None:
        await self.conn.sendRequest(self, b"subsystem", common.NS(b"sftp"), wantReply=True)
        client = FileTransferClient()
        client.makeConnection(self)
        self.dataReceived = client.dataReceived
        self.ready.callback(client)

    def channelOpen(self, _data: Any) -> None:
        defer.ensureDeferred(self._start()).addErrback(self.ready.errback)


async def _each(offsets: range, move: Any) -> None:
    """Call ``move`` for each offset, some at once."""
    waiting = iter(offsets)

    async def work() -> None:
        for offset in waiting:
            await move(offset)

    workers = [defer.ensureDeferred(work()) for _ in range(AT_ONCE)]
    await defer.gatherResults(workers, consumeErrors=True)


async def put(sftp: Any, local: Path, remote: str) -> None:
    data = local.read_bytes()
    file = await sftp.openFile(remote.encode(), FXF_WRITE | FXF_CREAT | FXF_TRUNC, {})
    await _each(
        range(0, len(data), BLOCK),
        lambda offset: file.writeChunk(offset, data[offset : offset + BLOCK]),
    )
    await file.close()


async def get(sftp: Any, remote: str, local: Path) -> None:
    file = await sftp.openFile(remote.encode(), FXF_READ, {})
    size = (await file.getAttrs())["size"]
    data = bytearray(size)

    async def move(offset: int) -> None:
        count = min(BLOCK, size - offset)
        while count:
            block = await file.readChunk(offset, count)
            data[offset : offset + len(block)] = block
            offset, count = offset + len(block), count - len(block)

    await _each(range(0, size, BLOCK), move)
    await file.close()
    local.write_bytes(data)


async def work(reactor: Any, port: str, user: str, key: str, local: Path, back: Path) -> None:
    factory: Any = protocol.ClientFactory.forProtocol(Transport)
    factory.user, factory.key, factory.ready = user, key, defer.Deferred()
    reactor.connectTCP("127.0.0.1", int(port), factory)
    ssh = await factory.ready
    command = Command(b"echo out; echo err >&2; exit 7", conn=ssh)
    ssh.openChannel(command)
    ran = await command.done
    assert ran == (b"out\n", b"err\n", 7), ran
    files = Files(conn=ssh)
    ssh.openChannel(files)
    sftp = await files.ready

    await sftp.makeDirectory(b"there", {})
    await sftp.makeDirectory(b"there/many", {})
    for name in os.listdir(local / "many"):
        await put(sftp, local / "many" / name, f"there/many/{name}")
    await put(sftp, local / "large", "there/large")
    await sftp.makeLink(b"there/link", b"large")
    target = await sftp.readLink(b"there/link")
    assert target == "large", target

    (back / "many").mkdir()
    directory = await sftp.openDirectory(b"there/many")
    names = []
    while True:
        try:
            names += await directory.read()
        except EOFError:
            break
    await directory.close()
    for name, _, _ in names:
        if name not in (b".", b".."):
            await get(sftp, f"there/many/{name.decode()}", back / "many" / name.decode())
    await get(sftp, "there/large", back / "large")
    ssh.transport.loseConnection()


if __name__ == "__main__":
    words = (*sys.argv[1:4], Path(sys.argv[4]), Path(sys.argv[5]))
    task.react(lambda reactor: defer.ensureDeferred(work(reactor, *words)))
