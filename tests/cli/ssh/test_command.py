"""The installed program against a server in this process."""

import asyncio
import contextlib
import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios

import pytest

import nacre
from nacre.keys import dump_private
from nacre.keys.fingerprint import randomart
from parties import until

pytestmark = pytest.mark.slow

HOST_KEY = nacre.generate("ssh-ed25519")
USER_KEY = nacre.generate("ssh-ed25519")
PROGRAM = (sys.executable, "-c", "from nacre.cli.ssh.command import main; main()")
ON_TERMINAL = (
    sys.executable,
    "-c",
    "import os; os.login_tty(0); from nacre.cli.ssh.command import main; main()",
)
TRACE = (sys.executable, "-c", "from nacre.cli.main import main; main()", "trace")
DEADLINE = 30


class Served:
    """A server for one test, and the client's files."""

    def __init__(self, server, policy, home):
        self.server = server
        self.policy = policy
        self.port = server.port
        self.home = home
        self.known_hosts = home / ".ssh" / "known_hosts"

    def words(self, *words, user="alice"):
        return ("-F", "none", "-p", str(self.port), "-l", user, "127.0.0.1", *words)

    async def ssh(self, *options, command=(), input=b"", program=PROGRAM, user="alice"):
        """Return exit status, output and standard error."""
        process = await asyncio.create_subprocess_exec(
            *program,
            *options,
            *self.words(*command, user=user),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self.environment(),
            start_new_session=True,
        )
        try:
            out, err = await asyncio.wait_for(process.communicate(input), DEADLINE)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return process.returncode, out, err.decode()

    def environment(self, **more):
        keep = {k: v for k, v in os.environ.items() if not k.startswith(("SSH_", "DISPLAY"))}
        return keep | {"HOME": str(self.home), "TERM": "vt100", "COLOR": "blue"} | more


async def handle(session):
    """A tiny shell: what the tests ask for by name."""
    command = (session.command or b"").decode()
    if command == "cat":
        while data := await session.stdin.read(1 << 20):
            await session.stdout.write(data)
        return 0
    if command == "both":
        await session.stdout.write(b"out\x00\xff\n")
        await session.stderr.write(b"err\n")
        return 7
    if command == "env":
        await session.stdout.write(json.dumps(session.environment).encode())
        return 0
    if command == "tty":
        await session.stdout.write(repr(session.terminal and session.terminal.term).encode())
        return 0
    if command == "killed":
        session.exit_signal("TERM")
        return None
    if command == "flood":
        while True:
            await session.stdout.write(bytes(1 << 16))
    if command == "wait":
        await session.stdout.write(b"waiting\n")
        await asyncio.Event().wait()
    if session.command is None and session.terminal:
        return await shell(session)
    await session.stdout.write(f"{session.user}:{session.subsystem}:{command}".encode())
    return 0


async def shell(session):
    sizes: asyncio.Queue[nacre.Terminal] = asyncio.Queue()
    session.on_resize = sizes.put_nowait
    first = session.terminal
    await session.stdout.write(f"size {first.columns}x{first.rows}\r\n$ ".encode())
    resized = asyncio.create_task(tell(sizes, session))
    try:
        while data := await session.stdin.read(100):
            await session.stdout.write(b"<" + data.hex().encode() + b">")
            if b"q" in data:
                return 5
    finally:
        resized.cancel()
    return 0


async def tell(sizes, session):
    while True:
        size = await sizes.get()
        await session.stdout.write(f"size {size.columns}x{size.rows}\r\n".encode())


class Policy(nacre.Users):
    def __init__(self, users):
        super().__init__(users)
        self.logged_in = asyncio.Event()

    def authenticated(self, user, methods, connection):
        self.logged_in.set()

    def session_request(self, session, request):
        return True


