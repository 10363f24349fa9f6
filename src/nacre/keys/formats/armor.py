"""The text around keys in files: PEM (RFC 7468, RFC 1421), OpenSSH's form of it, and RFC 4716.

Editors, mail programs and other systems change it: blank lines, blanks at the ends of lines, CRLF,
a byte-order mark, text in front. None of that is part of a key, and all of it is left out here.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, b64encode
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from itertools import zip_longest

from nacre.errors import KeyFormatError
from nacre.value import value

_UTF16 = (BOM_UTF16_BE, BOM_UTF16_LE)
_BEGIN = re.compile(rb"(-----|---- )BEGIN ([A-Z0-9][A-Z0-9 ]{0,60}[A-Z0-9])( ----|-----)")
MAXIMUM_HEADER = 8192
"""Bytes that a header may have; RFC 4716 section 3.3 allows 1088."""

_CUT_OFF = "is damaged: it is cut off, or its END line is changed"
_NO_BASE64 = (
    "is damaged: between its BEGIN and END lines there must be lines of base64 alone, all of them"
)


@value(repr=False)
class KeyBlock:
    """What a BEGIN and an END line enclose.

    :ivar label: the words behind BEGIN, such as ``OPENSSH PRIVATE KEY``.
    :ivar headers: the lines of headers, without their line ends.
    :ivar base64: the rest, without blanks and line ends.
    :ivar whole: whether there is an END line.
    """

    label: str
    headers: tuple[bytes, ...]
    base64: bytes
    whole: bool

    @property
    def private(self) -> bool:
        """Whether the block is a private key."""
        return self.label.endswith("PRIVATE KEY")

    def fields(self) -> dict[str, str]:
        """Return the values of the headers by their names, in lower case (RFC 4716 section 3.3)."""
        lines = (line.decode("utf-8", "surrogateescape") for line in self.headers)
        parts = (line.partition(":") for line in lines)
        return {name.strip().lower(): value.strip() for name, _, value in parts}

    def data(self) -> bytes:
        """Return the bytes that the base64 stands for.

        :raises KeyFormatError: the block is cut off, or has something other than base64.
        """
        what = "the private key" if self.private else "the public key"
        if not self.whole:
            raise KeyFormatError(f"{what} file {_CUT_OFF}")
        try:
            return b64decode(self.base64, validate=True)
        except (binascii.Error, ValueError):
            raise KeyFormatError(f"{what} file {_NO_BASE64}") from None


def cleaned(data: bytes) -> bytes:
    """Return the content of a text file in UTF-8, without a byte-order mark.

    :raises KeyFormatError: a byte-order mark says UTF-16, and the file is not.
    """
    if data.startswith(_UTF16):
        try:
            return data.decode("utf-16").encode("utf-8")
        except UnicodeError:
            raise KeyFormatError("the file is damaged: it begins as UTF-16 and is not") from None
    return data.removeprefix(BOM_UTF8)


def ascii_of(data: bytes) -> bytes:
    """Return the content of a text file so that words in ASCII are found in it; raises nothing."""
    return data.replace(b"\0", b"") if data.startswith(_UTF16) else data


def blocks(text: bytes) -> list[KeyBlock]:
    """Return the blocks in a text, in their order. A block without an END line ends at the next."""
    found = []
    begins = [*_BEGIN.finditer(text)]
    for begin, following in zip_longest(begins, begins[1:]):
        inside = text[begin.end() : following.start() if following else len(text)]
        edge, label, other_edge = begin.groups()
        body, end, _ = inside.partition(edge + b"END " + label + other_edge)
        headers, base64 = _split_headers(body)
        found.append(KeyBlock(label.decode("ascii"), headers, base64, bool(end)))
    return found


def _split_headers(body: bytes) -> tuple[tuple[bytes, ...], bytes]:
    """Return the headers, each on one line, and the base64 behind them.

    A header that ends with a backslash goes on in the next line (RFC 4716 section 3.3).
    """
    headers: list[bytes] = []
    lines = iter(body.splitlines())
    for line in lines:
        if not line.strip():
            continue
        if b":" not in line:
            return tuple(headers), b"".join(b" ".join((line, *lines)).split())
        line = line.rstrip()
        while line.endswith(b"\\"):
            if len(line) > MAXIMUM_HEADER:
                raise KeyFormatError(f"a header of the key is longer than {MAXIMUM_HEADER} bytes")
            line = line[:-1] + next(lines, b"").rstrip()
        headers.append(line.strip())
    return tuple(headers), b""


def wrapped(label: str, data: bytes, width: int = 64, *, headers: str = "") -> bytes:
    """Return a PEM block.

    :param width: characters of base64 in a line.
    :param headers: lines that stand in front of the base64, with what separates the two.
    """
    begin, end = (f"-----{word} {label}-----\n" for word in ("BEGIN", "END"))
    return (begin + headers).encode("ascii") + folded(data, width) + end.encode("ascii")


def folded(data: bytes, width: int, end: bytes = b"\n") -> bytes:
    """Return the lines of ``data`` in base64, each of ``width`` characters and ``end``."""
    text = b64encode(data)
    return b"".join(text[i : i + width] + end for i in range(0, len(text), width))
