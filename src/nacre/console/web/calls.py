"""Calls of the REST API, within bounds."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol, TypeAlias
from urllib.parse import quote

import httpx

from nacre.limits import MIB

_LONGEST_LINE = 8 * MIB
"""Characters of an event of a stream."""


class APIRefused(Exception):
    """The API refuses a call, or does not answer.

    :param status: the status of the answer; 503 where there is none.
    :param detail: why, for the person at the page.
    :param problem: all that the API says of it.
    """

    def __init__(self, status: int, detail: str, problem: Mapping[str, Any] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.problem = problem or {}


class APISocket(Protocol):
    """An open WebSocket of the API."""

    def __aiter__(self) -> AsyncIterator[str]:
        """Yield its messages up to its end."""

    async def send(self, message: Mapping[str, Any]) -> None:
        """Send an object of JSON, no faster than the API takes it; at the end do nothing."""


Dial: TypeAlias = Callable[[str, str], AbstractAsyncContextManager[APISocket]]
"""Opens a path of the API with a token; raises APIRefused if it is refused."""


class ConsoleAPI:
    """The API as one program uses it; it belongs to a loop.

    :param key: the key that begins sessions; empty for a Unix socket of the same account.
    :param http: the client, whose base is the address of the API.
    :param dial: opens a WebSocket of the API, as :meth:`dial` does.
    """

    def __init__(self, key: str, http: httpx.AsyncClient, dial: Dial) -> None:
        self.key = key
        self._http = http
        self.dial = dial
        self._document: dict[str, Any] | None = None

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def call(
        self,
        token: str,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return the answer to a call; None where it has no body.

        :param token: a key, or the token of a session; empty for none.
        :raises APIRefused: it is refused.
        """
        try:
            answer = await self._http.request(
                method, path, params=query, json=body, headers=authorization(token)
            )
        except httpx.HTTPError as error:
            raise _silent(error) from None
        return _answered(answer, answer.content)

    async def document(self) -> dict[str, Any]:
        """Return the document of OpenAPI; it is read once."""
        if self._document is None:
            self._document = dict(await self.call("", "GET", "/openapi.json"))
        return self._document

    @asynccontextmanager
    async def content(self, token: str, path: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """Get something long: yield it in pieces, up to the end of the context.

        :raises APIRefused: it is refused, or breaks off.
        """
        async with self._opened(token, path) as answer:
            yield answer.aiter_bytes()

    @asynccontextmanager
    async def stream(self, token: str, path: str) -> AsyncIterator[AsyncIterator[tuple[str, Any]]]:
        """Follow something: yield the names and the data of events, up to the end of the context.

        :raises APIRefused: it is refused, or breaks off.
        """
        async with self._opened(token, path) as answer:
            yield _events(answer)

    @asynccontextmanager
    async def _opened(self, token: str, path: str) -> AsyncIterator[httpx.Response]:
        try:
            async with self._http.stream("GET", path, headers=authorization(token)) as answer:
                if answer.status_code >= 400:
                    _answered(answer, await answer.aread())
                yield answer
        except httpx.HTTPError as error:
            raise _silent(error) from None


def path_of(*words: str) -> str:
    """Return the path of a resource, with whatever the words have in it quoted."""
    return "/v1/" + "/".join(quoted(word) for word in words)


def quoted(word: str) -> str:
    """Return a word as a part of a path, whatever it has in it."""
    text = quote(word, safe="", errors="surrogateescape")
    # A browser and httpx would take these for the directory itself and the one above it.
    return {".": "%2E", "..": "%2E%2E"}.get(text, text)


def authorization(token: str) -> dict[str, str]:
    """Return the header that shows a token; none for an empty one."""
    return {"Authorization": f"Bearer {token}"} if token else {}


def _answered(answer: httpx.Response, content: bytes) -> Any:
    if answer.status_code < 400:
        return json.loads(content) if content else None
    raise refused_with(answer.status_code, content)


def refused_with(status: int, content: bytes) -> APIRefused:
    """Return what a problem of the API says, for the person at the page."""
    try:
        problem = json.loads(content)
        detail = str(problem["detail"])
    except (ValueError, KeyError, TypeError):
        problem, detail = {}, f"the API answers with status {status}"
    return APIRefused(status, detail, problem)


async def _events(answer: httpx.Response) -> AsyncIterator[tuple[str, Any]]:
    name = ""
    async for line in answer.aiter_lines():
        if len(line) > _LONGEST_LINE:
            raise APIRefused(502, "the API says more than fits")
        if line.startswith("event: "):
            name = line[7:]
        elif line.startswith("data: "):
            yield name, json.loads(line[6:])


def _silent(error: httpx.HTTPError) -> APIRefused:
    return APIRefused(503, f"the API does not answer: {str(error) or type(error).__name__}")
