"""Versions 3 to 6 of SFTP: nacre's client and other servers, nacre's server and other clients."""

from __future__ import annotations

import asyncio
import os
import pwd
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncssh
import pytest

import nacre
from interop.daemons import Daemon, State, start_nacre, until_it_listens
from interop.peers import FOREIGN
from interop.proftpd import USER, start_proftpd
from interop.programs import check, require
from nacre.cli.common.local_server import start_server
from nacre.errors import AlreadyExists, SFTPError

pytestmark = [pytest.mark.slow, pytest.mark.untraced, pytest.mark.timeout(120)]

GREEN_END = "/usr/libexec/gesftpserver"
VERSIONS = [3, 4, 5, 6]
ME = pwd.getpwuid(os.geteuid()).pw_name


# --- nacre's client ---


async def exercise(
    sftp: nacre.SFTPClient, version: int, root: Path, *, parts: bool = True, owner: str = ME
) -> None:
    """Use what the versions say in different ways, and look at what it does to the files.

    :param parts: whether the server keeps parts of a second.
    :param owner: how it names the owner of the files.
    """
    assert sftp.session.client.version.number == version
    assert await sftp.write_bytes("f", b"one\n") == 4
    async with await sftp.open("f", "ab") as file:
        await file.write(b"two\n")
    assert await sftp.read_bytes("f") == (root / "f").read_bytes() == b"one\ntwo\n"
    with pytest.raises(AlreadyExists):
        await sftp.open("f", "xb")
    async with await sftp.open("new", "xb"):
        pass
    await sftp.write_bytes("new", b"")
    await sftp.truncate("f", 3)
    assert (root / "f").read_bytes() == b"one"
    await attributes(sftp, root, owner, parts=parts and version > 3)
    await names(sftp, root)


async def attributes(sftp: nacre.SFTPClient, root: Path, owner: str, *, parts: bool) -> None:
    await sftp.chmod("f", 0o640)
    await sftp.utime("f", (1000.5, 2000.25))
    status, found = (root / "f").stat(), await sftp.stat("f")
    assert (status.st_mode, found.st_mode, found.st_size) == (0o100640, 0o100640, 3)
    assert int(found.st_mtime) == int(status.st_mtime) == 2000
    if parts:
        assert (status.st_atime, status.st_mtime) == (1000.5, 2000.25)
        assert (found.st_atime_ns, found.st_mtime_ns) == (status.st_atime_ns, status.st_mtime_ns)
    entries = {entry.name: entry async for entry in sftp.scandir(".")}
    assert entries["f"].is_file()
    if sftp.session.client.version.names:
        assert entries["f"].attributes.details.owner == owner
    own = entries["f"].attributes
    if owner == ME:  # ProFTPD does not find the names that it tells
        await sftp.chown("f", own.details.owner or os.getuid(), own.details.group or os.getgid())


async def names(sftp: nacre.SFTPClient, root: Path) -> None:
    await sftp.mkdir("d", 0o700)
    assert await sftp.isdir("d")
    await sftp.symlink("f", "l")
    # ProFTPD makes the target absolute.
    assert (root / "l").is_symlink()
    assert (root / "l").samefile(root / "f")
    assert (await sftp.readlink("l")).endswith("f")
    await sftp.link("f", "h")
    assert (root / "h").samefile(root / "f")
    with pytest.raises(SFTPError):
        await sftp.rename("new", "f")
    await sftp.rename("new", "renamed")
    if sftp.session.client.offers("posix-rename@openssh.com"):
        await sftp.replace("renamed", "f")
        assert (root / "f").read_bytes() == b""
    assert (await sftp.realpath("d/../f")).endswith("/f")
    with pytest.raises(FileNotFoundError):
        await sftp.stat("missing")
    with pytest.raises(SFTPError):
        await sftp.rmdir("..")
    await sftp.rmdir("d")
    await sftp.remove("f")


