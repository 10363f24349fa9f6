"""Sessions of OpenSSH's client are joined from the web console, which has shells, too."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from interop.api_client import ALL, address_of, api_of, make_key
from interop.clients import Login
from interop.daemons import RUN_AS, Daemon, State, start_nacre
from interop.programs import NACRE, check, manage
from interop.terminal import Terminal
from interop.test_console import PASSWORD, Person, console, key_file
from interop.test_watch import SHELL, number

pytestmark = [pytest.mark.interop, pytest.mark.timeout(180)]


@pytest.fixture
def state(tmp_path: Path, keys: dict[str, Path]) -> State:
    state = State(tmp_path / "state")
    state.add_user("alice", keys=[keys["ed25519"].with_suffix(".pub")])
    for name, role in (("ada", "admin"), ("otto", "auditor")):
        words = ["user", "add", name, "--password-stdin", "--role", role]
        words += ["--run-as", RUN_AS[1]] if RUN_AS else []
        manage(*words, "--state", state.path, typed=f"{PASSWORD}\n")
    return state


@pytest.fixture
def alice(tmp_path: Path, keys: dict[str, Path]) -> Callable[[Daemon], Login]:
    return lambda server: Login(server, "alice", tmp_path, keys["ed25519"])


@contextmanager
def pages(server: Daemon, state: State, tmp_path: Path, *more: str | Path) -> Iterator[Person]:
    """Run the console of a server."""
    words = ("--api", f"http://{address_of(server)}", "--key-file", key_file(state, tmp_path))
    with console(*words, *more) as person:
        yield person


class Page:
    """A WebSocket of a page.

    :ivar text: what was printed so far.
    """

    def __init__(self, opened: ClientConnection) -> None:
        self._opened = opened
        self.text = ""

    def say(self, **members: Any) -> None:
        self._opened.send(json.dumps(members))

    def next(self) -> dict[str, Any]:
        found = json.loads(self._opened.recv(timeout=60))
        assert isinstance(found, dict)
        if found["event"] in ("output", "screen"):
            self.text += found["text"]
        return found

    def expect(self, pattern: str) -> re.Match[str]:
        """Read until something was printed, which is forgotten up to its end."""
        while not (found := re.search(pattern, self.text)):
            try:
                self.next()
            except TimeoutError:
                raise AssertionError(f"{pattern!r} does not come: {self.text!r}") from None
        self.text = self.text[found.end() :]
        return found

    def end(self) -> dict[str, Any]:
        """Read up to the event that ends it."""
        while (found := self.next())["event"] != "end":
            pass
        return found

    def code(self) -> int | None:
        """Read up to the close; return its code."""
        try:
            while True:
                self._opened.recv(timeout=60)
        except ConnectionClosed as closed:
            return None if closed.rcvd is None else closed.rcvd.code


@contextmanager
def opened(
    person: Person,
    page: str,
    path: str,
    *,
    csrf: str = "",
    first: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Iterator[Page]:
    """Open the WebSocket of a page, as a browser does."""
    base = str(person.http.base_url).rstrip("/")
    cookies = "; ".join(f"{name}={text}" for name, text in person.http.cookies.items())
    sent = {"Cookie": cookies, "Origin": base, **(headers or {})}
    url = base.replace("http", "ws", 1) + path
    key = csrf or re.findall(r'data-csrf="([^"]+)"', person.http.get(page).text)[0]
    with connect(url, additional_headers=sent, proxy=None) as connection:
        found = Page(connection)
        found.say(csrf=key, **(first or {}))
        yield found


def test_what_is_typed_on_a_page_reaches_the_shell_of_the_ssh_user(
    state: State, tmp_path: Path, alice: Callable[[Daemon], Login]
) -> None:
    directory = tmp_path / "recordings"
    record = ["--record", str(directory)]
    record += ["--record-user", "daemon"] if os.geteuid() == 0 else []
    with (
        start_nacre(state, "--api", "127.0.0.1:0", "--audit", *record) as server,
        pages(server, state, tmp_path) as ada,
        Terminal([*alice(server).ssh(flags=["-tt"]), SHELL]) as user,
    ):
        user.expect("> ")
        user.type("echo be''fore\n")
        user.expect("before\r\n")
        ada.sign_in("ada", PASSWORD)
        page = f"/watch/{number(state)}/join"
        with opened(ada, page, f"{page}/socket") as joined:
            assert joined.next() == {"event": "size", "columns": 80, "rows": 24}
            joined.expect(r"before\r\n")
            user.expect(r"ada through \w+ has joined this session, and types too\r\n")
            server.wait_for(
                r"event=watch .*user=alice .*op=begins by=\"ada through \w+\" joins=True"
            )
            joined.say(typed="echo from the pa''ge\r")
            user.expect("from the page\r\n")
            joined.expect("from the page\r\n")
            joined.say(typed="printf '\\033]0;<img src=x>\\007'; echo ti''tle\r")
            joined.expect(re.escape("\x1b]0;<img src=x>\x07") + "title")
            user.expect("title\r\n")
        user.expect(r"ada through \w+ has left this session\r\n")
        server.wait_for(r"event=watch .*op=ends by=\"ada through")
        server.wait_for(r"event=api key=user:ada action=connection\.join target=\S+ status=101")
        with opened(ada, page, f"{page}/socket") as joined:
            joined.say(typed="exit 7\r")
            assert joined.end() == {"event": "end", "status": 7}
            assert joined.code() == 1000
        assert user.wait() == 7
        text = ada.http.get("/audit?event=watch&user=alice").text
        assert "ada through" in text
    (file,) = directory.glob("*/*")
    _, *lines = check([*NACRE, "replay", "--cast", file]).splitlines()
    notes = [json.loads(str(json.loads(line)[2])) for line in lines if json.loads(line)[1] == "n"]
    typed = [one for one in notes if one["event"] == "typed"]
    assert {one["by"].partition(" through ")[0] for one in typed} == {"ada"}


def test_nobody_else_reaches_the_session_by_the_page(
    state: State, tmp_path: Path, alice: Callable[[Daemon], Login]
) -> None:
    with (
        start_nacre(state, "--api", "127.0.0.1:0") as server,
        pages(server, state, tmp_path) as ada,
        Terminal([*alice(server).ssh(flags=["-tt"]), SHELL]) as user,
    ):
        user.expect("> ")
        id = number(state)
        page, path = f"/watch/{id}/join", f"/watch/{id}/join/socket"
        ada.sign_in("ada", PASSWORD)
        key = ada.field("/you", "csrf")
        evil = {"Origin": "http://evil.test"}
        for headers in (evil, {"Cookie": ""}, {"Cookie": "nacre-session=x"}):
            with (
                pytest.raises(InvalidStatus) as raised,
                opened(ada, page, path, csrf=key, headers=headers),
            ):
                pass
            assert raised.value.response.status_code == 403
        with opened(ada, page, path, csrf="0" * 64) as joined:
            assert joined.code() == 1008
        with opened(ada, page, path) as joined:
            joined.expect("> ")
            joined.say(typed="x" * 17000)
            assert joined.code() == 1009
        with opened(ada, page, path) as joined:
            joined.expect("> ")
            assert ada.post("/sign-out").status_code == 303
            assert joined.code() == 1008, "the end of the session of the browser ends it"
        ada.sign_in("otto", PASSWORD)
        assert ada.http.get(page).status_code == 403
        key = ada.field("/you", "csrf")
        with pytest.raises(InvalidStatus), opened(ada, page, path, csrf=key):
            pass
        user.type("exit\n")
        assert user.wait() == 0
        assert "otto through" not in server.tail()


def test_a_key_of_the_api_joins_with_its_scope_alone(
    state: State, alice: Callable[[Daemon], Login]
) -> None:
    with (
        start_nacre(state, "--api", "127.0.0.1:0") as server,
        api_of(server, make_key(state, "all")) as api,
        Terminal([*alice(server).ssh(flags=["-tt"]), SHELL]) as user,
    ):
        user.expect("> ")
        id = number(state)
        with api.join(id) as joined:
            joined.send(json.dumps({"typed": "echo by a k''ey\r"}))
            user.expect("by a key\r\n")
            joined.send(json.dumps({"resize": 1}))
            assert Page(joined).end() == {"event": "end", "status": None}
        scopes = ",".join(set(ALL.split(",")) - {"watch:write"})
        lesser = api.with_key(make_key(state, "lesser", scopes))
        with pytest.raises(InvalidStatus) as raised, lesser.join(id):
            pass
        assert raised.value.response.status_code == 403
        assert b"watch:write" in (raised.value.response.body or b"")
        assert api.call("connection.join", {"id": id}).status_code == 426
        user.type("exit\n")
        assert user.wait() == 0


def test_a_shell_on_a_page_is_a_login_by_ssh_and_survives_a_lost_connection(
    state: State, tmp_path: Path
) -> None:
    with (
        start_nacre(state, "--api", "127.0.0.1:0", "--audit") as server,
        pages(server, state, tmp_path) as otto,
    ):
        otto.sign_in("otto", PASSWORD)
        page, path = "/terminal", "/terminal/socket"
        with opened(otto, page, path, first={"size": [91, 31]}) as one:
            found = one.next()
            assert found["event"] == "opened"
            shell = str(found["shell"])
            one.say(typed="PS1='> '; stty size; tty\r")
            one.expect("31 91\r\n")
            one.expect("/dev/pts/")
            server.wait_for(r"event=vouched .*name=otto address=127\.0\.0\.1")
            server.wait_for(r"event=authenticated .*user=otto methods=keyboard-interactive")
            one.say(size=[100, 40])
            one.say(typed="stty size; x=kept\r")
            one.expect("40 100\r\n")
        first = {"size": [100, 40], "shell": shell}
        with opened(otto, page, path, first=first) as again:
            assert [again.next()["event"] for _ in range(2)] == ["opened", "screen"]
            again.expect("40 100\r\n")
            again.say(typed="echo $x.\r")
            again.expect("kept.\r\n")
            with opened(otto, page, path, first=first) as instead:
                assert [instead.next()["event"] for _ in range(2)] == ["opened", "screen"]
                assert again.code() == 1000, "another page has its place"
                instead.say(typed="exit 3\r")
                assert instead.end() == {"event": "end", "status": 3, "reason": ""}
        assert len(re.findall(r"event=authenticated", "\n".join(server.log))) == 1
        events = otto.http.get("/audit?event=login&user=otto").text
        assert "keyboard-interactive" in events


def test_a_shell_on_a_page_ends_with_the_session_of_the_browser(
    state: State, tmp_path: Path
) -> None:
    with (
        start_nacre(state, "--api", "127.0.0.1:0") as server,
        pages(server, state, tmp_path) as otto,
    ):
        otto.sign_in("otto", PASSWORD)
        with opened(otto, "/terminal", "/terminal/socket", first={"size": [80, 24]}) as one:
            one.say(typed="echo st''arted\r")
            one.expect("started\r\n")
            other = Person(otto.http)
            shell = {"size": [80, 24], "shell": "0" * 32}
            with opened(other, "/terminal", "/terminal/socket", first=shell) as stolen:
                assert stolen.next() == {"event": "refused", "detail": "the shell has ended"}
            assert otto.post("/sign-out").status_code == 303
            assert one.code() == 1008
        server.wait_for(r"event=closed .*user=otto")


def test_who_may_use_files_alone_has_no_shell_on_a_page_either(
    state: State, tmp_path: Path
) -> None:
    root = tmp_path / "files"
    root.mkdir()
    with (
        start_nacre(state, "--api", "127.0.0.1:0") as server,
        pages(server, state, tmp_path) as otto,
    ):
        otto.sign_in("otto", PASSWORD)
        key = otto.field("/you", "csrf")
        words = ["user", "set", "otto", "--service", "sftp", "--root", root, "--state", state.path]
        manage(*words)
        assert otto.http.get("/terminal").status_code == 403
        first = {"size": [80, 24]}
        with opened(otto, "", "/terminal/socket", csrf=key, first=first) as one:
            one.say(typed="id\r")
            end = one.end()
        assert end["status"] != 0
        assert "uid=" not in one.text
        server.wait_for(r"event=refused .*user=otto")
