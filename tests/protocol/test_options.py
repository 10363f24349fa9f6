"""The lists of algorithms that options select, and the errors for those that they can't."""

from __future__ import annotations

import pytest

from nacre import __version__
from nacre.crypto.registry import CIPHERS, KEX, MACS, SIGNATURES, Tier
from nacre.errors import ConfigurationError
from nacre.keys import generate
from nacre.protocol.options import (
    DEFAULT_ALGORITHMS,
    ClientOptions,
    algorithms,
    choose,
    known,
    usable_with,
)

DEFAULT = choose("cipher", None)
LEGACY = "aes128-cbc"


def test_defaults_are_the_default_tier_in_order() -> None:
    assert tuple(n for n, spec in CIPHERS.items() if spec.tier is Tier.DEFAULT) == DEFAULT
    assert LEGACY not in DEFAULT
    assert algorithms() == DEFAULT_ALGORITHMS


def test_the_legacy_profile_adds_but_never_the_merely_allowed() -> None:
    assert set(DEFAULT) < set(choose("cipher", None, "legacy"))
    assert "zlib" in known("compression")
    assert "zlib" not in choose("compression", None, "legacy")


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (f"+{LEGACY}", (*DEFAULT, LEGACY)),
        (f"^{LEGACY}", (LEGACY, *DEFAULT)),
        (f"^{DEFAULT[1]}", (DEFAULT[1], DEFAULT[0], *DEFAULT[2:])),
        (f"-{DEFAULT[0]}", DEFAULT[1:]),
        ("-aes*gcm*", tuple(n for n in DEFAULT if "gcm" not in n)),
        ("-nothing-like-it", DEFAULT),
        (f"{LEGACY},{DEFAULT[0]},{LEGACY}", (LEGACY, DEFAULT[0])),
        ([LEGACY], (LEGACY,)),
        (f"{LEGACY},", (LEGACY,)),
    ],
)
def test_choices(choice: str | list[str], expected: tuple[str, ...]) -> None:
    assert choose("cipher", choice) == expected


@pytest.mark.parametrize("choice", ["rot13", "+rot13", "^rot13", ["rot13"]])
def test_an_unknown_name_is_refused_with_the_supported_ones(choice: str | list[str]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        choose("cipher", choice)
    assert "'rot13' is not a supported cipher algorithm" in str(caught.value)
    assert ", ".join(known("cipher")) in str(caught.value)


@pytest.mark.parametrize("choice", ["", "-*", [], ","])
def test_an_empty_list_is_refused(choice: str | list[str]) -> None:
    with pytest.raises(ConfigurationError, match="list of MAC algorithms is empty; name at least"):
        choose("MAC", choice)


def test_each_list_of_algorithms_is_of_its_own_kind() -> None:
    made = algorithms(profile="legacy")
    for names, table in (
        (made.kex, KEX),
        (made.ciphers, CIPHERS),
        (made.macs, MACS),
        (made.host_key, SIGNATURES),
        (made.signatures, SIGNATURES),
    ):
        assert names
        assert set(names) <= set(table)


def test_the_software_version_fits_an_identification_line() -> None:
    software = ClientOptions(user="a").software
    assert software == f"nacre_{__version__}"
    assert software.isascii()
    assert not set(" -") & set(software)


@pytest.mark.parametrize(
    ("server", "type", "made", "usable"),
    [
        (None, "ssh-rsa", ("rsa-sha2-512", "ssh-rsa"), ("rsa-sha2-512", "ssh-rsa")),
        (("ssh-rsa",), "ssh-rsa", ("rsa-sha2-512", "ssh-rsa"), ("ssh-rsa",)),
        (("ssh-ed25519",), "ssh-rsa", ("rsa-sha2-512",), ()),
        (("ssh-rsa",), "ecdsa-sha2-nistp256", ("ecdsa-sha2-nistp256",), ("ecdsa-sha2-nistp256",)),
        ((), "ssh-ed25519", ("ssh-ed25519",), ("ssh-ed25519",)),
    ],
)
def test_a_servers_list_of_signatures_is_heeded_for_rsa_alone(
    server: tuple[str, ...] | None,
    type: str,
    made: tuple[str, ...],
    usable: tuple[str, ...],
) -> None:
    assert usable_with(server, generate(type).public, made) == usable
