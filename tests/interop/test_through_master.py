"""nacre's programs through the connection of a master: OpenSSH's."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import nacre
import nacre.blocking
from interop.clients import ME
from interop.daemons import Daemon, start_sshd
from interop.masters import Master, master_of
from interop.programs import environment, run
from interop.terminal import Terminal


@pytest.fixture(scope="module")
def server(
    host_keys: dict[str, Path], authorized_keys: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Daemon]:
    # Debian's bash reads ~/.bashrc in the outermost shell of a connection.
    options = ("SetEnv SHLVL=1",)
    keys = [host_keys["ed25519"]]
    with start_sshd(tmp_path_factory.mktemp("server"), keys, authorized_keys, *options) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def master(server: Daemon, keys: dict[str, Path]) -> Iterator[Master]:
    with master_of("ssh", server, ME, keys["ed25519"]) as made:
        yield made


def both(master: Master, *words: str, host: str = "server", **options):
    """Run OpenSSH's program and nacre's; return status, output and messages of each."""
    done = [run(master.words(one, *words, host=host), **options) for one in ("ssh", "nacre")]
    return [(one.returncode, one.stdout, one.stderr) for one in done]


SAME = [
    ("--", "echo out; echo err >&2; exit 7"),
    ("--", "cat"),
    ("-n", "--", "cat"),
    ("--", "kill -9 $$"),
    ("-oSetEnv=NACRE_A=1", "-oSendEnv=NACRE_B*", "--", 'echo "$NACRE_A $NACRE_BB"'),
    ("-s", "--", "no-such-subsystem"),
    ("-T",),
    ("-O", "check"),
    ("-O", "cancel", "-L", "1:a:2"),
    ("-O", "forward"),
    ("-W", "127.0.0.1:1"),
]


@pytest.mark.parametrize("words", SAME, ids=" ".join)
def test_status_output_and_messages_are_those_of_ssh(master, words):
    theirs, ours = both(master, *words, input=b"echo typed; exit 3\n", NACRE_BB="2")
    assert ours[:2] == theirs[:2]
    # ssh(1) names the functions that report an error.
    assert ours[2].split()[-5:] == theirs[2].split()[-5:]


def test_nothing_is_logged_in_to(master):
    """The host "told" has no port and no key: only the master's connection can lead there."""
    assert both(master, "--", "echo hi", host="told") == [(0, b"hi\n", b"")] * 2


def test_nothing_else_of_nacre_is_loaded(master):
    program = """\
import os, sys
def ended(status):
    print(*(name for name in sys.modules if name.startswith(("nacre", "asyncio", "crypto"))))
    sys.exit(status)
os._exit = ended
from nacre.cli.entry import ssh
ssh()
"""
    words = master.words("nacre", "--", "exit 5")[2:]
    done = run([sys.executable, "-c", program, *words])
    assert done.returncode == 5
    names = ["nacre", "nacre.cli", "nacre.cli.entry", "nacre.cli.shared"]
    names += ["nacre.cli.shared.reading", "nacre.cli.shared.session"]
    assert sorted(done.stdout.decode().split()) == names


def test_much_data_both_ways(master):
    data = os.urandom(1 << 20) * 8
    done = run(master.words("nacre", "--", "cat"), input=data)
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(data).digest()


