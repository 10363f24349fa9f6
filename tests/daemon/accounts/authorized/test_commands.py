"""Programs that print what lets users in: how they are run, and their bounds."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nacre.daemon.accounts.accounts import own_account
from nacre.daemon.accounts.authorized import commands
from nacre.daemon.accounts.authorized.commands import KeysCommand, ask
from nacre.errors import AccountError

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only programs of root are run")

TOKENS = {"u": "alice", "i": "an id"}
ME = own_account().name


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that only root can write to; its parents, too."""
    path = Path(f"/srv/nacre-commands-{os.getpid()}")
    path.mkdir(mode=0o755)
    yield path
    shutil.rmtree(path)


def command(place: Path, text: str, line: str = "{program}", **fields: Any) -> KeysCommand:
    program = place / "program"
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)
    chosen = {"keyword": "AuthorizedKeysCommand", "user": ME, **fields}
    return KeysCommand(line=line.format(program=program), **chosen)


async def output(given: KeysCommand) -> list[tuple[int, bytes]]:
    """Return the blocks of lines that were taken, and the number of the first line of each."""
    blocks: list[tuple[int, bytes]] = []

    def take(lines: bytes, number: int) -> None:
        blocks.append((number, lines))

    await ask(given, TOKENS, take, asyncio.to_thread)
    return blocks


async def test_arguments_have_tokens_and_the_name_is_the_default(place: Path) -> None:
    show = 'for word; do printf "<%s>" "$word"; done'
    assert await output(command(place, show)) == [(1, b"<alice>")]
    line = "{program} %u '%i' \"two words\" %%"
    assert await output(command(place, show, line)) == [(1, b"<alice><an id><two words><%>")]


async def test_lines_are_taken_as_they_come(place: Path) -> None:
    """The program waits for a file that is made when its first line was taken."""
    mark = place / "mark"
    text = f"echo one; while ! test -e {mark}; do sleep 0.01; done; printf 'two\\nthree'"
    blocks: list[tuple[int, bytes]] = []

    def take(lines: bytes, number: int) -> bytes | None:
        blocks.append((number, lines))
        mark.touch()
        return lines if number == 2 else None

    assert await ask(command(place, text), TOKENS, take, asyncio.to_thread) == b"two"
    assert blocks == [(1, b"one"), (2, b"two")]


async def test_an_empty_line_that_comes_alone_counts(place: Path) -> None:
    """The program waits for a file that is made when its first line was taken."""
    mark = place / "mark"
    text = f"echo; while ! test -e {mark}; do sleep 0.01; done; printf 'two'"
    blocks: list[tuple[int, bytes]] = []

    def take(lines: bytes, number: int) -> None:
        blocks.append((number, lines))
        mark.touch()

    await ask(command(place, text), TOKENS, take, asyncio.to_thread)
    assert blocks == [(1, b""), (2, b"two")]


@pytest.mark.parametrize(
    ("text", "fields", "says"),
    [
        ("exit 3", {}, "status 3"),
        ("kill -9 $$", {}, "status -9"),
        ("head -c 70000 /dev/zero", {}, "a line of more than 1000 bytes"),
        ("yes", {}, "more than 100000 bytes"),
        ("sleep 60", {}, "more than 0.2 seconds"),
        ("sleep 3 & exit 0", {}, "more than 0.2 seconds"),
        ("", {"user": None}, "AuthorizedKeysCommandUser is not set"),
        ("", {"user": "no-such-account"}, "no account"),
        ("", {"user": "%i"}, "%i is not possible"),
        ("", {"line": "{program} %x"}, "%x is not possible"),
        ("", {"line": "{program} 'open"}, "quot"),
        ("", {"line": "program"}, "not an absolute path"),
        ("", {"line": "/no/such/program"}, "No such file"),
        ("", {"line": "/etc"}, "not a regular file"),
        ("", {"line": "/etc/passwd"}, "Permission denied"),
    ],
)
async def test_what_does_not_count(
    place: Path, monkeypatch: pytest.MonkeyPatch, text: str, fields: dict[str, Any], says: str
) -> None:
    monkeypatch.setattr(commands, "_LONGEST", 1000)
    monkeypatch.setattr(commands, "_MOST", 100000)
    monkeypatch.setattr(commands, "SECONDS", 0.2 if "sleep" in text else 20.0)
    with pytest.raises(AccountError, match=f"AuthorizedKeysCommand: .*{says}"):
        await output(command(place, text, **fields))


async def test_a_zero_byte_of_a_certificate_is_no_argument(place: Path) -> None:
    given = command(place, "", "{program} %i")
    with pytest.raises(AccountError, match="null byte"):
        await ask(given, {"u": "alice", "i": "a\0b"}, lambda lines, number: None, asyncio.to_thread)


@pytest.mark.parametrize("fault", ["mode", "owner", "directory", "link"])
async def test_a_program_that_others_could_change_is_not_run(
    place: Path, tmp_path: Path, fault: str
) -> None:
    given = command(place, "echo x")
    program = place / "program"
    if fault == "mode":
        program.chmod(0o775)
    elif fault == "owner":
        shutil.chown(program, "nobody")
    elif fault == "directory":
        place.chmod(0o757)
    else:
        real = tmp_path / "real"
        shutil.copy(program, real)
        shutil.chown(real, "nobody")
        program.unlink()
        program.symlink_to(real)
    with pytest.raises(AccountError, match="must belong to root"):
        await output(given)


async def test_it_is_killed_when_nobody_waits_any_more(place: Path) -> None:
    mark = place / "number"
    given = command(place, f"echo $$ > {mark}; echo a line; exec sleep 60")
    started = asyncio.Event()
    task = asyncio.create_task(
        ask(given, TOKENS, lambda lines, number: started.set(), asyncio.to_thread)
    )
    async with asyncio.timeout(20):
        await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(ProcessLookupError):
        os.kill(int(mark.read_text()), 0)


async def test_it_runs_as_its_account_without_input(place: Path) -> None:
    show = "id -un; id -Gn; umask >/dev/null; cat; pwd; echo $HOME:$USER:$LOGNAME:$PATH:$SSH_X"
    blocks = await output(command(place, show, user="nobody"))
    assert b"\n".join(lines for _, lines in blocks).decode().splitlines() == [
        "nobody",
        "nogroup",
        "/",
        "/nonexistent:nobody:nobody:/usr/bin:/bin:/usr/sbin:/sbin:",
    ]
