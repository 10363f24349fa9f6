"""Three jump hosts by OpenSSH, Dropbear and nacre, each with a user and a key of its own."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from interop.clients import ME, Account, Login
from interop.daemons import Daemon, State, start_dropbear, start_nacre, start_sshd
from interop.programs import NACRE, check, environment, require, run
from procfs import below

PEERS = ("OpenSSH", "Dropbear", "nacre")


@dataclass
class Hop:
    """A jump host: its server, and how the command line names it."""

    server: Daemon
    user: str

    @property
    def text(self) -> str:
        return f"{self.user}@127.0.0.1:{self.server.port}"

    @property
    def name(self) -> str:
        """How errors name it."""
        return f"[127.0.0.1]:{self.server.port}"


@dataclass
class Way:
    """Jump hosts and the host behind them.

    :ivar home: a home directory with a key for each of the jump hosts, and their host keys.
    """

    hops: list[Hop]
    login: Login
    home: Path

    @property
    def known_hosts(self) -> Path:
        return self.home / ".ssh" / "known_hosts"

    @property
    def jump(self) -> str:
        return ",".join(hop.text for hop in self.hops)

    def options(self, *more: str) -> list[str]:
        """Return the options for all programs but the port, and the key of the host alone."""
        words = [*more, "IdentitiesOnly=yes", "BatchMode=yes"]
        words += [f"ProxyJump={self.jump}"] if self.hops else []
        key = ["-i", str(self.login.key)]
        return ["-F", "none", *key, *(part for word in words for part in ("-o", word))]

    def ssh(self, *more: str, command: str) -> list[str]:
        port = ["-p", str(self.login.server.port)]
        where = f"{self.login.user}@127.0.0.1"
        return [*NACRE, "ssh", *self.options(*more), *port, where, command]


def learn(servers: list[Daemon], known_hosts: Path) -> None:
    """Write the host keys of servers, in order, one line each."""
    lines = []
    for server in servers:
        # OpenSSH 10 has comments among the keys.
        scanned = check([require("ssh-keyscan"), "-t", "ed25519", "-p", server.port, "127.0.0.1"])
        lines += [line for line in scanned.splitlines(True) if not line.startswith(b"#")]
    known_hosts.write_bytes(b"".join(lines))


@pytest.fixture(scope="module")
def jumpers(keys: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> State:
    state = State(tmp_path_factory.mktemp("jumpers") / "state")
    state.add_user("jumper", keys=[keys["rsa"].with_suffix(".pub")], auth="publickey")
    return state


@pytest.fixture(scope="module")
def hops(
    host_keys: dict[str, Path],
    keys: dict[str, Path],
    system_account: Account,
    jumpers: State,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, Hop]]:
    """A jump host of each peer; only Dropbear takes all of the keys."""
    root = tmp_path_factory.mktemp("jumps")
    one = root / "authorized_keys"
    one.write_text(keys["ecdsa256"].with_suffix(".pub").read_text())
    (root / "dropbear").mkdir()
    with (
        start_sshd(root, [host_keys["ed25519"]], one) as openssh,
        start_dropbear(root / "dropbear") as dropbear,
        start_nacre(jumpers) as nacre,
    ):
        yield {
            "OpenSSH": Hop(openssh, ME),
            "Dropbear": Hop(dropbear, system_account.name),
            "nacre": Hop(nacre, "jumper"),
        }


@pytest.fixture(scope="module")
def target(
    host_keys: dict[str, Path], authorized_keys: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Daemon]:
    """OpenSSH's server, with SFTP."""
    directory = tmp_path_factory.mktemp("target")
    sftp = "Subsystem sftp internal-sftp"
    with start_sshd(directory, [host_keys["ed25519"]], authorized_keys, sftp) as daemon:
        yield daemon


@pytest.fixture
def way(hops: dict[str, Hop], target: Daemon, keys: dict[str, Path], tmp_path: Path) -> Way:
    """All three, in the order of PEERS, and OpenSSH's server behind them."""
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    for name, key in (("id_ed25519", "ed25519"), ("id_ecdsa", "ecdsa256"), ("id_rsa", "rsa")):
        (home / ".ssh" / name).write_bytes(keys[key].read_bytes())
        (home / ".ssh" / name).chmod(0o600)
    way = Way([hops[peer] for peer in PEERS], Login(target, ME, tmp_path, keys["ecdsa384"]), home)
    learn([*(hop.server for hop in way.hops), target], way.known_hosts)
    return way


def said(stderr: bytes) -> list[str]:
    """Return the lines of standard error but for the warning that Dropbear's key exchange earns."""
    lines = stderr.decode().splitlines(keepends=True)
    return [line for line in lines if "is not post-quantum" not in line]


