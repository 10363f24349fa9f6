"""What stops and ends a program that has changed the modes of its terminal."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from cli.jobs import Job
from nacre.keys import dump_private, generate

pytestmark = pytest.mark.slow

ASK = """
import asyncio, sys
from nacre.cli.common.prompts import prompt
answer = asyncio.run(prompt("Password: ", sys.argv[1] == "echo"))
print(f"<{answer}>")
"""
ASK_IN_A_THREAD = """
from nacre.aio.background import Background
from nacre.cli.common.modes import watching
from nacre.cli.common.prompts import prompt
with watching():
    print(f'<{Background().call(lambda: prompt("Password: ", False))}>')
"""
ASK_IN_THE_BACKGROUND = """
import asyncio, os, signal
from nacre.cli.common.program import _until_killed
from nacre.cli.common.prompts import prompt
if child := os.fork():
    _, status = os.waitpid(child, os.WUNTRACED)
    print(f"<stopped {os.WIFSTOPPED(status)}>", flush=True)
    os.kill(child, signal.SIGTERM)
    os.kill(child, signal.SIGCONT)
    print(f"<exit status {os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}>", flush=True)
    os._exit(0)
os.setpgid(0, 0)
try:
    asyncio.run(_until_killed(prompt("Password: ", False)))
except Exception:
    os._exit(7)
"""
STOPS = {"Ctrl-Z": None, "SIGTSTP": signal.SIGTSTP, "SIGSTOP": signal.SIGSTOP}

Start = Callable[..., Job]


@pytest.fixture
def start(tmp_path) -> Iterator[Start]:
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("SSH_", "DISPLAY"))}
    environment = {**keep, "PYTHONPATH": os.pathsep.join(sys.path), "HOME": str(tmp_path)}
    with ExitStack() as stack:

        def started(*words: str) -> Job:
            job = Job([sys.executable, *words], environment)
            stack.callback(job.close)
            return job

        yield started


def stop(job: Job, how: str) -> None:
    number = STOPS[how]

    def press() -> None:
        if number is None:
            job.type("\x1a")
        else:
            job.signal(number)

    press()
    # SIGSTOP can't be caught; the shell has modes of its own all the same.
    changed = r"(as before|changed)" if how == "SIGSTOP" else "as before"
    job.until(rf"\[stopped, {changed}]", press)


@pytest.mark.parametrize("how", STOPS)
@pytest.mark.parametrize("program", [(ASK, "secret"), (ASK_IN_A_THREAD,)], ids=["main", "thread"])
def test_a_password_after_a_stop_is_not_shown(start, program, how):
    job = start("-c", *program)
    job.until("Password: ")
    job.type("half")
    for _ in range(2):
        stop(job, how)
        job.type("fg\n")
        job.until("Password: ")
        assert not job.echoes()
    job.type("sesame\n")
    shown = job.until(r"\[ended 0, as before]")
    assert "<sesame>" in shown
    assert shown.count("sesame") == 1


def test_a_question_is_repeated_with_echo(start):
    job = start("-c", ASK, "echo")
    job.until("Password: ")
    stop(job, "Ctrl-Z")
    job.type("fg\n")
    job.until("Password: ")
    job.type("yes\n")
    assert job.until(r"\[ended 0, as before]").count("yes") == 2


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT], ids=lambda n: n.name
)
@pytest.mark.parametrize("program", [(ASK, "secret"), (ASK_IN_A_THREAD,)], ids=["main", "thread"])
def test_a_signal_that_ends_the_program_restores_the_terminal(start, program, number):
    job = start("-c", *program)
    job.until("Password: ")
    assert not job.echoes()
    job.signal(number)
    # Python ends by SIGINT itself after a traceback.
    job.until(rf"\[ended -{number.value}, as before]")


def test_a_signal_ends_a_program_that_asks_in_the_background(start):
    """It is stopped there, as timeout(1) does it, and begins to ask again when it is woken."""
    job = start("-c", ASK_IN_THE_BACKGROUND)
    job.until("<stopped True>")
    job.until("<exit status 7>")
    job.until(r"\[ended 0, as before]")


def test_what_is_ignored_stays_ignored(start):
    ignore = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    job = start("-c", ignore + ASK, "secret")
    job.until("Password: ")
    job.signal(signal.SIGTERM)
    job.type("sesame\n")
    job.until("<sesame>")
    job.until(r"\[ended 0, as before]")


def test_the_passphrase_of_a_new_key(start, tmp_path):
    job = start("-m", "nacre", "keygen", "-f", str(tmp_path / "key"))
    for question in (r"Enter passphrase \(.*\): ", "Enter same passphrase again: "):
        job.until(question)
        stop(job, "Ctrl-Z")
        job.type("fg\n")
        job.until(question)
        assert not job.echoes()
        job.type("sesame\n")
    assert "sesame" not in job.until(r"\[ended 0, as before]")


def test_the_passphrase_of_a_key(start, tmp_path):
    (tmp_path / "key").write_bytes(dump_private(generate("ssh-ed25519"), "sesame", rounds=1))
    (tmp_path / "key").chmod(0o600)
    job = start("-m", "nacre", "keygen", "-y", "-f", str(tmp_path / "key"))
    job.until("Enter passphrase: ")
    stop(job, "Ctrl-Z")
    job.type("fg\n")
    job.until("Enter passphrase: ")
    job.type("sesame\n")
    shown = job.until(r"\[ended 0, as before]")
    assert "sesame" not in shown
    assert "ssh-ed25519 " in shown


def test_the_password_of_a_new_user(start, tmp_path):
    account = ["--run-as", "nobody"] if os.geteuid() == 0 else []
    job = start("-m", "nacre", "user", "add", "bob", "--state", str(tmp_path / "state"), *account)
    for question in ("Password for bob: ", "Repeat for confirmation: "):
        job.until(question)
        stop(job, "Ctrl-Z")
        job.type("fg\n")
        job.until(question)
        assert not job.echoes()
        job.type("sesame\n")
    assert "sesame" not in job.until(r"\[ended 0, as before]")
