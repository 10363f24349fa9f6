"""``nacre serve`` as its own process, and nacre's client at the other end."""

from __future__ import annotations

import asyncio
import os
import re
import resource
import shutil
import signal
import socket
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import nacre
from daemon.conftest import SystemAccount
from daemon.served import KEY, NACRE, make_state, serving
from nacre.daemon.sandbox.filter import has_filters
from nacre.daemon.store.store import FILE, UserStore
from nacre.errors import PermissionDenied

pytestmark = pytest.mark.slow


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return make_state(tmp_path)


async def test_every_phase_has_its_line(state: Path) -> None:
    async with serving(state) as server:
        async with server.connect() as ssh:
            done = await ssh.run("pwd; exit 3")
            assert (done.stdout.strip(), done.exit_status) == (str(state.parent), 3)
        await server.until("event=closed")
    events = re.findall(r"^time=\S+ level=info event=(\S+)", "".join(server.lines), re.M)
    assert events == [
        *["accepted", "version", "kex", "auth", "authenticated", "session", "exit", "closed"]
    ]
    assert all("peer=127.0.0.1:" in line for line in server.lines if "event=" in line)
    assert not any("pwd" in line for line in server.lines)  # it may hold secrets


async def test_no_secret_is_logged(state: Path) -> None:
    async with serving(state, "-o", "LogLevel=DEBUG3") as server:
        async with server.connect(keys=[], password="secret") as ssh:
            await ssh.run("true")
        with pytest.raises(nacre.AuthenticationFailed):
            await server.connect(keys=[], password="not-the-secret")
        await server.until("outcome=failure")
        server.process.terminate()
        assert await server.end() == 0
    assert "secret" not in "".join(server.lines)


async def test_quiet(state: Path) -> None:
    async with serving(state, "-o", "LogLevel=QUIET") as server:
        async with server.connect() as ssh:
            await ssh.run("true")
        server.process.terminate()
        await server.end()
    # Not root's: a warning that the users share an account.
    assert [line for line in server.lines if not line.startswith(("listening", "WARNING"))] == []


async def test_policies_and_services(state: Path) -> None:
    async with serving(state) as server:
        async with server.connect("both", password="secret") as ssh:
            assert (await ssh.run("echo in")).stdout == "in\n"
        for wrong in ({"password": "wrong"}, {"keys": [], "password": "secret"}):
            with pytest.raises(nacre.AuthenticationFailed):
                await server.connect("both", **wrong)
        async with server.connect("files") as ssh:
            with pytest.raises(nacre.RequestFailed):
                await ssh.run("true")
        assert "may use sftp and scp only" in await server.until("event=refused .*request=")


async def test_a_change_counts_for_the_next_login(state: Path) -> None:
    async with serving(state) as server:
        async with server.connect():
            pass
        process = await asyncio.create_subprocess_exec(
            NACRE, "user", "set", "alice", "--disable", "--state", state
        )
        assert await process.wait() == 0
        with pytest.raises(nacre.AuthenticationFailed):
            await server.connect()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's server needs an account")
async def test_root_without_an_account_refuses(state: Path) -> None:
    store = UserStore(state / FILE)
    store.change("alice", run_as=None)
    store.close()
    async with serving(state) as server, server.connect() as ssh:
        with pytest.raises(nacre.RequestFailed):
            await ssh.run("true")
        assert "--run-as ACCOUNT" in await server.until("event=refused")
    async with serving(state, "--run-as", "nobody") as server, server.connect() as ssh:
        done = await ssh.run("id -un")
        assert (done.stdout, done.exit_status) == ("nobody\n", 0), done.stderr


async def test_environment_by_allow_list(state: Path) -> None:
    async with serving(state, "-o", "AcceptEnv=NACRE_*") as server, server.connect() as ssh:
        done = await ssh.run("echo $NACRE_A-$OTHER-$USER", env={"NACRE_A": "1", "OTHER": "2"})
        assert done.stdout == "1--alice\n"


