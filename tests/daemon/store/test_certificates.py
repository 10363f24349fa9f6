"""The certificates that were issued."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from nacre.daemon.store.certificates import HOUR, KEPT
from nacre.daemon.store.store import UserStore
from nacre.daemon.store.values import CertificateRecord
from nacre.errors import StateError, UserStoreError

NOW = 1_000_000_000
ONE = CertificateRecord(
    serial=0,
    kind="user",
    key_id="alice",
    principals=("alice", "web"),
    valid_after=NOW - 60,
    valid_before=NOW + 100,
    fingerprint="SHA256:x",
    user="alice",
    issued=NOW,
)


def test_each_has_a_number_of_its_own(store: UserStore) -> None:
    assert [store.certificates.add(ONE) for _ in range(2)] == [1, 2]
    assert store.certificates.all() == [replace(ONE, serial=1), replace(ONE, serial=2)]


def test_those_that_ended_long_ago_are_forgotten_and_not_their_numbers(store: UserStore) -> None:
    store.certificates.add(ONE)
    store.certificates.add(ONE)
    late = ONE.valid_before + KEPT + 1
    store.certificates.add(replace(ONE, issued=late, valid_before=late + 100))
    assert [one.serial for one in store.certificates.all()] == [3]


def test_a_user_gets_so_many_within_an_hour(store: UserStore) -> None:
    for _ in range(2):
        store.certificates.add(ONE, most=2)
    with pytest.raises(UserStoreError, match="alice got 2 certificates within an hour"):
        store.certificates.add(ONE, most=2)
    assert store.certificates.add(replace(ONE, user="bob"), most=2) == 3
    assert store.certificates.add(replace(ONE, issued=NOW + HOUR), most=2) == 4


def test_revoked_are_those_that_are_named_and_valid(store: UserStore) -> None:
    store.certificates.add(ONE)
    store.certificates.add(replace(ONE, valid_before=NOW - 1))
    store.certificates.add(replace(ONE, user="bob"))
    kept: list[list[int]] = []

    def keep(records: Sequence[CertificateRecord]) -> None:
        kept.append([one.serial for one in records])

    assert store.certificates.revoke(NOW, keep, user="alice") == 1
    assert store.certificates.revoke(NOW + 1, keep, key_id="alice") == 1
    assert store.certificates.revoke(NOW + 2, keep, serial=3) == 0
    assert kept == [[1], [1, 3], [1, 3]]
    assert [one.revoked for one in store.certificates.all()] == [NOW, None, NOW + 1]
    with pytest.raises(UserStoreError, match="no certificate that is still valid has the serial 9"):
        store.certificates.revoke(NOW, keep, serial=9)


def test_nothing_is_revoked_that_the_list_does_not_have(store: UserStore) -> None:
    store.certificates.add(ONE)

    def keep(_: object) -> None:
        raise StateError("the disk is full")

    with pytest.raises(StateError, match="full"):
        store.certificates.revoke(NOW, keep, serial=1)
    assert store.certificates.all()[0].revoked is None
