"""Text that a peer controls, made safe for terminals and logs.

A banner, error text or file name of the peer may hold escape sequences that change the terminal, or
bidirectional marks that make one name look like another.
"""

from __future__ import annotations

import re
import unicodedata

_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def safe(value: str | bytes | bytearray | memoryview, limit: int = 1024, *, keep: str = "") -> str:
    """Return ``value`` with every character that is not printable shown as an escape.

    :param limit: characters to keep; ``…`` stands for those that are cut off.
    :param keep: characters left unchanged, such as ``"\\n\\t"`` for a banner of many lines.
    """
    if not isinstance(value, str):
        value = bytes(value[: limit * 4]).decode("utf-8", "surrogateescape")
    # Nearly every text is plain, and this test is much cheaper than the loop below.
    if len(value) <= limit and value.isascii() and value.isprintable() and "\\" not in value:
        return value
    cut = len(value) > limit
    shown = "".join(_shown(c, keep) for c in value[:limit])
    return shown + "…" if cut else shown


# The names of algorithms, key types and options (RFC 4251 section 6) that exist have this form.
_NAME = re.compile(r"[a-z][a-z0-9.+-]{0,39}(@[a-z0-9.-]{1,40})?")


def safe_name(value: str) -> str:
    """Return a name to print, or ``(no name)`` if ``value`` does not look like one.

    For data that may be damaged: there a piece of a private key may stand in the name's place.
    """
    return value if _NAME.fullmatch(value) else "(no name)"


def _shown(character: str, keep: str) -> str:
    if character in keep or (" " <= character <= "~" and character != "\\"):
        return character
    if character == "\\":
        return "\\\\"
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if unicodedata.category(character) in _UNSAFE:
        prefix, digits = ("x", 2) if code < 0x100 else ("u", 4) if code < 0x10000 else ("U", 8)
        return f"\\{prefix}{code:0{digits}x}"
    return character
