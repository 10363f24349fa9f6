"""nacre's programs and library talk SSH-1 to ``nacre serve --protocol 2,1``."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import nacre
from interop.clients import PASSWORD, askpass
from interop.daemons import State, start_nacre
from interop.programs import check, run
from interop.ssh1_peers import BLOCK, SSH1, contents, echo, home, tree
from interop.terminal import Terminal
from nacre import blocking

ANY = "any@127.0.0.1"


def logged(ssh1: SSH1, since: int, method: str) -> None:
    ssh1.server.wait_for(f"method={method} .*outcome=success", since=since)


# --- the programs ---


def test_a_key_streams_and_status(ssh1: SSH1) -> None:
    command = [*ssh1.nacre("ssh"), ANY, "cat; echo wrong >&2; exit 7"]
    done = run(command, input=b"in\n")
    assert (done.stdout, done.returncode) == (b"in\n", 7)
    assert b"SSH-1 is weak" in done.stderr
    assert done.stderr.endswith(b"wrong\n")


@pytest.mark.parametrize("method", ["password", "keyboard-interactive"])
@pytest.mark.parametrize(("answer", "status"), [(PASSWORD, 3), ("wrong", 255)])
def test_a_password(ssh1: SSH1, tmp_path: Path, method: str, answer: str, status: int) -> None:
    since = len(ssh1.server.log)
    options = ["-o", f"PreferredAuthentications={method}", "-o", "NumberOfPasswordPrompts=1"]
    command = [*ssh1.nacre("ssh", *options, key=False), ANY, "exit 3"]
    done = run(command, **askpass(tmp_path, answer))
    assert done.returncode == status, done.stderr.decode()
    if status == 3:
        logged(ssh1, since, method)


@pytest.mark.parametrize("options", [[], ["-C"]], ids=["", "compressed"])
@pytest.mark.parametrize("cipher", ["3des", "blowfish", "des"])
def test_a_megabyte_comes_back(ssh1: SSH1, cipher: str, options: list[str]) -> None:
    since = len(ssh1.server.log)
    echo([*ssh1.nacre("ssh", "-o", f"Cipher={cipher}", *options), ANY, "cat"], 1 << 20)
    ssh1.server.wait_for(f"cipher_in={cipher} cipher_out={cipher}", since=since)


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("options", [[], ["-C", "-o", "Cipher=blowfish"]], ids=["", "compressed"])
def test_sixteen_mebibytes_come_back(ssh1: SSH1, options: list[str]) -> None:
    echo([*ssh1.nacre("ssh", *options), ANY, "cat"], 16 << 20)


def test_a_shell_at_a_terminal_with_resize(ssh1: SSH1) -> None:
    with Terminal([*ssh1.nacre("ssh"), ANY], rows=24, columns=80) as terminal:
        terminal.expect_size(24, 80)
        terminal.resize(33, 101)
        terminal.expect_size(33, 101)
        terminal.type("echo a''b; exit 5\n")
        terminal.expect("ab")
        assert terminal.wait() == 5


@pytest.mark.parametrize("options", [[], ["-O"]], ids=["sftp", "scp"])
def test_scp_copies_a_tree_both_ways(ssh1: SSH1, tmp_path: Path, options: list[str]) -> None:
    top = tree(tmp_path)
    (there, up), back = home(ssh1, tmp_path), tmp_path / "back"
    scp = ssh1.nacre("scp", "-r", *options)
    check([*scp, top, f"{ANY}:{up}"])
    assert contents(there / up) == contents(top)
    check([*scp, f"{ANY}:{up}", back])
    assert contents(back) == contents(top)


def test_sftp_copies_a_tree_both_ways(ssh1: SSH1, tmp_path: Path) -> None:
    top = tree(tmp_path)
    (there, up), back = home(ssh1, tmp_path), tmp_path / "back"
    (tmp_path / "script").write_text(f"put -r {top} {up}\nget -r {up} {back}\n")
    check([*ssh1.nacre("sftp", "-b", str(tmp_path / "script")), ANY])
    assert contents(there / up) == contents(top)
    assert contents(back) == contents(top)


@pytest.mark.parametrize("options", [[], ["-O"]], ids=["sftp", "scp"])
def test_who_has_files_alone(ssh1: SSH1, tmp_path: Path, options: list[str]) -> None:
    """A root that can't be left; and no commands."""
    top, back = tree(tmp_path), tmp_path / "back"
    up = f"/up-{tmp_path.name}"
    scp = ssh1.nacre("scp", "-r", *options)
    check([*scp, top, f"files@127.0.0.1:{up}"])
    assert contents(ssh1.directory / f"home-files{up}") == contents(top)
    check([*scp, f"files@127.0.0.1:{up}", back])
    assert contents(back) == contents(top)
    outside = [*scp, f"files@127.0.0.1:../{ssh1.key.name}", tmp_path / "stolen"]
    assert run(outside).returncode != 0
    assert not (tmp_path / "stolen").exists()
    done = run([*ssh1.nacre("ssh"), "files@127.0.0.1", "echo here"])
    assert (done.stdout, done.returncode) != (b"here\n", 0)


