"""A client of the REST API that checks each answer against the document of OpenAPI."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
from jsonschema import Draft202012Validator
from websockets.sync.client import ClientConnection, connect

from interop.daemons import Daemon, State
from interop.programs import manage
from nacre.cli.api.actions import BY_NAME, Action
from nacre.daemon.store.api_keys import SCOPES

ALL = ",".join(SCOPES)


def make_key(state: State, name: str, scopes: str = ALL, expires: str = "1d") -> str:
    """Make a key with the program."""
    words = ["api", "key", "create", name, "--scope", scopes, "--expires", expires]
    return manage(*words, "--state", state.path).decode().strip()


def address_of(server: Daemon) -> str:
    """Return where the API of a server is."""
    return server.wait_for(r"event=api address=(\S+)")[1]


class APIClient:
    """Calls actions by their names.

    :ivar called: the names of actions that have succeeded.
    """

    def __init__(self, http: httpx.Client, key: str) -> None:
        self._http = http
        self._key = key
        self.called: set[str] = set()
        self.document: dict[str, Any] = http.get("/openapi.json").json()
        self.called.add("openapi")

    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._key}"} if self._key else {}

    def with_key(self, key: str) -> APIClient:
        """Return a client with another key."""
        return APIClient(self._http, key)

    def call(self, name: str, path: dict[str, str] | None = None, **more: Any) -> httpx.Response:
        """Return the answer to a call, whose status and body are those of the document."""
        action = BY_NAME[name]
        quoted = {word: quote(one, safe="") for word, one in (path or {}).items()}
        headers = self.headers() | more.pop("headers", {})
        answer = self._http.request(
            action.method, action.path.format(**quoted), headers=headers, **more
        )
        self._check(action, answer)
        if answer.status_code < 400:
            self.called.add(name)
        return answer

    def _check(self, action: Action, answer: httpx.Response) -> None:
        operation = self.document["paths"][action.path][action.method.lower()]
        assert operation["operationId"] == action.name
        told = operation["responses"][str(answer.status_code)]
        if "content" not in told:
            assert answer.content == b""
            return
        kind = answer.headers["content-type"].partition(";")[0]
        schema = {**told["content"][kind]["schema"], "components": self.document["components"]}
        Draft202012Validator(schema).validate(answer.json())
        if answer.status_code >= 400:
            assert answer.json()["status"] == answer.status_code

    @contextmanager
    def log(self, **query: Any) -> Iterator[Iterator[dict[str, Any]]]:
        """Follow the log, from the first comment on."""
        with self._lines("log.follow", query) as lines:
            assert next(lines) == ":"
            yield (json.loads(one[6:]) for one in lines if one.startswith("data: "))

    @contextmanager
    def live(self) -> Iterator[Iterator[dict[str, Any]]]:
        """Follow the connections."""
        with self._lines("connections.follow", {}) as lines:
            yield (json.loads(one[6:]) for one in lines if one.startswith("data: "))

    @contextmanager
    def watch(self, number: str) -> Iterator[Iterator[dict[str, Any]]]:
        """Watch a session of a connection."""
        with self._lines("connection.watch", {}, id=number) as lines:
            yield (json.loads(one[6:]) for one in lines if one.startswith("data: "))

    @contextmanager
    def join(self, number: str) -> Iterator[ClientConnection]:
        """Join a session of a connection."""
        path = BY_NAME["connection.join"].path.format(id=quote(number, safe=""))
        url = str(self._http.base_url.join(path)).replace("http", "ws", 1)
        with connect(url, additional_headers=self.headers(), proxy=None) as opened:
            self.called.add("connection.join")
            yield opened

    def recording(self, day: str, file: str) -> str:
        """Return the text of a recording."""
        path = BY_NAME["recordings.show"].path.format(day=day, file=file)
        answer = self._http.get(path, headers=self.headers())
        assert answer.headers["content-type"].startswith("application/x-asciicast")
        self.called.add("recordings.show")
        return answer.text

    @contextmanager
    def _lines(self, name: str, query: dict[str, Any], **path: str) -> Iterator[Iterator[str]]:
        path_of = BY_NAME[name].path.format(**path)
        with self._http.stream("GET", path_of, headers=self.headers(), params=query) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            self.called.add(name)
            yield answer.iter_lines()


@contextmanager
def api_of(server: Daemon, key: str = "", **options: Any) -> Iterator[APIClient]:
    """Connect to the API of a server."""
    scheme = "https" if "verify" in options else "http"
    base = f"{scheme}://{address_of(server)}"
    with httpx.Client(base_url=base, timeout=30, trust_env=False, **options) as http:
        yield APIClient(http, key)


def public_key(path: Path) -> str:
    """Return the line of a public key."""
    return path.with_suffix(".pub").read_text().strip()
