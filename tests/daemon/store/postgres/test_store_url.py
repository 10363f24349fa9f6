"""URLs of stores: which ones are taken, and what holds where they do not say it."""

from __future__ import annotations

import pytest

from nacre.daemon.store.postgres import store_url as module
from nacre.daemon.store.postgres.store_url import store_url
from nacre.errors import ConfigurationError


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGHOST", "PGHOSTADDR", "PGSERVICE", "PGSSLMODE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("users.db", "give a URL such as"),
        ("mysql://db/nacre", "give a URL such as"),
        ("postgresql://[::1/nacre", "can't read this URL"),
        ("postgresql://nacre:secret@db/nacre", "has a password"),
        ("postgresql://nacre@db/nacre?password=secret", "has a password"),
        ("postgresql://nacre@db/nacre?sslpassword=secret", "has a sslpassword"),
    ],
)
def test_a_url_that_is_none_or_shows_a_secret_is_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as failed:
        store_url(text)
    assert "secret" not in str(failed.value)


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("postgresql://db.example.org/nacre", "verify-full"),
        ("postgresql://127.0.0.1,db.example.org/nacre", "verify-full"),
        ("postgresql://db.example.org/nacre?sslmode=disable", None),
        ("postgresql://db.example.org/nacre?service=nacre", "verify-full"),
        ("postgresql:///nacre?service=nacre", "verify-full"),
        ("postgresql:///nacre?service=nacre&sslmode=require", None),
        ("postgresql://db.example.org/nacre?hostaddr=127.0.0.1", None),
        ("postgresql://localhost/nacre?hostaddr=192.0.2.1", "verify-full"),
        ("postgresql://localhost,db.example.org/nacre?hostaddr=127.0.0.1,", "verify-full"),
        ("postgresql://localhost/nacre", None),
        ("postgresql://127.0.0.1/nacre", None),
        ("postgresql://[::1]:5433/nacre", None),
        ("postgresql:///nacre?host=/run/postgresql", None),
        ("postgresql:///nacre", None),
    ],
)
def test_a_server_elsewhere_must_prove_who_it_is_unless_the_url_says_how(
    text: str, mode: str | None
) -> None:
    assert module._missing(store_url(text).text).get("sslmode") == mode


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("PGHOST", "db.example.org", "postgresql:///nacre"),
        ("PGHOSTADDR", "192.0.2.1", "postgresql:///nacre"),
        ("PGHOSTADDR", "192.0.2.1", "postgresql://localhost/nacre"),
        ("PGSERVICE", "nacre", "postgresql:///nacre"),
        ("PGSERVICE", "nacre", "postgresql://localhost/nacre"),
    ],
)
def test_the_host_of_the_environment_must_prove_who_it_is(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, text: str
) -> None:
    monkeypatch.setenv(name, value)
    assert module._missing(text)["sslmode"] == "verify-full"
    monkeypatch.setenv("PGSSLMODE", "require")
    assert "sslmode" not in module._missing(text)


def test_what_the_url_says_counts_before_what_is_usual() -> None:
    given = "postgresql:///nacre?connect_timeout=60&options=-c%20search_path%3Dother"
    usual = module._missing(given)
    assert "connect_timeout" not in usual
    assert usual["application_name"] == "nacre"
    assert usual["options"].endswith(" -c search_path=other")
    assert usual["options"].startswith("-c statement_timeout=")
