"""Sessions of OpenSSH's client are watched and joined from other terminals."""

from __future__ import annotations

import json
import os
import pwd
import re
import shlex
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from interop.clients import Login
from interop.daemons import Daemon, State, start_nacre
from interop.programs import NACRE, check, environment, require, run
from interop.terminal import Terminal
from interop.test_control import KINDS, running, until, who

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]

ME = pwd.getpwuid(os.geteuid()).pw_name
SHELL = "env PS1='> ' " + shlex.quote(require("bash")) + " --norc -i"


@pytest.fixture
def state(tmp_path: Path, keys: dict[str, Path]) -> State:
    state = State(tmp_path / "state")
    state.add_user("alice", keys=[keys["ed25519"].with_suffix(".pub")])
    return state


@pytest.fixture(params=KINDS.values(), ids=[*KINDS])
def server(request: pytest.FixtureRequest, state: State) -> Iterator[Daemon]:
    with start_nacre(state, *request.param) as server:
        yield server


@pytest.fixture
def gates(state: State) -> Iterator[Daemon]:
    with start_nacre(state) as server:
        yield server


@pytest.fixture
def login_at(tmp_path: Path, keys: dict[str, Path]) -> Callable[[Daemon], Login]:
    """Return what logs alice in at a server."""
    return lambda server: Login(server, "alice", tmp_path, keys["ed25519"])


Shells = Callable[[Daemon], AbstractContextManager[Terminal]]


@pytest.fixture
def shell_at(login_at: Callable[[Daemon], Login]) -> Shells:
    """Return what starts a shell of alice at a server, in a terminal, and waits for its prompt."""

    @contextmanager
    def started(server: Daemon) -> Iterator[Terminal]:
        with Terminal([*login_at(server).ssh(flags=["-tt"]), SHELL]) as user:
            user.expect("> ")
            yield user

    return started


def number(state: State) -> str:
    """Return the number of the only connection, once its session runs."""
    until(lambda: running(state) and running(state)[0][0])
    (one,) = who(state)
    return str(one["id"])


def beside(state: State, program: str, *words: str, id: str = "") -> Terminal:
    """Start ``nacre watch`` or ``nacre join`` in another terminal."""
    return Terminal([*NACRE, program, "--state", state.path, id or number(state), *words])


def test_another_terminal_shows_the_session_and_ends_with_it(
    server: Daemon, state: State, shell_at: Shells
) -> None:
    with shell_at(server) as user:
        user.type("echo be''fore\n")
        user.expect("before\r\n")
        with beside(state, "watch") as watcher:
            watcher.expect(re.escape("\x1b[8;24;80t"))
            watcher.expect(r"before\r\n")
            user.expect(rf"nacre: \d\d:\d\d: {ME} watches this session\r\n")
            server.wait_for(rf"event=watch .*user=alice .*op=begins by={ME} joins=\w+ quiet")
            user.type("echo af''ter\n")
            watcher.expect("after\r\n")
            user.resize(30, 100)
            os.kill(user.process.pid, signal.SIGWINCH)
            watcher.expect(re.escape("\x1b[8;30;100t"))
            user.type("exit 7\n")
            assert user.wait() == 7
            watcher.expect("the session has ended with the exit status 7")
            assert watcher.wait() == 7


def test_what_is_typed_by_who_joins_reaches_the_shell(
    server: Daemon, state: State, shell_at: Shells
) -> None:
    with shell_at(server) as user:
        with beside(state, "join") as other:
            user.expect(f"{ME} has joined this session, and types too\r\n")
            other.expect_raw()
            other.type("echo from the oth''er\r")
            user.expect("from the other\r\n")
            other.expect("from the other\r\n")
            user.type("echo from the us''er\r")
            other.expect("from the user\r\n")
            other.type("\r~.")
            other.expect("you have left")
            assert other.wait() == 0
        user.expect(f"{ME} has left this session\r\n")
        server.wait_for(r"event=watch .*op=ends")
        user.type("echo al''one\r")
        user.expect("alone\r\n")
        user.type("exit\r")
        assert user.wait() == 0


