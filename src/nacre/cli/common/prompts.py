"""Questions to the user: on the terminal, or through the program that SSH_ASKPASS names.

``SSH_ASKPASS_REQUIRE`` decides as in ssh(1): ``never`` uses only the terminal, ``force`` only the
program, ``prefer`` the program where there is a desktop. Without it, the program is used on a
desktop without a terminal.
"""

from __future__ import annotations

import asyncio
import os
import sys
import termios
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeAlias

from nacre.cli.common.modes import Attributes, TerminalModes
from nacre.client.trust.files import NewHost
from nacre.client.trust.sources import Location
from nacre.keys.fingerprint import family
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.keys.hosts.rotation import HostKeyRotation

TTY = "/dev/tty"
DEFAULT_ASKPASS = "/usr/bin/ssh-askpass"

_LINE = 8 * 1024
_NAMES = 8
_TRIES = 2

Prompter: TypeAlias = Callable[[str, bool], Awaitable[str | None]]
"""Gets a prompt, and whether to echo the answer; returns the answer, or None."""


async def prompt(text: str, echo: bool, *, standard_input: bool = False) -> str | None:
    """Ask the user ``text``, and return the answer.

    :param echo: whether the answer shows on the screen.
    :param standard_input: read a line of standard input if there is neither.
    :returns: None if there is neither a terminal nor a program, or the user gave no answer.
    """
    require = os.environ.get("SSH_ASKPASS_REQUIRE", "").lower()
    desktop = _desktop()
    if require == "force" or (require == "prefer" and desktop):
        return await _ask_program(text)
    descriptor = _open_terminal()
    if descriptor is None:
        if desktop and require != "never":
            return await _ask_program(text)
        return _ask_standard_input(text) if standard_input else None
    try:
        return await _ask_terminal(descriptor, text, echo)
    finally:
        os.close(descriptor)


def _ask_standard_input(text: str) -> str | None:
    print(text, end="", file=sys.stderr, flush=True)
    line = sys.stdin.buffer.readline()
    return _first_line(line) if line else None


