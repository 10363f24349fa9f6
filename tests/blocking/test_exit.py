"""Programs that use the blocking API and end: nothing is left on standard error."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

START = """
import atexit, os, sys, tempfile, threading
import nacre, nacre.blocking

reached = threading.Event()

def handle(session):
    reached.set()
    session.wait_closed()

root = tempfile.mkdtemp()
server = nacre.blocking.listen(
    host_keys=[nacre.generate("ssh-ed25519")],
    policy=nacre.Users({"alice": "open sesame"}),
    handler=handle,
    sftp=lambda connection: nacre.LocalFilesystem(root),
    log=lambda record: None,
)
ssh = nacre.blocking.connect(
    "localhost", server.port, user="alice", password="open sesame",
    trust=nacre.AnyHostKey(), keys=[], agent=False,
)
"""

ENDINGS = {
    "left open": "",
    "closed": "ssh.close(); server.close()",
    "in a process": "ssh.process('wait')",
    "with sftp": "sftp = ssh.sftp(); sftp.mkdir('d'); names = sftp.scandir('/'); next(names)",
    "with a forwarded port": "forwarded = ssh.forward_local('localhost', 1)",
    "in a call of another thread": """
threading.Thread(target=ssh.run, args=("wait",), daemon=True).start()
reached.wait(30)
""",
    "in a thread that outlives the main one": """
def later():
    threading.main_thread().join()
    ssh.keepalive()
threading.Thread(target=later).start()
""",
    "closed at exit": "atexit.register(server.close); atexit.register(ssh.close)",
    "with a status": "sys.exit(3)",
}


def run(program: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, env=environment
    )


@pytest.mark.slow
@pytest.mark.untraced
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_program_ends_without_a_word(ending: str) -> None:
    done = run(START + ENDINGS[ending])
    assert (done.stdout, done.stderr) == ("", "")
    assert done.returncode == (3 if ending == "with a status" else 0)


@pytest.mark.slow
def test_a_file_that_is_left_open_is_written(tmp_path: Path) -> None:
    files = """
sftp = ssh.sftp()
binary = sftp.open("binary", "wb")
binary.write(b"all of it")
text = sftp.open("text", "w")
text.write("all of it")
raw = sftp.open("raw", "wb", 0)
raw.write(b"all of it")
closed = sftp.open("closed", "wb")
closed.close()
read = sftp.open("binary")
"""
    done = run(f"{START}root = {str(tmp_path)!r}\n{files}")
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "binary": "all of it",
        "text": "all of it",
        "raw": "all of it",
        "closed": "",
    }


def test_a_file_that_is_left_open_and_lost_is_told() -> None:
    done = run(f"{START}file = ssh.sftp().open('f', 'wb'); file.write(b'lost'); ssh.close()")
    assert "f was left open, and not all of it may have been written: " in done.stderr
    assert "Traceback" not in done.stderr
