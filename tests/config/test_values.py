import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacre.config import values
from nacre.config.values import RekeyLimit
from nacre.errors import ConfigurationError
from nacre.limits import DEFAULT_LIMITS


@pytest.mark.parametrize(("text", "expected"), [("yes", True), ("NO", False), ("True", True)])
def test_boolean(text, expected):
    assert values.boolean("Compression", text) is expected


def test_a_bad_boolean_says_what_is_allowed():
    with pytest.raises(ConfigurationError, match=r"Compression: bad value 'maybe'; allowed: yes"):
        values.boolean("Compression", "maybe")


@pytest.mark.parametrize(
    "text", ["0", "65536", "", "22x", "-1", "2 2", "\u0662", "9" * 40, "s\udcd0h"]
)
def test_bad_ports(text):
    with pytest.raises(ConfigurationError, match="Port: bad value"):
        values.port("Port", text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0", 0), ("90", 90), ("90s", 90), ("1h30m", 5400), ("2D", 172800), ("1w", 604800)],
)
def test_seconds(text, expected):
    assert values.seconds("ConnectTimeout", text) == expected


@pytest.mark.parametrize("text", ["", "h", "1x", "-1", "1.5", "1 h", "9999999999", "\u0661s"])
def test_bad_seconds(text):
    with pytest.raises(ConfigurationError, match="a time such as"):
        values.seconds("ConnectTimeout", text)


@given(st.integers(0, 100), st.integers(0, 59), st.integers(0, 59))
def test_seconds_add_up(hours, minutes, seconds):
    text = f"{hours}h{minutes}m{seconds}s"
    assert values.seconds("X", text) == hours * 3600 + minutes * 60 + seconds


@pytest.mark.parametrize(
    ("text", "expected"), [("4096", 4096), ("64K", 65536), ("1m", 1 << 20), ("2G", 2 << 30)]
)
def test_size(text, expected):
    assert values.size("RekeyLimit", text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1G", RekeyLimit(1 << 30)),
        ("1G 1h", RekeyLimit(1 << 30, 3600)),
        ("default none", RekeyLimit(None, 0)),
        ("default", RekeyLimit()),
    ],
)
def test_rekey_limit(text, expected):
    assert values.rekey_limit("RekeyLimit", text.split()) == expected


@pytest.mark.parametrize("text", ["1", "1X", "9999999999T", "1G 1h 1h", "1G x", "none"])
def test_bad_rekey_limit(text):
    with pytest.raises(ConfigurationError, match="RekeyLimit"):
        values.rekey_limit("RekeyLimit", text.split())


def test_names():
    assert values.names("PreferredAuthentications", "publickey,password") == (
        "publickey",
        "password",
    )
    for text in ("", "a,,b", "a, b"):
        with pytest.raises(ConfigurationError, match="commas"):
            values.names("PreferredAuthentications", text)


def test_algorithms():
    assert values.algorithms("Ciphers", "+3des-cbc", "cipher") == "+3des-cbc"
    assert values.algorithms("Ciphers", "aes128-ctr,aes256-ctr", "cipher").startswith("aes128")
    with pytest.raises(ConfigurationError, match=r"Ciphers: 'rot13' is not a supported cipher"):
        values.algorithms("Ciphers", "rot13", "cipher")
    for text in ("++3des-cbc", "aes128-ctr, aes256-ctr"):
        with pytest.raises(ConfigurationError, match="Ciphers"):
            values.algorithms("Ciphers", text, "cipher")


def test_names_that_only_openssh_has_are_dropped():
    text = "umac-64@openssh.com,hmac-sha2-256"
    assert values.algorithms("MACs", text, "MAC") == text
    assert values.own_algorithms("MAC", text) == "hmac-sha2-256"
    assert values.own_algorithms("MAC", "+umac-64@openssh.com") is None
    with pytest.raises(ConfigurationError, match="none of the MAC algorithms umac"):
        values.own_algorithms("MAC", "umac-64@openssh.com")


def test_a_rekey_limit_replaces_the_bounds_that_it_names() -> None:
    assert RekeyLimit().apply(DEFAULT_LIMITS) == DEFAULT_LIMITS
    both = RekeyLimit(1 << 20, 60).apply(DEFAULT_LIMITS)
    assert (both.rekey_bytes, both.rekey_seconds) == (1 << 20, 60.0)
    never = RekeyLimit(None, 0).apply(DEFAULT_LIMITS)
    assert (never.rekey_bytes, never.rekey_seconds) == (DEFAULT_LIMITS.rekey_bytes, 0)


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("cipher", None, ["x", "aes128-ctr", "y"]),
        ("cipher", "aes256-ctr,none", ["aes256-ctr", "none"]),
        ("cipher", "+aes256-ctr,x", ["x", "aes128-ctr", "y", "aes256-ctr"]),
        ("cipher", "^y,aes256-ctr", ["y", "aes256-ctr", "x", "aes128-ctr"]),
        ("cipher", "-aes*,y", ["x"]),
        ("cipher", "-*", []),
        ("signature", "ssh-ed25519*", ["ssh-ed25519", "ssh-ed25519-cert-v01@openssh.com"]),
    ],
)
def test_lists_with_the_names_of_openssh(kind, value, expected):
    assert values.all_algorithms(kind, value, ["x", "aes128-ctr", "y"]) == expected


def test_patterns_stand_for_own_names():
    assert (
        values.own_algorithms("signature", "+ssh-dss*,x")
        == "+ssh-dss,ssh-dss-cert-v01@openssh.com,x"
    )
    assert values.algorithms("HostKeyAlgorithms", "rsa*", "host key") == "rsa*"
    with pytest.raises(ConfigurationError, match="aes"):
        values.algorithms("Ciphers", "aes*", "cipher")
