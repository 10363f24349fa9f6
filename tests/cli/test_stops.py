"""Ctrl-Z and fg at each prompt of the programs that log in, and in a session."""

from __future__ import annotations

import os
import signal
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import nacre
import nacre.blocking
from cli.jobs import Job
from nacre.keys import dump_private

pytestmark = [pytest.mark.slow, pytest.mark.untraced]

HOST_KEY = nacre.generate("ssh-ed25519")
USER_KEY = nacre.generate("ssh-ed25519")
Start = Callable[..., Job]


def echo(session: nacre.blocking.Session) -> int:
    session.stdout.write(b"$ ")
    while data := session.stdin.read(100):
        session.stdout.write(b"<" + data.hex().encode() + b">")
        if b"q" in data:
            return 5
    return 0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[nacre.blocking.Server]:
    root = tmp_path_factory.mktemp("root")
    (root / "file").write_text("content")
    with nacre.blocking.listen(
        host_keys=[HOST_KEY],
        policy=nacre.Users({"alice": ["open sesame", USER_KEY.public]}),
        handler=echo,
        sftp=lambda connection: nacre.LocalFilesystem(root),
        log=lambda record: None,
    ) as server:
        yield server


@pytest.fixture
def start(server: nacre.blocking.Server, tmp_path: Path) -> Iterator[Start]:
    """Start a program of nacre, which knows the host unless ``known`` is False."""
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("SSH_", "DISPLAY"))}
    environment = {**keep, "PYTHONPATH": os.pathsep.join(sys.path), "HOME": str(tmp_path)}
    with ExitStack() as stack:

        def started(program: str, *words: str, known: bool = True) -> Job:
            hosts = tmp_path / "known_hosts"
            line = f"[127.0.0.1]:{server.port} {HOST_KEY.public}\n"
            hosts.write_text(line if known else "")
            options = ("-o", f"Port={server.port}", "-o", f"UserKnownHostsFile={hosts}")
            job = Job([sys.executable, "-m", "nacre", program, *options, *words], environment)
            stack.callback(job.close)
            return job

        yield started


def stop_and_go_on(job: Job) -> None:
    job.type("\x1a")
    job.until(r"\[stopped, as before]")
    job.type("fg\n")


METHODS = {"password": "alice@127.0.0.1's password: ", "keyboard-interactive": r"Password: "}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["ssh", "-n", "alice@127.0.0.1", "x"], 0),
        (["sftp", "-b", "/dev/null", "-o", "BatchMode=no", "alice@127.0.0.1"], 0),
        (["scp", "alice@127.0.0.1:/file", "/dev/null"], 0),
        (["trace", "alice@127.0.0.1", "x"], 0),
    ],
    ids=lambda words: words[0] if isinstance(words, list) else "",
)
def test_the_password_of_a_login(start: Start, words: list[str], status: int, method: str) -> None:
    program, *rest = words
    job = start(program, "-o", f"PreferredAuthentications={method}", *rest)
    job.until(METHODS[method])
    job.type("half")
    stop_and_go_on(job)
    job.until(METHODS[method])
    assert not job.echoes()
    job.type("open sesame\n")
    assert "sesame" not in job.until(rf"\[ended {status}, as before]")


def test_the_passphrase_of_a_key_to_log_in_with(start: Start, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(dump_private(USER_KEY, "open sesame", rounds=1))
    (tmp_path / "key").chmod(0o600)
    job = start("ssh", "-i", str(tmp_path / "key"), "-n", "alice@127.0.0.1", "x")
    job.until("Enter passphrase for key .*: ")
    stop_and_go_on(job)
    job.until("Enter passphrase for key .*: ")
    assert not job.echoes()
    job.type("open sesame\n")
    assert "sesame" not in job.until(r"\[ended 0, as before]")


def test_the_question_about_a_new_host(start: Start) -> None:
    job = start("ssh", "-n", "alice@127.0.0.1", "x", known=False)
    job.until(r"\(yes/no/\[fingerprint]\)\? ")
    stop_and_go_on(job)
    job.until(r"\(yes/no/\[fingerprint]\)\? ")
    job.type("no\n")
    job.until(r"\[ended 255, as before]")


@pytest.mark.parametrize("how", ["~^Z", "SIGTSTP", "SIGSTOP"])
def test_a_session_in_raw_mode(start: Start, how: str) -> None:
    job = start("ssh", "-tt", "alice@127.0.0.1")
    job.until("[Pp]assword: ")
    job.type("open sesame\n")
    job.until(r"\$ ")
    if how == "~^Z":
        job.type("~\x1a")
    else:
        job.signal(getattr(signal, how))
    job.until(r"\[stopped, .*]" if how == "SIGSTOP" else r"\[stopped, as before]")
    job.type("fg\n")
    job.until("fg")
    job.until_modes(lambda attributes: not attributes[3] & (termios.ECHO | termios.ICANON))
    job.type("q")
    job.until(r"\[ended 5, as before]")


def test_the_prompt_of_sftp(start: Start) -> None:
    job = start("sftp", "alice@127.0.0.1")
    job.until("[Pp]assword: ")
    job.type("open sesame\n")
    job.until("sftp> ")
    job.type("pw")
    job.until("pw")
    job.type("\x1a")
    # A signal that comes just before Python's readline waits is noticed with the next one.
    job.until(r"\[stopped, as before]", again=lambda: job.type("\x1a"))
    job.type("fg\n")
    job.until("sftp> pw")
    job.type("d\n")
    job.until("Remote working directory: /")
    job.until("sftp> ")
    job.type("bye\n")
    job.until(r"\[ended 0, as before]")
