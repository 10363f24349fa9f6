"""Options of certificates in the words of ssh-keygen."""

from __future__ import annotations

import pytest

from nacre.errors import ConfigurationError
from nacre.keys.certificate import USER_EXTENSIONS, option
from nacre.keys.certificate_options import CertificateOptions


def test_a_user_may_do_what_is_usual_and_a_host_nothing() -> None:
    assert tuple(CertificateOptions("user").extensions) == USER_EXTENSIONS
    assert CertificateOptions("host").extensions == {}


def test_options_count_in_their_order() -> None:
    made = CertificateOptions("user")
    for text in ("clear", "permit-pty", "Force-Command=date -u", "verify-required", "no-pty"):
        made.add(text)
    assert made.extensions == {}
    assert made.critical == {"force-command": option("date -u"), "verify-required": b""}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("permit-everything", "Unsupported certificate option"),
        ("source-address=host", "Invalid source-address list"),
        ("force-command=", "Empty force-command"),
    ],
)
def test_what_is_no_option(text: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        CertificateOptions("user").add(text)
