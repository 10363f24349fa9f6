"""Shared connections whose master is nacre: OpenSSH's programs as its clients, and nacre's."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from interop.clients import ME
from interop.daemons import Daemon
from interop.masters import Master, master_of
from interop.programs import environment, require, run
from interop.terminal import Terminal

CLIENTS = ("ssh", "nacre")


@pytest.fixture(scope="module")
def master(sshd_with_sftp: Daemon, keys: dict[str, Path]) -> Iterator[Master]:
    with master_of("nacre", sshd_with_sftp, ME, keys["ed25519"]) as made:
        yield made


def pid_of(master: Master) -> int:
    found = re.search(rb"pid=(\d+)", run(master.words("ssh", "-O", "check")).stderr)
    assert found is not None
    return int(found[1])


def threads_and_descriptors(pid: int) -> tuple[int, int]:
    """Return how many of both a program has; its descriptors are shown to root alone."""
    descriptors = os.listdir(f"/proc/{pid}/fd") if os.geteuid() == 0 else []
    return len(os.listdir(f"/proc/{pid}/task")), len(descriptors)


def started(
    master: Master, program: str, *words: str, host: str = "server"
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        master.words(program, *words, host=host),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )


SAME = [
    ("--", "echo out; echo err >&2; exit 7"),
    ("--", "cat"),
    ("-n", "--", "cat"),
    ("--", "kill -9 $$"),
    ("-s", "--", "no-such-subsystem"),
    ("-T",),
    ("-O", "proxy", "--", "cat; echo err >&2; exit 3"),
    ("-W", "127.0.0.1:1"),
]


@pytest.fixture(scope="module")
def stock(sshd_with_sftp: Daemon, keys: dict[str, Path]) -> Iterator[Master]:
    with master_of("ssh", sshd_with_sftp, ME, keys["ed25519"]) as made:
        yield made


@pytest.mark.parametrize("words", SAME, ids=" ".join)
def test_ssh_sees_no_difference_between_the_masters(master, stock, words):
    done = [run(one.words("ssh", *words), input=b"echo typed; exit 3\n") for one in (stock, master)]
    theirs, ours = ((one.returncode, one.stdout) for one in done)
    assert ours == theirs, done[1].stderr.decode()


@pytest.mark.parametrize("of", ["ssh", "nacre"])
def test_a_client_gets_what_it_asks_for_and_the_master_has(sshd_with_sftp, keys, of, agent):
    """Variables pass that SendEnv of both names, and the agent serves clients that forward it."""
    ask = 'echo "$NACRE_A $NACRE_BB $NACRE_BC" ${SSH_AUTH_SOCK:+agent}'
    named = ("-oSetEnv=NACRE_A=1 NACRE_BC=3", "-oSendEnv=NACRE_B*")
    options = ("-A", "-oSendEnv=NACRE_B*", "-oSetEnv=NACRE_A=of-the-master")
    with master_of(of, sshd_with_sftp, ME, keys["ed25519"], *options, **agent) as made:
        # sshd(8) has one agent for all sessions of a connection, once one was granted it.
        for more, has in (("-a", b""), ("-A", b" agent")):
            for client in CLIENTS:
                done = run(made.words(client, *named, more, "--", ask), NACRE_BB="2", **agent)
                assert done.stdout == b"of-the-master 2 3" + has + b"\n", (client, done.stderr)


@pytest.fixture
def agent(tmp_path):
    """The path of an agent that does not answer."""
    path = str(tmp_path / "agent")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(path)
        yield {"SSH_AUTH_SOCK": path}


def test_nothing_is_logged_in_to(master):
    """The host "told" has no port and no key: only the master's connection can lead there."""
    for program in CLIENTS:
        done = run(master.words(program, "--", "echo hi", host="told"))
        assert (done.returncode, done.stdout) == (0, b"hi\n"), done.stderr.decode()


@pytest.mark.parametrize("words", [(), ("-O", "proxy")], ids=["session", "proxy"])
def test_much_data_both_ways(master, words):
    data = os.urandom(1 << 20) * 8
    done = run(master.words("ssh", *words, "--", "cat"), input=data)
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(data).digest()


