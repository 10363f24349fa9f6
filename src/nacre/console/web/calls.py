"""Calls of the REST API, within bounds."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import httpx

from nacre.errors import ConfigurationError
from nacre.limits import MIB

_PATIENCE = httpx.Timeout(60.0, connect=10.0)
"""Seconds for each step of a call: the API answers within 30, and a stream has something to say
more often."""

_MOST_CONNECTIONS = 96
"""Connections to the API, which takes 128: with those of streams."""

_LONGEST_LINE = 8 * MIB
"""Characters of an event of a stream."""

_HOST = "http://localhost"
"""What is named where the API is a Unix socket."""


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


class ConsoleAPI:
    """The API as one program uses it; it belongs to a loop.

    :param key: the key that begins sessions; empty for a Unix socket of the same account.
    :param http: the client, whose base is the address of the API.
    """

    def __init__(self, key: str, http: httpx.AsyncClient) -> None:
        self.key = key
        self._http = http
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
                method, path, params=query, json=body, headers=_authorization(token)
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
            async with self._http.stream("GET", path, headers=_authorization(token)) as answer:
                if answer.status_code >= 400:
                    _answered(answer, await answer.aread())
                yield answer
        except httpx.HTTPError as error:
            raise _silent(error) from None


def api_at(place: str, key: str, authority: str | None = None) -> ConsoleAPI:
    """Return the API at an address, or at the path of a Unix socket.

    :param authority: the file with the certificates that its TLS is trusted by; None for those of
        the system.
    :raises ConfigurationError: the file can't be read.
    """
    limits = httpx.Limits(max_connections=_MOST_CONNECTIONS)
    verify: ssl.SSLContext | bool = True
    if authority is not None:
        try:
            verify = ssl.create_default_context(cafile=authority)
        except OSError as error:
            raise ConfigurationError(f"can't use {authority}: {error}") from error
    uds = place if "://" not in place else None
    transport = httpx.AsyncHTTPTransport(uds=uds, limits=limits, verify=verify)
    base = _HOST if uds else place
    http = httpx.AsyncClient(base_url=base, transport=transport, timeout=_PATIENCE, trust_env=False)
    return ConsoleAPI(key, http)


def path_of(*words: str) -> str:
    """Return the path of a resource, with whatever the words have in it quoted."""
    return "/v1/" + "/".join(quoted(word) for word in words)


def quoted(word: str) -> str:
    """Return a word as a part of a path, whatever it has in it."""
    text = quote(word, safe="", errors="surrogateescape")
    # A browser and httpx would take these for the directory itself and the one above it.
    return {".": "%2E", "..": "%2E%2E"}.get(text, text)


def _authorization(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


def _answered(answer: httpx.Response, content: bytes) -> Any:
    if answer.status_code < 400:
        return json.loads(content) if content else None
    try:
        problem = json.loads(content)
        detail = str(problem["detail"])
    except (ValueError, KeyError, TypeError):
        problem, detail = {}, f"the API answers with status {answer.status_code}"
    raise APIRefused(answer.status_code, detail, problem)


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