@pytest.mark.parametrize("first", range(3), ids=PEERS)
def test_a_command_through_three_hops(first: int, way: Way) -> None:
    way.hops = way.hops[first:] + way.hops[:first]
    data = os.urandom(1 << 20)
    done = run(way.ssh(command="cat"), input=data, HOME=str(way.home))
    assert (done.returncode, done.stdout, said(done.stderr)) == (0, data, [])
    done = run(way.ssh(command="exit 7"), HOME=str(way.home))
    assert done.returncode == 7


def test_the_option_j_and_uris(way: Way) -> None:
    words = way.ssh(command="echo there")
    at = words.index(f"ProxyJump={way.jump}")
    words[at - 1 : at + 1] = ["-J", ",".join(f"ssh://{hop.text}" for hop in way.hops)]
    assert check(words, HOME=str(way.home)) == b"there\n"


def test_files_through_three_hops(way: Way, tmp_path: Path) -> None:
    """``sftp`` and ``scp``, the latter from one remote host to another too."""
    (tmp_path / "here").write_bytes(os.urandom(1 << 20))
    where, port = f"{ME}@127.0.0.1", str(way.login.server.port)
    options = [*way.options(), "-P", port]
    scp = [*NACRE, "scp", *options]
    check([*scp, tmp_path / "here", f"{where}:{tmp_path}/there"], HOME=str(way.home))
    check([*scp, f"{where}:{tmp_path}/there", f"{where}:{tmp_path}/twice"], HOME=str(way.home))
    check([*scp, "-O", f"{where}:{tmp_path}/twice", tmp_path / "back"], HOME=str(way.home))
    assert (tmp_path / "back").read_bytes() == (tmp_path / "here").read_bytes()
    batch = f"put {tmp_path}/here {tmp_path}/put\nget {tmp_path}/put {tmp_path}/got\n"
    sftp = [*NACRE, "sftp", *options, "-b", "-", where]
    check(sftp, input=batch.encode(), HOME=str(way.home))
    assert (tmp_path / "got").read_bytes() == (tmp_path / "here").read_bytes()


def test_git_and_rsync_through_three_hops(way: Way, tmp_path: Path) -> None:
    ssh = shlex.join([f"{NACRE[0]}-ssh", *way.options()])
    where, port = f"{ME}@127.0.0.1", way.login.server.port
    git = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_SSH_COMMAND": ssh, "HOME": str(way.home)}
    git |= {
        f"GIT_{who}_{what}": "a" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "file").write_bytes(os.urandom(300_000))
    check([require("git"), "-C", tree, "init", "-q"], **git)
    check([require("git"), "-C", tree, "add", "."], **git)
    check([require("git"), "-C", tree, "commit", "-q", "-m", "one"], **git)
    clone = tmp_path / "clone"
    check([require("git"), "clone", "-q", f"ssh://{where}:{port}{tree}", clone], **git)
    assert (clone / "file").read_bytes() == (tree / "file").read_bytes()
    rsync = [require("rsync"), "-a", "-e", f"{ssh} -p {port}"]
    check([*rsync, f"{tree}/", f"{where}:{tmp_path}/copy"], HOME=str(way.home))
    assert (tmp_path / "copy" / "file").read_bytes() == (tree / "file").read_bytes()


def test_trace_shows_the_host_alone(way: Way) -> None:
    words = way.ssh(command="true")
    words[1] = "trace"
    out = check(words, HOME=str(way.home)).decode()
    assert out.count("Phase 1:") == 1
    assert "exit status: 0" in out


@pytest.fixture
def echo(tmp_path: Path) -> Iterator[Path]:
    """A Unix socket that gives back what it gets."""
    path = tmp_path / "echo"

    def serve() -> None:
        sock, _ = listener.accept()
        with sock:
            while data := sock.recv(1 << 16):
                sock.sendall(data)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        listener.settimeout(20)
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield path
        thread.join(20)


def test_standard_input_is_joined_to_a_unix_socket(way: Way, echo: Path) -> None:
    words = way.ssh(command="")[:-1]
    assert check([*words, "-W", echo], input=b"there and back", HOME=str(way.home)) == (
        b"there and back"
    )


# --- proxy commands ---


@pytest.mark.parametrize("program", ["nacre ssh", "OpenSSH"])
def test_a_proxy_command_of_either_program(program: str, way: Way) -> None:
    """``-W %h:%p`` as the proxy command."""
    first = way.hops[0]
    nested = [*NACRE, "ssh", "-F", "none"] if program == "nacre ssh" else [require("ssh")]
    keys = [
        "-i",
        str(way.home / ".ssh" / "id_ecdsa"),
        "-o",
        f"UserKnownHostsFile={way.known_hosts}",
    ]
    words = [
        *nested,
        *keys,
        "-p",
        str(first.server.port),
        "-W",
        "[%h]:%p",
        f"{first.user}@127.0.0.1",
    ]
    way.hops = []
    proxied = way.ssh(f"ProxyCommand={shlex.join(words)}", command="cat")
    data = os.urandom(1 << 20)
    assert check(proxied, input=data, HOME=str(way.home)) == data


# --- failures: the error names the hop, and nothing hangs ---


