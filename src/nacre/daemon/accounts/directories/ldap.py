"""Users in LDAP: entries that a search finds, and passwords that a bind verifies (RFC 4511, 4513).

The library is bonsai, over OpenLDAP's. Its licence is permissive and it is looked after, which is
not so with ldap3, the one that needs no compiler. It is a lot of C, and can't end a handshake of
TLS that hangs: so a process of its own loads it (helpers/ldap_process.py), without rights.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from nacre.daemon.accounts.directories.answers import read_keys
from nacre.daemon.accounts.directories.files import Table, read_secret
from nacre.daemon.accounts.directories.values import SECONDS, Asker, PasswordOutcome
from nacre.errors import AccountError, ConfigurationError
from nacre.wire.text import safe

if TYPE_CHECKING:
    from bonsai import LDAPClient, LDAPConnection, LDAPEntry

T = TypeVar("T")

_PATIENCE = SECONDS - 2
"""Seconds for the server, so that there is time to say that it has not answered."""

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_PORTS = {"ldap", "ldaps", "ldapi"}
_RESTRICTED = "Operations are restricted to bind"
"""What OpenLDAP says to somebody who has to change the password first."""

_MOST_GROUPS = 1000
"""Groups that a search for those of a user may find."""

_LISTS = ("folders", "rights")
_FLAGS = {"TRUE": True, "FALSE": False}
_FLAG_SETTINGS = ("disabled", "read_only")
_NUMBER_SETTINGS = ("expires", "max_sessions")
_NOT_MAPPED = ("keys", "groups")


@dataclass(frozen=True, slots=True, kw_only=True)
class LDAPSettings:
    """The settings of a file of ``--users ldap:``; docs/directories.md describes them.

    :ivar attributes: the attribute for each setting of a user that an entry has.
    :ivar groups: the group of the store for each group of the directory, by its name (``cn``) or
        its distinguished name, in small letters.
    """

    url: str
    base: str
    filter: str
    name_attribute: str
    key_attribute: str
    bind_dn: str
    password: str = field(repr=False)
    start_tls: bool
    ca_file: str
    member_of: str
    group_base: str
    member_attribute: str
    attributes: Mapping[str, str]
    groups: Mapping[str, str]

    @classmethod
    def read(cls, path: str) -> LDAPSettings:
        """Return the settings of a file. Blocks.

        :raises ConfigurationError: one is missing, unknown or wrong, or the password can't be read.
        """
        table = Table.read(path)
        url, start_tls = table.take("url", str), table.take("start_tls", bool, False)
        _check_url(path, url, start_tls)
        bind_dn = table.take("bind_dn", str, "")
        password_file = table.take("password_file", str, "")
        if bool(bind_dn) != bool(password_file):
            raise ConfigurationError(f"{path}: bind_dn and password_file go together")
        ca_file = table.take("ca_file", str, "")
        if ca_file and not os.access(ca_file, os.R_OK):
            raise ConfigurationError(f"{path}: can't read the ca_file {ca_file}")
        attributes = table.texts("attributes")
        for name in _NOT_MAPPED:
            if name in attributes:
                raise ConfigurationError(f"{path}: {name} has a setting of its own")
        found = cls(
            url=url,
            base=table.take("base", str),
            filter=table.take("filter", str, "(objectClass=*)"),
            name_attribute=table.take("name_attribute", str, "uid"),
            key_attribute=table.take("key_attribute", str, "sshPublicKey"),
            bind_dn=bind_dn,
            password=read_secret(password_file) if password_file else "",
            start_tls=start_tls,
            ca_file=ca_file,
            member_of=table.take("member_of", str, ""),
            group_base=table.take("group_base", str, ""),
            member_attribute=table.take("member_attribute", str, "member"),
            attributes=attributes,
            groups={name.casefold(): group for name, group in table.texts("groups").items()},
        )
        table.end()
        return found


def _check_url(path: str, url: str, start_tls: bool) -> None:
    """Check that passwords do not go over a network without TLS."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise ConfigurationError(f"{path}: {url}: {error}") from None
    if parts.scheme not in _PORTS:
        raise ConfigurationError(f"{path}: {url} is no URL of ldaps, ldap or ldapi")
    if parts.scheme == "ldap" and not start_tls and parts.hostname not in _LOOPBACK:
        raise ConfigurationError(
            f"{path}: passwords do not go over a network without TLS: use ldaps://, or "
            "start_tls = true"
        )
    if parts.scheme != "ldap" and start_tls:
        raise ConfigurationError(f"{path}: start_tls is for ldap:// alone")


