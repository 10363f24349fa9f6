"""Lines behind ``~C``, and what they do."""

from __future__ import annotations

import pytest

from nacre.cli.ssh.commandline import CommandLine
from nacre.config.tunnels import Forward
from nacre.errors import ConnectionLost, RequestFailed


class Ports:
    """Notes what is opened and closed; port 13 can't be, and at port 14 the connection ends."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, ...]] = []

    async def open(self, kind: str, one: Forward) -> None:
        if one.port == 13:
            raise RequestFailed("no such luck")
        if one.port == 14:
            raise ConnectionLost("the server is gone")
        self.calls.append(("open", kind, one.listen, one.destination))

    async def close_at(self, kind: str, listen: str) -> None:
        self.calls.append(("close", kind, listen))


async def run(line: str, *, local: bool = False) -> tuple[str, list[tuple[str, ...]]]:
    ports = Ports()

    async def shell(command: str) -> None:
        ports.calls.append(("local", command))

    answer = await CommandLine(lambda: ports, shell if local else None).run(line)
    return answer, ports.calls


@pytest.mark.parametrize(
    ("line", "calls"),
    [
        ("-L 1:h:2\n", [("open", "local", "1", "[h]:2")]),
        ("L1:h:2", [("open", "local", "1", "[h]:2")]),
        ("  -L[::1]:1:h:2", [("open", "local", "[::1]:1", "[h]:2")]),
        ("-R0:h:2", [("open", "remote", "0", "[h]:2")]),
        ("-R 7", [("open", "remote", "7", "[socks]:0")]),
        ("-D*:1080", [("open", "dynamic", "[*]:1080", "[socks]:0")]),
        ("-KL 1", [("close", "local", "1")]),
        ("-KL1:h:2", [("close", "local", "1")]),
        ("KRhost:3", [("close", "remote", "[host]:3")]),
        ("-KD1080", [("close", "dynamic", "1080")]),
        ("-L/tmp/s:h:2", [("open", "local", "/tmp/s", "[h]:2")]),
    ],
)
async def test_forwardings(line: str, calls: list[tuple[str, ...]]) -> None:
    answer, done = await run(line)
    assert done == calls
    assert answer == ("Canceled forwarding." if calls[0][0] == "close" else "Forwarding port.")


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("", ""),
        ("-", ""),
        ("-X", "Invalid command: -h lists the commands."),
        ("-K", "Invalid command: -h lists the commands."),
        ("-L1", "-L: bad value '1'"),
        ("-KLx", "-KL: bad value 'x'"),
        ("-L13:h:2", "no such luck"),
        ("-L14:h:2", "Port forwarding failed: the server is gone"),
        ("!ls", "Local commands are not permitted: set PermitLocalCommand."),
    ],
)
async def test_what_does_nothing(line: str, answer: str) -> None:
    said, done = await run(line)
    assert done == []
    assert said.startswith(answer)
    assert bool(said) == bool(answer)


async def test_a_local_command() -> None:
    assert await run("! ls -l", local=True) == ("", [("local", "ls -l")])


@pytest.mark.parametrize("line", ["?", "-h", "-H", "help"])
async def test_help(line: str) -> None:
    text, _ = await run(line)
    assert text.startswith("Commands:\n      -L[bind_address:]port:host:hostport    Request local")
    assert "!args" not in text
    assert "!args" in (await run(line, local=True))[0]
