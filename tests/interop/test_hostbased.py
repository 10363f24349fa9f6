"""Host-based authentication between OpenSSH's programs and nacre's.

Both have the host's keys and names in /etc/ssh: there the programs see a directory of the tests.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from interop.clients import Account
from interop.daemons import Daemon, on_free_port, without_penalties
from interop.nacre_sshd import SSHD
from interop.programs import NACRE, missing, require, run
from interop.side_by_side import READY, SERVERS
from nacre.keys import PrivateKey, dump_private, generate
from nacre.keys.agents.keysign import HostSignatureRequest, decode_reply
from nacre.wire.codec import string, text, u8

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root serves other accounts"),
]

KEYSIGN = Path("/usr/lib/openssh/ssh-keysign")
OURS = Path(SSHD).with_name("nacre-ssh-keysign")
KEY = "ssh_host_ed25519_key"
OTHER = generate("ssh-ed25519").public
CONFIG = (
    "HostbasedAuthentication yes",
    "HostbasedUsesNameFromPacketOnly yes",
    "PasswordAuthentication no",
    "KbdInteractiveAuthentication no",
    "PubkeyAuthentication no",
    "PidFile none",
    "UsePAM yes",
    "UseDNS no",
)


@contextmanager
def having(path: Path, content: str | None, mode: int = 0o644) -> Iterator[None]:
    """Have a file with this content for a while, or none."""
    before = path.read_text() if path.exists() else None
    write(path, content, mode)
    try:
        yield
    finally:
        write(path, before, mode)


def write(path: Path, content: str | None, mode: int = 0o644) -> None:
    path.unlink(missing_ok=True)
    if content is not None:
        path.write_text(content)
        path.chmod(mode)


def own_name() -> str:
    """Return the name of 127.0.0.1, as the programs find it."""
    try:
        return socket.getnameinfo(("127.0.0.1", 0), socket.NI_NAMEREQD)[0]
    except OSError:
        return socket.gethostname()


@dataclass(frozen=True)
class Host:
    """This host, as the programs of a test see it.

    :ivar key: its key; ``etc``: what they see as /etc/ssh.
    """

    key: PrivateKey
    etc: Path

    def within(self) -> list[str]:
        """Return the words in front of a program's."""
        mount = f"mount --bind '{self.etc}' /etc/ssh && exec \"$@\""
        return [require("unshare"), "--mount", "sh", "-c", mount, "sh"]

    def serve(self, server: str, directory: Path, config: Sequence[str]) -> Daemon:
        program = require("sshd") if server == "sshd" else SSHD
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd does not start without

        def started(port: int) -> Daemon:
            own = [f"ListenAddress 127.0.0.1:{port}", f"HostKey {self.etc / KEY}"]
            lines = [*own, *without_penalties(server), *config]
            file = directory / f"{server}.conf"
            file.write_text("\n".join(lines) + "\n")
            return Daemon(server, [*self.within(), program, "-D", "-e", "-f", file])

        return on_free_port(started, READY[server])


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    """The host has one key, and lets users have it sign."""
    if not KEYSIGN.exists():
        missing("openssh-client")
    key = generate("ssh-ed25519")
    # Other accounts can't look into pytest's directories.
    with TemporaryDirectory(prefix="etc-ssh-", dir="/tmp") as directory:
        etc = Path(directory)
        etc.chmod(0o755)
        write(etc / KEY, dump_private(key).decode(), 0o600)
        write(etc / f"{KEY}.pub", f"{key.public}\n")
        write(etc / "ssh_config", "EnableSSHKeysign yes\n")
        write(etc / "shosts.equiv", f"{own_name()}\n{own_name()} root\n")
        write(etc / "ssh_known_hosts", f"{own_name()} {key.public}\n")
        yield Host(key, etc)


