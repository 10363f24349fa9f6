"""The tables of the store, and the statements of a login."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, get_type_hints

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    bindparam,
    case,
    exists,
    func,
    literal,
    select,
)

from nacre.daemon.store.values import GROUP_SETTINGS, LISTED, SETTINGS, USUAL, GroupSettings

METADATA = MetaData()

NUMBER = BigInteger().with_variant(Integer(), "sqlite")
"""A number of 64 bits: a time, a size or a count. PostgreSQL's INTEGER has 32 bits, and of SQLite's
types INTEGER alone counts up as a key."""

_COLUMNS: dict[Any, Boolean | BigInteger | String] = {
    bool | None: Boolean(),
    int | None: NUMBER,
    str | None: String(),
}
"""The types of columns by those of settings."""


def _settings(names: Iterable[str] = SETTINGS) -> list[Column[Any]]:
    """Return new columns for settings of users or groups: each may be null."""
    kinds = get_type_hints(GroupSettings)
    return [Column(name, _COLUMNS[kinds[name]]) for name in names]


USERS = Table(
    "users",
    METADATA,
    Column("name", String, primary_key=True),
    Column("password", String),
    Column("disabled", Boolean, nullable=False),
    Column("created", NUMBER, nullable=False),
    Column("password_changed", NUMBER, nullable=False, server_default="0"),
    Column("must_change", Boolean, nullable=False, server_default="0"),
    *_settings(),
)
Index("users_by_auth", USERS.c.auth)
GROUPS = Table(
    "groups",
    METADATA,
    Column("name", String, primary_key=True),
    Column("created", NUMBER, nullable=False),
    *_settings(GROUP_SETTINGS),
)
MEMBERS = Table(
    "members",
    METADATA,
    Column("user", ForeignKey("users.name", ondelete="CASCADE"), primary_key=True),
    Column("position", NUMBER, primary_key=True),
    Column("group", ForeignKey("groups.name"), nullable=False),
)
Index("members_by_group", MEMBERS.c.group)
KEYS = Table(
    "keys",
    METADATA,
    Column("user", ForeignKey("users.name", ondelete="CASCADE"), primary_key=True),
    Column("blob", LargeBinary, primary_key=True),
    Column("comment", String, nullable=False),
    Column("added", NUMBER, nullable=False),
    Column("options", String, nullable=False),
)
FACTORS = Table(
    "factors",
    METADATA,
    Column("user", ForeignKey("users.name", ondelete="CASCADE"), primary_key=True),
    Column("secret", LargeBinary, nullable=False),
    Column("counter", NUMBER, nullable=False),
    Column("enrolled", NUMBER, nullable=False),
    Column("failures", NUMBER, nullable=False),
    Column("until", NUMBER, nullable=False),
)
"""Second factors: the sealed secret, the interval of the last code, when it was enrolled, and how
many wrong codes came in a row and until when no further one counts."""
RECOVERY = Table(
    "recovery",
    METADATA,
    Column("user", ForeignKey("users.name", ondelete="CASCADE"), primary_key=True),
    Column("hash", LargeBinary, primary_key=True),
)
WEBAUTHN_KEYS = Table(
    "webauthn_keys",
    METADATA,
    Column("credential", LargeBinary, primary_key=True),
    Column("user", ForeignKey("users.name", ondelete="CASCADE"), nullable=False),
    Column("name", String, nullable=False),
    Column("rp_id", String, nullable=False),
    Column("public_key", LargeBinary, nullable=False),
    Column("counter", NUMBER, nullable=False),
    Column("added", NUMBER, nullable=False),
    Column("used", NUMBER, nullable=False),
)
"""Security keys of the web console: the credential ID, the host name that it signs for, and the
signature counter of the last time that it was used."""
Index("webauthn_keys_by_user", WEBAUTHN_KEYS.c.user, WEBAUTHN_KEYS.c.added)
FORMER = Table(
    "former_passwords",
    METADATA,
    Column("number", NUMBER, primary_key=True),
    Column("user", ForeignKey("users.name", ondelete="CASCADE"), nullable=False),
    Column("password", String, nullable=False),
)
Index("former_passwords_by_user", FORMER.c.user)
ONE_TIME = Table(
    "one_time_passwords",
    METADATA,
    Column("hash", LargeBinary, primary_key=True),
    Column("user", ForeignKey("users.name", ondelete="CASCADE"), nullable=False),
    Column("address", String, nullable=False),
    Column("until", NUMBER, nullable=False),
)
"""Passwords for one login each: ``address`` is that of the client whom the API has given one."""
BANS = Table(
    "bans",
    METADATA,
    Column("network", String, primary_key=True),
    Column("until", NUMBER, nullable=False),
    Column("allowed", Boolean, nullable=False),
    Column("level", NUMBER, nullable=False),
    Column("reason", String, nullable=False),
)
CERTIFICATES = Table(
    "certificates",
    METADATA,
    Column("serial", NUMBER, primary_key=True),
    Column("kind", String, nullable=False),
    Column("key_id", String, nullable=False),
    Column("principals", String, nullable=False),
    Column("valid_after", NUMBER, nullable=False),
    Column("valid_before", NUMBER, nullable=False),
    Column("fingerprint", String, nullable=False),
    # Not a reference: what was issued stays known when its user is removed.
    Column("user", String, nullable=False),
    Column("issued", NUMBER, nullable=False),
    Column("revoked", NUMBER),
    # A serial number is never used again, also not that of a row that was removed.
    sqlite_autoincrement=True,
)
Index("certificates_by_user", CERTIFICATES.c.user, CERTIFICATES.c.issued)
Index("certificates_by_end", CERTIFICATES.c.valid_before)
API_KEYS = Table(
    "api_keys",
    METADATA,
    Column("name", String, primary_key=True),
    Column("number", String, nullable=False, unique=True),
    Column("hash", LargeBinary, nullable=False),
    Column("scopes", String, nullable=False),
    Column("created", NUMBER, nullable=False),
    Column("expires", NUMBER, nullable=False),
)
"""Keys of the REST API: ``number`` is the part of a key that it is found by, in hexadecimal."""
NODES = Table(
    "nodes",
    METADATA,
    Column("number", NUMBER, primary_key=True),
    Column("server", String, nullable=False),
    Column("name", String, nullable=False),
    Column("process", NUMBER, nullable=False),
    Column("version", String, nullable=False),
    Column("state", String, nullable=False),
    Column("began", NUMBER, nullable=False),
    Column("until", NUMBER, nullable=False),
)
"""The leases of processes that serve with a shared store: :mod:`nacre.daemon.nodes.tables` has the
statements. Times are milliseconds since the epoch by the clock of the database."""
CONNECTIONS = Table(
    "connections",
    METADATA,
    Column("node", ForeignKey("nodes.number", ondelete="CASCADE"), primary_key=True),
    Column("id", String, primary_key=True),
    Column("user", String, nullable=False),
    Column("peer", String, nullable=False),
    Column("since", NUMBER, nullable=False),
    Column("methods", String, nullable=False),
    Column("ending", String),
)
"""The connections of these processes whose users are logged in; ``ending`` is the reason why one is
to be ended."""
Index("connections_by_user", CONNECTIONS.c.user)
AUDIT_EVENTS = Table(
    "audit_events",
    METADATA,
    Column("arrived", NUMBER, primary_key=True),
    Column("node", String, nullable=False),
    Column("number", NUMBER, nullable=False),
    Column("time", NUMBER, nullable=False),
    *(
        Column(name, String, nullable=False)
        for name in ("connection", "user", "peer", "event", "outcome", "fields", "previous", "hash")
    ),
    UniqueConstraint("node", "number", "hash"),
)
"""Copies of the events of all servers: :mod:`nacre.daemon.nodes.events` has the statements."""
Index("audit_events_by_time", AUDIT_EVENTS.c.time)
Index("audit_events_by_user", AUDIT_EVENTS.c.user, AUDIT_EVENTS.c.time)
Index("audit_events_by_node", AUDIT_EVENTS.c.node, AUDIT_EVENTS.c.arrived)
HOST_KEYS = Table(
    "host_keys",
    METADATA,
    Column("type", String, primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
)
"""Host keys that servers share, sealed with a key that is not here."""
LEDGERS = Table(
    "ledgers",
    METADATA,
    Column("kind", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("owner", NUMBER),
    Column("loaded", Boolean, nullable=False),
    Column("wanted", NUMBER),
    Column("record", LargeBinary),
    *(
        Column(name, NUMBER, nullable=False)
        for name in ("period", "up", "down", "bytes", "files", "asked", "answered")
    ),
)
"""What users and groups have used of their limits, on all servers of a shared store:
:mod:`nacre.daemon.nodes.ledger_rows` has the statements."""
SECRETS = Table(
    "settings",
    METADATA,
    Column("name", String, primary_key=True),
    Column("value", LargeBinary, nullable=False),
)


USER_COLUMNS = tuple(USERS.columns.keys())

_joined = USERS.outerjoin(MEMBERS, MEMBERS.c.user == USERS.c.name).outerjoin(
    GROUPS, GROUPS.c.name == MEMBERS.c.group
)
with_groups = select(
    *USERS.columns, MEMBERS.c.group, *(GROUPS.c[name] for name in GROUP_SETTINGS)
).select_from(_joined)
"""A user's columns, and a group with its settings: a row for each group, or one with nulls."""

