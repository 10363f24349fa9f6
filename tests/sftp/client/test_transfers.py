"""Copies of files and trees between a server in memory and this machine."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from nacre.errors import ConnectionLost, SFTPError
from nacre.sftp.client.client import SFTPClient
from nacre.sftp.client.options import Links
from nacre.sftp.client.transfers import at_once
from nacre.sftp.protocol.attributes import Attributes, Entry
from sftp.client.lines import CONTENT, MemoryLine, until

Both = tuple[SFTPClient, MemoryLine]


def content_of(top: Path) -> dict[str, bytes | str | None]:
    """Return what is below a directory: a file's bytes, a link's target, None for a directory."""
    found: dict[str, bytes | str | None] = {}
    for path in top.rglob("*"):
        name = str(path.relative_to(top))
        if path.is_symlink():
            found[name] = os.readlink(path)
        else:
            found[name] = None if path.is_dir() else path.read_bytes()
    return found


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory with files, directories and links."""
    top = tmp_path / "tree"
    (top / "a" / "b").mkdir(parents=True)
    (top / "empty").mkdir()
    (top / "f").write_bytes(b"f")
    (top / "a" / "big").write_bytes(CONTENT)
    for number in range(100):
        (top / "a" / "b" / str(number)).write_bytes(b"%d" % number)
    (top / "link").symlink_to("f")
    (top / "dangling").symlink_to("nothing")
    return top


async def test_verify_finds_a_wrong_copy(both: Both, tmp_path: Path) -> None:
    sftp, line = both
    (tmp_path / "f").write_bytes(CONTENT)
    write = line.files.write

    def spoil(file: bytearray, offset: int, data: bytes | bytearray | memoryview) -> None:
        write(file, offset, bytes(data).replace(CONTENT[5000:5004], b"????"))

    line.files.write = spoil  # type: ignore[method-assign]
    with pytest.raises(SFTPError, match="differs"):
        await sftp.put(tmp_path / "f", "/f", verify=True, atomic=True)
    assert line.files.files == {}


async def test_resume_compares_what_is_there(both: Both, tmp_path: Path) -> None:
    """The server of these tests hashes whole files: a part of one differs, and is sent anew."""
    sftp, line = both
    line.files.files["/f"] = bytearray(CONTENT)
    (tmp_path / "f").write_bytes(CONTENT)
    moved: list[int] = []
    await sftp.get(
        "/f", tmp_path / "f", resume=True, progress=lambda path, done, size: moved.append(done)
    )
    assert moved == [len(CONTENT)]
    (tmp_path / "f").write_bytes(b"other" + CONTENT[5:])
    moved.clear()
    await sftp.get(
        "/f", tmp_path / "f", resume=True, progress=lambda path, done, size: moved.append(done)
    )
    assert moved[0] == 0
    assert (tmp_path / "f").read_bytes() == CONTENT


async def test_a_link_then_a_directory_of_one_name_write_nothing_elsewhere(
    both: Both, tmp_path: Path
) -> None:
    sftp, line = both
    outside = tmp_path / "outside"
    outside.mkdir()
    line.files.directories |= {"/d", "/d/x"}
    line.files.files["/d/x/evil"] = bytearray(b"evil")
    line.files.links["/d/x"] = str(outside)
    line.files.links["/d/y"] = str(outside)
    entries = {
        "/d": [
            Entry("x", "", Attributes(permissions=0o120777)),
            Entry("x", "", Attributes(permissions=0o040755)),
            Entry("y", "", Attributes(permissions=0o120777)),
        ],
        "/d/x": [Entry("evil", "", Attributes(size=4, permissions=0o100644))],
    }
    line.files.children = lambda directory: iter(entries[directory.rstrip("/")])  # type: ignore[method-assign]
    await sftp.get("/d", tmp_path / "copy", recursive=True, links="copy")
    assert list(outside.iterdir()) == []
    assert os.readlink(tmp_path / "copy" / "y") == str(outside)


