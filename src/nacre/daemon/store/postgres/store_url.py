"""The URL of a store in PostgreSQL, and how a connection to it is made."""

from __future__ import annotations

import os
from collections.abc import Mapping
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from nacre.errors import ConfigurationError
from nacre.value import value
from nacre.wire.text import safe

if TYPE_CHECKING:
    import psycopg

SCHEMES = ("postgresql://", "postgres://")

_USUAL: Mapping[str, str] = {
    "application_name": "nacre",
    # A host that is gone is noticed within seconds, not within the kernel's two hours.
    "connect_timeout": "5",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
    # Of several hosts, the one that takes changes.
    "target_session_attrs": "read-write",
}
"""What holds where the URL does not say it."""

_BOUNDS = "-c statement_timeout=30s -c lock_timeout=10s -c idle_in_transaction_session_timeout=60s"
"""What bounds each session, before the options of the URL."""


@value
class StoreURL:
    """The URL of a database, without a password.

    :ivar text: as it was given.
    """

    text: str

    def connect(self, **more: Any) -> psycopg.Connection[Any]:
        """Open a connection.

        :param more: parameters of :func:`psycopg.connect`.
        :raises psycopg.Error: the server can't be reached, or refuses.
        """
        import psycopg

        # A newer server of this store may change the tables, which prepared statements do not bear.
        usual: dict[str, Any] = {**_missing(self.text), "prepare_threshold": None}
        return psycopg.connect(self.text, **usual, **more)


def store_url(text: str) -> StoreURL:
    """Return the URL that a user has given.

    :raises ConfigurationError: it is none, it has a password, or the extra is not installed.
    """
    if not text.startswith(SCHEMES):
        raise ConfigurationError(
            f"--store {safe(text, 64)}: give a URL such as postgresql://nacre@db.example.org/nacre"
        )
    try:
        import psycopg
    except ImportError:
        raise ConfigurationError(
            "--store needs a library: install it with `pip install 'nacre[postgres]'`"
        ) from None
    try:
        given = _parameters(text)
    except psycopg.Error:  # its text may have the password
        raise ConfigurationError(
            "--store: PostgreSQL's library can't read this URL: give one such as "
            "postgresql://nacre@db.example.org/nacre"
        ) from None
    for name in ("password", "sslpassword"):
        if name in given:
            raise ConfigurationError(
                f"--store has a {name}, which others could read in the list of processes: leave it "
                "out of the URL, and put it into ~/.pgpass (mode 0600), a file that `passfile=` in "
                "the URL names, or PGPASSWORD"
            )
    return StoreURL(text)


def _parameters(text: str) -> dict[str, Any]:
    from psycopg.conninfo import conninfo_to_dict

    return conninfo_to_dict(text)


def _missing(text: str) -> dict[str, str]:
    """Return the parameters that hold beside those of the URL.

    A server that is reached over a network must prove who it is: by default libpq would take any
    certificate, and none. One that a service names may be anywhere.
    """
    given = _parameters(text)
    usual = {name: text for name, text in _USUAL.items() if name not in given}
    usual["options"] = " ".join(filter(None, (_BOUNDS, given.get("options"))))
    if not _told(given, "sslmode") and (_told(given, "service") or not _all_here(given)):
        usual["sslmode"] = "verify-full"
    return usual


def _told(given: Mapping[str, Any], name: str) -> str:
    """Return what the URL or the environment says of a parameter, or an empty text."""
    return str(given.get(name) or os.environ.get(f"PG{name.upper()}") or "")


def _all_here(given: Mapping[str, Any]) -> bool:
    """Tell whether each server that libpq may connect to is on this host."""
    addresses = _told(given, "hostaddr").split(",")
    # An address counts before the host of its place in the list.
    named = _told(given, "host").split(",") if "" in addresses else []
    return all(map(_is_here, [*addresses, *named]))


def _is_here(host: str) -> bool:
    """Tell whether a host is this one: the path of a socket, or an address of the loopback."""
    if host in ("", "localhost") or host.startswith(("/", "@")):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