def _open_terminal() -> int | None:
    """Return a descriptor of the controlling terminal, or else of standard input's terminal."""
    try:
        return os.open(TTY, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return os.dup(0) if os.isatty(0) else None


async def confirm(text: str) -> bool:
    """Ask the user by the program of ``SSH_ASKPASS`` to allow what ``text`` says.

    :returns: whether the user agreed; False if no program can be asked.
    """
    if not _may_ask_program():
        return False
    answer = await _ask_program(text, "confirm")
    # A program that knows the hint tells it by its exit status alone.
    return answer is not None and answer.lower() in ("", "yes")


@asynccontextmanager
async def notice(text: str) -> AsyncIterator[None]:
    """Show the user ``text`` by the program of ``SSH_ASKPASS``, while the context lasts."""
    shown = asyncio.create_task(_ask_program(text, "none")) if _may_ask_program() else None
    try:
        yield
    finally:
        if shown is not None:
            shown.cancel()
            await asyncio.wait([shown])


def _may_ask_program() -> bool:
    require = os.environ.get("SSH_ASKPASS_REQUIRE", "").lower()
    return require == "force" or (require != "never" and _desktop())


def _desktop() -> bool:
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


async def _ask_program(text: str, hint: str = "") -> str | None:
    program = os.environ.get("SSH_ASKPASS", DEFAULT_ASKPASS)
    environment = {**os.environ, "SSH_ASKPASS_PROMPT": hint} if hint else None
    try:
        process = await asyncio.create_subprocess_exec(
            program,
            text,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            env=environment,
        )
    except OSError:
        return None
    try:
        assert process.stdout is not None
        answer = await process.stdout.read(_LINE)
        status = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return _first_line(answer) if status == 0 else None


async def _ask_terminal(descriptor: int, text: str, echo: bool) -> str | None:
    question = text.encode("utf-8", "surrogateescape")

    def canonical(attributes: Attributes) -> None:
        attributes[3] |= termios.ICANON | termios.ISIG | termios.ECHO
        if not echo:
            attributes[3] &= ~(termios.ECHO | termios.ECHONL)

    modes = TerminalModes(
        descriptor,
        canonical,
        # Input that came before a secret is asked for is not the secret.
        when=termios.TCSADRAIN if echo else termios.TCSAFLUSH,
        again=lambda: os.write(descriptor, question),
    )
    with modes:
        os.write(descriptor, question)
        try:
            line = await _readable(descriptor)
        finally:
            if not echo:
                os.write(descriptor, b"\n")
    return _first_line(line) if line else None


async def _readable(descriptor: int) -> bytes:
    """Return the next line of a terminal: in canonical mode one read returns one line."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[bytes] = loop.create_future()

    def read() -> None:
        if not ready.done():
            ready.set_result(os.read(descriptor, _LINE))

    loop.add_reader(descriptor, read)
    try:
        return await ready
    finally:
        loop.remove_reader(descriptor)


def _first_line(answer: bytes) -> str:
    line = answer.split(b"\n", 1)[0].removesuffix(b"\r")
    return line.decode("utf-8", "surrogateescape")


def _other_names(question: NewHost) -> list[str]:
    """Return the lines that tell which other hosts have this key, in ssh(1)'s words."""
    others = question.other_names
    if not others:
        return ["This key is not known by any other names."]
    lines = ["This host key is known by the following other names/addresses:"]
    lines += [f"    {safe(str(at))}: {_shown_names(at)}" for at in others[:_NAMES]]
    if len(others) > _NAMES:
        lines.append(f"    ({len(others) - _NAMES} additional names omitted)")
    return lines


def _shown_names(at: Location) -> str:
    hosts = at.entry.hosts
    return "[hashed name]" if hosts[0].startswith("|1|") else safe(",".join(hosts), 200)


async def confirm_host(
    question: NewHost, prompt: Prompter = prompt, hash_name: str = "sha256"
) -> bool:
    """Ask the user whether a new host's key is right: yes, no, or the fingerprint to compare.

    :param hash_name: the hash of the fingerprint.
    """
    print_ = question.key.fingerprint(hash_name)
    address = question.address or "<no hostip for proxy command>"
    lines = [
        f"The authenticity of host '{question.name} ({address})' can't be established.",
        f"{family(question.key.type)} key fingerprint is {print_}.",
    ]
    if question.in_dns is not None:
        found = "Matching" if question.in_dns else "No matching"
        lines.append(f"{found} host key fingerprint found in DNS.")
    lines += _other_names(question)
    lines.append("Are you sure you want to continue connecting (yes/no/[fingerprint])? ")
    answer = await prompt("\n".join(lines), True)
    while answer is not None:
        answer = answer.strip()
        if answer.lower() == "yes" or answer == print_:
            return True
        if answer.lower() == "no":
            return False
        answer = await prompt("Please type 'yes', 'no' or the fingerprint: ", True)
    return False


async def confirm_rotation(
    changes: HostKeyRotation, prompt: Prompter = prompt, hash_name: str = "sha256"
) -> bool:
    """Ask the user whether known_hosts is to follow the server's change of its host keys."""
    lines = [
        "The server has updated its host keys.",
        "These changes were verified by the server's existing trusted key.",
    ]
    for what, keys in (("Learned new", changes.new), ("Deprecating obsolete", changes.old)):
        lines += [f"{what} hostkey: {family(k.type)} {k.fingerprint(hash_name)}" for k in keys]
    answer = await prompt("\n".join([*lines, "Accept updated hostkeys? (yes/no): "]), True)
    for _ in range(_TRIES):
        if answer is None or answer.strip().lower() in ("yes", "no"):
            break
        answer = await prompt('Please enter "yes" or "no": ', True)
    return answer is not None and answer.strip().lower() == "yes"
