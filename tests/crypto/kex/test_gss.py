"""The names of key exchange methods of GSSAPI, and what they compute."""

from __future__ import annotations

import base64
import hashlib
import os

import pytest

from nacre.crypto.kex.gss import METHODS, PREFIXES, methods
from nacre.crypto.registry import EXCHANGES, KEX
from nacre.protocol.gssapi import KERBEROS


def test_names_end_in_the_hash_of_the_mechanism() -> None:
    hashed = base64.b64encode(hashlib.md5(KERBEROS).digest()).decode()
    assert tuple(METHODS) == tuple(f"{prefix}{hashed}" for prefix in PREFIXES)


@pytest.mark.parametrize("name", METHODS)
def test_both_sides_compute_the_secret_of_the_plain_method(name: str) -> None:
    method = METHODS[name]
    assert EXCHANGES[name] is method
    assert name not in KEX
    assert (method.family, method.supported()) == ("gss", True)
    client = method.initiate(os.urandom)
    server, secret = method.respond(client.public, os.urandom)
    assert client.finish(server) == secret


def test_a_list_of_the_configuration_keeps_its_order_and_loses_sha1() -> None:
    listed = ("gss-group14-sha256-", "gss-gex-sha1-", "gss-nistp256-sha256-")
    assert [name.rpartition("-")[0] for name in methods(listed)] == [
        "gss-group14-sha256",
        "gss-nistp256-sha256",
    ]
    assert methods(None) == tuple(METHODS)
    assert methods(("gss-group1-sha1-",)) == ()
