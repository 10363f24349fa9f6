"""The examples do what they say, and the documentation shows nothing that is not among them."""

from __future__ import annotations

import asyncio
import re
import sys
import textwrap
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import nacre
from interop.daemons import Daemon, State, start_nacre
from interop.programs import run

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a key of its user's."""
    home = tmp_path_factory.mktemp("home")
    (home / ".ssh").mkdir(mode=0o700)
    key = nacre.generate("ssh-ed25519")
    (home / ".ssh" / "id_ed25519").touch(mode=0o600)
    (home / ".ssh" / "id_ed25519").write_bytes(nacre.dump_private(key))
    (home / ".ssh" / "id_ed25519.pub").write_text(str(key.public) + "\n")
    return home


@pytest.fixture(scope="module")
def server(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """``nacre serve``, known to who lives in ``home`` and knowing them."""
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


def test_streams(server: Daemon, home: Path) -> None:
    assert _example("streams.py", server, home, input=b"b\nc\na\n") == b"a\nb\nc\n"


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


def test_forward_port(server: Daemon, home: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Page) as page:
        threading.Thread(target=page.serve_forever, daemon=True).start()
        shown = _example("forward_port.py", server, home, str(page.server_address[1]))
        page.shutdown()
    assert shown == b"200\nHTTP/1.0 200 OK\n"


async def test_greeting_server(tmp_path: Path) -> None:
    server = await asyncio.create_subprocess_exec(
        sys.executable,
        EXAMPLES / "greeting_server.py",
        "0",
        "secret",
        stdout=asyncio.subprocess.PIPE,
        cwd=tmp_path,
    )
    try:
        assert server.stdout is not None
        line = await asyncio.wait_for(server.stdout.readline(), 20)
        port = int(line.split()[2])
        async with nacre.connect(
            "127.0.0.1", port, user="alice", password="secret", trust=nacre.AnyHostKey()
        ) as ssh:
            done = await ssh.run("dance")
        assert done.stdout == "hello, alice\r\nno dance here\r\n"
        assert (tmp_path / "greeting_key").stat().st_mode & 0o777 == 0o600
    finally:
        server.terminate()
        await server.wait()


async def test_file_server(tmp_path: Path) -> None:
    (tmp_path / "alice").mkdir()
    server = await asyncio.create_subprocess_exec(
        sys.executable,
        EXAMPLES / "file_server.py",
        "0",
        "secret",
        tmp_path,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert server.stdout is not None
        line = await asyncio.wait_for(server.stdout.readline(), 20)
        port = int(line.split()[2])
        for user in ("alice", "bob"):
            async with (
                nacre.connect(
                    "127.0.0.1", port, user=user, password="secret", trust=nacre.AnyHostKey()
                ) as ssh,
                ssh.sftp() as sftp,
            ):
                if user == "alice":
                    await sftp.write_text("notes", "mine")
                    with pytest.raises(FileNotFoundError):
                        await sftp.read_text("../bob/notes")
                else:
                    assert await sftp.read_text("/pumps") == "all is well with pumps\n"
        assert (tmp_path / "alice" / "notes").read_text() == "mine"
    finally:
        server.terminate()
        await server.wait()


@pytest.mark.parametrize("page", ["README.md", "docs/guide.md"])
def test_documentation_shows_code_that_is_run(page: str) -> None:
    shown = re.findall(
        r"^```python\n(.*?)^```", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE
    )
    run_here = [path.read_text() for path in sorted(EXAMPLES.glob("*.py"))]
    assert shown
    for block in shown:
        known = any(block in text or textwrap.indent(block, "    ") in text for text in run_here)
        assert known, f"{page} shows what no example does:\n{block}"
