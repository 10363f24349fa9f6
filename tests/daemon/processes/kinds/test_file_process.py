"""The process that serves the files of another account."""

from __future__ import annotations

import hashlib
import json
import os
import pwd
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

import nacre
from daemon.conftest import SystemAccount
from daemon.processes.forked import OWN, Piped, with_setup
from nacre.aio.maybe import settled
from nacre.daemon.processes.kinds.file_process import FileRoot, request, storage_variables
from nacre.daemon.processes.kinds.launcher import UMASK
from nacre.daemon.processes.template import Template
from nacre.daemon.sandbox.filter import has_filters
from nacre.daemon.sandbox.landlock import CHANGE as CHANGED
from nacre.daemon.sandbox.landlock import READ
from nacre.daemon.sandbox.rules import CONFINED, STORAGE
from nacre.daemon.sandbox.sandbox import Sandbox, lacking
from nacre.errors import ConfigurationError, NoSuchFile, PermissionDenied, SFTPError
from nacre.sftp.filesystems.quota.ledger import open_ledger, read_ledger
from nacre.sftp.filesystems.quota.limits import QuotaLimits
from nacre.sftp.protocol import messages as msg
from nacre.sftp.protocol.attributes import Attributes
from nacre.sftp.protocol.client import SFTPClientProtocol
from nacre.sftp.protocol.extensions import (
    HASHES,
    CheckFileName,
    CopyData,
    FSync,
    HardLink,
    PosixRename,
    StatVFS,
)
from nacre.sftp.protocol.messages import LATEST_VERSION, VERSION_3, OpenFlag
from nacre.sftp.server.opened import carried_out
from nacre.sftp.server.restrictions import DENIED, READ_ONLY, SFTPRestrictions, parse_command

pytestmark = pytest.mark.slow
CHANGE = int(OpenFlag.READ | OpenFlag.WRITE | OpenFlag.CREAT)


class Talk:
    """A client of a service's pipes."""

    def __init__(self, process: Piped, version: int = VERSION_3) -> None:
        self.process, self.up, self.down = process, process.stdin, process.stdout
        self.client = SFTPClientProtocol()
        self.client.propose(version)
        self.results: dict[int, Any] = {}
        self.flush()
        while not self.client.ready:
            self.take()

    def flush(self) -> None:
        for piece in self.client.data_to_send():
            self.up.write(piece)
        self.up.flush()

    def take(self) -> None:
        data = os.read(self.down.fileno(), 1 << 20)
        assert data, "the service ended"
        self.results.update(self.client.receive(data))

    def result(self, number: int) -> Any:
        while number not in self.results:
            self.take()
        result = self.results.pop(number)
        if isinstance(result, OSError):
            raise result
        return b"".join(result) if isinstance(result, list) else result

    def call(self, request: msg.SFTPRequest[Any]) -> Any:
        number = self.client.send(request)
        self.flush()
        return self.result(number)


TEMPLATE = Template()


@pytest.fixture(autouse=True)
def one_template(template: Template, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "TEMPLATE", template)


@contextmanager
def started(
    files: FileRoot,
    rights: tuple[int, int, tuple[int, ...], int] = OWN,
    command: bytes | None = None,
    peer: str = "",
    root: str | None = None,
) -> Iterator[Piped]:
    process = Piped(TEMPLATE, "files", request(files, command, rights, peer, root=root))
    try:
        yield process
    finally:
        process.end()


def below(root: Path | str, **more: Any) -> FileRoot:
    return FileRoot(root=str(root), home="/", user="alice", **more)


def rights_of(account: SystemAccount) -> tuple[int, int, tuple[int, ...], int]:
    entry = pwd.getpwnam(account.name)
    return entry.pw_uid, entry.pw_gid, (entry.pw_gid,), UMASK


