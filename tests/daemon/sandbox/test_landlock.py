"""One directory as all that a forked child may open."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from daemon.sandbox.children import in_a_child
from nacre.daemon.sandbox import landlock
from nacre.daemon.sandbox.landlock import CHANGE, READ, confine, version

VERSION = version()
pytestmark = pytest.mark.skipif(not VERSION, reason="this kernel has no Landlock")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A directory with two others in it, beside a file."""
    root = tmp_path / "root"
    for name in ("a", "b"):
        (root / name).mkdir(parents=True)
        (root / name / "file").write_text(name)
    (tmp_path / "beside").write_text("beside")
    return root


def failure_of(work: Callable[[], object]) -> int:
    try:
        work()
    except OSError as error:
        return error.errno or 0
    return 0


def confined(root: Path, allowed: int, work: Callable[[], object], at: int = VERSION) -> int:
    def attempt() -> int:
        confine([(str(root), allowed)], at)
        return failure_of(work)

    return in_a_child(attempt)


def changes(root: Path) -> dict[str, Callable[[], object]]:
    a, b = root / "a", root / "b"
    return {
        "write": lambda: (a / "file").write_text("new"),
        "append": lambda: os.close(os.open(a / "file", os.O_WRONLY | os.O_APPEND)),
        "create": lambda: (a / "new").touch(),
        "mkdir": lambda: (a / "directory").mkdir(),
        "rmdir": (root / "empty").rmdir,
        "remove": lambda: (a / "file").unlink(),
        "symlink": lambda: (a / "link").symlink_to("file"),
        "link": lambda: (b / "linked").hardlink_to(a / "file"),
        "rename": lambda: (a / "file").rename(b / "renamed"),
        "rename a directory": lambda: a.rename(b / "renamed"),
        "rename a FIFO": lambda: (root / "fifo").rename(a / "fifo"),
    }


@pytest.mark.parametrize("what", list(changes(Path())))
def test_below_the_root_everything_can_be_changed_and_nothing_if_it_is_read_only(
    root: Path, what: str
) -> None:
    (root / "empty").mkdir()
    os.mkfifo(root / "fifo")
    work = changes(root)[what]
    # Without the right to link across directories, the kernel says that they are two devices.
    assert confined(root, READ, work) != 0
    assert confined(root, READ, lambda: (root / "a/file").read_text()) == 0
    assert confined(root, CHANGE, work) == 0


def beside(tmp_path: Path) -> dict[str, Callable[[], object]]:
    root, file = tmp_path / "root", tmp_path / "beside"
    return {
        "read": file.read_text,
        "read by a link": (root / "link").read_text,
        "list": lambda: os.listdir(tmp_path),
        "write": lambda: file.write_text("new"),
        "create": (tmp_path / "new").touch,
        "remove": file.unlink,
        "rename": lambda: file.rename(root / "moved"),
        "rename out": lambda: (root / "a/file").rename(tmp_path / "moved"),
        "link": lambda: (root / "linked").hardlink_to(file),
        "a program": lambda: os.execv("/bin/true", ["true"]),
        "the system's files": Path("/etc/passwd").read_text,
        "the memory": lambda: os.open("/proc/self/mem", os.O_RDWR),
        "a device below the root": lambda: os.mknod(root / "device", 0o20600, os.makedev(1, 3)),
    }


@pytest.mark.parametrize("what", list(beside(Path())))
def test_what_lies_beside_the_root_is_not_reached(root: Path, what: str) -> None:
    (root / "link").symlink_to("../beside")
    work = beside(root.parent)[what]
    if what == "a device below the root" and os.geteuid() != 0:
        pytest.skip("only root makes devices")
    assert confined(root, CHANGE, work) in (errno.EACCES, errno.EPERM, errno.EXDEV)
    assert (root.parent / "beside").read_text() == "beside"
    assert sorted(path.name for path in root.parent.iterdir()) == ["beside", "root"]


@pytest.mark.skipif(VERSION < 4, reason="Landlock refuses TCP from its version 4 on")
def test_no_port_is_reached(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        assert confined(tmp_path, CHANGE, lambda: socket.create_connection(address)) == errno.EACCES
        bind = lambda: socket.create_server(("127.0.0.1", 0))  # noqa: E731
        assert confined(tmp_path, CHANGE, bind) == errno.EACCES


@pytest.mark.skipif(VERSION < 6, reason="Landlock refuses signals from its version 6 on")
def test_no_other_process_gets_a_signal(tmp_path: Path) -> None:
    assert confined(tmp_path, CHANGE, lambda: os.kill(os.getppid(), 0)) == errno.EPERM


@pytest.mark.parametrize("older", range(2, VERSION))
def test_a_kernel_with_an_older_version_is_asked_for_what_it_has(root: Path, older: int) -> None:
    assert confined(root, CHANGE, (root.parent / "beside").read_text, older) == errno.EACCES
    assert confined(root, CHANGE, changes(root)["rename"], older) == 0


def test_a_root_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        confine([(str(tmp_path / "none"), CHANGE)], VERSION)


def test_a_rule_that_the_kernel_does_not_take_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(landlock, "_landlock", lambda *arguments: -1)
    with pytest.raises(OSError, match="does not confine"):
        confine([(str(tmp_path), CHANGE)], VERSION)


def test_version_1_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landlock, "_landlock", lambda *arguments: 1)
    assert version() == 0
