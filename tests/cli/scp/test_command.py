"""``nacre scp``: both protocols, all directions, and servers that send what was not asked for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import nacre.blocking
from cli.transfers import Served, serving

pytestmark = pytest.mark.slow

CONTENT = bytes(range(256)) * 8_000
HOST = "alice@127.0.0.1:"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path) as served:
        yield served


def make_tree(top: Path) -> None:
    (top / "sub").mkdir(parents=True)
    (top / "empty").write_text("")
    (top / "sub" / "with space").write_bytes(CONTENT)
    (top / "sub" / "with space").chmod(0o640)
    (top / "sub" / "new\nline").write_text("x")


def contents(top: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(top)): path.read_bytes() if path.is_file() else None
        for path in top.rglob("*")
    }


@pytest.mark.parametrize("mode", [[], ["-O"]], ids=["sftp", "legacy"])
def test_files_and_trees_both_ways(served: Served, mode: list[str]) -> None:
    make_tree(served.here / "tree")
    if mode:  # This protocol's lines can't hold such a name; OpenSSH's copies are named otherwise.
        (served.here / "tree" / "sub" / "new\nline").unlink()
    expected = contents(served.here / "tree")
    done = served.run("scp", *mode, "-rp", "tree", HOST + "/up")
    assert (done.returncode, done.stderr) == (0, "")
    assert contents(served.root / "up") == expected
    done = served.run("scp", *mode, "-rp", HOST + "/up", "down")
    assert (done.returncode, done.stderr) == (0, "")
    assert contents(served.here / "down") == expected
    for name in ("sub/with space", "empty"):
        original, copy = served.here / "tree" / name, served.here / "down" / name
        assert copy.stat().st_mode == original.stat().st_mode
        assert int(copy.stat().st_mtime) == int(original.stat().st_mtime)
    (served.here / "into").mkdir()
    done = served.run("scp", *mode, HOST + "/up/empty", "into")
    assert (done.returncode, done.stderr) == (0, "")
    done = served.run("scp", *mode, "tree/empty", "tree/sub/with space", HOST + "/up/sub/")
    assert (done.returncode, done.stderr) == (0, "")
    assert (served.here / "into" / "empty").exists()
    assert (served.root / "up" / "sub" / "empty").exists()


@pytest.mark.parametrize("mode", [[], ["-O"]], ids=["sftp", "legacy"])
def test_failures_are_told_and_are_status_1(served: Served, mode: list[str]) -> None:
    (served.here / "f").write_text("x")
    (served.here / "d").mkdir()
    (served.root / "rd").mkdir()
    for words, message in (
        ([HOST + "/nosuch", "."], "No such file or directory"),
        (["nosuch", HOST + "/"], "No such file or directory"),
        (["f", HOST + "/none/f"], "No such file or directory"),
        (["d", HOST + "/d2"], "not a regular file"),
        ([HOST + "/rd", "."], "regular file"),
    ):
        done = served.run("scp", *mode, *words)
        assert done.returncode == 1, words
        assert message in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert list(served.root.iterdir()) == [served.root / "rd"]


@pytest.mark.parametrize("mode", [[], ["-O"]], ids=["sftp", "legacy"])
def test_a_copy_onto_itself_keeps_the_bytes_and_a_shorter_one_ends_where_it_should(
    served: Served, mode: list[str]
) -> None:
    for path, place in ((served.root / "f", HOST + "/f"), (served.here / "g", HOST + "/g")):
        path.write_bytes(CONTENT)
        # One file, by the names of both ends.
        link = served.here / "f" if path.parent == served.root else served.root / "g"
        os.link(path, link)
        assert served.run("scp", *mode, place, str(served.here / path.name)).returncode == 0
        if not mode:  # what a server does itself is not the client's to decide
            assert served.run("scp", *mode, str(served.here / path.name), place).returncode == 0
        assert path.read_bytes() == CONTENT
    (served.here / "g").unlink()
    (served.here / "g").write_bytes(b"short")
    assert served.run("scp", *mode, "g", HOST + "/f").returncode == 0
    assert (served.root / "f").read_bytes() == b"short"


def test_a_name_with_wildcards_is_a_name_where_nothing_matches(served: Served) -> None:
    (served.root / "a[12]").write_text("x")
    assert served.run("scp", HOST + "/a[12]", "b").returncode == 0
    assert (served.here / "b").read_text() == "x"


def test_what_can_be_copied_is(served: Served) -> None:
    (served.here / "f").write_text("x")
    done = served.run("scp", "nosuch", "f", HOST + "/")
    assert done.returncode == 1
    assert (served.root / "f").read_text() == "x"


def test_patterns_and_places(served: Served) -> None:
    for name in ("a.txt", "b.txt", "c"):
        (served.root / name).write_text(name)
    assert served.run("scp", HOST + "/*.txt", ".").returncode == 0
    assert {path.name for path in served.here.iterdir()} == {"a.txt", "b.txt"}
    url = f"scp://alice@127.0.0.1:{served.port}//c"
    assert served.run("scp", url, "./with:colon").returncode == 0
    assert (served.here / "with:colon").read_text() == "c"
    assert served.run("scp", "./with:colon", HOST + "/d").returncode == 0
    assert (served.root / "d").read_text() == "c"


def test_between_two_hosts(served: Served) -> None:
    make_tree(served.root / "tree")
    done = served.run(
        "scp", "-3", "-rp", HOST + "/tree", HOST.replace("127.0.0.1", "localhost") + "/t"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert contents(served.root / "t") == contents(served.root / "tree")
    done = served.run("scp", HOST + "/tree/empty", HOST + "/again")
    assert (done.returncode, done.stderr) == (0, "")
    assert (served.root / "again").exists()


def test_straight_between_two_hosts_runs_scp_there(tmp_path: Path) -> None:
    commands: list[bytes] = []
    agents: list[bool] = []

    def handle(session: nacre.blocking.Session) -> int:
        commands.append(session.command or b"")
        agents.append(session.forwards_agent)
        session.stderr.write(b"from there\n")
        return 3

    class WithAgents(nacre.Users):
        def agent_forwarding(self, session: nacre.Session) -> bool:
            return True

    with serving(tmp_path, handle, WithAgents) as served:
        done = served.run("scp", "-R", "-rp", HOST + "/a", "bob@other:/b c")
        served.run("scp", "-R", f"-oForwardAgent={tmp_path}/agent", HOST + "/a", "bob@other:/b")
    assert agents == [False, True]
    assert commands[:1] == [b"scp -r -p -- /a 'bob@other:/b c'"]
    assert (done.returncode, done.stderr) == (1, "from there\n")


def test_a_remote_scp_that_a_signal_ends_is_no_success(tmp_path: Path) -> None:
    def handle(session: nacre.blocking.Session) -> None:
        if b"-f" in (session.command or b""):
            session.stdin.read(1)
            session.stdout.write(b"C0644 4 a\n")
            session.stdin.read(1)
            session.stdout.write(b"data\0")
            session.stdin.read(1)
        session.exit_signal("KILL")

    with serving(tmp_path, handle) as served:
        direct = served.run("scp", "-R", HOST + "/a", "bob@other:/b")
        legacy = served.run("scp", "-O", HOST + "/a", str(tmp_path / "copy"))
    assert direct.returncode == 1
    assert (legacy.returncode, legacy.stderr) == (1, "scp: the remote scp ended with signal KILL\n")


def test_usage() -> None:
    from nacre.cli.scp.command import run

    assert run("scp", ["one"]) == 1
    assert run("scp", ["-z", "a", "b"]) == 1
    assert run("scp", ["-X", "a=b", "a", "b"]) == 1
    assert run("scp", ["-X", "buffer=0", "a", "b"]) == 1
    assert run("scp", ["a", "-host:x"]) in (1, 255)


HOSTILE = {
    "another name": b"C0644 4 .bashrc\nevil\0",
    "a name above": b"C0644 4 ../evil\nevil\0",
    "two above": b"C0644 4 ..\nevil\0",
    "an absolute name": b"C0644 4 /tmp/nacre-evil\nevil\0",
    "a name with a slash": b"C0644 4 wanted/evil\nevil\0",
    "no name": b"C0644 4 \nevil\0",
    "a directory for a file": b"D0755 0 wanted\nC0644 4 evil\nevil\0E\n",
    "a directory above": b"D0755 0 ..\nC0644 4 evil\nevil\0E\n",
    "an end too many": b"E\nC0644 4 evil\nevil\0",
    "a second file": b"C0644 4 wanted\ngood\0C0644 4 evil\nevil\0",
    "a huge length": b"C0644 99999999999999999999 wanted\nevil",
    "a length that is none": b"C0644 -1 wanted\nevil",
    "nonsense": b"hello, this is a login script\n",
    "a line without end": b"C0644 4 " + b"x" * 100_000,
    "times only": b"T1 0 1 0\n",
    "a long length, cut off": b"C0644 9000000000000000000 wanted\nevil",
}


def hostile_server(script: bytes) -> object:
    def handle(session: nacre.blocking.Session) -> int:
        session.stdin.read(1)
        session.stdout.write(script)
        return 0

    return handle


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_server_writes_nothing_elsewhere(tmp_path: Path, name: str) -> None:
    with serving(tmp_path, hostile_server(HOSTILE[name])) as served:  # type: ignore[arg-type]
        target = served.here / "target"
        target.mkdir()
        before = {path for path in tmp_path.rglob("*") if target not in path.parents}
        done = served.run("scp", "-O", HOST + "/x/wanted", "target")
        assert done.returncode == 1, name
        assert done.stderr.startswith("scp: ")
        after = {path for path in tmp_path.rglob("*") if target not in path.parents}
        assert after - before <= {served.key.with_name("known_hosts")}
        assert {path.name for path in target.rglob("*")} <= {"wanted"}
    assert not Path("/tmp/nacre-evil").exists()


def test_a_hostile_server_of_a_recursive_copy(tmp_path: Path) -> None:
    script = b"D0755 0 wanted\nC0644 4 ../../evil\nevil\0E\n"
    with serving(tmp_path, hostile_server(script)) as served:  # type: ignore[arg-type]
        done = served.run("scp", "-O", "-r", HOST + "/x/wanted", ".")
        assert done.returncode == 1
        assert [path.name for path in served.here.rglob("*")] == ["wanted"]
    assert not list(tmp_path.rglob("evil"))


def test_what_a_server_says_can_not_paint_the_terminal(tmp_path: Path) -> None:
    with serving(tmp_path, hostile_server(b"\x01scp: \x1b[31mred\n")) as served:  # type: ignore[arg-type]
        done = served.run("scp", "-O", HOST + "/x", ".")
    assert done.returncode == 1
    assert done.stderr == "scp: \\x1b[31mred\n"
