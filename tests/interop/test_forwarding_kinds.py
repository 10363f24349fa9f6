"""Every kind of forwarding between OpenSSH's programs and nacre's, with both ends swapped."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import shutil
import socket
import stat
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

import pytest

import nacre
from interop.clients import Account, Login
from interop.programs import NACRE, check
from interop.side_by_side import SERVERS, start
from interop.test_forwarding import Target, answer, round_trip, running, target
from nacre.errors import ChannelOpenFailed, RequestFailed

__all__ = ["target"]

DATA = random.Random(5).randbytes(1 << 18)
DEADLINE = 30.0


@pytest.fixture
def short() -> Iterator[Path]:
    """A directory whose paths a socket's address has room for."""
    path = mkdtemp(prefix="f", dir="/tmp")
    yield Path(path)
    shutil.rmtree(path)


@contextmanager
def unix_target(path: Path) -> Iterator[None]:
    """Answer at a Unix socket as :class:`Target` does at a port."""
    unix = Target(answer, str(path))
    yield
    unix.close()


def free_ports(count: int) -> list[int]:
    """Return ports that differ from each other."""
    with ExitStack() as stack:
        probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
        for probe in probes:
            stack.enter_context(probe)
        return [int(probe.getsockname()[1]) for probe in probes]


def port_of_choice() -> int:
    """Return a free port that the system gives to nobody who does not name it."""
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(lowest // 2, lowest)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


# --- one client with every kind at once ---


def connect(where: int | Path, *, host: str = "127.0.0.1") -> socket.socket:
    """Connect to a port of the loopback, or to a path."""
    if isinstance(where, int):
        return socket.create_connection((host, where), timeout=DEADLINE)
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(DEADLINE)
    sock.connect(str(where))
    return sock


SOCKS: dict[str, tuple[tuple[bytes, bytes], ...]] = {
    "4": ((b"\4\1%s\x7f\0\0\1me\0", b"\0\x5a"),),
    "4a": ((b"\4\1%s\0\0\0\1me\0localhost\0", b"\0\x5a"),),
    "5-name": ((b"\5\1\0", b""), (b"\5\1\0\3\x09localhost%s", b"\5\0")),
    "5-address": ((b"\5\2\0\2", b""), (b"\5\1\0\1\x7f\0\0\1%s", b"\5\0")),
}
"""Requests for this host, with how their replies begin; ``%s`` is the port."""

_LENGTHS = {b"\0\x5a": 8, b"\5\0": 10, b"": 2}


def through_socks(where: int | Path, port: int, version: str) -> bytes:
    with connect(where) as sock:
        for request, begins in SOCKS[version]:
            sock.sendall(request.replace(b"%s", port.to_bytes(2, "big")))
            reply = b""
            while len(reply) < _LENGTHS[begins]:
                more = sock.recv(_LENGTHS[begins] - len(reply))
                assert more, (version, reply)
                reply += more
            assert reply.startswith(begins), (version, reply)
        return round_trip(sock, DATA)


@pytest.fixture(params=["OpenSSH-nacre", "nacre-OpenSSH", "nacre-nacre"])
def command(request: pytest.FixtureRequest) -> Callable[..., list[str]]:
    way: str = request.param
    login: Login = request.getfixturevalue("to_sshd" if way == "nacre-OpenSSH" else "to_nacre")
    return login.ssh if way == "OpenSSH-nacre" else login.nacre_ssh


@pytest.mark.slow
def test_every_kind_in_one_session(
    command: Callable[..., list[str]], target: Target, short: Path
) -> None:
    to_path, in_six, back, proxy, proxy_back, limited = free_ports(6)
    there, to = f"{short}/there", f"127.0.0.1:{target.port}"
    flags = [
        *("-L", f"{to_path}:{there}"),
        *("-L", f"{short}/l-port:{to}"),
        *("-L", f"{short}/l-path:{there}"),
        *("-L", f"[::1]:{in_six}:[127.0.0.1]:{target.port}"),
        *("-R", f"{back}:{there}"),
        *("-R", f"{short}/r-port:{to}"),
        *("-R", f"{short}/r-path:{there}"),
        *("-D", f"{proxy}"),
        *("-D", f"{short}/d"),
        *("-R", f"{proxy_back}"),
        *("-R", f"127.0.0.1:{limited}:127.0.0.1:{target.port}"),
    ]
    ready = "echo ready; cat"
    words = command("ExitOnForwardFailure=yes", "StreamLocalBindMask=0117", flags=flags)
    with unix_target(short / "there"), running([*words, ready]) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        for where in (
            to_path,
            short / "l-port",
            short / "l-path",
            back,
            short / "r-port",
            short / "r-path",
            limited,
        ):
            with connect(where) as sock:
                assert round_trip(sock, DATA) == answer(DATA), where
        with connect(in_six, host="::1") as sock:
            assert round_trip(sock, DATA) == answer(DATA)
        assert stat.S_IMODE((short / "l-port").stat().st_mode) == 0o660
        assert stat.S_IMODE((short / "r-port").stat().st_mode) == 0o600
        for where, version in (
            (proxy, "4"),
            (proxy, "4a"),
            (proxy, "5-address"),
            (short / "d", "5-name"),
            (proxy_back, "4"),
            (proxy_back, "4a"),
            (proxy_back, "5-name"),
            (proxy_back, "5-address"),
        ):
            assert through_socks(where, target.port, version) == answer(DATA), (where, version)


@pytest.mark.slow
def test_what_permit_remote_open_and_clear_all_forwardings_leave(
    command: Callable[..., list[str]], target: Target, short: Path
) -> None:
    proxy, cleared = free_ports(2)
    permit = f"PermitRemoteOpen=localhost:{target.port}"
    words = command("ExitOnForwardFailure=yes", permit, flags=["-R", str(proxy)])
    with running([*words, "echo ready; cat"]) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        assert through_socks(proxy, target.port, "4a") == answer(DATA)
        before = target.connections
        with connect(proxy) as sock, suppress(ConnectionResetError):
            sock.sendall(b"\4\1" + target.port.to_bytes(2, "big") + b"\x7f\0\0\1me\0")
            # OpenSSH's client has said that it connects before it looks at the list.
            assert sock.recv(100)[:2] in (b"", b"\0\x5a", b"\0\x5b")
            assert sock.recv(100) == b""
        assert target.connections == before
    flags = ["-L", f"{cleared}:h:1", "-R", f"{short}/r:h:1", "-oClearAllForwardings=yes"]
    assert check([*command(flags=flags), "echo", "in"]) == b"in\n"
    words = command(flags=["-W", str(short / "there")])
    if words[0] == NACRE[0]:  # OpenSSH 9.2 takes a path, and then opens no channel
        with unix_target(short / "there"):
            assert check(words, input=DATA) == answer(DATA)


# --- what the servers allow, side by side ---

CASES: dict[str, tuple[str, ...]] = {
    "default": (),
    "no-tcp": ("AllowTcpForwarding no",),
    "local": ("AllowTcpForwarding local",),
    "remote": ("AllowTcpForwarding remote", "AllowStreamLocalForwarding local"),
    "all": ("AllowTcpForwarding all", "AllowStreamLocalForwarding remote", "GatewayPorts yes"),
    "clientspecified": ("GatewayPorts clientspecified", "AllowStreamLocalForwarding no"),
    "open": ("PermitOpen 127.0.0.1:{port}",),
    "open-any-port": ("PermitOpen localhost:* [::1]:1",),
    "open-none": ("PermitOpen none",),
    "listen": ("PermitListen 127.0.0.1:{listen}", "StreamLocalBindMask 0111"),
    "listen-port": ("PermitListen {listen}", "GatewayPorts clientspecified"),
    "listen-none": ("PermitListen none",),
    "disabled": ("DisableForwarding yes",),
}
"""Lines of sshd_config; the servers have an address for each, which ``Match`` names.

Ports of their own might be another test's before the servers have them.
"""


@dataclass
class Pair:
    """Both servers with :data:`CASES`, their ports by name, and their addresses by case."""

    ports: dict[str, int]
    addresses: dict[str, str]
    account: Account
    key: Path
    target: int
    listen: int

    @asynccontextmanager
    async def connected(self, case: str, server: str) -> AsyncIterator[nacre.Connection]:
        async with nacre.connect(
            self.addresses[case],
            self.ports[server],
            user=self.account.name,
            keys=[self.key],
            agent=False,
            trust=nacre.AnyHostKey(),
            config=None,
        ) as connection:
            yield connection


@pytest.fixture(scope="module")
def pair(
    system_account: Account,
    host_keys: dict[str, Path],
    keys: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Pair]:
    directory = tmp_path_factory.mktemp("kinds")
    with ExitStack() as stack:
        target = Target(answer)
        stack.callback(target.close)
        listen = port_of_choice()
        network = f"127.{random.randint(1, 255)}.{random.randint(0, 255)}"
        addresses = {case: f"{network}.{number}" for number, case in enumerate(CASES, 1)}
        config = [f"ListenAddress {address}" for address in addresses.values()]
        for case, lines in CASES.items():
            config.append(f"Match LocalAddress {addresses[case]}")
            config += [line.format(port=target.port, listen=listen) for line in lines]
        ports = {}
        for server in SERVERS:
            daemon = start(server, directory, host_keys["ed25519"], config)
            stack.callback(daemon.stop)
            ports[server] = daemon.port
        yield Pair(ports, addresses, system_account, keys["ed25519"], target.port, listen)


async def opens(connection: nacre.Connection, host: str, port: int) -> str:
    try:
        async with connection.open_connection(host, port):
            return "open"
    except ChannelOpenFailed as error:
        return str(error.code)


async def opens_unix(connection: nacre.Connection, path: Path) -> str:
    try:
        async with connection.open_unix_connection(path):
            return "open"
    except ChannelOpenFailed:
        return "refused"


async def listens(connection: nacre.Connection, target: int, host: str, port: int) -> str:
    """Return the addresses of this host at which the server listens, or why it does not.

    :param target: the port of the target, whose answer tells the server from another program's:
        at another address the port may be one that a test beside this one has.
    """
    try:
        listener = await connection.forward_remote(
            "127.0.0.1", target, listen_host=host, listen_port=port
        )
    except RequestFailed:
        return "refused"
    addresses = ("127.0.0.1", "127.0.0.2", "::1")
    found = [address for address in addresses if await reaches(address, listener.port)]
    await listener.close()
    return " ".join(found)


async def reaches(address: str, port: int) -> bool:
    """Return whether the target answers at ``address``."""
    try:
        async with asyncio.timeout(20):
            reader, writer = await asyncio.open_connection(address, port)
            try:
                writer.write(b"who")
                writer.write_eof()
                return await reader.read() == answer(b"who")
            finally:
                writer.close()
    except OSError:
        return False


async def listens_unix(connection: nacre.Connection, path: Path) -> str:
    try:
        listener = await connection.forward_remote("127.0.0.1", 9, listen_path=path)
    except RequestFailed:
        return "refused"
    found = path.stat()
    await listener.close()
    with suppress(FileNotFoundError):  # sshd leaves it behind
        path.unlink()
    return f"{found.st_uid} {stat.S_IMODE(found.st_mode):o}"


async def seen(pair: Pair, case: str, server: str, short: Path) -> dict[str, str]:
    """Return what each request got."""
    async with pair.connected(case, server) as ssh:
        found = {
            f"open {host}:{port}": await opens(ssh, host, port)
            for host in ("127.0.0.1", "localhost")
            for port in (pair.target, 1)
        }
        for host, port in (
            ("localhost", 0),
            ("", 0),
            ("127.0.0.1", 0),
            ("::1", 0),
            ("127.0.0.2", 0),
            ("127.0.0.1", pair.listen),
            ("localhost", pair.listen),
            ("localhost", 81),
        ):
            # Where the port that the system gives is another program's at one of the addresses,
            # both servers leave that address out: of two answers the longer one counts.
            answers = [await listens(ssh, pair.target, host, port) for _ in range(1 if port else 2)]
            found[f"listen {host}:{port}"] = max(answers, key=len)
        for name in "open", "closed", "none":
            found[f"open unix {name}"] = await opens_unix(ssh, short / name)
        found["listen unix"] = await listens_unix(ssh, short / "listen")
        found["listen unix elsewhere"] = await listens_unix(ssh, Path("/root/nacre-test"))
        return found


@pytest.mark.slow
@pytest.mark.timeout(200)
@pytest.mark.skipif(os.geteuid() != 0, reason="only root serves other accounts")
async def test_both_servers_allow_the_same(pair: Pair, short: Path) -> None:
    """A socket of root's, which the account may not connect to, is among the paths."""
    os.chown(short, int(check(["id", "-u", pair.account.name])), -1)
    differ = {}
    with unix_target(short / "open"), unix_target(short / "closed"):
        (short / "open").chmod(0o777)
        (short / "closed").chmod(0o600)
        for case in CASES:
            sshd, ours = [await seen(pair, case, server, short) for server in SERVERS]
            wrong = {name: (sshd[name], ours[name]) for name in sshd if sshd[name] != ours[name]}
            if wrong:
                differ[case] = wrong
    assert differ == {}, "sshd's answer, then nacre's"


# --- many at once ---

_SIZE = 2 << 20
_MANY = 100


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_hundred_connections_with_two_mebibytes_each(to_nacre: Login) -> None:
    """Each has data of its own, so that one that gets another's would be seen."""
    block = random.Random(3).randbytes(_SIZE)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        start = int(await reader.readline())
        writer.write(block[start:])
        writer.write(block[:start])
        await writer.drain()
        writer.close()

    async def fetch(number: int, port: int) -> bool:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"%d\n" % (number * 1000))
        got = hashlib.sha256()
        while data := await reader.read(1 << 18):
            got.update(data)
        writer.close()
        wanted = hashlib.sha256(memoryview(block)[number * 1000 :])
        wanted.update(memoryview(block)[: number * 1000])
        return got.digest() == wanted.digest()

    assert to_nacre.key is not None
    async with (
        await asyncio.start_server(serve, "127.0.0.1", 0) as server,
        nacre.connect(
            "127.0.0.1",
            to_nacre.server.port,
            user=to_nacre.user,
            keys=[to_nacre.key],
            agent=False,
            trust=nacre.AnyHostKey(),
            config=None,
        ) as ssh,
        ssh.forward_local("127.0.0.1", server.sockets[0].getsockname()[1]) as listener,
    ):
        async with asyncio.timeout(250):
            whole = await asyncio.gather(*(fetch(n, listener.port) for n in range(_MANY)))
    assert all(whole)
