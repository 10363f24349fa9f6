"""Configuration files that went wrong: an error that names file and line, or settings to print."""

from __future__ import annotations

import glob
import random
import re
import socket
import tracemalloc
from collections.abc import Iterable
from pathlib import Path

import pytest

from fuzz.mutate import BUDGET, mutated, seeds
from interop.config_cases.case import ConfigCase
from interop.config_cases.client_files import CANONICAL, FILES
from interop.config_cases.client_lines import LINES
from interop.config_cases.generated import client_case
from nacre.client.target import Target
from nacre.config.client.dump import client_lines
from nacre.config.client.files import Config
from nacre.config.client.reader import ClientReader
from nacre.config.client.words import SCHEMA
from nacre.errors import ConfigurationError
from nacre.limits import MIB
from nacre.wire.text import safe

pytestmark = pytest.mark.timeout(120 + 2 * BUDGET)


def _texts(cases: Iterable[ConfigCase]) -> list[bytes]:
    texts = (case.text.encode() if isinstance(case.text, str) else case.text for case in cases)
    return [text for text in texts if len(text) < 20_000]


_WRITTEN = _texts((*FILES, *CANONICAL, *LINES))
_BETWEEN = [
    b"=",
    b" = ",
    b'"',
    b"'",
    b"\\",
    b"#",
    b"\t",
    b"\r",
    b",",
    b"!",
    b"%",
    b"${",
    b"\n",
    b"*",
]


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
                place = draw.randrange(len(lines[at]) + 1)
                lines[at] = lines[at][:place] + draw.choice(_BETWEEN) + lines[at][place:]
            case 3:
                lines[at] *= draw.choice((2, 3000))
    data = b"\n".join(lines)
    return (mutated(data, draw) if draw.random() < 0.7 else data)[:MIB]


@pytest.fixture
def _harmless(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Run no commands, look up no names, and read no other files: changed ones could be any."""
    matching = glob.glob

    def here(pattern: str) -> list[str]:
        return [path for path in matching(pattern) if path.startswith(f"{tmp_path}/")]

    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(glob, "glob", here)
    monkeypatch.setattr(ClientReader, "_succeeds", lambda _, command: len(command) % 2 == 0)
    monkeypatch.setattr(socket, "getaddrinfo", unknown)


@pytest.mark.usefixtures("_harmless")
def test_files_of_clients(tmp_path: Path) -> None:
    path = tmp_path / "config"
    for seed in seeds():
        draw = random.Random(seed)
        data = draw.choice(_WRITTEN) if draw.random() < 0.5 else _texts([client_case(draw)])[0]
        data = _changed(data.replace(b"{dir}", bytes(tmp_path)), draw)
        path.write_bytes(data)
        watched = seed % 50 == 0
        if watched:
            tracemalloc.start()
        try:
            _read(path, draw)
            if watched:
                assert tracemalloc.get_traced_memory()[1] < 8 * MIB + 40 * len(data)
        except BaseException as error:
            error.add_note(f"NACRE_FUZZ_SEED={seed}")
            raise
        finally:
            if watched:
                tracemalloc.stop()


def _read(path: Path, draw: random.Random) -> None:
    """Read a file as ``ssh -G`` does."""
    host = draw.choice(["h", "web", "a.b", "::1", "db.example.org"])
    try:
        config = Config.load(path).lookup(host)
        target = Target.of(host, config)
        printed = list(client_lines(host, target.host, config, target.tokens(), origins=True))
    except ConfigurationError as error:
        _check_message(str(error), path)
    else:
        assert all(line.partition(" ")[0].isalnum() for line in printed)


def _check_message(message: str, path: Path) -> None:
    """Check that each line names a file and a line in it, is short, and can be printed."""
    lines = message.split("\n")
    assert 0 < len(lines) <= 20
    for line in lines:
        assert re.search(r" line [1-9]\d*: ", line) or "CanonicalizeFallbackLocal is no" in line, (
            line
        )
        assert len(line) < 1500
        assert safe(line, len(line), keep="\\") == line
    assert str(path.parent) in message or "CanonicalizeFallbackLocal is no" in message
