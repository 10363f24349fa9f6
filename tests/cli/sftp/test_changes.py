"""Commands that change remote files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nacre.cli.sftp import changes
from nacre.cli.sftp.lines import BadLine
from nacre.cli.sftp.shell import CommandFailed, SFTPShell

NONE: frozenset[str] = frozenset()


async def test_directories(shell: SFTPShell, root: Path) -> None:
    await changes.mkdir(shell, NONE, ["a b"])
    assert (root / "a b").is_dir()
    with pytest.raises(CommandFailed) as caught:
        await changes.mkdir(shell, NONE, ["a b"])
    assert str(caught.value) == 'remote mkdir "/a b": File exists'
    await changes.rmdir(shell, NONE, ["a*"])
    assert not (root / "a b").exists()


async def test_removing_what_patterns_match(
    shell: SFTPShell, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a1", "a2", "b"):
        (root / name).write_text("")
    await changes.rm(shell, NONE, ["a*", "nosuch", "b"])
    assert [*root.iterdir()] == []
    assert shell.failures == 1
    out, err = capsys.readouterr()
    assert sorted(out.splitlines()) == [f"Removing /{name}" for name in ("a1", "a2", "b", "nosuch")]
    assert err == "remote delete /nosuch: No such file or directory\n"


async def test_a_rename_replaces(shell: SFTPShell, root: Path) -> None:
    (root / "old").write_text("old")
    (root / "new").write_text("new")
    await changes.rename(shell, NONE, ["old", "new"])
    assert (root / "new").read_text() == "old"
    with pytest.raises(CommandFailed) as caught:
        await changes.rename(shell, NONE, ["old", "new"])
    assert str(caught.value) == 'remote rename "/old" to "/new": No such file or directory'


async def test_links_and_copies(shell: SFTPShell, root: Path) -> None:
    (root / "f").write_text("x")
    await changes.ln(shell, NONE, ["f", "hard"])
    await changes.ln(shell, frozenset("s"), ["f", "soft"])
    await changes.symlink(shell, NONE, ["nowhere", "dangling"])
    await changes.cp(shell, NONE, ["f", "copy"])
    assert (root / "hard").stat().st_ino == (root / "f").stat().st_ino
    assert os.readlink(root / "soft") == "f"
    assert os.readlink(root / "dangling") == "nowhere"
    assert (root / "copy").read_text() == "x"
    with pytest.raises(CommandFailed, match='copy "nosuch" to "copy": No such file'):
        await changes.cp(shell, NONE, ["nosuch", "copy"])
    with pytest.raises(CommandFailed, match='remote link "/nosuch" to "/x": No such file'):
        await changes.ln(shell, NONE, ["nosuch", "x"])
    with pytest.raises(CommandFailed, match='remote symlink file "f" to "/soft": '):
        await changes.symlink(shell, NONE, ["f", "soft"])


async def test_permissions(
    shell: SFTPShell, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a1", "a2"):
        (root / name).write_text("")
    await changes.chmod(shell, NONE, ["604", "a*", "nosuch"])
    assert {(root / name).stat().st_mode & 0o777 for name in ("a1", "a2")} == {0o604}
    out, err = capsys.readouterr()
    assert "Changing mode on /a1\n" in out
    assert err == 'remote setstat "/nosuch": No such file or directory\n'
    with pytest.raises(BadLine, match="numeric argument to the chmod command"):
        await changes.chmod(shell, NONE, ["rwx", "a1"])


async def test_an_owner_is_changed_and_the_group_kept(shell: SFTPShell, root: Path) -> None:
    (root / "f").write_text("")
    before = (root / "f").stat()
    await changes.chown(shell, NONE, [str(os.getuid()), "f"])
    await changes.chgrp(shell, NONE, [str(os.getgid()), "f"])
    after = (root / "f").stat()
    assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)
    assert shell.failures == 0


async def test_the_owner_of_a_link_itself(
    shell: SFTPShell, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "link").symlink_to("nowhere")
    own = frozenset("h")
    await changes.chgrp(shell, own, [str(os.getgid()), "link"])
    assert shell.failures == 0
    monkeypatch.setattr(type(shell.sftp.session.client), "offers", lambda self, name: False)
    with pytest.raises(CommandFailed, match=r"does not support lsetstat@openssh\.com"):
        await changes.chgrp(shell, own, [str(os.getgid()), "link"])
