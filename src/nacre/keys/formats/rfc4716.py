"""Public keys in the format of RFC 4716, ``BEGIN SSH2 PUBLIC KEY``."""

from __future__ import annotations

from nacre.errors import KeyFormatError
from nacre.keys.base import PublicKey
from nacre.keys.formats.armor import KeyBlock, folded
from nacre.keys.key import decode_public
from nacre.keys.rsa1_text import RSA1

LABEL = "SSH2 PUBLIC KEY"

_LINE = 72
_BASE64 = 70  # of a line, as ssh-keygen writes it
_COMMENT = 1024


def decode(block: KeyBlock) -> tuple[PublicKey, str]:
    """Return the public key in a block, and the comment in its headers.

    :raises KeyFormatError: the block holds no public key.
    """
    comment = block.fields().get("comment", "")
    if len(comment) > 1 and comment[0] == comment[-1] == '"':
        comment = comment[1:-1].replace('\\"', '"')
    return decode_public(block.data()), comment


def encode(key: PublicKey, comment: str) -> bytes:
    """Return a public key in this format.

    :param comment: cut off after 1024 bytes, the most that a header may have.
    :raises KeyFormatError: it is a key of SSH-1.
    """
    if key.type == RSA1:
        raise KeyFormatError("keys of SSH-1 have no form in RFC 4716")
    # A line end would be the next header; a quotation mark within does not end the comment.
    words = " ".join(comment.split()).encode("utf-8", "surrogateescape")[:_COMMENT]
    header = _wrapped(b'Comment: "' + words + b'"\n') if words else b""
    return b"".join(
        (
            b"---- BEGIN SSH2 PUBLIC KEY ----\n",
            header,
            folded(key.blob, _BASE64),
            b"---- END SSH2 PUBLIC KEY ----\n",
        )
    )


def _wrapped(header: bytes) -> bytes:
    """Return a header in lines that end with a backslash where they go on."""
    lines = []
    while len(header) > _LINE + 1:
        lines.append(header[: _LINE - 1])
        header = header[_LINE - 1 :]
    return b"\\\n".join([*lines, header])