async def test_on_error_lets_the_rest_be_copied(both: Both, tmp_path: Path) -> None:
    sftp, line = both
    line.files.directories.add("/d")
    for number in range(100):
        line.files.files[f"/d/{number}"] = bytearray(b"%d" % number)
    opened = line.files.open

    def refuse(path: str, flags: int) -> object:
        if path.endswith("7"):
            raise PermissionError(13, "")
        return opened(path, flags)

    line.files.open = refuse  # type: ignore[method-assign,assignment]
    errors: list[OSError] = []
    await sftp.get("/d", tmp_path / "d", recursive=True, on_error=errors.append)
    assert len(list((tmp_path / "d").iterdir())) == 90
    assert {error.filename for error in errors} == {f"/d/{n}" for n in range(7, 100, 10)}
    assert all(isinstance(error, PermissionError) for error in errors)
    with pytest.raises(PermissionError):
        await sftp.get("/d", tmp_path / "e", recursive=True)


# --- trees ---


async def test_a_tree_is_copied_there_and_back(both: Both, tree: Path, tmp_path: Path) -> None:
    sftp, line = both
    (tree / "dangling").unlink()
    await sftp.put(tree, "/copy", recursive=True)
    expected = content_of(tree)
    expected["link"] = b"f"
    assert line.files.files["/copy/a/big"] == CONTENT
    await sftp.get("/copy", tmp_path / "back", recursive=True)
    assert content_of(tmp_path / "back") == expected


async def test_links_copy_copies_links_as_links(both: Both, tree: Path, tmp_path: Path) -> None:
    sftp, line = both
    await sftp.put(tree, "/copy", recursive=True, links="copy")
    assert line.files.links == {"/copy/link": "f", "/copy/dangling": "nothing"}
    await sftp.get("/copy", tmp_path / "back", recursive=True, links="copy")
    assert content_of(tmp_path / "back") == content_of(tree)


async def test_links_and_special_files_are_skipped_and_reported(both: Both, tree: Path) -> None:
    sftp, line = both
    os.mkfifo(tree / "pipe")
    skipped: list[str] = []
    await sftp.put(tree, "/copy", recursive=True, links="skip", on_skip=skipped.append)
    assert sorted(skipped) == [str(tree / name) for name in ("dangling", "link", "pipe")]
    assert line.files.links == {}
    assert "/copy/link" not in line.files.files


async def test_a_dangling_link_is_an_error_if_links_are_followed(both: Both, tree: Path) -> None:
    sftp, line = both
    with pytest.raises(FileNotFoundError):
        await sftp.put(tree, "/copy", recursive=True)
    errors: list[OSError] = []
    await sftp.put(tree, "/other", recursive=True, on_error=errors.append)
    assert [error.filename for error in errors] == [str(tree / "dangling")]
    assert line.files.files["/other/link"] == b"f"


async def test_links_that_form_a_circle_end(both: Both, tmp_path: Path) -> None:
    sftp, _ = both
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "again").symlink_to(".")
    with pytest.raises(OSError, match=r"[Tt]oo many levels"):
        await sftp.put(tmp_path / "d", "/copy", recursive=True)


async def test_a_directory_needs_recursive(both: Both, tree: Path) -> None:
    sftp, line = both
    with pytest.raises(IsADirectoryError) as caught:
        await sftp.put(tree, "/copy")
    assert caught.value.filename == str(tree)
    errors: list[OSError] = []
    await sftp.put([tree, tree / "f"], "/", on_error=errors.append)
    assert [error.errno for error in errors] == [errno.EISDIR]
    assert line.files.files == {"/f": b"f"}


async def test_a_file_in_the_way_of_a_directory_is_an_error(both: Both, tmp_path: Path) -> None:
    sftp, line = both
    line.files.directories.add("/d")
    (tmp_path / "f").write_bytes(b"f")
    with pytest.raises(FileExistsError):
        await sftp.get("/d", tmp_path / "f", recursive=True)
    assert (tmp_path / "f").read_bytes() == b"f"


