"""Input without an end is bounded, and all other input arrives as it is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nacre.apps.guard import SEQUENCE, InputGuard

START, END = "\x1b[200~", "\x1b[201~"

KEYS = st.sampled_from(
    ["a", "é", "\r", "\x1b", "\x1b[A", "\x1bOP", "\x1b[<0;10;20M", "\x1b[1;5C", "\x1bx", START, END]
)


def pieces(text: str, size: int) -> list[bytes]:
    data = text.encode()
    return [data[at : at + size] for at in range(0, len(data), size)]


def passed(guard: InputGuard, text: str, size: int = 7) -> str:
    return "".join(map(guard.feed, pieces(text, size)))


@given(st.lists(KEYS, max_size=40), st.integers(1, 9))
def test_keys_and_short_pastes_arrive_unchanged(keys: list[str], size: int) -> None:
    typed = "".join(keys)
    assert passed(InputGuard(), typed, size) == typed


def test_an_escape_key_is_not_held_back() -> None:
    assert InputGuard().feed(b"\x1b") == "\x1b"


@given(st.integers(1, 50))
def test_a_paste_is_cut_and_its_end_arrives_whole(size: int) -> None:
    guard = InputGuard(paste=10)
    assert passed(guard, f"{START}{'x' * 100}{END}after", size) == f"{START}{'x' * 10}{END}after"


def test_control_sequences_in_a_paste_count() -> None:
    guard = InputGuard(paste=10)
    cut = passed(guard, START + "\x1b[1m" * 1000)
    assert len(cut) <= len(START) + 10
    assert passed(guard, END + "y").endswith(END + "y")


def test_each_paste_has_its_own_bound() -> None:
    guard = InputGuard(paste=3)
    assert passed(guard, f"{START}abcd{END}{START}efgh{END}") == f"{START}abc{END}{START}efg{END}"


def test_a_control_sequence_without_an_end_is_cut() -> None:
    guard = InputGuard()
    assert len(passed(guard, "\x1b[" + "1;" * 100_000, 4096)) == SEQUENCE
    assert passed(guard, "1;1;") == ""
    assert passed(guard, "Hx") == "Hx"


def test_a_new_escape_ends_a_control_sequence() -> None:
    assert passed(InputGuard(), "\x1b[12\x1b[A") == "\x1b[12\x1b[A"


def test_what_is_not_utf_8_is_shown_as_such() -> None:
    guard = InputGuard()
    assert guard.feed(b"\xffa\xc3") + guard.feed(b"\xa9") == "\ufffdaé"
