"""OpenSSH's, PuTTY's, lftp's, AsyncSSH's and Paramiko's sftp and scp against ``nacre serve``."""

from __future__ import annotations

import hashlib
import os
import shlex
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import asyncssh
import paramiko
import pytest

from interop.clients import PASSWORD, Account, Login
from interop.daemons import Daemon, State, start_nacre
from interop.mounts import mounted
from interop.programs import check, manage, require, run
from interop.trees import ODD, PLAIN, UTF8, make_tree, summary
from procfs import below

GIB = 1 << 30


@dataclass(frozen=True)
class Served:
    """A login, and the root of its files."""

    login: Login
    root: Path

    def copier(self, program: str, *flags: str) -> list[str]:
        """Return the command line of ``sftp`` or ``scp`` up to the files."""
        options = self.login.options()
        options[options.index("-p")] = "-P"
        return [require(program), *flags, *options]

    @property
    def host(self) -> str:
        return f"{self.login.user}@127.0.0.1"

    def sftp(self, *lines: str, directory: Path, timeout: float = 120) -> bytes:
        batch = directory / "batch"
        batch.write_text("\n".join(lines) + "\n")
        return check([*self.copier("sftp"), "-b", batch, self.host], timeout=timeout)


@pytest.fixture(scope="module")
def state(keys: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> State:
    state = State(tmp_path_factory.mktemp("files") / "state")
    state.path.parent.chmod(0o755)
    public = [key.with_suffix(".pub") for key in keys.values()]
    for name, service in (("files", "sftp"), ("all", "all"), ("reader", "sftp"), ("other", "sftp")):
        state.add_user(name, password=PASSWORD, keys=public, service=service)
    manage("user", "set", "reader", "--state", state.path, "--read-only")
    return state


@pytest.fixture(scope="module")
def server(state: State) -> Iterator[Daemon]:
    with start_nacre(state, "-o", "MaxStartups=100") as daemon:
        yield daemon


@pytest.fixture
def served(server: Daemon, state: State, keys: dict[str, Path], tmp_path: Path) -> Served:
    """The user who may use sftp alone, served in the server's process."""
    return Served(
        Login(server, "files", tmp_path, keys["ed25519"]), state.path.parent / "home-files"
    )


@pytest.fixture
def served_as_other(
    served: Served, state: State, system_account: Account, tmp_path: Path
) -> Served:
    """A user whose files belong to another account: served in a process of that account."""
    root = system_account.home / "files"  # another run of pytest shuts its directory of all runs
    root.mkdir(exist_ok=True)
    check([require("chown"), f"{system_account.name}:", root])
    account = ["--run-as", system_account.name, "--home", root]
    manage("user", "set", "other", "--state", state.path, *account)
    return Served(Login(served.login.server, "other", tmp_path, served.login.key), root)


Copy = Callable[[Served, Path, str], None]


def sftp_up(served: Served, local: Path, remote: str) -> None:
    served.sftp(f"put -rp {local} {remote}", directory=served.login.directory)


def sftp_down(served: Served, local: Path, remote: str) -> None:
    served.sftp(f"get -rp {remote} {local}", directory=served.login.directory)


def scp_up(served: Served, local: Path, remote: str) -> None:
    check([*served.copier("scp", "-rpq"), local, f"{served.host}:{remote}"], timeout=120)


def scp_down(served: Served, local: Path, remote: str) -> None:
    check([*served.copier("scp", "-rpq"), f"{served.host}:{remote}", local], timeout=120)


def old_scp_up(served: Served, local: Path, remote: str) -> None:
    check([*served.copier("scp", "-Orpq"), local, f"{served.host}:{remote}"], timeout=120)


def old_scp_down(served: Served, local: Path, remote: str) -> None:
    check([*served.copier("scp", "-Orpq"), f"{served.host}:{remote}", local], timeout=120)


def _putty(served: Served, program: str) -> list[str]:
    port = str(served.login.server.port)
    command = [require(program), "-batch", "-noagent", "-P", port, "-l", "files", "-pw", PASSWORD]
    scanned = check([require("ssh-keyscan"), "-p", port, "127.0.0.1"])
    for line in check([require("ssh-keygen"), "-lf", "-"], input=scanned).decode().splitlines():
        command += ["-hostkey", line.split()[1]]
    return command


def psftp_up(served: Served, local: Path, remote: str) -> None:
    _psftp(served, f'put -r "{local}" "{remote}"')


def psftp_down(served: Served, local: Path, remote: str) -> None:
    _psftp(served, f'get -r "{remote}" "{local}"')


def _psftp(served: Served, line: str) -> None:
    batch = served.login.directory / "batch"
    batch.write_text(line + "\n")
    home = str(served.login.directory)
    check([*_putty(served, "psftp"), "-b", batch, "127.0.0.1"], timeout=120, HOME=home)


def pscp_up(served: Served, local: Path, remote: str) -> None:
    home = str(served.login.directory)
    command = [*_putty(served, "pscp"), "-q", "-r", "-p"]
    # It makes no directory of another name than the one it copies.
    named = local.rename(local.with_name(remote))
    check([*command, named, "127.0.0.1:."], timeout=120, HOME=home)
    named.rename(local)


def pscp_down(served: Served, local: Path, remote: str) -> None:
    home = str(served.login.directory)
    command = [*_putty(served, "pscp"), "-q", "-r", "-p"]
    check([*command, f"127.0.0.1:{remote}", local.parent], timeout=120, HOME=home)
    local.with_name(remote).rename(local)


def lftp_up(served: Served, local: Path, remote: str) -> None:
    _lftp(served, f"mirror -R -P 4 {shlex.quote(str(local))} {remote}")


def lftp_down(served: Served, local: Path, remote: str) -> None:
    _lftp(served, f"mirror -P 4 {remote} {shlex.quote(str(local))}")


def _lftp(served: Served, command: str) -> None:
    login = served.login
    options = [o for o in login.options() if o not in ("-p", str(login.server.port))]
    connect = " ".join([require("ssh"), "-a", "-x", *options])
    script = (
        f'set sftp:connect-program "{connect}"; set sftp:charset utf-8; set file:charset utf-8; '
        f"set net:max-retries 1; set cmd:fail-exit yes; "
        f"open -u {login.user}, sftp://127.0.0.1:{login.server.port}; {command}"
    )
    home = str(login.directory)
    check([require("lftp"), "-c", script], timeout=120, HOME=home, LC_ALL="C.UTF-8")


SLASHES = [name for name in PLAIN if b"\\" in name]
SIMPLE = [name for name in (*PLAIN, *UTF8) if name not in (*SLASHES, b"star*?[x]", b"quote'\"s")]


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("up", "down", "count", "names", "kept"),
    [
        pytest.param(sftp_up, sftp_down, 500, [*PLAIN, *UTF8, *ODD], "all", id="sftp"),
        pytest.param(scp_up, scp_down, 500, [*PLAIN, *UTF8, *ODD], "all", id="scp"),
        pytest.param(old_scp_up, old_scp_down, 500, [*PLAIN, *UTF8], "all", id="scp-O"),
        pytest.param(psftp_up, psftp_down, 300, SIMPLE, "", id="psftp"),
        pytest.param(pscp_up, pscp_down, 300, SIMPLE, "times", id="pscp"),
        pytest.param(lftp_up, lftp_down, 500, [*PLAIN, *UTF8], "all", id="lftp"),
    ],
)
def test_trees(
    served: Served,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    up: Copy,
    down: Copy,
    count: int,
    names: list[bytes],
    kept: str,
) -> None:
    tree, name = tmp_path / "tree", f"tree-{request.node.callspec.id}"
    make_tree(tree, count, names)
    wanted = {"modes": kept == "all", "times": kept in ("all", "times")}
    expected = summary(tree, **wanted)
    up(served, tree, name)
    assert summary(served.root / name, **wanted) == expected
    down(served, tmp_path / "back", name)
    assert summary(tmp_path / "back", **wanted) == expected


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("up", "down"), [(sftp_up, sftp_down), (old_scp_up, old_scp_down)], ids=["sftp", "scp-O"]
)
def test_trees_of_another_account(
    served_as_other: Served, system_account: Account, tmp_path: Path, up: Copy, down: Copy
) -> None:
    tree, name = tmp_path / "tree", f"tree-{up.__name__}"
    make_tree(tree, 300, [*PLAIN, *UTF8])
    up(served_as_other, tree, name)
    assert summary(served_as_other.root / name) == summary(tree)
    assert (served_as_other.root / name).owner() == system_account.name
    down(served_as_other, tmp_path / "back", name)
    assert summary(tmp_path / "back") == summary(tree)


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_tree_of_asyncssh(served: Served, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    make_tree(tree, 500, [n for n in (*PLAIN, *UTF8, *ODD) if n not in SLASHES])
    login = served.login
    async with (
        asyncssh.connect(
            "127.0.0.1",
            login.server.port,
            username="files",
            client_keys=[str(login.key)],
            known_hosts=None,
            config=None,
        ) as connection,
        connection.start_sftp_client() as sftp,
    ):
        await sftp.put(os.fsencode(tree), b"asyncssh", preserve=True, recurse=True)
        assert summary(served.root / "asyncssh") == summary(tree)
        back = os.fsencode(tmp_path / "back")
        await sftp.get(b"asyncssh", back, preserve=True, recurse=True)
        assert summary(tmp_path / "back") == summary(tree)


def _paramiko(served: Served) -> paramiko.SSHClient:
    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
    login = served.login
    client.connect(
        "127.0.0.1",
        login.server.port,
        "files",
        key_filename=str(login.key),
        allow_agent=False,
        look_for_keys=False,
        timeout=30,
    )
    return client


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_sixteen_sessions_of_paramiko(served: Served, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    make_tree(tree, 2000, [*PLAIN, *UTF8])
    top, back = served.root / "paramiko", tmp_path / "back"
    paths = [path.relative_to(tree) for path in sorted(tree.rglob("*"))]
    directories = [path for path in paths if (tree / path).is_dir()]
    files = [path for path in paths if (tree / path).is_file()]
    with _paramiko(served) as client, client.open_sftp() as sftp:
        for directory in (Path(), *directories):
            sftp.mkdir(f"paramiko/{directory}".rstrip("/."))
            (back / directory).mkdir()
    barrier = threading.Barrier(16)

    def work(number: int) -> None:
        with _paramiko(served) as client, client.open_sftp() as sftp:
            barrier.wait(60)
            for path in files[number::16]:
                sftp.put(str(tree / path), f"paramiko/{path}")
                sftp.get(f"paramiko/{path}", str(back / path))

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(work, range(16)))
    expected = summary(tree, modes=False, times=False)
    assert summary(top, modes=False, times=False) == expected
    assert summary(back, modes=False, times=False) == expected


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_paramiko_asks_for(served: Served) -> None:
    with _paramiko(served) as client, client.open_sftp() as sftp:
        with sftp.open("numbers", "w+b") as file:
            file.write(b"0123456789" * 1000)
            file.flush()
            assert file.check("sha256") == hashlib.sha256(b"0123456789" * 1000).digest()
            assert file.readv([(5, 3), (9990, 20)]) is not None
        sftp.symlink("numbers", "pointer")
        assert sftp.readlink("pointer") == "numbers"
        assert sftp.normalize("pointer") == "/numbers"
        assert sftp.lstat("pointer").st_mode != sftp.stat("pointer").st_mode
        sftp.truncate("numbers", 7)
        sftp.chmod("numbers", 0o600)
        sftp.utime("numbers", (1, 2))
        found = sftp.stat("numbers")
        assert (found.st_size, found.st_mode & 0o777, found.st_mtime) == (7, 0o600, 2)
        with pytest.raises(OSError, match="File exists"):
            sftp.rename("numbers", "pointer")
        sftp.posix_rename("numbers", "pointer")
        assert not sftp.lstat("pointer").st_mode & 0o020000
        with pytest.raises(FileNotFoundError):
            sftp.stat("numbers")
        with pytest.raises(OSError):  # noqa: PT011
            sftp.rmdir("pointer")
        sftp.remove("pointer")


class Watch:
    """How much more memory a server's processes have at most than with a session of one request.

    Of processes of one name the largest one counts. Each session has some of its own.
    """

    def __init__(self, served: Served, directory: Path) -> None:
        self._pid = served.login.server.pid
        self._most: dict[str, int] = {}
        self._over = threading.Event()
        self._looking = threading.Thread(target=self._watch, daemon=True)
        self._looking.start()
        # Long enough for a look at every process that takes part.
        served.sftp("pwd", "!sleep 0.5", directory=directory)
        self._idle = dict(self._most)

    def _watch(self) -> None:
        while not self._over.wait(0.02):
            for one in (self._pid, *below(self._pid)):
                with suppress(OSError, KeyError):
                    lines = Path(f"/proc/{one}/status").read_text().splitlines()
                    status = dict(line.split(":\t", 1) for line in lines)
                    most = int(status["VmHWM"].split()[0]) * 1024
                    name = status["Name"]
                    self._most[name] = max(most, self._most.get(name, 0))

    def peak(self) -> int:
        """End it, and return bytes."""
        self._over.set()
        self._looking.join()
        return sum(most - self._idle.get(name, 0) for name, most in self._most.items())


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_half_a_gib_of_a_sparse_file_of_4_gib(
    served: Served, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """The copies have the file's beginning already, and are resumed."""
    size, there = 4 * GIB + 12_345, 7 * GIB // 2
    big, copy, back = tmp_path / "big", served.root / "big", tmp_path / "back"
    with big.open("wb") as file:
        for offset in (there + 17, 4 * GIB - 5, size - 9):
            file.seek(offset)
            file.write(b"not zeros")
    watch = Watch(served, tmp_path)
    try:
        for words, made in ((f"put -a {big} big", copy), (f"get -a big {back}", back)):
            made.touch()
            os.truncate(made, there)
            served.sftp(words, directory=tmp_path)
            assert made.stat().st_size == size
            check(["cmp", "-i", there, big, made])
    finally:
        for path in (copy, big, back):
            path.unlink(missing_ok=True)
    grown = watch.peak() / (1 << 20)
    record_property("table: memory of 512 MiB up and down", f"{grown:.1f} MiB above idle")
    assert grown < 80


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_listing_of_30000(
    served: Served, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    many = served.root / "many"
    many.mkdir()
    try:
        for number in range(30_000):
            os.close(os.open(many / f"name-{number:06}", os.O_CREAT | os.O_WRONLY))
        watch = Watch(served, tmp_path)
        listed = served.sftp("ls -1 many", directory=tmp_path).decode().split("\n")[1:-1]
        assert len(listed) == 30_000
        grown = watch.peak() / (1 << 20)
    finally:
        check(["rm", "-rf", many], timeout=100)
    record_property("table: memory of a listing of 30,000", f"{grown:.1f} MiB above idle")
    assert grown < 8


def test_sftp_alone(served: Served) -> None:
    for command in ("id", "", "scp -t .; id", "scp -S /bin/sh -f x"):
        words = [command] if command else []
        done = run([*served.login.ssh(), *words])
        assert done.returncode != 0
        assert b"uid=" not in done.stdout


def test_all_services_have_both(served: Served, state: State, tmp_path: Path) -> None:
    login = Login(served.login.server, "all", tmp_path, served.login.key)
    everything = Served(login, state.path.parent / "home-all")
    assert check([*login.ssh(), "echo in"]).strip() == b"in"
    (tmp_path / "file").write_bytes(b"x")
    for flags in ("-q", "-qO"):
        check([*everything.copier("scp", flags), tmp_path / "file", f"{everything.host}:./{flags}"])
        assert (everything.root / flags).read_bytes() == b"x"


def test_nobody_leaves_the_root(served: Served, tmp_path: Path) -> None:
    for flags in ("-q", "-qO"):
        command = [*served.copier("scp", flags), f"{served.host}:/etc/passwd", tmp_path / "stolen"]
        assert run(command).returncode != 0
        command = [*served.copier("scp", flags), batch_file(tmp_path), f"{served.host}:../../out"]
        run(command)
    assert not (tmp_path / "stolen").exists()
    assert not (served.root.parent / "out").exists()
    assert not (served.root.parent.parent / "out").exists()
    assert (served.root / "out").exists()


def batch_file(directory: Path) -> Path:
    path = directory / "something"
    path.write_bytes(b"something")
    return path


def test_readers(served: Served, state: State, tmp_path: Path) -> None:
    root = state.path.parent / "home-reader"
    (root / "there").write_bytes(b"to be read")
    reader = Served(Login(served.login.server, "reader", tmp_path, served.login.key), root)
    reader.sftp(f"get there {tmp_path / 'got'}", directory=tmp_path)
    assert (tmp_path / "got").read_bytes() == b"to be read"
    for flags in ("-q", "-qO"):
        done = run([*reader.copier("scp", flags), tmp_path / "got", f"{reader.host}:there"])
        assert done.returncode != 0
    for line in ("rm there", "mkdir x", "chmod 777 there", "rename there x", "ln -s there x"):
        with pytest.raises(AssertionError):
            reader.sftp(line, directory=tmp_path)
    assert [path.name for path in root.iterdir()] == ["there"]
    assert (root / "there").read_bytes() == b"to be read"


def test_globs_and_errors_of_scp(served: Served, tmp_path: Path) -> None:
    for name in ("one.txt", "two.txt", "th*ee", "four"):
        (served.root / name).write_bytes(name.encode())
    target = tmp_path / "target"
    target.mkdir()
    scp = served.copier("scp", "-qO")
    check([*scp, f"{served.host}:*.txt", f"{served.host}:th\\*ee", target])
    assert sorted(path.name for path in target.iterdir()) == ["one.txt", "th*ee", "two.txt"]
    done = run([*scp, f"{served.host}:missing", f"{served.host}:four", target])
    assert done.returncode == 1
    assert b"missing: No such file or directory" in done.stderr
    assert (target / "four").read_bytes() == b"four"
    done = run([*scp, f"{served.host}:.", target])
    assert b"not a regular file" in done.stderr


def test_uploads_that_were_synced_survive_a_kill(
    state: State, keys: dict[str, Path], tmp_path: Path
) -> None:
    """SIGKILL in the middle of uploads: what ``put -f`` reported is whole."""
    root = state.path.parent / "home-files" / "killed"
    root.mkdir(exist_ok=True)
    pattern = os.urandom(1 << 16)
    reported: list[tuple[str, int]] = []
    with start_nacre(state) as daemon:
        served = Served(Login(daemon, "files", tmp_path, keys["ed25519"]), root)

        def upload(worker: int) -> None:
            client = _paramiko(served)
            try:
                sftp = client.open_sftp()
                for number in range(25):
                    name, blocks = f"{worker}-{number}", 1 + (worker * 7 + number * 3) % 16
                    with sftp.open(f"killed/{name}", "wb") as file:
                        for _ in range(blocks):
                            file.write(pattern)
                        _fsync(sftp, file)
                    reported.append((name, blocks))
                    if len(reported) >= 40:
                        daemon.process.kill()
            except (OSError, EOFError, paramiko.SSHException):
                pass
            finally:
                client.close()

        threads = [threading.Thread(target=upload, args=(worker,)) for worker in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(50)
        daemon.process.wait(30)
    assert len(reported) >= 40
    for name, blocks in reported:
        assert (root / name).read_bytes() == pattern * blocks


def _fsync(sftp: paramiko.SFTPClient, file: paramiko.SFTPFile) -> None:
    sftp._request(200, b"fsync@openssh.com", file.handle)


def test_sshfs(served: Served, tmp_path: Path) -> None:
    mount = tmp_path / "mount"
    with mounted(f"{served.host}:/", mount, served.login.options()):
        make_tree(tmp_path / "tree", 100, PLAIN)
        check(["cp", "-rp", tmp_path / "tree", mount / "by-sshfs"], timeout=60)
        assert summary(mount / "by-sshfs") == summary(tmp_path / "tree")
        assert summary(served.root / "by-sshfs") == summary(tmp_path / "tree")