def test_fifty_sessions_at_once_and_a_slow_one(master):
    pid = pid_of(master)
    before = threads_and_descriptors(pid)
    # Nobody reads what the slow one prints: it fills its pipe, and the window behind it.
    slow = started(master, "ssh", "--", "head -c 8000000 /dev/zero")
    sessions = [
        started(master, CLIENTS[n % 2], "--", f"read line; echo $line {n}; exit {n}", host="told")
        for n in range(50)
    ]
    # Each waits for its line: all are open before the first one ends.
    done = [process.communicate(b"line\n", timeout=60)[0] for process in sessions]
    assert done == [b"line %d\n" % n for n in range(50)]
    assert [process.returncode for process in sessions] == list(range(50))
    assert len(slow.communicate(timeout=20)[0]) == 8000000
    deadline = time.monotonic() + 30
    while threads_and_descriptors(pid) > before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert threads_and_descriptors(pid) <= before


@pytest.mark.usefixtures("terminal_from_sshd")
@pytest.mark.parametrize("program", CLIENTS)
def test_a_terminal(master, program):
    words = master.words(program, "-t", "--", "sh", host="told")
    with Terminal(words, rows=20, columns=70) as shell:
        shell.expect(r"[$#] ")
        shell.expect_size(20, 70)
        shell.resize(30, 90)
        os.kill(shell.process.pid, signal.SIGWINCH)
        shell.expect_size(30, 90)
        # The child ends by the signal whenever it comes; a shell would only note it.
        shell.type("trap 'echo caught' INT; sh -c \"echo rea''dy; exec sleep 60\"\n")
        shell.expect("ready")
        shell.type("\x03")
        shell.expect("caught")
        shell.type("\n~?")
        shell.expect("Supported escape sequences:")
        shell.type("exit 9\n")
        shell.expect(r"Shared connection to 127\.0\.0\.1 closed\.\r")
        assert shell.wait() == 9
    with Terminal(words) as shell:
        shell.expect(r"[$#] ")
        shell.type("\n~.")
        assert shell.wait() == 255
    assert run(master.words("ssh", "-O", "check")).returncode == 0


@pytest.mark.usefixtures("terminal_from_sshd")
def test_a_client_that_is_killed_ends_its_session(master, tmp_path):
    process = started(master, "ssh", "-tt", "--", f"echo $$ > {tmp_path}/pid; echo begun; sleep 60")
    assert process.stdout is not None
    assert process.stdout.readline().strip() == b"begun"
    shell = int((tmp_path / "pid").read_text())
    process.kill()
    process.communicate(timeout=20)
    deadline = time.monotonic() + 20
    while os.path.exists(f"/proc/{shell}") and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not os.path.exists(f"/proc/{shell}")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("program", CLIENTS)
def test_forwardings(master, sshd_with_sftp, program):
    port = free_port()
    local = f"127.0.0.1:{port}:127.0.0.1:{sshd_with_sftp.port}"
    for words in (["-L", local], ["-D", f"127.0.0.1:{port}"]):
        for _ in range(2):  # one that is there is no error
            done = run(master.words(program, "-O", "forward", *words))
            assert done.returncode == 0, done.stderr.decode()
        with socket.create_connection(("127.0.0.1", port), 20) as sock:
            if words[0] == "-D":
                sock.sendall(b"\x05\x01\x00")
                assert sock.recv(2) == b"\x05\x00"
            else:
                assert sock.recv(4) == b"SSH-"
        assert run(master.words(program, "-O", "cancel", *words)).returncode == 0
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), 20)
    remote = f"0:127.0.0.1:{sshd_with_sftp.port}"
    done = run(master.words(program, "-O", "forward", "-R", remote))
    chosen = int(done.stdout)
    with socket.create_connection(("127.0.0.1", chosen), 20) as sock:
        assert sock.recv(4) == b"SSH-"
    assert run(master.words(program, "-O", "cancel", "-R", remote)).returncode == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", chosen), 20)
    done = run(master.words(program, "-O", "forward", "-L", "127.0.0.1:1:[192.0.2.1]:1", "-v"))
    if os.geteuid():
        assert done.returncode == 255
    done = run(master.words(program, "-W", f"127.0.0.1:{sshd_with_sftp.port}"))
    assert done.stdout.startswith(b"SSH-2.0-OpenSSH")