@pytest.fixture(scope="module")
def servers(host: Host, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Daemon]]:
    directory = tmp_path_factory.mktemp("hostbased")
    lines = (*CONFIG, "Match User root", "HostbasedAuthentication no")
    with ExitStack() as stack:
        found = {}
        for server in SERVERS:
            found[server] = host.serve(server, directory, lines)
            stack.callback(found[server].stop)
        yield found


def enters(host: Host, daemon: Daemon, account: Account, client: str, user: str = "") -> bool:
    """Tell whether the account logs in to itself. nacre runs as root: others may not read it."""
    program = [require("ssh")] if client == "ssh" else [*NACRE, "ssh"]
    words: list[str | Path] = [*program, "-F", "none", "-p", str(daemon.port)]
    for option in (
        *("HostbasedAuthentication=yes", "EnableSSHKeysign=yes", "BatchMode=yes"),
        *("PreferredAuthentications=hostbased", "StrictHostKeyChecking=no"),
        *("UserKnownHostsFile=/dev/null", "GlobalKnownHostsFile=/dev/null"),
    ):
        words += ["-o", option]
    as_user = [require("setpriv"), "--reuid", account.name, "--regid", account.name]
    target = f"{user or account.name}@127.0.0.1"
    own = [*as_user, "--clear-groups"] if client == "ssh" else []
    command = [*host.within(), *own, *words, target, "echo in"]
    done = run(command, HOME=str(account.home))
    assert done.stdout in (b"", b"in\n"), done
    return done.stdout == b"in\n"


def test_each_client_logs_in_to_each_server(
    servers: dict[str, Daemon], host: Host, system_account: Account
) -> None:
    for client in ("ssh", "nacre"):
        for name, daemon in servers.items():
            assert enters(host, daemon, system_account, client), (client, name)
    # nacre's client asks ssh-keysign, whose verdict counts.
    with having(host.etc / "ssh_config", "EnableSSHKeysign no\n"):
        assert not enters(host, servers["sshd"], system_account, "nacre")


LIBRARY = """
import asyncio, sys, nacre
async def main(port, user, config):
    how = {"user": user, "config": config, "trust": nacre.AnyHostKey(), "agent": False}
    async with nacre.connect("127.0.0.1", int(port), **how) as ssh:
        print(*ssh.methods)
asyncio.run(main(*sys.argv[1:]))
"""


def test_the_library_does_what_the_files_say(
    servers: dict[str, Daemon], host: Host, system_account: Account, tmp_path: Path
) -> None:
    config = tmp_path / "config"
    config.write_text("HostbasedAuthentication yes\nIdentityFile none\n")
    for daemon in servers.values():
        words = [sys.executable, "-c", LIBRARY, str(daemon.port), system_account.name, str(config)]
        assert run([*host.within(), *words]).stdout == b"hostbased\n"


def test_both_servers_refuse_alike(
    servers: dict[str, Daemon], host: Host, system_account: Account
) -> None:
    name, user = own_name(), system_account.name
    cases: dict[str, tuple[Path, str | None, bool]] = {
        "no host is listed": (host.etc / "shosts.equiv", None, False),
        "another host": (host.etc / "shosts.equiv", "other.example\n", False),
        "a comment": (host.etc / "shosts.equiv", f"# {name}\n", False),
        "refused": (host.etc / "shosts.equiv", f"-{name}\n{name}\n", False),
        "the user is refused": (host.etc / "shosts.equiv", f"{name} -{user}\n{name}\n", False),
        "another user": (host.etc / "shosts.equiv", f"{name} nobody\n", False),
        "the user": (host.etc / "shosts.equiv", f"{name.upper()} {user}\n", True),
        "everyone": (host.etc / "shosts.equiv", f"+\n+ {user}\n", False),
        "too many words": (host.etc / "shosts.equiv", f"{name} {user} x\n", False),
        "no key is known": (host.etc / "ssh_known_hosts", "", False),
        "another key": (
            host.etc / "ssh_known_hosts",
            f"{name} {OTHER}\n",
            False,
        ),
        "revoked": (
            host.etc / "ssh_known_hosts",
            f"{name} {host.key.public}\n@revoked {name} {host.key.public}\n",
            False,
        ),
    }
    for case, (path, content, expected) in cases.items():
        with having(path, content):
            for server, daemon in servers.items():
                assert enters(host, daemon, system_account, "ssh") is expected, (case, server)
    for server, daemon in servers.items():
        assert not enters(host, daemon, system_account, "ssh", user="root"), server


