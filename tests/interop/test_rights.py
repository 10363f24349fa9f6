"""Rights of directories, folders, encrypted files: OpenSSH's sftp and scp with ``nacre serve``."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from interop.clients import Account, Login
from interop.daemons import RUN_AS, Daemon, State, start_nacre
from interop.programs import NACRE, check, manage, require, run

pytestmark = pytest.mark.interop

RULES = (
    "/:list,download",
    "/in:list,upload,mkdir,deny=*.exe",
    "/drop:upload",
    "/own:*",
    "/secret:none",
)


class Client:
    """OpenSSH's programs, as one user."""

    def __init__(self, login: Login, root: Path) -> None:
        self.login, self.root = login, root

    def _options(self) -> list[str]:
        return ["-P" if word == "-p" else word for word in self.login.options()]

    def sftp(self, *lines: str) -> subprocess.CompletedProcess[bytes]:
        """Carry out lines one by one; a dash in front of one goes on after a failure."""
        where = f"{self.login.user}@127.0.0.1"
        command = [require("sftp"), "-b", "-", *self._options(), where]
        return run(command, input="\n".join(lines).encode() + b"\n")

    def fails(self, *lines: str) -> None:
        done = self.sftp(*(f"-{line}" for line in lines))
        # The client says "not found" itself where it may not look.
        said = [
            line
            for line in done.stderr.decode().splitlines()
            if "ermission denied" in line or "not found" in line
        ]
        assert len(said) == len(lines), done.stderr.decode()
        assert b"old" not in b"".join(
            line for line in done.stdout.splitlines() if not line.startswith(b"sftp>")
        )

    def succeeds(self, *lines: str) -> str:
        done = self.sftp(*lines)
        assert done.returncode == 0, done.stderr
        return done.stdout.decode()

    def scp(self, *words: str | Path, old: bool) -> subprocess.CompletedProcess[bytes]:
        places = [f"{self.login.user}@127.0.0.1{w}" if str(w)[0] == ":" else str(w) for w in words]
        return run([require("scp"), "-q", *["-O"] * old, *self._options(), *places])


@pytest.fixture(
    params=[[], ["--gates", "0"], ["--workers", "2"]], ids=["gates", "no-gates", "workers"]
)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Daemon]:
    state = State(tmp_path / "state")
    manage("group", "add", "all", "--state", state.path, *RUN_AS)
    with start_nacre(state, *request.param) as server:
        yield server


@pytest.fixture
def client(server: Daemon, keys: dict[str, Path], tmp_path: Path) -> Client:
    root = tmp_path / "files"
    for name in ("in", "drop", "own", "secret"):
        (root / name).mkdir(parents=True)
        (root / name / "old").write_text(name)
    (root / "read").write_text("read")
    given = [word for rule in RULES for word in ("--rights", rule)]
    key = keys["ed25519"].with_suffix(".pub")
    options = ["--group", "all", "--service", "sftp", "--root", str(root), "--key", key, *given]
    manage("user", "add", "alice", "--state", tmp_path / "state", *options)
    return Client(Login(server, "alice", tmp_path, keys["ed25519"]), root)


def test_sftp_and_scp_keep_to_the_rights(client: Client, server: Daemon, tmp_path: Path) -> None:
    new = tmp_path / "new"
    new.write_text("new")
    got = tmp_path / "got"
    shown = client.succeeds("ls -1", "ls -1 in", f"get read {got}", "cd in", "pwd", "cd /drop")
    assert {"drop", "in", "read", "secret", "own", "in/old"} <= set(shown.split())
    assert got.read_text() == "read"
    client.fails(
        *(f"put {new} /new", f"put {new} /in/old", f"put {new} /in/a.exe", "mkdir /d", "rm /read"),
        *("get /in/old", "get /secret/old", "ls /secret", "ls /drop", f"put {new} /drop/old"),
        *("rename /read /own/read", "rename /in/old /in/new", "chmod 600 /in/old", "rm /in/old"),
        *("ln /read /own/read", "ln -s /read /in/link", "rmdir /secret", "rename /own /w"),
        *("rename /own/old /secret/new",),
    )
    server.wait_for(r"refused .*/in/old: overwrite is not among the rights of /in")
    server.wait_for(r"refused .*/in/a.exe: a pattern of /in denies the name")
    client.succeeds(f"put {new} /in/new", "mkdir /in/d", f"put {new} /in/d/new", f"put {new} /drop")
    client.succeeds(
        *("rename /own/old /own/older", "mkdir /own/d", "rename /own/d /own/e", "df /own"),
        *("ln /own/older /own/hard", "ln -s older /own/soft", "get /own/soft " + str(got)),
        *("rename /own/older /in/moved", "rmdir /own/e", "chmod 600 /own/hard", "rm /own/hard"),
    )
    assert (client.root / "in" / "moved").read_text() == "own"
    for old in (True, False):
        assert client.scp(new, f":/in/scp-{old}", old=old).returncode == 0
        assert client.scp(new, f":/drop/scp-{old}", old=old).returncode == 0
        assert client.scp(":/read", got, old=old).returncode == 0
        for words in ((new, ":/new"), (new, ":/in/old"), (":/in/old", got), (":/secret/old", got)):
            done = client.scp(*words, old=old)
            assert done.returncode == 1, words
            # Of a file that it may not look at, the client says itself that there is none.
            assert b"ermission denied" in done.stderr or b"No such file" in done.stderr
    found = {str(one.relative_to(client.root)) for one in client.root.rglob("*") if one.is_file()}
    assert found == {
        *("drop/new", "drop/old", "drop/scp-False", "drop/scp-True", "in/d/new", "in/moved"),
        *("in/new", "in/old", "in/scp-False", "in/scp-True", "read", "secret/old"),
    }
    assert (client.root / "in" / "old").read_text() == "in"


