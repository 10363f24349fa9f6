"""One ssh_config file for OpenSSH's client and nacre's: both do the same with OpenSSH's sshd."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import nacre
from interop.clients import Login
from interop.daemons import start_sshd
from interop.programs import NACRE, check, environment, require, run

CLIENTS = {"ssh": lambda: [require("ssh")], "nacre": lambda: [*NACRE, "ssh"]}

Write = Callable[..., Path]


@pytest.fixture
def write(to_sshd: Login, host_keys: dict[str, Path], tmp_path: Path) -> Write:
    """Return a function that writes the file: ``Host web`` leads to the server."""
    port = to_sshd.server.port
    kind, key, *_ = host_keys["ed25519"].with_suffix(".pub").read_text().split()
    (tmp_path / "hosts").write_text(f"[127.0.0.1]:{port} {kind} {key}\n")

    def write(*lines: str) -> Path:
        every = [
            *lines,
            "Host web",
            "Hostname 127.0.0.1",
            f"Port {port}",
            f"User {to_sshd.user}",
            f"IdentityFile {to_sshd.key}",
            "IdentitiesOnly yes",
            f"UserKnownHostsFile {tmp_path}/hosts",
            "HostKeyAlgorithms ssh-ed25519",
            "BatchMode yes",
        ]
        (tmp_path / "config").write_text("".join(f"{line}\n" for line in every))
        return tmp_path / "config"

    return write


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest) -> list[str]:
    command: list[str] = CLIENTS[request.param]()
    return command


def test_a_command_and_variables_of_the_file(client: list[str], write: Write) -> None:
    config = write(
        "RemoteCommand echo %n %h %r '%%' $NACRE_A $NACRE_B; exit 3",
        "SetEnv NACRE_A=one",
        "SendEnv NACRE_B*",
    )
    done = run([*client, "-F", config, "web"], NACRE_B="two")
    me = check(["id", "-un"]).decode().strip()
    assert (done.returncode, done.stdout.decode()) == (3, f"web 127.0.0.1 {me} % one two\n")
    done = run([*client, "-F", config, "web", "id"])
    assert done.returncode == 255
    assert b"Cannot execute command-line and remote command" in done.stderr


def test_blocks_that_match(client: list[str], write: Write) -> None:
    config = write(
        "Host other !web w*",
        "SetEnv NACRE_A=host",
        'Match originalhost web exec "test %h = 192.0.2.1"',
        "SetEnv NACRE_A=exec",
        "Match final host 127.* !user nobody",
        "SetEnv NACRE_A=final",
        "Match all",
        "SendEnv NACRE_B",
    )

    def ran(*words: str) -> str:
        command = [*client, "-F", config, *words, "web", "echo $NACRE_A $NACRE_B"]
        return check(command, NACRE_B="sent").decode()

    assert ran() == "final sent\n"
    assert (
        run([*client, "-F", config, "-o", "Hostname=192.0.2.1", "-G", "web"]).stdout.count(
            b"setenv NACRE_A=exec\n"
        )
        == 1
    )


def test_a_local_command_runs_before_the_session(
    client: list[str], write: Write, tmp_path: Path
) -> None:
    config = write("PermitLocalCommand yes", f"LocalCommand echo %n %u > {tmp_path}/mark")
    me = check(["id", "-un"]).decode().strip()
    assert check([*client, "-F", config, "web", f"cat {tmp_path}/mark"]).decode() == f"web {me}\n"


def test_known_hosts_of_a_command(client: list[str], write: Write, tmp_path: Path) -> None:
    script = tmp_path / "list"
    script.write_text(f"#!/bin/sh\necho $1 $2 >> {tmp_path}/asked\ncat {tmp_path}/elsewhere\n")
    script.chmod(0o755)
    config = write(f"KnownHostsCommand {script} %I %H", "StrictHostKeyChecking yes")
    (tmp_path / "hosts").rename(tmp_path / "elsewhere")
    assert check([*client, "-F", config, "web", "echo here"]) == b"here\n"
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked[-1].startswith("HOSTNAME [127.0.0.1]:")


def test_the_picture_of_the_host_key_is_the_same(write: Write) -> None:
    config = write("VisualHostKey yes", "FingerprintHash md5")
    shown = [
        run([*command(), "-F", config, "web", "true"]).stderr.decode().splitlines()
        for command in CLIENTS.values()
    ]
    theirs, ours = ([line for line in lines if line[:1] in ("H", "+", "|")] for lines in shown)
    assert ours == theirs
    assert ours[0].startswith("Host key fingerprint is MD5:")
    assert len(ours) == 12


def test_rsa_keys_below_the_size_that_is_required(
    client: list[str], write: Write, keys: dict[str, Path]
) -> None:
    config = write("RequiredRSASize 15000", f"Match all\nIdentityFile {keys['rsa']}")
    words = ["-F", config, "-o", f"IdentityFile={keys['rsa']}", "-o", "IdentityAgent=none"]
    done = run([*client, *words, "-v", "-o", "PubkeyAuthentication=yes", "web", "true"])
    assert done.returncode == 0  # by the key that is no RSA key
    refused = write("RequiredRSASize 15000", "HostKeyAlgorithms rsa-sha2-512")
    done = run([*client, "-F", refused, "-o", "StrictHostKeyChecking=no", "web", "true"])
    assert done.returncode == 255


def test_the_text_behind_the_version(to_sshd: Login, write: Write) -> None:
    """OpenSSH's client has the keyword from 9.9 on."""
    since = len(to_sshd.server.log)
    check([*NACRE, "ssh", "-F", write("VersionAddendum of the tests"), "web", "true"])
    assert not [line for line in to_sshd.server.log[since:] if "Bad protocol version" in line]


