"""Passwords and states of system accounts through PAM (pam(3)), where the system has it.

Calls block, for seconds after a wrong password: make them in threads.
"""

from __future__ import annotations

import ctypes
import ctypes.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

SERVICES = ("nacre", "sshd", "login")
"""Service files in ``/etc/pam.d``; the first one that exists is used."""

# The numbers are those of Linux-PAM's <security/_pam_types.h>.
_SUCCESS, _BUFFER_ERROR, _CONVERSATION_ERROR = 0, 5, 19
_PROMPT_ECHO_OFF, _PROMPT_ECHO_ON = 1, 2
_TTY, _RHOST = 3, 4
_DISALLOW_NULL_AUTHTOK = 1
_SILENT = 0x8000


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
def _libraries() -> tuple[Any, Any] | None:
    """Return libpam and libc, or None where there is no PAM."""
    try:
        pam, libc = ctypes.CDLL("libpam.so.0"), ctypes.CDLL(None)
    except OSError:
        return None
    libc.calloc.restype = ctypes.c_void_p
    libc.calloc.argtypes = (ctypes.c_size_t, ctypes.c_size_t)
    libc.strdup.restype = ctypes.c_void_p
    libc.strdup.argtypes = (ctypes.c_char_p,)
    pam.pam_strerror.restype = ctypes.c_char_p
    for name in ("pam_authenticate", "pam_acct_mgmt", "pam_end", "pam_strerror"):
        getattr(pam, name).argtypes = (ctypes.c_void_p, ctypes.c_int)
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
    return _libraries() is not None and any(Path("/etc/pam.d", s).exists() for s in SERVICES)


def refusal(user: str, password: str | None, host: str, *, empty: bool = False) -> str | None:
    """Return why ``user`` may not log in; None if the password is right and the account is valid.

    :param password: None to check the account alone, after a login with a key.
    :param host: the client's address.
    :param empty: whether an account without a password may log in with an empty one.
    """
    try:
        name = user.encode()
        secret = None if password is None else password.encode()
    except UnicodeEncodeError:
        return "not UTF-8"
    if b"\0" in name or (secret is not None and b"\0" in secret):
        return "a NUL in it"
    with _transaction(name, secret or b"", host) as (pam, handle):
        code = _SUCCESS
        flags = _SILENT if empty else _SILENT | _DISALLOW_NULL_AUTHTOK
        if secret is not None:
            code = pam.pam_authenticate(handle, flags)
        if code == _SUCCESS:
            code = pam.pam_acct_mgmt(handle, _SILENT)
        if code == _SUCCESS:
            return None
        text: bytes = pam.pam_strerror(handle, code)
        return text.decode(errors="replace")


@contextmanager
def _transaction(user: bytes, password: bytes, host: str) -> Iterator[tuple[Any, Any]]:
    libraries = _libraries()
    assert libraries is not None
    pam, libc = libraries
    service = next((s for s in SERVICES if Path("/etc/pam.d", s).exists()), SERVICES[0])
    # `conversation` must live as long as the handle, because PAM keeps its address.
    conversation = _Conv(_Conversation(_answers(libc, password)), None)
    handle = ctypes.c_void_p()
    code = pam.pam_start(service.encode(), user, ctypes.byref(conversation), ctypes.byref(handle))
    if code != _SUCCESS:
        raise OSError(code, "pam_start failed")
    try:
        pam.pam_set_item(handle, _RHOST, host.encode())
        # Modules such as pam_access need a terminal's name, also without a terminal.
        pam.pam_set_item(handle, _TTY, b"ssh")
        yield pam, handle
    finally:
        pam.pam_end(handle, code)


def _answers(libc: Any, password: bytes) -> Callable[[int, Any, Any, Any], int]:
    """Return a conversation function that answers the prompt for the password and no other."""

    def converse(count: int, messages: Any, responses: Any, _data: Any) -> int:
        styles = [messages[i].contents.style for i in range(count)]
        if _PROMPT_ECHO_ON in styles:
            return _CONVERSATION_ERROR
        # PAM frees the array and its texts with free().
        memory = libc.calloc(count, ctypes.sizeof(_Response))
        if not memory:
            return _BUFFER_ERROR
        made = ctypes.cast(memory, ctypes.POINTER(_Response))
        for i, style in enumerate(styles):
            if style == _PROMPT_ECHO_OFF:
                made[i].text = libc.strdup(password)
        responses[0] = made
        return _SUCCESS

    return converse
