"""Programs whose output nobody takes, that have no streams, or lack the packages of an extra."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import nacre
import nacre.blocking
from cli.transfers import HOST_KEY, USER_KEY
from nacre.keys import dump_private

pytestmark = [pytest.mark.slow, pytest.mark.untraced]

Run = Callable[..., subprocess.CompletedProcess[str]]


def handle(session: nacre.blocking.Session) -> int:
    if session.command == b"errors":
        session.stderr.write(b"x" * 100_000)
        return 7
    session.stdout.write(b"hello\n" * 100_000)
    return 7


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory with a key, a user store, and the options for a server in ``options``."""
    home = tmp_path_factory.mktemp("home")
    (home / "root").mkdir()
    for number in range(300):
        (home / "root" / f"file{number}").touch()
    (home / "key").write_bytes(dump_private(USER_KEY))
    (home / "key").chmod(0o600)
    with nacre.blocking.listen(
        host_keys=[HOST_KEY],
        policy=nacre.Users({"alice": USER_KEY.public}),
        handler=handle,
        sftp=lambda session: nacre.LocalFilesystem(home / "root"),
        log=lambda record: None,
    ) as server:
        (home / "port").write_text(str(server.port))
        yield home


@pytest.fixture
def run(home: Path) -> Run:
    """Run a program; ``{h}`` in its words stands for the options of the server's host."""
    port = (home / "port").read_text()
    options = ["-oUser=alice", f"-oPort={port}", f"-oIdentityFile={home}/key"]
    options += ["-oStrictHostKeyChecking=no", "-oUserKnownHostsFile=/dev/null"]
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("SSH_", "DISPLAY"))}
    environment = {**keep, "PYTHONPATH": os.pathsep.join(sys.path), "HOME": str(home)}

    def run(*words: str, before: str = "", typed: str = "", **streams: int) -> Any:
        given = [one for word in words for one in (options if word == "{h}" else [word])]
        program = f"{before}\nfrom nacre.cli.main import main; main()"
        pipe = subprocess.PIPE
        return subprocess.run(
            [sys.executable, "-c", program, *given],
            stdout=streams.get("stdout", pipe),
            stderr=streams.get("stderr", pipe),
            input=typed,
            text=True,
            timeout=30,
            cwd=home,
            env=environment,
            start_new_session=True,
        )

    return run


TELLING = [
    ["--help"],
    ["--version"],
    ["keygen", "--help"],
    ["keygen", "-l", "-f", "key"],
    ["keygen", "-y", "-f", "key"],
    ["serve", "--help"],
    ["user", "--help"],
    ["ssh", "--help"],
    ["ssh", "-Q", "cipher"],
    ["ssh", "-G", "host"],
    ["sftp", "--help"],
    ["scp", "--help"],
    ["trace", "--help"],
]
"""Programs that print something and end."""

CONNECTED = [
    ["ssh", "{h}", "127.0.0.1", "hello"],
    ["trace", "{h}", "127.0.0.1", "hello"],
    ["trace", "--json", "{h}", "127.0.0.1", "hello"],
    ["sftp", "-b", "-", "{h}", "127.0.0.1"],
]


def short(words: list[str]) -> str:
    return " ".join(word for word in words if word != "{h}")