@pytest.mark.parametrize("of", CLIENTS)
def test_a_remote_forwarding_of_a_client_with_channels_of_its_own(
    master, stock, of, sshd_with_sftp
):
    """It leads to the client, and the master has the server end it with the client.

    OpenSSH's master forgets that now and then (once in 26 runs), so it is asked of nacre's alone.
    """
    made = master if of == "nacre" else stock
    port = free_port()
    leads = f"127.0.0.1:{port}:127.0.0.1:{sshd_with_sftp.port}"
    client = started(made, "ssh", "-O", "proxy", "-R", leads, "--", "echo; cat")
    try:
        assert client.stdout is not None
        assert client.stdout.readline() == b"\n"
        with socket.create_connection(("127.0.0.1", port), 20) as sock:
            assert sock.recv(4) == b"SSH-"
    finally:
        client.communicate(timeout=20)
    deadline = time.monotonic() + 20
    while of == "nacre" and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 20).close()
        except ConnectionRefusedError:
            break
        time.sleep(0.05)
    else:
        assert of != "nacre", "the server listens still"


def test_programs_over_it(master, tmp_path):
    """sftp, scp, rsync and git, as they come, use the connection that ControlPath names."""
    (tmp_path / "a").write_bytes(os.urandom(300_000))
    config = str(master.config)
    shell = f"ssh -F {config}"
    git = require("git")
    for command in (
        [require("sftp"), "-F", config, "-b", "-", "told"],
        [require("scp"), "-F", config, f"told:{tmp_path}/a", f"{tmp_path}/scp"],
        [require("rsync"), "-e", shell, f"told:{tmp_path}/a", f"{tmp_path}/rsync"],
        [git, "init", "-q", "--bare", f"{tmp_path}/bare"],
        [git, "-c", f"core.sshCommand={shell}", "ls-remote", f"told:{tmp_path}/bare"],
    ):
        batch = f"get {tmp_path}/a {tmp_path}/sftp\n".encode()
        done = run(command, input=batch)
        assert done.returncode == 0, (command, done.stderr.decode())
    for name in ("sftp", "scp", "rsync"):
        assert (tmp_path / name).read_bytes() == (tmp_path / "a").read_bytes()


def test_persistence(sshd_with_sftp, keys):
    """The first client leaves the connection, others use it, and it ends when nobody does.

    The options are those of Ansible: ``-C -o ControlMaster=auto -o ControlPersist=60s``.
    """
    with master_of("nacre", sshd_with_sftp, ME, keys["ed25519"]) as any_master:
        path = any_master.path.parent / "p"
        options = ("-C", "-oControlMaster=auto", "-oControlPersist=60s", f"-oControlPath={path}")
        for program in ("nacre", "nacre", "ssh"):
            # Its output ends with the command: what stays in the background has let go of it.
            done = run(any_master.words(program, *options, "--", "cat; exit 4"), input=b"in")
            assert (done.returncode, done.stdout) == (4, b"in"), done.stderr.decode()
            assert path.is_socket()
        assert run(any_master.words("ssh", *options, "-O", "exit")).returncode == 0
        short = (*options[:2], "-oControlPersist=1", options[3])
        assert run(any_master.words("nacre", *short, "--", "true")).returncode == 0
        deadline = time.monotonic() + 20
        while path.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not path.exists()


def test_stop_lets_sessions_end_and_then_the_master(sshd_with_sftp, keys):
    with master_of("nacre", sshd_with_sftp, ME, keys["ed25519"]) as own:
        pid = pid_of(own)
        session = started(own, "ssh", "--", "read line; exit 5")
        assert run(own.words("ssh", "-O", "stop")).returncode == 0
        assert not own.path.exists()
        session.communicate(b"\n", timeout=20)
        assert session.returncode == 5
        deadline = time.monotonic() + 20
        while os.path.exists(f"/proc/{pid}") and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not os.path.exists(f"/proc/{pid}")


def test_a_path_that_is_taken_leaves_the_program_without_clients(master):
    done = run(master.words("nacre", "-M", "--", "echo own"))
    assert (done.returncode, done.stdout) == (0, b"own\n")
    assert b"already exists, disabling multiplexing" in done.stderr
