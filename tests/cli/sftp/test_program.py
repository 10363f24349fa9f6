"""``sftp`` as a program, in this process: batches, the prompt, and the path of the command line."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cli.transfers import Served, serving
from nacre.aio.background import Background
from nacre.cli.common.log import Log, open_log
from nacre.cli.sftp.program import (
    RemoteHost,
    SFTPProgram,
    _prefixes,
    _start_directory,
    run_program,
)
from nacre.cli.sftp.shell import ShellSettings
from nacre.client.target import Target
from nacre.config.client.files import parse
from nacre.config.values import LogLevel
from nacre.errors import ConnectionLost
from sftp.client.lines import open_memory

Program = Callable[[Callable[[SFTPProgram], int]], int]


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    with serving(tmp_path) as served:
        monkeypatch.chdir(served.here)
        monkeypatch.setenv("HOME", str(served.here))
        yield served


def run(served: Served, work: Callable[[SFTPProgram], int], *, batch: bool = False) -> int:
    """Call ``work`` with a program that is logged in to the server."""
    options = [word for word in served.words() if "=" in word]
    config = parse([f"Port={served.port}", f"IdentityFile={served.key}", "User=alice", *options])
    target = Target.of("127.0.0.1", config)

    def session(loop: Background) -> int:
        remote = RemoteHost()
        with open_log() as file:
            log = Log(LogLevel.QUIET, file)
            try:
                sftp = loop.call(
                    lambda: remote.open(
                        target,
                        config,
                        log,
                        subsystem="sftp",
                        rate=None,
                        options={"read_size": 4096, "window": 8192},
                    )
                )
                return work(SFTPProgram(loop, sftp, ShellSettings(), batch=batch))
            finally:
                loop.call(remote.close)

    return run_program(session)


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("get f", ("get f", False, False)),
        ("-get f", ("get f", True, False)),
        ("@get f", ("get f", False, True)),
        (" - @ get f ", ("get f", True, True)),
        ("@-rm -r", ("rm -r", True, True)),
        ("", ("", False, False)),
    ],
)
def test_prefixes(line: str, parts: tuple[str, bool, bool]) -> None:
    assert _prefixes(line) == parts


@pytest.mark.parametrize("kind", ["a file", "missing"])
async def test_the_start_directory_may_be_no_directory(kind: str) -> None:
    sftp, line = await open_memory()
    line.files.directories.discard("/")
    if kind == "a file":
        line.files.files["/"] = bytearray()
    assert await _start_directory(sftp) == "/"
    line.files.directories.add("/")
    assert await _start_directory(sftp) == "/"
    sftp.session.end(ConnectionLost("cut"))
    with pytest.raises(ConnectionLost):
        await _start_directory(sftp)


@pytest.mark.parametrize(("batch", "status", "made"), [(True, 1, False), (False, 0, True)])
def test_only_a_batch_ends_at_a_failure(
    served: Served, batch: bool, status: int, made: bool
) -> None:
    lines = io.StringIO("cd nosuch\nmkdir d\n")
    assert run(served, lambda program: program.run_lines(lines), batch=batch) == status
    assert (served.root / "d").is_dir() is made


def test_lines_are_printed_and_the_end_is_obeyed(
    served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = io.StringIO("@mkdir a\n-cd nosuch\nbye\nmkdir b\n")
    assert run(served, lambda program: program.run_lines(lines), batch=True) == 0
    assert capsys.readouterr().out == "sftp> -cd nosuch\nsftp> bye\n"
    assert [path.name for path in served.root.iterdir()] == ["a"]


def test_the_path_of_the_command_line(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    (served.root / "d").mkdir()
    (served.root / "d" / "f").write_text("x" * 100_000)

    def work(program: SFTPProgram) -> int:
        assert program.start_at("/d", None) is None
        assert program.start_at("f", "copy") is True
        assert program.start_at("nosuch", None) is False
        return 0

    assert run(served, work) == 0
    assert (served.here / "copy").stat().st_size == 100_000
    out, err = capsys.readouterr()
    assert out.startswith("Changing to: /d\n")
    assert err == 'File "/d/nosuch" not found.\n'


@pytest.mark.parametrize(
    "last", ["bye", EOFError], ids=["a command ends it", "the end of input ends it"]
)
def test_the_prompt(
    served: Served,
    last: str | type[Exception],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    typed = iter(["mkdir a", KeyboardInterrupt, "cd nosuch", "-mkdir b", last])

    def read(prompt: str) -> str:
        assert prompt == "sftp> "
        given = next(typed)
        if isinstance(given, str):
            return given
        raise given

    monkeypatch.setattr("builtins.input", read)
    assert run(served, lambda program: program.interact()) == 0
    assert {path.name for path in served.root.iterdir()} == {"a", "b"}
    assert "stat remote: No such file or directory" in capsys.readouterr().err


def test_an_interrupted_command_leaves_the_session(
    served: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = iter(["mkdir never", "mkdir a", "bye"])
    monkeypatch.setattr("builtins.input", lambda prompt: next(typed))

    def work(program: SFTPProgram) -> int:
        run_command = program._run

        def interrupted(command: str) -> bool:
            if command == "mkdir never":
                raise KeyboardInterrupt
            return run_command(command)

        monkeypatch.setattr(program, "_run", interrupted)
        return program.interact()

    assert run(served, work) == 0
    assert "\nInterrupt\n" in capsys.readouterr().out
    assert [path.name for path in served.root.iterdir()] == ["a"]
