"""Codes of a second factor."""

from __future__ import annotations

import base64
import sys

import pytest

from nacre.daemon.store.second_factor.totp import (
    code_at,
    matching,
    new_secret,
    provisioning_uri,
    qr_code,
)
from nacre.errors import ConfigurationError

RFC = b"12345678901234567890"


@pytest.mark.parametrize(
    ("seconds", "code"),
    # RFC 6238, appendix B; the last six of its eight digits.
    [
        (59, "287082"),
        (1111111109, "081804"),
        (1111111111, "050471"),
        (1234567890, "005924"),
        (2000000000, "279037"),
        (20000000000, "353130"),
    ],
)
def test_codes_are_those_of_the_rfc(seconds: int, code: str) -> None:
    assert code_at(RFC, seconds // 30) == code
    assert matching(RFC, code, seconds) == seconds // 30


@pytest.mark.parametrize(("away", "found"), [(-60, False), (-30, True), (30, True), (60, False)])
def test_a_clock_may_be_one_interval_away(away: int, found: bool) -> None:
    now = 1234567890
    assert (matching(RFC, code_at(RFC, now // 30), now + away) == now // 30) is found


@pytest.mark.parametrize("code", ["", "28708", "2870821", "２８７０８２", "\udc80\udc80"])
def test_what_is_no_code_matches_none(code: str) -> None:
    assert matching(RFC, code, 59) is None


def test_the_first_interval_has_none_before_it() -> None:
    assert matching(RFC, code_at(RFC, 0), 0) == 0


def test_the_uri_is_quoted() -> None:
    uri = provisioning_uri(RFC, "a+b@c", "host: x")
    secret = base64.b32encode(RFC).decode()
    assert uri == f"otpauth://totp/host%3A%20x:a%2Bb@c?secret={secret}&issuer=host%3A%20x"


@pytest.mark.parametrize("package", ["pyotp", "segno"])
def test_a_package_that_is_missing_is_named(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigurationError, match=rf"{package}: pip install 'nacre\[server\]'"):
        code_at(RFC, 1) if package == "pyotp" else qr_code("text")


def test_a_picture_fits_a_terminal() -> None:
    lines = qr_code(provisioning_uri(new_secret(), "alice", "files.example.org")).split("\n")
    assert len(lines) <= 23
    assert len({len(line) for line in lines}) == 1
    assert set("".join(lines)) <= set(" ▀▄█")
    assert set(lines[0]) == {"█"}