@pytest.fixture
def unreadable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of nacre that its owner alone may read, and the only one for the template."""
    here = tmp_path / "private"
    here.mkdir(mode=0o700)
    package = Path(nacre.__file__).parent
    shutil.copytree(package, here / "nacre", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(nacre, "__file__", str(here / "nacre" / "__init__.py"))
    others = [path for path in sys.path if not Path(path, "nacre").exists()]
    monkeypatch.setattr(sys, "path", others)


def test_files(tmp_path: Path) -> None:
    content = os.urandom(3_000_000)
    with started(below(tmp_path)) as process:
        talk = Talk(process)
        handle = talk.call(msg.Open("file", CHANGE))
        step = 200_000
        numbers = []
        for start in range(0, len(content), step):
            numbers.append(talk.client.send_write(handle, start, content[start : start + step]))
            talk.flush()
        for number in numbers:
            talk.result(number)
        assert (tmp_path / "file").read_bytes() == content
        numbers = [talk.client.send_read(handle, at, step) for at in range(0, 3_200_000, step)]
        talk.flush()
        assert b"".join(talk.result(number) or b"" for number in numbers) == content
        directory = talk.call(msg.OpenDir("."))
        assert {e.name for e in talk.call(msg.ReadDir(directory))} == {".", "..", "file"}
        assert talk.call(msg.ReadDir(directory)) is None
        with pytest.raises(NoSuchFile):
            talk.call(msg.Stat("../etc/passwd"))
    assert process.returncode == 0


def test_the_order_of_a_link_depends_on_the_client(tmp_path: Path) -> None:
    for peer, first, second in (
        ("SSH-2.0-OpenSSH_9.2", "target", "/a"),
        ("SSH-2.0-libssh_0.10.4", "/b", "target"),
    ):
        with started(below(tmp_path), peer=peer) as process:
            talk = Talk(process)
            talk.call(msg.SymLink(first, second))
    assert {path.name: os.readlink(path) for path in tmp_path.iterdir()} == {
        "a": "target",
        "b": "target",
    }


def test_rights(system_account: SystemAccount, tmp_path: Path) -> None:
    rights = rights_of(system_account)
    private = tmp_path / "private"
    private.write_bytes(b"root's")
    private.chmod(0o600)
    whole = FileRoot(root=None, home=str(system_account.home), user=system_account.name)
    with started(whole, rights) as process:
        status = Path(f"/proc/{process.pid}/status")
        talk = Talk(process)
        words = {line.split(":")[0]: line.split()[1:] for line in status.read_text().splitlines()}
        assert set(words["Uid"]) == {str(rights[0])}
        assert set(words["Gid"]) == {str(rights[1])}
        assert words["Groups"] == [str(rights[1])]
        assert words["NoNewPrivs"] == ["1"]
        assert words["Seccomp"] == ["2" if has_filters() else "0"]
        assert {int(words[name][0], 16) for name in ("CapInh", "CapPrm", "CapEff")} == {0}
        assert talk.call(msg.RealPath(".")) == str(system_account.home)
        talk.call(msg.Open("mine", CHANGE))
        for path in (str(private), "/etc/shadow"):
            with pytest.raises(SFTPError):
                talk.call(msg.Open(path, 1))
    assert (system_account.home / "mine").owner() == system_account.name


ATTEMPTS = """
import socket
def attempt(work):
    try:
        work()
    except OSError as error:
        return error.errno
    return 0
def attempts():
    print(
        attempt(lambda: os.listdir("/")),
        attempt(lambda: os.execv("/bin/true", ["true"])),
        attempt(lambda: socket.socket(socket.AF_UNIX)),
        attempt(lambda: socket.socket(socket.AF_INET)),
        end="", file=sys.stderr,
    )
at_end(attempts)
"""


@pytest.mark.skipif(bool(lacking()), reason="this kernel has not all of a sandbox")
@pytest.mark.parametrize(
    ("root", "wanted"),
    [("", b"13 1 1 1"), (None, b"0 1 0 1"), ("memory://files", b"0 0 0 0")],
    ids=["a directory", "the whole system", "a storage"],
)
def test_what_the_process_can_still_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: str | None, wanted: bytes
) -> None:
    attempts = ATTEMPTS
    if root == "memory://files":
        pytest.importorskip("fsspec")
        attempts = ATTEMPTS.replace('os.execv("/bin/true", ["true"])', 'os.fspath("true")')
    with_setup(monkeypatch, attempts)
    files = FileRoot(root=str(tmp_path) if root == "" else root, home="/", user="alice")
    with started(files) as process:
        assert process.communicate(timeout=30) == (b"", wanted)


AROUND = """
chroot = os.chroot
def opened_before(root):
    global outside
    outside = os.open("/", os.O_RDONLY)
    chroot(root)
