"""libssh through ssh-python as a client: PORT USER KEY LOCAL BACK (see README.md)."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from ssh import options
from ssh.key import import_privkey_file
from ssh.session import Session


def _all_of(channel: Any, is_stderr: bool) -> bytes:
    found = b""
    while True:
        count, block = channel.read(is_stderr=is_stderr)
        if count <= 0:
            return found
        found += block


def run(session: Any) -> None:
    channel = session.channel_new()
    channel.open_session()
    channel.request_exec("echo out; echo err >&2; exit 7")
    found = (_all_of(channel, False), _all_of(channel, True), channel.get_exit_status())
    channel.close()
    assert found == (b"out\n", b"err\n", 7), found


def put(sftp: Any, local: Path, remote: str) -> None:
    with local.open("rb") as source:
        target = sftp.open(remote, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        while block := source.read(32768):
            target.write(block)
        target.close()


def get(sftp: Any, remote: str, local: Path) -> None:
    source = sftp.open(remote, os.O_RDONLY, 0)
    with local.open("wb") as target:
        while True:
            count, block = source.read(32768)
            if not count:
                break
            target.write(block)
    source.close()


def main(port: str, user: str, key: str, local: Path, back: Path) -> None:
    session = Session()
    session.options_set(options.HOST, "127.0.0.1")
    session.options_set(options.USER, user)
    session.options_set_port(int(port))
    session.connect()
    session.userauth_publickey(import_privkey_file(key))
    run(session)
    sftp = session.sftp_new()
    sftp.init()
    sftp.mkdir("there", 0o755)
    sftp.mkdir("there/many", 0o755)
    for name in os.listdir(local / "many"):
        put(sftp, local / "many" / name, f"there/many/{name}")
    put(sftp, local / "large", "there/large")
    sftp.symlink("large", "there/link")
    target = sftp.readlink("there/link")
    assert target in ("large", b"large"), target

    (back / "many").mkdir()
    directory = sftp.opendir("there/many")
    names = [os.fsdecode(entry.name) for entry in directory]
    for name in names:
        if name not in (".", ".."):
            get(sftp, f"there/many/{name}", back / "many" / name)
    get(sftp, "there/large", back / "large")
    session.disconnect()


if __name__ == "__main__":
    main(*sys.argv[1:4], Path(sys.argv[4]), Path(sys.argv[5]))
