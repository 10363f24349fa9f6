"""The processes of PAM of all connections: one for each, from its first attempt on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from nacre.daemon.processes.pam.login import PAMLogin, spawn
from nacre.daemon.processes.pam.places import Places
from nacre.errors import AccountError, ConnectionLost, DisconnectCode

if TYPE_CHECKING:
    from nacre.server.admission.user_threads import UserThreads
    from nacre.server.peer import Client


class PAMLogins:
    """Starts a process for each login, and ends it with its connection."""

    def __init__(self, threads: UserThreads) -> None:
        """Prepare.

        :param threads: where processes are started.
        """
        self._threads = threads
        self._places = Places()
        self._known: WeakKeyDictionary[Client, PAMLogin] = WeakKeyDictionary()

    def find(self, client: Client) -> PAMLogin | None:
        """Return the process of a connection, if it has one."""
        return self._known.get(client)

    async def begin(self, user: str, client: Client, service: str) -> PAMLogin:
        """Return the process of a connection for this user; it is started if there is none.

        :param service: the name of the file in ``/etc/pam.d``.
        :raises AccountError: it can't be started, or PAM does not begin.
        """
        known = self._known.get(client)
        if known is not None and known.user == user:
            return known
        if known is not None:
            known.close()
        login = self._known[client] = await self._start(user, client)
        client.spawn(_attend(login, client))
        outcome = await login.begin(service, client.peer[0])
        if outcome.reason:
            del self._known[client]
            login.close()
            raise AccountError(f"PAM does not begin: {outcome.reason}")
        return login

    async def _start(self, user: str, client: Client) -> PAMLogin:
        give_back = await self._places.take(client.peer[0])
        try:
            child, sock = await self._threads.run_for_login(user, client, spawn)
            return PAMLogin(user, child, sock, give_back)
        except (OSError, RuntimeError) as error:
            give_back()
            raise AccountError(f"no process of PAM: {error}") from error
        except BaseException:
            give_back()
            raise


async def _attend(login: PAMLogin, client: Client) -> None:
    """End the process with the connection, and the connection if the process ends by itself."""
    try:
        await asyncio.wait({login.ended})
        if not login.closed:
            what, how = "the process of PAM has ended", login.ended.result()
            client.record("error", what=what, error=how)
            client.fail(
                ConnectionLost(f"{what}: {how}"),
                DisconnectCode.BY_APPLICATION,
                "the server can't serve this user now",
            )
    finally:
        login.close()
