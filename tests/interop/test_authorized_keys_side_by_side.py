"""Each option of authorized_keys, enforced by sshd and by nacre for OpenSSH's ssh alike.

The two servers are started once; each case writes the file of keys that both read.
"""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from interop.clients import Account, Login
from interop.daemons import State, start_nacre
from interop.programs import manage, require, run
from interop.side_by_side import SERVERS, Both, alike, put, start

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root serves other accounts"),
]

NAME = ".ssh/side_by_side"
CONFIG = (
    f"AuthorizedKeysFile {NAME}",
    "PermitUserEnvironment A*",
    "AcceptEnv SENT",
    "PrintMotd no",
    "PrintLastLog no",
)


@pytest.fixture(scope="module")
def both(
    system_account: Account,
    host_keys: dict[str, Path],
    keys: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Both]:
    directory = tmp_path_factory.mktemp("both")
    with ExitStack() as stack:
        logins = {}
        for server in SERVERS:
            daemon = start(server, directory, host_keys["ed25519"], CONFIG)
            stack.callback(daemon.stop)
            own = directory / f"client-{server}"
            own.mkdir()
            logins[server] = Login(daemon, system_account.name, own, keys["ed25519"])
        yield Both(logins, system_account, directory)


Authorize = Callable[..., None]


@pytest.fixture
def authorize(both: Both, keys: dict[str, Path]) -> Iterator[Authorize]:
    """Write the lines of the account's file; ``{key}`` is the key that logs in."""
    file = both.account.home / NAME
    public = keys["ed25519"].with_suffix(".pub").read_text().strip()
    other = keys["rsa"].with_suffix(".pub").read_text().strip()

    def write(*lines: str) -> None:
        texts = [line.replace("{key}", public).replace("{other}", other) for line in lines]
        file.write_text("\n".join(texts) + "\n")
        shutil.chown(file, both.account.name)

    yield write
    file.unlink()


def day(days: int) -> str:
    return time.strftime("%Y%m%d", time.gmtime(time.time() + 86400 * days))


SHOW = 'echo "in|$SSH_ORIGINAL_COMMAND|$AA|$AB|$B|$SENT"'


# --- who is let in, and what then runs ---


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", "in|||||client\n"),
        ('command="echo forced; echo $SSH_ORIGINAL_COMMAND"', f"forced\n{SHOW}\n"),
        (r'command="echo \"quoted\""', "quoted\n"),
        ('command=""', ""),
        ('command="false"', ""),
        ('command="echo once",command="echo twice"', None),
        ('environment="AA=1",environment="AB=x=y",environment="AA=2"', "in||1|x=y||client\n"),
        ('environment="B=not permitted",environment="AA=1"', "in||1|||client\n"),
        ('environment="SENT=of the key"', "in|||||client\n"),
        ('environment="A-A=1"', None),
        ('environment="AA"', None),
        ('expiry-time="{yesterday}Z"', None),
        ('expiry-time="{tomorrow}"', "in|||||client\n"),
        ('expiry-time="{tomorrow}000000Z"', "in|||||client\n"),
        ('expiry-time="{tomorrow}",expiry-time="{yesterday}"', None),
        ('expiry-time="soon"', None),
        ('from="127.0.0.1"', "in|||||client\n"),
        ('from="127.0.0.0/8"', "in|||||client\n"),
        ('from="192.0.2.0/24,127.0.0.?"', "in|||||client\n"),
        ('from="192.0.2.0/24"', None),
        ('from="*,!127.0.0.1"', None),
        ('from="!192.0.2.1,*"', "in|||||client\n"),
        ('from="!192.0.2.1"', None),
        ('from="127.0.0.1/8"', None),
        ('from="localhost"', None),
        ('from=""', None),
        ('from="127.0.0.1",from="127.0.0.1"', None),
        ('principals="{user}"', None),
        ("cert-authority", None),
        ('cert-authority,principals="{user}"', None),
        ("no-touch-required", "in|||||client\n"),
        ("verify-required", "in|||||client\n"),
        ("touch-required,no-verify-required", "in|||||client\n"),
        ("restrict", "in|||||client\n"),
        ("RESTRICT,Pty", "in|||||client\n"),
        ('tunnel="0"', "in|||||client\n"),
        ('tunnel="0",tunnel="any"', "in|||||client\n"),
        ('tunnel="no"', None),
        ('permitopen="host"', None),
        ('permitlisten="0"', None),
        ("unknown-option", None),
        ("no-restrict", None),
        ("no-pty,", "in|||||client\n"),
        (",,no-pty", "in|||||client\n"),
        ('tunnel="1:2"', None),
        ("no-pty no-agent-forwarding", None),
        ('no-pty,command="open', None),
    ],
    ids=lambda value: value if isinstance(value, str) and "|" not in value else "",
)
def test_who_is_let_in(
    both: Both, authorize: Authorize, options: str, expected: str | None
) -> None:
    for name, text in {
        "user": both.account.name,
        "yesterday": day(-1),
        "tomorrow": day(2),
    }.items():
        options = options.replace(f"{{{name}}}", text)
    authorize(f"{options} {{key}}".strip())
    done = alike(both.ssh(SHOW, options=["BatchMode=yes", "SetEnv=SENT=client"]))
    if expected is None:
        assert (done.returncode, done.stdout) == (255, b"")
    else:
        assert done.stdout.decode() == expected
        assert done.returncode == ("false" in options)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (("nonsense", "unknown-option {key}", "{other}", "{key}"), "in"),
        (("ssh-ed25519 AAAA", "# {key}", "\t {key} a comment"), "in"),
        (('from="192.0.2.1" {key}', 'command="echo second" {key}'), "second"),
        (('command="echo first" {key}', "{key}"), "first"),
        (("#{key}",), None),
        (("cert-authority {key}", "{other}", "{key}\r"), "in"),
    ],
    ids=["after bad ones", "blanks", "the next", "the first", "a comment", "CRLF"],
)
def test_which_line_counts(
    both: Both, authorize: Authorize, lines: tuple[str, ...], expected: str | None
) -> None:
    authorize(*lines)
    done = alike(both.ssh("echo in", options=["BatchMode=yes"]))
    assert done.stdout.decode().strip() == (expected or "")


