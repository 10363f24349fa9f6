"""What the escapes of a session do. Loaded when the user types the first one."""

from __future__ import annotations

import os
import signal
import termios
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from nacre.cli.ssh.escapes import OWN_ONLY, Controls, EndedByEscape, Escape, Escapes
from nacre.config.values import LogLevel
from nacre.errors import LocalProtocolError, RequestFailed
from nacre.value import value

if TYPE_CHECKING:
    from nacre.cli.common.modes import RawTerminal
    from nacre.cli.ssh.standard import StandardInput
    from nacre.client.connection import Connection
    from nacre.client.process import Process

_BREAK = 1000  # milliseconds; the server may use another length (RFC 4335 section 3)


@value
class Scene:
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


async def act(escape: Escape, scene: Scene) -> None:
    """Do what an escape asks for.

    :raises EndedByEscape: the session ends.
    """
    if escape in OWN_ONLY and scene.controls is None:
        typed = scene.escapes.typed(escape)
        await scene.show(f"{typed} escape not available to multiplexed sessions\r\n")
        return
    await _ACTIONS[escape](scene)


async def _disconnect(scene: Scene) -> None:
    await scene.show(f"{scene.escapes.typed(Escape.DISCONNECT)}\r\n")
    raise EndedByEscape


async def _help(scene: Scene) -> None:
    await scene.show(scene.escapes.help())


async def _list_channels(scene: Scene) -> None:
    connection = scene.connection
    forwarded = connection.forwarded
    lines = [
        scene.escapes.typed(Escape.CHANNELS),
        f"{connection.peer_version}, {connection.algorithms}",
        f"{len(forwarded) or 'No'} forwarded connections are open{':' if forwarded else '.'}",
        *(f"  {one}" for one in forwarded),
    ]
    await scene.show("".join(f"{line}\r\n" for line in lines))


async def _suspend(scene: Scene) -> None:
    await scene.show(f"{scene.escapes.typed(Escape.SUSPEND)} [suspend ssh]\r\n")
    # All of a pipeline stops, not this process alone.
    os.kill(0, signal.SIGTSTP)


async def _send_break(scene: Scene) -> None:
    await scene.show(f"{scene.escapes.typed(Escape.BREAK)}\r\n")
    with suppress(RequestFailed):
        await scene.process.send_break(_BREAK)


async def _rekey(scene: Scene) -> None:
    try:
        await scene.connection.rekey()
    except LocalProtocolError as error:
        await scene.show(f"{error}\r\n")


async def _change_level(escape: Escape, scene: Scene) -> None:
    assert scene.controls is not None
    log = scene.controls.log
    typed = scene.escapes.typed(escape)
    if not log.on_stderr:
        await scene.show(f"{typed} [Logging to syslog]\r\n")
        return
    levels = list(LogLevel)
    step = 1 if escape is Escape.LOUDER else -1
    at = min(max(levels.index(log.level) + step, 0), len(levels) - 1)
    log.level = levels[at]
    from nacre.cli.common.login import narrator

    scene.connection.follow(narrator(log))
    await scene.show(f"{typed} [LogLevel {log.level.name}]\r\n")


async def _open_command_line(scene: Scene) -> None:
    controls = scene.controls
    assert controls is not None
    if not controls.config.enable_escape_commandline:
        await scene.show(
            "commandline disabled: set EnableEscapeCommandline\r\n",
        )
        return
    from nacre.cli.ssh.commandline import PROMPT, CommandLine
    from nacre.cli.ssh.local import run_shell

    async def local(command: str) -> None:
        with _cooked(scene.raw, signals=True):
            await run_shell(command)

    permitted = controls.config.permit_local_command
    commands = CommandLine(controls.ports, local if permitted else None)
    with _cooked(scene.raw):
        await scene.show(f"\r\n{PROMPT}")
        line = bytes(await scene.input.read())
    # Ctrl-C and an end of input leave the command line.
    text = "" if b"\x03" in line else line.decode("utf-8", "replace")
    if answer := await commands.run(text):
        await scene.show("".join(f"{one}\r\n" for one in answer.split("\n")))


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


async def _go_to_background(scene: Scene) -> None:
    from nacre.cli.ssh.local import leave_terminal

    await scene.show(f"{scene.escapes.typed(Escape.BACKGROUND)} [backgrounded]\r\n")
    if scene.raw is not None:
        scene.raw.restore()
    leave_terminal()
    # The remote shell logs out; forwarded connections keep the program running.
    await scene.process.stdin.write(b"\x04")
    scene.process.stdin.write_eof()


_ACTIONS: dict[Escape, Callable[[Scene], Awaitable[None]]] = {
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
