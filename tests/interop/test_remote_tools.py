"""sshuttle, mosh, and what editors do on a remote host, with nacre-ssh in place of ssh."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from interop.clients import ME, Login
from interop.peers import MOSH, SSHUTTLE
from interop.programs import environment, require, run
from interop.terminal import Terminal

pytestmark = [pytest.mark.slow, pytest.mark.untraced]

NACRE_SSH = str(Path(sys.executable).with_name("nacre-ssh"))

_SSHUTTLE = """
set -e
ip link set lo up
ip route add 10.77.0.0/24 dev lo src 127.0.0.1
unshare --net sh -c '
ip link set lo up
ip addr add 10.77.0.1/24 dev lo
exec "$PYTHON" -c "
import socket
server = socket.create_server((\\"10.77.0.1\\", 8000))
while True:
    connection, _ = server.accept()
    connection.sendall(b\\"hello from there\\")
    connection.close()
"' &
export FAR=$!
sshuttle -e "$SSH" -r far --method nat --disable-ipv6 10.77.0.0/24 &
shuttle=$!
trap 'kill $FAR $shuttle' EXIT
"$PYTHON" -c '
import socket
for _ in range(30):
    try:
        with socket.create_connection(("10.77.0.1", 8000), 1) as sock:
            print("got", sock.recv(100))
            break
    except OSError:
        continue
'
"""
"""Runs in a network of its own, beside another one, into which only the SSH server leads."""


@pytest.mark.timeout(120)
def test_sshuttle(
    keys: dict[str, Path],
    host_keys: dict[str, Path],
    authorized_keys: Path,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    SSHUTTLE.record("client", record_property)
    for program in ("sshuttle", "iptables", "ip"):
        require(program)
    if os.geteuid() != 0 or run([require("unshare"), "--net", "true"]).returncode:
        pytest.skip("only root can make a network of its own")
    server = tmp_path / "sshd_config"
    server.write_text(
        f"HostKey {host_keys['ed25519']}\nAuthorizedKeysFile {authorized_keys}\n"
        "StrictModes no\nUsePAM no\nUseDNS no\nPermitRootLogin yes\nLogLevel ERROR\n"
    )
    client = tmp_path / "ssh_config"
    client.write_text(
        f"Host far\nProxyCommand nsenter --net=/proc/$FAR/ns/net {require('sshd')} -i -f {server}\n"
        f"User {ME}\n"
        f"IdentityFile {keys['ed25519']}\nIdentitiesOnly yes\nLogLevel ERROR\n"
        f"StrictHostKeyChecking no\nUserKnownHostsFile {tmp_path}/known_hosts\n"
    )
    done = subprocess.run(
        [require("unshare"), "--net", "sh", "-c", _SSHUTTLE],
        cwd=tmp_path,
        env=environment(PYTHON=sys.executable, SSH=f"{NACRE_SSH} -F {client}"),
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert "got b'hello from there'" in done.stdout, done


@pytest.mark.usefixtures("terminal_from_sshd")
def test_mosh(to_sshd: Login, record_property: Callable[[str, object], None]) -> None:
    MOSH.record("client", record_property)
    require("mosh-server")
    ssh = shlex.join([NACRE_SSH, *to_sshd.options()])
    words = [require("mosh"), f"--ssh={ssh}", "--family=inet", f"{to_sshd.user}@127.0.0.1", "--"]
    command = ["sh", "-c", "echo m$((40 + 2)); read line; exit 3"]
    with Terminal([*words, *command], LC_ALL="C.UTF-8") as terminal:
        terminal.expect("m42")
        terminal.type("\n")
        terminal.expect("mosh is exiting")
        assert terminal.wait() == 0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


def test_what_editors_do(to_sshd: Login) -> None:
    """A shell for commands on its pipes, a SOCKS proxy, a port there; later programs share it."""
    proxy, there = free_port(), free_port()
    with (
        socket.create_server(("127.0.0.1", 0)) as here,
        TemporaryDirectory(prefix="n", dir="/tmp") as short,  # a socket's path is bounded
    ):
        here.settimeout(20)
        config = to_sshd.config(
            "remote",
            f"RemoteForward {there} 127.0.0.1:{here.getsockname()[1]}",
            "ControlMaster auto",
            f"ControlPath {short}/%C",
        )
        ssh: list[str | Path] = [
            NACRE_SSH,
            "-F",
            config,
            "-T",
            "-D",
            str(proxy),
            "remote",
            "exec sh",
        ]
        with subprocess.Popen(
            ssh, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(), bufsize=0
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(b"echo $((40 + 2))\n")
            assert process.stdout.read(3) == b"42\n"
            # A program on the host reaches the editor.
            with socket.create_connection(("127.0.0.1", there), 20) as sock:
                sock.sendall(b"hello")
                accepted, _ = here.accept()
                with accepted:
                    assert accepted.recv(5) == b"hello"
            # The editor reaches a program on the host.
            server = to_sshd.server.port
            with socket.create_connection(("127.0.0.1", proxy), 20) as sock:
                sock.sendall(b"\5\1\0")
                assert sock.recv(2) == b"\5\0"
                sock.sendall(b"\5\1\0\1\x7f\0\0\1" + server.to_bytes(2))
                assert sock.recv(10)[:2] == b"\5\0"
                assert sock.recv(8) == b"SSH-2.0-"
            other = run([NACRE_SSH, "-F", config, "-o", "ClearAllForwardings=yes", "remote", "id"])
            assert other.returncode == 0
            process.stdin.write(b"exit 5\n")
            assert process.wait(20) == 5
