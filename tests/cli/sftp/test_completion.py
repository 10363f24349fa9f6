"""Completion and history at the prompt of ``sftp``."""

from __future__ import annotations

import asyncio
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