def test_fifty_sessions_at_once(master):
    started = [
        subprocess.Popen(
            master.words("nacre", "--", f"read line; echo $line {n}; exit {n}"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(),
        )
        for n in range(50)
    ]
    # Each waits for its line: all are open before the first one ends.
    done = [process.communicate(b"line\n", timeout=60)[0] for process in started]
    assert done == [b"line %d\n" % n for n in range(50)]
    assert [process.returncode for process in started] == list(range(50))


@pytest.mark.usefixtures("terminal_from_sshd")
def test_a_terminal(master):
    words = master.words("nacre", "-t", "--", "sh", host="told")
    with Terminal(words, rows=20, columns=70) as shell:
        shell.expect(r"[$#] ")
        shell.expect_raw()
        shell.expect_size(20, 70)
        shell.resize(30, 90)
        os.kill(shell.process.pid, signal.SIGWINCH)
        shell.expect_size(30, 90)
        # The child ends by the signal whenever it comes; a shell would only note it.
        shell.type("trap 'echo cau''ght; exit 9' INT; sh -c \"echo rea''dy; exec sleep 60\"\n")
        shell.expect("ready")
        shell.type("\x03")
        shell.expect("caught")
        shell.expect(r"Shared connection to 127\.0\.0\.1 closed\.\r+\n")
        assert shell.wait() == 9


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_session(master, number):
    with subprocess.Popen(
        master.words("nacre", "--", "echo begun; exec sleep 60"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env=environment(),
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        process.send_signal(number)
        assert process.wait(20) == 255


def test_in_the_background(master):
    """``-f`` ends once the session is open; what it left ends with the command."""
    with subprocess.Popen(
        master.words("nacre", "-f", "--", "read line; echo late"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env=environment(),
    ) as process:
        assert process.wait(20) == 0
        assert process.stdout is not None
        assert process.stdout.read() == b"late\n"


def test_join(master, server):
    done = run(master.words("nacre", "-W", f"127.0.0.1:{server.port}"))
    assert done.stdout.startswith(b"SSH-2.0-OpenSSH")


def test_forwardings(master, server):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    local = f"127.0.0.1:{port}:127.0.0.1:{server.port}"
    path = master.path.parent / "s"
    for words in (["-L", local], ["-L", f"{path}:127.0.0.1:{server.port}"]):
        assert run(master.words("nacre", "-O", "forward", *words)).returncode == 0
    with socket.create_connection(("127.0.0.1", port), 20) as sock:
        assert sock.recv(4) == b"SSH-"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(20)
        sock.connect(str(path))
        assert sock.recv(4) == b"SSH-"
    done = run(master.words("nacre", "-O", "forward", "-R", f"0:127.0.0.1:{server.port}"))
    with socket.create_connection(("127.0.0.1", int(done.stdout)), 20) as sock:
        assert sock.recv(4) == b"SSH-"
    # A session begins its forwardings too; one that is there is no error.
    assert run(master.words("nacre", "-L", local, "--", "true")).returncode == 0
    assert run(master.words("nacre", "-O", "cancel", "-L", local)).returncode == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 20)


def test_information_that_this_master_does_not_have(master):
    for name in ("conninfo", "channels"):
        done = run(master.words("nacre", "-O", name))
        assert done.returncode in (0, 255)  # OpenSSH 10.0 has neither
        assert done.returncode == 0 or b"unsupported request" in done.stderr


NO_MASTER = {
    "none": ("-O", "check", "-S", "none"),
    "missing": ("-O", "exit", "-S", "/nonexistent/m"),
    "unknown": ("-O", "dance"),
    "joined": ("-W", "a:1", "-O", "check"),
}


@pytest.mark.parametrize("words", NO_MASTER.values(), ids=NO_MASTER)
def test_commands_without_a_master(master, words):
    theirs, ours = both(master, *words)
    assert (ours[0], theirs[0]) == (255, 255)
    said = theirs[2].decode().strip().rstrip(".")
    assert said in ours[2].decode()


@pytest.mark.parametrize("sharing", ["no", "auto"])
def test_a_socket_without_a_master_leads_to_a_connection_of_its_own(master, sharing):
    path = master.path.parent / f"stale-{sharing}"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    options = (f"-oControlPath={path}", f"-oControlMaster={sharing}", "-oControlPersist=no")
    done = run(master.words("nacre", *options, "--", "echo own"))
    assert (done.returncode, done.stdout) == (0, b"own\n"), done.stderr.decode()


def test_a_master_that_ends_the_session_ends_the_program(server, keys):
    with master_of("ssh", server, ME, keys["ed25519"]) as own:
        with subprocess.Popen(
            own.words("nacre", "--", "echo begun; exec sleep 60"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env=environment(),
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"begun\n"
            # "exit" ends the connection, and "stop" the master's socket alone.
            assert (
                run(own.words("nacre", "-O", "stop")).stderr == b"Stop listening request sent.\r\n"
            )
            assert not own.path.exists()
            assert process.poll() is None
            process.terminate()
        assert run(own.words("nacre", "-O", "exit")).returncode == 255


def test_a_program_on_the_connection_itself(master):
    """``-O proxy`` speaks SSH's own messages to the master."""
    theirs, ours = both(master, "-O", "proxy", "--", "cat; echo err >&2; exit 4", input=b"in")
    assert ours == theirs == (4, b"in", b"err\n")


async def test_the_library_on_the_connection_itself(master, server):
    data = os.urandom(1 << 20)
    async with nacre.connect("server", control="auto", config=master.config) as ssh:
        done = await asyncio.gather(*(ssh.run("cat", input=data, encoding=None) for _ in range(4)))
        assert [one.stdout for one in done] == [data] * 4
        assert (await ssh.run("exit 6")).exit_status == 6
        async with ssh.open_connection("127.0.0.1", server.port) as tunnel:
            assert await tunnel.reader.read(4) == b"SSH-"
        async with ssh.forward_local("127.0.0.1", server.port) as listener:
            reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
            assert await reader.read(4) == b"SSH-"
            writer.close()
    # The master's connection goes on.
    assert run(master.words("nacre", "--", "echo on")).stdout == b"on\n"


@pytest.fixture(params=["ssh", "nacre"])
def any_master(request, server: Daemon, keys: dict[str, Path]) -> Iterator[Master]:
    with master_of(request.param, server, ME, keys["ed25519"]) as made:
        yield made


async def until_refused(port: int) -> None:
    """Connect to a port until nobody listens on it."""
    async with asyncio.timeout(20):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                return
            except ConnectionResetError:
                continue  # it was in the queue when the port was closed
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


async def test_the_master_has_the_server_listen_for_the_library(any_master, server):
    how = {"control": any_master.path, "config": any_master.config}
    async with nacre.connect("server", **how) as ssh:
        listener = await ssh.forward_remote("127.0.0.1", server.port)
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        assert await reader.read(4) == b"SSH-"
        writer.close()
        with pytest.raises(nacre.RequestFailed, match="the master does not have the server listen"):
            await ssh.forward_remote("127.0.0.1", 1, listen_path="/nonexistent/s")
        await listener.close()
        # OpenSSH's master says that it is done before the server is.
        await until_refused(listener.port)
        left = await ssh.forward_remote("127.0.0.1", server.port)
    # What is left ends with the connection, and the master goes on.
    await until_refused(left.port)
    assert run(any_master.words("ssh", "-O", "check")).returncode == 0


def test_the_library_without_await(master):
    with nacre.blocking.connect("server", control=master.path, config=master.config) as ssh:
        assert ssh.run("echo hi").stdout == "hi\n"
