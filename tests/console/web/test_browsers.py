"""The sessions of browsers, and their cookies."""

from __future__ import annotations

import pytest

from nacre.console.web import browsers as module
from nacre.console.web.browsers import IDLE, BrowserSession, BrowserSessions


class Ticks:
    def __init__(self) -> None:
        self.now = 1.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def ticks() -> Ticks:
    return Ticks()


@pytest.fixture
def sessions(ticks: Ticks) -> BrowserSessions:
    return BrowserSessions(secure=False, clock=ticks)


def found(sessions: BrowserSessions, cookie: str) -> BrowserSession | None:
    return sessions.find({sessions.cookie: cookie})


def test_a_cookie_names_a_session_and_holds_nothing_of_it(sessions: BrowserSessions) -> None:
    cookie = sessions.begin("secret-token", "alice", "admin")
    session = found(sessions, cookie)
    assert session is not None
    assert (session.token, session.name, session.role) == ("secret-token", "alice", "admin")
    assert not any(word in cookie for word in ("secret", "alice", "admin"))
    assert sessions.holds(session)
    sessions.end(session)
    assert found(sessions, cookie) is None
    assert not sessions.holds(session)


def test_two_sessions_have_nothing_alike(sessions: BrowserSessions) -> None:
    one, two = (sessions.begin("t", "alice", "admin") for _ in range(2))
    first, second = found(sessions, one), found(sessions, two)
    assert first is not None
    assert second is not None
    assert one != two
    assert first.csrf != second.csrf


def test_a_cookie_of_another_process_is_none(sessions: BrowserSessions, ticks: Ticks) -> None:
    other = BrowserSessions(secure=False, clock=ticks)
    assert found(sessions, other.begin("t", "alice", "admin")) is None


def test_a_session_ends_when_it_is_idle(sessions: BrowserSessions, ticks: Ticks) -> None:
    cookie = sessions.begin("t", "alice", "admin")
    ticks.now += IDLE - 1
    assert found(sessions, cookie) is not None
    ticks.now += IDLE
    assert found(sessions, cookie) is None


def test_so_many_sessions_are_kept(
    sessions: BrowserSessions, ticks: Ticks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_SESSIONS", 2)
    cookies = []
    for name in ("a", "b", "c"):
        ticks.now += 1
        cookies.append(sessions.begin("t", name, "user"))
    assert [found(sessions, one) is not None for one in cookies] == [False, True, True]


def test_a_user_who_signs_in_often_ends_the_sessions_of_no_other(
    sessions: BrowserSessions, ticks: Ticks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_SESSIONS", 4)
    monkeypatch.setattr(module, "MOST_OF_USER", 2)
    cookies = []
    for name in ("a", "b", "b", "b", "b"):
        ticks.now += 1
        cookies.append(sessions.begin("t", name, "user"))
    assert [found(sessions, one) is not None for one in cookies] == [True, False, False, True, True]


def test_a_notice_is_told_once(sessions: BrowserSessions) -> None:
    session = found(sessions, sessions.begin("t", "alice", "admin"))
    assert session is not None
    session.notice = "saved"
    assert (session.take_notice(), session.take_notice()) == ("saved", "")


def test_the_key_of_a_form_is_that_of_the_browsers_cookie(sessions: BrowserSessions) -> None:
    one, two = sessions.form_key(), sessions.form_key()
    cookies = {sessions.form_cookie: one}
    assert sessions.is_form_key(cookies, one)
    for wrong in ("", two, one[:-1], "ä"):
        assert not sessions.is_form_key(cookies, wrong)
    assert not sessions.is_form_key({}, "")
    assert not sessions.is_form_key({sessions.form_cookie: "made.up"}, "made.up")
    # What signs sessions signs no forms, and the other way round.
    cookie = sessions.begin("t", "alice", "admin")
    assert not sessions.is_form_key({sessions.form_cookie: cookie}, cookie)
    assert found(sessions, one) is None


def test_names_of_cookies_are_for_https_where_there_is_any() -> None:
    assert BrowserSessions(secure=True).cookie == "__Host-nacre-session"
    assert BrowserSessions(secure=False).cookie == "nacre-session"


def test_a_session_that_is_idle_holds_no_more_and_a_look_is_no_use(
    sessions: BrowserSessions, ticks: Ticks
) -> None:
    session = found(sessions, sessions.begin("t", "alice", "admin"))
    assert session is not None
    ticks.now += IDLE - 1
    assert sessions.holds(session)
    ticks.now += 1
    assert not sessions.holds(session)
