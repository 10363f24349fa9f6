"""UpdateHostKeys with servers that announce their keys: OpenSSH's, and nacre's."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from interop.daemons import Daemon, on_free_port
from interop.nacre_sshd import SSHD
from interop.programs import NACRE, require, run
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
    lines.append(f"AuthorizedKeysFile {directory / 'authorized_keys'}")
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
    if (client, case) == ("ssh", "said yes"):
        pytest.skip("ssh(1) asks at the terminal alone")
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
    answer = "yes" if case == "said yes" else "no"
    askpass = tmp_path / "askpass"
    askpass.write_text(f"#!/bin/sh\necho {answer}\n")
    askpass.chmod(0o700)
    asking: dict[str, Any] = {"SSH_ASKPASS": str(askpass), "SSH_ASKPASS_REQUIRE": "force"}
    # The command lasts until the client has written the file, as OpenSSH's does not wait for that.
    done = run([*words, "root@127.0.0.1", "sleep 0.3"], HOME=str(tmp_path), **asking)
    assert done.returncode == 0, done.stderr.decode()
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
