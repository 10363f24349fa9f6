"""The API without await."""

from __future__ import annotations

import inspect
import io
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

import nacre
import nacre.blocking
from nacre.blocking.background import background
from nacre.protocol.requests import Request
from nacre.server.serving import Serving

PASSWORD = "open sesame"


def handle(session: nacre.blocking.Session) -> int | None:
    match session.command:
        case b"cat":
            shutil.copyfileobj(session.stdin, session.stdout)
        case b"exit 7":
            return 7
        case b"raise":
            raise ValueError("as asked")
        case b"hang":
            session.stdin.read()
            session.wait_closed()
        case b"kill":
            session.exit_signal("TERM")
        case b"size":
            sizes: list[int] = []
            resized = threading.Event()

            def note(terminal: nacre.Terminal) -> None:
                sizes.append(terminal.columns)
                resized.set()

            session.on_resize = note
            session.stdout.write(b"ready\n")
            resized.wait(30)
            session.stdout.write(f"{sizes}".encode())
        case _:
            for line in session.stdin:
                session.stdout.write(b"> " + line)
            session.stderr.write(b"done")
    return None


@pytest.fixture(scope="module")
def server() -> Iterator[nacre.blocking.Server]:
    with nacre.blocking.listen(
        host_keys=[nacre.generate("ssh-ed25519")],
        policy=nacre.Users({"alice": PASSWORD}),
        handler=handle,
        log=lambda record: None,
    ) as server:
        yield server


def client(server: nacre.blocking.Server, **options: Any) -> nacre.blocking.Connection:
    options = {"user": "alice", "password": PASSWORD, "trust": nacre.AnyHostKey(), **options}
    return nacre.blocking.connect("127.0.0.1", server.port, keys=[], agent=False, **options)


@pytest.fixture
def ssh(server: nacre.blocking.Server) -> Iterator[nacre.blocking.Connection]:
    with client(server) as connection:
        yield connection


def test_run_returns_what_a_command_printed(ssh: nacre.blocking.Connection) -> None:
    data = bytes(range(256)) * 20_000
    assert ssh.run("cat", input=data, encoding=None).stdout == data
    assert ssh.run("exit 7") == nacre.Completed("exit 7", 7, None, "", "")
    assert ssh.run("kill").exit_signal == "TERM"
    assert ssh.run(input="a\nb\n") == nacre.Completed(None, 0, None, "> a\n> b\n", "done")