def test_files_of_the_account(host: Host, system_account: Account, tmp_path: Path) -> None:
    """The account's own files count with IgnoreRhosts no, in the right modes alone."""
    shosts = system_account.home / ".shosts"
    line = f"{own_name()} {system_account.name}\n"
    with ExitStack() as stack:
        stack.enter_context(having(host.etc / "shosts.equiv", None))
        config = (*CONFIG, "IgnoreRhosts shosts-only", "Match LocalPort 1", "IgnoreRhosts no")
        daemons = {}
        for server in SERVERS:
            daemons[server] = host.serve(server, tmp_path, config)
            stack.callback(daemons[server].stop)
        for mode, expected in ((0o644, True), (0o666, False)):
            with having(shosts, line, mode):
                shutil.chown(shosts, system_account.name)
                for server, daemon in daemons.items():
                    assert enters(host, daemon, system_account, "ssh") is expected, (server, mode)


def answer(host: Host, program: Path, request: bytes, carrier: socket.socket) -> bytes | None:
    """Return the signature that a program makes, or None."""
    done = subprocess.run(
        [*host.within(), program],
        input=request,
        capture_output=True,
        pass_fds=(carrier.fileno(),),
        timeout=60,
    )
    assert done.returncode == (0 if done.stdout else 255), done
    return decode_reply(done.stdout) if done.stdout else None


def test_both_programs_sign_the_same_requests(host: Host) -> None:
    user = pwd.getpwuid(os.getuid()).pw_name

    def data(**changed: bytes) -> bytes:
        fields = {
            "session": string(bytes(32)),
            "number": u8(50),
            "user": text("alice"),
            "service": text("ssh-connection"),
            "method": text("hostbased"),
            "algorithm": text("ssh-ed25519"),
            "key": string(host.key.public.blob),
            "host": text(f"{own_name()}."),
            "own": text(user),
            "end": b"",
        }
        return b"".join((fields | changed).values())

    cases = {
        "right": (data(), True),
        "no dot": (data(host=text(own_name())), False),
        "upper case": (data(host=text(f"{own_name().upper()}.")), True),
        "another host": (data(host=text("other.example.")), False),
        "another user": (data(own=text("nobody")), False),
        "another key": (data(key=string(OTHER.blob)), False),
        "another method": (data(method=text("publickey")), False),
        "another service": (data(service=text("ssh-userauth")), False),
        "another message": (data(number=u8(51)), False),
        "a short session id": (data(session=string(bytes(10))), False),
        "more": (data(end=b"\0"), False),
    }
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as carrier,
    ):
        for case, (signed, expected) in cases.items():
            request = HostSignatureRequest(carrier.fileno(), signed).encode()
            for program in (KEYSIGN, OURS):
                made = answer(host, program, request, carrier)
                assert (made is not None) is expected, (case, program)
                if made is not None:
                    assert host.key.public.verify(made, signed, "ssh-ed25519")
        request = HostSignatureRequest(carrier.fileno(), data()).encode()
        with having(host.etc / "ssh_config", "EnableSSHKeysign no\n"):
            assert [answer(host, one, request, carrier) for one in (KEYSIGN, OURS)] == [None, None]
        for descriptor in (0, 1, 999999):
            request = HostSignatureRequest(descriptor, data()).encode()
            assert answer(host, OURS, request, carrier) is None
        assert answer(host, OURS, request[:20], carrier) is None
