"""The user store: virtual users, their passwords' hashes and their keys.

A ``nacre user`` process may change it while a server runs; the next login sees the change. The
lookups of a login, :meth:`UserStore.find`, ``policies`` and ``key_options``, take some microseconds
and wait for no other process where the store is a file; a server makes them on its loop. Where it
is a database that servers share, :attr:`UserStore.lookups` has them. Every other call may block.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from itertools import chain, groupby
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row, delete, exists, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from nacre.config.syntax.tokens import expand
from nacre.daemon.store.api_keys import APIKeys
from nacre.daemon.store.bans import StoredBans
from nacre.daemon.store.certificates import Certificates
from nacre.daemon.store.database import Database, SQLiteDatabase
from nacre.daemon.store.groups import Groups, no_such_group, put_group
from nacre.daemon.store.passwords import Passwords
from nacre.daemon.store.second_factor.factors import Factors
from nacre.daemon.store.shared import known_trees, shared_by
from nacre.daemon.store.tables import (
    FIND,
    GROUP_POLICIES,
    GROUPS,
    HAS_POLICY,
    KEY_OPTIONS,
    KEYS,
    LIST,
    MEMBERS,
    SECRETS,
    SILENT_ON_POLICY,
    USER_COLUMNS,
    USERS,
    holding,
)
from nacre.daemon.store.values import (
    AUTH_POLICIES,
    COUNTED,
    GROUP_SETTINGS,
    LISTED,
    PLACES,
    SETTINGS,
    USUAL,
    Group,
    LedgerKey,
    StoredKey,
    StoredUser,
    User,
    check_name,
    is_name,
)
from nacre.errors import UserStoreError
from nacre.keys import PublicKey, decode_public
from nacre.sftp.filesystems.folders import ENCRYPTED
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.daemon.store.postgres.lookups import FoundLogin, Lookups
    from nacre.daemon.store.postgres.store_url import StoreURL

FILE = "users.db"

_PORTION = 500
"""Users that are added by one statement."""

_KEPT = 64
"""How many rows of users are cached as :class:`User`."""


@dataclass(slots=True)
class Counts:
    """How many users and groups were added, and how many replaced."""

    users: int = 0
    groups: int = 0
    replaced_users: int = 0
    replaced_groups: int = 0


class UserStore:
    """The store in one file or database. Safe to use from several threads and processes at once.

    :ivar groups: the groups of the users.
    :ivar factors: their second factors.
    :ivar passwords: their passwords' hashes.
    :ivar bans: the networks that are banned.
    :ivar certificates: those that the server's authorities have issued.
    :ivar api_keys: the keys of the REST API.
    :ivar lookups: what logins ask, where the database is elsewhere and may hold them up; or None.
    """

    def __init__(self, path: Path, *, create: bool = True, url: StoreURL | None = None) -> None:
        """Open the store at ``path``.

        :param create: make it with mode 0600 when it is missing.
        :param url: a database of PostgreSQL in place of the file, whose directory still has what
            belongs to this server alone.
        :raises StateError: it is missing, can't be made or read, or a newer nacre has made it.
        """
        self._database: Database
        self.lookups: Lookups | None = None
        if url is None:
            self._database = SQLiteDatabase(path, create=create)
        else:
            from nacre.daemon.store.postgres.lookups import Lookups
            from nacre.daemon.store.postgres.shared_database import SharedDatabase

            self._database = shared = SharedDatabase(url, path.parent, create=create)
            self.lookups = Lookups(shared, self._found_login)
        self.groups = Groups(self._database, self.find)
        self.factors = Factors(self._database, lambda: self.secret)
        self.passwords = Passwords(self._database)
        self.bans = StoredBans(self._database)
        self.certificates = Certificates(self._database)
        self.api_keys = APIKeys(self._database)
        self._policies: tuple[int, list[str]] = (-1, [])

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    @cached_property
    def secret(self) -> bytes:
        """32 random bytes that are in this store only and never change."""
        with self._database.reading() as connection:
            chosen = select(SECRETS.c.value).where(SECRETS.c.name == "secret")
            return bytes(connection.execute(chosen).scalar_one())

    @property
    def directory(self) -> Path:
        """The directory that holds the file: the state directory."""
        return self._database.directory

    # --- what a login asks ---

    def user(self, name: str) -> User:
        """Return a user.

        :raises UserStoreError: there is none of this name.
        """
        found = self.find(name)
        if found is None:
            raise _no_such(name)
        return found

    def find(self, name: str) -> User | None:
        """Return a user with the settings that hold, or None."""
        rows = self._database.look(FIND, name=name)
        return _user(tuple(rows)) if rows else None

    def own(self, name: str) -> StoredUser:
        """Return a user with the user's own settings alone.

        :raises UserStoreError: there is none of this name.
        """
        members = select(MEMBERS.c.group).where(MEMBERS.c.user == name).order_by(MEMBERS.c.position)
        with self._database.reading() as connection:
            row = connection.execute(select(USERS).where(USERS.c.name == name)).one_or_none()
            groups = tuple(connection.execute(members).scalars())
        if row is None:
            raise _no_such(name)
        return StoredUser(**row._mapping, groups=groups)

    def policies(self) -> list[str]:
        """Return which of :data:`AUTH_POLICIES` the users have, sorted."""
        # Repeated only after a change. The index finds one user for each policy.
        look, version = self._database.look, self._database.version()
        if self._policies[0] != version:
            found = {auth for auth in AUTH_POLICIES if look(HAS_POLICY, auth=auth)[0][0]}
            if look(SILENT_ON_POLICY)[0][0]:
                found |= {auth for (auth,) in look(GROUP_POLICIES) if auth} | {USUAL["auth"]}
            self._policies = version, sorted(found)
        return self._policies[1]

    def key_options(self, name: str, key: PublicKey) -> str | None:
        """Return the options of a user's key; None if no user of this name, not disabled, has it.

        The key may be that of an authority, which the options then say.
        """
        rows = self._database.look(KEY_OPTIONS, name=name, blob=key.blob)
        return rows[0][0] if rows else None

    def _found_login(self, name: str) -> FoundLogin:
        """Return what a login asks of a name."""
        from nacre.daemon.store.postgres.lookups import FoundLogin

        policies = tuple(self.policies())
        if not is_name(name):  # which the database may refuse to look for
            return FoundLogin(policies=policies)
        # All of it for every name, as it must not take longer for a user than for none.
        user, enrolled, keys = self.find(name), self.factors.enrolled(name), self._keys_of(name)
        return FoundLogin(
            user=user,
            keys={one.key.blob: one.options for one in keys},
            public=tuple(one.key for one in keys),
            enrolled=enrolled,
            policies=policies,
        )

    # --- all users ---

    def stored(self) -> Iterator[tuple[StoredUser, list[StoredKey]]]:
        """Return all users with their own settings and their keys, sorted by name."""
        members = select(MEMBERS.c.user, MEMBERS.c.group).order_by(*MEMBERS.primary_key)
        keys = select(KEYS).order_by(KEYS.c.user, KEYS.c.added)
        with self._database.reading() as connection:
            groups_of = _by_user(connection.execute(members))
            keys_of = _by_user(connection.execute(keys))
            for row in connection.execute(select(USERS).order_by(USERS.c.name)):
                groups = tuple(member.group for member in groups_of.get(row.name, ()))
                user = StoredUser(**row._mapping, groups=groups)
                yield user, [_key(key) for key in keys_of.get(row.name, ())]

    def page(self, after: str, limit: int) -> list[StoredUser]:
        """Return users with their own settings, sorted by name.

        :param after: the name that comes before the first one; empty for the very first.
        :param limit: the most to return.
        """
        chosen = select(USERS).where(USERS.c.name > after).order_by(USERS.c.name).limit(limit)
        with self._database.reading() as connection:
            rows = connection.execute(chosen).all()
            names = [row.name for row in rows]
            members = select(MEMBERS.c.user, MEMBERS.c.group).where(MEMBERS.c.user.in_(names))
            groups_of = _by_user(connection.execute(members.order_by(*MEMBERS.primary_key)))
        return [
            StoredUser(
                **row._mapping, groups=tuple(one.group for one in groups_of.get(row.name, ()))
            )
            for row in rows
        ]

    def listing(self) -> Iterator[tuple[Any, ...]]:
        """Return what :data:`LISTED` names of each user, sorted by name, as it is read.

        Flags are 0 or 1, and ``groups`` are separated by commas.
        """
        groups = {group.name: asdict(group) for group in self.groups.all()}
        name, joined = LISTED.index("name"), LISTED.index("groups")
        with self._database.reading() as connection:
            rows = self._database.rows(connection, LIST)
            for row in rows:
                if row[joined]:
                    break
                yield row
            else:
                return
            # From the first user with a group on, as those without cost nothing.
            for _, own in groupby(chain([row], rows), itemgetter(name)):
                first, *others = own
                members = [one[joined] for one in (first, *others)]
                yield _inherited(first, [groups[one] for one in members if one])

    # These three look at all users: with many of them that takes seconds.

    def accounts(self, *, seconds: float | None = None) -> list[str | None]:
        """Return which accounts the sessions of the users run as; see :attr:`User.run_as`.

        :param seconds: as for :meth:`suspicious_roots`.
        """
        with self._database.reading(seconds=seconds) as connection:
            return list(connection.execute(select(holding("run_as")).distinct()).scalars())

    def suspicious_roots(
        self, directories: Iterable[str], *, seconds: float | None = None
    ) -> Iterator[User]:
        """Return the users with files only whose root is missing, or one of ``directories``.

        Also those whose root is a local URL, or lies in the directory of this store.

        :param seconds: the time that it may take, or None for any.
        :raises TimeoutError: it takes longer.
        """
        written = func.coalesce(holding("root"), holding("home"))
        root = func.replace(func.replace(written, "%u", USERS.c.name), "%%", "%")
        root = func.replace(root, ENCRYPTED, "")
        below = f"{self.directory}/"
        chosen = select(USERS.c.name).where(
            holding("service") == "sftp",
            ~holding("unsafe_root"),
            root.is_(None)
            | root.in_(sorted(directories))
            | (func.substr(root, 1, len(below)) == below)
            | root.like("%file://%")
            | root.like("%local://%"),
        )
        with self._database.reading(seconds=seconds) as connection:
            for name in connection.execute(chosen).scalars():
                yield self.user(name)

    def has_shell_user(self, *, seconds: float | None = None) -> bool:
        """Tell whether a user may have a shell.

        :param seconds: as for :meth:`suspicious_roots`.
        """
        chosen = select(exists().where(holding("service") != "sftp"))
        with self._database.reading(seconds=seconds) as connection:
            return bool(connection.execute(chosen).scalar_one())

    # --- changes ---

    def add(self, user: StoredUser, keys: Iterable[StoredKey] = ()) -> None:
        """Add a user.

        :raises UserStoreError: the name is taken or not possible, or there is no such group.
        """
        self.put([], [(user, keys)])

    def add_all(self, users: Iterable[tuple[StoredUser, Iterable[StoredKey]]]) -> None:
        """Add several users with their keys in one transaction: all of them, or none.

        :raises UserStoreError: a name is taken or not possible, or there is no such group.
        """
        self.put([], users)

    def put(
        self,
        groups: Iterable[Group],
        users: Iterable[tuple[StoredUser, Iterable[StoredKey]]],
        *,
        update: bool = False,
        keep: bool = True,
    ) -> Counts:
        """Add groups and users with their keys in one transaction: all of them, or none.

        :param update: replace those that exist; a group keeps its users.
        :param keep: False changes nothing: it is for the errors and what is returned.
        :raises UserStoreError: a name is taken or not possible, or there is no such group.
        """
        now, done = int(time.time()), Counts()
        with self._database.transaction(keep=keep) as connection:
            for group in groups:
                if put_group(connection, group, now, replace=update):
                    done.groups += 1
                else:
                    done.replaced_groups += 1
            for several in _portions(users):
                replaced = _put_users(connection, several, now, replace=update)
                done.users += len(several) - replaced
                done.replaced_users += replaced
        if keep and (done.replaced_users or done.replaced_groups):
            self.groups.count_anew()
        return done

    def remove(self, name: str) -> None:
        """Remove a user with the user's keys and ledger.

        :raises UserStoreError: there is none of this name, or the ledger can't be removed.
        """
        gone = known_trees(self.find(name))
        with self._database.transaction() as connection:
            before = _groups_of(connection, name)
            _touch(connection.execute(delete(USERS).where(USERS.c.name == name)), name)
            self.groups.ledgers.remove(connection, LedgerKey("user", name))
        self._database.changed(name)
        self.groups.count_anew(before, (), gone)

    def change(self, name: str, groups: Sequence[str] | None = None, **values: Any) -> None:
        """Set fields of a user, named as in :class:`StoredUser`.

        :param groups: the groups in place of those before, or None to keep these.
        :raises UserStoreError: there is no user, or no group, of this name.
        """
        gone = known_trees(self.find(name))
        with self._database.transaction() as connection:
            given = values or {"name": name}  # which only checks that there is one
            done = connection.execute(update(USERS).where(USERS.c.name == name).values(**given))
            _touch(done, name)
            concerned = {*_groups_of(connection, name), *(groups or ())}
            if groups is not None:
                connection.execute(delete(MEMBERS).where(MEMBERS.c.user == name))
                _put_groups(connection, name, groups)
        self._database.changed(name)
        if groups is not None or COUNTED & values.keys():
            self.groups.count_anew(concerned, [name], gone)

    def replace_hash(self, name: str, old: str, new: str) -> None:
        """Replace a password's hash if it is still ``old``, as another process may have set it."""
        with self._database.transaction() as connection:
            unchanged = (USERS.c.name == name) & (USERS.c.password == old)
            connection.execute(update(USERS).where(unchanged).values(password=new))
        self._database.changed(name)

    def keys(self, name: str) -> list[StoredKey]:
        """Return a user's keys, the oldest first.

        :raises UserStoreError: there is no user of this name.
        """
        self.user(name)
        return self._keys_of(name)

    def _keys_of(self, name: str) -> list[StoredKey]:
        chosen = select(KEYS).where(KEYS.c.user == name).order_by(KEYS.c.added)
        with self._database.reading() as connection:
            return [_key(row) for row in connection.execute(chosen)]

    def add_keys(self, name: str, keys: Iterable[StoredKey]) -> None:
        """Add keys; a key that exists gets the new comment and the new options.

        :raises UserStoreError: there is no user of this name.
        """
        self.user(name)
        with self._database.transaction() as connection:
            _put_keys(connection, name, keys, int(time.time()))

    def remove_key(self, name: str, key: PublicKey) -> None:
        """Remove a key.

        :raises UserStoreError: the user does not have it.
        """
        where = (KEYS.c.user == name) & (KEYS.c.blob == key.blob)
        with self._database.transaction() as connection:
            if connection.execute(delete(KEYS).where(where)).rowcount == 0:
                raise UserStoreError(f"{name} has no key {key.fingerprint()}")


