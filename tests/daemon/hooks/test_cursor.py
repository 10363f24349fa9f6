"""How far a hook is."""

from __future__ import annotations

import json
from typing import Any

from daemon.hooks.made import hook, kept, plan
from nacre.daemon.hooks.cursor import MOST_SENT, HookCursor
from nacre.daemon.hooks.values import Progress, StoredHook
from nacre.daemon.separate.messages import HookTold


def cursor(**more: Any) -> HookCursor:
    stored = StoredHook(number=1, hook=hook(**more), progress=Progress(position=0))
    made = HookCursor(stored)
    made.plan = plan()
    return made


def uploaded(number: int, outcome: str = "success") -> Any:
    return kept(number, "file", outcome, op="upload", path=f"/{number}")


def done(number: int, outcome: str = "done", attempts: int = 1, reason: str = "") -> HookTold:
    return HookTold(1, number, outcome, attempts, reason)


def test_what_it_has_had_is_behind_it() -> None:
    one = cursor(events=("upload",))
    events = [uploaded(1), kept(2, op="stat"), uploaded(3), kept(4, op="stat")]
    assert [told.number for told in one.take(events)] == [1, 3]
    assert one.progress.position == 0
    assert one.told(done(1)) is None
    assert one.progress.position == 2
    one.told(done(3))
    assert one.progress.position == 4
    assert one.progress.delivered == 2
    assert list(one.take([kept(5, op="stat")])) == []
    assert one.progress.position == 5


def test_what_it_is_not_told() -> None:
    wanted = [uploaded(1, "failure"), uploaded(2), kept(3, "login", "refused")]
    assert [told.number for told in cursor().take(wanted)] == [2]
    assert [told.number for told in cursor(any_outcome=True).take(wanted)] == [1, 2, 3]
    tests = [kept(4, "audit", op="hook", hook=name) for name in ("one", "two")]
    found = [json.loads(told.body) for told in cursor(events=("login",)).take(tests)]
    assert [told["event"] for told in found] == ["test"]


def test_an_event_of_which_nothing_can_be_read_is_passed_on_all_the_same() -> None:
    broken = [kept(1)._replace(fields="{"), kept(2)._replace(fields="[1]")]
    assert [told.number for told in cursor().take(broken)] == [1, 2]


def test_only_the_next_event_counts() -> None:
    one = cursor()
    assert len(list(one.take(map(uploaded, (1, 2, 3))))) == 3
    for wrong in (done(2), done(4), done(1, "well"), HookTold(1, 1, "", 1, "")):
        assert one.told(wrong) is None
    assert one.progress == Progress(position=0)
    one.told(done(1))
    one.told(done(1))
    assert one.progress.position == 1


def test_it_fails_and_works_again() -> None:
    one = cursor()
    list(one.take([uploaded(1)]))
    record = one.told(done(1, "failing", 3, "ill\x1b[2J"))
    assert record is not None
    assert record["outcome"] == "failing"
    assert record["error"] == "ill\\x1b[2J"
    assert (one.progress.attempts, one.progress.problem) == (3, "ill\\x1b[2J")
    assert one.progress.since
    assert one.progress.position == 0
    again = one.told(done(1))
    assert again is not None
    assert again["outcome"] == "works again"
    assert one.progress.problem == ""
    assert one.progress.since == 0


def test_what_was_given_up_is_noted() -> None:
    one = cursor()
    list(one.take([uploaded(1)]))
    record = one.told(done(1, "dead", 1, "no" * 1000))
    assert record is not None
    assert record["outcome"] == "dead"
    assert (one.progress.position, one.progress.dead, one.progress.delivered) == (1, 1, 0)
    assert [letter.event for letter in one.dead] == [1]
    assert len(one.dead[0].reason) < 310


def test_not_too_much_is_sent_ahead() -> None:
    one = cursor()
    assert len(list(one.take(map(uploaded, range(1, 1000))))) == MOST_SENT
    assert not one.has_room
    one.told(done(1))
    assert [told.number for told in one.take(map(uploaded, range(MOST_SENT + 1, 1000)))] == [
        MOST_SENT + 1
    ]
    long = cursor()
    large = [kept(number, op="upload", path="x" * 100_000) for number in range(1, 50)]
    assert len(list(long.take(large))) == 3


def test_it_begins_again_with_what_it_has_not_had() -> None:
    one = cursor()
    list(one.take(map(uploaded, (1, 2, 3))))
    one.told(done(1))
    one.again()
    assert one.scanned == 1
    assert one.told(done(2)) is None
    assert one.progress.position == 1
    assert [told.number for told in one.take(map(uploaded, (2, 3)))] == [2, 3]


def test_one_that_can_not_be_used_is_told_nothing() -> None:
    one = cursor()
    list(one.take([uploaded(1)]))
    record = one.hold("others may read it")
    assert record is not None
    assert one.hold("others may read it") is None
    assert not one.has_room
    assert list(one.take([uploaded(1)])) == []
    assert one.progress.problem == "others may read it"
    one.plan = plan()
    assert [told.number for told in one.take([uploaded(1)])] == [1]
