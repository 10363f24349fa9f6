"""The SFTP client against OpenSSH's sftp-server: trees, cuts, atomic copies, memory, errors."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import random
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import nacre
from interop.clients import ME, Login
from interop.daemons import Daemon
from interop.programs import require
from nacre.cli.common.local_server import start_server
from nacre.errors import ConnectionLost, SFTPError
from nacre.sftp.client.client import SFTPClient

SFTP_SERVER = "/usr/lib/openssh/sftp-server"
CONTENT = hashlib.shake_256(b"nacre").digest(5_000_003)


@pytest.fixture
def to_sshd(sshd_with_sftp: Daemon, keys: dict[str, Path], tmp_path: Path) -> Login:
    return Login(sshd_with_sftp, ME, tmp_path, keys["ed25519"])


@pytest.fixture
async def sftp() -> AsyncIterator[SFTPClient]:
    async with await start_server(require(SFTP_SERVER)) as client:
        yield client


def connect(login: Login) -> object:
    assert login.key is not None
    return nacre.connect(
        "127.0.0.1",
        login.server.port,
        user=login.user,
        keys=[login.key],
        agent=False,
        trust=nacre.AnyHostKey(),
    )


def make_tree(top: Path, files: int = 2000) -> None:
    """Make the tree of the acceptance: many files, odd names, a sparse one, modes and times."""
    chance = random.Random(1)
    top.mkdir()
    for number in range(files):
        directory = top / f"d{number % 40}" / f"e{number % 3}"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f"f{number}").write_bytes(chance.randbytes(chance.choice((0, 1, 100, 5000))))
    odd = [b"a b", b"new\nline", "öäü".encode(), b"\xff\xfe", b"-dash", b"back\\slash", b"*[x]?"]
    for name in odd:
        (top / os.fsdecode(name)).write_bytes(name)
        (top / os.fsdecode(b"dir " + name)).mkdir()
    (top / "big").write_bytes(CONTENT)
    with (top / "sparse").open("wb") as sparse:
        sparse.truncate(4 << 20)
        sparse.seek(1 << 20)
        sparse.write(b"data")
        sparse.truncate(6 << 20)
    (top / "closed").mkdir(mode=0o555)
    for number, path in enumerate(sorted(top.rglob("*"))):
        if path.is_file():
            path.chmod(0o600 | (number % 8) << 3)
        os.utime(path, (1_000_000 + number, 2_000_000 + number))


def fingerprint(top: Path, *, attributes: bool = True) -> dict[str, tuple[object, ...]]:
    found: dict[str, tuple[object, ...]] = {}
    for path in top.rglob("*"):
        status = path.lstat()
        kept = (stat.S_IMODE(status.st_mode), int(status.st_mtime)) if attributes else ()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "directory"
        found[str(path.relative_to(top))] = (content, *kept)
    return found


@pytest.mark.slow
async def test_a_tree_both_ways(to_sshd: Login, tmp_path: Path) -> None:
    make_tree(tmp_path / "tree")
    expected = fingerprint(tmp_path / "tree")
    async with connect(to_sshd) as ssh, ssh.sftp() as sftp:  # type: ignore[attr-defined]
        await sftp.put(tmp_path / "tree", tmp_path / "up", recursive=True, preserve=True)
        assert fingerprint(tmp_path / "up") == expected
        await sftp.get(tmp_path / "up", tmp_path / "down", recursive=True, preserve=True)
        assert fingerprint(tmp_path / "down") == expected
        for copy in ("up", "down"):
            assert (tmp_path / copy / "sparse").stat().st_blocks < 1000
        await sftp.copy(tmp_path / "up", tmp_path / "copied", recursive=True, preserve=True)
        assert fingerprint(tmp_path / "copied") == expected
        await sftp.rmtree(tmp_path / "up")
    assert not (tmp_path / "up").exists()


class Cut:
    """A relay in front of a server that ends after so many bytes."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.left = 0
        self.server: asyncio.Server

    async def start(self) -> int:
        self.server = await asyncio.start_server(self.relay, "127.0.0.1", 0)
        port: int = self.server.sockets[0].getsockname()[1]
        return port

    async def relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection("127.0.0.1", self.port)
        ends = (writer, there[1])

        async def pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            while data := await source.read(65536):
                self.left -= len(data)
                if self.left <= 0:
                    break
                target.write(data)
                await target.drain()
            for end in ends:
                end.transport.abort()

        with contextlib.suppress(OSError):
            await asyncio.gather(
                pass_on(reader, there[1]), pass_on(there[0], writer), return_exceptions=True
            )


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("way", ["get", "put"])
async def test_resume_after_cuts(to_sshd: Login, tmp_path: Path, way: str) -> None:
    """Twenty cuts at random places; what is resumed is never wrong at the end."""
    chance = random.Random(way)
    content = chance.randbytes(3_000_000)
    (tmp_path / "source").write_bytes(content)
    target = tmp_path / "target"
    relay = Cut(to_sshd.server.port)
    port = await relay.start()
    cuts = resumed = 0
    # How much of a file a cut leaves at the server is a matter of load: no count is certain.
    while cuts < 20 or not resumed:
        relay.left = chance.randrange(8_000, 3_200_000)
        had = target.stat().st_size if target.exists() else 0
        try:
            async with (
                nacre.connect(
                    "127.0.0.1",
                    port,
                    user=to_sshd.user,
                    keys=[to_sshd.key] if to_sshd.key else [],
                    agent=False,
                    trust=nacre.AnyHostKey(),
                ) as ssh,
                ssh.sftp() as sftp,
            ):
                copy = sftp.get if way == "get" else sftp.put
                await copy(tmp_path / "source", target, resume=True)
        except (ConnectionLost, OSError):
            cuts += 1
            if target.exists():
                there = target.read_bytes()
                assert there == content[: len(there)], "what is there is not the file's beginning"
        else:
            resumed += bool(had)
            assert hashlib.sha256(target.read_bytes()).digest() == hashlib.sha256(content).digest()
            target.unlink()
    relay.server.close()


