"""nacre's client logs in to servers that others wrote, and exchanges keys anew after each MiB."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import nacre
from interop.clients import Account
from interop.daemons import Daemon, on_free_port, until_it_listens
from interop.payload import Payload
from interop.peers import FOREIGN, INSTALLED, LSH, PROFTPD, PROGRAMS, TINYSSHD, Peer, Server
from interop.proftpd import USER, start_proftpd
from interop.programs import check, require
from interop.trees import summary
from nacre.limits import Limits

pytestmark = [pytest.mark.slow, pytest.mark.untraced, pytest.mark.timeout(150)]

MEBIBYTE = 1 << 20

Record = Callable[[str, object], None]


@dataclass(frozen=True)
class Place:
    """Where to log in, and the directory that a session there starts in.

    :ivar keepalive: seconds of silence after which nacre asks whether the server is there.
    """

    server: Daemon
    directory: Path
    user: str
    key: Path
    profile: Any = "default"
    keepalive: float | None = None

    def connect(self) -> Any:
        how: dict[str, Any] = {"agent": False, "trust": nacre.AnyHostKey()}
        how |= {"keys": [self.key], "user": self.user, "profile": self.profile}
        how["keepalive"] = self.keepalive
        limits = Limits(rekey_bytes=MEBIBYTE)
        return nacre.connect("127.0.0.1", self.server.port, limits=limits, **how)


async def _run(ssh: nacre.Connection, both: bool) -> None:
    if both:
        done = await ssh.run("echo out; echo err >&2; exit 7")
        assert (done.stdout, done.stderr, done.exit_status) == ("out\n", "err\n", 7)
    else:
        assert (await ssh.run("echo out")).stdout == "out\n"


async def _copy(
    ssh: nacre.Connection, there: Path, sent: Path, back: Path, target: str = "large"
) -> None:
    async with ssh.sftp() as sftp:
        await sftp.put(sent, "there", recursive=True)
        await sftp.get("there", back, recursive=True)
        await sftp.symlink(target, "there/link")
        assert os.path.basename(await sftp.readlink("there/link")) == "large"
    assert os.path.realpath(there / "link") == os.path.realpath(there / "large")
    (there / "link").unlink()
    expected = summary(sent, modes=False, times=False)
    assert summary(there, modes=False, times=False) == expected
    assert summary(back, modes=False, times=False) == expected


async def _meet(peer: Peer, place: Place, sent: Path, tmp_path: Path, runs: bool = True) -> None:
    if runs:
        async with place.connect() as ssh:
            await _run(ssh, getattr(peer, "both", True))
    async with place.connect() as ssh:
        target = getattr(peer, "target", "large")
        await _copy(ssh, place.directory / "there", sent, tmp_path / "back", target)


# --- libraries, as servers of this account ---


def _erlang_words(directory: Path, host_key: Path, public: Path) -> list[Path]:
    """Return the words of Erlang's server: directories with files of certain names."""
    system, user = directory / "system", directory / "user"
    system.mkdir()
    user.mkdir()
    shutil.copy(host_key, system / "ssh_host_ecdsa_key")
    shutil.copy(public, user / "authorized_keys")
    return [system, user]


@pytest.fixture
def place(
    peer: Server, host_keys: dict[str, Path], keys: dict[str, Path], tmp_path: Path
) -> Iterator[Place]:
    directory = tmp_path / "served"
    directory.mkdir()
    words = [host_keys["ecdsa256"], keys["ed25519"].with_suffix(".pub")]
    if peer.command[0] == "escript":
        words = _erlang_words(tmp_path, *words)
    program, *more = peer.command
    more_environment = {"NODE_PATH": str(INSTALLED / "node_modules"), "HOME": str(tmp_path)}
    command = [require(str(program)), *more, *words]
    with Daemon(
        peer.name, command, directory=directory, more_environment=more_environment
    ) as daemon:
        daemon.port = int(daemon.wait_for(r"^listening on (\d+)$")[1])
        yield Place(daemon, directory, "u", keys["ed25519"])


