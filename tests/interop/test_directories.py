"""Users who are found elsewhere: real clients log in, and directories fail."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from interop.clients import PASSWORD, Login, askpass
from interop.daemons import Daemon
from interop.ldap_server import ADMIN, ADMIN_PASSWORD, BASE, Slapd, ldap_server
from interop.programs import NACRE, check, missing, require, run
from interop.sites import LAYOUTS, Site, by_ssh1, made
from interop.ssh1_peers import SSH1
from nacre.daemon.store.second_factor.totp import INTERVAL, code_at, new_secret
from nacre.daemon.store.store import FILE, UserStore
from nacre.daemon.store.values import StoredUser

pytestmark = pytest.mark.interop

SECRET = "0123456789abcdef" * 2


PROGRAM = ["--users-program-account", "root"] if os.geteuid() == 0 else []


@contextmanager
def web(answer: Callable[[bytes, Any], tuple[int, bytes]]) -> Iterator[str]:
    """Serve HTTP with what ``answer`` returns for a body and the headers."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, content = answer(body, self.headers)
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/nacre"
        finally:
            server.shutdown()
            thread.join(30)


def signed(headers: Any, body: bytes) -> bool:
    text = headers["Nacre-Time"].encode() + b"." + body
    made = hmac.new(SECRET.encode(), text, hashlib.sha256).hexdigest()
    return hmac.compare_digest(made, headers["Nacre-Signature"])


@contextmanager
def started(site: Site, kind: str, *arguments: str) -> Iterator[Daemon]:
    """Start a server with the users of a site, who are asked for in one of the ways."""
    if kind == "command":
        yield site.start(f"command:{site.answers('answers')}", *PROGRAM, *arguments)
    elif kind == "python":
        site.answers("nacre_test_answers.py")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYTHONPATH", f"{site.place}:{os.environ.get('PYTHONPATH', '')}")
            yield site.start("python:nacre_test_answers:answer", *arguments)
    else:
        program = site.answers("answers")
        secret = site.place / "secret"
        secret.touch(mode=0o600)
        secret.write_text(SECRET + "\n")

        def answer(body: bytes, headers: Any) -> tuple[int, bytes]:
            return (200, check([program], input=body)) if signed(headers, body) else (403, b"")

        with web(answer) as url:
            yield site.start(url, "--users-secret", str(secret), *arguments)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", ["command", "http", "python"])
def test_a_directory_lets_in_whom_it_knows(site: Site, kind: str, layout: str) -> None:
    (site.directory / "files").mkdir()
    (site.directory / "files" / "seen").touch()
    with started(site, kind, *LAYOUTS[layout]) as server:
        assert site.by_key(server, "alice") == b"in\n"
        assert site.by_password(server, "alice") == b"in\n"
        assert site.by_password(server, "alice", "wrong") is None
        server.wait_for("event=refused .*name=alice .*wrong password")
        assert site.by_password(server, "alice", "") is None
        assert site.by_password(server, "ghost") is None
        server.wait_for("event=refused .*name=ghost .*unknown user")
        site.refuses(server, "late", "the user has expired")
        site.refuses(server, "boss", "names the account root .*--users-account")
        login = Login(server, "files", site.directory, site.keys["ed25519"])
        where = ["-P" if word == "-p" else word for word in login.options()]
        done = run([require("sftp"), *where, "files@127.0.0.1"], input=b"ls /\n")
        assert b"seen" in done.stdout, done.stderr
        assert site.by_key(server, "files") is None


def test_a_directory_lets_clients_of_ssh1_in(site: Site, ssh1: SSH1) -> None:
    site.keys = {**site.keys, "ed25519": ssh1.key}  # a line of an SSH-1 key
    with started(site, "command", "--protocol", "2,1", "--profile", "legacy") as server:
        client = replace(ssh1, server=server)
        assert by_ssh1(client, "wrong", key=True) == b"in\n"
        assert by_ssh1(client, PASSWORD) == b"in\n"
        since = len(server.log)
        assert by_ssh1(client, "wrong") is None
        server.wait_for("event=refused .*name=alice .*wrong password", since=since)
        assert by_ssh1(client, PASSWORD, "ghost", key=True) is None
        server.wait_for("event=refused .*name=ghost .*unknown user")