def check_library() -> None:
    """Check that the library is there, without loading it.

    :raises ConfigurationError: it is not.
    """
    if find_spec("bonsai") is None:
        raise ConfigurationError("--users ldap: needs the extra ldap: pip install 'nacre[ldap]'")


class LDAPServer:
    """An LDAP server, as the process without rights asks it.

    Each question has connections of its own: a server that was restarted is asked as if nothing had
    been, and no connection has the rights of somebody else's password.
    """

    def __init__(self, settings: LDAPSettings) -> None:
        import bonsai

        self._settings = settings
        self._bonsai = bonsai
        self._attributes = tuple(
            {
                settings.name_attribute,
                settings.key_attribute,
                *settings.attributes.values(),
                *filter(None, [settings.member_of]),
            }
        )

    # --- a question ---

    def find(self, asker: Asker) -> dict[str, object] | None:
        """Return what an answer in JSON says of a user, or None. Blocks.

        :raises AccountError: the server gives no answer, or the entry can't be used.
        """
        return self._asked(lambda deadline: self._find(asker, deadline))

    def check(self, asker: Asker, password: str) -> PasswordOutcome:
        """Verify a password by a bind. Blocks.

        :raises AccountError: the server gives no answer.
        """
        if not password:  # RFC 4513 section 5.1.2: such a bind succeeds, and proves nothing
            return "wrong"
        return self._asked(lambda deadline: self._check(asker, password, deadline))

    def _asked(self, question: Callable[[float], T]) -> T:
        errors = self._bonsai.errors
        try:
            return question(monotonic() + _PATIENCE)
        except (errors.TimeoutError, TimeoutError):
            raise AccountError(
                f"{self._settings.url} took more than {_PATIENCE:g} seconds"
            ) from None
        except errors.LDAPError as error:
            reason = safe(f"{type(error).__name__}: {error}", 300)
            raise AccountError(f"{self._settings.url}: {reason}") from None

    def _find(self, asker: Asker, deadline: float) -> dict[str, object] | None:
        with self._connected(self._settings.bind_dn, self._settings.password, deadline) as server:
            entry = self._entry(server, asker.name, deadline)
            if entry is None:
                return None
            groups = self._groups(server, entry, deadline)
        return self._user(entry, groups)

    def _check(self, asker: Asker, password: str, deadline: float) -> PasswordOutcome:
        with self._connected(self._settings.bind_dn, self._settings.password, deadline) as server:
            entry = self._entry(server, asker.name, deadline)
        # Who does not exist takes a bind too, as an entry that cannot be: a name of 32 random
        # digits.
        dn = f"cn={os.urandom(16).hex()},{self._settings.base}" if entry is None else str(entry.dn)
        outcome = self._bind(dn, password, deadline)
        return "wrong" if entry is None else outcome

    def _bind(self, dn: str, password: str, deadline: float) -> PasswordOutcome:
        errors = self._bonsai.errors
        if not dn:
            return "wrong"
        try:
            with self._connected(dn, password, deadline, ask_policy=True) as server:
                return "expired" if self._has_to_change(server, dn, deadline) else "right"
        except (errors.PasswordExpired, errors.ChangeAfterReset):
            return "expired"
        except _refusals(errors):
            return "wrong"

    def _has_to_change(self, server: LDAPConnection, dn: str, deadline: float) -> bool:
        """Tell whether somebody who has bound may do nothing but change the password.

        The library does not pass on what the server has said of that when it let the user in.
        """
        errors = self._bonsai.errors
        try:
            scope = self._bonsai.LDAPSearchScope.BASE
            server.search(dn, scope, "(objectClass=*)", ["1.1"], timeout=_left(deadline))
        except (errors.UnwillingToPerform, errors.InsufficientAccess) as error:
            # 389 Directory Server, and OpenLDAP, where users may lack the right to see themselves.
            unwilling = isinstance(error, errors.UnwillingToPerform)
            return unwilling or _RESTRICTED in str(error)
        except errors.NoSuchObjectError:
            pass
        return False

    # --- the server ---

    def _connected(
        self, dn: str, password: str, deadline: float, *, ask_policy: bool = False
    ) -> LDAPConnection:
        """Return a connection that is bound as somebody, or as nobody for an empty name.

        :param ask_policy: ask whether the password has expired (draft-behera-ldap-password-policy).
        """
        settings = self._settings
        client: LDAPClient = self._bonsai.LDAPClient(settings.url, settings.start_tls)
        client.set_cert_policy("demand")
        if settings.ca_file:
            client.set_ca_cert(settings.ca_file)
        client.set_server_chase_referrals(False)
        client.set_ignore_referrals(True)
        client.set_auto_page_acquire(False)
        if dn:
            client.set_credentials("SIMPLE", user=dn, password=password)
        if ask_policy:
            client.set_password_policy(True)
        connection = client.connect(timeout=_left(deadline))
        # With a policy it is a pair of the connection and what the policy says.
        return connection[0] if isinstance(connection, tuple) else connection

    def _entry(self, server: LDAPConnection, name: str, deadline: float) -> LDAPEntry | None:
        """Return the one entry that has this name, in the same letters.

        :raises AccountError: several have it.
        """
        settings = self._settings
        named = f"({settings.name_attribute}={self._bonsai.escape_filter_exp(name)})"
        entries = server.search(
            settings.base,
            self._bonsai.LDAPSearchScope.SUBTREE,
            f"(&{settings.filter}{named})",
            list(self._attributes),
            timeout=_left(deadline),
            sizelimit=2,
        )
        # LDAP finds ALICE for alice: but rules of the configuration know one of them alone.
        same = [one for one in entries if name in _values(one, settings.name_attribute)]
        if len(entries) > 1:
            raise AccountError(f"several entries have the name {safe(name, 64)}")
        return same[0] if same else None

    def _groups(self, server: LDAPConnection, entry: LDAPEntry, deadline: float) -> list[str]:
        """Return the groups of the store that an entry's groups stand for, sorted."""
        settings = self._settings
        names = _values(entry, settings.member_of) if settings.member_of else []
        if settings.group_base:
            member = self._bonsai.escape_filter_exp(str(entry.dn))
            found = server.search(
                settings.group_base,
                self._bonsai.LDAPSearchScope.SUBTREE,
                f"({settings.member_attribute}={member})",
                ["cn"],
                timeout=_left(deadline),
                sizelimit=_MOST_GROUPS,
            )
            for group in found:
                names += [str(group.dn), *_values(group, "cn")]
        known = (settings.groups.get(name.casefold()) for name in names)
        return sorted({group for group in known if group is not None})

    def _user(self, entry: LDAPEntry, groups: list[str]) -> dict[str, object]:
        given: dict[str, object] = {"groups": groups}
        for setting, attribute in self._settings.attributes.items():
            values = _values(entry, attribute)
            if values:
                given[setting] = _setting(setting, attribute, values)
        # A directory has keys for other servers too, of types that nobody knows here.
        lines = _values(entry, self._settings.key_attribute)
        given["keys"] = [line.strip() for line in lines if _is_key(line)]
        return given