@pytest.fixture
async def served(tmp_path):
    (tmp_path / ".ssh").mkdir(mode=0o700)
    key = tmp_path / ".ssh" / "id_ed25519"
    key.write_bytes(dump_private(USER_KEY))
    key.chmod(0o600)
    policy = Policy({"alice": USER_KEY.public, "bob": "open sesame"})
    async with nacre.listen(
        host_keys=[HOST_KEY], policy=policy, handler=handle, accept_env=["COLOR", "LC_*"]
    ) as server:
        result = Served(server, policy, tmp_path)
        result.known_hosts.write_text(f"[127.0.0.1]:{server.port} {HOST_KEY.public}\n")
        yield result


async def test_output_errors_and_status(served):
    status, out, err = await served.ssh(command=["both"])
    assert (status, out, err) == (7, b"out\x00\xff\n", "err\n")


async def test_binary_data_both_ways(served):
    content = os.urandom(5_000_000)
    status, out, err = await served.ssh("-C", "-o", "RekeyLimit=1M", command=["cat"], input=content)
    assert (status, err) == (0, "")
    assert out == content


async def test_a_signal_is_255(served):
    assert (await served.ssh(command=["killed"]))[0] == 255


async def test_a_subsystem(served):
    assert (await served.ssh("-s", command=["sftp"]))[1] == b"alice:sftp:"


async def test_the_command_is_the_words_with_spaces(served):
    assert (await served.ssh(command=["echo", "a  b", "-x"]))[1] == b"alice:None:echo a  b -x"


async def test_environment(served):
    options = ("-o", "SendEnv=CO* NO*", "-o", "SetEnv=LC_A=1 LC_B=3", "-o", "SetEnv=LC_C=2")
    _, out, _ = await served.ssh(*options, command=["env"])
    # Of SetEnv the first counts.
    assert json.loads(out) == {"COLOR": "blue", "LC_A": "1", "LC_B": "3"}


async def test_a_terminal_only_when_it_is_forced(served):
    assert (await served.ssh(command=["tty"]))[1] == b"None"
    _, out, err = await served.ssh("-t", command=["tty"])
    assert out == b"None"
    assert err == "Pseudo-terminal will not be allocated because stdin is not a terminal.\n"
    assert (await served.ssh("-tt", command=["tty"]))[1] == b"'vt100'"


async def test_output_that_nobody_reads(served):
    read, write = os.pipe()
    process = await asyncio.create_subprocess_exec(
        *PROGRAM,
        *served.words("flood"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=write,
        stderr=asyncio.subprocess.PIPE,
        env=served.environment(),
    )
    os.close(write)
    await asyncio.to_thread(os.read, read, 1000)
    os.close(read)
    _, err = await asyncio.wait_for(process.communicate(), DEADLINE)
    assert process.returncode == 255
    assert err == b""


async def test_no_session(served):
    process = await asyncio.create_subprocess_exec(
        *PROGRAM, "-N", *served.words(), env=served.environment(), stderr=asyncio.subprocess.PIPE
    )
    await asyncio.wait_for(served.policy.logged_in.wait(), DEADLINE)
    process.terminate()
    _, err = await asyncio.wait_for(process.communicate(), DEADLINE)
    assert process.returncode == 255
    assert err == b"Killed by signal 15.\n"


async def test_a_signal_that_nohup_switched_off_stays_off(served):
    process = await asyncio.create_subprocess_exec(
        "/bin/sh", "-c", 'trap "" HUP; exec "$@"', "sh", *PROGRAM, *served.words("wait"),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE, env=served.environment(),
    )  # fmt: skip
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), DEADLINE)
    assert line == b"waiting\n"
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGTERM)
    _, err = await asyncio.wait_for(process.communicate(), DEADLINE)
    assert err == b"Killed by signal 15.\n"


async def test_an_unknown_host_without_anyone_to_ask(served):
    served.known_hosts.unlink()
    status, out, err = await served.ssh("-o", "BatchMode=yes", command=["both"])
    assert (status, out) == (255, b"")
    assert "no ED25519 host key is known for [127.0.0.1]" in err
    assert err.endswith("Host key verification failed.\n")


