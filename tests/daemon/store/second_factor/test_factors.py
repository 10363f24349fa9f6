"""Second factors in the store: what counts once, and what a guesser has to wait for."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path

import pytest
from sqlalchemy import update

from daemon.store.postgres.cluster import StorePlace
from nacre.daemon.store.second_factor.factors import LONGEST_WAIT, wait_after
from nacre.daemon.store.second_factor.totp import INTERVAL, code_at, recovery_codes
from nacre.daemon.store.store import UserStore
from nacre.daemon.store.tables import FACTORS
from nacre.daemon.store.values import StoredUser
from nacre.errors import UserStoreError

SECRET = b"12345678901234567890"
NOW = 1_700_000_000.0
AT = int(NOW) // INTERVAL


@pytest.fixture
def store(place: StorePlace) -> Iterator[UserStore]:
    with closing(place.open()) as store:
        store.add(StoredUser(name="alice"))
        store.add(StoredUser(name="bob"))
        store.factors.enrol("alice", SECRET)
        yield store


def wrong(store: UserStore, now: float) -> str | None:
    return store.factors.check("alice", "wrong", now)


def test_a_code_counts_once_and_those_before_it_no_more(store: UserStore) -> None:
    check = store.factors.check
    assert check("alice", f" {code_at(SECRET, AT)[:3]} {code_at(SECRET, AT)[3:]}\n", NOW) is None
    assert check("alice", code_at(SECRET, AT), NOW) == "the verification code was used already"
    assert check("alice", code_at(SECRET, AT - 1), NOW) == "the verification code was used already"
    assert check("alice", code_at(SECRET, AT + 1), NOW) is None
    assert check("alice", code_at(SECRET, AT + 2), NOW) == "wrong verification code"
    assert check("bob", code_at(SECRET, AT), NOW) == "the user has no second factor"
    assert check("ghost", code_at(SECRET, AT), NOW) == "the user has no second factor"


def test_who_is_enrolled(store: UserStore) -> None:
    found = [name for name in ("alice", "bob", "ghost") if store.factors.enrolled(name)]
    assert found == ["alice"]
    with pytest.raises(UserStoreError, match="has a second factor already"):
        store.factors.enrol("alice", SECRET)
    store.factors.remove("alice")
    assert not store.factors.enrolled("alice")
    for name, reason in (("alice", "has no second factor"), ("ghost", "no user 'ghost'")):
        for call in (
            store.factors.remove,
            store.factors.recovery_left,
            lambda name: store.factors.set_recovery(name, ()),
        ):
            with pytest.raises(UserStoreError, match=reason):
                call(name)
    with pytest.raises(UserStoreError, match="no user 'ghost'"):
        store.factors.enrol("ghost", SECRET)


def test_the_code_of_an_enrolment_is_used_up(store: UserStore) -> None:
    store.factors.enrol("bob", SECRET, counter=AT, recovery=["AAAA-BBBB"])
    assert store.factors.check("bob", code_at(SECRET, AT), NOW) is not None
    assert store.factors.check("bob", "aaaabbbb", NOW) is None
    assert store.factors.recovery_left("bob") == 0


def test_a_code_shows_that_the_device_has_a_new_secret(store: UserStore) -> None:
    enrol = store.factors.enrol_by_code
    assert "wrong verification code" in (enrol("bob", SECRET, "000000", (), NOW) or "")
    assert not store.factors.enrolled("bob")
    assert enrol("bob", SECRET, f"{code_at(SECRET, AT)} ", ("AAAA",), NOW) is None
    assert "already" in (enrol("bob", SECRET, code_at(SECRET, AT + 1), (), NOW) or "")
    assert "no user" in (enrol("ghost", SECRET, code_at(SECRET, AT), (), NOW) or "")
    assert "used already" in (store.factors.check("bob", code_at(SECRET, AT), NOW) or "")
    assert [row[::2] for row in store.factors.all()] == [("alice", 0), ("bob", 1)]


def test_recovery_codes_count_once_each_and_for_their_user(store: UserStore) -> None:
    codes = recovery_codes()
    assert len(set(codes)) == 10
    store.factors.set_recovery("alice", codes)
    store.factors.enrol("bob", SECRET)
    assert store.factors.check("bob", codes[0], NOW) == "wrong recovery code"
    assert store.factors.check("alice", codes[0].lower().replace("-", " "), NOW) is None
    assert store.factors.check("alice", codes[0], NOW) == "wrong recovery code"
    assert store.factors.recovery_left("alice") == 9
    store.factors.set_recovery("alice", recovery_codes())
    assert store.factors.check("alice", codes[1], NOW) == "wrong recovery code"
    assert store.factors.recovery_left("alice") == 10


def test_neither_the_secret_nor_a_recovery_code_is_in_the_file(
    store: UserStore, tmp_path: Path
) -> None:
    (code, *_) = codes = recovery_codes()
    store.factors.set_recovery("alice", codes)
    files = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert SECRET not in files
    assert code.replace("-", "").encode() not in files
    assert code.encode() not in files


def test_a_secret_that_was_moved_to_another_user_opens_for_nobody(
    store: UserStore,
) -> None:
    with store._database.transaction() as connection:
        connection.execute(update(FACTORS).values(user="bob"))
    assert "another owner" in (store.factors.check("bob", code_at(SECRET, AT), NOW) or "")


def test_wrong_codes_in_a_row_have_to_wait(store: UserStore) -> None:
    now = NOW
    for _ in range(5):
        assert wrong(store, now) == "wrong recovery code"
    right = code_at(SECRET, AT)
    assert "too many wrong codes" in (store.factors.check("alice", right, now) or "")
    # What has to wait does not make the wait longer.
    assert "too many wrong codes" in (wrong(store, now) or "")
    assert wrong(store, now + 1) == "wrong recovery code"
    assert "the next one counts in 2 seconds" in (wrong(store, now + 1) or "")
    # A clock that is set back keeps nobody out.
    assert store.factors.check("alice", code_at(SECRET, AT - 1000), now - 30_000) is None
    assert wrong(store, now) == "wrong recovery code"


def test_waits_are_bounded() -> None:
    waits = [wait_after(failures) for failures in range(1000)]
    assert waits[:8] == [0, 0, 0, 0, 0, 1, 2, 4]
    assert waits == sorted(waits)
    assert max(waits) == LONGEST_WAIT


def _try(place: StorePlace, code: str) -> str | None:
    with closing(place.open(create=False)) as store:
        return store.factors.check("alice", code, NOW)


def test_of_many_at_once_one_has_the_code(store: UserStore, place: StorePlace) -> None:
    codes = recovery_codes()
    store.factors.set_recovery("alice", codes)
    with ThreadPoolExecutor(8) as threads:
        for code in (code_at(SECRET, AT), codes[0]):
            done = list(threads.map(store.factors.check, ["alice"] * 4, [code] * 4, [NOW] * 4))
            assert done.count(None) == 1, done
    assert store.factors.check("alice", codes[1], NOW + LONGEST_WAIT) is None
    with get_context("spawn").Pool(3) as processes:
        done = processes.starmap(_try, [(place, codes[2])] * 3, chunksize=1)
    assert done.count(None) == 1, done


def test_an_import_that_replaces_a_user_keeps_the_second_factor(store: UserStore) -> None:
    store.change("alice", created=7)
    store.put([], [(StoredUser(name="alice", auth="password"), [])], update=True)
    assert store.factors.enrolled("alice")
    alice = store.user("alice")
    assert (alice.auth, alice.created) == ("password", 7)
    store.remove("alice")
    store.add(StoredUser(name="alice"))
    assert not store.factors.enrolled("alice")
