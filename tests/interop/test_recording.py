"""Recordings of sessions of OpenSSH's clients: what is in them, and who can change it."""

from __future__ import annotations

import json
import os
import resource
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from interop.clients import Account, Login
from interop.daemons import Daemon, State, start_nacre
from interop.programs import NACRE, check, environment, manage, require, run
from interop.terminal import Terminal

pytestmark = pytest.mark.interop

ROOT = os.geteuid() == 0
RECORDER = ["--record-user", "daemon"] if ROOT else []
KINDS = {"gates": [], "one process": ["--gates", "0"], "workers": ["--workers", "2"]}
ODD = rb"printf '\377\303'; printf '\251 \200 end\n'; echo wrong >&2; printf '\342\202'; exit 7"


@pytest.fixture
def state(tmp_path: Path, keys: dict[str, Path]) -> State:
    state = State(tmp_path / "state")
    state.add_user("alice", keys=[keys["ed25519"].with_suffix(".pub")])
    return state


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "recordings"


@pytest.fixture
def server(state: State, directory: Path) -> Iterator[Daemon]:
    with start_nacre(state, "--record", str(directory), *RECORDER) as server:
        yield server


@pytest.fixture
def login(server: Daemon, tmp_path: Path, keys: dict[str, Path]) -> Login:
    return Login(server, "alice", tmp_path, keys["ed25519"])


def files(directory: Path) -> list[Path]:
    return sorted(directory.glob("*/*"))


def only(directory: Path) -> Path:
    (file,) = files(directory)
    return file


def replayed(file: Path, *options: str | Path, status: int = 0) -> bytes:
    done = run([*NACRE, "replay", *options, file])
    assert done.returncode == status, done.stderr
    return done.stdout


def events(file: Path, *options: str | Path) -> list[list[object]]:
    """Return the events of a recording, as any player reads them."""
    _, *lines = replayed(file, "--cast", *options).splitlines()
    return [json.loads(line) for line in lines]


