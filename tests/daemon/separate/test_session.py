"""What sessions do in the process of their user: the same as in a server of one process."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

import nacre
from daemon.conftest import SystemAccount
from daemon.separate.watched import (
    Watched,
    echo,
    make_host_key,
    of_user,
    port_of,
    reader,
    separated,
    until,
)
from daemon.served import KEY, Server, make_state, serving
from interop.programs import check, require, run
from nacre.daemon.sandbox.filter import has_filters
from nacre.daemon.store.store import FILE, UserStore

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes other accounts"),
    pytest.mark.skipif(not has_filters(), reason="this kernel has no seccomp(2)"),
]


@pytest.fixture
def state(tmp_path: Path, system_account: SystemAccount) -> Path:
    system_account.authorize(f"{KEY.public}\n")
    return make_state(tmp_path)


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    file = tmp_path / "key"
    file.write_bytes(nacre.dump_private(KEY))
    file.chmod(0o600)
    return file


def openssh(
    server: Server, account: SystemAccount, key: Path, *words: str, **environment: Any
) -> subprocess.CompletedProcess[bytes]:
    """Run OpenSSH's client."""
    hosts = key.with_name("known_hosts")
    always = ("-F", "none", "-i", str(key), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes")
    trust = ("-o", f"UserKnownHostsFile={hosts}", "-o", "StrictHostKeyChecking=accept-new")
    place = ("-p", str(server.port))
    command = [require("ssh"), *always, *trust, *place, *words[:-1]]
    return run([*command, f"{account.name}@127.0.0.1", words[-1]], **environment)


def children(process: Watched) -> list[dict[str, str]]:
    """Return the status of each child of a process."""
    found = []
    for file in Path("/proc").glob("[0-9]*/status"):
        try:
            lines = [line.partition(":") for line in file.read_text().splitlines()]
        except OSError:
            continue
        found.append({name: rest.strip() for name, _, rest in lines})
    return [one for one in found if one["PPid"] == str(process.pid) and one["State"][0] != "Z"]


def owner_of_the_end(port: int, remote: int) -> int:
    """Return the uid that the system has for a connected socket."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        if [int(word.rpartition(":")[2], 16) for word in words[1:3]] == [port, remote]:
            return int(words[7])
    raise AssertionError("there is no such connection")


@asynccontextmanager
async def greeter() -> AsyncIterator[int]:
    """Listen on a port, and greet who connects."""

    def greet(_: asyncio.StreamReader, end: asyncio.StreamWriter) -> None:
        end.write(b"here\n")
        end.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as listener:
        yield listener.sockets[0].getsockname()[1]


# --- commands ---


async def test_commands_and_their_ends(state: Path, system_account: SystemAccount) -> None:
    async with separated(state) as server, server.connect(system_account.name) as ssh:
        home = str(system_account.home)
        done = await ssh.run("id -un; pwd; echo $HOME $USER; cat /etc/shadow; exit 7")
        name = system_account.name
        assert done.stdout.splitlines() == [name, home, f"{home} {name}"]
        assert "denied" in done.stderr
        assert done.exit_status == 7
        done = await ssh.run("tty; id -un; stat -c %U $(tty)", term="xterm")
        assert done.stdout.split()[1:] == [system_account.name] * 2
        waiting = "trap 'echo got it; exit 3' USR1; echo ready; while :; do sleep 0.1; done"
        async with ssh.process(waiting) as process:
            assert await process.stdout.readline() == b"ready\n"
            process.send_signal("USR1")
            assert await process.stdout.readline() == b"got it\n"
            assert await process.wait() == 3


async def test_many_sessions_at_once(state: Path, system_account: SystemAccount) -> None:
    async def log_in() -> None:
        async with server.connect(system_account.name) as ssh:
            await asyncio.gather(*(echo(ssh) for _ in range(5)))

    async with separated(state, "-o", "MaxStartups=100") as server:
        await asyncio.gather(*(log_in() for _ in range(30)))
        assert len(of_user(server, system_account.uid)) == 1


async def test_a_user_without_an_account_is_let_in_and_refused(state: Path) -> None:
    store = UserStore(state / FILE)
    store.change("alice", run_as=None)
    store.close()
    async with serving(state, "--gates", "2") as server, server.connect() as ssh:
        with pytest.raises(nacre.RequestFailed):
            await ssh.run("true")
        assert "--run-as ACCOUNT" in await server.until("event=refused")
        with pytest.raises(nacre.ChannelOpenFailed):
            await ssh.open_connection("127.0.0.1", server.port)
        # Nothing of it needs rights.
        assert 0 not in reader(server, port_of(ssh)).uids


async def test_users_of_the_store_share_an_account_and_no_process(state: Path) -> None:
    store = UserStore(state / FILE)
    for name in ("alice", "both"):
        store.change(name, run_as="nobody", auth="publickey")
    store.close()
    async with (
        serving(state, "--gates", "2") as server,
        server.connect("alice") as one,
        server.connect("both") as other,
    ):
        assert reader(server, port_of(one)).pid != reader(server, port_of(other)).pid
        assert (await other.run("id -un")).stdout == "nobody\n"


# --- files ---


async def test_all_files_of_the_system(state: Path, system_account: SystemAccount) -> None:
    async with (
        separated(state) as server,
        server.connect(system_account.name) as ssh,
        ssh.sftp() as sftp,
    ):
        assert await sftp.realpath(".") == str(system_account.home)
        async with await sftp.open("mine", "wb") as file:
            await file.write(b"x" * 3_000_000)
        assert (system_account.home / "mine").owner() == system_account.name
        with pytest.raises(PermissionError):
            await sftp.open("/etc/shadow", "rb")
        # Who has a shell needs no sandbox: the process of the user serves them.
        session = reader(server, port_of(ssh))
        assert [one for one in children(session) if one["Seccomp"] != "0"] == []


@pytest.mark.parametrize(
    ("options", "refused"),
    [
        (["ForceCommand=internal-sftp -R"], OSError),
        (["ForceCommand=internal-sftp", "ChrootDirectory={root}"], FileNotFoundError),
    ],
    ids=["restricted", "virtual root"],
)
async def test_files_of_confined_users_are_served_in_a_sandbox(
    state: Path,
    system_account: SystemAccount,
    options: list[str],
    refused: type[OSError],
) -> None:
    root = Path("/run") / f"nacre-root-{os.getpid()}"
    root.mkdir(mode=0o755)
    (root / "inside").write_text("inside\n")
    words = [word.format(root=root) for word in options]
    try:
        async with (
            separated(state, *(f"-o{word}" for word in words)) as server,
            server.connect(system_account.name) as ssh,
            ssh.sftp() as sftp,
        ):
            with pytest.raises(refused, match="/etc/passwd"):
                await sftp.open("/etc/passwd", "r+b")
            if len(words) == 2:
                assert [one.name async for one in sftp.scandir("/")] == ["inside"]
            session = reader(server, port_of(ssh))
            (service,) = [one for one in children(session) if one["Seccomp"] == "2"]
            assert int(service["CapEff"], 16) == 0
            assert service["Uid"].split() == [str(system_account.uid)] * 4
    finally:
        shutil.rmtree(root)


async def test_scp(
    state: Path, system_account: SystemAccount, key_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "data").write_bytes(os.urandom(300_000))
    async with separated(state) as server:
        for options in (["-O"], []):
            place = ["-F", "none", "-i", str(key_file), "-P", str(server.port)]
            trust = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
            command = [require("scp"), *options, *place, *trust]
            there = f"{system_account.name}@127.0.0.1:copy"
            await asyncio.to_thread(check, [*command, str(tmp_path / "data"), there])
            copy = system_account.home / "copy"
            assert copy.read_bytes() == (tmp_path / "data").read_bytes()
            assert copy.owner() == system_account.name
            copy.unlink()


# --- forwarding ---


async def test_connections_for_a_user_are_the_users(
    state: Path, system_account: SystemAccount
) -> None:
    arrived: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()
    listener = await asyncio.start_server(lambda _, end: arrived.put_nowait(end), "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    async with separated(state) as server, server.connect(system_account.name) as ssh:
        forward = await ssh.forward_local("127.0.0.1", port)
        reading, writing = await asyncio.open_connection("127.0.0.1", forward.port)
        async with asyncio.timeout(20):
            end = await arrived.get()
            assert owner_of_the_end(end.get_extra_info("peername")[1], port) == system_account.uid
            end.write(b"there\n")
            assert await reading.readline() == b"there\n"
        end.close()
        writing.close()
    listener.close()


async def test_listeners_of_a_user_are_the_users(
    state: Path, system_account: SystemAccount
) -> None:
    async with (
        greeter() as port,
        separated(state) as server,
        server.connect(system_account.name) as ssh,
    ):
        forward = await ssh.forward_remote("127.0.0.1", port, listen_host="127.0.0.1")
        assert owner_of_the_end(forward.port, 0) == system_account.uid
        reading, writing = await asyncio.open_connection("127.0.0.1", forward.port)
        async with asyncio.timeout(20):
            assert await reading.readline() == b"here\n"
        writing.close()
        with pytest.raises(nacre.RequestFailed):
            await ssh.forward_remote("127.0.0.1", port, listen_host="127.0.0.1", listen_port=1023)


async def test_unix_sockets_of_a_user_are_the_users(
    state: Path, system_account: SystemAccount
) -> None:
    path = system_account.home / "socket"
    async with (
        greeter() as port,
        separated(state) as server,
        server.connect(system_account.name) as ssh,
    ):
        await ssh.forward_remote("127.0.0.1", port, listen_path=str(path))
        assert path.owner() == system_account.name
        forward = await ssh.forward_local(path=str(path))
        reading, writing = await asyncio.open_connection("127.0.0.1", forward.port)
        async with asyncio.timeout(20):
            assert await reading.readline() == b"here\n"
        writing.close()


async def test_a_program_may_use_the_agent_of_the_client(
    state: Path, system_account: SystemAccount, key_file: Path
) -> None:
    with agent() as (path, _):
        check([require("ssh-add"), "-q", key_file], SSH_AUTH_SOCK=path)
        async with separated(state) as server:
            done = await asyncio.to_thread(
                openssh, server, system_account, key_file, "-A", "ssh-add -L", SSH_AUTH_SOCK=path
            )
            assert str(KEY.public).split()[1].encode() in done.stdout, done.stderr


# --- the monitor's signatures after the login ---


async def test_keys_are_exchanged_anew(
    state: Path, system_account: SystemAccount, key_file: Path
) -> None:
    async with separated(state, "-o", "LogLevel=VERBOSE") as server:
        both_ways = "wc -c; head -c 3000000 /dev/zero"
        words = ("-o", "RekeyLimit=1M", f"head -c 5000000 /dev/zero | {both_ways}")
        done = await asyncio.to_thread(openssh, server, system_account, key_file, *words)
        assert (done.returncode, len(done.stdout)) == (0, 3_000_000 + len("5000000\n"))
        await server.until("event=rekey")


async def test_other_host_keys_are_announced_and_proved(
    state: Path, system_account: SystemAccount, key_file: Path, tmp_path: Path
) -> None:
    other = nacre.generate("ecdsa-sha2-nistp256")
    file = tmp_path / "other_key"
    file.write_bytes(nacre.dump_private(other))
    file.chmod(0o600)
    async with separated(state, "-o", f"HostKey={file}") as server:
        algorithms = "HostKeyAlgorithms=ssh-ed25519,ecdsa-sha2-nistp256"
        words = ("-o", "UpdateHostKeys=yes", "-o", algorithms, "echo x")
        # The first connection adds the key that is shown, the second one learns the other.
        for _ in range(2):
            done = await asyncio.to_thread(openssh, server, system_account, key_file, *words)
            assert done.stdout == b"x\n", done.stderr
        known = key_file.with_name("known_hosts").read_text()
        assert str(other.public).split()[1] in known


async def test_a_host_key_in_an_agent(
    state: Path, system_account: SystemAccount, tmp_path: Path
) -> None:
    private, public = make_host_key(state), tmp_path / "held.pub"
    key = nacre.load_private(private.read_bytes())
    public.write_text(f"{key.public}\n")
    with agent() as (path, pid):
        check([require("ssh-add"), "-q", private], SSH_AUTH_SOCK=path)
        private.unlink()
        options = ("-o", f"HostKeyAgent={path}", "-o", f"HostKey={public}")
        async with (
            serving(state, "--users", "system", *options) as server,
            server.connect(system_account.name) as ssh,
        ):
            assert ssh.server_host_key == key.public
            await ssh.rekey()
            await echo(ssh)
            os.kill(pid, signal.SIGTERM)
            await until(lambda: not Path(f"/proc/{pid}").exists())
            with pytest.raises(nacre.NacreError):
                await server.connect(system_account.name)
            await server.until("no signature with a host key.*gate=")
            await echo(ssh)


@contextmanager
def agent() -> Iterator[tuple[str, int]]:
    """Run OpenSSH's agent."""
    started = check([require("ssh-agent"), "-s"]).decode()
    found = re.search(r"SSH_AUTH_SOCK=([^;]+);.*SSH_AGENT_PID=(\d+);", started, re.S)
    assert found is not None
    pid = int(found[2])
    try:
        yield found[1], pid
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