@pytest.mark.parametrize("peer", PROGRAMS, ids=lambda peer: peer.name)
async def test_library(
    peer: Server, request: pytest.FixtureRequest, payload: Payload, tmp_path: Path
) -> None:
    peer.record("server", request.getfixturevalue("record_property"))
    place = request.getfixturevalue("place")
    await _meet(peer, place, payload(peer.mebibytes), tmp_path)


# --- daemons ---


async def test_proftpd(
    host_keys: dict[str, Path],
    keys: dict[str, Path],
    payload: Payload,
    tmp_path: Path,
    record_property: Record,
) -> None:
    PROFTPD.record("server", record_property)
    home = tmp_path / "home"
    home.mkdir()
    with start_proftpd(tmp_path, home, host_keys["rsa"], keys["rsa"]) as daemon:
        await until_it_listens(daemon.port)
        place = Place(daemon, home, USER, keys["rsa"])
        await _meet(PROFTPD, place, payload(PROFTPD.mebibytes), tmp_path, runs=False)


async def test_tinysshd(
    system_account: Account,
    keys: dict[str, Path],
    payload: Payload,
    tmp_path: Path,
    record_property: Record,
) -> None:
    """It reads keys in home directories alone.

    After an exchange of keys it does not look at requests that came with NEWKEYS until more comes,
    or a minute has passed: so the client asks for a sign of life.
    """
    TINYSSHD.record("server", record_property)
    host_keys = tmp_path / "host_keys"
    check([require("tinysshd-makekey"), host_keys])
    inetd: list[str | Path] = [sys.executable, FOREIGN / "inetd.py"]
    files = "sftp=/usr/lib/openssh/sftp-server"
    command = [*inetd, require("tinysshd"), "-v", "-x", files, host_keys]
    with Daemon("tinysshd", command) as daemon:
        daemon.port = int(daemon.wait_for(r"^listening on (\d+)$")[1])
        user = system_account.name
        place = Place(daemon, system_account.home, user, keys["ed25519"], keepalive=1)
        await _meet(TINYSSHD, place, payload(TINYSSHD.mebibytes), tmp_path)
    shutil.rmtree(system_account.home / "there")


async def test_lsh(
    system_account: Account,
    keys: dict[str, Path],
    payload: Payload,
    tmp_path: Path,
    record_property: Record,
) -> None:
    """It knows SHA-1 only: the legacy profile meets it."""
    LSH.record("server", record_property)
    host_key = tmp_path / "host_key"
    seed = {"HOME": str(tmp_path)}
    check([require("lsh-make-seed"), "--sloppy", "-o", tmp_path / "seed"], **seed)
    seed["LSH_YARROW_SEED_FILE"] = str(tmp_path / "seed")
    made = check([require("lsh-keygen"), "--server"], timeout=60, **seed)
    check([require("lsh-writekey"), "--server", "-o", host_key], input=made, **seed)
    home = {**seed, "HOME": str(system_account.home)}
    public = tmp_path / "public"
    openssh = keys["rsa"].with_suffix(".pub").read_bytes()
    public.write_bytes(check([require("ssh-conv")], input=openssh))
    check([require("lsh-authorize"), public], **home)
    check([require("chown"), "-R", f"{system_account.name}:", system_account.home / ".lsh"])

    def start(port: int) -> Daemon:
        # The interface takes the port that was named before it.
        where: list[str | Path] = [
            "--port",
            str(port),
            "--interface",
            "127.0.0.1",
            "--host-key",
            host_key,
        ]
        files = "sftp=/usr/lib/openssh/sftp-server"
        more = ["--no-syslog", "--trace", "--no-password", "--subsystems", files]
        return Daemon("lshd", [require("lshd"), *where, *more], more_environment=seed)

    with on_free_port(start, "bound socket") as daemon:
        await until_it_listens(daemon.port)
        name = system_account.name
        place = Place(daemon, system_account.home, name, keys["rsa"], "legacy")
        await _meet(LSH, place, payload(LSH.mebibytes), tmp_path)
    shutil.rmtree(system_account.home / "there")
