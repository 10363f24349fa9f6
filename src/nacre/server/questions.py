"""Questions to the policy on behalf of one client: a method that raises has refused."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from nacre.aio.maybe import Maybe, settled
from nacre.errors import ConnectionLost, DisconnectCode
from nacre.server.peer import Client, ServerConnection
from nacre.server.policy import Policy

T = TypeVar("T")


class Questions:
    """Asks one policy about one client.

    Every failure of the policy is logged, and its answer is then None, which every caller takes as
    a refusal.
    """

    __slots__ = ("_client", "_policy", "_welcome")

    def __init__(self, client: Client, policy: Policy) -> None:
        self._client = client
        self._policy = policy
        self._welcome: asyncio.Task[None] | None = None

    async def ask(self, question: Callable[[Policy], Maybe[T]]) -> T | None:
        """Return the policy's answer, or None when it failed."""
        try:
            return await settled(question(self._policy))
        except Exception as error:
            self._failed(error)
            return None

    def ask_then(
        self, question: Callable[[Policy], Maybe[T]], then: Callable[[T | None], None]
    ) -> None:
        """Call ``then`` with what :meth:`ask` would return; only a coroutine takes a task."""
        answer: Maybe[T] | None = None
        try:
            answer = question(self._policy)
        except Exception as error:
            self._failed(error)
        if isinstance(answer, Awaitable):
            self._client.spawn(self._wait(answer, then))
        else:
            then(answer)

    async def _wait(self, answer: Awaitable[T], then: Callable[[T | None], None]) -> None:
        then(await self.ask(lambda _: answer))

    def _failed(self, error: Exception) -> None:
        self._client.record_error("the policy failed", error)

    # --- the login is over ---

    def welcome(self, connection: ServerConnection) -> None:
        """Tell the policy that the user is authenticated; when it fails, the connection ends."""
        try:
            welcome = self._policy.authenticated(connection.user, connection.methods, connection)
        except Exception as error:
            self._end_connection(error)
            return
        if welcome is not None:
            self._welcome = connection.spawn(self._wait_for_welcome(welcome))

    async def _wait_for_welcome(self, welcome: Awaitable[None]) -> None:
        try:
            await welcome
        except Exception as error:
            self._end_connection(error)
        finally:
            self._welcome = None

    def _end_connection(self, error: Exception) -> None:
        self._failed(error)
        self._client.fail(
            ConnectionLost("the policy failed"),
            DisconnectCode.BY_APPLICATION,
            "the server can't serve this user now",
        )

    async def wait_welcomed(self) -> None:
        """Return when :meth:`Policy.authenticated` has returned: no other question comes before."""
        if self._welcome is not None:
            await asyncio.wait({self._welcome})
