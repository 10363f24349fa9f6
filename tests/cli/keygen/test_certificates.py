"""``nacre keygen -L``. ssh-keygen beside it: tests/interop."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.keygen.programs import Keygen
from nacre.cli.keygen.certificates import validity
from nacre.keys import Certificate, generate
from nacre.keys.certificate import FOREVER, option
from nacre.keys.times import show_time

CA = generate("ssh-ed25519")
KEY = generate("ssh-ed25519").public
FULL = Certificate.issue(
    KEY,
    CA,
    key_id="my id\x1b[2J",
    principals=["a", "b"],
    serial=7,
    critical_options={"force-command": option("ls"), "verify-required": b"", "x": b"\1\2"},
    extensions={"permit-pty": b"", "y@z": b""},
)


def test_a_certificate_is_shown(keygen: Keygen) -> None:
    Path("c").write_text(f"{FULL} comment\n")
    done = keygen("-L", "-f", "c")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == (
        f"""c:
        Type: ssh-ed25519-cert-v01@openssh.com user certificate
        Public key: ED25519-CERT {KEY.fingerprint()}
        Signing CA: ED25519 {CA.public.fingerprint()} (using ssh-ed25519)
        Key ID: "my id\\x1b[2J"
        Serial: 7
        Valid: forever
        Principals:{" "}
                a
                b
        Critical Options:{" "}
                force-command ls
                verify-required
                x UNKNOWN OPTION: 0102 (len 2)
        Extensions:{" "}
                permit-pty
                y@z UNKNOWN FLAG OPTION
"""
    )


def test_certificates_of_several_lines_are_shown_and_others_are_told(keygen: Keygen) -> None:
    host = Certificate.issue(KEY, CA, kind="host")
    done = keygen("-L", "-f", "-", typed=f"# comment\n{KEY}\nnonsense\n{host}\n{FULL}\n")
    assert done.exit_code == 0
    assert "(stdin):2 is not a certificate\n(stdin):3: invalid key" in done.stderr
    assert done.stdout.count("(stdin):") == 2
    assert "host certificate" in done.stdout
    assert "Principals: (none)\n        Critical Options: (none)\n" in done.stdout


@pytest.mark.parametrize(
    ("content", "status"), [(f"{KEY}\n", 1), ("", 1), (None, 255)], ids=["key", "empty", "none"]
)
def test_a_file_without_certificates(keygen: Keygen, content: str | None, status: int) -> None:
    if content is not None:
        Path("c").write_text(content)
    assert keygen("-L", "-f", "c").exit_code == status


@pytest.mark.parametrize(
    ("after", "before", "shown"),
    [
        (0, FOREVER, "forever"),
        (5, FOREVER, f"after {show_time(5)}"),
        (0, 5, f"before {show_time(5)}"),
        (5, 9, f"from {show_time(5)} to {show_time(9)}"),
    ],
)
def test_validity_is_told(after: int, before: int, shown: str) -> None:
    assert validity(Certificate.issue(KEY, CA, valid_after=after, valid_before=before)) == shown
