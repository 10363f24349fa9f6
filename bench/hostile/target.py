"""The servers that are attacked, and the addresses and accounts of those who connect."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.ground import PEERS_PYTHON as PEERS_PYTHON  # that module sets the path of the tests

# isort: split
import nacre
from interop.daemons import Daemon, on_free_port
from interop.mounts import from_stoppable
from interop.programs import NACRE, require

ATTACKER, HONEST = "127.0.0.2", "127.0.0.3"

AT_HOME = "127.0.0.4"
"""Attackers from here have their keys in their home, and not beside the servers'."""

KEY, FILE = "key", "large"
"""The names of the private key, and of a large file."""

_LARGE = 4 << 30
"""Bytes of the large file, of which none are on a disk."""

PATIENCE = 20.0
"""Seconds that a connection and a login may take."""

SERVERS = {"nacre": r"^listening on", "sshd": r"Server listening on"}
"""Their names, and what they say when they are ready."""

_GROUP = {"nacre": "diffie-hellman-group16-sha512", "sshd": "diffie-hellman-group18-sha512"}
"""The slowest exchange that a server offers without being told to."""


@dataclass
class Target:
    """A server, and what a login needs.

    :ivar directory: where the files of the benchmark are.
    :ivar attacker: the account of those who attack after a login; ``honest``: that of the others.
    :ivar key: the private key of both.
    """

    name: str
    port: int
    directory: Path
    attacker: str
    honest: str
    key: nacre.PrivateKey = field(init=False)

    def __post_init__(self) -> None:
        self.key = nacre.load_private((self.directory / KEY).read_bytes())

    @property
    def group(self) -> str:
        """The slowest key exchange that it offers."""
        return _GROUP[self.name]

    @property
    def file(self) -> str:
        """A large file that everybody can read."""
        return str(self.directory / FILE)

    def connect(self, source: str, password: str | None = None) -> nacre.Opening[nacre.Connection]:
        """Log in from an address, with the key or a password."""
        there = ("127.0.0.1", self.port)
        sock = socket.create_connection(there, PATIENCE, source_address=(source, 0))
        return nacre.connect(
            *there,
            user=self.honest if source == HONEST else self.attacker,
            keys=[] if password else [self.key],
            password=password,
            agent=False,
            trust=nacre.AnyHostKey(),
            config=None,
            sock=sock,
        )


@contextmanager
def accounts(directory: Path) -> Iterator[tuple[str, str]]:
    """Make the accounts of those who attack, whose home is not there, and of the honest user."""
    homes = {
        f"nacre-a{os.getpid()}": directory / "home",
        f"nacre-h{os.getpid()}": directory,
    }
    with ExitStack() as stack:
        for name, home in homes.items():
            words = ["--home-dir", str(home), "--shell", "/bin/sh", "--password", "*", name]
            subprocess.run(["/usr/sbin/useradd", *words], check=True)
            stack.callback(subprocess.run, ["/usr/sbin/userdel", "--force", name], check=True)
        attacker, honest = homes
        yield attacker, honest


@contextmanager
def serving(name: str, directory: Path, users: tuple[str, str]) -> Iterator[tuple[Target, Daemon]]:
    """Start a server, whose files :func:`prepare` has made. It knows of no failures yet."""
    config = directory / f"{name}_config"
    program = [require("sshd")] if name == "sshd" else [f"{NACRE[0]}-sshd"]

    def start(port: int) -> Daemon:
        config.write_text(_lines(directory, port))
        return Daemon(name, [*program, "-D", "-e", "-f", config])

    with on_free_port(start, SERVERS[name]) as daemon:
        yield Target(name, daemon.port, directory, *users), daemon


def prepare(directory: Path) -> None:
    """Make the keys, with which all log in, and the large file."""
    directory.chmod(0o755)  # the accounts read what is in it
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    key = nacre.generate("ssh-ed25519")
    (directory / "authorized_keys").write_text(f"{key.public}\n")
    for name, private in ((KEY, key), ("host_key", nacre.generate("ssh-ed25519"))):
        (directory / name).write_bytes(nacre.dump_private(private))
        (directory / name).chmod(0o600)
    with (directory / FILE).open("wb") as file:
        file.truncate(_LARGE)


def _lines(directory: Path, port: int) -> str:
    """Return a configuration, which does for both servers."""
    return f"""\
ListenAddress 127.0.0.1:{port}
HostKey {directory / "host_key"}
AuthorizedKeysFile {directory / "authorized_keys"}
StrictModes no
UsePAM no
PidFile none
Subsystem sftp internal-sftp
Match Address {AT_HOME}
AuthorizedKeysFile .ssh/authorized_keys
"""


@contextmanager
def hung_home(target: Target, daemon: Daemon) -> Iterator[None]:
    """Have the home of those who attack on a file server that has stopped."""
    files, home = target.directory / "files", target.directory / "home"
    files.mkdir(exist_ok=True)
    with from_stoppable(files, home, shared=True) as file_server:
        os.kill(file_server, signal.SIGSTOP)
        yield
    home.rmdir()


@contextmanager
def unread_log(target: Target, daemon: Daemon) -> Iterator[None]:
    """Have nobody read the log of a server."""
    with daemon.unread():
        yield


CONDITIONS: Mapping[str, Callable[[Target, Daemon], AbstractContextManager[None]]] = {
    "home": hung_home,
    "keys": hung_home,
    "log": unread_log,
}
"""What holds of a server while it is attacked, for some kinds of attacks."""
