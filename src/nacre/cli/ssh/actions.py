"""What the escapes of a session do. Loaded when the user types the first one."""

from __future__ import annotations

import os
import signal
import termios
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from nacre.cli.ssh.escapes import OWN_ONLY, Escape, Escapes, Quit
from nacre.config.values import LogLevel
from nacre.errors import LocalProtocolError, RequestFailed
from nacre.value import value

if TYPE_CHECKING:
    from nacre.cli.ssh.session import Controls
    from nacre.cli.ssh.standard import StandardInput
    from nacre.cli.ssh.terminal import RawTerminal
    from nacre.client.connection import Connection
    from nacre.client.process import Process

_BREAK = 1000  # milliseconds; the server may use another length (RFC 4335 section 3)


@value
class Session:
    """The session in which an escape was typed.

    :ivar escapes: what found it.
    :ivar input: what the user types.
    :ivar show: prints a text on the terminal, which is in raw mode.
    :ivar raw: the terminal, if this program has put it into raw mode.
    :ivar controls: None for a client of the shared connection.
    """

    connection: Connection
    process: Process
    escapes: Escapes
    input: StandardInput
    show: Callable[[str], Awaitable[None]]
    raw: RawTerminal | None
    controls: Controls | None


async def act(escape: Escape, session: Session) -> None:
    """Do what an escape asks for.

    :raises Quit: the session ends.
    """
    if escape in OWN_ONLY and session.controls is None:
        typed = session.escapes.typed(escape)
        await session.show(f"{typed} escape not available to multiplexed sessions\r\n")
        return
    await _ACTIONS[escape](session)


async def _disconnect(session: Session) -> None:
    await session.show(f"{session.escapes.typed(Escape.DISCONNECT)}\r\n")
    raise Quit


async def _help(session: Session) -> None:
    await session.show(session.escapes.help())


async def _list_channels(session: Session) -> None:
    connection = session.connection
    forwarded = connection.forwarded
    lines = [
        session.escapes.typed(Escape.CHANNELS),
        f"{connection.peer_version}, {connection.algorithms}",
        f"{len(forwarded) or 'No'} forwarded connections are open{':' if forwarded else '.'}",
        *(f"  {one}" for one in forwarded),
    ]
    await session.show("".join(f"{line}\r\n" for line in lines))


async def _suspend(session: Session) -> None:
    await session.show(f"{session.escapes.typed(Escape.SUSPEND)} [suspend ssh]\r\n")
    # All of a pipeline stops, not this process alone.
    os.kill(0, signal.SIGTSTP)


async def _send_break(session: Session) -> None:
    await session.show(f"{session.escapes.typed(Escape.BREAK)}\r\n")
    with suppress(RequestFailed):
        await session.process.send_break(_BREAK)


async def _rekey(session: Session) -> None:
    try:
        await session.connection.rekey()
    except LocalProtocolError as error:
        await session.show(f"{error}\r\n")


async def _change_level(escape: Escape, session: Session) -> None:
    assert session.controls is not None
    log = session.controls.log
    typed = session.escapes.typed(escape)
    if not log.on_stderr:
        await session.show(f"{typed} [Logging to syslog]\r\n")
        return
    levels = list(LogLevel)
    step = 1 if escape is Escape.LOUDER else -1
    at = min(max(levels.index(log.level) + step, 0), len(levels) - 1)
    log.level = levels[at]
    from nacre.cli.common.login import narrator

    session.connection.follow(narrator(log))
    await session.show(f"{typed} [LogLevel {log.level.name}]\r\n")


async def _open_command_line(session: Session) -> None:
    controls = session.controls
    assert controls is not None
    if not controls.config.enable_escape_commandline:
        await session.show(
            "commandline disabled: set EnableEscapeCommandline\r\n",
        )
        return
    from nacre.cli.ssh.commandline import PROMPT, CommandLine
    from nacre.cli.ssh.local import run_shell

    async def local(command: str) -> None:
        with _cooked(session.raw, signals=True):
            await run_shell(command)

    permitted = controls.config.permit_local_command
    commands = CommandLine(controls.ports, local if permitted else None)
    with _cooked(session.raw):
        await session.show(f"\r\n{PROMPT}")
        line = bytes(await session.input.read())
    # Ctrl-C and an end of input leave the command line.
    text = "" if b"\x03" in line else line.decode("utf-8", "replace")
    if answer := await commands.run(text):
        await session.show("".join(f"{one}\r\n" for one in answer.split("\n")))


@contextmanager
def _cooked(raw: RawTerminal | None, *, signals: bool = False) -> Iterator[None]:
    """Give the terminal the modes that it had before the session, to type a line.

    :param signals: whether keys send signals. They do not end this program meanwhile.
    """
    if raw is None:
        yield
        return
    raw.lend(None if signals else _without_signals)
    earlier = signal.signal(signal.SIGINT, lambda *_: None) if signals else None
    try:
        yield
    finally:
        if signals:
            signal.signal(signal.SIGINT, earlier)
        raw.set()


def _without_signals(attributes: list[Any]) -> None:
    attributes[3] &= ~termios.ISIG


async def _go_to_background(session: Session) -> None:
    from nacre.cli.ssh.local import leave_terminal

    await session.show(f"{session.escapes.typed(Escape.BACKGROUND)} [backgrounded]\r\n")
    if session.raw is not None:
        session.raw.restore()
    leave_terminal()
    # The remote shell logs out; forwarded connections keep the program running.
    await session.process.stdin.write(b"\x04")
    session.process.stdin.write_eof()


_ACTIONS: dict[Escape, Callable[[Session], Awaitable[None]]] = {
    Escape.DISCONNECT: _disconnect,
    Escape.HELP: _help,
    Escape.CHANNELS: _list_channels,
    Escape.SUSPEND: _suspend,
    Escape.BREAK: _send_break,
    Escape.REKEY: _rekey,
    Escape.QUIETER: partial(_change_level, Escape.QUIETER),
    Escape.LOUDER: partial(_change_level, Escape.LOUDER),
    Escape.COMMAND_LINE: _open_command_line,
    Escape.BACKGROUND: _go_to_background,
}