def test_links_do_not_carry_rights(client: Client, tmp_path: Path) -> None:
    new = tmp_path / "new"
    new.write_text("new")
    os.symlink("../secret", client.root / "own" / "made-by-the-operator")
    client.succeeds("ln -s ../secret /own/link", "ln -s /secret/old /own/file")
    client.fails(
        *("ls /own/link", "ls /own/made-by-the-operator", "get /own/link/old", "get /own/file"),
        *(f"put {new} /own/file", f"put {new} /own/link/new", "rm /own/link/old"),
        *("rename /own/link/old /own/stolen", "mkdir /own/link/d", "chmod 777 /own/file"),
    )
    for old in (True, False):
        assert client.scp(":/own/file", tmp_path / "got", old=old).returncode == 1
        assert client.scp(new, ":/own/link/new", old=old).returncode == 1
    assert [one.name for one in (client.root / "secret").iterdir()] == ["old"]
    assert (client.root / "secret" / "old").read_text() == "secret"
    client.succeeds("rm /own/link", "rm /own/file")


def test_a_user_with_a_shell_and_rights_gets_no_session(
    client: Client, server: Daemon, tmp_path: Path
) -> None:
    state = ["--state", tmp_path / "state"]
    done = run([*NACRE, "user", "set", "alice", "--service", "all", *state])
    assert done.returncode == 1
    assert b"give --service sftp" in done.stderr
    # A group is not asked for its users: their sessions are refused.
    manage("group", "set", "all", "--rights", "/:list", *state)
    options = ["--service", "all", "--inherit", "rights", "--no-groups", *RUN_AS]
    manage("user", "set", "alice", *options, *state)
    manage("group", "set", "all", "--inherit", "rights", *state)
    manage("user", "set", "alice", "--group", "all", *state)
    assert run([*client.login.ssh("BatchMode=yes"), "true"]).returncode == 0
    manage("group", "set", "all", "--rights", "/:list", *state)
    assert run([*client.login.ssh("BatchMode=yes"), "true"]).returncode != 0
    server.wait_for("refused .*do not hold in a shell")


