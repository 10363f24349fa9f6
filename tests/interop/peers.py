"""Foreign clients and servers: where each comes from, and its row of ``docs/interop.md``."""

from __future__ import annotations

import importlib.metadata
import json
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from interop.programs import missing, run

ROOT = Path(__file__).parents[2]
FOREIGN = Path(__file__).parent / "foreign"
INSTALLED = ROOT / ".venv-peers"
"""Where ``scripts/peers`` installs what Python's and npm's registries have."""

PYTHON = INSTALLED / "bin" / "python"
GO = INSTALLED / "bin" / "go-peer"

Source = Callable[[], str]
"""Returns the version that is installed; skips or fails the test when none is."""


def debian(package: str) -> Source:
    """Return the source for a package of the distribution; not all distributions have all."""

    def version() -> str:
        asked = run(["dpkg-query", "-W", "-f", "${db:Status-Status} ${Version}", package])
        status, _, found = asked.stdout.decode().partition(" ")
        if status != "installed":
            if run(["apt-cache", "show", package]).returncode != 0:
                pytest.skip(f"the distribution has no {package}")
            missing(package)
        return found

    return version


def pypi(name: str) -> Source:
    """Return the source for what ``foreign/requirements.txt`` pins."""

    def version() -> str:
        pins = (FOREIGN / "requirements.txt").read_text()
        if not PYTHON.exists():
            missing(name)
        found = re.search(rf"^{re.escape(name)}==(.+)$", pins, re.MULTILINE)
        assert found, f"foreign/requirements.txt has no {name}"
        return found[1]

    return version


def npm(name: str) -> Source:
    """Return the source for what ``foreign/package.json`` pins."""

    def version() -> str:
        if not (INSTALLED / "node_modules" / name).exists():
            missing(name)
        pins = json.loads((FOREIGN / "package.json").read_text())["dependencies"]
        return str(pins[name])

    return version


def development(name: str) -> Source:
    """Return the source for what the extra ``dev`` of nacre brings."""
    return lambda: importlib.metadata.version(name)


@dataclass(frozen=True)
class Peer:
    """A program to meet.

    :ivar name: what ``docs/interop.md`` calls it.
    :ivar source: where it comes from.
    :ivar tried: what the test does with it, but for what all do.
    :ivar mebibytes: the size of the large file; smaller where the peer is slow.
    """

    name: str
    source: Source
    tried: str = "login, command, 200 files and {} MiB both ways, link, rekey each MiB"
    mebibytes: int = 32

    def row(self, role: str) -> tuple[str, str, str]:
        """Return what names its row: role, name, and what was tried."""
        return role, self.name, self.tried.format(self.mebibytes)

    def record(self, role: str, record_property: Callable[[str, object], None]) -> None:
        """Leave the row for ``scripts/interop_page.py`` in the test's properties."""
        row = [*self.row(role)]
        record_property("interop", json.dumps([*row, ""]))
        record_property("interop", json.dumps([*row, self.source()]))


@dataclass(frozen=True, kw_only=True)
class Client(Peer):
    """A client of ``nacre serve``.

    :ivar command: the program, to which the words of ``foreign/README.md`` are appended.
    :ivar links: whether it makes links.
    """

    command: Sequence[str | Path]
    links: bool = True


@dataclass(frozen=True, kw_only=True)
class Server(Peer):
    """A server for nacre's client.

    :ivar command: the program, to which a host key and a user's public key are appended.
    :ivar both: whether it tells stderr from stdout and gives the exit status.
    :ivar target: what a link ``there/link`` to ``there/large`` is made with.
    """

    command: Sequence[str | Path]
    both: bool = True
    target: str = "large"


NO_COMMAND = "login, 200 files and {} MiB both ways, link, rekey each MiB"
NO_LINK = "login, 200 files and {} MiB both ways, rekey each MiB"

_JAVA = ["java", "-cp", "/usr/share/java/jsch.jar"]