os.chroot = opened_before
def attempt():
    try:
        os.open("etc/passwd", os.O_RDONLY, dir_fd=outside)
    except OSError as error:
        print(error.errno, os.listdir("/"), end="", file=sys.stderr)
at_end(attempt)
"""


@pytest.mark.skipif(bool(lacking()) or os.geteuid() != 0, reason="only root changes its root")
def test_a_directory_that_is_open_leads_out_of_no_chroot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_setup(monkeypatch, AROUND)
    (tmp_path / "there").touch()
    files = FileRoot(root=None, home="/", user="alice")
    with started(files, root=str(tmp_path)) as process:
        put_and_look(process, "over_sftp")
        (tmp_path / "over_sftp" / "file").unlink()
        (tmp_path / "over_sftp").rmdir()
        assert process.communicate(timeout=30) == (b"", b"13 ['there']")


WITHOUT = """
from nacre.daemon.sandbox import rules
rules.PROCESSORS = {}
"""


def test_a_kernel_without_sandboxes_serves_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_setup(monkeypatch, WITHOUT)
    with started(below(tmp_path)) as process:
        put_and_look(process, "over_sftp")
        assert "Seccomp:\t0" in Path(f"/proc/{process.pid}/status").read_text()


def test_every_hash_is_computed_in_the_sandbox(tmp_path: Path) -> None:
    """OpenSSL may read its files at first use, and the kernel refuses them."""
    (tmp_path / "file").write_bytes(b"content")
    with started(below(tmp_path)) as process:
        talk = Talk(process)
        for name in HASHES:
            found = talk.call(CheckFileName("file", name, 0, 0, 0))
            assert found.hashes == hashlib.new(name, b"content").digest()


def test_a_copy_and_new_rights_and_space_in_the_sandbox(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "directory").mkdir()
    with started(below(tmp_path)) as process:
        talk = Talk(process)
        source, target = talk.call(msg.Open("file", 1)), talk.call(msg.Open("copy", CHANGE))
        talk.call(CopyData(source, 0, 0, target, 0))
        talk.call(FSync(target))
        talk.call(msg.SetStat("copy", Attributes(permissions=0o600, size=3)))
        talk.call(PosixRename("copy", "directory/copy"))
        talk.call(HardLink("directory/copy", "linked"))
        assert talk.call(StatVFS("/")).bsize > 0
    assert (tmp_path / "linked").read_bytes() == b"con"
    assert (tmp_path / "directory" / "copy").stat().st_mode & 0o777 == 0o600


def test_nothing_that_was_uploaded_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trap = tmp_path / "trapped"
    code = f"open({str(trap)!r}, 'w')\n"
    for name in ("nacre", "json", "usercustomize", "sitecustomize", "fcntl"):
        (tmp_path / f"{name}.py").write_text(code)
    site = tmp_path / ".local/lib/python3.11/site-packages"
    site.mkdir(parents=True)
    (site / "usercustomize.py").write_text(code)
    for name in ("HOME", "PYTHONPATH"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("PYTHONSTARTUP", "json.py")
    monkeypatch.chdir(tmp_path)
    with started(below(tmp_path)) as process:
        assert Talk(process).call(msg.Stat("json.py")).size == len(code)
    assert not trap.exists()


def test_read_only(tmp_path: Path) -> None:
    with (
        started(below(tmp_path, read_only=True)) as process,
        pytest.raises(SFTPError, match="Read-only"),
    ):
        Talk(process).call(msg.Open("file", CHANGE))
    assert list(tmp_path.iterdir()) == []


def open_and_change(process: Piped) -> list[dict[str, Any]]:
    """Make a directory and a file, look at one; return the records of the session."""
    talk = Talk(process)
    for message in (
        msg.MkDir("new"),
        msg.Open("file", CHANGE),
        msg.Stat("file"),
        msg.SymLink("a", "link"),
    ):
        with suppress(SFTPError):
            talk.call(message)
    process.stdin.close()
    return [json.loads(line) for line in process.stderr.read().splitlines()]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can hide memory")
def test_the_memory_of_the_process_is_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = "print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), end='', file=sys.stderr)"
    with_setup(monkeypatch, f"import ctypes; at_end(lambda: {look})")
    with started(below(tmp_path)) as process:
        assert process.communicate(timeout=30) == (b"", b"0")


def test_internal_sftp_with_options(tmp_path: Path) -> None:
    (tmp_path / "start").mkdir()
    restrictions = parse_command("internal-sftp -d /%u -u 077 -P symlink -l INFO")
    assert restrictions is not None
    files = replace(below(tmp_path), user="start", restrictions=restrictions)
    with started(files) as process:
        records = open_and_change(process)
    assert {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "start").iterdir()} == {
        "new": 0o700,
        "file": 0o600,
    }
    assert {"event": "refused", "request": "symlink", "reason": DENIED} in records
    assert [one["op"] for one in records if one["event"] == "file"] == [
        *("mkdir", "open", "stat", "close")
    ]


def test_internal_sftp_that_is_read_only_and_starts_nowhere(tmp_path: Path) -> None:
    restrictions = parse_command("internal-sftp -R -d /none")
    assert restrictions is not None
    (tmp_path / "file").touch()
    with started(below(tmp_path, restrictions=restrictions)) as process:
        records = open_and_change(process)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert records == [
        {
            "event": "sftp",
            "error": "the session can't start in /none: No such file or directory",
        },
        {"event": "refused", "request": "mkdir", "reason": READ_ONLY},
        {"event": "refused", "request": "symlink", "reason": READ_ONLY},
    ]


def test_a_storage_has_no_other_start() -> None:
    pytest.importorskip("fsspec")
    files = below("memory://files", restrictions=SFTPRestrictions(start="/x"))
    with started(files) as process:
        assert Talk(process).call(msg.RealPath(".")) == "/"
        process.stdin.close()
        assert b"can't start in /x: Operation not supported" in process.stderr.read()


def test_a_storage() -> None:
    pytest.importorskip("fsspec")
    with started(below("memory://files")) as process:
        talk = Talk(process)
        handle = talk.call(msg.Open("file", int(OpenFlag.WRITE | OpenFlag.CREAT)))
        talk.call(msg.Write(handle, 0, b"kept"))
        talk.call(msg.Close(handle))
        assert talk.call(msg.Stat("file")).size == 4


def test_a_storage_gets_the_variables_that_name_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process starts with an empty environment; packages read theirs when they are loaded."""
    monkeypatch.setenv("FSSPEC_MEMORY_COLOUR", "blue")
    monkeypatch.setenv("NACRE_SECRET", "x")
    found = storage_variables("memory://files", None)
    assert ("FSSPEC_MEMORY_COLOUR", "blue") in found
    assert "NACRE_SECRET" not in dict(found)
    assert storage_variables("/srv", None) == storage_variables(None, None) == ()
    assert storage_variables("/srv", "/s=memory://files") == found
    assert "blue" not in repr(FileRoot(root="memory://x", home="/", user="", variables=found))
    noted = tmp_path / "noted"
    with_setup(
        monkeypatch,
        "import os\nfrom pathlib import Path\n"
        f"at_end(lambda: Path({str(noted)!r}).write_text(repr(dict(os.environ))))",
    )
    with started(below("memory://files", variables=(("FSSPEC_MEMORY_COLOUR", "blue"),))) as process:
        assert Talk(process).call(msg.RealPath(".")) == "/"
        process.stdin.close()
        process.wait(30)
    assert noted.read_text() == "{'FSSPEC_MEMORY_COLOUR': 'blue'}"


