"""libssh2 through ssh2-python as a client: PORT USER KEY LOCAL BACK (see README.md)."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import Any

from ssh2.session import Session

from ssh2 import sftp as flags

WRITE = flags.LIBSSH2_FXF_WRITE | flags.LIBSSH2_FXF_CREAT | flags.LIBSSH2_FXF_TRUNC


def run(session: Any) -> None:
    channel = session.open_session()
    channel.execute("echo out; echo err >&2; exit 7")
    _, out = channel.read()
    _, problems = channel.read_stderr()
    channel.wait_eof()
    channel.close()
    channel.wait_closed()
    found = (out, problems, channel.get_exit_status())
    assert found == (b"out\n", b"err\n", 7), found


def put(sftp: Any, local: Path, remote: str) -> None:
    with local.open("rb") as source, sftp.open(remote, WRITE, 0o644) as target:
        while block := source.read(1 << 20):
            target.write(block)


def get(sftp: Any, remote: str, local: Path) -> None:
    with local.open("wb") as target, sftp.open(remote, flags.LIBSSH2_FXF_READ, 0) as source:
        while True:
            count, block = source.read(1 << 18)
            if not count:
                break
            target.write(block)


def main(port: str, user: str, key: str, local: Path, back: Path) -> None:
    session = Session()
    session.handshake(socket.create_connection(("127.0.0.1", int(port))))
    session.userauth_publickey_fromfile(user, key)
    run(session)
    sftp = session.sftp_init()
    sftp.mkdir("there", 0o755)
    sftp.mkdir("there/many", 0o755)
    for name in os.listdir(local / "many"):
        put(sftp, local / "many" / name, f"there/many/{name}")
    put(sftp, local / "large", "there/large")
    sftp.symlink("large", "there/link")

    (back / "many").mkdir()
    with sftp.opendir("there/many") as directory:
        names = [os.fsdecode(name) for _, name, _ in directory.readdir()]
    for name in names:
        if name not in (".", ".."):
            get(sftp, f"there/many/{name}", back / "many" / name)
    get(sftp, "there/large", back / "large")
    session.disconnect()


if __name__ == "__main__":
    main(*sys.argv[1:4], Path(sys.argv[4]), Path(sys.argv[5]))