def test_a_command_without_a_terminal_is_watched_as_text(
    server: Daemon, state: State, login_at: Callable[[Daemon], Login]
) -> None:
    login = login_at(server)
    script = r"printf '\033[1mbe\303\244fore\033[0m\n'; read x; echo $x >&2; exit 3"
    with subprocess.Popen(
        [*login.ssh(), script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    ) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        assert client.stderr is not None
        assert client.stdout.readline() == b"\x1b[1mbe\xc3\xa4fore\x1b[0m\n"
        words = [*NACRE, "watch", "--state", str(state.path), "--text", number(state)]
        with subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
        ) as watcher:
            assert watcher.stdout is not None
            assert watcher.stderr is not None
            assert watcher.stdout.readline().decode() == "beäfore\n"
            assert f"{ME} watches this session\n".encode() in client.stderr.readline()
            with beside(state, "join") as other:
                other.expect("the session has no terminal to type at")
                assert other.wait() == 1
            client.stdin.write(b"wrong\n")
            client.stdin.close()
            assert client.wait(20) == 3
            told = watcher.stderr.read()
            assert b"wrong\n" in told
            assert b"ended with the exit status 3" in told
            assert watcher.wait(20) == 3


def test_the_server_may_allow_nobody_to_watch(state: State, shell_at: Shells) -> None:
    with (
        start_nacre(state, "--no-watch") as server,
        shell_at(server),
    ):
        done = run([*NACRE, "watch", "--state", state.path, number(state)])
        assert done.returncode == 1
        assert b"started with --no-watch" in done.stderr


def test_who_watches_quietly_must_be_allowed_to(
    server: Daemon, state: State, shell_at: Shells
) -> None:
    with shell_at(server):
        done = run([*NACRE, "watch", "--quiet", "--state", state.path, number(state)])
        assert done.returncode == 1
        assert b"--quiet-watch" in done.stderr


def test_a_quiet_watcher_is_in_the_log_alone(state: State, shell_at: Shells) -> None:
    with (
        start_nacre(state, "--quiet-watch") as server,
        shell_at(server) as user,
    ):
        with beside(state, "watch", "--quiet") as watcher:
            watcher.expect("> ")
            server.wait_for(r"event=watch .*op=begins .*quiet=True")
            watcher.type("q")
            assert watcher.wait() == 0
        server.wait_for(r"event=watch .*op=ends")
        user.type("exit\n")
        user.wait()
        assert "watches" not in user.shown


def test_several_sessions_of_a_connection_have_channels(
    gates: Daemon, state: State, login_at: Callable[[Daemon], Login], tmp_path: Path
) -> None:
    login = login_at(gates)
    path = Path(tmp_path, "s")
    master = login.ssh(f"ControlPath={path}", "ControlMaster=yes", flags=["-tt"])
    other = login.ssh(f"ControlPath={path}", flags=["-tt"])
    with Terminal([*master, "echo first; exec cat"]) as one:
        one.expect("first")
        with Terminal([*other, "echo second; exec cat"]) as two:
            two.expect("second")
            done = run([*NACRE, "watch", "--text", "--state", state.path, number(state)])
            assert done.returncode == 1
            found = re.search(rb"has (\d+) \(echo first; .*\), (\d+) \(echo second;", done.stderr)
            assert found is not None
            with beside(state, "watch", "--channel", found[2].decode()) as watcher:
                watcher.expect("second")
                two.type("\x04")
                two.wait()
                assert watcher.wait() == 0
            assert "first" not in watcher.shown


def test_what_is_not_there_is_said(gates: Daemon, state: State) -> None:
    for words in (["watch", "7.7"], ["watch", "7.7", "--channel", "0"]):
        done = run([*NACRE, *words, "--state", state.path])
        assert done.returncode == 1
        assert b"there is no connection 7.7" in done.stderr
    done = run([*NACRE, "join", "7.7", "--state", state.path])
    assert done.returncode == 2
    assert b"a terminal is needed" in done.stderr


def test_a_watcher_that_is_stopped_slows_nobody_and_goes_on_later(
    server: Daemon, state: State, shell_at: Shells
) -> None:
    with shell_at(server) as user, beside(state, "watch") as watcher:
        watcher.expect("> ")
        user.expect("watches this session")
        os.kill(watcher.process.pid, signal.SIGSTOP)
        try:
            user.type("head -c 2000000 /dev/zero | tr '\\0' x | fold -w 79; echo do''ne\n")
            user.expect("done\r\n")
        finally:
            os.kill(watcher.process.pid, signal.SIGCONT)
        watcher.expect("done\r\n")
        # Not all of it: what comes behind a gap is drawn anew.
        assert len(watcher.shown) < 1_000_000
        assert watcher.shown.count("\x1b[3J") > 1
        user.type("exit 4\n")
        user.wait()
        assert watcher.wait() == 4


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def test_a_watcher_that_is_killed_leaves_nothing_behind(
    server: Daemon, state: State, shell_at: Shells
) -> None:
    with shell_at(server) as user:
        id = number(state)
        (one,) = who(state)
        before = descriptors(one["process"]), descriptors(server.pid)
        for _ in range(3):
            with beside(state, "join", id=id) as other:
                user.expect("has joined this session")
                other.expect_raw()
                other.type("echo ty''ped\r")
                user.expect("typed\r\n")
                other.process.kill()
            user.expect("has left this session")
        # The server may have had the end of what was asked last, when they were counted first.
        until(lambda: descriptors(one["process"]) <= before[0])
        until(lambda: descriptors(server.pid) <= before[1])
        user.type("exit\n")
        assert user.wait() == 0


