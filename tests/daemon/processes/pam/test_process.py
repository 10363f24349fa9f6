"""What the process of a login answers, with a transaction that is none."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from nacre.daemon.processes.pam import process
from nacre.daemon.processes.pam.library import AUTHTOK_EXPIRED, SUCCESS, Ask
from nacre.daemon.processes.pam.messages import (
    LARGEST,
    Begin,
    CheckAccount,
    CheckPassword,
    HoldDialogue,
    Judged,
    OpenedSession,
    OpenSession,
    Prompts,
    Request,
    Respond,
    decode,
    encode,
)
from nacre.daemon.processes.pam.process import LoginProcess

FAILED = 7
HIDDEN, SHOWN = ("Password: ", False), ("Code: ", True)


class FakeTransaction:
    """A transaction whose calls are noted, and do what the test says."""

    ask: Ask

    def __init__(self, service: str, user: str, host: str, say: Callable[[str], None]) -> None:
        self.say = say
        self.calls: list[str] = [f"{service} {user} {host}"]
        self.codes: dict[str, list[int]] = {}
        self.prompts: dict[str, list[list[tuple[str, bool]]]] = {}
        self.answers: list[Any] = []

    def _call(self, name: str) -> int:
        self.calls.append(name)
        self.say(f"in {name}")
        for prompts in self.prompts.get(name, []):
            answers = self.ask(prompts)
            self.answers.append(answers)
            if answers is None or len(answers) != len(prompts):
                return FAILED
        codes = self.codes.get(name, [])
        return codes.pop(0) if codes else SUCCESS

    def authenticate(self, *, empty: bool) -> int:
        return self._call("authenticate")

    def reason(self, code: int) -> str:
        return f"code {code}"

    def environment(self) -> list[tuple[str, str]]:
        return [("A", "1")]

    def __getattr__(self, name: str) -> Callable[[], int]:
        return lambda: self._call(name)


class Process:
    """A login that is served in a thread, and the server's end of its socket."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pam: Any = None

        def begin(*given: Any) -> FakeTransaction:
            self.pam = FakeTransaction(*given)
            return self.pam

        monkeypatch.setattr(process, "Transaction", begin)
        monkeypatch.setattr(os, "setgroups", lambda groups: None)
        self.sock, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock.settimeout(20)

        self.forked: list[str] = []

        def fork(kind: str, descriptors: list[int]) -> None:
            self.forked.append(kind)
            for number in descriptors:
                os.close(number)

        def serve() -> None:
            with theirs:
                LoginProcess(theirs, fork).serve()

        self._thread = threading.Thread(target=serve, daemon=True)
        self._thread.start()
        assert self.ask(Begin("sshd", "alice", "192.0.2.1")) == Judged()

    def tell(self, request: Request) -> None:
        self.sock.send(encode(request))

    def ask(self, request: Request) -> Any:
        self.tell(request)
        return decode(self.sock.recv(LARGEST))

    def end(self) -> list[str]:
        """Close the socket; return all calls when the login has ended."""
        self.sock.close()
        self._thread.join(20)
        assert not self._thread.is_alive()
        calls: list[str] = self.pam.calls
        return calls


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Process]:
    served = Process(monkeypatch)
    yield served
    served.end()


# --- passwords ---


def test_a_password_answers_the_hidden_prompt(served: Process) -> None:
    served.pam.prompts = {"authenticate": [[HIDDEN]]}
    outcome = served.ask(CheckPassword("secret"))
    assert outcome == Judged(texts=("in authenticate", "in account"))
    assert served.pam.answers == [["secret"]]
    assert served.end() == ["sshd alice 192.0.2.1", "authenticate", "account", "end"]


def test_a_wrong_password_leaves_the_account_alone(served: Process) -> None:
    served.pam.codes = {"authenticate": [FAILED]}
    assert served.ask(CheckPassword("wrong")) == Judged("code 7", texts=("in authenticate",))
    assert "account" not in served.end()


@pytest.mark.parametrize(
    "prompts", [[[SHOWN]], [[HIDDEN, SHOWN]], [[HIDDEN], [HIDDEN]]], ids=["shown", "both", "two"]
)
def test_a_password_answers_no_other_prompt(
    served: Process, prompts: list[list[tuple[str, bool]]]
) -> None:
    served.pam.prompts = {"authenticate": prompts}
    assert served.ask(CheckPassword("secret")).reason == "code 7"
    assert served.pam.answers[-1] in (None, [])


def test_a_password_that_has_expired(served: Process) -> None:
    served.pam.codes = {"account": [AUTHTOK_EXPIRED]}
    outcome = served.ask(CheckPassword("secret"))
    assert (outcome.expired, outcome.reason) == (True, "code 12")
    assert "change_expired" not in served.end()


def test_it_is_changed_with_the_old_one_and_the_new_one_in_turn(served: Process) -> None:
    served.pam.codes = {"account": [AUTHTOK_EXPIRED]}
    served.pam.prompts = {
        "authenticate": [[HIDDEN]],
        "change_expired": [[HIDDEN], [HIDDEN], [HIDDEN]],
    }
    assert served.ask(CheckPassword("old", new="new")).reason == ""
    assert served.pam.answers == [["old"], ["old"], ["new"], ["new"]]


