"""``get`` and ``put``: what they match, print, and report."""

from __future__ import annotations

from pathlib import Path

import pytest

from nacre.cli.sftp.shell import CommandFailed, SFTPShell
from nacre.cli.sftp.transfers import fetch, get, put, reget, reput, send

NONE: frozenset[str] = frozenset()


async def test_a_download_prints_the_remote_path_absolute(
    shell: SFTPShell, root: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "f").write_text("x")
    await get(shell, NONE, ["f", "copy"])
    assert (here / "copy").read_text() == "x"
    assert capsys.readouterr() == ("Fetching /f to copy\n", "")


async def test_an_upload_prints_the_local_path_as_typed(
    shell: SFTPShell, root: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "F").write_text("x")
    await put(shell, NONE, ["F", "copy"])
    assert (root / "copy").read_text() == "x"
    assert capsys.readouterr() == ("Uploading F to /copy\n", "")


async def test_trees_have_a_message_for_each_directory(
    shell: SFTPShell, root: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "tree" / "sub").mkdir(parents=True)
    (here / "tree" / "sub" / "f").write_text("x")
    await put(shell, frozenset("R"), ["tree", "up"])
    assert (root / "up" / "sub" / "f").read_text() == "x"
    assert "Entering tree\n" in capsys.readouterr().out
    await get(shell, frozenset("r"), ["up", "down"])
    assert (here / "down" / "sub" / "f").read_text() == "x"
    assert "Retrieving /up\n" in capsys.readouterr().out


async def test_a_quiet_shell_announces_nothing(
    shell: SFTPShell, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.settings.quiet = True
    (root / "f").write_text("x")
    await get(shell, NONE, ["f"])
    assert capsys.readouterr() == ("", "")


async def test_patterns_on_both_sides(shell: SFTPShell, root: Path, here: Path) -> None:
    (here / "d").mkdir()
    for name in ("a1", "a2"):
        (root / name).write_text(name)
    await get(shell, NONE, ["a*", "d"])
    assert {path.name for path in (here / "d").iterdir()} == {"a1", "a2"}
    (root / "e").mkdir()
    await put(shell, NONE, ["d/*", "e"])
    assert {path.name for path in (root / "e").iterdir()} == {"a1", "a2"}


async def test_several_files_need_a_directory(shell: SFTPShell, root: Path, here: Path) -> None:
    for directory in (root, here):
        (directory / "a1").write_text("")
        (directory / "a2").write_text("")
    text = 'Multiple paths match, but destination "one" is not a directory'
    with pytest.raises(CommandFailed) as caught:
        await fetch(shell, ["a*"], "one")
    assert str(caught.value) == text
    with pytest.raises(CommandFailed) as caught:
        await send(shell, ["a*"], "one")
    assert str(caught.value) == text


@pytest.mark.parametrize("pattern", ["nosuch", "nosuch*"])
async def test_nothing_to_upload(shell: SFTPShell, pattern: str) -> None:
    with pytest.raises(CommandFailed) as caught:
        await send(shell, [pattern], None)
    assert str(caught.value) == f"stat {pattern}: No such file or directory"


async def test_an_interrupted_copy_is_continued(shell: SFTPShell, root: Path, here: Path) -> None:
    (root / "f").write_text("0123456789")
    (here / "f").write_text("01234")
    await reget(shell, NONE, ["f"])
    assert (here / "f").read_text() == "0123456789"
    (here / "g").write_text("abcdef")
    (root / "g").write_text("abc")
    await reput(shell, NONE, ["g"])
    assert (root / "g").read_text() == "abcdef"


async def test_permissions_are_kept_on_request(shell: SFTPShell, root: Path, here: Path) -> None:
    (root / "f").write_text("x")
    (root / "f").chmod(0o604)
    await get(shell, frozenset("p"), ["f", "flag"])
    shell.settings.preserve = True
    await get(shell, NONE, ["f", "setting"])
    assert {(here / name).stat().st_mode & 0o777 for name in ("flag", "setting")} == {0o604}


async def test_a_file_that_fails_does_not_stop_the_others(
    shell: SFTPShell, root: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "d").mkdir()
    (root / "f").write_text("x")
    await fetch(shell, ["d", "f"], ".")
    assert shell.failures == 1
    assert capsys.readouterr().err == '"/d": not a regular file\n'
    assert (here / "f").exists()


async def test_which_side_refused(
    shell: SFTPShell, root: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "f").write_text("x")
    (here / "f").write_text("x")
    await fetch(shell, ["f"], "none/f")
    await send(shell, ["f"], "none/f")
    assert capsys.readouterr().err.splitlines() == [
        'local open "none/f": No such file or directory',
        'remote open "/none/f": No such file or directory',
    ]