@pytest.mark.parametrize("words", [*TELLING, *CONNECTED], ids=short)
def test_a_full_disk_is_told(run: Run, words: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        done = run(*words, stdout=full.fileno(), typed="ls -l\n")
    assert "Traceback" not in done.stderr
    assert "No space left on device" in done.stderr
    assert done.returncode in (1, 255)


@pytest.mark.parametrize("words", [*TELLING, *CONNECTED], ids=short)
def test_a_reader_that_is_gone_ends_the_program(run: Run, words: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = run(*words, stdout=writer, typed="ls -l\n")
    os.close(writer)
    told = [line for line in done.stderr.splitlines() if "Permanently added" not in line]
    assert [line for line in told if "Connected to" not in line] == []
    # click ends with 1. The command on the server may have ended before.
    assert done.returncode in (-signal.SIGPIPE, 1, 7, 255)


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["ssh", "-V"], 0),
        (["ssh", "--bad"], 255),
        (["ssh", "-v", "{h}", "127.0.0.1", "hello"], 7),
        (["ssh", "{h}", "-p", "1", "127.0.0.1", "hello"], 7),
        (["ssh", "-oPort=1", "127.0.0.1", "hello"], 255),
        (["ssh", "-v", "-E", "/dev/full", "{h}", "127.0.0.1", "hello"], 7),
        (["sftp", "-v", "-b", "-", "{h}", "127.0.0.1"], 0),
        (["scp", "-v", "{h}", "127.0.0.1:file1", "/dev/null"], 0),
        (["scp", "{h}", "127.0.0.1:nosuch", "/dev/null"], 1),
        (["trace", "-v", "{h}", "127.0.0.1", "hello"], 7),
        (["keygen", "-l", "-f", "nosuch"], 255),
        (["frobnicate"], 2),
    ],
    ids=str,
)
@pytest.mark.parametrize("sink", ["full", "gone"])
def test_messages_that_nobody_can_read_change_nothing(
    run: Run, words: list[str], status: int, sink: str
) -> None:
    if sink == "full":
        writer = os.open("/dev/full", os.O_WRONLY)
    else:
        reader, writer = os.pipe()
        os.close(reader)
    done = run(*words, stderr=writer, typed="pwd\n")
    os.close(writer)
    if words[0] in ("frobnicate",) and sink == "gone":
        status = -signal.SIGPIPE
    assert done.returncode == status


@pytest.mark.parametrize("words", [["ssh", "{h}", "127.0.0.1", "errors"]], ids=short)
def test_the_end_of_a_command_whose_errors_nobody_takes(run: Run, words: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        assert run(*words, stderr=full.fileno()).returncode in (7, 255)


@pytest.mark.parametrize("closed", [0, 1, 2])
@pytest.mark.parametrize("words", [*TELLING, *CONNECTED, ["keygen", "-t", "rsa1"]], ids=short)
def test_streams_that_are_closed_at_the_start(run: Run, words: list[str], closed: int) -> None:
    # The program is started by one that closes the stream.
    before = (
        f"import os, sys\nif len(sys.argv) < 2 or sys.argv[-1] != 'again':\n"
        f"    os.close({closed}); os.execv(sys.executable, [sys.executable, '-c', "
        f"'import sys; sys.argv.pop(); from nacre.cli.main import main; main()', "
        f"*sys.argv[1:], 'again'])"
    )
    done = run(*words, before=before)
    assert "Traceback" not in done.stdout + done.stderr


def test_the_list_of_users(run: Run) -> None:
    account = ["--run-as", "nobody"] if os.geteuid() == 0 else []
    added = run("user", "add", "bob", "--state", "state", "--key", "bob.pub", *account)
    del added
    for words in (["user", "list"], ["user", "list", "--json"]):
        with open("/dev/full", "wb") as full:
            done = run(*words, "--state", "state", stdout=full.fileno())
        assert "Traceback" not in done.stderr


BLOCK = "import sys\nfor name in {}: sys.modules[name] = None"


@pytest.mark.parametrize(
    ("words", "missing", "extras"),
    [
        ([], ["click"], "cli"),
        (["--help"], ["click"], "cli"),
        (["-V"], ["click"], "cli"),
        (["trace", "h"], ["click"], "cli"),
        (["serve"], ["click", "sqlalchemy"], "cli,server"),
        (["serve", "--state", "s"], ["sqlalchemy"], "cli,server"),
        (["user", "list"], ["click", "sqlalchemy"], "cli,server"),
        (["user", "list", "--state", "s"], ["sqlalchemy"], "cli,server"),
    ],
    ids=str,
)
def test_an_extra_that_is_missing_is_named(
    run: Run, words: list[str], missing: list[str], extras: str
) -> None:
    done = run(*words, before=BLOCK.format(missing))
    assert (done.returncode, done.stdout) == (1, "")
    assert f"the package {missing[0]} is not installed" in done.stderr
    assert f"pip install 'nacre[{extras}]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("tool", ["keygen", "ssh", "sftp", "scp"])
def test_what_needs_no_extra(run: Run, tool: str) -> None:
    done = run(tool, "--help", before=BLOCK.format(["click", "sqlalchemy", "fsspec"]))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: ")