def test_uploads_are_as_the_user_is_set(tmp_path: Path) -> None:
    with started(below(tmp_path, uploads="atomic", partial_uploads="remove")) as process:
        talk = Talk(process)
        flags = int(OpenFlag.WRITE | OpenFlag.CREAT | OpenFlag.TRUNC)
        handle = talk.call(msg.Open("file", flags))
        talk.call(msg.Write(handle, 0, b"kept"))
        assert not (tmp_path / "file").exists()
        talk.call(msg.Close(handle))
        assert (tmp_path / "file").read_bytes() == b"kept"
        talk.call(msg.Open("broken", flags))
        process.stdin.close()
        process.wait(30)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_files_with_limits_are_counted_however_they_are_served(tmp_path: Path) -> None:
    for name in ("root/in", "more", "read"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "read/a").write_bytes(bytes(1000))
    files = FileRoot(
        root=f"encrypted+{tmp_path}/root",
        home="/",
        user="alice",
        folders=f"/more={tmp_path}/more\n/read={tmp_path}/read:ro",
        rights="/:*\n/in:list,upload,download",
        file_key="00" * 32,
        uploads="atomic",
        limits=(QuotaLimits(bytes=4096, files=5),),
    )
    assert FileRoot.of(json.loads(json.dumps(asdict(files)))) == files
    with pytest.raises(ConfigurationError, match="no ledger"):
        files.open()
    opened: Any = files.open([open_ledger(tmp_path / "usage", "alice")])
    flags = OpenFlag.WRITE | OpenFlag.CREAT | OpenFlag.TRUNC

    def put(name: str, size: int) -> None:
        file: Any = carried_out(settled(opened.open(name, flags, Attributes())))
        try:
            file.pwrite(bytes(size), 0)
        finally:
            file.close()

    put("a", 100)
    put("a", 50)
    put("more/b", 200)
    put("in/c", 10)
    carried_out(opened.rename("a", "in/a", replace=False))
    with pytest.raises(OSError, match="the upload is not complete"):
        put("more/d", 4000)
    carried_out(opened.remove("more/d.part"))
    with pytest.raises(OSError, match="one name"):
        carried_out(opened.link("in/a", "in/b"))
    opened.close()
    written = [*(tmp_path / "root").rglob("*"), *(tmp_path / "more").rglob("*")]
    size = sum(path.stat().st_size for path in written if path.is_file())
    found = read_ledger(tmp_path / "usage", "alice")
    assert found is not None
    assert (found.bytes, found.files, found.doubted) == (size, len(written), False)