WRITTEN = {
    "permitopen": (
        *("h:http", "h/80", ":80", "[::1]:80", "[::1]/*", "[]:80", "h]:80", "h:+80", "*:*"),
        *("*", "80", "h", "h:", "h:0", "h:no-such-service", "::1:80", "[::1]", "[h:80", "h:80:90"),
    ),
    "permitlisten": ("http", "*", "h:http", ":80", "[::1]:80", "h/80", "", "[::1]", "h:", "0"),
}


def test_which_places_can_be_written(both: Both, authorize: Authorize) -> None:
    """Each login finds the next line that counts, and the lines before it are removed."""
    lines = [f'{name}="{text}"' for name, texts in WRITTEN.items() for text in texts]
    counted = []
    while lines:
        authorize(*(f'{line},command="echo {i}" {{key}}' for i, line in enumerate(lines)))
        done = alike(both.ssh(options=["BatchMode=yes"], flags=["-T"]))
        if done.returncode:
            break
        counted.append(lines[int(done.stdout)])
        lines = lines[int(done.stdout) + 1 :]
    assert 'permitopen="h/80"' in counted
    assert len(counted) == 14


def test_a_line_that_can_not_be_read_is_logged_once(both: Both, authorize: Authorize) -> None:
    authorize("unknown-option {key}", "{key}")
    log = both.logins["nacre"].server
    since = len(log.log)
    assert alike(both.ssh("echo in")).stdout == b"in\n"
    log.wait_for("event=end|event=closed|event=disconnected|event=lost", since=since)
    lines = [line for line in log.log[since:] if "unknown-option is unknown" in line]
    assert len(lines) == 1
    assert "line 1" in lines[0]


# --- what a session may do ---

PERMITTED = [
    ("", True),
    ("restrict", False),
    ("no-{name}", False),
    ("restrict,{name}", True),
    ("{name},restrict", False),
    ("no-{name},{name}", True),
]


@pytest.mark.parametrize(("options", "permitted"), PERMITTED)
def test_a_terminal(both: Both, authorize: Authorize, options: str, permitted: bool) -> None:
    authorize(options.format(name="pty") + " {key}")
    done = alike(both.ssh("test -t 0 && echo terminal", flags=["-tt"]))
    assert (b"terminal" in done.stdout) is permitted


@pytest.mark.parametrize(("options", "permitted"), PERMITTED)
def test_the_agent(both: Both, authorize: Authorize, options: str, permitted: bool) -> None:
    authorize(options.format(name="agent-forwarding") + " {key}")
    for name, login in both.logins.items():
        command = login.ssh(flags=["-A"])
        done = run([require("ssh-agent"), *command, 'test -S "$SSH_AUTH_SOCK"'])
        assert done.returncode == (0 if permitted else 1), name


@pytest.mark.parametrize(("options", "permitted"), PERMITTED)
def test_rc(both: Both, authorize: Authorize, options: str, permitted: bool) -> None:
    authorize(options.format(name="user-rc") + " {key}")
    with put(both.account.home / ".ssh" / "rc", "echo rc\n", both.account.name):
        done = alike(both.ssh("echo in"))
    assert done.stdout == (b"rc\nin\n" if permitted else b"in\n")


def reaches(login: Login, host: str) -> bool:
    """Tell whether a connection is forwarded to the server's own port."""
    where = f"{host}:{login.server.port}"
    done = run(login.ssh(flags=["-W", where]), input=b"SSH-2.0-probe\r\n")
    return done.stdout.startswith(b"SSH-2.0-")


