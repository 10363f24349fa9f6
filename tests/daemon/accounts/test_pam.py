"""The conversation with PAM, with a libpam that is none."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from nacre.daemon.accounts import pam

HOST = "192.0.2.1"
ECHO_OFF, ECHO_ON, ERROR, INFO = 1, 2, 3, 4  # <security/_pam_types.h>
SUCCESS, CONVERSATION_ERROR = 0, 19


class FakePAM:
    """libpam, whose ``code`` each step returns."""

    def __init__(self, authenticate: int = 0, account: int = 0) -> None:
        self.codes = {"authenticate": authenticate, "account": account}
        self.steps: list[str] = []

    def pam_authenticate(self, handle: object, flags: int) -> int:
        self.steps.append("authenticate")
        return self.codes["authenticate"]

    def pam_acct_mgmt(self, handle: object, flags: int) -> int:
        self.steps.append("account")
        return self.codes["account"]

    def pam_strerror(self, handle: object, code: int) -> bytes:
        return b"code %d \xff" % code


def use(monkeypatch: pytest.MonkeyPatch, fake: FakePAM) -> list[tuple[bytes, bytes, str]]:
    opened: list[tuple[bytes, bytes, str]] = []

    @contextmanager
    def transaction(user: bytes, password: bytes, host: str) -> Iterator[tuple[FakePAM, object]]:
        opened.append((user, password, host))
        yield fake, object()

    monkeypatch.setattr(pam, "_transaction", transaction)
    return opened


@pytest.mark.parametrize(
    ("password", "steps"), [("secret", ["authenticate", "account"]), (None, ["account"])]
)
def test_a_password_is_verified_and_the_account_always(
    monkeypatch: pytest.MonkeyPatch, password: str | None, steps: list[str]
) -> None:
    fake = FakePAM()
    opened = use(monkeypatch, fake)
    assert pam.refusal("ålice", password, HOST) is None
    assert fake.steps == steps
    assert opened == [("ålice".encode(), (password or "").encode(), HOST)]


def test_a_wrong_password_is_refused_with_the_text_of_pam(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake = FakePAM(authenticate=7)
    use(monkeypatch, fake)
    assert pam.refusal("alice", "wrong", HOST) == "code 7 \ufffd"
    assert fake.steps == ["authenticate"]


def test_an_expired_account_is_refused_after_the_right_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use(monkeypatch, FakePAM(account=13))
    assert pam.refusal("alice", "secret", HOST) == "code 13 \ufffd"


@pytest.mark.parametrize(
    ("user", "password"), [("a\0b", "x"), ("a", "x\0y"), ("\udcff", "x"), ("a", "\udcff")]
)
def test_text_that_c_would_cut_off_never_reaches_pam(
    monkeypatch: pytest.MonkeyPatch, user: str, password: str
) -> None:
    opened = use(monkeypatch, FakePAM())
    assert pam.refusal(user, password, HOST) is not None
    assert opened == []


def converse(*styles: int) -> tuple[int, list[bytes | None]]:
    """Return the code and the answers of a conversation about prompts of these styles."""
    libc = ctypes.CDLL(None)
    libc.calloc.restype = ctypes.c_void_p
    libc.calloc.argtypes = (ctypes.c_size_t, ctypes.c_size_t)
    libc.strdup.restype = ctypes.c_void_p
    libc.strdup.argtypes = (ctypes.c_char_p,)
    libc.free.argtypes = (ctypes.c_void_p,)
    messages: Any = (ctypes.POINTER(pam._Message) * len(styles))(
        *(ctypes.pointer(pam._Message(style, b"Prompt: ")) for style in styles)
    )
    responses: Any = (ctypes.POINTER(pam._Response) * 1)()
    code = pam._answers(libc, b"secret")(len(styles), messages, responses, None)
    if code != SUCCESS:
        return code, []
    found = [responses[0][i].text for i in range(len(styles))]
    texts = [None if text is None else ctypes.string_at(text) for text in found]
    for memory in (*found, ctypes.cast(responses[0], ctypes.c_void_p)):
        libc.free(memory)
    return code, texts


def test_the_prompt_for_the_password_is_answered_and_messages_are_not() -> None:
    assert converse(INFO, ECHO_OFF, ERROR) == (SUCCESS, [None, b"secret", None])


def test_a_prompt_with_echo_ends_the_conversation() -> None:
    """It asks for something else than a password, which must not be shown there."""
    assert converse(ECHO_OFF, ECHO_ON) == (CONVERSATION_ERROR, [])


def test_a_system_without_the_library_has_no_pam(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pam, "_libraries", lambda: None)
    assert not pam.available()
