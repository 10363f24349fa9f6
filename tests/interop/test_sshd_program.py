"""``nacre-sshd`` in the place of sshd, and OpenSSH's client."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from interop.clients import Account
from interop.daemons import Daemon
from interop.nacre_sshd import SSHD, Configure, Logins, as_root, serving, until_gone
from interop.programs import NACRE, check, environment, require, run

pytestmark = pytest.mark.slow


def test_an_account_of_the_system_logs_in(
    configure_sshd: Configure, sshd_login: Logins, system_account: Account
) -> None:
    with serving(configure_sshd()) as daemon:
        done = run([*sshd_login(daemon).ssh(), "id -un; pwd; cat; exit 7"], input=b"in")
        assert done.returncode == 7
        assert done.stdout.decode() == f"{system_account.name}\n{system_account.home}\nin"
        daemon.wait_for("event=closed")
        assert daemon.stop() == 0


@as_root
def test_it_is_the_proxy_command_of_a_client(
    configure_sshd: Configure, sshd_login: Logins, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    proxy = f"{SSHD} -i -f {configure_sshd()} -E {log}"
    nowhere = object.__new__(Daemon)
    nowhere.port = 9
    command = sshd_login(nowhere).ssh(f"ProxyCommand={proxy}")
    done = run([*command, "cat; exit 3"], input=b"x" * 300_000)
    assert (done.returncode, len(done.stdout)) == (3, 300_000), done.stderr
    assert "event=authenticated" in log.read_text()
    many = run([*command, "head -c 20000000 /dev/zero"])
    assert (many.returncode, len(many.stdout)) == (0, 20_000_000)


@as_root
def test_it_is_started_by_inetd(
    configure_sshd: Configure, sshd_login: Logins, tmp_path: Path
) -> None:
    """One socket is standard input, output and error."""
    config = configure_sshd("Banner none")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        waiting = object.__new__(Daemon)
        waiting.port = listener.getsockname()[1]
        client = subprocess.Popen(
            [*sshd_login(waiting).ssh(), "echo $SSH_CONNECTION; exit 4"],
            stdout=subprocess.PIPE,
            env=environment(),
        )
        accepted, _ = listener.accept()
        server = subprocess.Popen(
            [SSHD, "-i", "-f", str(config)],
            stdin=accepted.fileno(),
            stdout=accepted.fileno(),
            stderr=accepted.fileno(),
        )
        accepted.close()
        out, _ = client.communicate(timeout=30)
        assert client.returncode == 4
        assert out.decode().split()[3] == str(waiting.port)
        assert server.wait(30) == 0


def test_under_inetd_a_client_reads_nothing_but_the_protocol(configure_sshd: Configure) -> None:
    ours, theirs = socket.socketpair()
    with ours:
        server = subprocess.Popen(
            [SSHD, "-i", "-f", str(configure_sshd("Nonsense yes"))],
            stdin=theirs.fileno(),
            stdout=theirs.fileno(),
            stderr=theirs.fileno(),
        )
        theirs.close()
        assert server.wait(30) == 255
        assert ours.recv(1000) == b""


def test_a_server_of_one_connection_ends_when_its_client_hangs_up(
    configure_sshd: Configure, tmp_path: Path
) -> None:
    """A client sends SIGHUP to its ProxyCommand: there is nothing to reload for."""
    log = tmp_path / "log"
    ours, theirs = socket.socketpair()
    with ours:
        server = subprocess.Popen(
            [SSHD, "-i", "-f", str(configure_sshd()), "-E", str(log)],
            stdin=theirs.fileno(),
            stdout=theirs.fileno(),
        )
        try:
            theirs.close()
            ours.settimeout(30)
            assert ours.recv(1000).startswith(b"SSH-2.0-")
            server.send_signal(signal.SIGHUP)
            assert server.wait(30) == 255  # nobody has logged in
        finally:
            server.kill()
            server.wait()
        text = log.read_text()
    assert "event=stopping" in text
    assert "reloaded" not in text
    assert "event=error" not in text


def service(tmp_path: Path, *lines: str) -> tuple[Path, list[str]]:
    """Write a file for ``--config``; return it, and the option that names its state directory."""
    state, file = tmp_path / "state", tmp_path / "service.toml"
    file.write_text("\n".join([f'state = "{state}"', *lines]) + "\n")
    return file, ["--state", str(state)]


@as_root
def test_a_file_brings_control_the_audit_and_hooks(
    configure_sshd: Configure, sshd_login: Logins, system_account: Account, tmp_path: Path
) -> None:
    name, home = system_account.name, system_account.home
    records = tmp_path / "records"
    more = (f'hook-user = "{name}"', f'record = "{records}"', f'record-user = "{name}"')
    file, state = service(tmp_path, "audit = true", "hooks = true", *more)
    told, program = home / "told", home / "hook"
    program.write_text(f"#!/bin/sh\ncat > {told}.new && mv {told}.new {told}\n")
    program.chmod(0o755)
    check([*NACRE, "hook", "add", "told", "--command", program, "--on", "login", *state])
    with serving(configure_sshd(), "--config", str(file)) as daemon:
        # The host key is that of the configuration, and none is made.
        assert not [*(tmp_path / "state").glob("*key*")]
        client = subprocess.Popen(
            [*sshd_login(daemon).ssh(), "echo in; read x"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(),
        )
        with client:
            assert client.stdout is not None
            assert client.stdout.readline() == b"in\n"
            (one,) = json.loads(check([*NACRE, "who", "--json", *state]))
            assert one["user"] == name
            check([*NACRE, "kill", one["id"], *state])
            assert client.wait(30) == 255
        daemon.wait_for("event=closed")
        events = check([*NACRE, "audit", "--user", name, "--json", *state]).decode()
        assert {"login", "command"} <= {json.loads(line)["event"] for line in events.splitlines()}
        deadline = time.monotonic() + 30
        while not told.exists():
            assert time.monotonic() < deadline, daemon.tail()
            time.sleep(0.01)
        assert name in told.read_text()
        assert [*records.rglob("*.cast*")]


def pid_of(path: Path) -> int:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if path.exists() and (text := path.read_text()).endswith("\n"):
            return int(text)
        time.sleep(0.01)
    raise AssertionError(f"no pid in {path}")


@as_root
def test_in_the_background_it_is_controlled_and_restarted(
    configure_sshd: Configure, sshd_login: Logins, tmp_path: Path
) -> None:
    file, state = service(tmp_path, "bans = 20")
    pid_file, log = tmp_path / "pid", tmp_path / "log"
    config = configure_sshd(f"PidFile {pid_file}")
    words = [SSHD, "-f", config, "-p", "0", "-E", log, "--config", file]
    started = run(words)
    assert started.returncode == 0, started.stderr
    pid = pid_of(pid_file)
    try:
        assert json.loads(check([*NACRE, "who", "--json", *state])) == []
        # A second one with this state directory does not start, and says why on its terminal.
        second = run([SSHD, "-f", config, "-p", "0", "-e", "--config", file])
        assert second.returncode == 255
        assert b"a server runs with the state directory" in second.stderr
        check([*NACRE, "restart", *state])
        until_gone(pid)
        pid = pid_of(pid_file)
        daemon = object.__new__(Daemon)
        daemon.port = int(re.findall(r"^listening on .*:(\d+)$", log.read_text(), re.M)[-1])
        assert run([*sshd_login(daemon).ssh(), "exit 5"]).returncode == 5
    finally:
        os.kill(pid, signal.SIGTERM)
        until_gone(pid)


@as_root
def test_it_goes_to_the_background(
    configure_sshd: Configure, sshd_login: Logins, tmp_path: Path
) -> None:
    pid_file, log = tmp_path / "pid", tmp_path / "log"
    config = configure_sshd(f"PidFile {pid_file}")
    started = run([SSHD, "-f", config, "-p", "0", "-E", log])
    assert started.returncode == 0, started.stderr
    pid = pid_of(pid_file)
    try:
        assert os.getsid(pid) != os.getsid(0)
        assert os.readlink(f"/proc/{pid}/cwd") == "/"
        deadline = time.monotonic() + 20
        while "listening on" not in log.read_text() and time.monotonic() < deadline:
            time.sleep(0.01)
        daemon = object.__new__(Daemon)
        daemon.port = int(log.read_text().split()[2].rpartition(":")[2])
        assert run([*sshd_login(daemon).ssh(), "exit 5"]).returncode == 5
        pid_file.unlink()
        os.kill(pid, signal.SIGHUP)
        assert pid_of(pid_file) == pid  # written anew: that tells that the reload is done
    finally:
        os.kill(pid, signal.SIGTERM)
        until_gone(pid)
    assert not pid_file.exists()


@as_root
def test_debug_serves_one_connection_in_the_foreground(
    configure_sshd: Configure, sshd_login: Logins
) -> None:
    with Daemon("nacre-sshd -d", [SSHD, "-d", "-f", configure_sshd(), "-p", "0"]) as daemon:
        daemon.port = int(daemon.wait_for(r"^listening on .*:(\d+)$")[1])
        assert run([*sshd_login(daemon).ssh(), "exit 6"]).returncode == 6
        assert daemon.process.wait(20) == 0


def test_a_wrong_file_is_told_with_line_and_word(configure_sshd: Configure) -> None:
    config = configure_sshd("MaxSessions many", "Nonsense yes")
    for flag in ("-t", "-D"):
        done = run([SSHD, flag, "-f", config])
        assert done.returncode == 255
        said = done.stderr.decode()
        assert re.search(rf"{re.escape(str(config))} line 1: MaxSessions.*many", said)
        assert re.search(rf"{re.escape(str(config))} line 2: .*Nonsense", said)


def test_without_host_keys_it_says_how_to_make_them(
    configure_sshd: Configure, tmp_path: Path
) -> None:
    config = tmp_path / "config"
    config.write_text(f"HostKey {tmp_path / 'missing'}\n")
    done = run([SSHD, "-t", "-f", config])
    assert done.returncode == 1
    assert "ssh-keygen -A" in done.stderr.decode()


def test_a_reload_under_load_loses_no_session(
    configure_sshd: Configure, sshd_login: Logins, tmp_path: Path
) -> None:
    """20 sessions copy data while the configuration is read again, ten times."""
    with serving(configure_sshd(), "-o", "MaxStartups=100") as daemon, ExitStack() as stack:
        clients = []
        for _ in range(20):
            client = subprocess.Popen(
                [*sshd_login(daemon).ssh(), "cat"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=environment(),
            )
            stack.callback(client.kill)
            clients.append(client)
        for client in clients:
            assert client.stdin is not None
            assert client.stdout is not None
            client.stdin.write(b"first")
            client.stdin.flush()
            assert client.stdout.read(5) == b"first"
        piece = bytes(range(256)) * 1024
        for number in range(10):
            configure_sshd(f"Banner {tmp_path / 'banner'}", "VersionAddendum reloaded")
            (tmp_path / "banner").write_text(f"number {number}\n")
            since = len(daemon.log)
            daemon.process.send_signal(signal.SIGHUP)
            for client in clients:
                assert client.stdin is not None
                client.stdin.write(piece[:20_000])
                client.stdin.flush()
            daemon.wait_for("event=reloaded", since=since)
            for client in clients:
                assert client.stdout is not None
                assert client.stdout.read(20_000) == piece[:20_000]
        said = run([*sshd_login(daemon).ssh("LogLevel=DEBUG1"), "exit 3"])
        assert said.returncode == 3
        assert b"reloaded" in said.stderr
        assert b"number 9" in said.stderr
        for client in clients:
            out, _ = client.communicate(b"last", timeout=30)
            assert (client.returncode, out) == (0, b"last")


def test_a_broken_file_changes_nothing(configure_sshd: Configure, sshd_login: Logins) -> None:
    with serving(configure_sshd("VersionAddendum one")) as daemon:
        for lines, message in (
            (["MaxSessions many"], r"sshd_config line 1: MaxSessions"),
            (["HostKey /missing", "HostKeyAlgorithms ssh-dss"], "nothing was reloaded"),
        ):
            config = configure_sshd(*lines)
            since = len(daemon.log)
            daemon.process.send_signal(signal.SIGHUP)
            daemon.wait_for(message, since=since)
            config.write_text("")
            said = run([*sshd_login(daemon).ssh("LogLevel=DEBUG1"), "exit 3"])
            assert said.returncode == 3
            assert b"one" in said.stderr


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)
        ]
        return [sock.getsockname()[1] for sock in sockets]


@as_root
def test_a_reload_changes_where_it_listens(configure_sshd: Configure, sshd_login: Logins) -> None:
    first, second, third = free_ports(3)
    config = configure_sshd(f"Port {first}", f"Port {second}")
    with Daemon("nacre-sshd", [SSHD, "-D", "-e", "-f", config]) as daemon:
        daemon.wait_for(rf"listening on 127.0.0.1:{second}")
        inodes = listeners(daemon.pid)
        daemon.port = first
        kept = subprocess.Popen(
            [*sshd_login(daemon).ssh(), "cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(),
        )
        daemon.wait_for("event=session")
        configure_sshd(f"Port {second}", f"Port {third}")
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_for("event=reloaded")
        for port in (second, third):
            daemon.port = port
            assert run([*sshd_login(daemon).ssh(), "exit 3"]).returncode == 3
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", first))
        assert listeners(daemon.pid)[second] == inodes[second]
        out, _ = kept.communicate(b"still here", timeout=30)
        assert (kept.returncode, out) == (0, b"still here")
        text = configure_sshd(f"Port {second}").read_text()
        config.write_text(text.replace("ListenAddress 127.0.0.1", "ListenAddress 0.0.0.0"))
        since = len(daemon.log)
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_for("event=reloaded", since=since)
        daemon.port = second
        assert run([*sshd_login(daemon).ssh(), "exit 3"]).returncode == 3


def listeners(pid: int) -> dict[int, str]:
    """Return the ports on which a process listens, with the inodes of their sockets."""
    own = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            own.add(os.readlink(link))
        except OSError:
            continue
    found = {}
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A" and f"socket:[{fields[9]}]" in own:
            found[int(fields[1].rpartition(":")[2], 16)] = fields[9]
    return found


def test_what_it_prints_is_what_sshd_prints(configure_sshd: Configure) -> None:
    """Of each keyword that both print, apart from the lists of algorithms."""
    sshd = require("sshd")
    config = configure_sshd("MaxSessions 3")
    with config.open("a") as file:
        file.write("Match User alice\n  PermitTTY no\n")
    os.makedirs("/run/sshd", exist_ok=True)
    for connection in ([], ["-C", "user=alice,host=h,addr=192.0.2.1"]):
        ours, theirs = (
            dict(line.split(" ", 1) for line in check(command).decode().splitlines())
            for command in (
                [SSHD, "-T", "-f", config, *connection],
                [sshd, "-T", "-f", config, *connection],
            )
        )
        for name in ("maxsessions", "permittty", "requiredrsasize", "permitrootlogin", "hostkey"):
            assert ours[name] == theirs[name]
