from __future__ import annotations

import pytest

from nacre.errors import KeyFormatError
from nacre.keys import dump_public, generate, load_public
from nacre.keys.key import KEY_TYPES

KEY = generate("ssh-ed25519").public


@pytest.mark.parametrize("type", KEY_TYPES)
def test_each_family_comes_back(type: str, key_of) -> None:
    public = key_of(type).public
    assert load_public(dump_public(public, "me", format="rfc4716")) == (public, "me")


@pytest.mark.parametrize(
    ("header", "comment"),
    [
        (b"", ""),
        (b"Comment: plain words\n", "plain words"),
        (b'Comment: "quoted words"\n', "quoted words"),
        (b'comment: "a \\"b\\" c"\n', 'a "b" c'),
        (b'Comment: "\n', '"'),
        (b'Subject: x\nComment: "two\\\n lines"\nx-any: y\n', "two lines"),
    ],
)
def test_comments(header: bytes, comment: str) -> None:
    plain = dump_public(KEY, format="rfc4716")
    text = plain.replace(b"----\n", b"----\n" + header, 1)
    assert load_public(text) == (KEY, comment)


def test_the_lines() -> None:
    text = dump_public(KEY, "one\ntwo", format="rfc4716")
    assert text.splitlines()[1] == b'Comment: "one two"'
    assert len(dump_public(KEY, "x" * 5000, format="rfc4716")) < 1400


def test_a_key_that_the_format_does_not_have() -> None:
    key = generate("rsa1", bits=1024).public
    for form in ("rfc4716", "pem", "pkcs8"):
        with pytest.raises(KeyFormatError, match="no form in"):
            dump_public(key, format=form)
