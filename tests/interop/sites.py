"""Sites whose users are found elsewhere: a state, its servers, and what answers them."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from interop.clients import PASSWORD, Login, askpass
from interop.daemons import Daemon, State, start_nacre
from interop.programs import run
from interop.ssh1_peers import SSH1
from nacre.daemon.store.store import FILE, UserStore
from nacre.daemon.store.values import Group

LAYOUTS = {"gates": [], "one process": ["--gates", "0"], "workers": ["--workers", "2"]}
"""Options of servers that differ in their processes."""

BY_PASSWORD = "PreferredAuthentications=password"

ANSWERS = """\
import json, sys
USERS = {users!r}
PASSWORD = {password!r}

def answer(question):
    if question["question"] == "find":
        return {{"user": USERS.get(question["name"])}}
    right = question["password"] == PASSWORD and question["name"] in USERS
    return {{"outcome": "right" if right else "wrong"}}

if __name__ == "__main__":
    print(json.dumps(answer(json.load(sys.stdin))))
"""


@dataclass
class Site:
    """A state directory, servers that use it, and a place that root alone can change."""

    state: State
    place: Path
    directory: Path
    keys: dict[str, Path]
    servers: list[Daemon] = field(default_factory=list)

    def start(self, users: str, *arguments: str) -> Daemon:
        words = ["-o", "PerSourcePenalties=no", "--users", users, *arguments]
        server = start_nacre(self.state, *words)
        self.servers.append(server)
        return server

    def group(self, **settings: Any) -> None:
        self.state.path.mkdir(mode=0o700, exist_ok=True)
        with closing(UserStore(self.state.path / FILE)) as store:
            store.groups.add(Group(**settings))

    def users(self) -> dict[str, dict[str, Any]]:
        key = self.keys["ed25519"].with_suffix(".pub").read_text().strip()
        return {
            "alice": {"keys": [key]},
            "files": {"keys": [key], "service": "sftp", "root": str(self.directory / "files")},
            "late": {"keys": [key], "expires": 1},
            "boss": {"keys": [key], "run_as": "root"},
        }

    def answers(self, name: str) -> Path:
        """Write what answers questions, as a program and as a module."""
        path = self.place / name
        text = ANSWERS.format(users=self.users(), password=PASSWORD)
        path.write_text(f"#!{sys.executable} -S\n{text}")
        path.chmod(0o755)
        return path

    def program(self, text: str) -> str:
        """Write a program that is asked, at once in the place of one that was there."""
        path, new = self.place / "program", self.place / "new"
        new.write_text(f"#!/bin/sh\n{text}\n")
        new.chmod(0o755)
        new.replace(path)
        return f"command:{path}"

    def by_key(self, server: Daemon, user: str, *options: str) -> bytes | None:
        login = Login(server, user, self.directory, self.keys["ed25519"])
        words = login.ssh("PreferredAuthentications=publickey", *options)
        return self._output(run([*words, "echo in"], timeout=60))

    def by_password(self, server: Daemon, user: str, password: str = PASSWORD) -> bytes | None:
        login = Login(server, user, self.directory)
        asking = askpass(self.directory, password)
        words = login.ssh(BY_PASSWORD, "NumberOfPasswordPrompts=1")
        return self._output(run([*words, "echo in"], timeout=60, **asking))

    @staticmethod
    def _output(done: Any) -> bytes | None:
        return done.stdout if done.returncode == 0 else None

    def refuses(self, server: Daemon, user: str, reason: str) -> None:
        """Try to log in by the key, and find the reason in the log, and nothing at the client."""
        login = Login(server, user, self.directory, self.keys["ed25519"])
        words = login.ssh("PreferredAuthentications=publickey")
        since = len(server.log)
        done = run([*words, "echo in"], timeout=60)
        assert (done.returncode, done.stdout) == (255, b"")
        assert b"Permission denied" in done.stderr
        server.wait_for(f"event=refused .*name={user} .*{reason}", since=since)

    def refuses_both(self, server: Daemon, first: str, second: str, reason: str) -> None:
        """Do so for two users at the same time, as each takes long."""
        with ThreadPoolExecutor(2) as pool:
            tries = [pool.submit(self.refuses, server, one, reason) for one in (first, second)]
            for one in tries:
                one.result()


@contextmanager
def made(keys: dict[str, Path], directory: Path) -> Iterator[Site]:
    place = Path(mkdtemp(prefix="nacre-", dir="/srv" if os.geteuid() == 0 else None))
    place.chmod(0o755)
    site = Site(State(directory / "state"), place, directory, keys)
    try:
        yield site
    finally:
        for server in site.servers:
            server.stop()
        shutil.rmtree(place)


def by_ssh1(ssh1: SSH1, answer: str, user: str = "alice", *, key: bool = False) -> bytes | None:
    """Log in with OpenSSH's last client of SSH-1."""
    option = ["-o", "NumberOfPasswordPrompts=1"]
    words = [*ssh1.ssh1(*option, user=user, key=key), "echo in"]
    done = run(words, timeout=60, **ssh1.asking(answer))
    return done.stdout if done.returncode == 0 else None