def _is_key(line: str) -> bool:
    return "\n" not in line.strip() and bool(read_keys([line], skip=True))


def _left(deadline: float) -> float:
    left = deadline - monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _refusals(errors: Any) -> tuple[type[Exception], ...]:
    """Return what a bind fails with where the server has answered that it is refused."""
    return (
        errors.AuthenticationError,
        errors.InvalidDN,
        errors.NoSuchObjectError,
        errors.InsufficientAccess,
        errors.UnwillingToPerform,
    )


def _values(entry: LDAPEntry, attribute: str) -> list[str]:
    """Return the values of an attribute that are text."""
    return [
        one.decode(errors="replace") if isinstance(one, bytes) else str(one)
        for one in entry.get(attribute, [])
    ]


def _setting(setting: str, attribute: str, values: list[str]) -> object:
    """Return what an attribute says, as an answer in JSON would have it.

    :raises AccountError: it can't be read.
    """
    if setting in _LISTS:
        return values
    if len(values) > 1:
        raise AccountError(f"the entry has several values of {attribute}")
    (value,) = values
    if setting in _FLAG_SETTINGS:
        if value.upper() not in _FLAGS:
            raise AccountError(f"{attribute} is neither TRUE nor FALSE")
        return _FLAGS[value.upper()]
    if setting in _NUMBER_SETTINGS:
        if not value.isdecimal() or len(value) > 20:
            raise AccountError(f"{attribute} is no number")
        return int(value)
    return value