def failed(way: Way, *more: str, command: str = "true") -> str:
    """Run a command in vain; return what was said."""
    done = run(way.ssh(*more, command=command), HOME=str(way.home))
    assert (done.returncode, done.stdout) == (255, b"")
    return "".join(said(done.stderr))


@pytest.mark.parametrize("place", range(3), ids=PEERS)
def test_a_changed_key_of_a_hop(place: int, way: Way, keys: dict[str, Path]) -> None:
    lines = way.known_hosts.read_text().splitlines()
    kind, blob = keys["ed25519"].with_suffix(".pub").read_text().split()[:2]
    lines[place] = f"{way.hops[place].name} {kind} {blob}"
    way.known_hosts.write_text("\n".join(lines) + "\n")
    text = failed(way)
    assert "REMOTE HOST IDENTIFICATION HAS CHANGED" in text
    assert f"jump host {way.hops[place].name}: the ED25519 host key" in text
    assert text.endswith("Host key verification failed.\n")


@pytest.mark.parametrize("place", range(3), ids=PEERS)
def test_a_hop_that_refuses_the_user(place: int, way: Way) -> None:
    hop = way.hops[place]
    way.hops[place] = Hop(hop.server, "nobody-knows")
    assert f"nobody-knows@{hop.name}: Permission denied (publickey" in failed(way)


@pytest.mark.parametrize("place", range(3))
def test_a_hop_that_is_not_there(place: int, way: Way) -> None:
    """The first one is refused here; the others by the hop before."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        gone = Daemon.__new__(Daemon)
        gone.port = port
        way.hops[place] = Hop(gone, "nobody")
        text = failed(way)
    blamed = way.hops[max(0, place - 1)]
    assert text.startswith(f"ssh: jump host {blamed.name}: ")
    assert f"127.0.0.1 port {port}" in text


@contextmanager
def mute(told: bytes) -> Iterator[int]:
    """A server that says something, and then nothing."""

    def serve() -> None:
        sock, _ = listener.accept()
        with sock:
            sock.sendall(told)
            while sock.recv(1 << 16):
                pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
    thread.join(30)


@pytest.mark.slow
@pytest.mark.parametrize("told", [b"", b"SSH-2.0-mute\r\n"], ids=["nothing", "version"])
@pytest.mark.parametrize("place", range(3))
def test_a_hop_that_says_nothing(place: int, told: bytes, way: Way) -> None:
    with mute(told) as port:
        silent = Daemon.__new__(Daemon)
        silent.port = port
        way.hops[place] = Hop(silent, "nobody")
        message = failed(way, "ConnectTimeout=3")
    assert message.startswith(f"ssh: jump host {way.hops[place].name}: connect to host 127.0.0.1")
    assert "Connection timed out during banner exchange" in message


Transfer = Callable[[Way], "subprocess.Popen[bytes]"]


@pytest.fixture
def endless() -> Iterator[Transfer]:
    """Start a command that prints for ever, and wait until it does."""
    running: list[subprocess.Popen[bytes]] = []

    def start(way: Way) -> subprocess.Popen[bytes]:
        alive = ["ServerAliveInterval=1", "ServerAliveCountMax=2"]
        process = subprocess.Popen(
            way.ssh(*alive, command="while echo more; do :; done"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(HOME=str(way.home)),
        )
        running.append(process)
        assert process.stdout is not None
        assert process.stdout.read(1 << 16)
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate(timeout=30)


def sessions(hop: Hop) -> list[int]:
    """Return the processes of a server that have a connection."""
    return below(hop.server.pid) or [hop.server.pid]


@pytest.mark.slow
@pytest.mark.parametrize("peer", PEERS)
def test_a_hop_that_falls_silent_during_a_transfer(
    peer: str, way: Way, hops: dict[str, Hop], endless: Transfer
) -> None:
    hop = hops[peer]
    way.hops = [hops[PEERS[PEERS.index(peer) - 1]], hop]
    process = endless(way)
    stopped = sessions(hop)
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        _, errors = process.communicate(timeout=30)
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
    assert process.returncode == 255
    blame = f"Timeout, server {hop.name} not responding.\njump host {hop.name}: "
    assert blame in errors.decode()


@pytest.mark.slow
@pytest.mark.parametrize("peer", PEERS)
def test_a_hop_that_dies_during_a_transfer(
    peer: str, way: Way, hops: dict[str, Hop], jumpers: State, endless: Transfer
) -> None:
    with start_nacre(jumpers) as nacre:  # the others need theirs
        hop = Hop(nacre, "jumper") if peer == "nacre" else hops[peer]
        way.hops = [hops[PEERS[PEERS.index(peer) - 1]], hop]
        learn([*(hop.server for hop in way.hops), way.login.server], way.known_hosts)
        process = endless(way)
        for pid in sessions(hop):
            os.kill(pid, signal.SIGKILL)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 255
    assert f"Connection to {hop.name} closed by remote host: jump host" in errors.decode()