@pytest.mark.parametrize(
    ("options", "permitted"),
    [
        *((options.format(name="port-forwarding"), yes) for options, yes in PERMITTED),
        ('permitopen="127.0.0.1:{port}"', True),
        ('permitopen="127.0.0.1:*"', True),
        ('permitopen="*:{port}"', True),
        ('permitopen="localhost:{port}"', False),
        ('permitopen="127.0.0.1:1"', False),
        ('permitopen="127.0.0.1:1",permitopen="127.0.0.1:{port}"', True),
        ('permitopen="127.0.0.*:{port}"', False),
        ('permitopen="127.0.0.1/{port}"', True),
        ('permitopen=":{port}"', False),
        ('no-port-forwarding,permitopen="127.0.0.1:{port}"', False),
        ('restrict,permitopen="127.0.0.1:{port}"', False),
        ('restrict,port-forwarding,permitopen="127.0.0.1:{port}"', True),
        ('permitlisten="1"', True),
    ],
)
def test_connections_through_the_server(
    both: Both, authorize: Authorize, options: str, permitted: bool
) -> None:
    found = {}
    for name, login in both.logins.items():
        authorize(options.replace("{port}", str(login.server.port)) + " {key}")
        found[name] = reaches(login, "127.0.0.1")
    assert found == dict.fromkeys(SERVERS, permitted)


@pytest.mark.parametrize(
    ("options", "asked", "permitted"),
    [
        *((options.format(name="port-forwarding"), "{port}", yes) for options, yes in PERMITTED),
        ('permitlisten="{port}"', "{port}", True),
        ('permitlisten="localhost:{port}"', "{port}", True),
        ('permitlisten="localhost:*"', "{port}", True),
        ('permitlisten="127.0.0.1:{port}"', "127.0.0.1:{port}", True),
        ('permitlisten="127.0.0.2:{port}"', "127.0.0.1:{port}", False),
        ('permitlisten="*:1"', "{port}", False),
        ('permitlisten="*:1",permitlisten="*:{port}"', "{port}", True),
        ('permitopen="127.0.0.1:1"', "{port}", True),
        ('restrict,permitlisten="{port}"', "{port}", False),
    ],
)
def test_ports_of_the_server(
    both: Both, authorize: Authorize, options: str, asked: str, permitted: bool
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = str(probe.getsockname()[1])
    authorize(options.replace("{port}", port) + " {key}")
    flags = ["-R", asked.replace("{port}", port) + ":127.0.0.1:1"]
    done = alike(both.ssh("echo in", flags=flags, options=["ExitOnForwardFailure=yes"]))
    assert (done.returncode == 0) is permitted


def test_a_tunnel_is_refused(both: Both, authorize: Authorize) -> None:
    authorize('tunnel="0" {key}')
    done = both.ssh("echo in", flags=["-w", "any:any"], options=["ExitOnForwardFailure=yes"])
    assert [one.returncode for one in done.values()] == [255, 255]


def test_a_command_takes_the_place_of_a_subsystem_and_of_a_shell(
    both: Both, authorize: Authorize
) -> None:
    authorize('command="echo \\"$SSH_ORIGINAL_COMMAND|\\"; exit 7" {key}')
    done = alike(both.ssh(flags=["-T"]))
    assert (done.returncode, done.stdout) == (7, b"|\n")


# --- the same options, of keys of the user store ---


@pytest.fixture(scope="module")
def stored(
    both: Both, keys: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[State, Both]]:
    """``nacre serve`` with its own users, in the place of ``nacre-sshd``."""
    directory = tmp_path_factory.mktemp("store")
    state = State(directory / "state")
    state.add_user("alice", keys=[keys["ed25519"].with_suffix(".pub")], auth="publickey")
    with start_nacre(state, "-o", "PerSourcePenalties=no") as daemon:
        login = Login(daemon, "alice", directory, keys["ed25519"])
        yield state, Both({**both.logins, "nacre": login}, both.account, both.directory)


@pytest.mark.parametrize(
    ("options", "flags", "expected"),
    [
        ("restrict", ["-T"], "in"),
        ("restrict", ["-tt"], None),
        ("restrict,pty", ["-tt"], "in"),
        ('command="echo forced $SSH_ORIGINAL_COMMAND"', ["-T"], "forced echo in:$AA"),
        ('environment="AA=1"', ["-T"], "in:1"),
        ('from="192.0.2.0/24"', ["-T"], None),
        ('from="!192.0.2.1,127.0.0.0/8"', ["-T"], "in"),
        ('expiry-time="20200101"', ["-T"], None),
        ('permitopen="127.0.0.1:1"', ["-W", "127.0.0.1:2"], None),
        ("no-port-forwarding", ["-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:1"], None),
        ("cert-authority", ["-T"], None),
    ],
)
def test_keys_of_the_store(
    stored: tuple[State, Both],
    authorize: Authorize,
    options: str,
    flags: list[str],
    expected: str | None,
    keys: dict[str, Path],
) -> None:
    state, both = stored
    authorize(options + " {key}")
    file = keys["ed25519"].with_suffix(".pub")
    manage("user", "key", "add", "alice", "--state", state.path, "--options", options, file)
    words = [] if "-W" in flags else ["echo in:$AA"]
    done = alike(both.ssh(*words, flags=flags, options=["BatchMode=yes"]))
    assert done.stdout.decode().strip().removesuffix(":") == (expected or "")
    assert (done.returncode == 0) is (expected is not None)
