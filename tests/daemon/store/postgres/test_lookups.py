"""Lookups that are remembered: until a change, and only while changes are told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from nacre.daemon.store.postgres import lookups as module
from nacre.daemon.store.postgres.lookups import FoundLogin, Lookups


class FakeChanges:
    """Stands in for a database that tells of changes."""

    def __init__(self) -> None:
        self.up = True
        self.told: list[Callable[[str], None]] = []

    def subscribe(self, told: Callable[[str], None]) -> None:
        self.told.append(told)

    def is_followed(self) -> bool:
        return self.up and bool(self.told)

    def tell(self, what: str) -> None:
        for told in self.told:
            told(what)


class Asked:
    """A database that counts how often it is asked."""

    def __init__(self) -> None:
        self.changes = FakeChanges()
        self.names: list[str] = []
        self.meanwhile: Callable[[], None] = lambda: None
        database: Any = self.changes
        self.lookups = Lookups(database, self.ask)

    def ask(self, name: str) -> FoundLogin:
        self.names.append(name)
        self.meanwhile()
        return FoundLogin(policies=(str(len(self.names)),))


@pytest.fixture
def asked() -> Asked:
    return Asked()


def test_a_name_is_asked_once_also_one_that_nobody_has(asked: Asked) -> None:
    assert asked.lookups.remembered("alice") is None
    found = asked.lookups.look_up("alice")
    assert found.user is None
    assert asked.lookups.remembered("alice") is found
    assert asked.names == ["alice"]


def test_a_change_of_a_user_is_one_of_no_other_user(asked: Asked) -> None:
    for name in ("alice", "bob"):
        asked.lookups.look_up(name)
    asked.changes.tell("user alice")
    assert asked.lookups.remembered("alice") is None
    assert asked.lookups.remembered("bob") is not None
    asked.changes.tell("bans")
    assert asked.lookups.remembered("bob") is not None
    asked.changes.tell("all")
    assert asked.lookups.remembered("bob") is None


def test_nothing_that_is_remembered_counts_while_changes_are_not_told(asked: Asked) -> None:
    asked.lookups.look_up("alice")
    asked.changes.up = False
    assert asked.lookups.remembered("alice") is None
    asked.changes.up = True
    assert asked.lookups.remembered("alice") is not None


def test_an_answer_that_a_change_has_overtaken_is_not_remembered(asked: Asked) -> None:
    asked.lookups.look_up("bob")
    asked.meanwhile = lambda: asked.changes.tell("user alice")
    asked.lookups.look_up("alice")
    assert asked.lookups.remembered("alice") is None


def test_names_that_are_remembered_are_bounded(
    asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEPT", 2)
    for name in ("alice", "bob"):
        asked.lookups.look_up(name)
    assert asked.lookups.remembered("alice") is not None  # used last
    asked.lookups.look_up("carol")
    known = [name for name in ("alice", "bob", "carol") if asked.lookups.remembered(name)]
    assert known == ["alice", "carol"]
