import pytest

from nacre.config.client.numeric import numeric


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("0x7f.1", "127.0.0.1"),
        ("0177.1", "127.0.0.1"),
        ("5", "0.0.0.5"),
        ("0:0::1", "::1"),
        ("FE80::1%lo", "fe80::1%lo"),
        ("::ffff:1.2.3.4", "::ffff:1.2.3.4"),
        ("256.1.1.1", None),
        ("1.2.3.4.5", None),
        ("[::1]", None),
        ("face", None),
        ("localhost", None),
        ("h:22", None),
        ("", None),
    ],
)
def test_numeric(host, expected):
    assert numeric(host) == expected


def test_an_address_of_the_other_family_is_a_name():
    assert numeric("1", "inet6") is None
    assert numeric("1", "inet") == "0.0.0.1"
    assert numeric("0::1", "inet") is None
    assert numeric("0::1", "inet6") == "::1"