def test_into_the_background(client: list[str], write: Write, tmp_path: Path) -> None:
    """The program ends as soon as it is logged in; its session goes on."""
    config = write("ForkAfterAuthentication yes", "StdinNull yes")
    os.mkfifo(tmp_path / "go")
    os.mkfifo(tmp_path / "went")
    command = f"read line < {tmp_path}/go; echo $line > {tmp_path}/went"
    done = subprocess.run(
        [*client, "-F", config, "web", command],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env=environment(), timeout=30, check=False, start_new_session=True,
    )  # fmt: skip
    assert done.returncode == 0
    (tmp_path / "go").write_text("on\n")
    assert check(["cat", tmp_path / "went"]) == b"on\n"


async def test_the_library_goes_where_the_file_leads(write: Write) -> None:
    config = write("Compression yes", "Ciphers aes128-ctr")
    async with nacre.connect("web", config=config) as ssh:
        assert (await ssh.run("echo $SSH_CONNECTION")).stdout.startswith("127.0.0.1 ")
        assert ssh.algorithms is not None
        assert ssh.algorithms.cipher_c2s == "aes128-ctr"
        assert ssh.algorithms.compression_c2s == "zlib@openssh.com"


def test_copies_of_sftp_and_scp(
    write: Write, host_keys: dict[str, Path], authorized_keys: Path, tmp_path: Path
) -> None:
    """Each end of scp has the configuration of its own name."""
    (tmp_path / "a").write_text("data")
    (tmp_path / "batch").write_text(f"get {tmp_path}/b {tmp_path}/c\n")
    files = [host_keys["ed25519"]], authorized_keys, "Subsystem sftp internal-sftp"
    with start_sshd(tmp_path, *files) as one, start_sshd(tmp_path, *files) as two:
        config = write(
            *(f"Host one\nPort {one.port}\nHost two\nPort {two.port}\nHost one two\n",),
            *("Hostname 127.0.0.1\nStrictHostKeyChecking no\nRemoteCommand false",),
        )
        config.write_text(config.read_text().replace("Host web", "Host one two"))
        check([*NACRE, "scp", "-F", config, tmp_path / "a", f"one:{tmp_path}/b"])
        check([*NACRE, "sftp", "-F", config, "-b", tmp_path / "batch", "two"])
        check([*NACRE, "scp", "-F", config, f"one:{tmp_path}/c", f"two:{tmp_path}/d"])
        assert (tmp_path / "d").read_text() == "data"
        for server in (one, two):
            assert any("Accepted publickey" in line for line in server.log)
