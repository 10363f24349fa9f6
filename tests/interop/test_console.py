"""``nacre console`` beside ``nacre serve``, with OpenSSH's client connected."""

from __future__ import annotations

import json
import re
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest

from console.authenticator import SoftKey
from interop.api_client import address_of, make_key
from interop.clients import Login
from interop.daemons import RUN_AS, Daemon, State, start_nacre
from interop.programs import NACRE, check, environment, manage, run
from interop.test_control import until

pytestmark = [pytest.mark.interop, pytest.mark.timeout(180)]

PASSWORD = "right words"


class Person:
    """Somebody at a browser."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http

    def field(self, path: str, name: str) -> str:
        found = re.search(rf'name="{name}" value="([^"]+)"', self.http.get(path).text)
        assert found is not None
        return found[1]

    def sign_in(self, name: str, password: str) -> httpx.Response:
        fields = {"name": name, "password": password, "key": self.field("/sign-in", "key")}
        return self.http.post("/sign-in", data=fields)

    def post(self, path: str, **fields: str) -> httpx.Response:
        return self.http.post(path, data={"csrf": self.field("/you", "csrf"), **fields})


@pytest.fixture
def state(tmp_path: Path, keys: dict[str, Path]) -> State:
    state = State(tmp_path / "state")
    state.add_user("alice", keys=[keys["ed25519"].with_suffix(".pub")])
    words = ["user", "add", "ada", "--password-stdin", "--role", "admin"]
    words += ["--run-as", RUN_AS[1]] if RUN_AS else []
    manage(*words, "--state", state.path, typed=f"{PASSWORD}\n")
    return state


def key_file(state: State, tmp_path: Path) -> Path:
    """Make the key of a console."""
    key = tmp_path / "console.key"
    key.touch(0o600)
    key.write_text(make_key(state, "console", "sessions:write"))
    return key


@contextmanager
def console(*words: str | Path, verify: ssl.SSLContext | bool = True) -> Iterator[Person]:
    started = [*NACRE, "console", "--listen", "127.0.0.1:0", *words]
    with Daemon("nacre console", started) as running:
        url = running.wait_for(r"nacre console: (https?://\S+)")[1]
        with httpx.Client(base_url=url, timeout=30, trust_env=False, verify=verify) as http:
            person = Person(http)
            yield person
            http.cookies.clear()
            assert person.sign_in("ada", PASSWORD).status_code == 303
            with http.stream("GET", "/now/events") as answer:
                lines = answer.iter_lines()
                assert next(lines) == "event: rows"
                assert running.stop() == 0, "an open page does not hold it up"
        assert "Traceback" not in running.tail()


def console_of(server: Daemon, key: Path) -> AbstractContextManager[Person]:
    """Start the console of a server."""
    return console("--api", f"http://{address_of(server)}", "--key-file", key)


def test_an_admin_sees_who_is_on_and_ends_it_with_a_click(
    state: State, keys: dict[str, Path], tmp_path: Path
) -> None:
    with (
        start_nacre(state, "--api", "127.0.0.1:0", "--audit") as server,
        console_of(server, key_file(state, tmp_path)) as ada,
    ):
        assert ada.http.get("/users").headers["location"] == "/sign-in"
        assert ada.sign_in("ada", "wrong words").status_code == 401
        server.wait_for(r'event=api key=console action=sessions\.add .*reason="wrong password')
        assert ada.sign_in("ada", PASSWORD).status_code == 303
        _watch(ada, Login(server, "alice", tmp_path, keys["ed25519"]))
        server.wait_for(r"event=api key=user:ada action=connection\.end target=\S+ status=204")
        text = ada.http.get("/audit?event=login&user=alice").text
        assert "publickey" in text
        exported = ada.http.get("/audit/export.json?event=login&user=alice").text
        assert json.loads(exported.splitlines()[0])["user"] == "alice"
        assert ada.post("/users/alice/settings", **{"setting.max_sessions": "2"}).status_code == 303
        words = ["user", "list", "--json", "--columns", "name,max_sessions"]
        shown = {one["name"]: one for one in json.loads(manage(*words, "--state", state.path))}
        assert shown["alice"]["max_sessions"] == 2
        assert ada.post("/sign-out").status_code == 303
        assert ada.http.get("/now").headers["location"] == "/sign-in"


def test_who_guesses_passwords_at_the_console_is_banned_there_and_from_ssh(
    state: State, keys: dict[str, Path], tmp_path: Path
) -> None:
    with (
        start_nacre(state, "--api", "127.0.0.1:0", "--bans", "20") as server,
        console_of(server, key_file(state, tmp_path)) as ada,
    ):
        alice = Login(server, "alice", tmp_path, keys["ed25519"])
        assert run([*alice.ssh(), "true"]).returncode == 0
        for _ in range(2):
            assert ada.sign_in("ada", "wrong words").status_code == 401
        server.wait_for(
            r"event=api .*status=401 .*client=127\.0\.0\.1 offence=authfail reason=\"wrong password"
        )
        server.wait_for(r"event=ban network=127\.0\.0\.1 .*reason=authfail")
        until(lambda: b"127.0.0.1" in manage("ban", "list", "--state", state.path))
        assert ada.sign_in("ada", PASSWORD).status_code == 401
        server.wait_for(r'event=api .*reason="the network is banned')
        assert run([*alice.ssh(), "true"]).returncode == 255
        manage("ban", "remove", "127.0.0.1", "--state", state.path)
        assert ada.sign_in("ada", PASSWORD).status_code == 303


def _watch(ada: Person, alice: Login) -> None:
    client = subprocess.Popen(
        [*alice.ssh("BatchMode=yes"), "echo here; exec cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
        start_new_session=True,
    )
    try:
        assert client.stdout is not None
        assert client.stdout.readline() == b"here\n"
        with ada.http.stream("GET", "/now/events") as answer:
            found = (json.loads(one[6:]) for one in answer.iter_lines() if one[:6] == "data: ")
            table = next(found)
            assert "alice" in table
            assert "exec cat" in table
            later = ""
            while "1 in the last hour" not in later or "/s" not in later:  # charts, and rates
                later += next(found)
        number = re.search(r'name="id" value="([^"]+)"', table)
        assert number is not None
        with ada.http.stream("GET", f"/watch/{number[1]}/events") as answer:
            played = (json.loads(one[6:]) for one in answer.iter_lines() if one[:6] == "data: ")
            shown = next(played)["init"]
            assert shown.startswith("here\r\n")
            while "ada through " not in shown:  # the session's user is told
                shown += next(played)[2]
        reason = {"reason": "The host goes down at noon."}
        assert ada.post("/now/end", id=number[1], **reason).status_code == 303
        assert b"The host goes down at noon." in client.communicate(timeout=20)[1]
    finally:
        client.kill()
        client.communicate(timeout=20)


def test_a_security_key_is_asked_for_behind_the_password(state: State, tmp_path: Path) -> None:
    origin, key = "https://files.example.org", SoftKey()
    with (
        start_nacre(state, "--api", "127.0.0.1:0", "--audit") as server,
        console(
            *("--api", f"http://{address_of(server)}", "--origin", origin),
            *("--key-file", key_file(state, tmp_path)),
        ) as ada,
    ):
        assert ada.sign_in("ada", PASSWORD).status_code == 303
        path = "/you/security-keys"
        assert ada.post(f"{path}/proof", password=PASSWORD).status_code == 303
        fields, options = _asked(ada.http.get(path).text)
        answer = json.dumps(key.create(options, origin))
        assert ada.post(path, **{**fields, "name": "blue", "answer": answer}).status_code == 303
        assert ada.post("/sign-out").status_code == 303
        listed = ["user", "security-key", "list", "ada", "--json", "--state", state.path]
        (row,) = json.loads(manage(*listed))
        assert (row["name"], row["host"], row["used"]) == ("blue", "files.example.org", None)
        fields, options = _asked(ada.sign_in("ada", PASSWORD).text)
        wrong = json.dumps(key.get(options, "https://evil.example.org"))
        data = {**fields, "answer": wrong}
        assert ada.http.post("/sign-in/factor", data=data).status_code == 401
        server.wait_for(r"action=sessions\.confirm target=ada status=401 .*reason=.*origin")
        for counter in (1, 0):
            # The second time it is a copy of the key, which has signed less often.
            key.counter = counter
            fields, options = _asked(ada.sign_in("ada", PASSWORD).text)
            data = {**fields, "answer": json.dumps(key.get(options, origin))}
            found = ada.http.post("/sign-in/factor", data=data)
            assert found.status_code == (303 if counter else 401)
            assert ada.post("/sign-out").status_code == 303 if counter else True
        server.wait_for(r"status=401 .*reason=.*went from 2 to 1: the key may have been copied")
        (row,) = json.loads(manage(*listed))
        assert row["used"] is not None
        manage("user", "security-key", "remove", "ada", row["id"], "--state", state.path)


def _asked(page: str) -> tuple[dict[str, str], dict[str, Any]]:
    """Return the hidden fields of a page's form for a security key, and what it asks."""
    form = re.search(r"<form[^>]*data-webauthn=.*?</form>", page, re.DOTALL)
    assert form is not None, page
    options = re.search(r"data-options='([^']*)'", form[0])
    assert options is not None
    found = re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form[0])
    return dict(found), json.loads(unescape(options[1]))


def test_by_https_over_the_unix_socket_of_the_api(state: State, tmp_path: Path) -> None:
    """The console of the server's own account needs no key."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    words += ["-nodes", "-keyout", str(key), "-out", str(cert), "-days", "2"]
    check([*words, "-subj", "/CN=x", "-addext", "subjectAltName=IP:127.0.0.1"])
    with tempfile.TemporaryDirectory() as short:
        api = f"{short}/api.sock"
        context = ssl.create_default_context(cafile=str(cert))
        with (
            start_nacre(state, "--api", api),
            console("--api", api, "--cert", cert, "--cert-key", key, verify=context) as ada,
        ):
            answer = ada.sign_in("ada", PASSWORD)
            assert answer.headers["set-cookie"].startswith("__Host-nacre-session=")
            page = ada.http.get("/users")
            assert (page.status_code, "alice" in page.text) == (200, True)
            assert "max-age" in page.headers["strict-transport-security"]
