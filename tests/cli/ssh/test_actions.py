"""What escapes do; the terminal's side of it is tested beside OpenSSH, in interop."""

from __future__ import annotations

from typing import Any, cast

import pytest

from nacre.cli.common.log import Log, open_log
from nacre.cli.ssh.actions import Scene, act
from nacre.cli.ssh.escapes import OWN_ONLY, Controls, EndedByEscape, Escape, Escapes
from nacre.config.client.files import parse
from nacre.config.values import LogLevel
from nacre.errors import LocalProtocolError, RequestFailed


class Fake:
    """A connection and its process, which refuse what they are asked for."""

    peer_version = "SSH-2.0-x"
    algorithms = "few"
    forwarded = ("#1 from a to b",)

    def __init__(self) -> None:
        self.traces: list[object] = []

    async def rekey(self) -> None:
        raise LocalProtocolError("keys are exchanged already")

    async def send_break(self, milliseconds: int) -> None:
        raise RequestFailed("no")

    def follow(self, trace: object) -> None:
        self.traces.append(trace)


async def shown(escape: Escape, controls: Controls | None = None) -> str:
    texts: list[str] = []

    async def show(text: str) -> None:
        texts.append(text)

    fake = cast("Any", Fake())
    scene = Scene(fake, fake, Escapes(b"%"), fake, show, None, controls)
    try:
        await act(escape, scene)
    except EndedByEscape:
        texts.append("quit")
    return "".join(texts)


async def test_each_shows_itself_as_it_was_typed() -> None:
    assert await shown(Escape.DISCONNECT) == "%.\r\nquit"
    assert await shown(Escape.BREAK) == "%B\r\n"
    assert await shown(Escape.REKEY) == "keys are exchanged already\r\n"
    assert (await shown(Escape.HELP)).startswith("%?\r\n")
    channels = "%#\r\nSSH-2.0-x, few\r\n1 forwarded connections are open:\r\n  #1 from a to b\r\n"
    assert await shown(Escape.CHANNELS) == channels


@pytest.mark.parametrize("escape", [one for one in Escape if one in OWN_ONLY])
async def test_clients_of_a_shared_connection_can_not_do_all(escape: Escape) -> None:
    typed = Escapes(b"%").typed(escape)
    assert await shown(escape) == f"{typed} escape not available to multiplexed sessions\r\n"


async def test_the_level_of_messages() -> None:
    with open_log() as file:
        log = Log(LogLevel.INFO, file)
        controls = Controls(cast("Any", Fake()), parse([]), log)
        assert await shown(Escape.LOUDER, controls) == "%v [LogLevel VERBOSE]\r\n"
        for _ in range(9):
            text = await shown(Escape.QUIETER, controls)
        assert (text, log.level) == ("%V [LogLevel QUIET]\r\n", LogLevel.QUIET)
    with open_log("/dev/null") as file:
        log = Log(LogLevel.INFO, file)
        controls = Controls(cast("Any", Fake()), parse([]), log)
        assert await shown(Escape.LOUDER, controls) == "%v [Logging to syslog]\r\n"


async def test_the_command_line_is_off_by_default() -> None:
    with open_log() as file:
        controls = Controls(cast("Any", Fake()), parse([]), Log(LogLevel.INFO, file))
    assert (await shown(Escape.COMMAND_LINE, controls)).startswith("commandline disabled")
