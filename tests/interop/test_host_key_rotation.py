"""UpdateHostKeys with servers that announce their keys: OpenSSH's, and nacre's."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from interop.daemons import Daemon, on_free_port, without_penalties
from interop.nacre_sshd import SSHD
from interop.programs import NACRE, environment, require, run
from interop.terminal import Terminal
from nacre import PrivateKey, dump_private, generate

SHOWN, OLD, OTHER = (generate("ssh-ed25519") for _ in range(3))
ECDSA, RSA = generate("ecdsa-sha2-nistp256"), generate("ssh-rsa", bits=2048)
USER = generate("ssh-ed25519")

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the login is root's")

READY = {"sshd": r"Server listening on 127\.0\.0\.1", "nacre": r"^listening on 127\.0\.0\.1"}
CASES = {
    "learned": (["h {shown} comment", "x {other}"], [], "h {shown}|h {ecdsa}|h {rsa}|x {other}"),
    "removed": (
        ["# mine", "h {old}", "h {shown}", "h {ecdsa}", "h {rsa}"],
        [],
        "h {shown}|h {ecdsa}|h {rsa}",
    ),
    "not asked for": (["h {shown}", "h {old}"], ["UpdateHostKeys=no"], None),
    "by default other files stay": (["h {shown}", "h {old}"], ["UpdateHostKeys"], None),
    "not accepted": (
        ["h {shown}", "h {old}"],
        ["HostKeyAlgorithms=ssh-ed25519,ecdsa-sha2-nistp256"],
        "h {shown}|h {ecdsa}",
    ),
    "a pattern": (["h* {shown}"], [], None),
    "a list": (["h,i,j {shown}"], [], None),
    "another name": (["h {shown}", "x {shown}"], [], None),
    "a new key of another": (["h {shown}", "x {ecdsa}"], [], None),
    "an authority": (["h {shown}", "@cert-authority h {old}"], [], None),
    "said yes": (["h {shown}"], ["UpdateHostKeys=ask"], "h {shown}|h {ecdsa}|h {rsa}"),
    "said no": (["h {shown}"], ["UpdateHostKeys=ask"], None),
}
"""Lines of known_hosts, options, and what is in the file then; None for no change."""


@contextmanager
def serving(server: str, directory: Path, keys: Sequence[PrivateKey]) -> Iterator[Daemon]:
    """Run a server with these host keys."""
    lines = ["UsePAM no", "StrictModes no", "PidFile none", "UseDNS no", "PermitRootLogin yes"]
    lines += [f"AuthorizedKeysFile {directory / 'authorized_keys'}", *without_penalties(server)]
    (directory / "authorized_keys").write_text(f"{USER.public}\n")
    for number, key in enumerate(keys):
        file = directory / f"host{number}"
        file.write_bytes(dump_private(key))
        file.chmod(0o600)
        lines.append(f"HostKey {file}")
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd does not start without

    def started(port: int) -> Daemon:
        config = directory / f"{server}.conf"
        config.write_text("\n".join([*lines, f"ListenAddress 127.0.0.1:{port}", ""]))
        program = require("sshd") if server == "sshd" else SSHD
        return Daemon(server, [program, "-D", "-e", "-f", config])

    with on_free_port(started, READY[server]) as daemon:
        yield daemon


@pytest.fixture(scope="module", params=["sshd", "nacre"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Daemon]:
    with serving(request.param, tmp_path_factory.mktemp("s"), [SHOWN, ECDSA, RSA]) as daemon:
        yield daemon


ECHO = "sed -u s/^/got:/"
"""The remote command. OpenSSH's client does not wait at its end until it has written the file. The
server's announcement comes before the answer to a first line, and its proofs before the second.
"""


def without_terminal(command: Sequence[str | Path], answer: str, directory: Path) -> None:
    """Run a client that asks another program for the answer."""
    program = directory / "askpass"
    program.write_text(f"#!/bin/sh\necho {answer}\n")
    program.chmod(0o700)
    asking = {"SSH_ASKPASS": str(program), "SSH_ASKPASS_REQUIRE": "force"}
    with (
        (directory / "errors").open("w+") as errors,
        subprocess.Popen(
            [require("timeout"), "--foreground", "30", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment(HOME=str(directory), **asking),
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        for line in (b"1\n", b"2\n"):
            process.stdin.write(line)
            process.stdin.flush()
            assert process.stdout.readline() == b"got:" + line, (directory / "errors").read_text()
        process.stdin.close()
        assert process.wait(30) == 0, (directory / "errors").read_text()


def at_terminal(command: Sequence[str | Path], answer: str, directory: Path) -> None:
    """Run OpenSSH's client, which asks at its terminal, and only where it starts a shell."""
    with Terminal(command[:-1], HOME=str(directory)) as terminal:
        terminal.expect(r"Accept updated hostkeys\? \(yes/no\)")
        terminal.type(f"{answer}\n")
        for line in ("1", "2"):
            terminal.type(f"echo go''t:{line}\n")
            terminal.expect(f"got:{line}")
        terminal.type("exit\n")
        assert terminal.wait() == 0


