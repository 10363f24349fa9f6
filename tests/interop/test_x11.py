"""X11 forwarding with xauth and real programs: ssh and nacre ssh, to sshd and nacre-sshd."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from interop.clients import Account, Login
from interop.daemons import Daemon
from interop.displays import XServer, x_server
from interop.programs import require, run
from interop.side_by_side import SERVERS, put, start

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root serves other accounts"),
]

KEYS = ".ssh/x11_keys"
WORK = (
    "echo $DISPLAY; xauth -n list $DISPLAY | cut -d' ' -f5; xdpyinfo | sed -n 's/^vendor s/s/p';"
    "xauth -q -f wrong add $DISPLAY . 00112233445566778899aabbccddeeff 2>/dev/null;"
    "XAUTHORITY=wrong xdpyinfo >/dev/null 2>&1; echo $?; rm -f wrong"
)
"""What a session does: show its display, its cookie, and what a wrong cookie comes to."""


@pytest.fixture(scope="module")
def display(tmp_path_factory: pytest.TempPathFactory) -> Iterator[XServer]:
    require("xdpyinfo")
    with x_server(tmp_path_factory.mktemp("display")) as found:
        yield found


@pytest.fixture(scope="module")
def logins(
    system_account: Account,
    host_keys: dict[str, Path],
    keys: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, Login]]:
    """Both servers; a key of each user has options of its own."""
    lines = {
        "ed25519": "",
        "ecdsa256": "no-X11-forwarding ",
        "ecdsa384": "restrict,X11-forwarding ",
        "ecdsa521": 'environment="DISPLAY=:99" ',
    }
    listed = "".join(
        f"{options}{keys[name].with_suffix('.pub').read_text()}" for name, options in lines.items()
    )
    config = (
        f"AuthorizedKeysFile {KEYS}",
        "X11Forwarding yes",
        "X11DisplayOffset 40",
        "PermitUserEnvironment yes",
    )
    with ExitStack() as stack:
        stack.enter_context(put(system_account.home / KEYS, listed, system_account.name))
        found = {}
        for server in SERVERS:
            directory = tmp_path_factory.mktemp(server)
            daemon = start(server, directory, host_keys["ed25519"], config)
            stack.callback(daemon.stop)
            found[server] = Login(daemon, system_account.name, directory, keys["ed25519"])
        yield found


def client(name: str, login: Login, *options: str, flags: tuple[str, ...]) -> list[str]:
    make = login.ssh if name == "ssh" else login.nacre_ssh
    return make("LogLevel=INFO", *options, flags=flags)


def session(
    command: list[str], display: XServer, work: str = WORK
) -> subprocess.CompletedProcess[bytes]:
    return run([*command, work], **display.environment)


@pytest.mark.parametrize("trusted", ["yes", "no"])
@pytest.mark.parametrize(
    ("name", "server"), [("ssh", "nacre"), ("nacre", "sshd"), ("nacre", "nacre")]
)
def test_a_program_is_shown_and_only_with_the_cookie_that_its_session_has(
    logins: dict[str, Login], display: XServer, name: str, server: str, trusted: str
) -> None:
    if trusted == "no" and not display.secures:
        pytest.skip("this Xvfb lacks the extension SECURITY")
    command = client(name, logins[server], f"ForwardX11Trusted={trusted}", flags=("-X",))
    done = session(command, display)
    shown, cookie, vendor, status = done.stdout.decode().splitlines()
    assert shown == "localhost:40.0"
    assert vendor.startswith("string:")
    assert len(cookie) == 32
    assert cookie != display.cookie
    assert status == "1"
    assert b"X11" in done.stderr  # the client says why the second program was refused


@pytest.mark.parametrize("name", ["ssh", "nacre"])
def test_keys_and_switches_decide_alike(
    logins: dict[str, Login], keys: dict[str, Path], display: XServer, name: str
) -> None:
    cases = [
        ("ed25519", ("-x",), b"-\n"),
        ("ecdsa256", ("-Y",), b"-\n"),
        ("ecdsa384", ("-Y",), b"localhost:40.0-\n"),
        ("ecdsa521", ("-Y",), b":99-\n"),
    ]
    for login in logins.values() if name == "ssh" else [logins["nacre"]]:
        for key, flags, printed in cases:
            command = client(name, login.using(keys[key]), flags=flags)
            assert session(command, display, "echo $DISPLAY-").stdout == printed, (key, flags)


def test_the_users_own_script_gets_the_cookie_in_place_of_xauth(
    logins: dict[str, Login], system_account: Account, display: XServer
) -> None:
    rc = system_account.home / ".ssh" / "rc"
    text = 'read protocol cookie; echo "$protocol ${#cookie} $DISPLAY"\n'
    with put(rc, text, system_account.name):
        for login in logins.values():
            (system_account.home / ".Xauthority").unlink(missing_ok=True)
            done = session(client("ssh", login, flags=("-Y",)), display, "xauth -n list")
            assert done.stdout == b"MIT-MAGIC-COOKIE-1 32 localhost:40.0\n"


def test_without_a_display_the_session_starts_nevertheless(logins: dict[str, Login]) -> None:
    for text, said in (("", b""), ("nonsense", b"names no display")):
        command = client("nacre", logins["nacre"], flags=("-X",))
        done = run([*command, "echo in $DISPLAY"], DISPLAY=text)
        assert (done.returncode, done.stdout) == (0, b"in\n")
        assert (said in done.stderr) is bool(said or not done.stderr)


@pytest.mark.parametrize(("master", "name"), [("nacre", "ssh"), ("ssh", "nacre")])
def test_a_client_of_a_shared_connection_has_the_masters_display(
    logins: dict[str, Login], display: XServer, master: str, name: str
) -> None:
    login = logins["nacre"]
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        path = f"ControlPath={directory}/s"
        begun = [*client(master, login, "ControlMaster=yes", path, flags=("-N", "-X"))]
        with Daemon(master, begun, more_environment=display.environment):
            deadline = time.monotonic() + 30
            while not os.path.exists(f"{directory}/s"):
                assert time.monotonic() < deadline
                time.sleep(0.02)
            command = client(name, login, path, flags=("-X",))
            done = session(command, display, "echo $DISPLAY; xdpyinfo | grep -c ^vendor")
            assert done.stdout == b"localhost:40.0\n2\n", done.stderr