def test_errors_are_the_same(
    server: nacre.blocking.Server,
    ssh: nacre.blocking.Connection,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.raises(nacre.AuthenticationFailed):
        client(server, password="wrong")
    with pytest.raises(nacre.ProcessFailed):
        ssh.run("exit 7", check=True)
    with pytest.raises(nacre.DeadlineExceeded):
        ssh.run("hang", timeout=0.1)
    assert ssh.run("raise").exit_status == 255
    assert "as asked" in caplog.text


def test_streams_are_files(ssh: nacre.blocking.Connection) -> None:
    with ssh.process("cat") as process:
        assert process.stdin.write(b"one\ntwo\nthree\nrest") == 18
        assert process.stdout.readline() == b"one\n"
        assert next(process.stdout) == b"two\n"
        assert process.stdout.readexactly(3) == b"thr"
        buffer = bytearray(2)
        assert process.stdout.readinto(buffer) == 2
        assert buffer == b"ee"
        process.stdin.close()
        assert process.stdin.closed
        with io.TextIOWrapper(io.BufferedReader(process.stdout)) as text:
            assert text.read() == "\nrest"
        assert process.wait() == 0
        assert process.exit_status == 0


def test_a_stream_that_is_dropped_is_not_waited_for(ssh: nacre.blocking.Connection) -> None:
    process = ssh.process("cat")
    stdout = process.stdout
    del process
    assert stdout.read() == b""


def test_a_shell_has_a_terminal(ssh: nacre.blocking.Connection) -> None:
    with ssh.process("size", term="xterm", size=(80, 24)) as process:
        assert process.stdout.readline() == b"ready\n"
        process.resize(132, 40)
        assert process.stdout.read() == b"[132]"


def test_a_connection_shows_its_state(ssh: nacre.blocking.Connection) -> None:
    assert ssh.peer_version.startswith("SSH-2.0-nacre")
    assert ssh.user == "alice"
    assert ssh.algorithms is not None
    assert ssh.keepalive() > 0
    ssh.rekey()
    assert not ssh.closed
    ssh.close()
    assert ssh.closed
    with pytest.raises(nacre.ConnectionLost):
        ssh.run("exit 7")


def test_threads_may_share_a_connection(ssh: nacre.blocking.Connection) -> None:
    results: list[str] = []
    threads = [
        threading.Thread(target=lambda: results.append(ssh.run("cat", input="x" * 99_999).stdout))
        for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert results == ["x" * 99_999] * 5


def test_an_interrupted_call_stops_the_command(
    server: nacre.blocking.Server, ssh: nacre.blocking.Connection
) -> None:
    connection = server.connections[-1]
    assert isinstance(connection, Serving)

    def interrupt() -> None:
        while not connection.sessions:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        ssh.run("hang")
    assert ssh.run("exit 7").exit_status == 7
    while connection.sessions:
        time.sleep(0.01)


def test_a_slow_policy_stops_no_other_login() -> None:
    arrived = threading.Event()
    release = threading.Event()

    class Slow(nacre.Policy):
        def password(self, user: str, password: str, connection: object) -> bool:
            if user == "slow":
                arrived.set()
                release.wait(30)
            return True

        def session_request(self, session: nacre.Session, request: Request) -> bool:
            return True

    with nacre.blocking.listen(
        host_keys=[nacre.generate("ssh-ed25519")],
        policy=Slow(),
        handler=lambda session: 3,
        log=lambda record: None,
    ) as server:
        thread = threading.Thread(target=lambda: client(server, user="slow").close())
        thread.start()
        assert arrived.wait(30)
        with client(server, user="fast") as ssh:
            assert ssh.run("anything").exit_status == 3
        release.set()
        thread.join(30)
        assert not thread.is_alive()


def test_the_loop_can_not_wait_for_itself(server: nacre.blocking.Server) -> None:
    async def inside() -> None:
        client(server)

    with pytest.raises(RuntimeError, match="own loop"):
        background.call(inside)


@pytest.mark.parametrize("name", ["connect", "listen"])
def test_arguments_are_those_of_the_async_api(name: str) -> None:
    ours, theirs = getattr(nacre.blocking, name), getattr(nacre, name)
    parameters = [
        [(p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()]
        for function in (ours, theirs)
    ]
    assert parameters[0] == parameters[1]


@pytest.mark.parametrize(
    "kind", ["AgentSocket", "Connection", "Listener", "Process", "Server", "Session", "Tunnel"]
)
def test_names_are_those_of_the_async_api(kind: str) -> None:
    ours, theirs = getattr(nacre.blocking, kind), getattr(nacre, kind)
    for name, method in vars(ours).items():
        if not name.startswith("_") and inspect.isfunction(method):
            parameters = inspect.signature(method).parameters
            assert parameters == inspect.signature(getattr(theirs, name)).parameters


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["", "ssh.close()", "import os; os.fork() or print(ssh.user)"])
def test_a_program_ends_by_itself(server: nacre.blocking.Server, ending: str) -> None:
    program = f"""
import nacre, nacre.blocking
ssh = nacre.blocking.connect("127.0.0.1", {server.port}, user="alice", password="{PASSWORD}",
                             trust=nacre.AnyHostKey(), keys=[], agent=False)
process = ssh.process("hang")
print(ssh.run("exit 7").exit_status)
{ending}
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    # What the program left open, development mode would tell.
    checks = ["-X", "dev"] if "close" in ending else ["-W", "ignore"]
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, *checks, "-c", program],
        capture_output=True,
        text=True,
        timeout=30,
        env=environment,
    )
    assert done.stdout.startswith("7\n")
    assert done.stderr == ""
    assert done.returncode == 0
    assert time.monotonic() - start < 20


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda ssh: ssh.run(["ls", "-l"]), "shlex.join"),
        (lambda ssh: ssh.process(["ls", "-l"]), "shlex.join"),
        (lambda ssh: ssh.sftp(["ls", "-l"]), "shlex.join"),
        (lambda ssh: ssh.run("cat", input=["x"]), "input must be bytes, not list"),
        (lambda ssh: ssh.run("cat", env={"A": 1}), "env must have str"),
        (lambda ssh: ssh.process(subsystem=b"sftp"), "subsystem must be str"),
        (lambda ssh: ssh.process("cat").stdin.write("x"), "must be bytes, not str: encode it"),
        (lambda ssh: ssh.process("cat").send_signal(9), "signal must be str, not int"),
        (lambda ssh: ssh.open_connection(b"h", 1), "host must be str, not bytes"),
        (lambda ssh: ssh.forward_local(b"h", 1), "host must be str, not bytes"),
        (lambda ssh: ssh.forward_remote(b"h", 1), "host must be str, not bytes"),
    ],
)
def test_an_argument_of_the_wrong_type_is_named(
    ssh: nacre.blocking.Connection, call: Any, message: str
) -> None:
    with pytest.raises(TypeError, match=message):
        call(ssh)


def test_a_server_that_hangs_up_after_the_answer_leaves_the_answer() -> None:
    def hang_up(session: nacre.blocking.Session) -> None:
        session.stdout.write(b"answer\n")
        session.stdout.drain()
        connection: Any = session.connection
        transport = connection.driver.transport
        connection.loop.call_soon_threadsafe(transport.close)
        session.wait_closed()

    with nacre.blocking.listen(
        host_keys=[nacre.generate("ssh-ed25519")],
        policy=nacre.Users({"alice": PASSWORD}),
        handler=hang_up,
        log=lambda record: None,
    ) as server:
        trust = nacre.AnyHostKey()
        with (
            nacre.blocking.connect(
                "127.0.0.1", server.port, user="alice", password=PASSWORD, agent=False, trust=trust
            ) as ssh,
            pytest.raises(nacre.ConnectionLost) as caught,
        ):
            ssh.run("x", timeout=10)
        assert caught.value.stdout == "answer\n"
