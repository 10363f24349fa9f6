"""Tunnel devices between two networks: ssh and nacre ssh, to sshd and nacre-sshd."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from interop.daemons import Daemon
from interop.nacre_sshd import SSHD
from interop.networks import Network, network
from interop.programs import NACRE, environment, require
from tunnels.devices import need_devices

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root makes tunnel devices"),
]

ECHO = """
import socket, sys
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("10.99.0.2", 7))
sock.settimeout(30)  # a process may outlive its session
print("ready", flush=True)
data = b""
while len(data) < 4000:
    data, peer = sock.recvfrom(9000)
    sock.sendto(data[::-1], peer)
"""

ASK = """
import socket, sys
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.settimeout(1)
for size in (1, 100, 1400, 4000):
    asked = bytes(number % 251 for number in range(size))
    for attempt in range(20):
        sock.sendto(asked, ("10.99.0.2", 7))
        try:
            answer = sock.recv(9000)
        except TimeoutError:
            continue
        assert answer == asked[::-1]
        break
    else:
        sys.exit("no answer")
print("answered")
"""


@pytest.fixture
def networks() -> Iterator[tuple[Network, Network]]:
    """The client's and the server's."""
    need_devices()
    with network() as client, network() as server:
        yield client, server


@pytest.fixture(scope="module")
def options(
    keys: dict[str, Path], host_keys: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> list[str]:
    """Write a configuration for both servers; return the options of the clients."""
    directory = tmp_path_factory.mktemp("tunnels")
    only, other = (keys[name].with_suffix(".pub").read_text() for name in ("ed25519", "ecdsa256"))
    (directory / "keys").write_text(f'{only}tunnel="4" {other}')
    (directory / "sshd_config").write_text(
        f"HostKey {host_keys['ed25519']}\nAuthorizedKeysFile {directory}/keys\nStrictModes no\n"
        "PermitRootLogin yes\nUsePAM no\nPermitTunnel yes\nUseDNS no\nPidFile none\n"
    )
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    words = ["-F", "none", "-o", f"UserKnownHostsFile={directory}/known_hosts"]
    return [*words, "-o", "StrictHostKeyChecking=no", "-o", "IdentitiesOnly=yes", str(directory)]


def command(
    networks: tuple[Network, Network],
    options: list[str],
    key: Path,
    client: str,
    server: str,
    *more: str,
) -> list[str]:
    """Return a client's command line; the server runs in the other network."""
    *words, directory = options
    program = require("sshd") if server == "sshd" else SSHD
    served = " ".join([*networks[1].inside, program, "-i", "-e", "-f", f"{directory}/sshd_config"])
    start = [require("ssh")] if client == "ssh" else [*NACRE, "ssh"]
    own = ["-i", str(key), "-o", f"ProxyCommand={served}", *more]
    return [*networks[0].inside, *start, *words, *own, "root@server"]


@pytest.mark.parametrize(
    ("client", "server", "mode", "kind"),
    [
        ("nacre", "sshd", "point-to-point", "tun"),
        ("ssh", "nacre", "point-to-point", "tun"),
        ("nacre", "nacre", "ethernet", "tap"),
    ],
)
def test_programs_of_two_networks_talk(
    networks: tuple[Network, Network],
    options: list[str],
    keys: dict[str, Path],
    client: str,
    server: str,
    mode: str,
    kind: str,
) -> None:
    own = f"ip address add 10.99.0.2/24 dev {kind}4 && ip link set {kind}4 up"
    here = "LocalCommand=ip address add 10.99.0.1/24 dev %T && ip link set %T up"
    more = ("-o", f"Tunnel={mode}", "-w", "3:4", "-o", "PermitLocalCommand=yes", "-o", here)
    line = command(networks, options, keys["ed25519"], client, server, *more)
    # As with ssh(1), -w itself means point-to-point; the first of two values counts.
    line += [f"{own} && exec {sys.executable} -c '{ECHO}'"]
    with Daemon(client, line) as running:
        running.wait_for("^ready$", timeout=40)
        done = subprocess.run(
            [*networks[0].inside, sys.executable, "-c", ASK],
            capture_output=True,
            timeout=90,
            env=environment(),
            check=False,
        )
        assert done.stdout == b"answered\n", done.stderr


def test_a_key_names_its_device_and_a_client_says_why_there_is_no_tunnel(
    networks: tuple[Network, Network], options: list[str], keys: dict[str, Path]
) -> None:
    more = ("-w", "any:5", "-o", "ExitOnForwardFailure=yes")
    line = command(networks, options, keys["ecdsa256"], "nacre", "nacre", *more)
    done = subprocess.run(
        [*line, "echo in"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        env=environment(),
        check=False,
    )
    assert (done.returncode, done.stdout) == (255, b"")
    assert b"Tunnel forwarding failed: " in done.stderr
    assert b"the user's key is for the device 4" in done.stderr  # what the server logs
    assert b"no tunnel is forwarded" in done.stderr