FIND = with_groups.where(USERS.c.name == bindparam("name")).order_by(MEMBERS.c.position)
HAS_POLICY = select(exists().where(USERS.c.auth == bindparam("auth")))
SILENT_ON_POLICY = select(exists().where(USERS.c.auth.is_(None)))
GROUP_POLICIES = (
    select(GROUPS.c.auth).where(exists().where(MEMBERS.c.group == GROUPS.c.name)).distinct()
)
KEY_OPTIONS = (
    select(KEYS.c.options)
    .join(USERS, USERS.c.name == KEYS.c.user)
    .where(KEYS.c.user == bindparam("name"), KEYS.c.blob == bindparam("blob"), ~USERS.c.disabled)
)

ENROLLED = select(exists().where(FACTORS.c.user == bindparam("name")))


def holding(name: str) -> ColumnElement[Any]:
    """Return the expression of the setting that holds for a user; places keep their ``%u``."""
    inherited = (
        select(GROUPS.c[name])
        .join(MEMBERS, MEMBERS.c.group == GROUPS.c.name)
        .where(MEMBERS.c.user == USERS.c.name, GROUPS.c[name].is_not(None))
        .order_by(MEMBERS.c.position)
        .limit(1)
        .correlate(USERS)
        .scalar_subquery()
    )
    return func.coalesce(USERS.c[name], inherited, USUAL[name])


def _listed(name: str) -> ColumnElement[Any]:
    if name == "password":
        return USERS.c.password.is_not(None)
    if name == "keys":
        own = select(func.count()).where(KEYS.c.user == USERS.c.name)
        return own.correlate(USERS).scalar_subquery()
    if name == "groups":
        return func.coalesce(MEMBERS.c.group, "")
    if USUAL.get(name) is not None:  # a user without groups has what is usual
        return func.coalesce(USERS.c[name], case((MEMBERS.c.group.is_(None), literal(USUAL[name]))))
    return USERS.c[name]


LIST = (
    select(*(_listed(name).label(name) for name in LISTED))
    .select_from(USERS.outerjoin(MEMBERS, MEMBERS.c.user == USERS.c.name))
    .order_by(USERS.c.name, MEMBERS.c.position)
)
"""A row for each group of a user, with the user's own settings, or one that holds."""