def test_the_host_key_is_noted_and_compared(ssh1: SSH1, tmp_path: Path) -> None:
    """In lines that OpenSSH's client of SSH-1 reads, too."""
    known = tmp_path / "known"
    where = ["-o", f"UserKnownHostsFile={known}"]
    # The first of a word's values counts: these stand before those of all.
    ours = [*ssh1.nacre("ssh"), ANY]
    ours[2:2] = ["-o", "StrictHostKeyChecking=accept-new", *where]
    assert run([*ours, "exit 3"]).returncode == 3
    name, bits, *_ = known.read_text().split()
    assert (name, bits) == (f"[127.0.0.1]:{ssh1.server.port}", "2048")
    theirs = ssh1.ssh1()
    theirs[1:1] = ["-o", "StrictHostKeyChecking=yes", *where]
    assert run([*theirs, "exit 4"], **ssh1.environment).returncode == 4
    # Another key under the name: nobody is let in, and no password leaves.
    other = nacre.generate("rsa1", bits=1024).public
    known.write_text(f"{name} {other}\n")
    done = run([*ours, "exit 3"])
    assert done.returncode == 255
    assert b"REMOTE HOST IDENTIFICATION HAS CHANGED" in done.stderr


def test_a_server_of_ssh1_alone_needs_the_option(ssh1: SSH1) -> None:
    with start_nacre(State(ssh1.directory / "state"), "--protocol", "1") as server:
        command = replace(ssh1, server=server).nacre("ssh", "-v")
        command[command.index("-1")] = "-oStrictHostKeyChecking=no"
        done = run([*command, ANY, "exit 3"])
        assert done.returncode == 255
        assert b"give -o Protocol=2,1" in done.stderr
        assert b"SSH-1.5-nacre" in done.stderr
        for protocol in ("2,1", "1"):
            allowed = [*command, "-o", f"Protocol={protocol}", ANY, "exit 3"]
            done = run(allowed)
            assert done.returncode == 3
            assert b"SSH-1 is weak" in done.stderr


def test_keys_can_not_be_exchanged_anew(ssh1: SSH1) -> None:
    with Terminal([*ssh1.nacre("ssh"), ANY]) as terminal:
        terminal.type("echo read''y\n")
        terminal.expect("ready")
        terminal.type("\n~R")
        terminal.expect("can't exchange keys anew")
        terminal.type("exit 5\n")
        assert terminal.wait() == 5


def test_the_phases_in_trace(ssh1: SSH1) -> None:
    shown = check([*ssh1.nacre("trace"), ANY, "exit 0"]).decode()
    steps = (
        "version negotiation",
        "SSH-1.99-",
        "key and algorithm negotiation",
        "SSH_SMSG_PUBLIC_KEY",
        "SSH_CMSG_SESSION_KEY",
        "authentication",
        "SSH_CMSG_USER",
        "SSH_SMSG_AUTH_RSA_CHALLENGE",
        "session request",
        "SSH_CMSG_EXEC_CMD",
        "interactive session",
        "SSH_SMSG_EXITSTATUS",
        "exit status: 0",
    )
    at = 0
    for step in steps:
        assert step in shown[at:], (step, shown)
        at = shown.index(step, at)


