"""A copy over the standard streams of a process: ``nacre scp -t`` and ``-f``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = "from nacre.cli.scp.command import main; main()"


def serve(directory: Path, *words: str, sent: bytes) -> tuple[int, bytes]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words],
        input=sent,
        capture_output=True,
        cwd=directory,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=30,
    )
    assert done.stderr == b""
    return done.returncode, done.stdout


def test_files_come_and_go(tmp_path: Path) -> None:
    sent = b"D0750 0 d\nC0600 4 a\ndata\0E\n"
    assert serve(tmp_path, "-r", "-t", ".", sent=sent) == (0, b"\0" * 5)
    assert (tmp_path / "d" / "a").read_bytes() == b"data"
    assert (tmp_path / "d").stat().st_mode & 0o777 == 0o750
    arguments = [sys.executable, "-c", PROGRAM, "-f", "d/a"]
    with subprocess.Popen(
        arguments, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        for answer in (b"C0600 4 a\n", b"data\0"):
            process.stdin.write(b"\0")
            process.stdin.flush()
            assert process.stdout.read(len(answer)) == answer
        process.stdin.write(b"\0")
        process.stdin.flush()
        assert process.wait(30) == 0


@pytest.mark.parametrize(
    ("words", "sent", "said"),
    [
        (["-t", "no/x"], b"C0600 1 a\n", b"No such file or directory"),
        (["-d", "-t", "no"], b"", b"no: Not a directory"),
        (["-t", "."], b"nonsense\n", b""),
        # The shell has expanded patterns: what is left of them is a name.
        (["-f", "*"], b"\0", b"*: No such file or directory"),
    ],
)
def test_failures(tmp_path: Path, words: list[str], sent: bytes, said: bytes) -> None:
    (tmp_path / "file").write_text("x")
    status, answer = serve(tmp_path, *words, sent=sent)
    assert status == 1
    assert said in answer
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