def test_a_storage_has_transfers_and_no_quota(tmp_path: Path) -> None:
    pytest.importorskip("fsspec")
    root = f"memory://{tmp_path.name}"
    files = FileRoot(root=root, home="/", user="alice", limits=(QuotaLimits(transfer_up=5),))
    opened: Any = files.open([open_ledger(tmp_path / "usage", "alice")])
    file = opened.open("a", OpenFlag.WRITE | OpenFlag.CREAT, Attributes())
    file.pwrite(b"12345", 0)
    with pytest.raises(OSError, match="you may upload 5 bytes a month"):
        file.pwrite(b"6", 5)
    file.close()
    opened.close()


def test_no_root(tmp_path: Path) -> None:
    with started(below(tmp_path / "none")) as process:
        assert process.wait(30) == 1
        assert b"No such file" in process.stderr.read()


def test_a_client_that_breaks_the_protocol(tmp_path: Path) -> None:
    with started(below(tmp_path)) as process:
        process.stdin.write(b"\xff\xff\xff\xff")
        process.stdin.close()
        assert process.wait(30) == 1


def test_scp(tmp_path: Path) -> None:
    with started(below(tmp_path), command=b"scp -t .") as process:
        process.stdin.write(b"C0600 5 name\nhello\0C0644 1 ../x\n")
        process.stdin.close()
        assert process.stdout.read().startswith(b"\0\0\0\x02scp: ")
        assert process.wait(30) == 1
    assert (tmp_path / "name").read_bytes() == b"hello"
    assert not (tmp_path.parent / "x").exists()


def put_and_look(process: Piped, where: str, version: int = VERSION_3) -> None:
    """Make a directory and a file of one byte, and look at both."""
    talk = Talk(process, version)
    talk.call(msg.MkDir(where))
    handle = talk.call(msg.Open(f"{where}/file", int(OpenFlag.WRITE | OpenFlag.CREAT)))
    talk.call(msg.Write(handle, 0, b"1"))
    talk.call(msg.Close(handle))
    directory = talk.call(msg.OpenDir(where))
    assert {entry.name for entry in talk.call(msg.ReadDir(directory))} == {".", "..", "file"}
    handle = talk.call(msg.Open(f"{where}/file", int(OpenFlag.READ)))
    reading = talk.client.send_read(handle, 0, 10)
    talk.flush()
    assert talk.result(reading) == b"1"
    with pytest.raises(NoSuchFile):
        talk.call(msg.Stat(f"{where}/none"))