@lru_cache(_KEPT)
def _user(rows: tuple[tuple[Any, ...], ...]) -> User:
    """Return a user of the rows of :data:`FIND`."""
    own = dict(zip(USER_COLUMNS, rows[0], strict=False))
    rest = [row[len(USER_COLUMNS) :] for row in rows]
    groups = tuple(group for group, *_ in rest if group is not None)
    says = [dict(zip(("name", *GROUP_SETTINGS), row, strict=True)) for row in rest]
    flags = {name: bool(own[name]) for name in ("disabled", "must_change")}
    shared = shared_by(says) if groups else ()
    return User(**own | flags | settled(own, says), groups=groups, shared=shared)


def _inherited(row: tuple[Any, ...], says: Sequence[dict[str, Any]]) -> tuple[Any, ...]:
    """Return the row of a listing with what the user inherits of the groups.

    :param says: what the groups have, by the names of their fields.
    """
    own = dict.fromkeys(SETTINGS) | dict(zip(LISTED, row, strict=True))
    holds = own | settled(own, says) | {"groups": ",".join(group["name"] for group in says)}
    return tuple(holds[name] for name in LISTED)


def effective(user: StoredUser, groups: Sequence[Group]) -> User:
    """Return a user, who may not be stored, with the settings that hold.

    :param groups: the user's groups, in their order.
    """
    # Not asdict, which copies all deeply: an import asks this for each of its users.
    own = {name: getattr(user, name) for name in (*USER_COLUMNS, "groups")}
    said = [{one: getattr(group, one) for one in ("name", *GROUP_SETTINGS)} for group in groups]
    return User(**own | settled(own, said), shared=shared_by(said))


