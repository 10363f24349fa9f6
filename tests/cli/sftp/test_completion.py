"""Completion and history at the prompt of ``sftp``."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from nacre.cli.sftp.completion import Completer
from nacre.cli.sftp.shell import SFTPShell


def test_completion_of_commands_and_local_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a b").write_text("")
    (tmp_path / "dir").mkdir()
    completer = Completer(None, lambda work: [])  # type: ignore[arg-type]
    assert completer.hits("", "re") == ["reget ", "rename ", "reput "]
    assert completer.hits("put ", "") == ["a\\ b ", "dir/"]
    assert completer.hits("put -R ", "d") == ["dir/"]
    assert completer.hits("chmod ", "6") == []
    assert completer.hits("put 'unterminated ", "x") == []


@pytest.mark.parametrize(
    ("line", "hits"),
    [
        ("put a\\ ", ["put a\\ b\\ c ", "put a\\ d/"]),
        ("put a\\ b", ["put a\\ b\\ c "]),
        ('put "a ', ['put "a b c" ', 'put "a d/']),
        ("put 'a b ", ["put 'a b c' "]),
        ('put "a d/', ['put "a d/\\"q\\"" ', 'put "a d/it\'s" ']),
        ("put 'a d/", ["put 'a d/\"q\"' ", "put 'a d/it'\\''s' "]),
        ("put a\\ d/i", ["put a\\ d/it\\'s "]),
        ("put a' 'd/i", ["put a' 'd/it\\'s "]),
        ("put x\\\\", ["put x\\\\y "]),
        ("put x\\", []),
    ],
)
@pytest.mark.parametrize("cut", [0, 2, 4])
def test_completion_goes_on_behind_quotes_and_escapes(
    line: str, hits: list[str], cut: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a d").mkdir()
    for name in ("a b c", "a d/it's", 'a d/"q"', "x\\y"):
        (tmp_path / name).write_text("")
    completer = Completer(None, lambda work: [])  # type: ignore[arg-type]
    # readline's own idea of where the word begins does not matter.
    begin = len(line) - cut
    found = completer.hits(line[:begin], line[begin:])
    assert [line[:begin] + hit for hit in found] == hits


def test_names_that_can_not_be_shown_are_not_completed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shown = ["rm-a", "rm-é", "rm-\\"]
    for name in [*shown, "rm\n!touch x\n", "rm\x9b31m", "rm\u202e", "rm\x7f", "rm\udcff", "rm\tb"]:
        (tmp_path / name).write_text("")

    def remote(work: Callable[[], Awaitable[list[str]]]) -> list[str]:
        return [name + " " for name in os.listdir(tmp_path)]

    completer = Completer(None, remote)  # type: ignore[arg-type]
    expected = sorted(["rm-a ", "rm-é ", "rm-\\\\ "])
    assert sorted(completer.hits("put ", "rm")) == expected
    assert sorted(completer.hits("get ", "rm")) == expected


async def test_completion_of_remote_names(shell: SFTPShell, root: Path) -> None:
    (root / "data").mkdir()
    (root / "data" / "x y").write_text("")
    (root / "date").write_text("")
    loop = asyncio.get_running_loop()

    def call(work: Callable[[], Awaitable[list[str]]]) -> list[str]:
        async def awaited() -> list[str]:
            return await work()

        return asyncio.run_coroutine_threadsafe(awaited(), loop).result(20)

    completer = Completer(shell.sftp, call)
    assert await asyncio.to_thread(completer.hits, "get ", "da") == ["data/", "date "]
    assert await asyncio.to_thread(completer.hits, "get ", "data/x") == ["data/x\\ y "]
    assert await asyncio.to_thread(completer.hits, "get ", "none/x") == []
    assert await asyncio.to_thread(completer.hits, "put f ", "dat") == ["data/", "date "]


def test_lines_are_kept_for_the_owner_alone(tmp_path: Path) -> None:
    pytest.importorskip("readline")
    history = tmp_path / "history"
    with Completer(None, lambda work: []).history(str(history), 10):  # type: ignore[arg-type]
        pass
    assert history.stat().st_mode & 0o077 == 0