@pytest.mark.parametrize("version", VERSIONS)
async def test_client_and_nacres_program(
    version: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command = [sys.executable, "-m", "nacre", "sftp-server", "-e"]
    async with await start_server(command, version=version) as sftp:
        await exercise(sftp, version, tmp_path)


# Its version 3 takes the link first, which nothing but its extension tells.
@pytest.mark.parametrize("version", [4, 5, 6])
async def test_client_and_the_green_end_server(
    version: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with await start_server([require(GREEN_END)], version=version) as sftp:
        await exercise(sftp, version, tmp_path, parts=False)


@asynccontextmanager
async def asyncssh_server(key: Path, host_key: Path, version: int) -> AsyncIterator[int]:
    """Serve the current directory."""
    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        config=None,
        server_host_keys=[str(host_key)],
        authorized_client_keys=str(key.with_suffix(".pub")),
        sftp_factory=True,
        sftp_version=version,
    )
    async with server:
        yield server.get_port()


def login(port: int, user: str, key: Path) -> Any:
    return nacre.connect(
        "127.0.0.1", port, user=user, keys=[key], agent=False, trust=nacre.AnyHostKey()
    )


@pytest.mark.parametrize(
    ("asked", "spoken"), [*((version, version) for version in VERSIONS), (6, 3), (6, 4), (4, 6)]
)
async def test_client_and_asyncssh_agree_on_the_lower_version(
    asked: int,
    spoken: int,
    keys: dict[str, Path],
    host_keys: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    key = keys["ed25519"]
    async with (
        asyncssh_server(key, host_keys["ed25519"], spoken) as port,
        login(port, "any", key) as ssh,
        await ssh.sftp(version=asked) as sftp,
    ):
        await exercise(sftp, min(asked, spoken), tmp_path)


@pytest.mark.parametrize("version", VERSIONS)
async def test_client_and_proftpd(
    version: int, keys: dict[str, Path], host_keys: dict[str, Path], tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with start_proftpd(tmp_path, home, host_keys["rsa"], keys["rsa"]) as daemon:
        await until_it_listens(daemon.port)
        async with (
            login(daemon.port, USER, keys["rsa"]) as ssh,
            await ssh.sftp(version=version) as sftp,
        ):
            await exercise(sftp, version, home, parts=False, owner=USER)


# --- nacre's server ---


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A private key in the format that all these clients can read."""
    path = tmp_path_factory.mktemp("pem") / "key"
    check([require("ssh-keygen"), "-q", "-m", "PEM", "-t", "ecdsa", "-N", "", "-f", path])
    return path


@pytest.fixture
def server(home: Path, pem: Path, tmp_path: Path) -> Iterator[Daemon]:
    state = State(tmp_path / "state")
    state.add_user("files", keys=[pem.with_suffix(".pub")], home=home)
    with start_nacre(state) as daemon:
        yield daemon


@pytest.mark.parametrize("version", VERSIONS)
async def test_asyncssh_and_the_server(version: int, server: Daemon, home: Path, pem: Path) -> None:
    async with (
        asyncssh.connect(
            "127.0.0.1",
            server.port,
            username="files",
            client_keys=[str(pem)],
            known_hosts=None,
            config=None,
        ) as ssh,
        ssh.start_sftp_client(sftp_version=version) as sftp,
    ):
        assert sftp.version == version
        await asyncssh_exercise(sftp, version, home)


async def asyncssh_exercise(sftp: asyncssh.SFTPClient, version: int, home: Path) -> None:
    async with sftp.open("f", "wb") as file:
        await file.write(b"one\n")
    async with sftp.open("f", "ab") as file:
        await file.write(b"two\n")
    async with sftp.open("f", "rb") as file:
        assert await file.read() == (home / "f").read_bytes() == b"one\ntwo\n"
    with pytest.raises(asyncssh.SFTPError) as caught:
        await sftp.open("f", "xb")
    if version > 3:
        assert isinstance(caught.value, asyncssh.SFTPFileAlreadyExists)
    await sftp.utime("f", ns=(1_000_500_000_000, 2_000_250_000_000))
    await sftp.chmod("f", 0o640)
    status, found = (home / "f").stat(), await sftp.stat("f")
    assert (found.size, found.type) == (8, asyncssh.FILEXFER_TYPE_REGULAR)
    assert (found.permissions or 0) & 0o777 == 0o640
    assert (found.atime, found.mtime) == (1000, 2000)
    if version > 3:
        assert (status.st_atime, status.st_mtime) == (1000.5, 2000.25)
        assert found.mtime_ns == 250_000_000
        assert found.owner == ME
        await sftp.chown("f", owner=found.owner or "", group=found.group or "")
    if version > 5:
        assert (found.nlink, found.ctime) == (1, int(status.st_ctime))
    await sftp.truncate("f", 3)
    await sftp.mkdir("d")
    await sftp.symlink("f", "l")
    assert (os.readlink(home / "l"), await sftp.readlink("l")) == ("f", "f")
    await sftp.link("f", "h")
    assert (home / "h").samefile(home / "f")
    with pytest.raises(asyncssh.SFTPError):
        await sftp.rename("h", "f")
    await sftp.posix_rename("h", "g")
    if version > 4:
        await sftp.rename("g", "f", flags=asyncssh.FXR_OVERWRITE)
    assert sorted(await sftp.listdir("d")) == [".", ".."]
    checked: Any = await sftp.realpath("l", check=asyncssh.FXRP_STAT_ALWAYS)
    assert checked.filename == str(home / "f")
    if version > 5:
        assert checked.attrs.size == 3
        with pytest.raises(asyncssh.SFTPNotADirectory):
            await sftp.listdir("f")
    with pytest.raises(asyncssh.SFTPNoSuchFile):
        await sftp.stat("missing")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("program", "script"),
    [("ruby", "net_sftp_versions.rb"), ("php", "phpseclib_versions.php")],
    ids=["net-sftp", "phpseclib"],
)
async def test_other_clients_and_the_server(
    program: str, script: str, version: int, server: Daemon, home: Path, pem: Path
) -> None:
    words = [FOREIGN / script, str(server.port), "files", pem, str(version), ME]
    await asyncio.to_thread(check, [require(program), *words], timeout=60)
    assert "g" in os.listdir(home / "d")
