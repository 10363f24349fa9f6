"""nacre's client of SSH-1 and PuTTY's server for tests; and PuTTY's agent, which keeps RSA1 keys.

Debian packages neither: ``make uppity`` builds them and runs these tests, which are no part of
``make test``.
What both say is kept as transcripts too (tests/ssh1, tests/keys).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from interop.clients import askpass
from interop.daemons import Daemon, on_free_port
from interop.programs import NACRE, check, run
from interop.ssh1_peers import SSH1, contents, tree
from interop.terminal import Terminal

pytestmark = pytest.mark.uppity

BUILT = Path(__file__).parents[2] / "build" / "putty"
ME = "me@127.0.0.1"


def built(program: str) -> Path:
    if not (BUILT / program).exists():
        pytest.fail(f"{program} is not built: make uppity does it")
    return BUILT / program


@dataclass(frozen=True)
class Uppity:
    """The server, and what logs in there."""

    server: Daemon
    directory: Path
    key: Path

    def nacre(self, program: str, *more: str, key: bool = True) -> list[str | Path]:
        options = ["-F", "none", "-1", "-p" if program == "ssh" else "-P", str(self.server.port)]
        options += ["-o", f"UserKnownHostsFile={self.directory / 'known_hosts'}"]
        options += ["-o", "StrictHostKeyChecking=accept-new", "-o", "IdentityAgent=none"]
        identity = ["-i", self.key] if key else ["-o", "PubkeyAuthentication=no"]
        return [*NACRE, program, *options, *identity, *more]

    def check_status(self, command: list[str | Path], status: int, **env: Any) -> bytes:
        """Return a command's output; now and then the server forgets a status and says 0."""
        for _ in range(8):
            done = run(command, input=b"in\n", **env)
            if done.returncode != 0:
                break
        assert done.returncode == status, done.stderr.decode()
        return done.stdout


@pytest.fixture(scope="module")
def uppity(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Uppity]:
    program, directory = built("uppity"), tmp_path_factory.mktemp("uppity")
    for name, bits in (("host", "2048"), ("user", "1024")):
        made = ["-t", "rsa1", "-b", bits, "-N", "", "-f", directory / name]
        check([*NACRE, "keygen", "-q", *made])
    options: list[str | Path] = [
        "--hostkey",
        directory / "host",
        "--userkey",
        directory / "user.pub",
        "--verbose",
    ]
    options += ["--sessiondir", directory, "--ssh1-ciphers", "3des,blowfish,des"]

    def start(port: int) -> Daemon:
        command = [program, "--listen", str(port), *options]
        return Daemon("uppity", command, more_environment={"SHELL": "/bin/sh"})

    with on_free_port(start, "listening on port") as server:
        yield Uppity(server, directory, directory / "user")


@pytest.mark.parametrize("options", [[], ["-C"]], ids=["", "compressed"])
@pytest.mark.parametrize("cipher", ["3des", "blowfish", "des"])
def test_each_cipher(uppity: Uppity, cipher: str, options: list[str]) -> None:
    command = [*uppity.nacre("ssh", "-o", f"Cipher={cipher}", *options), ME, "cat; exit 7"]
    assert uppity.check_status(command, 7) == b"in\n"


@pytest.mark.parametrize(
    ("method", "answer"), [("password", "weasel"), ("keyboard-interactive", "otter")]
)
def test_each_method(uppity: Uppity, tmp_path: Path, method: str, answer: str) -> None:
    options = ["-o", f"PreferredAuthentications={method}", "-o", "NumberOfPasswordPrompts=1"]
    command = [*uppity.nacre("ssh", *options, key=False), ME, "exit 7"]
    uppity.check_status(command, 7, **askpass(tmp_path, answer))
    assert run(command, **askpass(tmp_path, "wrong")).returncode == 255


def test_a_terminal(uppity: Uppity) -> None:
    command = [*uppity.nacre("ssh", "-t"), ME, "sh"]
    with Terminal(command, rows=24, columns=80) as terminal:
        terminal.expect_size(24, 80)
        terminal.type("exit\n")
        terminal.wait()


def test_sftp_copies_a_tree_both_ways(uppity: Uppity, tmp_path: Path) -> None:
    """SFTP is a command there: OpenSSH's server of it."""
    top = tree(tmp_path)
    scp = uppity.nacre("scp", "-r")
    check([*scp, top, f"{ME}:{tmp_path / 'there'}"])
    assert contents(tmp_path / "there") == contents(top)
    check([*scp, f"{ME}:{tmp_path / 'there'}", tmp_path / "back"])
    assert contents(tmp_path / "back") == contents(top)


# --- PuTTY's agent ---


def test_an_agents_key_logs_in(ssh1: SSH1) -> None:
    pageant = [built("pageant"), ssh1.key, "--exec"]
    options = ["-o", "IdentityFile=none", "-o", "PubkeyAuthentication=yes"]
    nacre = ssh1.nacre("ssh", *options, key=False)
    since = len(ssh1.server.log)
    done = run([*pageant, *nacre, "any@127.0.0.1", "exit 3"])
    # The status is pageant's.
    assert done.returncode == 0, done.stderr.decode()
    ssh1.server.wait_for("method=publickey .*outcome=success", since=since)
    ssh1.server.wait_for("event=exit .*status=3", since=since)