async def test_accept_new_and_a_changed_key(served):
    served.known_hosts.unlink()
    new = ("-o", "StrictHostKeyChecking=accept-new")
    status, _, err = await served.ssh(*new, command=["both"])
    assert status == 7
    name = f"[127.0.0.1]:{served.port}"
    added = f"Warning: Permanently added '{name}' (ED25519) to the list of known hosts."
    assert added in err
    other = nacre.generate("ssh-ed25519").public
    served.known_hosts.write_text(f"{name} {other}\n")
    status, out, err = await served.ssh(*new, command=["both"])
    assert (status, out) == (255, b"")
    assert "WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!" in err
    assert f"{served.known_hosts}:1" in err
    assert "Host key verification failed." in err


async def test_a_changed_key_that_passes_is_heard_of_even_by_those_who_want_errors_only(served):
    other = nacre.generate("ssh-ed25519").public
    served.known_hosts.write_text(f"[127.0.0.1]:{served.port} {other}\n")
    options = ("-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR")
    status, _, err = await served.ssh(*options, command=["both"])
    assert status == 7
    assert "WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!" in err
    assert f"{served.known_hosts}:1" in err


async def test_denied(served):
    options = ("-o", "BatchMode=yes")
    status, _, err = await served.ssh(*options, command=["both"], user="bob")
    assert status == 255
    expected = "bob@127.0.0.1: Permission denied (publickey,password,keyboard-interactive).\n"
    assert err.endswith(expected)
    _, _, err = await served.ssh("-q", *options, command=["both"], user="bob")
    assert err == ""


async def test_refused_connection(served):
    served.server.close()
    await served.server.wait_closed()
    status, _, err = await served.ssh(command=["both"])
    assert status == 255
    expected = f"ssh: connect to host 127.0.0.1 port {served.port}: Connection refused\n"
    assert err == expected


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["-V"], 0, f"nacre {nacre.__version__}"),
        (["-o", "Prot=2"], 255, "nacre-ssh: Bad configuration option: Prot; did you mean Port?"),
        (["-Z"], 255, "option -Z not recognized"),
    ],
)
async def test_command_lines(served, words, status, said):
    found, _, err = await served.ssh(*words)
    assert found == status
    assert said in err


async def test_questions(served):
    assert (await served.ssh("-G"))[1].decode().splitlines()[:4] == [
        "host 127.0.0.1",
        "user alice",
        "hostname 127.0.0.1",
        f"port {served.port}",
    ]
    assert b"batchmode no  # default\n" in (await served.ssh("-Gv"))[1]
    assert b"aes256-ctr\n" in (await served.ssh("-Q", "cipher"))[1]


async def test_the_users_file_names_the_host_and_what_it_needs(served):
    """The address, the port, the user and the command come from the file alone."""
    config = served.home / ".ssh" / "config"
    config.write_text(f"Host web\n Hostname 127.0.0.1\n Port {served.port}\n User alice\n")
    config.chmod(0o600)
    process = await asyncio.create_subprocess_exec(
        *PROGRAM, "-vv", "-o", "RemoteCommand=echo %n", "web",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env=served.environment(),
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), DEADLINE)
    assert out == b"alice:None:echo web"
    assert f"{config} line 4: User alice" in err.decode()


@pytest.mark.parametrize("tool", ["ssh", "sftp", "scp", "trace"])
def test_each_error_of_a_file_has_a_line_of_its_own(tool, tmp_path):
    config = tmp_path / "config"
    config.write_text("Prot 22\nPort many\n")
    words = ["-F", str(config), *(["h:x", "."] if tool == "scp" else ["h"])]
    program = "from nacre.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, tool, *words],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE, check=False,
    )  # fmt: skip
    first, second = done.stderr.splitlines()
    assert done.returncode == 255
    assert f"{tool}: {config} line 1: Bad configuration option: Prot" in first
    assert f"{tool}: {config} line 2: Port: bad value 'many'" in second


async def test_a_connection_that_the_configuration_refuses(served):
    status, _, err = await served.ssh("-o", "RefuseConnection=use the new host", command=["both"])
    assert (status, err) == (255, "ssh: command line: use the new host\n")


