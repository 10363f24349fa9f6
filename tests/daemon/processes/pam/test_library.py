"""A transaction and its conversation, with a libpam that is none."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import pytest

from nacre.daemon.processes.pam import library
from nacre.daemon.processes.pam.library import AUTHTOK_EXPIRED, SUCCESS, Prompt, Transaction

HIDDEN, SHOWN, ERROR, INFO = 1, 2, 3, 4  # <security/_pam_types.h>
CONVERSATION_ERROR = 19


class FakePAM:
    """libpam. Each call is noted and succeeds, but for those that ``codes`` names."""

    def __init__(self, **codes: int) -> None:
        self.codes = codes
        self.calls: list[tuple[str, int]] = []
        self.items: dict[int, bytes] = {}
        self.conversation: Any = None
        self.variables: list[bytes] | None = []

    def pam_start(self, service: bytes, user: bytes, conversation: Any, handle: Any) -> int:
        self.names = service, user
        self.conversation = conversation._obj
        return self.codes.get("pam_start", SUCCESS)

    def pam_set_item(self, handle: object, kind: int, text: bytes) -> int:
        self.items[kind] = text
        return SUCCESS

    def pam_strerror(self, handle: object, code: int) -> bytes:
        return b"code %d \xff" % code

    def pam_getenvlist(self, handle: object) -> Any:
        if self.variables is None:
            return ctypes.POINTER(ctypes.c_char_p)()
        return (ctypes.c_char_p * (len(self.variables) + 1))(*self.variables, None)

    def __getattr__(self, name: str) -> Any:
        def call(handle: object, flags: int) -> int:
            self.calls.append((name, flags))
            return self.codes.get(name, SUCCESS)

        return call

    def converse(self, *messages: tuple[int, bytes]) -> tuple[int, list[bytes | None]]:
        """Return the code and the answers of a conversation, as a module gets them."""
        pointers: Any = (ctypes.POINTER(library._Message) * len(messages))(
            *(ctypes.pointer(library._Message(*message)) for message in messages)
        )
        responses: Any = (ctypes.POINTER(library._Response) * 1)()
        code = self.conversation.function(len(messages), pointers, responses, None)
        if code != SUCCESS:
            return code, []
        found = [responses[0][i].text for i in range(len(messages))]
        texts = [None if text is None else ctypes.string_at(text) for text in found]
        free = ctypes.CDLL(None).free
        free.argtypes = (ctypes.c_void_p,)
        for memory in (*found, ctypes.cast(responses[0], ctypes.c_void_p)):
            free(memory)
        return code, texts


@pytest.fixture
def pam(monkeypatch: pytest.MonkeyPatch) -> FakePAM:
    libc = ctypes.CDLL(None)
    libc.calloc.restype = libc.strdup.restype = ctypes.c_void_p
    libc.calloc.argtypes = (ctypes.c_size_t, ctypes.c_size_t)
    libc.strdup.argtypes = (ctypes.c_char_p,)
    fake = FakePAM()
    monkeypatch.setattr(library, "_libraries", lambda: (fake, libc))
    return fake


def begun(said: list[str] | None = None) -> Transaction:
    say = (lambda text: None) if said is None else said.append
    return Transaction("sshd", "ålice", "192.0.2.1", say)


def test_modules_learn_the_names(pam: FakePAM) -> None:
    begun()
    assert pam.names == (b"sshd", "ålice".encode())
    assert sorted(pam.items.values()) == [b"192.0.2.1", b"ssh"]


def test_each_call_has_its_flags_and_returns_its_number(pam: FakePAM) -> None:
    pam.codes["pam_acct_mgmt"] = AUTHTOK_EXPIRED
    transaction = begun()
    assert transaction.authenticate(empty=False) == SUCCESS
    assert transaction.authenticate(empty=True) == SUCCESS
    assert transaction.account() == AUTHTOK_EXPIRED
    assert transaction.change_expired() == SUCCESS
    assert transaction.establish() == transaction.open_session() == SUCCESS
    assert transaction.close_session() == transaction.delete() == SUCCESS
    transaction.end()
    assert pam.calls == [
        ("pam_authenticate", 1),
        ("pam_authenticate", 0),
        ("pam_acct_mgmt", 0),
        ("pam_chauthtok", 0x20),
        ("pam_setcred", 2),
        ("pam_open_session", 0),
        ("pam_close_session", 0),
        ("pam_setcred", 4),
        ("pam_end", SUCCESS),
    ]
    assert transaction.reason(13) == "code 13 \ufffd"


def test_modules_learn_at_the_end_how_the_last_call_went(pam: FakePAM) -> None:
    pam.codes["pam_authenticate"] = 7
    transaction = begun()
    transaction.authenticate(empty=False)
    transaction.end()
    assert pam.calls[-1] == ("pam_end", 7)


def test_a_transaction_may_not_begin(pam: FakePAM) -> None:
    pam.codes["pam_start"] = 26
    with pytest.raises(OSError, match="pam_start failed"):
        begun()


@pytest.mark.parametrize("names", [("a\0b", "x"), ("x", "a\0b")])
def test_a_name_that_c_would_cut_off_never_reaches_pam(
    pam: FakePAM, names: tuple[str, str]
) -> None:
    with pytest.raises(ValueError, match="NUL"):
        Transaction(*names, "192.0.2.1", lambda text: None)
    assert pam.conversation is None


def test_prompts_are_asked_for_together_and_texts_are_said(pam: FakePAM) -> None:
    said: list[str] = []
    transaction = begun(said)
    asked: list[Sequence[Prompt]] = []

    def ask(prompts: Sequence[Prompt]) -> Sequence[str]:
        asked.append(prompts)
        return ["first", "sécond"]

    transaction.ask = ask
    messages = (INFO, b"hello"), (HIDDEN, b"Password: "), (ERROR, b"\xff"), (SHOWN, b"Code: ")
    assert pam.converse(*messages) == (SUCCESS, [None, b"first", None, "sécond".encode()])
    assert asked == [[("Password: ", False), ("Code: ", True)]]
    assert said == ["hello", "\ufffd"]


def test_texts_alone_ask_for_nothing(pam: FakePAM) -> None:
    said: list[str] = []
    transaction = begun(said)
    assert pam.converse((INFO, b"a"), (ERROR, b"b")) == (SUCCESS, [None, None])
    assert said == ["a", "b"]
    assert transaction.ask is library.refuse


@pytest.mark.parametrize(
    "answers", [None, [], ["one", "two"], ["a\0b"]], ids=["none", "few", "many", "a NUL"]
)
def test_wrong_answers_end_the_conversation(pam: FakePAM, answers: list[str] | None) -> None:
    transaction = begun()
    transaction.ask = lambda prompts: answers
    assert pam.converse((HIDDEN, b"Password: ")) == (CONVERSATION_ERROR, [])


def test_nobody_answers_a_prompt_by_default(pam: FakePAM) -> None:
    begun_and_kept = begun()
    assert pam.converse((SHOWN, b"Code: ")) == (CONVERSATION_ERROR, [])
    assert begun_and_kept.ask is library.refuse


def test_a_conversation_has_a_bound(pam: FakePAM) -> None:
    kept = begun()
    assert pam.converse(*[(INFO, b"x")] * 33) == (CONVERSATION_ERROR, [])
    assert pam.converse(*[(INFO, b"x")] * 32)[0] == SUCCESS
    assert kept.environment() == []


def test_the_environment_is_what_modules_have_set(pam: FakePAM) -> None:
    transaction = begun()
    pam.variables = [b"A=1", b"B=x=y", b"C=\xff", b"D"]
    expected = [("A", "1"), ("B", "x=y"), ("C", "\udcff"), ("D", "")]
    assert transaction.environment() == expected
    pam.variables = None
    assert transaction.environment() == []


def test_a_system_without_the_library_has_no_pam(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise OSError("libpam.so.0: cannot open shared object file")

    monkeypatch.setattr(library, "_libraries", missing)
    assert not library.available()
