"""``nacre keygen -s``. ssh-keygen beside it: tests/interop."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.keygen.programs import Keygen
from nacre.cli.keygen.certify import parse_validity
from nacre.errors import ConfigurationError
from nacre.keys import Certificate, dump_private, generate, load_public
from nacre.keys.certificate import FOREVER, USER_EXTENSIONS, option

CA = generate("ssh-ed25519")
RSA = generate("ssh-rsa", bits=1024)
KEY = generate("ecdsa-sha2-nistp256").public


@pytest.fixture(autouse=True)
def _files(keygen: Keygen) -> None:
    for name, key in (("ca", CA), ("rsa", RSA)):
        Path(name).write_bytes(dump_private(key))
        Path(name).chmod(0o600)
        Path(f"{name}.pub").write_text(f"{key.public}\n")
    Path("key.pub").write_text(f"{KEY} my key\n")


def issued(keygen: Keygen, *words: str, ca: str = "ca") -> Certificate:
    done = keygen("-q", "-s", ca, "-I", "id", *words, "key.pub")
    assert (done.exit_code, done.stderr) == (0, "")
    found, comment = load_public(Path("key-cert.pub").read_bytes())
    assert comment == "my key"
    assert isinstance(found, Certificate)
    return found


def test_a_certificate_has_what_the_command_line_says(keygen: Keygen) -> None:
    done = keygen("-s", "ca", "-I", "id", "-n", "a,b", "-z", "5", "-V", "0x1:forever", "key.pub")
    assert done.exit_code == 0
    assert done.stderr.startswith(
        'Signed user key key-cert.pub: id "id" serial 5 for a,b valid after '
    )
    found, _ = load_public(Path("key-cert.pub").read_bytes())
    assert isinstance(found, Certificate)
    assert (found.kind, found.key_id, found.principals, found.serial) == (1, "id", ("a", "b"), 5)
    assert (found.valid_after, found.valid_before) == (1, FOREVER)
    assert (found.key, found.authority) == (KEY, CA.public)
    assert tuple(found.extensions) == USER_EXTENSIONS
    assert Path("key-cert.pub").stat().st_mode & 0o777 == 0o644


def test_a_host_certificate_permits_nothing(keygen: Keygen) -> None:
    found = issued(keygen, "-h", "-n", "h.example")
    assert (found.kind, found.extensions) == (2, {})


def test_serial_numbers_grow_over_several_files(keygen: Keygen) -> None:
    assert keygen("-q", "-s", "ca", "-I", "x", "-z", "+7", "key.pub", "rsa.pub").exit_code == 0
    found = [load_public(Path(f"{name}-cert.pub").read_bytes())[0] for name in ("key", "rsa")]
    assert [one.serial for one in found if isinstance(one, Certificate)] == [7, 8]


@pytest.mark.parametrize(
    ("words", "algorithm"),
    [
        ([], "rsa-sha2-512"),
        (["-t", "rsa-sha2-256"], "rsa-sha2-256"),
        (["-t", "ssh-rsa"], "ssh-rsa"),
    ],
)
def test_an_rsa_key_signs_with_the_hash_of_t(keygen: Keygen, words, algorithm: str) -> None:
    assert issued(keygen, *words, ca="rsa").signature_algorithm == algorithm


def test_options_make_critical_options_and_extensions(keygen: Keygen) -> None:
    words = [
        "clear",
        "permit-PTY",
        "force-command=ls -l",
        "source-address=10.0.0.0/8,::1",
        "verify-required",
        "critical:x@y=1",
        "extension:z",
        "no-touch-required",
        "permit-user-rc",
        "no-user-rc",
    ]
    found = issued(keygen, *(word for one in words for word in ("-O", one)))
    assert found.critical_options == {
        "force-command": option("ls -l"),
        "source-address": option("10.0.0.0/8,::1"),
        "verify-required": b"",
        "x@y": option("1"),
    }
    assert found.extensions == {"no-touch-required": b"", "permit-pty": b"", "z": b""}


def test_a_key_of_a_private_file_is_certified(keygen: Keygen) -> None:
    assert keygen("-q", "-s", "ca", "-I", "x", "rsa").exit_code == 0
    assert Path("rsa-cert.pub").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-s", "ca", "key.pub"], "Must specify key id (-I) when certifying"),
        (["-s", "none", "-I", "x", "key.pub"], "none: No such file"),
        (["-s", "ca", "-I", "x", "none"], 'load pubkey "none": No such file'),
        (["-s", "ca", "-I", "x", "-n", "a,,b", "key.pub"], "Empty principal name"),
        (["-s", "ca", "-I", "x", "-n", ",".join(["a"] * 257), "key.pub"], "Too many certificate"),
        (["-s", "ca", "-I", "x", "-z", "-1", "key.pub"], 'Invalid serial number "-1"'),
        (["-s", "ca", "-I", "x", "-z", "18446744073709551616", "key.pub"], "Invalid serial"),
        (["-s", "ca", "-I", "x", "-t", "rsa-sha2-512", "key.pub"], "doesn't match specified"),
        (["-s", "ca", "-I", "x", "-O", "foo", "key.pub"], 'Unsupported certificate option "foo"'),
        (["-s", "ca", "-I", "x", "-O", "force-command=", "key.pub"], "Empty force-command"),
        (["-s", "ca", "-I", "x", "-O", "source-address=x", "key.pub"], "Invalid source-address"),
        (["-s", "ca", "-I", "x", "-O", "source-address=1.2.3.4/8", "key.pub"], "host bits"),
        (["-s", "ca", "-I", "x", "-D", "lib.so", "key.pub"], "no PKCS#11 libraries"),
        (["-s", "ca.pub", "-I", "x", "-U", "key.pub"], "there is no agent"),
        (["-s", "none", "-I", "x", "-U", "key.pub"], "Cannot load CA public key none"),
    ],
    ids=range(15),
)
def test_what_can_not_be_certified(
    keygen: Keygen, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    done = keygen(*words)
    assert done.exit_code == 255
    assert said in done.stderr


def test_an_option_counts_once(keygen: Keygen) -> None:
    done = keygen(
        "-s", "ca", "-I", "x", "-O", "force-command=a", "-O", "force-command=b", "key.pub"
    )
    assert "force-command already specified" in done.stderr


def test_a_certificate_is_not_certified(keygen: Keygen) -> None:
    issued(keygen)
    done = keygen("-s", "ca", "-I", "x", "key-cert.pub")
    assert done.exit_code == 255
    assert "cannot be certified" in done.stderr


NOW = 1_700_000_000
DAY = 86400


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, (0, FOREVER)),
        ("always:forever", (0, FOREVER)),
        ("+1w2d", (1_699_999_920, NOW + 9 * DAY)),
        ("+90", (1_699_999_920, NOW + 90)),
        ("-1d:+1h30m", (NOW - DAY, NOW + 5400)),
        ("+1d:+2d", (NOW + DAY, NOW + 2 * DAY)),
        ("20200101Z:20210101000000Z", (1577836800, 1609459200)),
        ("0x10:0xff", (16, 255)),
        ("-1m:forever", (NOW - 60, FOREVER)),
    ],
)
def test_intervals(text: str | None, expected: tuple[int, int]) -> None:
    assert parse_validity(text, NOW) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("20300101", "Invalid certificate life specification"),
        (":+1d", "Invalid certificate life"),
        ("+1d:", "Invalid certificate life"),
        ("", "Invalid certificate life"),
        ("+5x", "Invalid relative certificate time"),
        ("+", "Invalid relative certificate time"),
        ("-3000w:+1d", "cannot be represented"),
        ("soon:forever", 'Invalid from time "soon"'),
        ("always:soon", 'Invalid to time "soon"'),
        ("0xg:forever", 'Invalid from time "0xg"'),
        ("0x1_0:forever", "Invalid from time"),
        ("0x1:0x10000000000000000", "Invalid to time"),
        ("+2d:+1d", "Empty certificate validity interval"),
        ("forever:always", "Invalid from time"),
    ],
)
def test_other_intervals_are_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        parse_validity(text, NOW)
