"""StrictHostKeyChecking=no with a changed or revoked host key: what such a host does not get."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from interop.daemons import Daemon
from interop.programs import NACRE, require, run
from interop.test_host_key_rotation import OTHER, SHOWN, USER, serving
from nacre import dump_private

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the login is root's")

LINES = {
    "changed": f"h {OTHER.public}\n",
    "revoked": f"h {SHOWN.public}\n@revoked h {SHOWN.public}\n",
}
METHODS = ["-o", "PasswordAuthentication=no", "-o", "KbdInteractiveAuthentication=no"]
FORWARDING = [
    "-A",
    "-L",
    "2001:127.0.0.1:1",
    "-R",
    "0:127.0.0.1:1",
    "-D",
    "2002",
    "-X",
    "-w",
    "0:0",
]
STRICT = ["-o", "ExitOnForwardFailure=yes"]
CASES = {
    # options, whether the session starts, how much is switched off
    "forwarding": (FORWARDING, True, 6),
    "nothing": (METHODS, True, 0),
    "a failure ends it": (["-A", *METHODS, *STRICT], False, 1),
    "methods count as forwarding": (STRICT, False, 2),
    "nothing fails": ([*METHODS, *STRICT], True, 0),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with serving("sshd", tmp_path_factory.mktemp("s"), [SHOWN]) as daemon:
        yield daemon


@pytest.mark.parametrize(("lines", "case"), [("changed", case) for case in CASES] + [
    ("revoked", "forwarding"), ("revoked", "methods count as forwarding")
])  # fmt: skip
def test_what_is_withheld(server: Daemon, lines: str, case: str, tmp_path: Path) -> None:
    options, starts, switched_off = CASES[case]
    (tmp_path / "known_hosts").write_text(LINES[lines])
    (tmp_path / "key").write_bytes(dump_private(USER))
    (tmp_path / "key").chmod(0o600)
    ssh = seen([require("ssh")], server, options, tmp_path)
    nacre = seen([*NACRE, "ssh"], server, options, tmp_path)
    assert ssh == nacre
    status, output, messages = nacre
    assert (status, output) == ((0, "in\n") if starts else (255, ""))
    assert len(messages) == switched_off


def seen(
    program: Sequence[str | Path], server: Daemon, options: Sequence[str], directory: Path
) -> tuple[int, str, list[str]]:
    """Return status, output, and the messages of what is switched off."""
    words = [*program, "-F", "none", "-p", str(server.port), "-i", directory / "key"]
    for option in (
        f"UserKnownHostsFile={directory / 'known_hosts'}",
        *("GlobalKnownHostsFile=none", "StrictHostKeyChecking=no", "HostKeyAlias=h"),
        "IdentitiesOnly=yes",
    ):
        words += ["-o", option]
    command = 'echo in; if test -S "$SSH_AUTH_SOCK"; then echo agent; fi'
    agent = require("ssh-agent")
    done = run([agent, *words, *options, "root@127.0.0.1", command], HOME=str(directory))
    shown = done.stderr.decode()
    messages = re.findall(r"^.* is disabled to avoid man-in-the-middle attacks\.\r?$", shown, re.M)
    assert re.search("WARNING: (REMOTE HOST IDENTIFICATION|REVOKED HOST KEY)", shown), shown
    return done.returncode, done.stdout.decode(), [one.strip() for one in messages]
