"""Users whom an issuer of OpenID Connect vouches for: by a browser, or by a token for their key."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from daemon.accounts.directories.token_program import TokenProgram
from interop.clients import Login, askpass
from interop.daemons import Daemon
from interop.issuers import TestIssuer, issuer
from interop.programs import run
from interop.sites import LAYOUTS, Site, by_ssh1
from interop.ssh1_peers import SSH1

pytestmark = pytest.mark.interop


@pytest.fixture
def openid() -> Iterator[TestIssuer]:
    with issuer() as one:
        yield one


def oidc_file(site: Site, openid: TestIssuer, *settings: str) -> str:
    path = site.place / "oidc.toml"
    usual = (f'issuer = "{openid.url}"', 'client_id = "nacre"')
    lines = [*usual, *settings, "[groups]", 'ops = "two"']
    path.write_text("\n".join(lines) + "\n")
    return f"oidc:{path}"


def by_browser(site: Site, server: Daemon, user: str = "alice") -> bytes | None:
    asking = askpass(site.directory, "")
    login = Login(server, user, site.directory)
    done = run([*login.ssh("NumberOfPasswordPrompts=1"), "echo in"], timeout=60, **asking)
    return done.stdout if done.returncode == 0 else None


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_browser_lets_in(site: Site, openid: TestIssuer, layout: str) -> None:
    server = site.start(oidc_file(site, openid), *LAYOUTS[layout])
    assert by_browser(site, server) == b"in\n"
    asked = (site.directory / "asked").read_text()
    assert asked == "Press Enter when you have done so: \n"
    since = len(server.log)
    assert by_browser(site, server, "bob") is None
    server.wait_for("event=refused .*name=bob .*at the issuer the user is alice", since=since)
    # No other method is offered, and a key is none.
    assert site.by_key(server, "alice") is None
    assert site.by_password(server, "alice") is None
    openid.refusal = "access_denied"
    assert by_browser(site, server) is None
    server.wait_for("event=refused .*access_denied")


def test_a_browser_lets_clients_of_ssh1_in(site: Site, openid: TestIssuer, ssh1: SSH1) -> None:
    server = site.start(oidc_file(site, openid), "--protocol", "2,1", "--profile", "legacy")
    client = replace(ssh1, server=server)
    # This client sends no empty response.
    assert by_ssh1(client, "done") == b"in\n"
    assert by_ssh1(client, "done", "bob") is None
    server.wait_for("event=refused .*name=bob .*at the issuer the user is alice")


def test_the_groups_of_an_issuer_count(site: Site, openid: TestIssuer) -> None:
    site.group(name="two", expires=1)
    server = site.start(oidc_file(site, openid))
    openid.claims["groups"] = ["other"]
    assert by_browser(site, server) == b"in\n"
    openid.claims["groups"] = ["other", "ops"]
    assert by_browser(site, server) is None
    server.wait_for("event=refused .*the user has expired")


TOKENS: dict[str, tuple[dict[str, Any], str]] = {
    "another client": ({"aud": "other"}, "Audience"),
    "another issuer": ({"iss": "https://other.example"}, "issuer"),
    "too old": ({"exp": 1}, "expired"),
    "no name": ({"preferred_username": None}, "no claim preferred_username"),
    "no text": ({"preferred_username": ["alice"]}, "no claim preferred_username"),
    "for a party": ({"aud": ["nacre", "other"], "azp": "other"}, "another client"),
}


def test_a_token_that_is_not_right_lets_nobody_in(site: Site, openid: TestIssuer) -> None:
    server = site.start(oidc_file(site, openid))
    for claims, reason in TOKENS.values():
        openid.claims = claims
        since = len(server.log)
        assert by_browser(site, server) is None
        server.wait_for(f"event=refused .*{reason}", since=since)
    openid.claims = {}
    openid.key = TestIssuer().key
    assert by_browser(site, server) is None
    server.wait_for("event=refused .*Signature verification failed")


def test_an_issuer_that_is_gone_lets_nobody_in(site: Site) -> None:
    with issuer() as one:
        server = site.start(oidc_file(site, one))
    assert by_browser(site, server) is None
    server.wait_for("event=refused .*no login at the issuer: no answer of 127.0.0.1")


# --- tokens for SSH keys ---


def by_token(
    site: Site, server: Daemon, key: Path, user: str = "alice", *more: str
) -> tuple[bytes | None, str]:
    login = Login(server, user, site.directory, key)
    words = login.ssh("PreferredAuthentications=publickey", *more)
    done = run([*words, "echo in"], timeout=60)
    return (done.stdout if done.returncode == 0 else None), done.stderr.decode()


def token_key(
    site: Site, openid: TestIssuer, algorithm: str = "ES256", **more: Any
) -> tuple[TokenProgram, Path]:
    """Have an issuer make a token for a new key, and write the key with its certificate."""
    program = TokenProgram(algorithm)
    token = program.token(openid.token(nonce=program.nonce, **more))
    return program, program.write(site.directory / f"token-{algorithm}", token)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_token_for_a_key_lets_in(site: Site, openid: TestIssuer, layout: str) -> None:
    server = site.start(oidc_file(site, openid, "tokens = true"), *LAYOUTS[layout])
    _, key = token_key(site, openid, "EdDSA" if layout == "workers" else "ES256")
    output, problem = by_token(site, server, key)
    assert output == b"in\n", problem
    assert by_token(site, server, key, "bob")[0] is None
    server.wait_for("event=refused .*name=bob .*at the issuer the user is alice")
    # The other way is still there, and a key without a token is none.
    assert by_browser(site, server) == b"in\n"
    assert site.by_key(server, "alice") is None


WRONG_TOKENS: dict[str, tuple[dict[str, Any], str]] = {
    "too old": ({"exp": 1}, "expired"),
    "another nonce": ({"nonce": "x"}, "the nonce of the token is not the hash"),
    "a shared secret": ({"algorithm": "HS256", "key": "0123456789abcdef" * 4}, "alg"),
}


def test_a_token_that_is_not_right_lets_no_key_in(site: Site, openid: TestIssuer) -> None:
    server = site.start(oidc_file(site, openid, "tokens = true"))
    for more, reason in WRONG_TOKENS.values():
        program = TokenProgram()
        token = program.token(openid.token(**{"nonce": program.nonce, **more}))
        key = program.write(site.directory / "wrong", token)
        since = len(server.log)
        output, problem = by_token(site, server, key)
        assert (output, "Permission denied" in problem) == (None, True)
        refused = "event=refused .*method=publickey .*name=alice .*no login by a token"
        server.wait_for(f"{refused}.*{reason}", since=since)
    # The token of one key is none for another, and by default no token is looked at.
    other = TokenProgram()
    stolen = other.write(site.directory / "stolen", program.token(openid.token(nonce=other.nonce)))
    assert by_token(site, server, stolen)[0] is None
    server.wait_for("no login by a token: the token is for another key than the certificate")
    _, key = token_key(site, openid)
    assert by_token(site, server, key)[0] == b"in\n"
    assert by_token(site, site.start(oidc_file(site, openid)), key)[0] is None


def test_a_long_token_and_its_groups(site: Site, openid: TestIssuer) -> None:
    site.group(name="two", service="sftp")
    openid.claims["groups"] = [f"group{number:04}" for number in range(600)]
    server = site.start(oidc_file(site, openid, "tokens = true", 'token_age = "24h"'))
    program, key = token_key(site, openid, exp=1)
    assert len(key.with_name(f"{key.name}-cert.pub").read_text()) > 12_000
    output, problem = by_token(site, server, key)
    assert output == b"in\n", problem
    openid.claims["groups"].append("ops")
    program.write(key, program.token(openid.token(nonce=program.nonce)))
    assert by_token(site, server, key)[0] is None
    server.wait_for("alice may use sftp and scp only|no directory for them")