async def test_a_command_here_after_the_login(served):
    mark = served.home / "mark"
    local = ("-o", f"LocalCommand=echo %n %p %r %T > {mark}")
    assert (await served.ssh(*local, command=["both"]))[0] == 7
    assert not mark.exists()
    assert (await served.ssh(*local, "-o", "PermitLocalCommand=yes", command=["both"]))[0] == 7
    assert mark.read_text() == f"127.0.0.1 {served.port} alice NONE\n"


async def test_into_the_background_after_the_login(served):
    """The program ends with status 0 while its session goes on, without its standard input."""
    with open(served.home / "out", "wb") as out:
        process = await asyncio.create_subprocess_exec(
            *PROGRAM, "-f", *served.words("wait"), stdout=out,
            stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=served.environment(),
        )  # fmt: skip
        assert await asyncio.wait_for(process.wait(), DEADLINE) == 0
    await until(lambda: (served.home / "out").read_bytes() == b"waiting\n")
    assert served.policy.logged_in.is_set()
    (one,) = served.server.connections
    assert not one.closed


async def test_a_login_that_fails_is_no_background(served):
    status, _, err = await served.ssh("-f", "-oBatchMode=yes", command=["both"], user="bob")
    assert status == 255
    assert "Permission denied" in err
    status, _, err = await served.ssh("-f")
    assert (status, "Cannot fork into background" in err) == (255, True)


async def test_a_version_with_a_text_behind_it(served):
    _, _, err = await served.ssh("-v", "-o", "VersionAddendum=as asked", command=["both"])
    assert f"debug1: Local version string SSH-2.0-nacre_{nacre.__version__} as asked\n" in err


async def test_the_picture_and_the_hash_of_the_host_key(served):
    options = ("-o", "VisualHostKey=yes", "-o", "FingerprintHash=md5")
    _, _, err = await served.ssh(*options, command=["both"])
    picture = randomart(HOST_KEY.public.blob, "ED25519 256", "md5")
    assert f"Host key fingerprint is {HOST_KEY.public.fingerprint('md5')}\n{picture}\n" in err


async def test_rsa_keys_that_are_too_short(served):
    key = served.home / ".ssh" / "short"
    key.write_bytes(dump_private(nacre.generate("ssh-rsa", bits=2048)))
    key.chmod(0o600)
    options = ("-v", "-o", "RequiredRSASize=3072", "-o", "BatchMode=yes", "-i", str(key))
    status, _, err = await served.ssh(*options, command=["both"])
    assert status == 255
    assert "shorter than 3072 bits" in err
    assert "Permission denied" in err


async def test_known_hosts_that_a_command_prints(served, tmp_path):
    lines = served.known_hosts.read_text()
    served.known_hosts.unlink()
    script = tmp_path / "hosts"
    script.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\nprintf %s "{lines}"\n')
    script.chmod(0o700)
    option = f"KnownHostsCommand={script} %I %H %t %f"
    status, _, _ = await served.ssh("-o", option, "-o", "BatchMode=yes", command=["both"])
    assert status == 7
    name = f"[127.0.0.1]:{served.port}"
    key = HOST_KEY.public
    assert (tmp_path / "asked").read_text().splitlines() == [
        f"ORDER {name} NONE NONE",
        f"HOSTNAME {name} {key.type} {key.fingerprint()}",
    ]
    script.write_text("#!/bin/sh\nexit 3\n")
    status, _, err = await served.ssh("-o", option, command=["both"])
    assert status == 255
    assert "KnownHostsCommand: " in err


async def test_the_host_key_of_this_machine_is_not_checked_if_so_configured(served):
    served.known_hosts.unlink()
    option = ("-o", "NoHostAuthenticationForLocalhost=yes", "-o", "StrictHostKeyChecking=yes")
    assert (await served.ssh(*option, command=["both"]))[0] == 7
    status, _, err = await served.ssh(*option, "-o", "HostKeyAlias=x", command=["both"])
    assert (status, "host key is known for x" in err) == (255, True)


