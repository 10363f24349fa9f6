"""The examples work, and the documentation shows no code that is not part of one."""

from __future__ import annotations

import asyncio
import re
import shutil
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import nacre
from interop.daemons import Daemon, State, start_nacre
from interop.programs import check, run

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home directory with a private key in it."""
    home = tmp_path_factory.mktemp("home")
    (home / ".ssh").mkdir(mode=0o700)
    key = nacre.generate("ssh-ed25519")
    (home / ".ssh" / "id_ed25519").touch(mode=0o600)
    (home / ".ssh" / "id_ed25519").write_bytes(nacre.dump_private(key))
    (home / ".ssh" / "id_ed25519.pub").write_text(str(key.public) + "\n")
    return home


@pytest.fixture(scope="module")
def server(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """``nacre serve`` with a user alice whose key, and the server's host key, are in ``home``."""
    state = State(tmp_path_factory.mktemp("server") / "state")
    state.add_user("alice", keys=[home / ".ssh" / "id_ed25519.pub"])
    with start_nacre(state) as daemon:
        host_key = nacre.load_private((state.path / "ssh_host_ed25519_key").read_bytes())
        known = f"[127.0.0.1]:{daemon.port} {host_key.public}\n"
        (home / ".ssh" / "known_hosts").write_text(known)
        yield daemon


def _example(name: str, server: Daemon, home: Path, *words: str, input: bytes = b"") -> bytes:
    command = [sys.executable, EXAMPLES / name, "127.0.0.1", str(server.port), "alice", *words]
    done = run(command, input=input, HOME=str(home))
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.mark.slow
def test_run(server: Daemon, home: Path) -> None:
    assert _example("run.py", server, home, "echo $((6 * 7))") == b"42\n"


@pytest.mark.slow
def test_shared_connection(server: Daemon, home: Path) -> None:
    """Without a master it makes a connection of its own."""
    assert _example("shared_connection.py", server, home, "echo $((6 * 7))") == b"42\n"


@pytest.mark.slow
def test_streams(server: Daemon, home: Path) -> None:
    assert _example("streams.py", server, home, input=b"b\nc\na\n") == b"a\nb\nc\n"


@pytest.mark.slow
def test_without_await(server: Daemon, home: Path) -> None:
    assert _example("without_await.py", server, home, "echo $((6 * 7))") == b"42\n"


def test_move_files(server: Daemon, home: Path, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"release")
    shown = _example("move_files.py", server, home, str(tmp_path / "f"), str(tmp_path / "copy"))
    assert shown == b"['notes.txt', 'release.tar']\n"
    assert (tmp_path / "copy" / "release.tar").read_bytes() == b"release"
    assert (tmp_path / "copy" / "notes.txt").read_text() == "done\n"


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.slow
def test_forward_port(server: Daemon, home: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Page) as page:
        threading.Thread(target=page.serve_forever, daemon=True).start()
        shown = _example("forward_port.py", server, home, str(page.server_address[1]))
        page.shutdown()
    assert shown == b"200\nHTTP/1.0 200 OK\n"


@pytest.mark.slow
def test_jump_hosts(server: Daemon, home: Path) -> None:
    """The host is the jump host itself, which forwards to its own port."""
    shown = _example("jump_hosts.py", server, home, "127.0.0.1", str(server.port))
    assert shown == b"42\n0\n"


@asynccontextmanager
async def _started(name: str, *words: object, cwd: Path) -> AsyncIterator[int]:
    """An example that is a server, and its port: the only number with blanks around it."""
    server = await asyncio.create_subprocess_exec(
        sys.executable,
        EXAMPLES / name,
        *map(str, words),
        stdout=asyncio.subprocess.PIPE,
        cwd=cwd,
    )
    try:
        assert server.stdout is not None
        line = await asyncio.wait_for(server.stdout.readline(), 20)
        yield next(int(word) for word in line.split() if word.isdigit())
    finally:
        server.terminate()
        await server.wait()


def _connect(
    port: int, user: str = "alice", **how: Any
) -> AbstractAsyncContextManager[nacre.Connection]:
    return nacre.connect("127.0.0.1", port, user=user, trust=nacre.AnyHostKey(), **how)


async def test_greeting_server(tmp_path: Path) -> None:
    async with _started("greeting_server.py", 0, "secret", cwd=tmp_path) as port:
        async with _connect(port, password="secret") as ssh:
            done = await ssh.run("dance")
        assert done.stdout == "hello, alice\r\nno dance here\r\n"
        assert (tmp_path / "greeting_key").stat().st_mode & 0o777 == 0o600


async def test_file_server(tmp_path: Path) -> None:
    (tmp_path / "alice").mkdir()
    async with _started("file_server.py", 0, "secret", tmp_path, cwd=tmp_path) as port:
        async with _connect(port, password="secret") as ssh, ssh.sftp() as sftp:
            await sftp.write_text("notes", "mine")
            with pytest.raises(FileNotFoundError):
                await sftp.read_text("../bob/notes")
        async with _connect(port, "bob", password="secret") as ssh, ssh.sftp() as sftp:
            assert await sftp.read_text("/pumps") == "all is well with pumps\n"
        assert (tmp_path / "alice" / "notes").read_text() == "mine"


