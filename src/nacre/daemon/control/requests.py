"""What can be asked of a server: a table of names, each with its members and its handler.

A request is a line of JSON: an object whose member ``ask`` is the name, and whose others are the
members of the dataclass. An answer is lines of JSON, each a value of
:mod:`nacre.daemon.control.values`, up to ``finished`` or ``rejected``. Nothing here knows of
sockets, so another interface can ask the same.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

from nacre.daemon.control.followers import Follower, Followers
from nacre.daemon.control.roster import Roster
from nacre.daemon.control.values import ControlError, Finished, made, object_of
from nacre.daemon.watching.frames import WatchMode, WatchOrder
from nacre.limits import KIB
from nacre.wire.text import safe

LONGEST = 64 * KIB
"""Bytes of a request."""

MOST_CHOSEN = 1000
"""Connections, users or events that a request may name."""

_MOST_REASON = 512
"""Characters of what clients are told."""

USUAL_REASON = "the administrator has ended your connection"


@dataclass(frozen=True, slots=True, kw_only=True)
class Who:
    """List the connections.

    :ivar everyone: those that log in, too.
    """

    everyone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """End connections.

    :ivar ids: their numbers, as ``who`` shows them.
    :ivar user: end those of this user, too.
    :ivar reason: what the clients are told.
    """

    ids: tuple[str, ...] = ()
    user: str | None = None
    reason: str = USUAL_REASON


@dataclass(frozen=True, slots=True, kw_only=True)
class Follow:
    """Follow the log, until the one who asks goes away.

    :ivar users: the users whose records are wanted; empty for all.
    :ivar events: the events that are wanted; empty for all.
    """

    users: tuple[str, ...] = ()
    events: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tell:
    """Log what a client of the REST API has asked for.

    :ivar key: the name of its key; empty for a client without one.
    :ivar action: what was asked for; ``target`` of which user, group, connection or network.
    :ivar status: the status of the answer in HTTP.
    :ivar peer: the client's address and port.
    :ivar client: where it signs a user in: from which address that one comes.
    :ivar offence: what it costs the network of that address, if anything.
    :ivar reason: why it was refused, or has failed.
    """

    key: str
    action: str
    target: str = ""
    status: int
    peer: str
    client: str = ""
    offence: str = ""
    reason: str = ""


Note: TypeAlias = Callable[[Mapping[str, object]], Awaitable[None]]
"""Logs a record."""


def noted_by(log: Callable[[Mapping[str, object]], object]) -> Note:
    """Return what logs in this process."""

    async def note(record: Mapping[str, object]) -> None:
        log(record)

    return note


class ServerControl:
    """Answers requests.

    :ivar roster: the connections.
    :param followers: who follows the log.
    :param note: logs a record.
    :param watch: whether sessions may be watched.
    """

    def __init__(
        self, roster: Roster, followers: Followers, note: Note, watch: WatchMode = "no"
    ) -> None:
        self.roster = roster
        self._watch = watch
        self.followers = followers
        self._note = note

    async def who(self, asked: Who) -> AsyncIterator[object]:
        """Yield the connections."""
        listing = await self.roster.connections()
        for one in listing.connections:
            if asked.everyone or one.state != "login":
                yield one
        yield Finished(silent=listing.silent)

    async def kill(self, asked: Kill) -> AsyncIterator[object]:
        """Yield the connections that are being ended."""
        if len(asked.ids) > MOST_CHOSEN:
            raise ControlError(f"one request ends at most {MOST_CHOSEN} connections by number")
        reason = asked.reason[:_MOST_REASON].strip() or USUAL_REASON
        for one in await self.roster.end(frozenset(asked.ids), asked.user, reason):
            yield one
        yield Finished()

    async def follow(self, asked: Follow) -> AsyncIterator[object]:
        """Yield records of the log, and how many were lost."""
        if len(asked.users) > MOST_CHOSEN or len(asked.events) > MOST_CHOSEN:
            raise ControlError(f"one request names at most {MOST_CHOSEN} users and events")
        with self.followers.joined(Follower(asked.users, asked.events)) as follower:
            async for value in follower.values():
                yield value

    async def watch(self, asked: WatchOrder, sock: socket.socket) -> None:
        """Have a session shown to the one who asks, over a socket that is taken.

        Who serves the session answers first: with ``begun``, or why not.

        :raises ControlError: it can't be watched; the socket is the caller's.
        """
        if self._watch == "no":
            raise ControlError("the server was started with --no-watch: no session can be watched")
        if asked.quiet and self._watch != "quiet":
            raise ControlError(
                "the server tells users who watches: start it with --quiet-watch, or leave out "
                "--quiet"
            )
        if not await self.roster.watch(asked, sock):
            raise ControlError(f"there is no connection {asked.id[:64]!r}: see nacre who")

    async def tell(self, asked: Tell) -> AsyncIterator[object]:
        """Log a record, and yield nothing."""
        members = asdict(asked)
        found = {name: safe(one) if isinstance(one, str) else one for name, one in members.items()}
        said = {name: one for name, one in found.items() if one != ""}
        await self._note({"event": "api", **said})
        yield Finished()


Handler: TypeAlias = Callable[[ServerControl, Any], AsyncIterator[object]]

REQUESTS: Mapping[str, tuple[type[Any], Handler]] = {
    "who": (Who, ServerControl.who),
    "kill": (Kill, ServerControl.kill),
    "log": (Follow, ServerControl.follow),
    "tell": (Tell, ServerControl.tell),
}
"""The requests by their names: what they consist of, and what answers them."""

Handover: TypeAlias = Callable[[ServerControl, Any, socket.socket], Coroutine[Any, Any, None]]

HANDED_OVER: Mapping[str, tuple[type[Any], Handover]] = {"watch": (WatchOrder, ServerControl.watch)}
"""Requests that somebody else answers, who gets the socket of the one who asks."""

ENDLESS = frozenset({"log"})
"""Requests whose answer ends when the one who asks goes away."""


_KINDS = {name: kind for name, (kind, _) in (*REQUESTS.items(), *HANDED_OVER.items())}


def asked(line: bytes) -> tuple[str, Any]:
    """Return a request and its name.

    :raises ControlError: it is none.
    """
    members = object_of(line)
    name = members.pop("ask", None)
    if not isinstance(name, str) or name not in _KINDS:
        raise ControlError(f"ask is none of {', '.join(_KINDS)}")
    kind = _KINDS[name]
    return name, made(kind, members)


def written(name: str, request: object) -> dict[str, Any]:
    """Return what :func:`asked` reads as this request, as an object for JSON."""
    return {"ask": name, **asdict(request)}  # type: ignore[call-overload]