async def test_an_interface_that_is_not_there(served):
    status, _, err = await served.ssh("-B", "none0", command=["both"])
    assert status == 255
    assert err == f"ssh: connect to host 127.0.0.1 port {served.port}: No such device\n"
    assert (await served.ssh("-B", "lo", command=["both"]))[0] == 7


async def test_verbose_names_the_phases(served):
    _, _, err = await served.ssh("-v", command=["both"])
    for text in (
        "debug1: Remote protocol version"[:12],
        "debug1: kex: algorithm: ",
        f"debug1: Server host key: ssh-ed25519 {HOST_KEY.public.fingerprint()}",
        "debug1: Authentication succeeded (publickey).",
        "debug1: Exit status 7",
    ):
        assert text in err


async def test_closed_descriptors_stay_away_from_the_socket(served):
    script = 'exec "$0" "$@" <&- >&-'
    process = await asyncio.create_subprocess_exec(
        "/bin/sh", "-c", script, *PROGRAM, *served.words("both"),
        stderr=asyncio.subprocess.PIPE, env=served.environment(),
    )  # fmt: skip
    _, err = await asyncio.wait_for(process.communicate(), DEADLINE)
    assert (process.returncode, err) == (7, b"err\n")


async def test_trace(served):
    status, out, err = await served.ssh(command=["both"], program=TRACE)
    assert (status, err) == (7, "")
    text = out.decode()
    for number in range(1, 6):
        assert f"Phase {number}: " in text
    assert HOST_KEY.public.fingerprint() in text
    assert "session id: " in text
    assert "\x1b" not in text


async def test_trace_as_json_shows_no_secret(served):
    script = served.home / "askpass"
    script.write_text("#!/bin/sh\necho open sesame\n")
    script.chmod(0o700)
    served.environment = lambda: Served.environment(
        served, SSH_ASKPASS=str(script), SSH_ASKPASS_REQUIRE="force"
    )
    options = ("--json", "-o", "PreferredAuthentications=password")
    status, out, _ = await served.ssh(*options, command=["both"], program=TRACE, user="bob")
    assert status == 7
    assert b"open sesame" not in out
    records = [json.loads(line) for line in out.splitlines()]
    assert [r["phase"] for r in records if r["event"] == "phase"] == [1, 2, 3, 4, 5]
    results = [(r["method"], r["outcome"]) for r in records if r["event"] == "authentication"]
    assert results == [("none", "failure"), ("password", "success")]
    negotiated = next(r for r in records if r["event"] == "negotiated" and r["what"] == "kex")
    assert negotiated["chosen"] in negotiated["client"]
    assert negotiated["why"].startswith("first of the client's list that the server has too")
    assert records[-1]["exit_status"] == 7


async def test_trace_without_a_session(served):
    status, out, _ = await served.ssh("-N", "--json", program=TRACE)
    assert status == 0
    records = [json.loads(line) for line in out.splitlines()]
    assert [r["phase"] for r in records if r["event"] == "phase"] == [1, 2, 3, 4]
    assert not [r for r in records if r.get("name") == "SSH_MSG_CHANNEL_OPEN"]


async def test_trace_that_nobody_reads(served):
    script = '"$@" | head -1'
    process = await asyncio.create_subprocess_exec(
        "/bin/sh", "-c", script, "sh", *TRACE, "--json", *served.words("both"),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=served.environment(),
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), DEADLINE)
    assert len(out.splitlines()) == 1
    assert err == b""


async def test_a_server_does_not_learn_what_its_visitor_is_told(served):
    other = nacre.generate("ssh-ed25519").public
    served.known_hosts.write_text(f"[127.0.0.1]:{served.port} {other}\n")
    status, out, err = await served.ssh("--json", program=TRACE)
    assert status == 255
    assert str(served.known_hosts) in err
    records = [json.loads(line) for line in out.splitlines()]
    last = [r for r in records if r.get("name") == "SSH_MSG_DISCONNECT"][-1]
    assert last["fields"] == {
        "code": 9,
        "description": "host key not verifiable",
        "language": "",
    }