CLIENTS = [
    Client("Go x/crypto, pkg/sftp", debian("golang-github-pkg-sftp-dev"), command=[GO, "client"]),
    Client("npm ssh2", npm("ssh2"), command=["node", FOREIGN / "ssh2_client.js"]),
    Client(
        "npm ssh2-sftp-client",
        npm("ssh2-sftp-client"),
        NO_LINK,
        command=["node", FOREIGN / "ssh2_sftp_client.js"],
        links=False,
    ),
    Client(
        "JSch",
        debian("libjsch-java"),
        command=[*_JAVA, FOREIGN / "JschClient.java"],
    ),
    Client(
        "libssh",
        debian("libssh-4"),
        command=[PYTHON, FOREIGN / "libssh_client.py"],
    ),
    Client(
        "ssh-python (libssh)",
        pypi("ssh-python"),
        command=[PYTHON, FOREIGN / "ssh_python_client.py"],
    ),
    Client(
        "ssh2-python (libssh2)",
        pypi("ssh2-python"),
        command=[PYTHON, FOREIGN / "ssh2_python_client.py"],
    ),
    Client(
        "Ruby net-ssh, net-sftp",
        debian("ruby-net-sftp"),
        mebibytes=16,
        command=["ruby", FOREIGN / "net_ssh_client.rb"],
    ),
    Client(
        "Twisted Conch",
        pypi("Twisted"),
        mebibytes=16,
        command=[PYTHON, FOREIGN / "conch_client.py"],
    ),
    Client(
        "phpseclib",
        debian("php-phpseclib3"),
        mebibytes=16,
        command=["php", FOREIGN / "phpseclib_client.php"],
    ),
]

PROGRAMS = [
    Server("Go x/crypto, pkg/sftp", debian("golang-github-pkg-sftp-dev"), command=[GO, "server"]),
    Server("npm ssh2", npm("ssh2"), command=["node", FOREIGN / "ssh2_server.js"]),
    Server(
        "AsyncSSH",
        development("asyncssh"),
        command=[sys.executable, FOREIGN / "asyncssh_server.py"],
    ),
    Server(
        "Paramiko",
        development("paramiko"),
        command=[sys.executable, FOREIGN / "paramiko_server.py"],
    ),
    Server(
        "Twisted Conch",
        pypi("Twisted"),
        mebibytes=16,
        command=[PYTHON, FOREIGN / "conch_server.py"],
        target="there/large",
    ),
    Server(
        "Erlang ssh",
        debian("erlang-ssh"),
        command=["escript", FOREIGN / "ssh_server.escript"],
        both=False,
        target="there/large",
    ),
]
"""Servers that a script of ``foreign`` makes from a library."""

PROFTPD = Peer("ProFTPD mod_sftp", debian("proftpd-mod-crypto"), NO_COMMAND)
TINYSSHD = Peer("tinysshd", debian("tinysshd"), mebibytes=16)
LSH = Peer("lsh", debian("lsh-server"))

SERVERS: list[Peer] = [*PROGRAMS, PROFTPD, TINYSSHD, LSH]

RCLONE = Peer(
    "rclone", debian("rclone"), "login, 200 files and {} MiB both ways, hashes, rekey each MiB"
)
RESTIC = Peer(
    "restic",
    debian("restic"),
    "backup, check and restore of 200 files and {} MiB, rekey each MiB",
)
CURL = Peer("curl (libssh2)", debian("curl"), "login, {} MiB both ways, link, rekey each MiB")

ANSIBLE_FILES = 3
"""Files that a playbook copies: each is five runs of ssh and its like."""

ANSIBLE = {
    (method, programs): Peer(
        f"Ansible, transfer by {method}, {programs}'s programs",
        pypi("ansible-core"),
        f"playbook: commands, {ANSIBLE_FILES} files there, {{}} MiB both ways, link",
        8,
    )
    for method, programs in (
        ("sftp", "OpenSSH"),
        ("scp", "OpenSSH"),
        ("piped", "OpenSSH"),
        ("sftp", "nacre"),
        ("scp", "nacre"),
    )
}

ANSIBLE_CONFIG = Peer(
    "Ansible with an ssh_config of its own, nacre's programs",
    pypi("ansible-core"),
    "playbook of eleven kinds of tasks",
)

ANSIBLE_PLUGIN = Peer(
    "Ansible, by nacre's connection plugin",
    pypi("ansible-core"),
    "playbook: command, files both ways, become with a password, logins by password and key",
)

SSHUTTLE = Peer(
    "sshuttle, nacre's programs",
    debian("sshuttle"),
    "to OpenSSH's server: a connection into its network",
)
MOSH = Peer(
    "mosh, nacre's programs",
    debian("mosh"),
    "to OpenSSH's server: a command at a terminal, its input and its end",
)

TOOLS = [RCLONE, RESTIC, CURL, *ANSIBLE.values(), ANSIBLE_CONFIG, ANSIBLE_PLUGIN, SSHUTTLE, MOSH]

ROWS = [
    *(peer.row("client") for peer in (*CLIENTS, *TOOLS)),
    *(peer.row("server") for peer in SERVERS),
]
"""The rows of ``docs/interop.md``, in their order."""
