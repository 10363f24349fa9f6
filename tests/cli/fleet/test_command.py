"""The commands of ``nacre fleet``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.fleet.fleets import Fleet, fleet


@pytest.fixture
def commands(tmp_path: Path) -> Iterator[Fleet]:
    with fleet(tmp_path) as made:
        yield made


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Fleet]:
    with fleet(tmp_path, files=True) as made:
        yield made


def test_hosts_that_say_the_same_stand_together(commands: Fleet, tmp_path: Path) -> None:
    inventory = tmp_path / "hosts.ini"
    inventory.write_text("[web]\nweb[01:03]\n[web:vars]\nword=same\n[db]\ndb1 word=other\n")
    done = commands.run(
        "run", "--inventory", str(inventory), "-H", "@web,@db", "say", "one", "%{word}"
    )
    assert done.stdout.splitlines() == [
        "---- web[01-03] (3 hosts): ok",
        "one same",
        "---- db1: ok",
        "-one same",
        "+one other",
    ]
    assert done.stderr == "4 hosts: 4 ok\n"
    assert done.exit_code == 0


def test_a_host_that_fails_gives_the_exit_status_1(commands: Fleet) -> None:
    done = commands.run("run", "-H", "a[1-2]", "--max-failures", "0", "-P", "1", "exit 3")
    assert done.exit_code == 1
    assert done.stdout.splitlines() == [
        "---- a1: failed (exit status 3)",
        "---- a2: skipped",
        "1 hosts have not ended well",
    ]
    assert "2 hosts: 1 failed, 1 skipped; 1 hosts have not ended well" in done.stderr
    assert "nacre fleet resume 1 goes on with it" in done.stderr


def test_lines_of_json_and_files_have_each_host(commands: Fleet, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = commands.run("run", "-H", "a,b", "--json", "--output", str(out), "say %{host}")
    found = {one["host"]: one for one in map(json.loads, done.stdout.splitlines())}
    assert {name: (one["ending"], one["stdout"]) for name, one in found.items()} == {
        "a": ("ok", "a\n"),
        "b": ("ok", "b\n"),
    }
    assert (out / "a.out").read_text() == "a\n"
    assert (out / "b.err").read_text() == ""
    assert (out / "a.out").stat().st_mode & 0o777 == 0o600


def test_each_host_is_printed_as_it_ends(commands: Fleet) -> None:
    done = commands.run("run", "-H", "a,b", "--each", "say hello")
    assert sorted(done.stdout.splitlines()) == ["a: hello", "b: hello"]
    assert commands.run("run", "-H", "a", "--each", "exit 0").stdout == ""


def test_a_command_has_a_file_for_its_input(commands: Fleet, tmp_path: Path) -> None:
    (tmp_path / "input").write_text("the input\n")
    done = commands.run("run", "-H", "a", "--input", str(tmp_path / "input"), "cat")
    assert done.stdout.splitlines() == ["---- a: ok", "the input"]


def test_a_run_that_stopped_is_gone_on_with(commands: Fleet) -> None:
    done = commands.run("run", "-H", "a,b", "--canaries", "1", "exit %{host}0")
    assert done.exit_code == 1
    listed = commands.do("runs", "--state", str(commands.state), "--json")
    (run,) = map(json.loads, listed.stdout.splitlines())
    assert (run["ended"], run["what"]) == (False, "exit %{host}0")
    assert run["hosts"]["unknown" if "unknown" in run["hosts"] else "failed"] == 1
    again = commands.do("resume", "--state", str(commands.state), "-q", "1")
    assert "2 hosts:" in again.stderr
    plain = commands.do("runs", "--state", str(commands.state))
    assert "left" not in plain.stdout
    over = commands.do("resume", "--state", str(commands.state))
    assert "nothing left to do" in over.stderr
    removed = commands.do("runs", "--state", str(commands.state), "--remove-before", "0m")
    assert removed.stdout == "removed 1\n"


def test_files_go_there_and_come_back(files: Fleet, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    there = files.run("copy", "-H", "a", str(tmp_path / "file"), "/copy-%{host}")
    assert there.exit_code == 0, there.output
    assert (files.served.root / "copy-a").read_text() == "text"
    back = files.run("get", "-H", "a,b", "/copy-a", str(tmp_path / "got"))
    assert back.exit_code == 0, back.output
    assert (tmp_path / "got" / "b" / "copy-a").read_text() == "text"
    listed = files.do("runs", "--state", str(files.state))
    assert "get /copy-a" in listed.stdout


def test_a_script_is_sent_as_input(commands: Fleet, tmp_path: Path) -> None:
    (tmp_path / "script").write_text("#!/bin/sh\n")
    done = commands.run("script", "-H", "a", "--no-state", str(tmp_path / "script"), "word")
    assert done.exit_code == 0
    assert not commands.state.exists()


def test_a_shell_runs_each_line_at_each_host(commands: Fleet) -> None:
    lines = "say hello\n\nexit 3\nexit\nsay no more\n"
    done = commands.do("shell", *commands.words(kept=False), "-H", "a[1-2]", input=lines)
    assert done.stdout.splitlines() == [
        "---- a[1-2] (2 hosts): ok",
        "hello",
        "---- a[1-2] (2 hosts): failed (exit status 3)",
    ]
    assert done.exit_code == 1
    assert not commands.state.exists()
    done = commands.do("shell", *commands.words(kept=False), "-H", "a", input="say x")
    assert done.exit_code == 0


def test_hosts_are_printed_and_folded() -> None:
    nothing = Fleet.__new__(Fleet)
    assert nothing.do("hosts", "-H", "b[1-3],a", "-x", "b2").stdout == "b1\nb3\na\n"
    assert nothing.do("hosts", "-H", "b[1-3],a", "-x", "b2", "--fold").stdout == "a,b[1,3]\n"


def test_hosts_come_from_files_too(tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("@web\n")
    (tmp_path / "groups").write_text("web: web[1-2]\n")
    (tmp_path / "config").write_text("Host db1 db2 *\n")
    done = Fleet.__new__(Fleet).do(
        *("hosts", "--hosts-file", str(tmp_path / "hosts"), "--groups", str(tmp_path / "groups")),
        *("--from-config", "db*", "-F", str(tmp_path / "config")),
    )
    assert done.stdout.split() == ["web1", "web2", "db1", "db2"]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("run", "exit 0"), "no host to work on"),
        (("run", "-H", "@web", "exit 0"), "no group web"),
        (("run", "-H", "a", "echo %{rack}"), "a has no variable rack"),
        (("script", "-H", "a", "/nowhere"), "can't read /nowhere"),
        (("copy", "-H", "a", "/nowhere", "x"), "there is no file /nowhere"),
    ],
)
def test_a_run_that_can_not_be_done_gives_the_exit_status_255(
    tmp_path: Path, words: tuple[str, ...], why: str
) -> None:
    name, *rest = words
    done = Fleet.__new__(Fleet).do(name, "--state", str(tmp_path / "x"), *rest)
    assert done.exit_code == 255
    assert why in done.stderr
    assert not (tmp_path / "x").exists()


def test_an_engine_that_is_none_is_told(commands: Fleet) -> None:
    done = commands.run("run", "--engine", "tcp://h:1", "-H", "a", "say x")
    assert done.exit_code == 255
    assert "write dask://HOST:PORT" in done.output


def test_hosts_that_can_not_hand_files_on_are_named(files: Fleet, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    words = ["--fanout", "1", "-P", "1", "--json", "-H", "a,b", str(tmp_path / "file"), "/copy"]
    done = files.run("copy", *words)
    assert done.exit_code == 0, done.output
    assert "a did not hand the files on: " in done.output
