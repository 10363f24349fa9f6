import asyncio
import os
import pty
import termios
from pathlib import Path

import pytest

from nacre.cli.common import prompts
from nacre.client.trust.files import NewHost
from nacre.client.trust.sources import Location
from nacre.keys import generate
from nacre.keys.hosts.known_hosts import KnownHosts
from nacre.keys.hosts.rotation import HostKeyRotation

KEY = generate("ssh-ed25519").public


@pytest.fixture(autouse=True)
def no_desktop(monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SSH_ASKPASS", "SSH_ASKPASS_REQUIRE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def tty(monkeypatch):
    master, slave = pty.openpty()
    monkeypatch.setattr(prompts, "TTY", os.ttyname(slave))
    yield master, slave
    os.close(master)
    os.close(slave)


@pytest.fixture
def askpass(tmp_path, monkeypatch):
    def make(script):
        program = tmp_path / "askpass"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o700)
        monkeypatch.setenv("SSH_ASKPASS", str(program))
        return program

    return make


async def shown(master, text):
    """Read what the terminal shows until ``text`` is among it."""
    loop, seen = asyncio.get_running_loop(), b""
    while text not in seen:
        ready = loop.create_future()
        loop.add_reader(master, ready.set_result, None)
        try:
            await asyncio.wait_for(ready, 30)
        finally:
            loop.remove_reader(master)
        seen += os.read(master, 1000)
    return seen


@pytest.mark.parametrize("echo", [True, False])
async def test_on_the_terminal(tty, echo):
    master, slave = tty
    before = termios.tcgetattr(slave)
    asked = asyncio.create_task(prompts.prompt("Password: ", echo))
    await shown(master, b"Password: ")
    os.write(master, "gehéim\n".encode())
    assert await asyncio.wait_for(asked, 30) == "gehéim"
    assert termios.tcgetattr(slave) == before
    seen = await shown(master, b"\r\n")
    assert ("gehéim".encode() in seen) is echo


async def test_end_of_file_is_no_answer(tty):
    asked = asyncio.create_task(prompts.prompt("Password: ", False))
    await shown(tty[0], b"Password: ")
    os.write(tty[0], b"\x04")
    assert await asyncio.wait_for(asked, 30) is None


async def test_a_cancelled_prompt_leaves_the_terminal_as_it_was(tty):
    before = termios.tcgetattr(tty[1])
    asked = asyncio.create_task(prompts.prompt("Password: ", False))
    await shown(tty[0], b"Password: ")
    assert not termios.tcgetattr(tty[1])[3] & termios.ECHO
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert termios.tcgetattr(tty[1]) == before


async def test_nobody_there(monkeypatch, tmp_path, askpass):
    monkeypatch.setattr(prompts, "TTY", str(tmp_path / "none"))
    assert await prompts.prompt("Password: ", False) is None
    askpass("echo secret")
    assert await prompts.prompt("Password: ", False) is None


async def test_askpass_on_a_desktop_without_a_terminal(monkeypatch, tmp_path, askpass):
    monkeypatch.setattr(prompts, "TTY", str(tmp_path / "none"))
    monkeypatch.setenv("DISPLAY", ":0")
    askpass('printf "%s|\\nmore\\n" "$1"')
    assert await prompts.prompt("Password: ", False) == "Password: |"
    monkeypatch.setenv("SSH_ASKPASS_REQUIRE", "never")
    assert await prompts.prompt("Password: ", False) is None


async def test_askpass_by_force(monkeypatch, tty, askpass):
    monkeypatch.setenv("SSH_ASKPASS_REQUIRE", "force")
    askpass("echo secret")
    assert await prompts.prompt("Password: ", False) == "secret"
    askpass("echo secret; exit 1")
    assert await prompts.prompt("Password: ", False) is None
    monkeypatch.setenv("SSH_ASKPASS", "/nonexistent")
    assert await prompts.prompt("Password: ", False) is None


async def test_askpass_preferred(monkeypatch, tty, askpass):
    monkeypatch.setenv("SSH_ASKPASS_REQUIRE", "prefer")
    monkeypatch.setenv("DISPLAY", ":0")
    askpass("echo secret")
    assert await prompts.prompt("Password: ", False) == "secret"


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (["yes"], True),
        (["no"], False),
        (["what", "YES "], True),
        ([KEY.fingerprint()], True),
        (["SHA256:other", "no"], False),
        ([None], False),
    ],
)
async def test_confirm_host(answers, expected):
    asked = []

    async def answer(text, echo):
        asked.append(text)
        assert echo
        return answers[len(asked) - 1]

    question = NewHost("[h]:2222", "192.0.2.1", KEY, ())
    assert await prompts.confirm_host(question, answer) is expected
    assert len(asked) == len(answers)
    assert "The authenticity of host '[h]:2222 (192.0.2.1)' can't be established." in asked[0]


