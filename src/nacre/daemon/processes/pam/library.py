"""libpam: a transaction of PAM (pam(3)). Its calls block, for seconds after a wrong password."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, TypeAlias

# The numbers are those of Linux-PAM's <security/_pam_types.h>.
SUCCESS, AUTHTOK_EXPIRED = 0, 12
_BUFFER_ERROR, _CONVERSATION_ERROR = 5, 19
_HIDDEN_PROMPT, _SHOWN_PROMPT = 1, 2
_TTY, _RHOST = 3, 4
_DISALLOW_EMPTY = 1
_ESTABLISH, _DELETE = 2, 4
_ONLY_EXPIRED = 0x20

_MOST_MESSAGES = 32  # PAM_MAX_NUM_MSG

Prompt: TypeAlias = "tuple[str, bool]"
"""A text, and whether the answer may be seen while it is typed."""

Ask: TypeAlias = "Callable[[Sequence[Prompt]], Sequence[str] | None]"
"""Returns an answer for each prompt, or None to end the conversation. It must not raise."""


class _Message(ctypes.Structure):
    _fields_ = (("style", ctypes.c_int), ("text", ctypes.c_char_p))


class _Response(ctypes.Structure):
    _fields_ = (("text", ctypes.c_void_p), ("code", ctypes.c_int))


_Conversation = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.c_int,
    ctypes.POINTER(ctypes.POINTER(_Message)),
    ctypes.POINTER(ctypes.POINTER(_Response)),
    ctypes.c_void_p,
)


class _Conv(ctypes.Structure):
    _fields_ = (("function", _Conversation), ("data", ctypes.c_void_p))


@cache
def _libraries() -> tuple[Any, Any]:
    """Return libpam and libc.

    :raises OSError: this system has no PAM.
    """
    pam, libc = ctypes.CDLL("libpam.so.0"), ctypes.CDLL(None)
    libc.calloc.restype = libc.strdup.restype = ctypes.c_void_p
    libc.calloc.argtypes = (ctypes.c_size_t, ctypes.c_size_t)
    libc.strdup.argtypes = (ctypes.c_char_p,)
    for name in (
        *("pam_authenticate", "pam_acct_mgmt", "pam_chauthtok", "pam_setcred"),
        *("pam_open_session", "pam_close_session", "pam_end", "pam_strerror"),
    ):
        getattr(pam, name).argtypes = (ctypes.c_void_p, ctypes.c_int)
    pam.pam_strerror.restype = ctypes.c_char_p
    pam.pam_getenvlist.restype = ctypes.POINTER(ctypes.c_char_p)
    pam.pam_getenvlist.argtypes = (ctypes.c_void_p,)
    pam.pam_set_item.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p)
    pam.pam_start.argtypes = (
        ctypes.c_char_p,
        ctypes.c_char_p,
        ctypes.POINTER(_Conv),
        ctypes.POINTER(ctypes.c_void_p),
    )
    return pam, libc


def available() -> bool:
    """Tell whether this system has PAM."""
    try:
        _libraries()
    except OSError:
        return False
    return True


class Transaction:
    """A handle of PAM for one user; the numbers that its calls return are PAM's.

    :ivar ask: answers prompts; by default none. It may be changed between two calls.
    """

    def __init__(self, service: str, user: str, host: str, say: Callable[[str], None]) -> None:
        """Begin.

        :param service: the name of the file in ``/etc/pam.d``; PAM takes ``other`` if it is none.
        :param host: the client's address.
        :param say: gets each text for the user.
        :raises OSError: PAM can't begin.
        :raises ValueError: a name contains a NUL.
        """
        self.ask: Ask = refuse
        self._say = say
        self._pam, self._libc = _libraries()
        # PAM keeps its address, so it must live as long as the handle.
        self._conversation = _Conv(_Conversation(self._on_messages), None)
        self._handle = ctypes.c_void_p()
        self._code = self._pam.pam_start(
            _bytes(service),
            _bytes(user),
            ctypes.byref(self._conversation),
            ctypes.byref(self._handle),
        )
        if self._code != SUCCESS:
            raise OSError(self._code, "pam_start failed")
        self._pam.pam_set_item(self._handle, _RHOST, _bytes(host))
        # Modules such as pam_access need a terminal's name, also without a terminal.
        self._pam.pam_set_item(self._handle, _TTY, b"ssh")

    def _call(self, name: str, flags: int = 0) -> int:
        code: int = getattr(self._pam, name)(self._handle, flags)
        self._code = code
        return code

    def authenticate(self, *, empty: bool) -> int:
        """Check who the user is.

        :param empty: whether an account without a password may log in with an empty one.
        """
        return self._call("pam_authenticate", 0 if empty else _DISALLOW_EMPTY)

    def account(self) -> int:
        """Check whether the account may be used; :data:`AUTHTOK_EXPIRED` asks for a change."""
        return self._call("pam_acct_mgmt")

    def change_expired(self) -> int:
        """Change a password that has expired."""
        return self._call("pam_chauthtok", _ONLY_EXPIRED)

    def establish(self) -> int:
        """Get the credentials of the user, such as further groups and tickets."""
        return self._call("pam_setcred", _ESTABLISH)

    def delete(self) -> int:
        """Give up what :meth:`establish` got."""
        return self._call("pam_setcred", _DELETE)

    def open_session(self) -> int:
        """Open a session: it changes limits, the environment and more of this process."""
        return self._call("pam_open_session")

    def close_session(self) -> int:
        """Close the session."""
        return self._call("pam_close_session")

    def end(self) -> None:
        """Let go of the handle."""
        self._pam.pam_end(self._handle, self._code)

    def reason(self, code: int) -> str:
        """Return PAM's text for a number that a call has returned."""
        text: bytes = self._pam.pam_strerror(self._handle, code)
        return text.decode(errors="replace")

    def environment(self) -> list[tuple[str, str]]:
        """Return the variables that modules have set. What holds them is freed with the process."""
        listed = self._pam.pam_getenvlist(self._handle)
        found = []
        for entry in iter(listed) if listed else ():
            if entry is None:
                break
            name, _, content = entry.decode("utf-8", "surrogateescape").partition("=")
            found.append((name, content))
        return found

    def _on_messages(self, count: int, messages: Any, responses: Any, _data: Any) -> int:
        if not 0 < count <= _MOST_MESSAGES:
            return _CONVERSATION_ERROR
        asked = [messages[i].contents for i in range(count)]
        prompts = {}
        for i, message in enumerate(asked):
            text = (message.text or b"").decode(errors="replace")
            if message.style in (_HIDDEN_PROMPT, _SHOWN_PROMPT):
                prompts[i] = text, message.style == _SHOWN_PROMPT
            else:
                self._say(text)
        try:
            answers = self._answers(list(prompts.values())) if prompts else []
        except ValueError:
            return _CONVERSATION_ERROR
        if len(answers) != len(prompts):
            return _CONVERSATION_ERROR
        # PAM frees the array and its texts with free().
        memory = self._libc.calloc(count, ctypes.sizeof(_Response))
        if not memory:
            return _BUFFER_ERROR
        made = ctypes.cast(memory, ctypes.POINTER(_Response))
        for i, answer in zip(prompts, answers, strict=True):
            made[i].text = self._libc.strdup(answer)
        responses[0] = made
        return SUCCESS

    def _answers(self, prompts: Sequence[Prompt]) -> list[bytes]:
        """Return the answers to prompts, or none.

        :raises ValueError: one contains a NUL.
        """
        return [_bytes(answer) for answer in self.ask(prompts) or ()]


def refuse(prompts: Sequence[Prompt]) -> None:
    """Answer no prompt."""


def _bytes(text: str) -> bytes:
    """Return a text for C.

    :raises ValueError: it contains a NUL, at which C would cut it off.
    """
    made = text.encode("utf-8", "surrogateescape")
    if b"\0" in made:
        raise ValueError("a NUL in it")
    return made