def test_folders_are_seen_below_the_root(client: Client, tmp_path: Path) -> None:
    for name in ("shared", "only"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    folders = [f"/shared={tmp_path}/shared", f"/far/only={tmp_path}/only:ro", "/mem=memory://x"]
    given = [word for folder in folders[:2] for word in ("--folder", folder)]
    state = ["--state", tmp_path / "state"]
    manage("user", "set", "alice", "--inherit", "rights", *given, *state)
    got, new = tmp_path / "got", tmp_path / "new"
    new.write_text("new")
    shown = client.succeeds("ls -1", "ls -1 far", "df /shared", f"get /far/only/file {got}")
    assert {"far", "shared", "read", "far/only"} <= set(shown.split())
    assert got.read_text() == "only"
    client.succeeds(f"put {new} /shared/new", "rename /shared/new /shared/newer", "cd far/only")
    assert (tmp_path / "shared" / "newer").read_text() == "new"
    for line in (
        *("rename /shared/newer /newer", f"put {new} /far/only/new", "rmdir /shared"),
        "rm /far/only/file",
    ):
        done = client.sftp(line)
        assert done.returncode == 1, line
        assert done.stderr, line
    for old in (True, False):
        assert client.scp(":/far/only/file", got, old=old).returncode == 0
        assert client.scp(new, f":/shared/scp-{old}", old=old).returncode == 0
        assert client.scp(new, ":/far/only/new", old=old).returncode == 1
    assert sorted(one.name for one in (tmp_path / "shared").iterdir()) == [
        *("file", "newer", "scp-False", "scp-True")
    ]
    assert [one.name for one in (tmp_path / "only").iterdir()] == ["file"]
    # With a storage among them no directory confines the process; a wall is left (docs/rights.md).
    manage("user", "set", "alice", *given, "--folder", folders[2], *state)
    client.succeeds(f"put {new} /mem/new", "ls /mem", f"get /shared/file {got}", "df /far")
    assert got.read_text() == "shared"
    # Rules hold for folders, too.
    rules = [
        "--rights",
        "/:list",
        "--rights",
        "/far/only:list,download",
        "--rights",
        "/shared:list",
    ]
    manage("user", "set", "alice", *given, *rules, *state)
    client.succeeds(f"get /far/only/file {got}", "ls /shared")
    client.fails(f"put {new} /shared/x", "get /shared/file")


def test_files_are_encrypted_at_rest(client: Client, server: Daemon, tmp_path: Path) -> None:
    key, vault, new, got = (tmp_path / name for name in ("key", "vault", "new", "got"))
    key.write_text("ab" * 32 + "\n")
    key.chmod(0o600)
    vault.mkdir()
    content = os.urandom(300_000)
    new.write_bytes(content)
    state = ["--state", tmp_path / "state"]
    options = ["--file-key", key, "--folder", f"/mem=encrypted+memory://{tmp_path}"]
    root = ["--root", f"encrypted+{vault}", "--inherit", "rights"]
    manage("user", "set", "alice", *root, *options, *state)
    shown = client.succeeds(
        *(f"put -p {new} one", "chmod 640 one", "rename one two", "ls -l two", f"get two {got}"),
        *(f"put {new} /mem/one", "ls -l /mem/one", f"get /mem/one {tmp_path}/stored"),
    )
    assert shown.count(" 300000 ") == 2
    assert got.read_bytes() == content
    assert (tmp_path / "stored").read_bytes() == content
    for old in (True, False):
        assert client.scp("-p", new, f":/scp-{old}", old=old).returncode == 0
        assert client.scp(f":/scp-{old}", got, old=old).returncode == 0
        assert got.read_bytes() == content
    # The rest of a file is fetched, and added.
    got.write_bytes(content[:100_000])
    client.succeeds(f"reget two {got}")
    assert got.read_bytes() == content
    (tmp_path / "begun").write_bytes(content[:100_000])
    client.succeeds(f"put {tmp_path}/begun three", f"reput {new} three", f"get three {got}")
    assert got.read_bytes() == content
    assert sorted(one.name for one in vault.iterdir()) == ["scp-False", "scp-True", "three", "two"]
    for one in vault.iterdir():
        stored = one.read_bytes()
        assert stored.startswith(b"NacreEn1")
        assert content[:64] not in stored
    # What was cut off or changed is not given out.
    with open(vault / "two", "r+b") as file:
        file.truncate(65_536 + 28 + 48)
    with open(vault / "three", "r+b") as file:
        file.seek(1000)
        file.write(b"x")
    for name in ("two", "three"):
        done = client.sftp(f"get {name} {tmp_path}/broken")
        assert done.returncode == 1
        server.wait_for(f"refused .*read.*/{name}: chunk 0 was changed or cut off")
    assert client.scp(":/three", got, old=True).returncode == 1
    server.wait_for("refused .*download.*three: chunk 0 was changed or cut off")
    key.chmod(0o644)
    assert client.sftp("ls").returncode != 0
    server.wait_for(f"refused .*chmod 600 {key}")


def test_another_account_serves_the_files(
    client: Client, system_account: Account, tmp_path: Path
) -> None:
    """The key belongs to root alone, and the account has the rest."""
    key, home = tmp_path / "key", system_account.home / tmp_path.name
    vault, shared = home / "vault", home / "shared"
    key.write_text("cd" * 32)
    key.chmod(0o600)
    for directory in (home, vault, shared):
        directory.mkdir()
    check([require("chown"), "-R", f"{system_account.name}:", home])
    rules = ["--rights", "/:list,download", "--rights", "/shared:list,upload"]
    places = ["--root", f"encrypted+{vault}", "--folder", f"/shared={shared}", "--file-key", key]
    account = ["--run-as", system_account.name, "--state", tmp_path / "state"]
    manage("user", "set", "alice", *places, *rules, *account)
    new = tmp_path / "new"
    new.write_text("new")
    client.succeeds("ls -1", f"put {new} /shared/new")
    assert (shared / "new").owner() == system_account.name
    client.fails(f"put {new} /new", "get /shared/new", "rm /shared/new")
    manage("user", "set", "alice", "--rights", "/:*", *account)
    client.succeeds(f"put {new} /new", f"get /new {tmp_path}/got", f"get /shared/new {new}")
    assert (tmp_path / "got").read_text() == "new"
    assert (vault / "new").read_bytes().startswith(b"NacreEn1")