def test_groups_of_the_store_and_named_accounts(site: Site) -> None:
    site.group(name="everyone", service="sftp")
    server = site.start(
        f"command:{site.answers('answers')}",
        *PROGRAM,
        *["--users-group", "everyone", "--users-account", "root"],
    )
    assert site.by_key(server, "alice") is None
    server.wait_for("alice may use sftp and scp only|no directory for them")
    assert site.by_key(server, "boss") is None
    server.wait_for("boss may use sftp and scp only|boss may use files only")


def test_a_second_factor_is_that_of_the_stores_user(site: Site) -> None:
    site.group(name="two", second_factor="required")
    server = site.start(
        f"command:{site.answers('answers')}", *PROGRAM, "--users-group", "two", "--gates", "0"
    )
    assert site.by_key(server, "alice") is None
    login = Login(server, "alice", site.directory, site.keys["ed25519"])
    asking = askpass(site.directory, "000000")
    run([*login.ssh("NumberOfPasswordPrompts=1"), "true"], **asking)
    server.wait_for("event=refused .*the user has no second factor")
    secret = new_secret()
    with closing(UserStore(site.state.path / FILE)) as store:
        store.add(StoredUser(name="alice"))
        store.factors.enrol("alice", secret)
    asking = askpass(site.directory, code_at(secret, int(time.time()) // INTERVAL))
    done = run([*login.ssh("NumberOfPasswordPrompts=1"), "echo in"], **asking)
    assert done.stdout == b"in\n", done.stderr


FAILURES = {
    "garbage": ("echo '{'", "no JSON"),
    "status": ("exit 3", "status 3"),
    "much": ("exec yes", "more than 65536 bytes"),
    "silent": ("cat", "no object with the field user"),
    "unknown field": ("""echo '{"user": {"servise": "sftp"}}'""", "servise, which is unknown"),
    "wrong value": ("""echo '{"user": {"expires": "soon"}}'""", "expires in the answer"),
    "no group": ("""echo '{"user": {"groups": ["ghosts"]}}'""", "no group .*ghosts"),
}


@pytest.fixture(scope="module")
def failing(
    keys: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Site, Daemon]]:
    """A site and its server, whose program a test replaces.

    A failure holds for a second, for the user who was asked for: each test has another one.
    """
    with made(keys, tmp_path_factory.mktemp("failing")) as site:
        yield site, site.start(site.program("exit 1"), *PROGRAM)


@pytest.mark.parametrize("failure", FAILURES)
def test_a_program_that_fails_lets_nobody_in(failing: tuple[Site, Daemon], failure: str) -> None:
    site, server = failing
    text, reason = FAILURES[failure]
    site.program(text)
    since = len(server.log)
    site.refuses(server, failure.replace(" ", "-"), reason)
    server.wait_for(f"event=error .*a user can't be looked up.*{reason}", since=since)


def test_a_program_that_takes_too_long_lets_nobody_in(failing: tuple[Site, Daemon]) -> None:
    """Of two programs the first to begin does not read its question, either."""
    site, server = failing
    first = site.place / "first"
    site.program(f"mkdir {first} && exec sleep 100 <&-\nexec sleep 100")
    since = len(server.log)
    site.refuses_both(server, "slow", "deaf", "more than 10 seconds")
    server.wait_for("event=error .*a user can't be looked up.*more than 10 seconds", since=since)
    assert first.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs programs as others")
def test_a_program_has_the_rights_of_its_account(site: Site) -> None:
    text = """test "$(id -u):$(id -G)" = 65534:65534 && echo '{"user": {"expires": 1}}'"""
    server = site.start(site.program(text), "--users-program-account", "nobody")
    site.refuses(server, "alice", "the user has expired")


def test_a_web_server_that_fails_lets_nobody_in(site: Site) -> None:
    secret = site.place / "secret"
    secret.touch(mode=0o600)
    secret.write_text(SECRET)
    answers: dict[str, tuple[int, bytes]] = {
        "the status of the answer is 500": (500, b'{"user": null}'),
        "the status of the answer is 302": (302, b""),
        "the answer is no JSON": (200, b"["),
        "sent more than 65536 bytes": (200, b" " * 65537),
    }
    given = [(200, b"")]
    with web(lambda body, headers: given[0]) as url:
        server = site.start(url, "--users-secret", str(secret))
        for number, (reason, answer) in enumerate(answers.items()):
            given[0] = answer
            site.refuses(server, f"user{number}", reason)
    site.refuses(server, "gone", "Connection refused")


# --- LDAP ---


def entries(key: str) -> str:
    return f"""\
dn: ou=people,{BASE}
objectClass: organizationalUnit
ou: people

dn: uid=alice,ou=people,{BASE}
objectClass: inetOrgPerson
objectClass: ldapPublicKey
uid: alice
cn: Alice
sn: A
userPassword: {PASSWORD}
sshPublicKey: {key}
sshPublicKey: ssh-dss AAAA

dn: uid=bob,ou=people,{BASE}
objectClass: inetOrgPerson
objectClass: ldapPublicKey
uid: bob
cn: Bob
sn: B
userPassword: {PASSWORD}
sshPublicKey: {key}

dn: cn=reset,{BASE}
objectClass: device
objectClass: pwdPolicy
cn: reset
pwdAttribute: userPassword
pwdMustChange: TRUE

dn: uid=carol,ou=people,{BASE}
objectClass: inetOrgPerson
objectClass: ldapPublicKey
uid: carol
cn: Carol
sn: C
description: CN=Uploads,{BASE}
userPassword: {PASSWORD}
sshPublicKey: {key}
pwdPolicySubentry: cn=reset,{BASE}
pwdReset: TRUE

dn: cn=short,{BASE}
objectClass: device
objectClass: pwdPolicy
cn: short
pwdAttribute: userPassword
pwdMaxAge: 60

dn: uid=dave,ou=people,{BASE}
objectClass: inetOrgPerson
uid: dave
cn: Dave
sn: D
userPassword: {PASSWORD}
pwdPolicySubentry: cn=short,{BASE}
pwdChangedTime: 20200101000000Z

dn: cn=uploads,{BASE}
objectClass: groupOfNames
cn: uploads
member: uid=bob,ou=people,{BASE}
"""


@pytest.fixture
def ldap(keys: dict[str, Path]) -> Iterator[Slapd]:
    try:
        import bonsai  # noqa: F401
    except ImportError:
        missing("bonsai")
    with ldap_server(entries(keys["ed25519"].with_suffix(".pub").read_text().strip())) as server:
        yield server


def ldap_file(site: Site, ldap: Slapd, **more: object) -> str:
    """Write the file for ``--users ldap:``, and return the option's value."""
    secret = site.place / "ldap.secret"
    secret.touch(mode=0o600)
    secret.write_text(ADMIN_PASSWORD + "\n")
    settings = {
        "url": ldap.url,
        "start_tls": True,
        "ca_file": str(ldap.certificate),
        "base": f"ou=people,{BASE}",
        "filter": "(objectClass=inetOrgPerson)",
        "bind_dn": ADMIN,
        "password_file": str(secret),
        "group_base": BASE,
        **more,
    }
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    lines += ["[groups]", 'uploads = "staff"', "[attributes]", 'service = "roomNumber"']
    path = site.place / "ldap.toml"
    path.write_text("\n".join(lines) + "\n")
    return f"ldap:{path}"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_ldap_lets_in_whom_it_knows(site: Site, ldap: Slapd, layout: str) -> None:
    root = site.directory / "files"
    root.mkdir()
    (root / "seen").touch()
    site.group(name="staff", service="sftp", root=str(root))
    server = site.start(ldap_file(site, ldap), *LAYOUTS[layout])
    assert site.by_key(server, "alice") == b"in\n"
    assert site.by_password(server, "alice") == b"in\n"
    assert site.by_password(server, "alice", "wrong") is None
    server.wait_for("event=refused .*name=alice .*wrong password")
    # What is a bind as nobody, and succeeds here, is no login.
    since = len(server.log)
    assert site.by_password(server, "alice", "") is None
    server.wait_for("event=refused .*name=alice .*wrong password", since=since)
    site.refuses(server, "ghost", "unknown user")
    # LDAP takes it for alice, and rules that name alice would not hold.
    site.refuses(server, "ALICE", "unknown user")
    for name in ("*", "al*", "alice)(uid=*", "alice)(|(uid=*)"):
        assert site.by_key(server, name) is None
        assert site.by_password(server, name) is None
    assert site.by_key(server, "bob") is None
    login = Login(server, "bob", site.directory, site.keys["ed25519"])
    where = ["-P" if word == "-p" else word for word in login.options()]
    done = run([require("sftp"), *where, "bob@127.0.0.1"], input=b"ls /\n")
    assert b"seen" in done.stdout, done.stderr


def test_ldap_that_is_gone_refuses_and_comes_back(site: Site, ldap: Slapd) -> None:
    server = site.start(ldap_file(site, ldap))
    assert site.by_key(server, "alice") == b"in\n"
    ldap.daemon.process.kill()
    ldap.daemon.process.wait(30)
    site.refuses(server, "bob", "the directory gave no answer: ldap://.*")
    assert site.by_password(server, "bob") is None
    ldap.start_again()
    # A failure holds for a second: a name that was not asked for is not concerned.
    assert site.by_key(server, "alice") == b"in\n"


def test_ldap_with_another_certificate_is_not_asked(
    site: Site, ldap: Slapd, host_keys: dict[str, Path]
) -> None:
    server = site.start(ldap_file(site, ldap, ca_file=""))
    site.refuses(server, "alice", "the directory gave no answer: ldap://.*")


def test_ldap_that_hangs_is_not_waited_for(site: Site, ldap: Slapd) -> None:
    server = site.start(ldap_file(site, ldap))
    ldap.daemon.process.send_signal(19)
    try:
        site.refuses(server, "alice", "more than (8|10) seconds")
    finally:
        ldap.daemon.process.send_signal(18)


def test_a_password_that_the_server_wants_changed_is_refused(site: Site, ldap: Slapd) -> None:
    server = site.start(ldap_file(site, ldap))
    for name in ("carol", "dave"):
        assert site.by_password(server, name) is None
        server.wait_for(f"event=refused .*name={name} .*the password has expired")
    since = len(server.log)
    assert site.by_password(server, "carol", "wrong") is None
    server.wait_for("event=refused .*name=carol .*wrong password", since=since)


def test_an_attribute_of_the_user_names_groups(site: Site, ldap: Slapd) -> None:
    site.group(name="staff", expires=1)
    names = f'[groups]\n"cn=uploads,{BASE}" = "staff"'
    where = ldap_file(site, ldap, group_base="", member_of="description")
    path = Path(where.removeprefix("ldap:"))
    path.write_text(path.read_text().replace("[groups]", names))
    server = site.start(where)
    site.refuses(server, "carol", "the user has expired")
    assert site.by_key(server, "bob") == b"in\n"


def test_a_handshake_that_hangs_is_not_waited_for(site: Site, ldap: Slapd) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"ldaps://127.0.0.1:{silent.getsockname()[1]}"
        server = site.start(ldap_file(site, ldap, url=url, start_tls=False))
        site.refuses_both(server, "alice", "bob", "more than 10 seconds")


def test_a_change_in_ldap_counts_for_the_next_login(site: Site, ldap: Slapd) -> None:
    server = site.start(ldap_file(site, ldap, group_base=""))
    name = f"uid=alice,ou=people,{BASE}"
    change = "changetype: modify\nreplace: roomNumber\nroomNumber: shell\n"
    ldap.change(f"dn: {name}\n{change}")
    assert site.by_key(server, "alice") == b"in\n"
    ldap.change(f"dn: uid=bob,ou=people,{BASE}\n{change}")
    login = Login(server, "bob", site.directory, site.keys["ed25519"])
    where = ["-P" if word == "-p" else word for word in login.options()]
    done = run([require("sftp"), *where, "bob@127.0.0.1"], input=b"ls /\n")
    assert done.returncode != 0
    server.wait_for("bob may use a shell only")


def test_what_is_wrong_is_said_at_the_start(site: Site, ldap: Slapd) -> None:
    def complaint(users: str, *more: str) -> str:
        words = ["serve", "--state", site.state.path, "--listen", "127.0.0.1:0", "--users", users]
        done = run([*NACRE, *words, *more])
        assert done.returncode in (1, 2), done.stderr
        return done.stderr.decode()

    assert "none of store" in complaint("nowhere")
    assert "give store, system, command:" in complaint("ftp://127.0.0.1/")
    assert "without TLS" in complaint("http://192.0.2.1/", "--users-secret", "/dev/null")
    assert "needs --users-secret" in complaint("https://192.0.2.1/")
    assert "is not an absolute path" in complaint("command:program", *PROGRAM)
    assert "No module named" in complaint("python:nacre_there_is_none:answer")
    assert "no package has the entry point" in complaint("python:nacre-there-is-none")
    assert "can't read" in complaint("ldap:/there/is/none")
    assert "without TLS" in complaint(
        ldap_file(site, ldap, url="ldap://192.0.2.1", start_tls=False)
    )
    assert "there is no setting colour" in complaint(ldap_file(site, ldap, colour="red"))
    (site.place / "ldap.secret").chmod(0o644)
    assert "chmod 600" in complaint(f"ldap:{site.place / 'ldap.toml'}")
