from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from nacre.wire.text import safe


def test_escape_sequences_are_shown_not_done() -> None:
    assert safe("\x1b[2Jhi\r\n") == r"\x1b[2Jhi\x0d\x0a"


def test_bidirectional_marks_and_separators_are_shown() -> None:
    assert safe("a\u202eb\u2028c") == r"a\u202eb\u2028c"


def test_bytes_that_are_no_utf8() -> None:
    assert safe(b"caf\xc3\xa9 \xff") == r"café \xff"


def test_backslash_cannot_be_confused_with_an_escape() -> None:
    assert safe(r"\x1b") == r"\\x1b"


def test_long_text_is_cut() -> None:
    assert safe("a" * 20, 10) == "a" * 10 + "…"


def test_kept_characters() -> None:
    assert safe("a\n\tb\r", keep="\n\t") == "a\n\tb\\x0d"


@given(st.one_of(st.text(), st.binary()))
def test_nothing_unprintable_remains(value: str | bytes) -> None:
    for character in safe(value):
        assert unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
