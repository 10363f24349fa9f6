"""Files of sshd_config that went wrong: an error that names file and line, or rules to look up."""

from __future__ import annotations

import random
import re
import socket
import tracemalloc
from pathlib import Path

import pytest

from fuzz.mutate import BUDGET, mutated, seeds
from interop.config_cases.generated import server_case
from interop.config_cases.server_lines import FILES, LINES
from nacre.config.server.dump import server_lines
from nacre.config.server.files import load
from nacre.config.server.rules import Connecting
from nacre.config.server.words import SCHEMA
from nacre.errors import ConfigurationError
from nacre.limits import MIB
from nacre.wire.text import safe

pytestmark = pytest.mark.timeout(120 + 2 * BUDGET)

_WRITTEN = [
    case.text.encode() if isinstance(case.text, str) else case.text
    for case in (*FILES, *LINES)
    if len(case.text) < 20_000
]
_WHO = Connecting(
    user="bob",
    groups=lambda: ("users",),
    address="10.1.2.3",
    host=lambda: "h.example",
    local_address="127.0.0.1",
    local_port=22,
)


def _changed(data: bytes, draw: random.Random) -> bytes:
    """Return a file with changed bytes, moved lines, or other keywords."""
    lines = data.split(b"\n")
    for _ in range(draw.choice((0, 1, 3))):
        at = draw.randrange(len(lines))
        match draw.randrange(4):
            case 0:
                lines.insert(draw.randrange(len(lines) + 1), lines[at])
            case 1:
                name = draw.choice(SCHEMA.words).name.encode()
                lines[at] = name + b" " + lines[at].partition(b" ")[2]
            case 2:
                lines.insert(at, b"Match user bob,!x address 10.0.0.0/8")
            case 3:
                lines[at] *= draw.choice((2, 3000 if len(lines[at]) < 1000 else 2))
    data = b"\n".join(lines)
    return (mutated(data, draw) if draw.random() < 0.6 else data)[:MIB]


@pytest.fixture
def _no_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look up no names: changed ones could be any."""

    def unknown(*_: object, **__: object) -> None:
        raise OSError

    monkeypatch.setattr(socket, "getaddrinfo", unknown)


@pytest.mark.usefixtures("_no_names")
def test_files_of_servers(tmp_path: Path) -> None:
    path = tmp_path / "sshd_config"
    for seed in seeds():
        draw = random.Random(seed)
        data = draw.choice(_WRITTEN)
        if draw.random() < 0.5:
            text = server_case(draw).text
            data = text.encode() if isinstance(text, str) else text
        data = _changed(data.replace(b"{dir}", bytes(tmp_path)), draw)
        path.write_bytes(data)
        watched = seed % 50 == 0
        if watched:
            tracemalloc.start()
        try:
            _read(path)
            if watched:
                assert tracemalloc.get_traced_memory()[1] < 8 * MIB + 60 * len(data)
        except BaseException as error:
            error.add_note(f"NACRE_FUZZ_SEED={seed}")
            raise
        finally:
            if watched:
                tracemalloc.stop()


def _read(path: Path) -> None:
    """Read a file as a server and ``-T`` do."""
    try:
        rules = load(path)
    except ConfigurationError as error:
        _check_message(str(error))
        return
    assert rules.lookup(_WHO) is rules.lookup(_WHO)
    list(rules.described())
    try:
        rules.check()
    except ConfigurationError as error:
        _check_message(str(error))
    try:
        printed = list(server_lines(rules, ["user=bob,lport=22"], origins=True))
    except ConfigurationError as error:
        if "ListenAddress: " not in str(error):
            raise
    else:
        assert all(line.partition(" ")[0].isalnum() for line in printed)


def _check_message(message: str) -> None:
    """Check that each line names a file and a line in it, is short, and can be printed."""
    for line in message.split("\n"):
        assert re.search(r" line [1-9]\d*: ", line), line
        assert len(line) < 1500
        assert safe(line, len(line), keep="\\") == line