def test_watchers_of_a_process_that_is_killed_are_told(
    gates: Daemon, state: State, shell_at: Shells
) -> None:
    with shell_at(gates) as user:
        with beside(state, "watch") as one, beside(state, "join") as two:
            user.expect("has joined")
            one.expect("> ")
            two.expect("> ")
            (session,) = who(state)
            os.kill(session["process"], signal.SIGKILL)
            for watcher in (one, two):
                watcher.expect("the process of the session is gone")
                assert watcher.wait() == 255
        assert user.wait() == 255


def test_a_client_that_leaves_ends_the_watch(
    server: Daemon, state: State, shell_at: Shells
) -> None:
    with shell_at(server) as user, beside(state, "join") as other:
        user.expect("has joined")
        user.process.kill()
        other.expect("the session has ended, by a signal or because its client has left")
        assert other.wait() == 255


def test_who_watches_is_in_the_audit(state: State, shell_at: Shells) -> None:
    with (
        start_nacre(state, "--audit") as server,
        shell_at(server) as user,
        beside(state, "join") as other,
    ):
        user.expect("has joined")
        found = check([*NACRE, "audit", "--state", state.path, "--event", "watch", "--json"])
        (event,) = [json.loads(line) for line in found.splitlines()]
        assert (event["user"], event["outcome"]) == ("alice", "success")
        other.expect_raw()
        other.type("\r~.")
        other.wait()


def test_what_is_typed_by_others_is_in_the_recording_with_their_name(
    state: State, login_at: Callable[[Daemon], Login], tmp_path: Path
) -> None:
    directory = tmp_path / "recordings"
    recorder = ["--record-user", "daemon"] if os.geteuid() == 0 else []
    with start_nacre(state, "--record", str(directory), *recorder) as server:
        login = login_at(server)
        script = "read x; read -sp 'Pass''word: ' y; echo; echo $x ${#y}"
        bash = f"{require('bash')} -c {shlex.quote(script)}"
        with Terminal([*login.ssh(flags=["-tt"]), bash]) as user:
            with beside(state, "join") as other:
                user.expect("has joined")
                other.expect_raw()
                other.type("open\r")
                other.expect("Password: ")
                other.type("hunter two\r")
                other.expect("open 10\r\n")
                other.wait()
            user.wait()
    (file,) = directory.glob("*/*")
    _, *lines = check([*NACRE, "replay", "--cast", file]).splitlines()
    notes = [json.loads(str(json.loads(line)[2])) for line in lines if json.loads(line)[1] == "n"]
    assert notes[0] == {"event": "watch", "op": "begins", "by": ME, "joins": True}
    typed = [one for one in notes if one["event"] == "typed"]
    assert {one["by"] for one in typed} == {ME}
    assert "".join(one.get("text", "") for one in typed) == "open\r"
    assert sum(one["bytes"] for one in typed if "text" not in one) == len("hunter two\r")
    assert b"hunter" not in file.read_bytes()


def test_a_full_screen_program_draws_itself_again_for_who_comes_late(
    gates: Daemon, state: State, login_at: Callable[[Daemon], Login]
) -> None:
    script = (
        "trap 'printf drawn' WINCH; head -c 100000 /dev/zero | tr '\\0' x; echo; echo rea''dy; "
        "while :; do read -t 1 x; done"
    )
    bash = f"{require('bash')} -c {shlex.quote(script)}"
    login = login_at(gates)
    with Terminal([*login.ssh(flags=["-tt"]), bash]) as user:
        user.expect("ready\r\n")
        with beside(state, "watch") as watcher:
            watcher.expect("drawn")
            user.expect("drawn")