async def test_directories_get_their_attributes_when_they_are_full(
    both: Both, tree: Path, tmp_path: Path
) -> None:
    """Else one that may not be written could not be filled, and its time would change."""
    sftp, line = both
    attributes = line.files.attributes

    def read_only(path: str) -> Attributes:
        found = attributes(path)
        return found._replace(permissions=stat.S_IFDIR | 0o500) if found.is_directory else found

    line.files.directories |= {"/d", "/d/e"}
    line.files.files |= {"/d/e/f": bytearray(b"f")}
    line.files.attributes = read_only  # type: ignore[method-assign]
    await sftp.get("/d", tmp_path / "copy", recursive=True, preserve=True)
    assert (tmp_path / "copy" / "e" / "f").read_bytes() == b"f"
    for path in (tmp_path / "copy", tmp_path / "copy" / "e"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o500
        assert path.stat().st_mtime == 6
        path.chmod(0o700)


# --- reports ---


async def test_progress_counts_up_to_the_size(both: Both, tmp_path: Path) -> None:
    sftp, line = both
    line.files.files["/f"] = bytearray(CONTENT)
    seen: list[tuple[str, int, int]] = []
    await sftp.get("/f", tmp_path / "f", progress=lambda *report: seen.append(report))
    assert seen[0] == ("/f", 0, len(CONTENT))
    assert seen[-1] == ("/f", len(CONTENT), len(CONTENT))
    counts = [done for _, done, _ in seen]
    assert counts == sorted(counts)
    assert len(counts) > 2


async def test_each_file_is_reported_when_it_begins(both: Both, tree: Path) -> None:
    sftp, _ = both
    seen: dict[str, tuple[str, bool]] = {}
    await sftp.put(
        tree / "a",
        "/copy",
        recursive=True,
        on_file=lambda source, target, is_directory: seen.update({source: (target, is_directory)}),
    )
    assert seen[str(tree / "a")] == ("/copy", True)
    assert seen[str(tree / "a" / "b")] == ("/copy/b", True)
    assert seen[str(tree / "a" / "big")] == ("/copy/big", False)
    assert len(seen) == 103


async def test_a_lost_connection_is_no_error_of_one_file(both: Both, tree: Path) -> None:
    sftp, line = both
    (tree / "dangling").unlink()
    line.left = 3_000
    errors: list[OSError] = []
    with pytest.raises(ConnectionLost):
        await sftp.put(tree, "/copy", recursive=True, on_error=errors.append)
    assert errors == []


# --- atomic and resumed copies ---


async def test_an_atomic_copy_shows_no_partial_file(both: Both, tmp_path: Path) -> None:
    sftp, line = both
    (tmp_path / "f").write_bytes(CONTENT)
    line.files.files["/f"] = bytearray(b"older")
    line.hold = True
    copying = asyncio.create_task(sftp.put(tmp_path / "f", "/f", atomic=True))
    names: set[str] = set()

    def look() -> bool:
        names.update(line.files.files)
        line.release()
        line.hold = True
        assert line.files.files["/f"] in (b"older", CONTENT)
        return copying.done()

    await until(look)
    await copying
    line.release()
    assert line.files.files == {"/f": CONTENT}
    (temporary,) = names - {"/f"}
    assert temporary.startswith("/.nacre-")


async def test_a_cancelled_atomic_copy_is_removed(both: Both, tmp_path: Path) -> None:
    sftp, line = both
    (tmp_path / "f").write_bytes(CONTENT)
    line.hold = True
    copying = asyncio.create_task(sftp.put(tmp_path / "f", "/f", atomic=True))

    def written() -> bool:
        if not any(line.files.files.values()):
            line.release()
            line.hold = True
            return False
        return True

    await until(written)
    copying.cancel()
    await asyncio.sleep(0)
    line.release()
    with pytest.raises(asyncio.CancelledError):
        await copying
    assert line.files.files == {}


async def test_a_broken_atomic_copy_is_kept_to_be_resumed(both: Both, tmp_path: Path) -> None:
    sftp, line = both
    (tmp_path / "f").write_bytes(CONTENT)
    line.files.room = 1_000_000
    with pytest.raises(OSError, match="No space"):
        await sftp.put(tmp_path / "f", "/f", atomic=True, resume=True)
    (temporary,) = line.files.files
    line.files.room = 1 << 40
    await sftp.put(tmp_path / "f", "/f", atomic=True, resume=True)
    assert temporary != "/f"
    assert line.files.files == {"/f": CONTENT}


@pytest.mark.parametrize(
    ("there", "first"),
    [(b"", 0), (CONTENT[:1_000_000], 1_000_000), (CONTENT + b"more", 0)],
)
async def test_a_copy_is_resumed_where_it_broke_off(
    both: Both, tmp_path: Path, there: bytes, first: int
) -> None:
    """A server that can't hash is trusted; a longer file is not a part of the original."""
    sftp, line = both
    sftp.session.client.extensions = {}
    line.files.files["/f"] = bytearray(CONTENT)
    (tmp_path / "f").write_bytes(there)
    counts: list[int] = []
    await sftp.get(
        "/f", tmp_path / "f", resume=True, progress=lambda path, done, size: counts.append(done)
    )
    assert counts[0] == first
    assert (tmp_path / "f").read_bytes() == CONTENT


# --- how many at once ---


@pytest.mark.parametrize(
    ("handles", "files"), [(0, 16), (1, 1), (2, 1), (10, 5), (128, 64), (1000, 64)]
)
def test_half_of_the_files_a_server_opens_are_copied_at_once(handles: int, files: int) -> None:
    assert at_once(handles) == files


@pytest.mark.parametrize("links", ["follow", "copy", "skip"])
async def test_a_source_that_is_named_is_copied_even_if_it_is_a_link(
    both: Both, tree: Path, links: Links
) -> None:
    sftp, line = both
    await sftp.put(tree / "link", "/copy", links=links)
    assert line.files.files == {"/copy": b"f"}


async def test_files_in_flight_are_bounded(both: Both, tmp_path: Path) -> None:
    sftp, line = both
    sftp.session.turns.handles = 8
    line.files.directories.add("/d")
    for number in range(50):
        line.files.files[f"/d/{number}"] = bytearray(b"x")
    open_now: list[int] = []
    opened: Callable[[str, int], object] = line.files.open

    def count(path: str, flags: int) -> object:
        found = opened(path, flags)
        opens.append(path)
        open_now.append(
            len(opens) - len([one for one in line.files.closed if hasattr(one, "path")])
        )
        return found

    opens: list[str] = []
    line.files.open = count  # type: ignore[method-assign,assignment]
    await sftp.get("/d", tmp_path / "d", recursive=True)
    assert len(opens) == 50
    assert max(open_now) <= 8


@pytest.mark.parametrize("preserve", [True, False])
async def test_a_copy_gets_no_bit_that_gives_the_rights_of_its_owner(
    both: tuple[SFTPClient, MemoryLine],
    preserve: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sftp, line = both
    line.files.files |= {"/d/small": bytearray(b"x"), "/d/large": bytearray(CONTENT)}
    line.files.directories.add("/d")
    real = line.files.attributes

    def attributes(path: str) -> Attributes:
        found = real(path)
        mode = stat.S_IFMT(found.permissions or 0) | 0o7755
        return Attributes(found.size, 1, 2, mode, found.atime, found.mtime)

    monkeypatch.setattr(line.files, "attributes", attributes)
    await sftp.get("/d", tmp_path / "d", recursive=True, preserve=preserve)
    await sftp.get("/d/large", tmp_path / "one", preserve=preserve, atomic=True)
    found = [tmp_path / "one", tmp_path / "d", *(tmp_path / "d").iterdir()]
    assert [path.stat().st_mode & 0o7000 for path in found] == [0] * 4
    assert not preserve or {path.stat().st_mode & 0o777 for path in found} == {0o755}
    (tmp_path / "d" / "small").chmod(0o6755)
    await sftp.put(tmp_path / "d", "/up", recursive=True, preserve=True)
    assert {(found.permissions or 0) & 0o7000 for _, found in line.files.set} == {0}
