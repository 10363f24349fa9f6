"""Connections to the SSH server in the names of users, who see their files over SFTP.

Nothing here decides what a user may do: the server does, as for any client of SFTP.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from nacre.client.connection import Connection
from nacre.console.web.browsers import BrowserSession
from nacre.console.web.calls import APIRefused, ConsoleAPI, path_of
from nacre.console.web.logins import SSHLogins
from nacre.errors import AuthenticationFailed, NacreError, SFTPError
from nacre.limits import KIB
from nacre.sftp.client.client import SFTPClient
from nacre.wire.text import safe

MOST_CONNECTIONS = 128
"""Connections at once, of all sessions."""

MOST_TRANSFERS = 8
"""Uploads, downloads and archives of one session at once."""

IDLE = 60.0
"""Seconds after which a connection ends that nothing uses."""

AHEAD = 512 * KIB
"""Bytes that are read ahead of a browser, and that wait to be confirmed, of each file."""

_REFUSED = 60.0
"""Seconds for which a refused login counts: more of them would cost the console's address penalties
and a ban, with the files of all users."""

_AGAIN = 5.0
"""Seconds after which the API is asked again whether the session still holds."""


@dataclass(slots=True, eq=False)
class _Opened:
    """A connection of a session.

    :ivar users: how many requests and uploads use it.
    :ivar checked: when the API was asked last whether the session holds.
    """

    connection: Connection
    sftp: SFTPClient
    checked: float
    users: int = 0
    ending: asyncio.TimerHandle | None = None


@dataclass(slots=True, eq=False)
class _SessionFiles:
    """What there is of a session: a lock for its login, and its transfers.

    :ivar opening: whether it logs in.
    :ivar refused: why its login was refused a short while ago; None if it was not.
    """

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    opened: _Opened | None = None
    waiting: int = 0
    transfers: int = 0
    opening: bool = False
    refused: str | None = None

    @property
    def counts(self) -> bool:
        """Tell whether there is a connection, or will be one."""
        return self.opening or self.opened is not None


class FileConnections:
    """The connections, one for each session that uses files. It belongs to a loop.

    :param holds: tells whether a session of a browser has not ended.
    :param logins: log in to the SSH server.
    """

    def __init__(
        self,
        api: ConsoleAPI,
        holds: Callable[[BrowserSession], bool],
        logins: SSHLogins,
    ) -> None:
        self._api = api
        self._holds = holds
        self._logins = logins
        self._places: dict[BrowserSession, _SessionFiles] = {}

    @asynccontextmanager
    async def opened(self, session: BrowserSession) -> AsyncIterator[SFTPClient]:
        """Yield the files of a user, up to the end of the context.

        :raises APIRefused: there are none, or something with them fails.
        """
        async with self._used(session) as found:
            yield found.sftp

    @asynccontextmanager
    async def _used(self, session: BrowserSession) -> AsyncIterator[_Opened]:
        place = self._places.setdefault(session, _SessionFiles())
        place.waiting += 1
        try:
            async with place.lock:
                found = await self._found(session, place)
        finally:
            place.waiting -= 1
            self._tidy(session, place)
        found.users += 1
        if found.ending is not None:
            found.ending.cancel()
        try:
            yield found
        except (NacreError, OSError) as error:
            raise told(error) from None
        finally:
            found.users -= 1
            self._rest(session, place, found)

    @asynccontextmanager
    async def transfer(self, session: BrowserSession) -> AsyncIterator[SFTPClient]:
        """Yield the same for something that takes long, of which a session has so many at once.

        :raises APIRefused: there are too many.
        """
        async with self._counted(session) as found:
            yield found.sftp

    @asynccontextmanager
    async def upload(self, session: BrowserSession) -> AsyncIterator[SFTPClient]:
        """Yield an SFTP session of its own for an upload, which counts as a transfer.

        Without its end, a file that is open in that one is an upload that has broken off.

        :raises APIRefused: there are too many transfers.
        """
        async with self._counted(session) as found:
            sftp = await found.connection.sftp()
            try:
                yield sftp
            finally:
                sftp.close()

    @asynccontextmanager
    async def _counted(self, session: BrowserSession) -> AsyncIterator[_Opened]:
        place = self._places.setdefault(session, _SessionFiles())
        if place.transfers >= MOST_TRANSFERS:
            raise APIRefused(429, f"{MOST_TRANSFERS} transfers run already: wait for one to end")
        place.transfers += 1
        try:
            async with self._used(session) as found:
                yield found
        finally:
            place.transfers -= 1
            self._tidy(session, place)

    async def _found(self, session: BrowserSession, place: _SessionFiles) -> _Opened:
        """Return the connection of a session that holds, a new one if need be."""
        now = asyncio.get_running_loop().time()
        found = place.opened
        if found is not None and not _is_over(found):
            if now - found.checked >= _AGAIN:
                try:
                    await self._api.call(session.token, "GET", path_of("own"))
                except APIRefused as error:
                    if error.status in (401, 403):
                        self._end(place)
                    raise
                found.checked = now
            # While the API was asked, the connection may have ended, or was closed as idle.
            if place.opened is found and not _is_over(found):
                return found
        self._end(place)
        if place.refused is not None:
            raise APIRefused(503, place.refused)
        if sum(one.counts for one in self._places.values()) >= MOST_CONNECTIONS:
            raise APIRefused(503, "too many people are at their files: try again in a minute")
        place.opening = True
        try:
            place.opened = await self._open(session, place)
        finally:
            place.opening = False
        return place.opened

    async def _open(self, session: BrowserSession, place: _SessionFiles) -> _Opened:
        """Log in.

        :raises APIRefused: the API or the server refuses it.
        """
        now = asyncio.get_running_loop().time()
        try:
            connection = await self._logins.log_in(session)
            try:
                sftp = await connection.sftp()
            except BaseException:
                connection.close()
                raise
        except (NacreError, OSError) as error:
            refused = _not_opened(error)
            if isinstance(error, AuthenticationFailed):
                self._remember(session, place, refused.detail)
            raise refused from None
        return _Opened(connection, sftp, now)

    def _remember(self, session: BrowserSession, place: _SessionFiles, reason: str) -> None:
        """Have a refused login count for a while."""

        def forget() -> None:
            place.refused = None
            self._tidy(session, place)

        place.refused = reason
        asyncio.get_running_loop().call_later(_REFUSED, forget)

    def _rest(self, session: BrowserSession, place: _SessionFiles, found: _Opened) -> None:
        """End a connection soon that nothing uses."""
        if found.users or place.opened is not found:
            return
        if _is_over(found) or not self._holds(session):
            self._end(place)
            self._tidy(session, place)
            return

        def on_idle() -> None:
            if not found.users and place.opened is found:
                self._end(place)
                self._tidy(session, place)

        if found.ending is not None:
            found.ending.cancel()
        found.ending = asyncio.get_running_loop().call_later(IDLE, on_idle)

    def _end(self, place: _SessionFiles) -> None:
        found, place.opened = place.opened, None
        if found is not None:
            if found.ending is not None:
                found.ending.cancel()
            found.connection.close()

    def _tidy(self, session: BrowserSession, place: _SessionFiles) -> None:
        """Forget a session of which there is nothing."""
        if place.counts or place.waiting or place.transfers or place.refused is not None:
            return
        if self._places.get(session) is place:
            del self._places[session]

    async def close(self) -> None:
        """End all connections, and wait until they are closed."""
        found = [place.opened for place in self._places.values() if place.opened is not None]
        for place in self._places.values():
            self._end(place)
        self._places.clear()
        for one in found:
            await one.connection.wait_closed()


def _is_over(found: _Opened) -> bool:
    try:
        found.sftp.session.check()
    except NacreError:
        return True
    return found.connection.closed


def _not_opened(error: Exception) -> APIRefused:
    reason = safe(str(error) or type(error).__name__, 300)
    return APIRefused(503, f"your files can't be opened: {reason}")


_STATUSES: Sequence[tuple[type[Exception], int]] = (
    (FileNotFoundError, 404),
    (PermissionError, 403),
    (FileExistsError, 409),
    (SFTPError, 422),
    (NacreError, 503),
    (OSError, 422),
)


def told(error: Exception) -> APIRefused:
    """Return what a person is told of an error of the files."""
    if isinstance(error, APIRefused):
        return error
    status = next(status for kind, status in _STATUSES if isinstance(error, kind))
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    name = getattr(error, "filename", None)
    where = f"{safe(str(name), 200)}: " if isinstance(name, str) else ""
    return APIRefused(status, f"{where}{safe(str(reason), 300)}")
