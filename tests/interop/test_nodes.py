"""Two servers with one store in PostgreSQL: users, bans, and a database that is gone a while."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from daemon.store.postgres.cluster import Cluster, running_cluster
from interop.clients import PASSWORD, Login, askpass
from interop.daemons import RUN_AS, Daemon, State, start_nacre
from interop.programs import NACRE, check, environment, run
from interop.test_restart import until_gone

pytestmark = pytest.mark.timeout(120)


@dataclass
class Nodes:
    """Two servers and their database."""

    cluster: Cluster
    url: str
    one: Daemon
    two: Daemon
    directory: Path
    key: Path

    def manage(self, *words: str, given: bytes = b"") -> bytes:
        """Run ``nacre`` as somebody who manages the users, on no server."""
        return check([*NACRE, *words], input=given, NACRE_STORE=self.url)

    def add_user(self, name: str, *words: str) -> None:
        home = self.directory / name
        home.mkdir(exist_ok=True)
        public = self.key.with_suffix(".pub")
        where = ["--home", home, "--key", public, *RUN_AS, "--password-stdin", *words]
        self.manage("user", "add", name, *map(str, where), given=PASSWORD.encode() + b"\n")

    def ask(self, node: Daemon, name: str, *words: str) -> bytes:
        """Ask a server over its control socket."""
        state = self.directory / ("state1" if node is self.one else "state2")
        return check([*NACRE, name, "--state", state, *words])

    def who(self, node: Daemon, user: str) -> list[tuple[str, str]]:
        """Return the nodes and the IDs of a user's connections, as a server lists them."""
        listed = json.loads(self.ask(node, "who", "--json"))
        return [(one["node"], one["id"]) for one in listed if one["user"] == user]

    def login(self, node: Daemon, name: str) -> Login:
        return Login(node, name, self.directory, self.key)

    def enters(self, node: Daemon, name: str) -> bool:
        done = run([*self.login(node, name).ssh(), "echo in"], timeout=90.0)
        assert (done.returncode, done.stdout) in ((0, b"in\n"), (255, b"")), done
        return done.returncode == 0


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running_cluster() as found:
        yield found


@pytest.fixture(scope="module")
def nodes(
    cluster: Cluster, keys: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Nodes]:
    """Two servers, for all tests: each has users of its own."""
    url, directory = cluster.database().text, tmp_path_factory.mktemp("nodes")
    states = [State(directory / name) for name in ("state1", "state2")]
    options = ["--store", url, "--bans", "0", "-o", "PerSourcePenalties=no"]
    seal = directory / "seal"
    seal.write_text("ab" * 32)
    seal.chmod(0o600)
    options += ["--audit-store", "--share-host-keys", str(seal), "--node"]
    with (
        start_nacre(states[0], *options, "one") as one,
        start_nacre(states[1], *options, "two", "--workers", "2") as two,
    ):
        yield Nodes(cluster, url, one, two, directory, keys["ed25519"])
        for line in one.log:
            if follows := re.search(r"event=restarted process=(\d+)", line):
                os.kill(int(follows[1]), signal.SIGTERM)
                until_gone(int(follows[1]))