def settled(own: Mapping[str, Any], groups: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the settings that hold for a user.

    :param own: the name and the settings of the user.
    :param groups: the settings of the user's groups, in their order.
    """
    found = {}
    for name in SETTINGS:
        value = own[name]
        if value is None:
            said = (group[name] for group in groups if group[name] is not None)
            value = next(said, USUAL[name])
            if name in PLACES and value is not None:
                value = expand(value, {"u": own["name"]})
        # SQLite stores booleans as numbers.
        found[name] = bool(value) if isinstance(USUAL[name], bool) else value
    return found


def _by_user(rows: Iterable[Row[Any]]) -> dict[str, list[Row[Any]]]:
    return {user: list(own) for user, own in groupby(rows, attrgetter("user"))}


def _key(row: Row[Any]) -> StoredKey:
    return StoredKey(decode_public(row.blob), row.comment, row.added, row.options)


_Given = tuple[StoredUser, Iterable[StoredKey]]


def _portions(users: Iterable[_Given]) -> Iterator[list[_Given]]:
    """Return the users, some at a time; a name that comes again is in a later portion."""
    portion: dict[str, _Given] = {}
    for user, keys in users:
        if len(portion) == _PORTION or user.name in portion:
            yield list(portion.values())
            portion = {}
        portion[user.name] = user, keys
    if portion:
        yield list(portion.values())


def _put_users(connection: Connection, users: Sequence[_Given], now: int, *, replace: bool) -> int:
    """Add users of different names with their keys, and return how many were replaced.

    A statement for many rows costs a tenth of one for each.
    """
    names = [user.name for user, _ in users]
    for name in names:
        check_name(name)
    known = select(USERS.c.name).where(USERS.c.name.in_(names))
    taken = set(connection.execute(known).scalars())
    if taken and not replace:
        first = next(name for name in names if name in taken)
        raise UserStoreError(f"there is a user {first} already; `nacre user set` changes it")
    for table in (KEYS, MEMBERS):
        if taken:
            connection.execute(delete(table).where(table.c.user.in_(taken)))
    rows = [_row(user, now) for user, _ in users]
    for row in rows:
        if row["name"] in taken:
            # The row stays, because the second factor goes with it, which no file of users has;
            # and the time of its creation, after which no second factor is enrolled at a login.
            kept = {name: value for name, value in row.items() if name != "created" or value}
            connection.execute(update(USERS).where(USERS.c.name == row["name"]).values(**kept))
    new = [row | {"created": row["created"] or now} for row in rows if row["name"] not in taken]
    if new:
        connection.execute(insert(USERS), new)
    wanted = {group for user, _ in users for group in user.groups}
    there = set(
        connection.execute(select(GROUPS.c.name).where(GROUPS.c.name.in_(wanted))).scalars()
    )
    members = [
        {"user": user.name, "position": position, "group": group}
        for user, _ in users
        for position, group in enumerate(dict.fromkeys(user.groups))
    ]
    for row in members:
        if row["group"] not in there:
            raise no_such_group(str(row["group"]))
    # Of a key that comes twice the last one counts.
    keys = {
        (user.name, key.key.blob): {
            "user": user.name,
            "blob": key.key.blob,
            "comment": key.comment,
            "added": key.added or now,
            "options": key.options,
        }
        for user, own in users
        for key in own
    }
    for table, many in ((MEMBERS, members), (KEYS, list(keys.values()))):
        if many:
            connection.execute(insert(table), many)
    return len(taken)


def _row(user: StoredUser, now: int) -> dict[str, Any]:
    """Return the columns of a user."""
    values = {name: getattr(user, name) for name in USER_COLUMNS}
    if user.password is not None:
        values["password_changed"] = user.password_changed or now
    return values


def _groups_of(connection: Connection, name: str) -> list[str]:
    """Return the names of a user's groups."""
    return list(connection.execute(select(MEMBERS.c.group).where(MEMBERS.c.user == name)).scalars())


def _put_groups(connection: Connection, name: str, groups: Iterable[str]) -> None:
    for position, group in enumerate(dict.fromkeys(groups)):
        try:
            connection.execute(
                insert(MEMBERS), {"user": name, "position": position, "group": group}
            )
        except IntegrityError:
            raise no_such_group(group) from None


def _put_keys(connection: Connection, name: str, keys: Iterable[StoredKey], now: int) -> None:
    for key in keys:
        where = (KEYS.c.user == name) & (KEYS.c.blob == key.key.blob)
        connection.execute(delete(KEYS).where(where))
        added = key.added or now
        row = insert(KEYS).values(user=name, blob=key.key.blob, comment=key.comment)
        connection.execute(row.values(added=added, options=key.options))


def _touch(done: Any, name: str) -> None:
    if done.rowcount == 0:
        raise _no_such(name)


def _no_such(name: str) -> UserStoreError:
    return UserStoreError(f"there is no user {safe(name, 64)!r}")