async def test_missing_home_is_said(state: Path) -> None:
    store = UserStore(state / FILE)
    store.change("alice", home="/no/such")
    store.close()
    async with serving(state) as server, server.connect() as ssh:
        done = await ssh.run("pwd")
        assert done.stdout == "/\n"
        assert "can't enter the home /no/such:" in done.stderr


async def test_a_home_that_the_account_may_not_enter_is_said(state: Path) -> None:
    root = os.geteuid() == 0
    store = UserStore(state / FILE)
    # Not below the directory of this test, which other accounts can't even look into.
    with tempfile.TemporaryDirectory() as home:
        os.chmod(home, 0o700 if root else 0o600)
        store.change("alice", home=home, run_as="nobody" if root else None)
        store.close()
        async with serving(state) as server, server.connect() as ssh:
            done = await ssh.run("pwd")
            assert (done.stdout, done.exit_status) == ("/\n", 0)
            assert f"can't enter the home {home}:" in done.stderr


async def test_banner_and_reload(state: Path, tmp_path: Path) -> None:
    banner = tmp_path / "banner"
    banner.write_text("first\n")
    async with serving(state, "-o", f"Banner={banner}") as server:
        async with server.connect() as before:
            old = before.server_host_key
            banner.write_text("second\n")
            (state / "ssh_host_ed25519_key").unlink()
            server.process.send_signal(signal.SIGHUP)
            await server.until("event=reloaded")
            async with server.connect() as after:
                assert after.server_host_key != old
            assert (await before.run("echo still here")).stdout == "still here\n"
        banner.unlink()
        server.process.send_signal(signal.SIGHUP)
        assert "can't read" in await server.until("event=error")
        async with server.connect():
            pass


async def test_graceful_stop(state: Path) -> None:
    async with serving(state) as server, server.connect() as ssh:
        async with ssh.process("echo ready; read x; echo $x; exit 5") as process:
            assert await process.stdout.readline() == b"ready\n"
            server.process.terminate()
            await server.until("event=stopping")
            with pytest.raises(nacre.ConnectionLost):
                await server.connect()
            await process.stdin.write(b"last words\n")
            assert await process.stdout.read() == b"last words\n"
            assert await process.wait() == 5
        assert await server.end() == 0


async def listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return True


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_server_that_stops_reloads_nothing(state: Path, workers: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        where = ("--listen", f"127.0.0.1:{free.getsockname()[1]}", "--workers", workers)
    async with serving(state, where=where) as server, server.connect() as ssh:
        async with ssh.process("cat") as process:
            server.process.terminate()
            async with asyncio.timeout(30):
                while await listens(server.port):  # one worker stops before the other
                    pass
            server.process.send_signal(signal.SIGHUP)
            for _ in range(10):  # time for a reload
                await process.stdin.write(b"still here\n")
                assert await process.stdout.readline() == b"still here\n"
            assert not await listens(server.port)
        assert await server.end() == 0
        said = "".join(server.lines)
        assert "event=reloaded" not in said
        assert "event=error" not in said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_second_signal_hurries(state: Path, number: signal.Signals) -> None:
    async with serving(state, "--end-processes") as server, server.connect() as ssh:
        process = await ssh.process("echo $$; exec sleep 60")
        pid = int(await process.stdout.readline())
        server.process.send_signal(number)
        await server.until("event=stopping")
        server.process.send_signal(number)
        assert await server.end() == 0
        assert not Path(f"/proc/{pid}").exists()


async def test_what_outlives_its_session_or_the_server_lives_on(state: Path) -> None:
    pids = []
    try:
        async with serving(state) as server, server.connect() as ssh:
            done = await ssh.run("nohup sleep 60 >/dev/null 2>&1 </dev/null & echo $!")
            pids.append(int(done.stdout))
            assert "outcome=left" in await server.until("event=processes")
            process = await ssh.process("echo $$; exec sleep 60 <&- >&- 2>&-")
            pids.append(int(await process.stdout.readline()))
            for _ in range(2):
                server.process.send_signal(signal.SIGTERM)
                await server.until("event=stopping")
            assert await server.end() == 0
            assert all(Path(f"/proc/{pid}").exists() for pid in pids)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)


