"""The REST API of ``nacre serve --api``, with OpenSSH's client connected."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from interop.api_client import APIClient, address_of, api_of, make_key, public_key
from interop.clients import Login
from interop.daemons import RUN_AS, Daemon, State, start_nacre
from interop.programs import NACRE, check, environment, manage, require, run
from nacre.cli.api.actions import ACTIONS, BY_NAME
from nacre.daemon.store.api_keys import SCOPES
from procfs import below, name_of

pytestmark = [pytest.mark.interop, pytest.mark.timeout(180)]

MODES: dict[str, tuple[str, ...]] = {
    "gates": (),
    "one-process": ("--gates", "0"),
    "workers": ("--workers", "2"),
}
API = ("--api", "127.0.0.1:0")
ACCOUNT = RUN_AS[1] if RUN_AS else None
RECORDER = ("--record-user", "daemon") if os.geteuid() == 0 else ()


@pytest.fixture
def state(tmp_path: Path, keys: dict[str, Path]) -> State:
    state = State(tmp_path / "state")
    state.add_user("alice", keys=[keys["ed25519"].with_suffix(".pub")])
    return state


@pytest.fixture
def server(state: State) -> Iterator[Daemon]:
    with start_nacre(state, *API) as server:
        yield server


@pytest.fixture
def api(server: Daemon, state: State) -> Iterator[APIClient]:
    with api_of(server, make_key(state, "admin")) as api:
        yield api


@contextmanager
def connected(login: Login) -> Iterator[subprocess.Popen[bytes]]:
    """Run ssh up to the end of the context."""
    client = subprocess.Popen(
        [*login.ssh("BatchMode=yes"), "echo here; exec cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
        start_new_session=True,
    )
    try:
        assert client.stdout is not None
        assert client.stdout.readline() == b"here\n"
        yield client
    finally:
        client.kill()
        client.communicate(timeout=20)


def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


ELSEWHERE = {
    *("own.logins.add", "own.prove", "sessions.confirm", "webauthn.list", "webauthn.remove"),
    *(f"own.webauthn.{name}" for name in ("add", "challenge", "list", "remove")),
}
"""What test_console.py and test_console_files.py call, which have a security key and files."""


@pytest.mark.parametrize("mode", MODES)
def test_all_that_it_has_works_on_a_server_with_logins(
    state: State, keys: dict[str, Path], tmp_path: Path, mode: str
) -> None:
    arguments = (*MODES[mode], *API, "--audit", "--bans", "0")
    arguments += ("--record", str(tmp_path / "recordings"), *RECORDER)
    with (
        start_nacre(state, *arguments) as server,
        api_of(server, make_key(state, "admin")) as api,
    ):
        assert api.call("health").json() == {"status": "ok"}
        _people(api, Login(server, "bob", tmp_path), keys)
        _connections(api, Login(server, "alice", tmp_path, keys["ed25519"]))
        _bans_and_audit(api)
        _sessions(api, Login(server, "alice", tmp_path, keys["ed25519"]))
        _recordings(api)
        server.wait_for(r"event=api key=admin action=users\.add target=bob status=201 peer=127")
        assert api.called == BY_NAME.keys() - ELSEWHERE


def _people(api: APIClient, bob: Login, keys: dict[str, Path]) -> None:
    key = public_key(keys["ed25519"])
    group = {"name": "staff", "settings": {"service": "shell", "run_as": ACCOUNT}}
    assert api.call("groups.add", json=group).json()["settings"]["service"] == "shell"
    user = {"name": "bob", "groups": ["staff"], "password": "first words", "keys": [key]}
    assert api.call("users.add", json=user).json()["has_password"] is True
    assert api.call("users.add", json=user).status_code == 409
    shown = api.call("users.show", {"name": "bob"}).json()
    assert (shown["settings"]["service"], shown["holds"]["service"]) == (None, "shell")
    bob = bob.using(keys["ed25519"])
    command = [*bob.ssh("BatchMode=yes"), "echo in"]
    assert run(command).stdout == b"in\n"
    (found,) = api.call("keys.list", {"name": "bob"}).json()["keys"]
    path = {"name": "bob", "fingerprint": found["fingerprint"]}
    assert api.call("keys.remove", path).status_code == 204
    assert api.call("keys.remove", path).status_code == 404
    assert run(command).returncode == 255
    assert api.call("keys.add", {"name": "bob"}, json={"key": key}).json()["keys"] == [
        {**found, "added": pytest.approx(found["added"], abs=60)}
    ]
    assert run(command).stdout == b"in\n"
    assert api.call("users.change", {"name": "bob"}, json={"disabled": True}).json()["disabled"]
    assert run(command).returncode == 255
    change = {"disabled": False, "groups": [], "settings": {"max_sessions": 3, "run_as": ACCOUNT}}
    changed = api.call("users.change", {"name": "bob"}, json=change).json()
    assert (changed["groups"], changed["settings"]["max_sessions"]) == ([], 3)
    change = {"settings": {"max_sessions": None}}
    changed = api.call("users.change", {"name": "bob"}, json=change).json()
    assert changed["settings"]["max_sessions"] is None
    password = {"password": "other words", "must_change": True}
    assert api.call("users.password.set", {"name": "bob"}, json=password).status_code == 204
    assert api.call("users.show", {"name": "bob"}).json()["must_change"] is True
    assert api.call("users.password.remove", {"name": "bob"}).status_code == 204
    assert api.call("users.show", {"name": "bob"}).json()["has_password"] is False
    _pages(api)
    storage = {"service": "sftp", "root": "s3://bucket/files", "run_as": ACCOUNT}
    carol = {"name": "carol", "settings": storage}
    assert api.call("users.add", json=carol).json()["settings"]["root"] == "s3://bucket/files"
    for name in ("bob", "carol"):
        assert api.call("users.remove", {"name": name}).status_code == 204
        assert api.call("users.remove", {"name": name}).status_code == 404
    assert run(command).returncode == 255


def _pages(api: APIClient) -> None:
    first = api.call("users.list", params={"limit": 1}).json()
    assert ([one["name"] for one in first["users"]], first["next"]) == (["alice"], "alice")
    rest = api.call("users.list", params={"limit": 2, "after": "alice"}).json()
    assert ([one["name"] for one in rest["users"]], rest["next"]) == (["bob"], None)
    assert [one["name"] for one in api.call("groups.list").json()["groups"]] == ["staff"]
    change = {"settings": {"hours": "Mon-Fri 08:00-18:00"}}
    changed = api.call("groups.change", {"name": "staff"}, json=change).json()
    assert changed["settings"]["hours"] == "Mon-Fri 08:00-18:00"
    assert api.call("groups.show", {"name": "staff"}).json() == changed
    api.call("users.change", {"name": "bob"}, json={"groups": ["staff"]})
    assert api.call("groups.users", {"name": "staff"}).json() == {"users": ["bob"], "next": None}
    assert api.call("groups.remove", {"name": "staff"}).status_code == 409
    api.call("users.change", {"name": "bob"}, json={"groups": []})
    assert api.call("groups.remove", {"name": "staff"}).status_code == 204


def _connections(api: APIClient, alice: Login) -> None:
    with (
        api.log(user="alice", event=["killed", "authenticated"]) as events,
        connected(alice) as one,
        connected(alice) as two,
    ):
        assert {next(events)["user"] for _ in range(2)} == {"alice"}
        found = api.call("connections.list").json()["connections"]
        assert [each["user"] for each in found] == ["alice", "alice"]
        reason = {"reason": "The host goes down at noon."}
        number = found[0]["id"]
        assert api.call("connection.end", {"id": number}, params=reason).status_code == 204
        assert next(events)["event"] == "killed"
        until(lambda: len(api.call("connections.list").json()["connections"]) == 1)
        assert api.call("connection.end", {"id": "9.9.9"}).status_code == 404
        assert api.call("connections.end", json={}).status_code == 422
        body = {"user": "alice", **reason}
        (ended,) = api.call("connections.end", json=body).json()["ended"]
        assert ended["user"] == "alice"
        for client in (one, two):
            _, said = client.communicate(timeout=20)
            assert b"The host goes down at noon." in said


def _sessions(api: APIClient, alice: Login) -> None:
    assert api.call("users.usage", {"name": "alice"}).json()["quota_bytes"] is None
    assert api.call("factors.add", {"name": "alice"}).json()["uri"].startswith("otpauth://")
    assert api.call("factors.remove", {"name": "alice"}).status_code == 204
    password = {"password": "first words"}
    assert api.call("users.password.set", {"name": "alice"}, json=password).status_code == 204
    change = {"settings": {"role": "auditor"}}
    api.call("users.change", {"name": "alice"}, json=change)
    given = {"name": "alice", "address": "192.0.2.7", **password}
    assert api.call("sessions.add", json={**given, "password": "others"}).status_code == 401
    done = api.call("sessions.add", json=given).json()
    own = api.with_key(done["token"])
    shown = own.call("own.show").json()
    assert (shown["name"], shown["role"], len(shown["keys"])) == ("alice", "auditor", 1)
    assert own.call("own.check").json() == {"role": "auditor"}
    assert own.call("users.change", {"name": "alice"}, json=change).status_code == 403
    with connected(alice), own.live() as events:
        (found,) = next(events)["connections"]
        assert (found["user"], found["state"]) == ("alice", "open")
        with own.watch(found["id"]) as shown:
            assert next(shown)["text"].startswith("here\n")
            assert "alice through " in next(shown)["text"], "the session's user is told"
        for client, status in ((own, 403), (api, 409)):  # test_console_terminal.py has a terminal
            with pytest.raises(InvalidStatus) as raised, client.join(found["id"]):
                pass
            assert raised.value.response.status_code == status
        api.called.add("connection.join")
    assert own.call("own.leave").status_code == 204
    assert own.call("own.show").status_code == 401
    api.called |= own.called


def _recordings(api: APIClient) -> None:
    found = api.call("recordings.list", params={"user": "alice", "limit": 1}).json()
    (newest,) = found["recordings"]
    day, _, file = newest["path"].partition("/")
    where = {"day": day, "file": file}
    moments = api.call("recordings.search", where, params={"text": "e"}).json()["moments"]
    assert all("e" in one["text"] for one in moments)
    assert (newest["kind"], newest["sealed"], found["next"]) == ("command", False, newest["path"])
    day, _, file = newest["path"].partition("/")
    head, *events = api.recording(day, file).splitlines()
    assert json.loads(head)["command"] == "echo here; exec cat"
    assert next(one[2] for one in map(json.loads, events) if one[1] == "o") == "here\n"
    path = {"day": "..", "file": "users.db"}
    assert api.call("recordings.show", path).status_code == 404


def _bans_and_audit(api: APIClient) -> None:
    ban = {"network": "192.0.2.0/24", "seconds": 3600, "reason": "scans"}
    assert api.call("bans.add", json=ban).json()["network"] == "192.0.2.0/24"
    (found,) = api.call("bans.list").json()["bans"]
    assert (found["reason"], found["allowed"]) == ("scans", False)
    assert api.call("bans.remove", {"network": "192.0.2.0/24"}).status_code == 204
    assert api.call("bans.remove", {"network": "192.0.2.0/24"}).status_code == 404
    assert api.call("bans.add", json={"network": "x"}).status_code == 422
    query = {"event": "api", "outcome": "success", "limit": 500}
    told = [each["fields"] for each in api.call("audit.search", params=query).json()["events"]]
    assert {"key": "admin", "action": "users.add", "target": "bob", "status": 201} in told
    first = api.call("audit.search", params={"limit": 2, "after": 0}).json()
    counts = api.call("audit.count", params={"event": "api"}).json()["counts"]
    assert sum(one["count"] for one in counts) >= len(told)
    assert ([one["id"] for one in first["events"]], first["last"]) == ([1, 2], 2)
    assert api.call("audit.search", params={"since": "yesterday"}).status_code == 422


def test_a_key_is_for_its_scopes_until_it_expires_or_is_revoked(
    server: Daemon, state: State, api: APIClient
) -> None:
    path = {"name": "alice", "fingerprint": "x", "id": "1", "network": "192.0.2.1"}
    path |= {"day": "x", "file": "x"}
    for scope in SCOPES:
        others = ",".join(SCOPES.keys() - {scope})
        lacking = api.with_key(make_key(state, f"not-{scope.replace(':', '-')}", others))
        for action in ACTIONS:
            if action.scope == scope and action.work != "socket":
                answer = lacking.call(action.name, path)
                assert answer.status_code == 403
                assert f"lacks the scope {scope}" in answer.json()["detail"]
    nobody = api.with_key("")
    for action in ACTIONS:
        if action.scope is not None and action.work != "socket":
            answer = nobody.call(action.name, path)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    server.wait_for(r"event=api action=users\.add .*status=401 .*reason=\"show a key")
    past = api.with_key(make_key(state, "past", "users:read", "2020-01-01"))
    assert "has expired" in past.call("users.list").json()["detail"]
    gone = api.with_key(make_key(state, "gone", "users:read"))
    assert gone.call("users.list").status_code == 200
    manage("api", "key", "revoke", "gone", "--state", state.path)
    assert gone.call("users.list").status_code == 401
    server.wait_for(r"event=api action=users\.list status=401 .*was revoked")
    assert api.call("users.list").status_code == 200


WRONG: list[tuple[str, dict[str, Any], int]] = [
    ("users.add", {"json": {"name": "../x"}}, 422),
    ("users.add", {"json": {"name": "x", "nonsense": 1}}, 422),
    ("users.add", {"json": {"name": "x", "groups": ["none"]}}, 422),
    ("users.add", {"json": {"name": "x", "keys": ["ssh-ed25519 x"]}}, 422),
    ("users.add", {"json": {"name": "x", "settings": {"auth": "none"}}}, 422),
    ("users.add", {"json": {"name": "x", "settings": {"run_as": "no-such"}}}, 422),
    ("users.add", {"json": {"name": "x", "settings": {"sources": "192.0.2.0/99"}}}, 422),
    ("users.add", {"json": {"name": "x", "settings": {"hours": "never"}}}, 422),
    ("users.add", {"json": {"name": "x", "settings": {"file_key": "/dev/null"}}}, 422),
    ("users.add", {"json": {"name": "x", "settings": {"service": "sftp", "root": "/"}}}, 422),
    ("users.add", {"json": {"name": "x", "password": "x"}}, 422),
    ("users.add", {"json": []}, 422),
    ("users.add", {"content": b"{", "headers": {"content-type": "application/json"}}, 400),
    ("users.add", {"content": b"\xff", "headers": {"content-type": "application/json"}}, 400),
    ("users.add", {"content": b"{}", "headers": {"content-type": "text/plain"}}, 415),
    ("users.add", {"json": {"name": "x" * 70000}}, 413),
    ("users.list", {"params": {"limit": 501}}, 422),
    ("users.list", {"params": {"limit": "-1"}}, 422),
    ("users.list", {"params": {"nonsense": "1"}}, 422),
    ("users.list", {"params": [("limit", "1"), ("limit", "2")]}, 422),
    ("connections.list", {"params": {"everyone": "yes"}}, 422),
    ("audit.search", {}, 409),
    ("audit.count", {}, 409),
]
"""Calls that are refused, each with the status of the answer."""


def test_what_is_wrong_is_refused_with_a_problem(state: State, api: APIClient) -> None:
    for name, more, status in WRONG:
        answer = api.call(name, **more)
        found = (answer.status_code, answer.json()["status"])
        assert found == (status, status), (name, more, answer.text)
    assert b"x\n" not in manage("user", "list", "--state", state.path)


GARBAGE = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(300),
    b"SSH-2.0-x\r\n",
    b"GET /v1/users\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
    b"POST /v1/users HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nx",
    b"GET /v1/users HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    b"GET /" + b"%00%ff/../" * 100 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\r\n" * 50_000,
]


def test_garbage_and_silence_hurt_nobody(server: Daemon, api: APIClient) -> None:
    host, _, port = address_of(server).rpartition(":")
    with ExitStack() as stack:
        for _ in range(20):  # these say nothing, or not all
            sock = stack.enter_context(socket.create_connection((host, int(port)), 20))
            sock.sendall(b"POST /v1/users HTTP/1.1\r\nHost: x\r\n")
        for data in GARBAGE:
            with socket.create_connection((host, int(port)), 20) as sock:
                try:
                    sock.sendall(data)
                    sock.shutdown(socket.SHUT_WR)
                    answer = sock.recv(65536)
                except ConnectionError:
                    answer = b""
            assert answer[:12] in (b"", b"HTTP/1.1 400", b"HTTP/1.1 401", b"HTTP/1.1 404"), data
        assert api.call("users.list").status_code == 200
    assert "Traceback" not in server.tail()


def test_a_process_that_dies_is_replaced(server: Daemon, api: APIClient) -> None:
    for title in ("api-front", "api-back"):
        assert api.call("users.list").status_code == 200
        since = len(server.log)
        _kill(server.pid, title)
        server.wait_for(r"event=api action=died", since=since)
        until(lambda: _answers(api))
    until(lambda: [name_of(one) for one in below(server.pid)].count("nacre-api-front") == 1)


def _answers(api: APIClient) -> bool:
    try:
        return api.call("users.list").status_code == 200
    except httpx.HTTPError:
        return False


def _titles(pid: int) -> dict[str, int]:
    """Return the processes below one by name, once those of the API have named themselves."""
    found: dict[str, int] = {}

    def named() -> bool:
        found.update((name_of(one), one) for one in below(pid))
        return found.keys() >= {"nacre-api", "nacre-api-front", "nacre-api-back"}

    until(named)
    return found


def _kill(pid: int, title: str) -> None:
    (found,) = [each for name, each in _titles(pid).items() if name.endswith(title)]
    os.kill(found, signal.SIGKILL)


@pytest.mark.parametrize("mode", MODES)
def test_the_log_tells_when_it_has_ended(state: State, mode: str) -> None:
    with start_nacre(state, *MODES[mode], *API) as server:
        pids = _titles(server.pid)
        os.kill(pids["nacre-api"], signal.SIGKILL)
        server.wait_for(r"event=error what=.the API has ended: start the server again")
        rest = [pid for name, pid in pids.items() if name.startswith("nacre-api-")]
        until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in rest))


@pytest.mark.skipif(os.geteuid() != 0, reason="the server has one account")
def test_the_process_that_reads_http_has_no_rights(server: Daemon, api: APIClient) -> None:
    pids = {name.rpartition("-")[2]: pid for name, pid in _titles(server.pid).items()}
    front = Path(f"/proc/{pids['front']}/status").read_text()
    lines = dict(line.split(":\t", 1) for line in front.splitlines() if ":\t" in line)
    assert set(lines["Uid"].split()) != {"0"}
    assert (lines["CapEff"], lines["NoNewPrivs"], lines["Seccomp"]) == ("0" * 16, "1", "2")
    assert os.readlink(f"/proc/{pids['front']}/root") != "/"
    back = Path(f"/proc/{pids['back']}/status").read_text()
    for line in (f"CapEff:\t{'0' * 16}", "NoNewPrivs:\t1", "Seccomp:\t2"):
        assert line in back


def test_it_ends_with_a_server_that_is_killed(state: State) -> None:
    with start_nacre(state, *API) as server:
        pids = _titles(server.pid)
        ours = [pid for name, pid in pids.items() if "api" in name]
        assert len(ours) == 3
        server.process.kill()
        until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in ours))


def test_tls_and_addresses_that_need_it(state: State, tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    words += ["-keyout", str(key), "-out", str(cert), "-days", "2", "-subj", "/CN=localhost"]
    check([require("openssl"), *words, "-addext", "subjectAltName=IP:127.0.0.1"])
    start = [*NACRE, "serve", "--state", state.path, "--listen", "127.0.0.1:0", *RUN_AS]
    done = run([*start, "--api", "0.0.0.0:0"])
    assert done.returncode == 1
    assert b"keys of the API need TLS: give --api-cert and --api-key" in done.stderr
    done = run([*start, *API, "--api-cert", cert, "--api-key", cert])
    assert done.returncode == 1
    assert b"the certificate or its key can't be used" in done.stderr
    tls = ("--api", "0.0.0.0:0", "--api-cert", str(cert), "--api-key", str(key))
    with start_nacre(state, *tls) as server:
        where = address_of(server).replace("0.0.0.0", "127.0.0.1")
        context = ssl.create_default_context(cafile=str(cert))
        options = {"verify": context, "timeout": 30, "trust_env": False}
        with httpx.Client(base_url=f"https://{where}", **options) as http:  # type: ignore[arg-type]
            api = APIClient(http, make_key(state, "admin"))
            assert api.call("users.list").status_code == 200
        host, _, port = where.rpartition(":")
        with socket.create_connection((host, int(port)), 20) as sock:
            sock.sendall(b"GET /v1/users HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"HTTP/1.1 200" not in sock.recv(1000)


def test_curl_is_a_client(server: Daemon, state: State) -> None:
    key = make_key(state, "reader", "users:read")
    words = ["-sS", "-m", "20", "-H", f"Authorization: Bearer {key}"]
    found = check([require("curl"), *words, f"http://{address_of(server)}/v1/users"])
    assert b'"name": "alice"' in found


@pytest.fixture
def place() -> Iterator[Path]:
    """Return the path of a socket: a short one, in a directory that other accounts may enter."""
    directory = Path(tempfile.mkdtemp(prefix="nacre-api-"))
    directory.chmod(0o755)
    yield directory / "api"
    shutil.rmtree(directory)


NOBODY = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups")


def curl_at(place: Path, *words: str, become: tuple[str, ...] = ()) -> tuple[int, Any]:
    """Return the status of a request over a Unix socket, 0 without one, and its answer."""
    to = ["--unix-socket", str(place), "-sS", "-m", "20", "-w", "\n%{http_code}"]
    done = run([*become, require("curl"), *to, *words])
    body, _, status = done.stdout.decode().rpartition("\n")
    return int(status), json.loads(body) if body else None


def test_the_servers_account_needs_no_key_at_a_unix_socket(state: State, place: Path) -> None:
    with start_nacre(state, "--api", str(place), "--audit") as server:
        server.wait_for(rf"event=api address={place}")
        assert stat.S_IMODE(place.stat().st_mode) == 0o600
        bob = '{"name": "bob", "password": "first words"}'
        words = ("-H", "Content-Type: application/json", "-d", bob, "http://localhost/v1/users")
        assert curl_at(place, *words)[0] == 201
        who = f'peer="uid {os.geteuid()}"'
        server.wait_for(rf"event=api action=users\.add target=bob status=201 {who}")
        status, found = curl_at(place, "http://localhost/v1/audit?event=api")
        assert (status, found["events"][0]["peer"]) == (200, f"uid {os.geteuid()}")
        # Who shows a key wants no more than that.
        for key, wanted in (("nacre_none", 401), (make_key(state, "ci", "bans:read"), 403)):
            shown = ("-H", f"Authorization: Bearer {key}", "http://localhost/v1/users")
            assert curl_at(place, *shown)[0] == wanted
        if os.geteuid() == 0:
            assert curl_at(place, "http://localhost/v1/users", become=NOBODY) == (0, None)
        front = Path(f"/proc/{_titles(server.pid)['nacre-api-front']}/status").read_text()
        for line in (f"CapEff:\t{'0' * 16}", "NoNewPrivs:\t1", "Seccomp:\t2"):
            assert line in front
    assert not place.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root takes another account")
@pytest.mark.parametrize("both", [False, True], ids=["alone", "beside TCP"])
def test_others_need_the_group_and_a_key_at_a_unix_socket(
    state: State, place: Path, both: bool
) -> None:
    users = "http://localhost/v1/users"
    shown = ("-H", f"Authorization: Bearer {make_key(state, 'ci', 'users:read')}", users)
    beside = API if both else ()
    with start_nacre(state, "--api", str(place), "--api-group", "nogroup", *beside) as server:
        server.wait_for("event=api address=/")
        assert stat.S_IMODE(place.stat().st_mode) == 0o660
        assert curl_at(place, users, become=NOBODY)[0] == 401
        status, found = curl_at(place, *shown, become=NOBODY)
        assert (status, [one["name"] for one in found["users"]]) == (200, ["alice"])
        assert curl_at(place, *shown[:2], "http://localhost/v1/bans", become=NOBODY)[0] == 403
        server.wait_for(r'event=api key=ci action=users\.list .*peer="uid 65534"')
        assert curl_at(place, users)[0] == 200
        if both:
            found = server.wait_for(r"event=api address=(127\S+)")
            answer = httpx.get(f"http://{found[1]}/v1/users", timeout=30, trust_env=False)
            assert answer.status_code == 401