@pytest.mark.slow
async def test_database_server(tmp_path: Path) -> None:
    key = nacre.generate("ssh-ed25519")
    other = nacre.generate("ssh-ed25519")
    program, users = EXAMPLES / "database_server.py", tmp_path / "users.db"
    added = run([sys.executable, program, users, "add", "alice", "secret", str(key.public)])
    assert added.returncode == 0, added.stderr.decode()
    async with _started("database_server.py", 0, users, cwd=tmp_path) as port:
        for how in ({"password": "secret"}, {"keys": [key]}):
            async with _connect(port, **how) as ssh:
                assert (await ssh.run("x")).stdout == "alice is logged in\n"
        for user, how in (
            ("alice", {"password": "wrong"}),
            ("alice", {"keys": [other]}),
            ("carol", {"password": "secret"}),
            ("carol", {"keys": [key]}),
        ):
            with pytest.raises(nacre.AuthenticationFailed):
                async with _connect(port, user, **how):
                    pass


async def test_gateway_server(tmp_path: Path) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello\n")
        writer.close()

    allowed = await asyncio.start_server(greet, "127.0.0.1", 0)
    other = await asyncio.start_server(greet, "127.0.0.1", 0)
    goal, forbidden = (one.sockets[0].getsockname()[1] for one in (allowed, other))
    async with (
        allowed,
        other,
        _started("gateway_server.py", 0, "secret", goal, cwd=tmp_path) as port,
        _connect(port, password="secret") as ssh,
    ):
        async with ssh.open_connection("localhost", goal) as tunnel:
            assert await tunnel.reader.read() == b"hello\n"
        with pytest.raises(nacre.ChannelOpenFailed):
            await ssh.open_connection("localhost", forbidden)
        async with ssh.forward_remote("localhost", goal) as listener:
            reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
            assert await reader.read() == b"hello\n"
            writer.close()
        with pytest.raises(nacre.RequestFailed):
            await ssh.forward_remote("localhost", goal, listen_host="")
        with pytest.raises(nacre.RequestFailed):
            await ssh.run("true")


async def test_signing_service() -> None:
    directory = tempfile.mkdtemp(dir="/tmp")  # the path of a socket is short
    program = await asyncio.create_subprocess_exec(
        sys.executable,
        EXAMPLES / "signing_service.py",
        f"{directory}/agent",
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert program.stdout is not None
        line = await asyncio.wait_for(program.stdout.readline(), 20)
        agent = nacre.Agent(line.decode().strip().removeprefix("SSH_AUTH_SOCK="))
        ((key, comment),) = await agent.keys()
        assert comment == "in the vault"
        assert key.verify(await agent.sign(key, b"data", key.type), b"data", key.type)
        with pytest.raises(nacre.UnusableKey):
            await agent.sign(nacre.generate("ssh-ed25519").public, b"data", "ssh-ed25519")
    finally:
        program.terminate()
        await program.wait()
        shutil.rmtree(directory)


async def test_certificate_service(tmp_path: Path) -> None:
    key = nacre.generate("ssh-ed25519").public
    async with (
        _started("certificate_service.py", 0, "secret", cwd=tmp_path) as port,
        _connect(port, password="secret") as ssh,
    ):
        done = await ssh.run("", input=f"{key} me\n")
        refused = await ssh.run("", input="nonsense\n")
    found, _ = nacre.load_public(done.stdout)
    assert isinstance(found, nacre.Certificate)
    assert found.key == key
    assert found.refusal("user", "alice", now=time.time()) is None
    assert found.refusal("user", "alice", now=time.time() + 3600) is not None
    assert (refused.exit_status, refused.stdout) == (1, "")


def test_sign_file(home: Path, tmp_path: Path) -> None:
    key = home / ".ssh" / "id_ed25519"
    (tmp_path / "f").write_text("a message")
    (tmp_path / "allowed").write_text(f"me@x {key.with_suffix('.pub').read_text()}")
    for name in ("me@x", "you@x"):
        words = [EXAMPLES / "sign_file.py", key, tmp_path / "f", tmp_path / "allowed", name]
        assert check([sys.executable, *words]).decode() == f"{name == 'me@x'}\n"


@pytest.mark.parametrize("page", ["README.md", "docs/apps.md", "docs/guide.md"])
def test_documentation_shows_code_that_is_run(page: str) -> None:
    shown = re.findall(
        r"^```python\n(.*?)^```", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE
    )
    run_here = [path.read_text() for path in sorted(EXAMPLES.glob("*.py"))]
    assert shown
    for block in shown:
        known = any(block in text or textwrap.indent(block, "    ") in text for text in run_here)
        assert known, f"{page} shows what no example does:\n{block}"