async def test_a_host_behind_a_jump_host_has_no_address():
    asked = []

    async def answer(text, echo):
        asked.append(text)

    assert not await prompts.confirm_host(NewHost("h", "", KEY, ()), answer)
    assert "host 'h (<no hostip for proxy command>)' can't be established." in asked[0]
    assert f"ED25519 key fingerprint is {KEY.fingerprint()}." in asked[0]


@pytest.mark.parametrize(
    ("script", "agreed"),
    [
        ('test "$SSH_ASKPASS_PROMPT" = confirm', True),
        ('test "$1" = "Allow it?"', True),
        ("echo yes", True),
        ("echo YES", True),
        ("echo no", False),
        ("echo anything", False),
        ("exit 1", False),
        ("echo yes; exit 1", False),
    ],
)
async def test_a_question_to_agree_to(monkeypatch, askpass, script, agreed):
    monkeypatch.setenv("SSH_ASKPASS_REQUIRE", "force")
    askpass(script)
    assert await prompts.confirm("Allow it?") is agreed


async def test_nobody_to_agree(monkeypatch, askpass):
    askpass("exit 0")
    assert not await prompts.confirm("Allow it?")
    monkeypatch.setenv("DISPLAY", ":0")
    assert await prompts.confirm("Allow it?")
    monkeypatch.setenv("SSH_ASKPASS_REQUIRE", "never")
    assert not await prompts.confirm("Allow it?")
    monkeypatch.setenv("SSH_ASKPASS_REQUIRE", "force")
    monkeypatch.setenv("SSH_ASKPASS", "/nonexistent")
    assert not await prompts.confirm("Allow it?")


async def test_a_new_host_s_other_names_and_its_fingerprint_in_the_dns():
    asked = []

    async def answer(text, echo):
        asked.append(text)
        return "yes" if len(asked) < 4 else None

    lines = [f"a,b {KEY}", KnownHosts.line_for("c", 22, KEY, hashed=True), *[f"x {KEY}"] * 8]
    known = KnownHosts.parse("\n".join(lines)).with_key(KEY)
    places = tuple(Location(Path("/f"), entry) for entry in known)
    assert await prompts.confirm_host(NewHost("h", "", KEY, (), True), answer)
    assert "\nMatching host key fingerprint found in DNS.\n" in asked[0]
    assert "\nThis key is not known by any other names.\n" in asked[0]
    assert await prompts.confirm_host(NewHost("h", "", KEY, places, False), answer)
    assert "\nNo matching host key fingerprint found in DNS.\n" in asked[1]
    assert "names/addresses:\n    /f:1: a,b\n    /f:2: [hashed name]\n    /f:3: x\n" in asked[1]
    assert "\n    (2 additional names omitted)\n" in asked[1]


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (["yes"], True),
        (["no"], False),
        (["what", "YES"], True),
        (["?"] * 3, False),
        ([None], False),
    ],
)
async def test_confirm_rotation(answers, expected):
    asked = []

    async def answer(text, echo):
        asked.append(text)
        return answers[len(asked) - 1]

    other = generate("ssh-ed25519").public
    assert await prompts.confirm_rotation(HostKeyRotation((KEY,), (other,)), answer) is expected
    assert len(asked) == len(answers)
    assert f"Learned new hostkey: ED25519 {KEY.fingerprint()}\n" in asked[0]
    assert f"Deprecating obsolete hostkey: ED25519 {other.fingerprint()}\n" in asked[0]


async def test_what_is_shown_while_something_lasts(monkeypatch, tmp_path, askpass):
    os.mkfifo(tmp_path / "shown")
    askpass(f'echo "$SSH_ASKPASS_PROMPT $1" > {tmp_path}/shown; exec sleep 100')
    monkeypatch.setenv("SSH_ASKPASS_REQUIRE", "force")
    async with asyncio.timeout(20):
        async with prompts.notice("Touch it"):
            assert await asyncio.to_thread((tmp_path / "shown").read_text) == "none Touch it\n"
    monkeypatch.setenv("SSH_ASKPASS_REQUIRE", "never")
    async with prompts.notice("Touch it"):
        pass