UP = [
    (b"", b"\0"),
    (b"D0700 0 scp\n", b"\0"),
    (b"C0600 5 name\n", b"\0"),
    (b"hello\0", b"\0"),
    (b"E\n", b"\0"),
]
DOWN = [(b"\0", sent) for sent, _ in [*UP[1:], (b"", b"")]]


def talk_scp(
    files: FileRoot, rights: tuple[int, int, tuple[int, ...], int], command: bytes, steps: Any
) -> bytes:
    """Type and read in turn, and return what the process writes to standard error."""
    with started(files, rights, command) as process:
        for typed, answer in steps:
            process.stdin.write(typed)
            process.stdin.flush()
            assert process.stdout.read(len(answer)) == answer, process.communicate(10)
        rest, errors = process.communicate(timeout=30)
        assert (rest, process.returncode) == (b"", 0), errors
        return errors


@pytest.mark.usefixtures("unreadable")
def test_an_account_that_may_not_read_nacre_is_served(system_account: SystemAccount) -> None:
    rights = rights_of(system_account)
    home = below(system_account.home)
    with started(home, rights) as process:
        put_and_look(process, "over_sftp")
    assert (system_account.home / "over_sftp" / "file").owner() == system_account.name
    talk_scp(home, rights, b"scp -rp -t .", UP)
    assert (system_account.home / "scp" / "name").owner() == system_account.name
    talk_scp(home, rights, b"scp -r -f scp", DOWN)


@pytest.mark.usefixtures("unreadable")
def test_a_storage_is_served_to_an_account_that_may_not_read_nacre(
    system_account: SystemAccount,
) -> None:
    pytest.importorskip("fsspec")
    with started(below("memory://files"), rights_of(system_account)) as process:
        put_and_look(process, "over_sftp")


WATCHED = """
from nacre.daemon.processes.kinds import file_process
take_rights = file_process.take_rights
def watched(*rights):
    take_rights(*rights)
    before = set(sys.modules)
    at_end(lambda: print(*(set(sys.modules) - before), end="", file=sys.stderr))
file_process.take_rights = watched
"""


@pytest.mark.parametrize(
    ("storage", "version"),
    [(False, VERSION_3), (False, LATEST_VERSION), (True, VERSION_3)],
    ids=["directory", "latest", "storage"],
)
def test_nothing_is_imported_after_the_rights_were_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, storage: bool, version: int
) -> None:
    if storage:
        pytest.importorskip("fsspec")
    with_setup(monkeypatch, WATCHED)
    files = below("memory://files" if storage else tmp_path)
    with started(files) as process:
        put_and_look(process, "over_sftp", version)
        process.stdin.close()
        assert process.stderr.read() == b""
    if not storage:  # what is in memory ends with the process
        assert talk_scp(files, OWN, b"scp -rp -t .", UP) == b""
        assert talk_scp(files, OWN, b"scp -r -f scp", DOWN) == b""


def test_the_sandbox_has_the_root_and_the_folders() -> None:
    folders = "/a=/srv/a\n/b=/srv/b:ro"
    files = below("/srv/root", folders=folders)
    assert files.sandbox(None) == Sandbox(
        CONFINED, (("/srv/root", CHANGED), ("/srv/a", CHANGED), ("/srv/b", READ))
    )
    files = below("/srv/root", folders=folders, read_only=True)
    assert files.sandbox(None).below == (("/srv/root", READ), ("/srv/a", READ), ("/srv/b", READ))
    for root, given in (("memory://", folders), ("/srv/root", "/a=memory://x\n/b=/srv/b")):
        assert below(root, folders=given).sandbox(None) == Sandbox(STORAGE)


