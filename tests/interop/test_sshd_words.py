"""The words of sshd_config about listening, sources and time: what OpenSSH's client notices."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest

from interop.clients import Login, askpass
from interop.daemons import Daemon
from interop.nacre_sshd import SSHD, Configure, Logins, as_root, serving, until_gone
from interop.programs import check, environment, require, run

pytestmark = pytest.mark.slow

ELSEWHERE = "BindAddress=127.0.0.2"


def enters(login: Login, *options: str) -> bool:
    """Tell whether a login succeeds."""
    done = run([*login.ssh(*options), "exit 3"])
    assert done.returncode in (3, 255), done.stderr
    return done.returncode == 3


def wait_closed(sock: socket.socket) -> bytes:
    sock.settimeout(20)
    received = b""
    while data := sock.recv(4096):
        received += data
    return received


def connect(daemon: Daemon, source: str = "127.0.0.1") -> socket.socket:
    """Connect, and read what the server says first."""
    sock = socket.create_connection(("127.0.0.1", daemon.port), source_address=(source, 0))
    sock.settimeout(20)
    assert sock.recv(4) == b"SSH-"
    return sock


def test_login_grace_time(configure_sshd: Configure, sshd_login: Logins) -> None:
    with serving(configure_sshd("LoginGraceTime 1")) as daemon:
        with connect(daemon) as sock:
            assert b"not logged in within 1 seconds" in wait_closed(sock)
        assert enters(sshd_login(daemon))


def test_max_startups(configure_sshd: Configure, sshd_login: Logins) -> None:
    with serving(configure_sshd("MaxStartups 1")) as daemon:
        with connect(daemon):
            assert not enters(sshd_login(daemon), ELSEWHERE)
        daemon.wait_for("event=closed")
        assert enters(sshd_login(daemon))


@pytest.mark.parametrize(("bits", "others"), [("32:128", True), ("8:128", False)])
def test_per_source_max_startups(
    configure_sshd: Configure,
    sshd_login: Logins,
    bits: str,
    others: bool,
) -> None:
    config = configure_sshd("PerSourceMaxStartups 1", f"PerSourceNetBlockSize {bits}")
    with serving(config) as daemon, connect(daemon):
        assert not enters(sshd_login(daemon))
        assert enters(sshd_login(daemon), ELSEWHERE) is others


def test_penalties_for_failed_logins(configure_sshd: Configure, sshd_login: Logins) -> None:
    with serving(configure_sshd("PerSourcePenalties authfail:100 min:150")) as daemon:
        for _ in range(2):
            assert not wrong_password(daemon, sshd_login)
        daemon.wait_for(r"event=penalty .*reason=authfail seconds=(19\d|200)\b")
        assert not enters(sshd_login(daemon))
        daemon.wait_for("event=dropped .*earlier failures")
        assert enters(sshd_login(daemon), ELSEWHERE)


def wrong_password(daemon: Daemon, sshd_login: Logins) -> bool:
    """Log in with a password that is wrong; tell whether that succeeded."""
    to = sshd_login(daemon).using(None)
    done = run(
        [*to.ssh("PreferredAuthentications=password", "NumberOfPasswordPrompts=1"), "exit 3"],
        **askpass(to.directory, "wrong"),
    )
    return done.returncode == 3


def test_no_penalties_for_exempt_addresses_and_with_no(
    configure_sshd: Configure,
    sshd_login: Logins,
) -> None:
    strict = "PerSourcePenalties noauth:100 min:1"
    for lines, refused in (
        ([strict], True),
        ([strict, "PerSourcePenaltyExemptList 127.0.0.0/8"], False),
        (["PerSourcePenalties no"], False),
    ):
        with serving(configure_sshd(*lines)) as daemon:
            connect(daemon).close()
            daemon.wait_for("event=closed")
            assert enters(sshd_login(daemon)) is not refused


def test_refuse_connection_of_one_user(
    configure_sshd: Configure,
    sshd_login: Logins,
) -> None:
    config = configure_sshd("PerSourcePenalties refuseconnection:50 min:1")
    with serving(config) as daemon:
        name = sshd_login(daemon).user
        with config.open("a") as file:
            file.write(f"Match User {name} Address 127.0.0.1\n  RefuseConnection yes\n")
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_for("event=reloaded")
        assert enters(sshd_login(daemon), ELSEWHERE)
        assert not enters(sshd_login(daemon))
        daemon.wait_for("event=refused .*RefuseConnection")
        daemon.wait_for("event=penalty .*reason=refuseconnection")


def test_channel_timeout(configure_sshd: Configure, sshd_login: Logins) -> None:
    with serving(configure_sshd("ChannelTimeout session:command=1")) as daemon:
        silent = run([*sshd_login(daemon).ssh(), "cat; sleep 60"], timeout=30)
        assert silent.returncode != 0
        daemon.wait_for("event=timeout .*type=session:command")
        busy = run([*sshd_login(daemon).ssh(), "for i in 1 2 3 4 5 6; do echo $i; sleep 0.3; done"])
        assert busy.stdout.split()[-1] == b"6"


def test_channel_timeout_of_forwarded_ports(
    configure_sshd: Configure,
    sshd_login: Logins,
) -> None:
    with (
        serving(configure_sshd("ChannelTimeout direct-tcpip=1 session=0")) as daemon,
        socket.create_server(("127.0.0.1", 0)) as target,
    ):
        where = f"127.0.0.1:{target.getsockname()[1]}"
        client = subprocess.Popen(
            sshd_login(daemon).ssh(flags=["-W", where]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(),
        )
        accepted, _ = target.accept()
        with accepted:
            accepted.sendall(b"hello")
            assert client.stdout is not None
            assert client.stdout.read(5) == b"hello"
            daemon.wait_for("event=timeout .*type=direct-tcpip")
            accepted.settimeout(20)
            assert accepted.recv(10) == b""
        client.communicate(timeout=20)


def test_unused_connection_timeout(configure_sshd: Configure, sshd_login: Logins) -> None:
    with serving(configure_sshd("UnusedConnectionTimeout 1")) as daemon:
        assert run([*sshd_login(daemon).ssh(flags=["-N"])], timeout=30).returncode == 255
        daemon.wait_for("event=closed .*no channel was open for 1 seconds")
        used = run([*sshd_login(daemon).ssh(), "sleep 2; exit 3"])
        assert used.returncode == 3


def test_client_alive(configure_sshd: Configure, sshd_login: Logins) -> None:
    with serving(configure_sshd("ClientAliveInterval 1", "ClientAliveCountMax 1")) as daemon:
        alive = run([*sshd_login(daemon).ssh(), "sleep 3; exit 3"])
        assert alive.returncode == 3
        daemon.wait_for("event=closed")
        since = len(daemon.log)
        client = subprocess.Popen(
            [*sshd_login(daemon).ssh(), "sleep 60"], env=environment(), start_new_session=True
        )
        try:
            daemon.wait_for("event=session", since=since)
            os.kill(client.pid, signal.SIGSTOP)
            daemon.wait_for("event=closed .*keepalives unanswered", since=since)
            os.kill(client.pid, signal.SIGCONT)
            assert client.wait(20) == 255
        finally:
            client.kill()
            client.wait()


@pytest.mark.parametrize(("use", "enters_by_name"), [("yes", True), ("no", False)])
def test_use_dns(
    configure_sshd: Configure,
    sshd_login: Logins,
    use: str,
    enters_by_name: bool,
) -> None:
    name = socket.getnameinfo(("127.0.0.1", 0), 0)[0].lower()
    if name == "127.0.0.1":
        pytest.skip("127.0.0.1 has no name here")
    config = configure_sshd(f"UseDNS {use}", f"AllowUsers *@{name}")
    with serving(config) as daemon:
        assert enters(sshd_login(daemon)) is enters_by_name
        with config.open("a") as file:
            file.write(f"Match Host {name}\n  PermitTTY no\n")
        text = config.read_text().replace(f"AllowUsers *@{name}", "AllowUsers *")
        config.write_text(text)
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_for("event=reloaded")
        shown = run([*sshd_login(daemon).ssh(flags=["-tt"]), "tty"])
        assert (b"/dev/pts" not in shown.stdout) is enters_by_name


def test_host_keys_are_those_that_are_named(
    configure_sshd: Configure,
    host_keys: dict[str, Path],
) -> None:
    lines = [f"HostKey {host_keys['ecdsa256']}", f"HostKey {host_keys['rsa']}", "HostKey /missing"]
    with serving(configure_sshd(*lines)) as daemon:
        assert "can't use the host key /missing" in daemon.wait_for("file is not used.*")[0]
        found = run([require("ssh-keyscan"), "-p", str(daemon.port), "127.0.0.1"]).stdout.decode()
        for kind in ("ecdsa256", "rsa", "ed25519"):
            assert host_keys[kind].with_suffix(".pub").read_text().split()[1] in found


def test_host_keys_may_be_held_by_an_agent(
    configure_sshd: Configure, sshd_login: Logins, host_keys: dict[str, Path], tmp_path: Path
) -> None:
    """The private file is nowhere to be seen; the agent signs, and when it is gone nobody does."""
    public = tmp_path / "held.pub"
    public.write_text(host_keys["ecdsa256"].with_suffix(".pub").read_text())
    started = check([require("ssh-agent"), "-s"]).decode()
    found = re.search(r"SSH_AUTH_SOCK=([^;]+);.*SSH_AGENT_PID=(\d+);", started, re.S)
    assert found is not None
    socket_path, pid = found[1], int(found[2])
    alive = True
    try:
        check([require("ssh-add"), "-q", host_keys["ecdsa256"]], SSH_AUTH_SOCK=socket_path)
        config = tmp_path / "held_config"
        config.write_text(
            f"HostKeyAgent {socket_path}\nHostKey {public}\nListenAddress 127.0.0.1\nPidFile none\n"
        )
        with serving(config) as daemon:
            assert enters(sshd_login(daemon), "HostKeyAlgorithms=ecdsa-sha2-nistp256")
            assert enters(sshd_login(daemon), "RekeyLimit=1K")
            os.kill(pid, signal.SIGTERM)
            alive = False
            until_gone(pid)
            assert not enters(sshd_login(daemon))
            daemon.wait_for("no signature with a host key.*no agent at")
    finally:
        if alive:
            os.kill(pid, signal.SIGTERM)


@as_root
def test_a_missing_banner_is_told_and_no_error(
    configure_sshd: Configure, sshd_login: Logins
) -> None:
    with serving(configure_sshd("Banner /missing")) as daemon:
        daemon.wait_for("file is not used.*Banner: can't read /missing")
        assert enters(sshd_login(daemon))


@as_root
def test_addresses_and_families(configure_sshd: Configure, sshd_login: Logins) -> None:
    config = configure_sshd()
    config.write_text(config.read_text().replace("ListenAddress 127.0.0.1\n", ""))
    for option, family in (("-4", "0.0.0.0"), ("-6", r"\[::\]")):
        if option == "-6" and not Path("/proc/net/if_inet6").exists():
            continue
        with Daemon("nacre-sshd", [SSHD, "-D", "-e", "-f", config, "-p", "0", option]) as daemon:
            daemon.wait_for(rf"^listening on {family}:\d+$")
            assert sum(line.startswith("listening on") for line in daemon.log) == 1


def test_the_log_goes_to_the_log_of_the_system(
    configure_sshd: Configure,
    sshd_login: Logins,
    tmp_path: Path,
) -> None:
    place = Path("/dev/log")
    if os.geteuid() != 0 or place.exists():
        pytest.skip("this system has a log already")
    with ExitStack() as stack:
        sock = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        sock.bind(str(place))
        stack.callback(place.unlink)
        sock.settimeout(20)
        daemon = stack.enter_context(
            Daemon(
                "nacre-sshd",
                [
                    SSHD,
                    "-D",
                    "-f",
                    configure_sshd("SyslogFacility LOCAL3", "LogLevel INFO"),
                    "-p",
                    "0",
                ],
            )
        )
        own = f" nacre-sshd[{daemon.pid}]: event="

        def line(event: str) -> str:
            """Return the line of an event; other programs may use the log, too."""
            while own + event not in (text := sock.recv(4096).decode()):
                pass
            return text

        first = line("listening address=127.0.0.1:")
        assert first.startswith(f"<{19 * 8 + 6}>")
        daemon.port = int(first.rpartition(":")[2])
        assert enters(sshd_login(daemon))
        assert "peer=127.0.0.1:" in line("accepted")
    assert daemon.log == []
