import pytest

from nacre.daemon.accounts.authorized.rhosts import permits


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("h.example", True),
        ("H.Example\tbob", True),
        ("192.0.2.1 bob", True),
        ("+h.example +bob", True),
        ("\n# h.example\nother\nh.example alice\nh.example bob\n", True),
        ("h.example alice", False),
        ("-h.example\nh.example", False),
        ("h.example -bob\nh.example", False),
        ("h.example -alice\nh.example", True),
        ("+", False),
        ("+ bob", False),
        ("h.example +", False),
        ("@group", False),
        ("h.example @group", False),
        ("h.example bob more", False),
        ("#h.example bob", False),
        ("NO_PLUS\nh.example", True),
        ("", False),
    ],
)
def test_who_is_let_in(text: str, expected: bool) -> None:
    names = {"host": "h.example", "address": "192.0.2.1", "host_user": "bob", "user": "bob"}
    assert permits(text.encode(), **names) is expected


def test_a_line_without_a_user_is_for_the_same_name() -> None:
    names = {"host": "h", "address": "h", "host_user": "root", "user": "bob"}
    assert not permits(b"h\n", **names)
    assert permits(b"h root\n", **names)