# --- the library ---


def options(ssh1: SSH1) -> dict[str, Any]:
    return {
        "port": ssh1.server.port,
        "user": "any",
        "trust": nacre.KnownHostsFile([ssh1.directory / "known_hosts"], strict="yes"),
        "protocols": (1,),
    }


@pytest.mark.parametrize("method", ["password", "keyboard-interactive"])
async def test_the_library_logs_in_by(ssh1: SSH1, method: str) -> None:
    since = len(ssh1.server.log)

    async def prompt(text: str, echo: bool) -> str:
        return PASSWORD

    asking = nacre.Identities("any", "127.0.0.1", agent=None, prompt=prompt, methods=[method])
    async with nacre.connect("127.0.0.1", credentials=asking, **options(ssh1)) as connection:
        assert connection.methods == (method,)
    logged(ssh1, since, method)


async def test_the_librarys_status(ssh1: SSH1) -> None:
    async with nacre.connect("127.0.0.1", keys=[ssh1.key], **options(ssh1)) as connection:
        assert connection.methods == ("publickey",)
        done = await connection.run("cat; echo wrong >&2; exit 5", input="in")
    assert (done.stdout, done.stderr, done.exit_status) == ("in", "wrong\n", 5)


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_sixteen_mebibytes_through_the_library(ssh1: SSH1) -> None:
    data, received = BLOCK * 16, hashlib.sha256()
    async with (
        nacre.connect(
            "127.0.0.1", keys=[ssh1.key], ssh1_ciphers=["blowfish"], **options(ssh1)
        ) as connection,
        connection.process("cat") as process,
    ):

        async def read() -> None:
            while part := await process.stdout.read(1 << 20):
                received.update(part)

        reading = asyncio.create_task(read())
        await process.stdin.write(data)
        process.stdin.write_eof()
        await reading
        assert await process.wait() == 0
    assert received.digest() == hashlib.sha256(data).digest()


async def test_the_librarys_terminal(ssh1: SSH1) -> None:
    async with (
        nacre.connect("127.0.0.1", keys=[ssh1.key], **options(ssh1)) as connection,
        connection.process("stty size; read line; stty size", term="xterm", size=(80, 24)) as one,
    ):
        assert await one.stdout.readline() == b"24 80\r\n"
        one.resize(101, 33)
        await one.stdin.write(b"\n")
        shown = await one.stdout.read()
        assert shown.endswith(b"33 101\r\n")


async def test_the_librarys_files(ssh1: SSH1, tmp_path: Path) -> None:
    top = tree(tmp_path)
    (there, up), back = home(ssh1, tmp_path), tmp_path / "back"
    async with (
        nacre.connect("127.0.0.1", keys=[ssh1.key], **options(ssh1)) as connection,
        connection.sftp() as sftp,
    ):
        await sftp.put(top, up, recursive=True)
        assert contents(there / up) == contents(top)
        await sftp.get(up, back, recursive=True)
    assert contents(back) == contents(top)


def test_the_library_without_await(ssh1: SSH1, tmp_path: Path) -> None:
    top = tree(tmp_path)
    (there, up), back = home(ssh1, tmp_path), tmp_path / "back"
    with blocking.connect("127.0.0.1", password=PASSWORD, **options(ssh1)) as connection:
        done = connection.run("cat; exit 5", input="in")
        assert (done.stdout, done.exit_status) == ("in", 5)
    with (
        blocking.connect("127.0.0.1", keys=[ssh1.key], **options(ssh1)) as connection,
        connection.sftp() as sftp,
    ):
        sftp.put(top, up, recursive=True)
        sftp.get(up, back, recursive=True)
    assert contents(there / up) == contents(top) == contents(back)
