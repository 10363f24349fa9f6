"""``ls``, ``df``, ``pwd`` and ``cd``."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from nacre.cli.common.meter import Meter
from nacre.cli.sftp.browsing import cd, df, ls, pwd, version
from nacre.cli.sftp.dispatch import run_line
from nacre.cli.sftp.shell import CommandFailed, SFTPShell, ShellSettings
from nacre.errors import SFTPError
from nacre.sftp.protocol.attributes import Attributes, Entry
from sftp.client.lines import open_memory
from sftp.protocol.memory_files import MemoryFiles

NONE: frozenset[str] = frozenset()


@pytest.fixture
def tree(root: Path) -> None:
    (root / "d").mkdir()
    (root / "d" / "x").write_text("")
    (root / "f").write_text("12345")
    (root / ".hidden").write_text("")


@pytest.mark.usefixtures("tree")
@pytest.mark.parametrize(
    ("flags", "words", "shown"),
    [
        ("1", [], ["d", "f"]),
        ("1a", [], [".", "..", ".hidden", "d", "f"]),
        ("1", ["f"], ["f"]),
        ("1", ["d"], ["d/x"]),
        ("1r", ["."], ["./f", "./d"]),
        ("1", ["./d/"], ["./d/x"]),
        ("1", ["d*"], ["d/x"]),
        ("1", ["*"], ["d", "f"]),
        ("1", ["/d"], ["/d/x"]),
        ("1t", ["/d"], ["/d/x"]),
    ],
)
async def test_names(
    shell: SFTPShell,
    flags: str,
    words: list[str],
    shown: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    await ls(shell, frozenset(flags), words)
    assert capsys.readouterr().out.splitlines() == shown


@pytest.mark.usefixtures("tree")
async def test_a_long_listing_asks_the_server_for_names(
    shell: SFTPShell,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked: list[tuple[int, ...]] = []

    async def names(
        uids: Sequence[int], gids: Sequence[int]
    ) -> tuple[Sequence[str], Sequence[str]]:
        asked.extend([tuple(uids), tuple(gids)])
        return ["alice"], ["staff"]

    monkeypatch.setattr(shell.sftp, "names", names)
    status = (root / "f").stat()
    await ls(shell, frozenset("l"), ["f"])
    assert capsys.readouterr().out.split()[2:5] == ["alice", "staff", "5"]
    await ls(shell, frozenset("ln"), ["f"])
    assert capsys.readouterr().out.split()[2:4] == [str(status.st_uid), str(status.st_gid)]
    assert asked == [(status.st_uid,), (status.st_gid,)]


@pytest.mark.usefixtures("tree")
async def test_a_server_without_names_shows_numbers(
    shell: SFTPShell,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def names(uids: Sequence[int], gids: Sequence[int]) -> None:
        raise SFTPError(errno.EOPNOTSUPP, "no such extension")

    monkeypatch.setattr(shell.sftp, "names", names)
    await ls(shell, frozenset("l"), ["f"])
    assert capsys.readouterr().out.split()[2] == str((root / "f").stat().st_uid)


@pytest.mark.parametrize("pattern", ["nosuch", "nosuch*"])
async def test_nothing_to_list(shell: SFTPShell, pattern: str) -> None:
    with pytest.raises(CommandFailed) as caught:
        await ls(shell, NONE, [pattern])
    assert str(caught.value) == f'Can\'t ls: "/{pattern}" not found'


@pytest.mark.usefixtures("tree")
async def test_changing_the_directory(shell: SFTPShell, capsys: pytest.CaptureFixture[str]) -> None:
    await cd(shell, NONE, ["d*"])
    await pwd(shell, NONE, [])
    await cd(shell, NONE, [])
    await pwd(shell, NONE, [])
    assert capsys.readouterr().out.splitlines() == [
        "Remote working directory: /d",
        "Remote working directory: /",
    ]
    with pytest.raises(CommandFailed) as caught:
        await cd(shell, NONE, ["f"])
    assert str(caught.value) == 'Can\'t change directory: "/f" is not a directory'


async def test_free_space_and_the_version(
    shell: SFTPShell, capsys: pytest.CaptureFixture[str]
) -> None:
    await df(shell, frozenset("i"), [])
    await version(shell, NONE, [])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["Inodes", "Used", "Avail", "(root)", "%Capacity"]
    assert lines[-1] == "SFTP protocol version 3"
    with pytest.raises(CommandFailed, match='statvfs "nosuch": No such file or directory'):
        await df(shell, NONE, ["nosuch"])


async def test_a_listing_without_permissions_is_the_server_s_own(
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Bare(MemoryFiles):
        def children(self, directory: str) -> Iterator[Entry]:
            for entry in super().children(directory):
                yield Entry(entry.name, f"its line of {entry.name}", Attributes(size=1))

    sftp, line = await open_memory(Bare())
    line.files.files |= {"/b": bytearray(b"x"), "/a": bytearray(b"y"), "/.c": bytearray()}
    shell = SFTPShell(sftp, "/", ShellSettings(), Meter(enabled=False))
    assert await run_line(shell, "ls -l /")
    assert capsys.readouterr().out == "its line of a\nits line of b\n"
    assert await run_line(shell, "ls -1 /")
    assert capsys.readouterr().out == "/a\n/b\n"