def header(file: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads(replayed(file, "--cast").splitlines()[0])
    return found


def processes(server: Daemon, name: str) -> list[int]:
    """Return the processes of a server by their name."""
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        with suppress(OSError):
            pairs = (line.split(":", 1) for line in status.read_text().splitlines())
            told = {key: one.strip() for key, one in pairs}
            if told["Name"] == name and told["PPid"] == str(server.pid):
                found.append(int(told["Pid"]))
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_the_output_of_a_command_is_there_byte_for_byte(
    kind: str, state: State, directory: Path, tmp_path: Path, keys: dict[str, Path]
) -> None:
    with start_nacre(state, "--record", str(directory), *RECORDER, *KINDS[kind]) as server:
        login = Login(server, "alice", tmp_path, keys["ed25519"])
        done = run([*login.ssh(), ODD.decode("ascii")])
        # Written before the client has the exit status.
        file = only(directory)
        assert done.returncode == 7
        assert done.stdout == b"\xff\xc3\xa9 \x80 end\n\xe2\x82"
        out = replayed(file, "--text")
        assert sorted(out) == sorted(done.stdout + b"wrong\n")
        assert out.replace(b"wrong\n", b"") == done.stdout
        found = events(file)
        assert found[-1][1:] == ["x", "7"]
        assert header(file)["command"] == ODD.decode("ascii")


def test_a_command_at_a_terminal(login: Login, directory: Path) -> None:
    done = run([*login.ssh(flags=["-tt"]), r"printf 'a\303\244\n\033[1m\342'; printf '\202\254'"])
    assert replayed(only(directory), "--text") == done.stdout == b"a\xc3\xa4\r\n\x1b[1m\xe2\x82\xac"
    assert [event[1] for event in events(only(directory))] == ["o"] * (
        len(events(only(directory))) - 1
    ) + ["x"]


def test_a_shell_its_sizes_and_no_secret(state: State, login: Login, directory: Path) -> None:
    manage("user", "set", "alice", "--state", state.path, "--record", "input")
    with Terminal(login.ssh(flags=["-tt"]), rows=30, columns=100) as terminal:
        terminal.type("PS1=; PROMPT_COMMAND=; echo rea''dy\n")
        terminal.expect("ready\r\n")
        terminal.type("exec sh\n")
        terminal.type("PS1=; echo pla''in\n")
        terminal.expect("plain\r\n")
        terminal.expect_size(30, 100)
        terminal.resize(20, 90)
        os.kill(terminal.process.pid, signal.SIGWINCH)
        terminal.expect_size(20, 90)
        terminal.type(
            "stty -echo; echo as''ked; read secret; stty echo; echo go''t $secret | tr a-z A-Z\n"
        )
        terminal.expect("asked\r\n")
        terminal.type("hunter two\n")
        terminal.expect("GOT HUNTER TWO\r\n")
        terminal.type("exit\n")
        terminal.wait()
    file = only(directory)
    assert header(file)["term"] == {"cols": 100, "rows": 30, "type": "xterm"}
    # The system may tell ssh twice: of the new size, and of the signal.
    assert {event[2] for event in events(file) if event[1] == "r"} == {"90x20"}
    assert b"hunter" not in file.read_bytes()
    assert b"GOT HUNTER TWO" in replayed(file, "--text")
    typed = "".join(str(event[2]) for event in events(file) if event[1] == "i")
    # What a line editor reads with the echo off is no input either; it is in the output.
    assert "stty size\n" in typed
    assert "hunter" not in typed


def test_a_prompt_of_bash_gives_no_secret_away(state: State, login: Login, directory: Path) -> None:
    manage("user", "set", "alice", "--state", state.path, "--record", "input")
    script = "read x; read -sp 'Passw''ord: ' y; echo; echo $x ${#y}; read z"
    with Terminal([*login.ssh(flags=["-tt"]), f"{require('bash')} -c {shlex.quote(script)}"]) as it:
        it.type("open\n")
        it.expect("Password: ")
        it.type("hunter two\n")
        it.expect("open 10\r\n")
        it.type("last\n")
        it.wait()
    file = only(directory)
    typed = "".join(str(event[2]) for event in events(file) if event[1] == "i")
    assert typed == "open\nlast\n"
    assert b"hunter" not in file.read_bytes()


def test_input_is_recorded_on_demand_alone(state: State, login: Login, directory: Path) -> None:
    run([*login.ssh(), "cat >/dev/null"], input=b"typed\n")
    assert [event[1] for event in events(only(directory))] == ["x"]
    manage("user", "set", "alice", "--state", state.path, "--record", "input")
    run([*login.ssh(), "cat >/dev/null"], input=b"typed\n")
    assert any(
        [event[1:] for event in events(file)] == [["i", "typed\n"], ["x", "0"]]
        for file in files(directory)
    )
    manage("user", "set", "alice", "--state", state.path, "--record", "no")
    assert run([*login.ssh(), "true"]).returncode == 0
    assert len(files(directory)) == 2


def test_files_are_events(login: Login, directory: Path) -> None:
    options = [word for word in login.options() if word not in ("-p", str(login.server.port))]
    program = [*options, "-P", login.server.port]
    check([require("sftp"), *program, "-b", "-", "alice@127.0.0.1"], input=b"mkdir made\n")
    first = only(directory)
    assert b"op=mkdir path=" in replayed(first, "--text")
    copied = login.directory / "copied"
    copied.write_text("content")
    check([require("scp"), "-O", *program, copied, "alice@127.0.0.1:there"])
    (second,) = (file for file in files(directory) if file != first)
    assert b"op=upload path=there written=7" in replayed(second, "--text")
    assert b"content" not in second.read_bytes()


def test_forwards_are_events(login: Login, server: Daemon, directory: Path) -> None:
    there = f"127.0.0.1:{server.port}"
    check([*login.ssh(flags=["-W", there])])
    (found,) = (json.loads(str(event[2])) for event in events(only(directory)) if event[1] == "n")
    assert (found["event"], found["to"]) == ("forward", there)
    check([*login.ssh(flags=["-R", f"0:{there}"]), "true"])
    assert sum(b"event=forward" in replayed(file, "--text") for file in files(directory)) == 2
    kinds = [row["kind"] for row in json.loads(manage("replay", "list", "--json", directory))]
    assert sorted(kinds) == ["command", "connection", "connection"]


def test_without_its_recorder_a_session_ends(login: Login, server: Daemon, directory: Path) -> None:
    with Terminal(login.ssh(flags=["-tt"])) as terminal:
        terminal.type("echo be''gun\n")
        terminal.expect("begun\r\n")
        (recorder,) = processes(server, "nacre-recorder")
        os.kill(recorder, signal.SIGKILL)
        terminal.expect("can't be recorded")
        assert terminal.wait() == 255
    server.wait_for(r"can't be recorded ends.*the recorder is gone")
    replayed(only(directory), "--text", status=1)
    # There is another one for the next session.
    assert run([*login.ssh(), "echo", "again"]).stdout == b"again\n"
    assert len(files(directory)) == 2


def test_a_session_whose_file_can_not_be_made_is_refused(
    login: Login, server: Daemon, directory: Path, tmp_path: Path
) -> None:
    directory.rmdir()
    done = run([*login.ssh(), f"touch {tmp_path / 'run'}"])
    assert (done.returncode, b"can't be recorded" in done.stderr) == (255, True)
    assert not (tmp_path / "run").exists()
    server.wait_for("can't be written: No such file or directory")
    assert run([*login.ssh(flags=["-W", f"127.0.0.1:{server.port}"])]).returncode == 255
    server.wait_for("event=refused .*forwarding.*can't be recorded")


def test_a_session_whose_process_is_killed_is_whole_up_to_there(
    login: Login, server: Daemon, directory: Path
) -> None:
    with Terminal(login.ssh(flags=["-tt"])) as terminal:
        terminal.type("echo be''gun\n")
        terminal.expect("begun\r\n")
        (session,) = processes(server, "nacre-session")
        os.kill(session, signal.SIGKILL)
        terminal.wait()
    run([*login.ssh(), "true"])  # it is written after what came before
    first, _ = files(directory)
    assert b"begun\r\n" in replayed(first, "--text")
    assert events(first)[-1][1:] == ["x", "-1"]


def test_where_the_disk_is_full_a_session_ends(
    state: State, directory: Path, tmp_path: Path, keys: dict[str, Path]
) -> None:
    most = 8 * 1024 * 1024
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # What a server starts has its limits; what it writes elsewhere is smaller.
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        server = start_nacre(state, "--record", str(directory), *RECORDER)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    with server:
        login = Login(server, "alice", tmp_path, keys["ed25519"])
        done = run([*login.ssh(), "head -c 20000000 /dev/zero | tr '\\0' x; echo end"])
        assert done.returncode == 255
        assert b"can't be recorded" in done.stderr
        assert not done.stdout.endswith(b"end\n")
        server.wait_for("the recording can't be written: File too large")
        out = replayed(only(directory), "--text", status=1)
        assert out == b"x" * len(out)
        assert 0 < only(directory).stat().st_size <= most
        assert run([*login.ssh(), "echo", "short"]).stdout == b"short\n"


def test_sealed_recordings_need_the_private_key(
    state: State, directory: Path, tmp_path: Path, keys: dict[str, Path]
) -> None:
    key = tmp_path / "audit.key"
    manage("replay", "keygen", "--no-passphrase", key)
    manage("replay", "keygen", "--no-passphrase", tmp_path / "other.key")
    arguments = ["--record", str(directory), "--record-key", f"{key}.pub", *RECORDER]
    with start_nacre(state, *arguments) as server:
        login = Login(server, "alice", tmp_path, keys["ed25519"])
        assert run([*login.ssh(), "echo un''readable"]).stdout == b"unreadable\n"
        first = only(directory)
        assert first.suffix == ".sealed"
        assert b"readable" not in first.read_bytes()
        assert replayed(first, "--key", key, "--text") == b"unreadable\n"
        replayed(first, "--text", status=1)
        replayed(first, "--key", tmp_path / "other.key", "--text", status=1)
        cut = tmp_path / "cut.sealed"
        cut.write_bytes(first.read_bytes()[:-1])
        replayed(cut, "--key", key, "--text", status=1)
        # No key is needed to list them.
        (row,) = json.loads(manage("replay", "list", "--json", directory))
        assert (row["user"], row["from"], row["kind"]) == ("alice", "127.0.0.1", "command")
        assert row["sealed"]


def test_what_was_written_before_the_recorder_was_killed_is_readable(
    state: State, directory: Path, tmp_path: Path, keys: dict[str, Path]
) -> None:
    key = tmp_path / "audit.key"
    manage("replay", "keygen", "--no-passphrase", key)
    arguments = ["--record", str(directory), "--record-key", f"{key}.pub", *RECORDER]
    with start_nacre(state, *arguments) as server:
        login = Login(server, "alice", tmp_path, keys["ed25519"])
        # More than is written at once.
        command = "head -c 300000 /dev/zero | tr '\\0' x; echo; cat"
        client = subprocess.Popen(
            [*login.ssh(), command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment(),
        )
        with client:
            assert client.stdout is not None
            assert len(client.stdout.read(300_001)) == 300_001
            (recorder,) = processes(server, "nacre-recorder")
            os.kill(recorder, signal.SIGKILL)
            client.wait(20)
        out = replayed(only(directory), "--key", key, "--text", status=1)
        assert out == (b"x" * 300_000 + b"\n")[: len(out)]
        assert len(out) >= 64 * 1024


@pytest.mark.skipif(not ROOT, reason="only root has other accounts")
def test_who_is_recorded_can_neither_read_nor_change_it(
    state: State, tmp_path: Path, system_account: Account, keys: dict[str, Path]
) -> None:
    above = Path(tempfile.mkdtemp())
    above.chmod(0o755)
    directory = above / "recordings"
    try:
        runs = ["--run-as", system_account.name, "--home", system_account.home]
        manage("user", "set", "alice", "--state", state.path, *runs)
        with start_nacre(state, "--record", str(directory), *RECORDER) as server:
            login = Login(server, "alice", tmp_path, keys["ed25519"])

            def ssh(command: str) -> subprocess.CompletedProcess[bytes]:
                return run([*login.ssh(), command])

            assert ssh("id -un").stdout == f"{system_account.name}\n".encode()
            first = only(directory)
            for command in (
                f"cat {first}",
                f"rm -f {first}",
                f"echo more >> {first}",
                f"ls {directory}",
                f"mv {directory} {above}/away",
                f"kill -9 {processes(server, 'nacre-recorder')[0]}",
            ):
                done = ssh(command)
                assert done.returncode != 0, command
                assert b"denied" in done.stderr or b"ermitted" in done.stderr
            assert first.exists()
            (recorder,) = processes(server, "nacre-recorder")
            status = Path(f"/proc/{recorder}/status").read_text()
            assert "CapEff:\t0000000000000000" in status
            assert "NoNewPrivs:\t1" in status
    finally:
        shutil.rmtree(above)


def test_old_recordings_are_removed_at_the_start(
    state: State, directory: Path, tmp_path: Path, keys: dict[str, Path]
) -> None:
    with start_nacre(state, "--record", str(directory), *RECORDER) as server:
        login = Login(server, "alice", tmp_path, keys["ed25519"])
        run([*login.ssh(), "echo", "old"])
        old = only(directory)
    os.utime(old, (0, 0))
    with start_nacre(state, "--record", str(directory), *RECORDER, "--keep", "90d") as server:
        login = Login(server, "alice", tmp_path, keys["ed25519"])
        run([*login.ssh(), "echo", "new"])
        assert not old.exists()
        assert replayed(only(directory), "--text") == b"new\n"