async def test_trace_of_a_failure(served):
    status, out, err = await served.ssh(
        "--json", "-o", "KexAlgorithms=diffie-hellman-group1-sha1", program=TRACE
    )
    assert status == 255
    assert "Unable to negotiate with 127.0.0.1: no matching key exchange method found" in err
    assert "no kex algorithm in common" in json.loads(out.splitlines()[-1])["error"]


class Screen:
    """A terminal with the program on it."""

    def __init__(self, served, *options, user="alice", command=()):
        self.master, slave = pty.openpty()
        self.resize(80, 24)
        self.before = termios.tcgetattr(slave)
        self.slave = os.dup(slave)
        self.process = subprocess.Popen(
            [*ON_TERMINAL, *options, *served.words(*command, user=user)],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=served.environment(),
        )
        os.close(slave)
        self.seen = b""

    def resize(self, columns, rows):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text):
        os.write(self.master, text)

    async def until(self, text):
        """Wait until the screen shows ``text``; what came before is forgotten."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(DEADLINE):
            while text not in self.seen:
                ready = loop.create_future()
                loop.add_reader(self.master, ready.set_result, None)
                try:
                    await ready
                finally:
                    loop.remove_reader(self.master)
                self.seen += os.read(self.master, 10000)
        before, _, self.seen = self.seen.partition(text)
        return before

    def raw(self):
        return not termios.tcgetattr(self.slave)[3] & termios.ICANON

    async def wait(self):
        return await asyncio.to_thread(self.process.wait, DEADLINE)

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def screen(served):
    with contextlib.ExitStack() as stack:

        def make(*options, **more):
            made = Screen(served, *options, **more)
            stack.callback(made.close)
            return made

        yield make


async def test_an_interactive_shell(served, screen):
    terminal = screen()
    await terminal.until(b"size 80x24\r\n$ ")
    assert terminal.raw()
    terminal.type(b"\x03")
    await terminal.until(b"<03>")
    terminal.resize(132, 50)
    await terminal.until(b"size 132x50")
    terminal.type(b"q")
    await terminal.until(b"Connection to 127.0.0.1 closed.")
    assert await terminal.wait() == 5
    assert termios.tcgetattr(terminal.slave) == terminal.before


async def test_escapes(served, screen):
    terminal = screen()
    await terminal.until(b"$ ")
    terminal.type(b"~?")
    await terminal.until(b"Supported escape sequences:\r\n")
    terminal.type(b"~~x\r")
    await terminal.until(b"<")
    terminal.type(b"~#")
    await terminal.until(b"nacre_")
    await terminal.until(b"No forwarded connections are open.")
    terminal.type(b"~R~.")
    await terminal.until(b"~.\r\n")
    assert await terminal.wait() == 255
    assert termios.tcgetattr(terminal.slave) == terminal.before


async def test_no_escapes(served, screen):
    terminal = screen("-e", "none")
    await terminal.until(b"$ ")
    terminal.type(b"~.")
    await terminal.until(b"<7e2e>")
    terminal.type(b"q")
    assert await terminal.wait() == 5


async def test_suspend_and_go_on(served, screen):
    terminal = screen()
    await terminal.until(b"$ ")
    terminal.type(b"~\x1a")
    # A session of its own has no shell that would continue it: a stop of an orphan is refused,
    # so it goes on at once, in raw mode again.
    terminal.type(b"q")
    assert await terminal.wait() == 5
    assert termios.tcgetattr(terminal.slave) == terminal.before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_leaves_the_terminal_as_it_was(served, screen, number):
    terminal = screen()
    await terminal.until(b"$ ")
    terminal.process.send_signal(number)
    await terminal.until(f"Killed by signal {int(number)}.".encode())
    assert await terminal.wait() == 255
    assert termios.tcgetattr(terminal.slave) == terminal.before


async def test_a_lost_connection_leaves_the_terminal_as_it_was(served, screen):
    terminal = screen()
    await terminal.until(b"$ ")
    for connection in served.server.connections:
        connection.abort()
    await terminal.until(b"Connection to 127.0.0.1 closed by remote host")
    assert await terminal.wait() == 255
    assert termios.tcgetattr(terminal.slave) == terminal.before


async def test_passwords_are_asked_for_on_the_terminal(served, screen):
    terminal = screen("-o", "PubkeyAuthentication=no", user="bob", command=["both"])
    await terminal.until(b"(bob@127.0.0.1) Password: ")
    terminal.type(b"wrong\n")
    await terminal.until(b"(bob@127.0.0.1) Password: ")
    terminal.type(b"open sesame\n")
    before = await terminal.until(b"err")
    assert b"sesame" not in before
    assert await terminal.wait() == 7


async def test_a_new_host_is_asked_about(served, screen):
    served.known_hosts.unlink()
    terminal = screen(command=["both"])
    await terminal.until(HOST_KEY.public.fingerprint().encode())
    await terminal.until(b"(yes/no/[fingerprint])? ")
    terminal.type(b"yes\n")
    await terminal.until(b"Warning: Permanently added")
    assert await terminal.wait() == 7
    assert str(HOST_KEY.public) in served.known_hosts.read_text()


async def test_interrupt_at_a_prompt(served, screen):
    terminal = screen("-o", "PreferredAuthentications=password", user="bob", command=["both"])
    await terminal.until(b"bob@127.0.0.1's password: ")
    assert not termios.tcgetattr(terminal.slave)[3] & termios.ECHO
    terminal.type(b"\x03")
    assert await terminal.wait() == -signal.SIGINT
    assert termios.tcgetattr(terminal.slave) == terminal.before


NOT_NEEDED = {
    "argparse",
    "bcrypt",
    "click",
    "cryptography.hazmat.primitives.serialization",
    "cryptography.x509",
    "dataclasses",
    "difflib",
    "encodings.idna",
    "importlib.metadata",
    "nacre.blocking",
    "nacre.daemon",
    "nacre.keys.authorized_keys",
    "nacre.keys.formats.pem",
    "nacre.server",
    "nacre.sftp",
    "nacre.ssh1",
    "rich",
    "shutil",
    "sqlalchemy",
    "tempfile",
}
"""What a session with a command has no use for, and which would take longer than the login."""


@pytest.mark.untraced
async def test_a_session_loads_only_what_it_needs(served):
    program = (sys.executable, "-X", "importtime", *PROGRAM[1:])
    status, out, err = await served.ssh(
        "-oStrictHostKeyChecking=no", command=["x"], program=program
    )
    assert (status, out) == (0, b"alice:None:x")
    loaded = {line.rpartition("|")[2].strip() for line in err.splitlines() if "|" in line}
    assert "nacre.ssh2.engine" in loaded
    assert not loaded & NOT_NEEDED


def test_a_file_that_is_named_has_to_be_there(tmp_path):
    words = ["-F", str(tmp_path / "x"), "h"]
    done = subprocess.run(
        [*PROGRAM, *words], capture_output=True, text=True, timeout=DEADLINE, check=False
    )
    assert done.returncode == 255
    assert done.stderr == (
        f"nacre-ssh: Can't open the configuration file {tmp_path}/x: No such file or directory\n"
    )


@pytest.mark.parametrize(("obscured", "pings"), [("yes", True), ("no", False)])
async def test_pings_hide_when_the_user_types(obscured, pings, served, screen):
    log = served.home / "log"
    terminal = screen("-vvv", "-E", str(log), "-o", f"ObscureKeystrokeTiming={obscured}")
    await terminal.until(b"$ ")
    terminal.type(b"a")
    await terminal.until(b"<61>")
    if pings:
        # Nothing more is typed: the places of the grid are empty.
        await until(lambda: "receive packet: SSH_MSG_PONG" in log.read_text())
    terminal.type(b"q")
    assert await terminal.wait() == 5
    assert ("send packet: SSH_MSG_PING" in log.read_text()) is pings
