"""``nacre sftp``: commands, batches, exit statuses, and what it prints."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.transfers import Served, serving
from nacre.cli.common.transfer_options import parse
from nacre.cli.sftp.command import LETTERS, _destination, _plan

pytestmark = pytest.mark.slow


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path) as served:
        yield served


def test_files_up_and_down(served: Served) -> None:
    (served.here / "a b").write_text("content")
    (served.here / "tree" / "sub").mkdir(parents=True)
    (served.here / "tree" / "sub" / "f").write_text("f")
    (served.here / "tree" / "sub" / "f").chmod(0o640)
    done = served.batch(
        'put "a b"',
        "put -R tree up",
        "ls -1",
        "get a\\ b back",
        "get -Rp up down",
        "rename up moved",
        "mkdir new",
        "cd new",
        "pwd",
        "lpwd",
        "rm '/a b'",
        "ls /",
    )
    assert done.returncode == 0, done.stderr
    assert (served.here / "back").read_text() == "content"
    assert (served.here / "down" / "sub" / "f").read_text() == "f"
    assert (served.root / "moved" / "sub" / "f").read_text() == "f"
    assert "sftp> ls -1\na b\nup\n" in done.stdout
    assert "Remote working directory: /new\n" in done.stdout
    assert f"Local working directory: {served.here}\n" in done.stdout
    assert done.stdout.endswith("sftp> ls /\n/moved  /new\n")
    assert done.stderr == ""


def test_a_batch_ends_at_the_first_failure(served: Served) -> None:
    done = served.batch("get nosuch", "mkdir never")
    assert done.returncode == 1
    assert done.stderr == 'File "/nosuch" not found.\n'
    assert not (served.root / "never").exists()


def test_a_dash_ignores_a_failure_and_an_at_hides_the_line(served: Served) -> None:
    done = served.batch("-get nosuch", "@mkdir silent", "-@mkdir both", "@-rm nosuch", "# nothing")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in served.root.iterdir()} == {"silent", "both"}
    assert done.stdout == "sftp> -get nosuch\nsftp> # nothing\n"


def test_without_b_failures_do_not_end_it(served: Served) -> None:
    done = served.run("sftp", "alice@127.0.0.1", input="cd nosuch\nmkdir d\nbye\nmkdir e\n")
    assert done.returncode == 0
    assert "stat remote: No such file or directory" in done.stderr
    assert [path.name for path in served.root.iterdir()] == ["d"]


MESSAGES = (
    ("ls nosuch", 'Can\'t ls: "/nosuch" not found'),
    ("cd file", 'Can\'t change directory: "/file" is not a directory'),
    ("get dir", '"/dir": not a regular file'),
    ("put nosuch", "stat nosuch: No such file or directory"),
    ("put here /none/x", 'remote open "/none/x": No such file or directory'),
    ("get file /none/x", 'local open "/none/x": No such file or directory'),
    ("rm nosuch", "remote delete /nosuch: No such file or directory"),
    ("rmdir nosuch", 'remote rmdir "/nosuch": No such file or directory'),
    ("mkdir dir", 'remote mkdir "/dir": File exists'),
    ("chmod 9 file", "You must supply a numeric argument to the chmod command."),
    ("chown bob file", "You must supply a numeric argument to the chown command."),
    ("chmod 644 nosuch", 'remote setstat "/nosuch": No such file or directory'),
    ("rename nosuch x", 'remote rename "/nosuch" to "/x": No such file or directory'),
    ("ln -s x", "You must specify two paths after a ln command."),
    ("mkdir", "You must specify a path after a mkdir command."),
    ("get -z file", "get: Invalid flag -z"),
    ("lcd nosuch", 'Couldn\'t change local directory to "nosuch": No such file or directory'),
    ("lmkdir here", 'Couldn\'t create local directory "here": File exists'),
    ('"open', "Unterminated quoted argument"),
    ("frobnicate", "Invalid command."),
    ("!exit 3", "Shell exited with status 3"),
)


def test_messages_are_openssh_like(served: Served) -> None:
    (served.root / "file").write_text("x")
    (served.root / "dir").mkdir()
    (served.here / "here").write_text("x")
    done = served.batch(*["-" + line for line, _ in MESSAGES])
    assert done.stderr.splitlines() == [message for _, message in MESSAGES]
    assert done.returncode == 0


def test_other_commands(served: Served) -> None:
    (served.root / "f").write_text("12345")
    (served.root / "g.txt").write_text("1")
    done = served.batch(
        "ls -l f",
        "ls -ln f",
        "ls -lh f",
        "ls -1S",
        "ls -1r",
        "ls *.txt",
        "chmod 600 f g.txt",
        "ln -s f link",
        "symlink f link2",
        "ln f hard",
        "cp f copied",
        "df -h",
        "df -i",
        "version",
        "!echo local",
        "lumask 077",
        "get f private",
        "lls private",
        "reget f private",
        "help",
        "exit",
        "mkdir never",
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"^-rw-r--r-- .* 5 \w{3} [ \d]\d \d\d:\d\d f$", done.stdout, re.M)
    assert "sftp> ls -1S\nf\ng.txt\n" in done.stdout
    assert "sftp> ls -1r\ng.txt\nf\n" in done.stdout
    assert "sftp> ls *.txt\ng.txt\n" in done.stdout
    assert (served.root / "f").stat().st_mode & 0o777 == 0o600
    assert (served.root / "link").is_symlink()
    assert (served.root / "hard").stat().st_ino == (served.root / "f").stat().st_ino
    assert (served.root / "copied").read_text() == "12345"
    assert "SFTP protocol version 3" in done.stdout
    assert "sftp> !echo local\nlocal\n" in done.stdout
    assert (served.here / "private").stat().st_mode & 0o077 == 0
    assert "Available commands:" in done.stdout
    assert not (served.root / "never").exists()


def test_a_path_on_the_command_line(served: Served) -> None:
    (served.root / "d").mkdir()
    (served.root / "d" / "f").write_text("x")
    assert served.run("sftp", "alice@127.0.0.1:/d/f").returncode == 0
    assert (served.here / "f").read_text() == "x"
    assert served.run("sftp", "alice@127.0.0.1:/d/f", "other").returncode == 0
    assert (served.here / "other").read_text() == "x"
    done = served.run("sftp", "alice@127.0.0.1:/nosuch")
    assert (done.returncode, 'File "/nosuch" not found.' in done.stderr) == (1, True)
    url = f"sftp://alice@127.0.0.1:{served.port}/d"
    done = served.run("sftp", "-q", url, input="pwd\n")
    assert "Remote working directory: /d" in done.stdout


def test_wrong_options_and_hosts(served: Served) -> None:
    assert served.run("sftp", "-z", "h").returncode == 255
    assert served.run("sftp").returncode == 1
    done = served.run("sftp", "-P", "1", "-b", "-", "127.0.0.1")
    assert done.returncode == 255
    done = served.run("sftp", "-b", "/nosuch", "alice@127.0.0.1")
    assert (done.returncode, done.stderr) == (255, "No such file or directory (/nosuch).\n")


def test_a_server_of_this_machine(served: Served) -> None:
    server = "/usr/lib/openssh/sftp-server"
    if not os.path.exists(server):
        pytest.skip("OpenSSH's sftp-server is not installed")
    (served.here / "f").write_text("x")
    done = served.run("sftp", "-D", server, "-b", "-", input="put f g\nls -1\n")
    assert done.returncode == 0, done.stderr
    assert (served.here / "g").read_text() == "x"


@pytest.mark.parametrize(("cap", "agreed"), [("6", 6), ("4", 4), ("3", 3)])
def test_a_later_version_is_asked_for_and_may_be_capped(
    served: Served, cap: str, agreed: int
) -> None:
    server = f"{sys.executable} -m nacre sftp-server -e -V {cap}"
    (served.here / "f").write_text("1")
    lines = "version\nput f\nput f g\nchgrp 0 f\nrename f g\nls -l g\n"
    done = served.run("sftp", "-X", "version=6", "-D", server, "-b", "-", input=lines)
    assert done.returncode == 0, done.stderr
    assert f"SFTP protocol version {agreed}\n" in done.stdout
    assert re.search(r"^-rw-r--r-- +\? \w+ +\w+ +1 .* g$", done.stdout, re.M)


@pytest.mark.parametrize(
    ("words", "host", "path", "options"),
    [
        (["h"], "h", "", []),
        (["u@h"], "h", "", ['User="u"']),
        (["u@h:dir/f"], "h", "dir/f", ['User="u"']),
        (["[::1]:f"], "::1", "f", []),
        (["[::1]"], "::1", "", []),
        (["[h]"], "h", "", []),
        (["u@[h]"], "h", "", ['User="u"']),
        (["[u@h]"], "h", "", ['User="u"']),
        (["u@[h]:dir"], "h", "dir", ['User="u"']),
        (["u@[fe80::1%lo]:dir"], "fe80::1%lo", "dir", ['User="u"']),
        (["sftp://u@h:2222/a%20b"], "h", "a b", ['User="u"', "Port=2222"]),
        (["-D", "server"], "", "", []),
    ],
)
def test_destinations(words: list[str], host: str, path: str, options: list[str]) -> None:
    common = parse(words, LETTERS)
    assert _destination(common, _plan(common)) == (host, path, options)


def test_options_of_the_program() -> None:
    common = parse(["-b", "file", "-afprN", "-B", "100", "-R", "2", "-s", "/server", "h"], LETTERS)
    plan = _plan(common)
    assert (plan.batch, plan.subsystem) == ("file", "/server")
    assert common.session_options() == {"read_size": 100, "window": 200}
    assert (plan.resume, plan.fsync, plan.preserve, plan.recursive, plan.chatty) == (True,) * 5
    assert "BatchMode=yes" in common.options


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, served: Served, *words: str) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
        program = "import os; os.login_tty(0); from nacre.cli.sftp.command import main; main()"
        self.process = subprocess.Popen(
            [sys.executable, "-c", program, *served.words(), *words],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=served.here,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(sys.path),
                "HOME": str(served.here),
                "TERM": "dumb",
            },
        )
        os.close(slave)
        self.seen = ""

    def until(self, pattern: str) -> str:
        """Return what was shown up to a pattern, and forget it."""
        deadline = time.monotonic() + 20
        while not (found := re.search(pattern, self.seen)):
            ready, _, _ = select.select([self.master], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"{pattern!r} never came: {self.seen!r}"
            self.seen += os.read(self.master, 65536).decode()
        shown, self.seen = self.seen[: found.end()], self.seen[found.end() :]
        return shown

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(30)
        os.close(self.master)


def test_on_a_terminal(served: Served) -> None:
    (served.root / "a long name").write_bytes(bytes(3_000_000))
    (served.root / "other").mkdir()
    (served.root / "slow").write_bytes(bytes(100_000_000))
    terminal = Terminal(served, "-l", "80000", "alice@127.0.0.1")
    try:
        terminal.until("Connected to 127.0.0.1")
        terminal.until("sftp> ")
        terminal.type("get a\t\r")
        shown = terminal.until("100%[^\n]*\n")
        assert "Fetching /a long name to" in shown
        assert "2.9MB" in shown
        terminal.until("sftp> ")
        assert (served.here / "a long name").stat().st_size == 3_000_000
        terminal.type("cd oth\t\r")
        terminal.until("sftp> ")
        terminal.type("pwd\r")
        terminal.until("Remote working directory: /other")
        terminal.until("sftp> ")
        terminal.type("ls nosuch\r")
        terminal.until("not found")
        terminal.until("sftp> ")
        terminal.process.send_signal(signal.SIGINT)
        # A signal that comes just before Python's readline waits is noticed at the next key.
        terminal.type("\r")
        terminal.until("sftp> ")
        terminal.type("get /slow\r")
        terminal.until("Fetching")
        terminal.type("\x03")
        terminal.until("Interrupt")
        terminal.until("sftp> ")
        terminal.type("bye\r")
        assert terminal.process.wait(20) == 0
    finally:
        terminal.close()
    assert "get a" in (served.here / ".nacre_sftp_history").read_text()
