"""``nacre add`` beside ssh-add: what is printed, the exit status, and what the agent holds then."""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from interop.agents import agent
from interop.clients import Login, askpass
from interop.programs import check, require, run

pytestmark = pytest.mark.untraced

PROGRAMS = {"OpenSSH": "ssh-add", "nacre": str(Path(sys.executable).parent / "nacre-ssh-add")}

Outcome = tuple[int, list[str], list[str]]


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory with a short name, and in it keys: plain, encrypted, with a certificate."""
    made = Path(tempfile.mkdtemp(dir="/tmp"))
    keygen = require("ssh-keygen")
    for name, passphrase in (("key", ""), ("other", ""), ("locked", "secret"), ("authority", "")):
        # A passphrase's rounds of bcrypt take time.
        kind = ["-t", "ed25519", "-a", "1", "-N", passphrase, "-C", name]
        check([keygen, "-q", *kind, "-f", made / name])
    check([keygen, "-q", "-s", made / "authority", "-I", "me", "-n", "me", made / "key.pub"])
    (made / "known_hosts").write_text(f"gate {(made / 'other.pub').read_text()}")
    yield made
    shutil.rmtree(made)


def both(directory: Path, *lines: str, **environment: Any) -> dict[str, list[Outcome]]:
    """Run command lines with each program, each with an agent of its own.

    :param lines: words with spaces between them; ``<FILE`` at the end is standard input.
    """
    found: dict[str, list[Outcome]] = {}
    for maker, program in PROGRAMS.items():
        with agent() as sock:
            outcomes: list[Outcome] = []
            for line in lines:
                words, _, source = line.partition("<")
                text = (directory / source).read_bytes() if source else b""
                named = [directory / word[1:] if word[0] == "@" else word for word in words.split()]
                done = run(
                    [require(program), *named], input=text, SSH_AUTH_SOCK=sock, **environment
                )
                printed, said = (one.decode().splitlines() for one in (done.stdout, done.stderr))
                outcomes.append((done.returncode, printed, said))
            found[maker] = outcomes
    return found


@pytest.mark.parametrize(
    "lines",
    [
        ["-l", "@key", "-l", "-L", "-d @key", "-l"],
        ["-q @key @other", "-l -E md5", "-D", "-L", "-q -D"],
        ["-k @key", "-L", "@key", "-dk @key", "-L", "-d @key", "-l"],
        ["-t 1h30m -c @other", "-T @other.pub", "-T @key.pub", "-d @other.pub"],
        ["-q @key", "-d -<key.pub", "-L", "-d -<key-cert.pub", "-<other", "-l"],
        ["-q -H @known_hosts -h gate -h gate>root@gate @key", "-l", "-qd @other", "-qd @missing"],
    ],
    ids=["usual", "quiet", "certificates", "constraints", "standard input", "destinations"],
)
def test_the_same_is_said_and_done(directory: Path, lines: list[str]) -> None:
    found = both(directory, *lines)
    for line, theirs, ours in zip(lines, found["OpenSSH"], found["nacre"], strict=True):
        assert ours[:2] == theirs[:2], line
        # The reason of a failure is in nacre's words.
        assert [_without_reason(text) for text in ours[2]] == [
            _without_reason(text) for text in theirs[2]
        ], line


def _without_reason(text: str) -> str:
    failed = re.match(r"(Could not .*?|Agent signature failed .*?): ", text)
    return failed[1] if failed else text


@pytest.mark.parametrize(
    ("answers", "status", "asked"),
    [
        (["wrong", "secret"], 0, ["Enter passphrase for", "Bad passphrase, try again for"]),
        ([""], 1, ["Enter passphrase for"]),
    ],
    ids=["wrong", "none"],
)
def test_a_passphrase(directory: Path, answers: list[str], status: int, asked: list[str]) -> None:
    seen = {}
    for maker, program in PROGRAMS.items():
        with agent() as sock:
            given = askpass(directory, *answers)
            done = run([require(program), directory / "locked"], SSH_AUTH_SOCK=sock, **given)
            questions = (directory / "asked").read_text().splitlines()
            seen[maker] = (done.returncode, done.stderr, questions)
    assert seen["nacre"] == seen["OpenSSH"]
    assert seen["nacre"][0] == status
    assert [text.partition(f" {directory}")[0] for text in seen["nacre"][2]] == asked


def test_a_lock(directory: Path) -> None:
    given = askpass(directory, "secret")
    found = both(directory, "-q @key", "-x", "-l", "-X", "-X", "-l", **given)
    assert [one[:2] for one in found["nacre"]] == [one[:2] for one in found["OpenSSH"]]
    assert found["nacre"][1][2] == found["OpenSSH"][1][2] == ["Agent locked."]


@pytest.mark.parametrize(
    ("line", "status"),
    [("-l -D", 255), ("-x -X", 255), ("-t no @key", 1), ("-h nobody @key", 255), ("-z", 1)],
)
def test_what_is_refused_has_the_same_status(directory: Path, line: str, status: int) -> None:
    found = both(directory, line, "-l")
    assert [outcomes[0][0] for outcomes in found.values()] == [status, status]
    assert [outcomes[1][0] for outcomes in found.values()] == [1, 1]


@pytest.mark.parametrize("sock", ["", "/nonexistent/agent"])
def test_without_an_agent(sock: str) -> None:
    done = [run([require(program), "-l"], SSH_AUTH_SOCK=sock) for program in PROGRAMS.values()]
    assert [one.returncode for one in done] == [2, 2]
    assert len({one.stderr.split(b":")[0].rstrip(b".\n") for one in done}) == 1


def test_other_people_can_read_the_key(directory: Path) -> None:
    (directory / "other").chmod(0o640)
    found = both(directory, "@other", "-l")
    theirs, ours = found["OpenSSH"][0], found["nacre"][0]
    assert ours[0] == theirs[0] == 1
    assert ours[2][:5] == theirs[2][:5]
    assert found["nacre"][1] == found["OpenSSH"][1]


@pytest.mark.parametrize(
    ("value", "held", "maker"),
    [
        ("no", False, "OpenSSH"),
        ("yes", True, "nacre"),
        ("1h", True, "OpenSSH"),
        ("confirm", True, "nacre"),
    ],
)
def test_a_login_gives_its_key_to_the_agent(
    value: str, held: bool, maker: str, to_sshd: Login
) -> None:
    """AddKeysToAgent: the next login has the key from the agent."""
    key = to_sshd.key
    with agent(maker) as sock:
        login = [*to_sshd.nacre_ssh(f"AddKeysToAgent={value}"), "true"]
        assert run(login, SSH_AUTH_SOCK=sock).returncode == 0
        listed = run([require("ssh-add"), "-L"], SSH_AUTH_SOCK=sock).stdout.split()
    assert key is not None
    assert (Path(f"{key}.pub").read_bytes().split()[1] in listed) is held