def keys(lines: Sequence[str]) -> list[list[str]]:
    """Return names and keys of lines, in an order that does not depend on theirs."""
    return sorted(line.split()[:3] for line in lines if not line.startswith("#"))


@pytest.mark.parametrize("client", ["ssh", "nacre"])
@pytest.mark.parametrize("case", CASES)
def test_the_file_follows_the_server(
    server: Daemon, client: str, case: str, tmp_path: Path
) -> None:
    if server.name == "nacre" and case not in ("learned", "removed"):
        pytest.skip("the client alone decides")
    lines, options, expected = CASES[case]
    names = {"shown": SHOWN, "old": OLD, "other": OTHER, "ecdsa": ECDSA, "rsa": RSA}
    public = {name: key.public for name, key in names.items()}
    file = tmp_path / "known_hosts"
    file.write_text("".join(f"{line.format(**public)}\n" for line in lines))
    before = file.read_text()
    (tmp_path / "key").write_bytes(dump_private(USER))
    (tmp_path / "key").chmod(0o600)
    program = [require("ssh")] if client == "ssh" else [*NACRE, "ssh"]
    given = [
        *(one for one in options if one != "UpdateHostKeys"),
        *(["UpdateHostKeys=yes"] if not any("UpdateHostKeys" in one for one in options) else []),
        f"UserKnownHostsFile={file}",
        "GlobalKnownHostsFile=none",
        "StrictHostKeyChecking=yes",
        "HostKeyAlias=h",
        "IdentitiesOnly=yes",
    ]
    words = [*program, "-F", "none", "-p", str(server.port), "-i", str(tmp_path / "key")]
    words += [word for option in given for word in ("-o", option)]
    talk = at_terminal if client == "ssh" and case == "said yes" else without_terminal
    talk([*words, "root@127.0.0.1", ECHO], "yes" if case == "said yes" else "no", tmp_path)
    if expected is None:
        assert file.read_text() == before
    else:
        assert keys(file.read_text().splitlines()) == keys(expected.format(**public).split("|"))


def test_a_key_is_replaced_without_a_warning(tmp_path: Path) -> None:
    """A server adds a key, then removes the old one; who logs in meanwhile sees no change."""
    file = tmp_path / "known_hosts"
    (tmp_path / "key").write_bytes(dump_private(USER))
    (tmp_path / "key").chmod(0o600)
    for name, host_keys, strict in (
        ("a", [SHOWN], "accept-new"),
        ("b", [SHOWN], "yes"),
        ("c", [SHOWN, OTHER], "yes"),
        ("d", [OTHER], "yes"),
        ("e", [OTHER], "yes"),
    ):
        (tmp_path / name).mkdir()
        with serving("sshd", tmp_path / name, host_keys) as daemon:
            words = [*NACRE, "ssh", "-F", "none", "-p", str(daemon.port), "-i", tmp_path / "key"]
            options = [f"UserKnownHostsFile={file}", f"StrictHostKeyChecking={strict}"]
            options += ["HostKeyAlias=h", "UpdateHostKeys=yes"]
            words += [word for option in options for word in ("-o", option)]
            done = run([*words, "root@127.0.0.1", "true"])
            assert done.returncode == 0, done.stderr.decode()
    assert file.read_text() == f"h {OTHER.public}\n"
