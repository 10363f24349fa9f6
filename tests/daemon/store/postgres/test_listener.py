"""The connection that hears of changes: what it tells, and what it does when it breaks."""

from __future__ import annotations

import fcntl
import os
import queue
import resource
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from daemon.store.postgres.cluster import Cluster
from nacre.daemon.store.postgres.changes import CHANNEL
from nacre.daemon.store.postgres.listener import ChangeListener
from nacre.daemon.store.postgres.store_url import StoreURL

pytestmark = pytest.mark.interop

END_LISTENERS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE pid <> pg_backend_pid() AND datname = current_database()"
)


class Heard:
    """A listener, and what it has told."""

    def __init__(self, url: StoreURL) -> None:
        self.told: queue.Queue[str] = queue.Queue()
        self.listener = ChangeListener(url, self.told.put)

    def next(self) -> str:
        return self.told.get(timeout=30)

    def until_up(self) -> None:
        deadline = time.monotonic() + 30
        while not self.listener.is_up():
            assert time.monotonic() < deadline
            threading.Event().wait(0.01)


@pytest.fixture
def url(cluster: Cluster) -> StoreURL:
    return cluster.url("postgres")


@pytest.fixture
def heard(url: StoreURL) -> Iterator[Heard]:
    made = Heard(url)
    with closing(made.listener):
        yield made


def test_a_change_is_told_and_before_it_that_some_may_be_missing(
    heard: Heard, cluster: Cluster, url: StoreURL
) -> None:
    assert heard.next() == "all"
    heard.until_up()
    cluster.execute(url, f"NOTIFY {CHANNEL}, 'user alice'")
    assert heard.next() == "user alice"


def test_a_connection_that_breaks_is_made_anew(
    heard: Heard, cluster: Cluster, url: StoreURL
) -> None:
    assert heard.next() == "all"
    cluster.execute(url, END_LISTENERS)
    assert heard.next() == "all"
    heard.until_up()
    cluster.execute(url, f"NOTIFY {CHANNEL}, 'bans'")
    assert heard.next() == "bans"


def test_descriptors_beyond_those_of_select_are_waited_for(
    cluster: Cluster, url: StoreURL, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before[0], 2048), before[1]))
    pipe = os.pipe

    def high_pipe() -> tuple[int, int]:
        ends = pipe()
        high = [fcntl.fcntl(one, fcntl.F_DUPFD_CLOEXEC, 1024) for one in ends]
        for one in ends:
            os.close(one)
        return high[0], high[1]

    try:
        with monkeypatch.context() as patch:
            patch.setattr(os, "pipe", high_pipe)
            heard = Heard(url)
        with closing(heard.listener):
            heard.until_up()
            cluster.execute(url, f"NOTIFY {CHANNEL}, 'bans'")
            assert [heard.next(), heard.next()] == ["all", "bans"]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_an_error_that_nobody_has_foreseen_is_reported_once_and_not_the_end(
    cluster: Cluster, url: StoreURL, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    monkeypatch.setattr("nacre.daemon.store.postgres.listener._PAUSE", 0.0)
    told: queue.Queue[str] = queue.Queue()
    failures = ["first", "second"]

    def changed(what: str) -> None:
        if failures:
            failures.pop()
            raise LookupError("no place for it")
        told.put(what)

    with closing(ChangeListener(url, changed)):
        assert told.get(timeout=30) == "all"
    assert capfd.readouterr().err.count("LookupError: no place for it") == 1


def test_without_a_server_it_is_down_and_closes() -> None:
    heard = Heard(StoreURL("postgresql:///none?host=/nonexistent"))
    assert not heard.listener.is_up()
    for _ in range(2):
        heard.listener.close()
    assert heard.told.empty()


def test_what_was_heard_too_long_ago_is_not_trusted(
    heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard.until_up()
    monkeypatch.setattr("nacre.daemon.store.postgres.listener.TRUSTED", 0.0)
    assert not heard.listener.is_up()
