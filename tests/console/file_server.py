"""An SSH server with the users of a world, in a thread with a loop of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import nacre
from nacre.daemon.accounts.virtual.policy import StorePolicy
from nacre.daemon.api.plan import ServedSSH
from nacre.daemon.sessions import Sessions
from nacre.daemon.store.store import UserStore

HOST_KEY = nacre.generate("ssh-ed25519")


class FileServer:
    """The server.

    :ivar records: what it has logged.
    :ivar ssh: where it is, as the API tells.
    """

    def __init__(self, store: UserStore, run_as: str | None) -> None:
        self.records: list[dict[str, object]] = []
        self.ssh = ServedSSH()
        self._store, self._run_as = store, run_as
        self._ready, self._over = threading.Event(), asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),))
        self._server: nacre.Server | None = None

    async def _run(self) -> None:
        policy = StorePolicy(self._store, self._run_as)
        sessions = Sessions(policy)
        listening = nacre.listen(
            policy=policy,
            handler=sessions.handle,
            host_keys=[HOST_KEY],
            log=lambda record: self.records.append(dict(record)),
        )
        async with listening as server:
            self._server = server
            self.ssh = ServedSSH((f"127.0.0.1:{server.port}",), (str(HOST_KEY.public),))
            self._ready.set()
            await self._over.wait()
        await sessions.end()
        policy.close()

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(30)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(30)
        self._loop.close()

    def connections(self) -> int:
        """Return how many connections there are."""
        assert self._server is not None
        return len(list(self._server.connections))

    def drop(self) -> None:
        """End all connections."""

        async def drop() -> None:
            assert self._server is not None
            for one in list(self._server.connections):
                one.abort()
                await one.wait_closed()

        asyncio.run_coroutine_threadsafe(drop(), self._loop).result(30)


@contextmanager
def file_server(store: UserStore, run_as: str | None) -> Iterator[FileServer]:
    """Have a server up to the end of the context."""
    found = FileServer(store, run_as)
    found.start()
    try:
        yield found
    finally:
        found.stop()