def test_a_new_password_may_be_refused(served: Process) -> None:
    served.pam.codes = {"account": [AUTHTOK_EXPIRED], "change_expired": [FAILED]}
    outcome = served.ask(CheckPassword("old", new="weak"))
    assert (outcome.expired, outcome.reason) == (False, "code 7")


def test_no_password_is_changed_that_has_not_expired(served: Process) -> None:
    outcome = served.ask(CheckPassword("old", new="new"))
    assert outcome.reason == "the password has not expired"
    assert "change_expired" not in served.end()


# --- dialogues ---


def test_prompts_are_passed_on_with_the_texts_before_them(served: Process) -> None:
    served.pam.prompts = {"authenticate": [[HIDDEN, SHOWN], [SHOWN]]}
    assert served.ask(HoldDialogue()) == Prompts(("in authenticate",), (HIDDEN, SHOWN))
    assert served.ask(Respond(("a", "b"))) == Prompts((), (SHOWN,))
    assert served.ask(Respond(("c",))) == Judged(texts=("in account",))
    assert served.pam.answers == [("a", "b"), ("c",)]


def test_a_dialogue_changes_an_expired_password(served: Process) -> None:
    served.pam.codes = {"account": [AUTHTOK_EXPIRED]}
    served.pam.prompts = {"change_expired": [[HIDDEN]]}
    asked = served.ask(HoldDialogue())
    assert asked == Prompts(("in authenticate", "in account", "in change_expired"), (HIDDEN,))
    assert served.ask(Respond(("new",))) == Judged()


def test_a_user_who_may_not_log_in_is_asked_and_nothing_follows(served: Process) -> None:
    served.pam.prompts = {"authenticate": [[HIDDEN]]}
    served.ask(HoldDialogue(pretended=True))
    assert served.ask(Respond(("x",))).reason == "the dialogue was pretended"
    assert served.end()[1:] == ["authenticate", "end"]


def test_a_dialogue_is_given_up_for_the_next_request(served: Process) -> None:
    served.pam.prompts = {"authenticate": [[HIDDEN]]}
    assert isinstance(served.ask(HoldDialogue()), Prompts)
    assert served.ask(CheckAccount()) == Judged(texts=("in account",))
    assert served.pam.answers == [None]


def test_a_response_that_nobody_waits_for(served: Process) -> None:
    assert served.ask(Respond(("x",))) == Judged("the dialogue is over")


def test_a_server_that_is_gone_ends_a_dialogue(served: Process) -> None:
    served.pam.prompts = {"authenticate": [[HIDDEN]]}
    assert isinstance(served.ask(HoldDialogue()), Prompts)
    assert served.end()[1:] == ["authenticate", "end"]


def test_texts_and_prompts_have_a_bound(served: Process) -> None:
    served.pam.say("x" * 100_000)
    served.pam.say("y")
    served.pam.prompts = {"authenticate": [[("p" * 100_000, True)] * 2]}
    asked = served.ask(HoldDialogue())
    assert sum(map(len, asked.texts)) == sum(len(text) for text, _ in asked.prompts) == 32 * 1024


# --- sessions ---


def test_a_session_is_opened_and_closed(served: Process) -> None:
    umask = os.umask(0o027)
    try:
        served.ask(CheckPassword("secret"))
        opened = served.ask(OpenSession((1, 2)))
    finally:
        os.umask(umask)
    texts = ("in establish", "in open_session")
    assert opened == OpenedSession((("A", "1"),), tuple(os.getgroups()), 0o027, texts)
    assert served.end()[3:] == ["establish", "open_session", "close_session", "delete", "end"]


@pytest.mark.parametrize(("authenticated", "calls"), [(True, ["establish", "end"]), (False, None)])
def test_credentials_are_needed_after_a_password_alone(
    served: Process, authenticated: bool, calls: list[str] | None
) -> None:
    """Modules that have not authenticated the user may have none, after a login with a key."""
    if authenticated:
        served.ask(CheckPassword("secret"))
    served.pam.codes = {"establish": [FAILED]}
    answer = served.ask(OpenSession(()))
    if calls is None:
        assert isinstance(answer, OpenedSession)
        calls = ["establish", "open_session", "close_session", "end"]
    else:
        assert answer == Judged("code 7", texts=("in establish",))
    assert served.end()[-len(calls) :] == calls


def test_a_session_that_is_refused_is_not_closed(served: Process) -> None:
    served.pam.codes = {"open_session": [FAILED]}
    assert served.ask(OpenSession(())).reason == "code 7"
    assert served.end()[-3:] == ["open_session", "delete", "end"]


def test_a_prompt_in_opening_a_session_has_no_answer(served: Process) -> None:
    served.pam.prompts = {"open_session": [[HIDDEN]]}
    assert served.ask(OpenSession(())).reason == "code 7"


def test_a_request_with_descriptors_is_for_a_process(served: Process) -> None:
    served.pam.prompts = {"authenticate": [[HIDDEN]]}
    for begin in (lambda: None, lambda: served.ask(HoldDialogue())):
        begin()
        reading, writing = os.pipe()
        socket.send_fds(served.sock, [b"program"], [writing])
        os.close(writing)
        with open(reading, "rb") as file:
            assert file.read() == b""  # the descriptors were closed
    assert served.ask(Respond(("x",))).reason == ""
    assert served.forked == ["program", "program"]
