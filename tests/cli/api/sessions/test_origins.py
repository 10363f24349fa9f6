"""Origins where security keys work."""

from __future__ import annotations

import pytest

from nacre.cli.api.sessions.origins import WrongOrigin, rp_id_of


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://console.example.org", "console.example.org"),
        ("https://console.example.org:8443", "console.example.org"),
        ("https://intranet", "intranet"),
        ("http://localhost:8080", "localhost"),
        ("http://one.localhost:8080", "one.localhost"),
    ],
)
def test_the_host_name_of_an_origin_is_its_rp_id(origin: str, host: str) -> None:
    assert rp_id_of(origin) == host


@pytest.mark.parametrize(
    ("origin", "why"),
    [
        ("http://console.example.org", "need HTTPS"),
        ("http://localhost.example.org", "need HTTPS"),
        ("http://notlocalhost", "need HTTPS"),
        ("https://127.0.0.1:8443", "IP address"),
        ("https://127.1", "IP address"),
        ("https://2130706433", "IP address"),
        ("https://[::1]", "without a path"),
        ("https://console.example.org/", "without a path"),
        ("https://Console.example.org", "lower case"),
        ("https://user@console.example.org", "without a path"),
        ("https://console.example.org:443", "browsers leave :443 out"),
        ("http://localhost:80", "browsers leave :80 out"),
        ("https://console.example.org:65536", "without a path"),
        ("https://console.example.org\n", "without a path"),
        ("https://" + "a" * 300, "without a path"),
        ("ftp://console.example.org", "https://"),
        ("", "https://"),
    ],
)
def test_what_browsers_take_for_none_is_refused(origin: str, why: str) -> None:
    with pytest.raises(WrongOrigin, match=why):
        rp_id_of(origin)