async def test_sessions_end_with_their_connection(state: Path) -> None:
    async with serving(state) as server:
        ssh = await server.connect()
        process = await ssh.process("echo $$; exec sleep 60", term="xterm")
        pid = int(await process.stdout.readline())
        ssh.abort()
        async with asyncio.timeout(20):
            while Path(f"/proc/{pid}").exists():  # noqa: ASYNC110 - it is nobody's child here
                await asyncio.sleep(0.01)
        assert "status=HUP" in await server.until("event=exit")


async def test_terminal_with_resize(state: Path) -> None:
    async with serving(state) as server, server.connect() as ssh:
        script = "trap 'stty size; exit 0' WINCH; stty size; while :; do sleep 0.05; done"
        async with ssh.process(script, term="xterm", size=(132, 50)) as process:
            assert await process.stdout.readline() == b"50 132\r\n"
            process.resize(80, 24)
            assert await process.stdout.readline() == b"24 80\r\n"
            assert await process.wait() == 0


async def test_signals_ignored_at_the_start_are_not_in_sessions(state: Path) -> None:
    numbers = (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        async with serving(state) as server, server.connect() as ssh:
            done = await ssh.run("grep SigIgn /proc/$$/status")
            # The C library may ignore signals of its own, which no program can use.
            ignored = int(done.stdout.split()[1], 16)
            assert [number for number in numbers if ignored >> (number - 1) & 1] == []
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


async def test_the_limits_of_sessions_are_those_of_the_servers_parent(state: Path) -> None:
    core, descriptors = (
        resource.getrlimit(number) for number in (resource.RLIMIT_CORE, resource.RLIMIT_NOFILE)
    )
    async with serving(state, "--workers", "2") as server, server.connect() as ssh:
        process = await ssh.process("read x; ulimit -Sc; ulimit -Hc; ulimit -Sn")
        await process.stdin.write(b"x\n")
        shown = (await process.stdout.read()).split()
        # ulimit counts blocks of 512 bytes.
        blocks = [n if n == resource.RLIM_INFINITY else n // 512 for n in core]
        numbers = [resource.RLIM_INFINITY if one == b"unlimited" else int(one) for one in shown]
        assert numbers == [*blocks, descriptors[0]]
        pids = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text()
        for pid in (str(server.process.pid), *pids.split()):
            limits = Path(f"/proc/{pid}/limits").read_text()
            assert re.search(r"Max core file size +0 ", limits)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root sees the descriptors of a server")
async def test_nothing_grows(state: Path) -> None:
    def descriptors() -> int:
        return len(os.listdir(f"/proc/{server.process.pid}/fd"))

    async def log_in() -> None:
        async with server.connect() as ssh:
            assert (await ssh.run("echo x")).stdout == "x\n"

    async with serving(state, "--gates", "0", "-o", "MaxStartups=100") as server:
        # The store opens its file twice at most.
        for _ in range(3):
            await asyncio.gather(*(log_in() for _ in range(20)))
        before = descriptors()
        for _ in range(4):
            await asyncio.gather(*(log_in() for _ in range(10)))
        await log_in()
        async with asyncio.timeout(30):
            while descriptors() > before:  # noqa: ASYNC110 - its socket closes when it likes
                await asyncio.sleep(0.01)
        names = sorted(status["Name"] for status in server.statuses())
        assert names == ["nacre-spare", "nacre-template"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes other accounts")
async def test_system_account(state: Path, system_account: SystemAccount, tmp_path: Path) -> None:
    system_account.authorize(f"{KEY.public}\n")
    async with serving(state, "--users", "system") as server:
        async with server.connect(system_account.name) as ssh:
            done = await ssh.run("id -un; pwd; echo $HOME $USER $SHELL; cat /etc/shadow")
            home = str(system_account.home)
            assert done.stdout.splitlines() == [
                *[system_account.name, home, f"{home} {system_account.name} /bin/sh"]
            ]
            assert "denied" in done.stderr
            done = await ssh.run("tty; id -un; stat -c %U $(tty)", term="xterm")
            assert done.stdout.split()[1:] == [system_account.name] * 2
        async with server.connect(
            system_account.name, keys=[], password=system_account.password
        ) as ssh:
            assert (await ssh.run("id -un")).stdout.strip() == system_account.name
        with pytest.raises(nacre.AuthenticationFailed):
            await server.connect("root", keys=[], password="x")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes other accounts")
@pytest.mark.parametrize(
    ("option", "by_key", "by_password"),
    [
        ("PasswordAuthentication=no", True, True),  # by keyboard-interactive
        ("PubkeyAuthentication=no", False, True),
        ("AllowUsers=root nacre-*", True, True),
        ("AllowUsers=nacre-*@192.0.2.0/24", False, False),
        ("DenyGroups=nacre-*", False, False),
    ],
)
async def test_words_about_users(
    state: Path, system_account: SystemAccount, option: str, by_key: bool, by_password: bool
) -> None:
    system_account.authorize(f"{KEY.public}\n")
    async with serving(state, "--users", "system", "-o", option) as server:
        ways: list[tuple[bool, dict[str, Any]]] = [
            (by_key, {}),
            (by_password, {"keys": [], "password": system_account.password}),
        ]
        for allowed, shown in ways:
            try:
                async with server.connect(system_account.name, **shown) as ssh:
                    assert allowed
                    assert (await ssh.run("id -un")).stdout.strip() == system_account.name
            except nacre.AuthenticationFailed:
                assert not allowed


@pytest.mark.parametrize(
    ("option", "by_key", "by_password"),
    [
        ("PermitRootLogin=yes", True, True),
        ("PermitRootLogin=prohibit-password", True, False),
        ("PermitRootLogin=no", False, False),
    ],
)
async def test_root_by_another_name(
    state: Path, second_root: SystemAccount, option: str, by_key: bool, by_password: bool
) -> None:
    second_root.authorize(f"{KEY.public}\n")
    async with serving(state, "--users", "system", "-o", option) as server:
        ways: list[tuple[bool, dict[str, Any]]] = [
            (by_key, {}),
            (by_password, {"keys": [], "password": second_root.password}),
        ]
        for allowed, shown in ways:
            try:
                async with server.connect(second_root.name, **shown):
                    assert allowed
            except nacre.AuthenticationFailed:
                assert not allowed


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes other accounts")
async def test_a_key_that_forces_internal_sftp(state: Path, system_account: SystemAccount) -> None:
    forced = 'command="internal-sftp -R -d /etc -P readlink -l INFO"'
    system_account.authorize(f"{forced} {KEY.public}\n")
    async with serving(state, "--users", "system") as server:
        async with server.connect(system_account.name) as ssh:
            async with ssh.sftp() as sftp:
                assert await sftp.realpath(".") == "/etc"
                assert await sftp.read_bytes("passwd") == Path("/etc/passwd").read_bytes()
                await sftp.stat("passwd")
                with pytest.raises(PermissionDenied):
                    await sftp.mkdir("/tmp/new")
                with pytest.raises(PermissionDenied):
                    await sftp.readlink("/proc/self/exe")
            done = await ssh.run("true")
            assert (done.exit_status, done.stderr) == (1, "nacre: only sftp is served here\n")
        await server.until("event=closed")
    log = "".join(server.lines)
    assert re.search(r"level=info event=file .* op=close path=passwd read=[1-9]\d* written=0", log)
    assert re.search(r"event=refused .* request=mkdir", log)
    assert re.search(r"event=refused .* request=readlink", log)
    assert "op=stat" not in log


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes other accounts")
async def test_files_of_a_system_account(
    state: Path, system_account: SystemAccount, tmp_path: Path
) -> None:
    system_account.authorize(f"{KEY.public}\n")
    home = str(system_account.home)
    async with serving(state, "--users", "system", "--gates", "0") as server:
        async with server.connect(system_account.name) as ssh, ssh.sftp() as sftp:
            assert await sftp.realpath(".") == home
            async with await sftp.open("mine", "wb") as file:
                await file.write(b"x" * 3_000_000)
            assert Path(home, "mine").owner() == system_account.name
            assert (await sftp.stat("/etc/passwd")).st_size == os.stat("/etc/passwd").st_size
            for path in ("/etc/shadow", "/etc/gshadow"):
                with pytest.raises(PermissionError):
                    await sftp.open(path, "rb")
            (status,) = (one for one in server.statuses() if one["Name"] == "nacre-files")
            assert status["NoNewPrivs"] == "1"
            assert status["Seccomp"] == ("2" if has_filters() else "0")
            assert {int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff")} == {0}
        system_account.authorize(f'command="echo forced" {KEY.public}\n')
        async with server.connect(system_account.name) as ssh:
            assert (await ssh.run("true")).stdout == "forced\n"
            with pytest.raises(nacre.NacreError):
                async with ssh.sftp():
                    pass


async def test_a_kernel_without_sandboxes_is_in_the_log_once(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patch = "from nacre.daemon.sandbox import rules\nrules.PROCESSORS = {}\n"
    (tmp_path / "sitecustomize.py").write_text(patch)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    async with serving(state, "--workers", "2") as server:
        server.process.terminate()
        await server.end()
    (line,) = [line for line in server.lines if "event=sandbox" in line]
    assert 'lacks="no filter of system calls (seccomp) and no Landlock (version 2)"' in line


async def test_files_in_the_server(state: Path, tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(b"to read")
    async with serving(state) as server:
        async with server.connect() as ssh, ssh.sftp() as sftp:
            # As with sshd, sftp shows a user with a shell what the shell shows.
            here = (await ssh.run("pwd")).stdout.strip()
            assert await sftp.realpath(".") == here == str(tmp_path)
            async with await sftp.open("there", "rb") as file:
                assert await file.read() == b"to read"
            assert (await sftp.stat("/etc/passwd")).st_size == os.stat("/etc/passwd").st_size
            assert (await ssh.run(f"cat {here}/there")).stdout == "to read"
        store = UserStore(state / FILE)
        store.change("alice", root=str(tmp_path.parent))
        async with server.connect() as ssh, ssh.sftp() as sftp:
            # A root confines; the session starts in the home, which lies below it.
            assert await sftp.realpath(".") == f"/{tmp_path.name}"
            assert (await sftp.stat("there")).st_size == 7
            with pytest.raises(FileNotFoundError):
                await sftp.stat("/etc/passwd")
        store.change("files", home=str(tmp_path / "none"))
        store.close()
        async with server.connect("files") as ssh:
            with pytest.raises(nacre.NacreError):
                async with ssh.sftp():
                    pass
        await server.until("files can't be served")


async def test_without_descriptors_the_log_has_lines_and_no_traceback(state: Path) -> None:
    """They run out while strangers connect; the server recovers when these have left."""
    async with serving(state, "--gates", "0", "-o", "MaxStartups=1000") as server:
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (40, 40))
        strangers = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(60)]
        line = await server.until("Too many open files")
        assert "level=error event=error" in line
        for _, writer in strangers:
            writer.close()
        async with asyncio.timeout(20):
            while True:
                try:
                    async with server.connect() as ssh:
                        assert (await ssh.run("echo x")).stdout == "x\n"
                    break
                except (nacre.NacreError, OSError):
                    await asyncio.sleep(0.1)
        server.process.terminate()
        await server.end()
        assert not [line for line in server.lines if "Traceback" in line]


async def test_a_root_that_became_unsafe_serves_no_session(state: Path, tmp_path: Path) -> None:
    async with serving(state) as server:
        (tmp_path / "files").symlink_to(state)
        async with server.connect("files") as ssh:
            with pytest.raises(nacre.NacreError):
                async with ssh.sftp():
                    pass
        line = await server.until("event=refused .*request=subsystem")
        assert "shares files with the state directory" in line


async def test_a_server_without_standard_streams_serves(state: Path, tmp_path: Path) -> None:
    """No socket gets the number of one, where a stray print would write."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    words = f"{NACRE} serve --state {state} --listen 127.0.0.1:{port}"
    server = await asyncio.create_subprocess_shell(f"exec {words} <&- >&- 2>&-")
    try:
        async with asyncio.timeout(30):
            while True:
                try:
                    ssh = await nacre.connect(
                        *("127.0.0.1", port), user="alice", keys=[KEY], trust=nacre.AnyHostKey()
                    )
                    break
                except nacre.ConnectFailed:
                    await asyncio.sleep(0.05)
            async with ssh:
                assert (await ssh.run("echo x; echo y >&2")).stdout == "x\n"
        if os.geteuid() == 0:
            files = {os.readlink(f"/proc/{server.pid}/fd/{number}") for number in range(3)}
            assert files == {"/dev/null"}
    finally:
        server.terminate()
        async with asyncio.timeout(20):
            assert await server.wait() == 0


async def test_what_can_not_start(state: Path) -> None:
    async def fails(*arguments: str) -> tuple[int | None, str]:
        process = await asyncio.create_subprocess_exec(
            NACRE,
            "serve",
            "--state",
            state,
            *arguments,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(60):
            _, said = await process.communicate()
        return process.returncode, said.decode()

    async with serving(state) as server:
        status, said = await fails("--listen", f"127.0.0.1:{server.port}")
        assert status == 1
        assert "in use" in said
        assert "--listen" in said
    status, said = await fails("-o", "Banner=/no/such/file")
    assert (status, "Banner" in said) == (1, True)
    status, said = await fails("--run-as", "no-such-account")
    assert (status, "no account" in said) == (1, True)
    status, said = await fails("-o", "AllowGroups=wheel")
    assert (status, "--users system" in said) == (1, True)
    store = UserStore(state / FILE)
    store.change("files", home=str(state.parent))
    store.close()
    for workers in "12":
        status, said = await fails("--workers", workers)
        assert (status, "shares files with the state directory" in said) == (1, True)
    status, said = await fails("-o", "MaxSesions=3")
    assert status == 2
    assert "did you mean MaxSessions?" in said
    shutil.rmtree(state)
    state.touch()
    status, said = await fails("--listen", "127.0.0.1:0")
    assert (status, "--state" in said) == (1, True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root serves files as another account")
@pytest.mark.parametrize("other", [False, True])
async def test_file_operations_are_in_the_log(
    state: Path, system_account: SystemAccount, other: bool
) -> None:
    store = UserStore(state / FILE)
    run_as, name = (system_account.name, "its file") if other else ("root", "root's file")
    store.change("alice", root=str(system_account.home), run_as=run_as)
    store.close()
    async with serving(state, "-o", "LogLevel=VERBOSE") as server:
        async with server.connect() as ssh, ssh.sftp() as sftp:
            async with await sftp.open(name, "wb") as file:
                await file.write(bytes(3000))
            with pytest.raises(FileNotFoundError):
                await sftp.stat("none")
        line = await server.until("op=close")
        assert "user=alice" in line
        assert "level=verbose" in line
        assert f'path="{name}" read=0 written=3000 outcome=success' in line
        assert 'outcome="No such file or directory"' in await server.until("op=stat path=none")
        async with server.connect() as ssh:
            done = await ssh.run(f'scp -t "{name}"', input="C0644 5 x\nhello\0")
            assert done.exit_status == 0
        line = await server.until("op=upload")
        assert f'path="{name}" written=5 outcome=success' in line


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_log_that_nobody_reads_stops_nobody(state: Path, workers: str) -> None:
    """Each connection of a stranger is logged, and the pipe holds 64 KiB."""
    async with serving(state, "--workers", workers, "-o", "MaxStartups=1000") as server:
        assert server.process.stderr is not None
        async with server.connect() as ssh:
            echo = await ssh.process("cat")

            async def answers() -> None:
                await echo.stdin.write(b"x\n")
                async with asyncio.timeout(30):
                    assert await echo.stdout.readline() == b"x\n"

            await answers()
            strangers = []
            for _ in range(450):
                _, writer = await asyncio.open_connection("127.0.0.1", server.port)
                writer.write(b"SSH-2.0-" + b"x" * 200 + b"\r\n" + bytes(100))
                strangers.append(writer)
                await answers()
            for writer in strangers:
                writer.close()
            await answers()
        server.process.terminate()
        # The test does not read: asyncio has taken what its buffer holds.
        async with asyncio.timeout(20):
            while (status := process_status(server.process.pid)) not in "ZX":  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert status in "ZX"


def process_status(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "X"