def test_folders(tmp_path: Path) -> None:
    for name in ("root", "shared", "only", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    folders = f"/shared={tmp_path}/shared\n/deep/only={tmp_path}/only:ro"
    rights = "/:list,download\n/shared:*"
    for files in (
        below(tmp_path / "root", folders=folders),
        below(tmp_path / "root", folders=folders, rights=rights),
    ):
        with started(files) as process:
            talk = Talk(process)
            directory = talk.call(msg.OpenDir("/"))
            found = {entry.name for entry in talk.call(msg.ReadDir(directory))}
            assert found == {".", "..", "deep", "file", "shared"}
            for path, content in (
                ("file", b"root"),
                ("shared/file", b"shared"),
                ("/deep/only/file", b"only"),
            ):
                handle = talk.call(msg.Open(path, int(OpenFlag.READ)))
                assert talk.call(msg.Read(handle, 0, 100)) == content
            assert talk.call(msg.Open("/shared/new", CHANGE))
            talk.call(msg.Remove("/shared/new"))
            with pytest.raises(SFTPError):
                talk.call(msg.Open("/deep/only/new", CHANGE))
            with pytest.raises(SFTPError):
                talk.call(PosixRename("/shared/file", "/file"))
            with pytest.raises(SFTPError):
                talk.call(msg.RmDir("/shared"))
        assert process.returncode == 0


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with started(below(tmp_path, folders=f"/a={tmp_path}/missing")) as process:
        said = process.stderr.read().decode()
    assert process.returncode == 1
    # Landlock looks at the directories first, where the kernel has it.
    assert "can't open the folder /a: No such file" in said or "missing" in said


def test_what_rules_deny_is_told_to_the_log(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "file").write_text("x")
    with started(below(tmp_path, rights="/:list\n/in:list,upload")) as process:
        talk = Talk(process)
        assert talk.call(msg.Open("/in/new", CHANGE & ~int(OpenFlag.READ)))
        for request in (msg.Remove("/in/file"), msg.Open("/in/file", int(OpenFlag.READ))):
            with pytest.raises(PermissionDenied):
                talk.call(request)
        process.stdin.close()
        records = [json.loads(line) for line in process.stderr.read().splitlines()]
    assert [(one["event"], one["request"], one["reason"]) for one in records] == [
        ("refused", "remove", "/in/file: delete is not among the rights of /in"),
        ("refused", "open", "/in/file: download is not among the rights of /in"),
    ]


def test_encrypted_files(tmp_path: Path) -> None:
    for name in ("root", "plain"):
        (tmp_path / name).mkdir()
    files = FileRoot(
        root=f"encrypted+{tmp_path}/root",
        home="/",
        user="alice",
        folders=f"/mem=encrypted+memory://{tmp_path}\n/plain={tmp_path}/plain",
        file_key="ab" * 32,
    )
    assert "ab" * 32 not in repr(files)
    content = os.urandom(150_000)
    with started(files) as process:
        talk = Talk(process)
        for path in ("/file", "/mem/file", "/plain/file"):
            handle = talk.call(msg.Open(path, CHANGE | int(OpenFlag.TRUNC)))
            talk.call(msg.Write(handle, 0, content))
            talk.call(msg.Close(handle))
            handle = talk.call(msg.Open(path, int(OpenFlag.READ)))
            assert talk.call(msg.Read(handle, 70_000, 1000)) == content[70_000:71_000]
            assert talk.call(msg.Stat(path)).size == len(content)
        (tmp_path / "root" / "bad").write_bytes(b"not encrypted")
        with pytest.raises(SFTPError):
            talk.call(msg.Open("/bad", int(OpenFlag.READ)))
        process.stdin.close()
        records = [json.loads(line) for line in process.stderr.read().splitlines()]
    assert [one["reason"] for one in records] == ["/bad: the file is not encrypted, or was cut off"]
    stored = (tmp_path / "root" / "file").read_bytes()
    assert content[:100] not in stored
    assert content[-100:] not in stored
    assert (tmp_path / "plain" / "file").read_bytes() == content


def test_an_encrypted_directory_alone_is_what_the_process_reaches() -> None:
    files = below("encrypted+/srv/root", folders="/a=encrypted+/srv/a:ro", file_key="ab" * 32)
    assert files.sandbox(None).below == (("/srv/root", CHANGED), ("/srv/a", READ))
    files = below("encrypted+s3://bucket", file_key="ab" * 32)
    assert files.sandbox(None) == Sandbox(STORAGE)
    with pytest.raises(ConfigurationError, match="give --file-key"):
        below("encrypted+/srv/root").open()