@contextmanager
def client(login: Login) -> Iterator[tuple[subprocess.Popen[bytes], Callable[[bytes], None]]]:
    """Have a session that answers, and what sends it a line and waits for the answer."""
    process = subprocess.Popen(
        [*login.ssh(), "cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )

    def echo(line: bytes) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(line)
        process.stdin.flush()
        assert process.stdout.readline() == line

    try:
        echo(b"before\n")
        yield process, echo
    finally:
        process.kill()
        process.communicate(timeout=20)


def test_users_of_one_node_are_those_of_the_other(nodes: Nodes) -> None:
    nodes.add_user("alice")
    assert nodes.enters(nodes.one, "alice")
    login = nodes.login(nodes.two, "alice").using(None)
    done = run([*login.ssh(), "echo in"], **askpass(nodes.directory, PASSWORD))
    assert done.stdout == b"in\n"
    nodes.manage("user", "set", "alice", "--disable")
    for node in (nodes.one, nodes.two):
        assert not nodes.enters(node, "alice")


def test_a_user_who_was_nobody_enters_and_is_removed_on_every_node(nodes: Nodes) -> None:
    for node in (nodes.one, nodes.two):
        assert not nodes.enters(node, "bob")  # which is remembered
    nodes.add_user("bob", "--auth", "publickey")
    for node in (nodes.one, nodes.two):
        assert nodes.enters(node, "bob")
    nodes.manage("user", "remove", "bob")
    for node in (nodes.one, nodes.two):
        assert not nodes.enters(node, "bob")


def test_a_ban_holds_on_every_node_and_ends_there(nodes: Nodes) -> None:
    nodes.add_user("carol")
    nodes.manage("ban", "add", "127.0.0.1")
    try:
        for node in (nodes.one, nodes.two):
            _until(nodes.login(node, "carol"), works=False)
    finally:
        nodes.manage("ban", "remove", "127.0.0.1")
    for node in (nodes.one, nodes.two):
        _until(nodes.login(node, "carol"), works=True)


def _until(login: Login, *, works: bool) -> None:
    """Log in until it works, or does not: a node hears of a change within a second."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        done = run([*login.ssh(), "echo in"])
        if (done.returncode == 0) is works:
            return
    raise AssertionError(f"logins of {login.server.port} go on: {works=}")


def test_each_node_lists_the_connections_of_all_and_ends_them(nodes: Nodes) -> None:
    nodes.add_user("erin")
    for node, other, name in ((nodes.one, nodes.two, "one"), (nodes.two, nodes.one, "two")):
        with client(nodes.login(node, "erin")) as (process, _):
            ((_, number),) = nodes.who(node, "erin")
            _until_equal(partial(nodes.who, other, "erin"), [(name, f"{name}:{number}")])
            assert name in nodes.ask(other, "who").decode()
            since = len(node.log)
            done = nodes.ask(other, "kill", f"{name}:{number}", "--reason", "at noon")
            assert done == f"ended {name}:{number} erin\n".encode()
            _, errors = process.communicate(timeout=30)
            assert b"at noon" in errors
            node.wait_for("event=killed .*reason=.*noon", since=since)
        _until_equal(partial(nodes.who, other, "erin"), [])


def test_a_user_has_so_many_connections_on_all_nodes_together(nodes: Nodes) -> None:
    nodes.add_user("frank", "--max-sessions", "2")
    first, second = (nodes.login(node, "frank") for node in (nodes.one, nodes.two))
    with client(first), client(second) as (_, echo):
        for node in (nodes.one, nodes.two):
            done = run([*nodes.login(node, "frank").ssh(), "true"])
            assert b"you have 2 connections to this server already" in done.stderr
        # A restart of a server without an end counts what the old process has.
        nodes.ask(nodes.one, "restart")
        done = run([*nodes.login(nodes.one, "frank").ssh(), "true"])
        assert b"you have 2 connections to this server already" in done.stderr
        assert sorted(node for node, _ in nodes.who(nodes.one, "frank")) == ["one", "two"]
        echo(b"still here\n")
    _until(nodes.login(nodes.one, "frank"), works=True)


def test_the_events_of_all_nodes_are_found(nodes: Nodes) -> None:
    nodes.add_user("grace")
    for node in (nodes.one, nodes.two):
        assert nodes.enters(node, "grace")

    def copied() -> list[tuple[str, str]]:
        words = ["--all-nodes", "--event", "login", "--user", "grace", "--json"]
        lines = nodes.manage("audit", *words).splitlines()
        return [(one["node"], one["outcome"]) for one in map(json.loads, lines)]

    _until_equal(copied, [("one", "success"), ("two", "success")])
    assert b"node=two" in nodes.manage("audit", "--all-nodes", "--user", "grace")


def test_clients_see_the_same_host_keys_on_every_node(nodes: Nodes) -> None:
    seen = [
        sorted(line.split()[1:] for line in run([*NACRE, "keyscan", "-p", str(node.port),
                                                 "127.0.0.1"]).stdout.splitlines())
        for node in (nodes.one, nodes.two)
    ]  # fmt: skip
    assert seen[0] == seen[1]
    assert len(seen[0]) == 3


def test_the_nodes_are_listed(nodes: Nodes) -> None:
    listed = json.loads(nodes.manage("nodes", "--json"))
    assert [one["name"] for one in listed if one["state"] == "serving"] == ["one", "two", "two"]
    table = nodes.manage("nodes").decode().splitlines()
    assert table[0].split() == ["node", "process", "version", "state", "since", "lease",
                                "connections"]  # fmt: skip


def _until_equal(ask: Callable[[], object], wanted: object) -> None:
    """Ask until the answer is this one; each asking takes a good part of a second."""
    for _ in range(30):
        if (found := ask()) == wanted:
            return
    raise AssertionError(f"it is {found}, and not {wanted}")


def test_a_database_that_is_started_again_ends_no_session_and_refuses_no_login(
    nodes: Nodes,
) -> None:
    nodes.add_user("dora")
    with client(nodes.login(nodes.one, "dora")) as (_, echo):
        nodes.cluster.stop()
        waiting = subprocess.Popen(
            [str(word) for word in (*nodes.login(nodes.two, "dora").ssh(), "echo in")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
        )
        try:
            nodes.two.wait_for("the user store gives no answer: the login waits for one")
            nodes.two.wait_for("the bans of the store can't be used")
        finally:
            nodes.cluster.start()
        out, _ = waiting.communicate(timeout=90)
        assert (waiting.returncode, out) == (0, b"in\n")
        echo(b"after\n")
    assert nodes.enters(nodes.one, "dora")
    # Changes are heard of again.
    nodes.manage("user", "set", "dora", "--disable")
    for node in (nodes.one, nodes.two):
        assert not nodes.enters(node, "dora")


def test_a_node_without_its_database_does_not_start_and_says_why(tmp_path: Path) -> None:
    words = ["serve", "--state", tmp_path / "state", "--listen", "127.0.0.1:0"]
    done = run([*NACRE, *words, "--store", f"postgresql:///nacre?host={tmp_path}"])
    assert done.returncode == 1
    assert b"can't use the user store postgresql:///nacre" in done.stderr


def test_the_password_of_the_database_is_nowhere_to_be_read(
    cluster: Cluster, tmp_path: Path
) -> None:
    url = "postgresql://nacre:hidden-word@db.example.org/nacre"
    for words in (["serve", "--store", url], ["user", "list", "--store", url]):
        done = run([*NACRE, *words, "--state", tmp_path / "state"])
        assert done.returncode != 0
        assert b"has a password, which others could read" in done.stderr
        assert b"hidden-word" not in done.stderr
    # A server has it of a file; its processes do not show it.
    given = cluster.database().text
    passwords = tmp_path / "pgpass"
    passwords.write_text("*:*:*:*:hidden-word\n")
    passwords.chmod(0o600)
    options = ["--store", f"{given}&passfile={passwords}"]
    with start_nacre(State(tmp_path / "state"), *options) as node:
        shown = Path(f"/proc/{node.pid}/cmdline").read_bytes()
        assert b"--store" in shown
        assert b"hidden-word" not in shown + "\n".join(node.log).encode()