async def test_atomic_never_shows_a_half_file(to_sshd: Login, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(CONTENT)
    for way in ("get", "put"):
        target = tmp_path / way
        target.write_bytes(b"old")
        async with connect(to_sshd) as ssh, ssh.sftp() as sftp:  # type: ignore[attr-defined]
            copy = sftp.get if way == "get" else sftp.put

            def look(source: str, done: int, size: int, target: Path = target) -> None:
                assert target.read_bytes() == b"old"

            await copy(tmp_path / "source", target, atomic=True, verify=True, progress=look)
            assert target.read_bytes() == CONTENT
            target.write_bytes(b"old")

            moved = asyncio.Event()
            task = asyncio.create_task(
                copy(
                    tmp_path / "source",
                    target,
                    atomic=True,
                    progress=lambda source, done, size, moved=moved: done and moved.set(),
                )
            )
            await moved.wait()
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            assert target.read_bytes() in (b"old", CONTENT)
            await sftp.stat(".")
        assert sorted(path.name for path in tmp_path.iterdir() if path.name[0] == ".") == []


async def test_cancellation_leaves_no_handle(to_sshd: Login, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(CONTENT)
    async with connect(to_sshd) as ssh, ssh.sftp() as sftp:  # type: ignore[attr-defined]
        before = set(os.listdir("/proc/self/fd"))
        for _ in range(20):
            for work in (
                sftp.get(tmp_path / "source", tmp_path / "g"),
                sftp.put(tmp_path / "source", tmp_path / "p"),
                sftp.open(tmp_path / "source", "rb"),
                sftp.listdir(tmp_path),
            ):
                task = asyncio.create_task(work)
                for _ in range(random.randrange(8)):
                    await asyncio.sleep(0)
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        # The first finds what was opened too late closed; behind the second that is answered.
        await sftp.stat(".")
        await sftp.stat(".")
        assert set(os.listdir("/proc/self/fd")) == before
        assert sftp.session.client.waiting == 0
        assert sftp.session.window.in_flight == 0


async def test_errors_are_pythons_own_with_the_path(sftp: SFTPClient, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "full" / "sub").mkdir(parents=True)
    missing = str(tmp_path / "missing")
    with pytest.raises(FileNotFoundError) as caught:
        await sftp.stat(missing)
    assert caught.value.filename == missing
    with pytest.raises(FileNotFoundError) as caught:
        await sftp.get(missing, tmp_path / "x")
    assert caught.value.filename == missing
    with pytest.raises(FileNotFoundError) as caught:
        await sftp.put(missing, tmp_path / "x")
    assert caught.value.filename == missing
    with pytest.raises(FileExistsError):
        await sftp.mkdir(tmp_path / "full")
    with pytest.raises(FileExistsError):
        await sftp.open(tmp_path / "file", "x")
    with pytest.raises(IsADirectoryError):
        await sftp.get(tmp_path / "full", tmp_path / "y")
    with pytest.raises(NotADirectoryError):
        await sftp.chdir(tmp_path / "file")
    with pytest.raises(OSError, match="not empty"):
        await sftp.rmdir(tmp_path / "full")
    with pytest.raises(SFTPError):
        await sftp.put(tmp_path / "file", tmp_path / "none" / "x")
    assert not await sftp.exists(tmp_path / "file" / "below")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
async def test_no_space_here(sftp: SFTPClient, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(CONTENT)
    with pytest.raises(OSError, match="No space") as caught:
        await sftp.get(tmp_path / "source", "/dev/full")
    assert caught.value.errno == 28


async def test_files_read_write_and_seek(sftp: SFTPClient, tmp_path: Path) -> None:
    path = tmp_path / "f"
    async with await sftp.open(path, "wb") as file:
        for at in range(0, len(CONTENT), 70_001):
            await file.write(CONTENT[at : at + 70_001])
        assert await file.tell() == len(CONTENT)
    assert path.read_bytes() == CONTENT
    chance = random.Random(2)
    async with await sftp.open(path, "rb+") as file:
        model = bytearray(CONTENT)
        at = 0
        for _ in range(200):
            what = chance.randrange(4)
            if what == 0:
                at = await file.seek(chance.randrange(len(model)))
            elif what == 1:
                data = chance.randbytes(chance.choice((1, 300, 70_000)))
                model[at : at + len(data)] = data
                at += await file.write(data)
            else:
                n = chance.choice((0, 1, 1000, 300_000))
                assert await file.read(n) == bytes(model[at : at + n])
                at = min(at + n, max(at, len(model)))
            assert await file.tell() == at
        assert await file.truncate(1000) == 1000
    assert path.read_bytes() == bytes(model[:1000])
    async with await sftp.open(path, "w", encoding="utf-8") as text:
        await text.write("äö\r\nx\n")
    async with await sftp.open(path) as text:
        assert [line async for line in text] == ["äö\n", "x\n"]
    async with await sftp.open(path, "ab") as file:
        await file.write(b"end")
    assert path.read_text().endswith("end")


async def test_names_of_any_bytes(sftp: SFTPClient, tmp_path: Path) -> None:
    name = b"\xff\n \xc3\xa4"
    directory = os.fsencode(tmp_path)
    await sftp.write_bytes(directory + b"/" + name, b"content")
    assert await sftp.listdir(directory) == [name]
    assert await sftp.listdir(tmp_path) == [os.fsdecode(name)]
    assert [entry.path async for entry in sftp.scandir(directory)] == [directory + b"/" + name]
    assert await sftp.realpath(directory + b"/./" + name) == directory + b"/" + name
    assert (await sftp.stat(directory + b"/" + name)).st_size == 7


async def test_the_names_of_os(sftp: SFTPClient, tmp_path: Path) -> None:
    await sftp.chdir(tmp_path)
    assert await sftp.getcwd() == str(tmp_path)
    await sftp.makedirs("a/b/c")
    await sftp.makedirs("a/b/c", exist_ok=True)
    await sftp.write_text("a/f.txt", "text")
    await sftp.symlink("f.txt", "a/l")
    await sftp.link("a/f.txt", "a/h")
    assert await sftp.readlink("a/l") == "f.txt"
    assert await sftp.islink("a/l")
    assert await sftp.isfile("a/l")
    assert not await sftp.isfile("a")
    assert await sftp.glob("a/*.txt") == ["a/f.txt"]
    assert await sftp.glob(f"{tmp_path}/**/f.txt") == [f"{tmp_path}/a/f.txt"]
    await sftp.chmod("a/f.txt", 0o640)
    await sftp.utime("a/f.txt", (5, 6))
    status = await sftp.stat("a/f.txt")
    assert (stat.S_IMODE(status.st_mode), status.st_mtime, status.st_size) == (0o640, 6, 4)
    await sftp.truncate("a/f.txt", 2)
    assert await sftp.read_text("a/h") == "te"
    with pytest.raises(FileExistsError):
        await sftp.rename("a/h", "a/f.txt")
    await sftp.replace("a/h", "a/g")
    walked = [(top, sorted(dirs), sorted(files)) async for top, dirs, files in sftp.walk("a")]
    assert walked == [("a", ["b"], ["f.txt", "g", "l"]), ("a/b", ["c"], []), ("a/b/c", [], [])]
    assert (await sftp.statvfs(".")).f_bsize == os.statvfs(tmp_path).f_bsize
    await sftp.rmtree("a")
    assert await sftp.listdir() == []


_MEMORY = """
import asyncio, sys
import nacre
port, user, key, work, path, copy = sys.argv[1:]

def size(name):
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith(name))

async def main():
    async with nacre.connect("127.0.0.1", int(port), user=user, keys=[key], agent=False,
                             trust=nacre.AnyHostKey()) as ssh:
        async with ssh.sftp() as sftp:
            await sftp.read_bytes("/proc/self/status")
            idle = size("VmRSS")
            if work == "list":
                count = 0
                async for entry in sftp.scandir(path):
                    count += 1
                assert count == 30_000, count
            else:
                await getattr(sftp, work)(path, copy, resume=work == "get")
            # Not getrusage: its peak begins with that of the process that forked this one.
            print(size("VmHWM") - idle)

asyncio.run(main())
"""


def grown(login: Login, work: str, path: Path, copy: Path) -> int:
    """Return by how many KiB a client process grew above its idle size while it did something."""
    words = [str(login.server.port), login.user, str(login.key), work, str(path), str(copy)]
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    done = subprocess.run(
        [sys.executable, "-c", _MEMORY, *words],
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_memory_of_a_long_listing(to_sshd: Login, tmp_path: Path) -> None:
    (tmp_path / "many").mkdir()
    for number in range(30_000):
        os.mknod(tmp_path / "many" / f"a-file-with-a-name-of-some-length-{number}")
    assert grown(to_sshd, "list", tmp_path / "many", tmp_path) < 8 * 1024


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("way", ["get", "put"])
def test_memory_of_a_gibibyte_up_to_five(to_sshd: Login, tmp_path: Path, way: str) -> None:
    """A copy that has the first 4 GiB already is resumed; one to a server leaves out the holes."""
    source, copy = tmp_path / "source", tmp_path / "copy"
    size, there = 5 << 30, 4 << 30
    with source.open("wb") as file:
        # Data at both ends, and somewhere: the rest is holes, which a server sends as zeros.
        for at in (there, there + (1 << 29), size - 100):
            file.seek(at)
            file.write(b"data" * 25)
    if way == "get":
        copy.touch()
        os.truncate(copy, there)
    assert grown(to_sshd, way, source, copy) < 80 * 1024
    assert copy.stat().st_size == size
    assert copy.stat().st_blocks * 512 < 64 << 20
    with copy.open("rb") as file:
        for at in (there, there + (1 << 29), size - 100):
            file.seek(at)
            assert file.read(100) == b"data" * 25
