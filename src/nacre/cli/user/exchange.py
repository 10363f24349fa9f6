"""Files of users, for ``nacre user import`` and ``export``.

Each form has a reader in :data:`READERS`. Nothing here changes the store.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

import click

from nacre.cli.user.limits import MOST_FILES, SIZES, rate, size
from nacre.cli.user.listing import shown_validity
from nacre.cli.user.newcomers import checked, stored
from nacre.cli.user.settings import (
    MOST_SESSIONS,
    certificate_options,
    certificate_span,
    expiry,
    principals,
    sources,
    span,
    written_expiry,
)
from nacre.daemon.store.hours import parse_hours
from nacre.daemon.store.values import (
    AUTH_POLICIES,
    GROUP_SETTINGS,
    MOST_HISTORY,
    PARTIAL_UPLOADS,
    RECORDS,
    ROLES,
    SECOND_FACTORS,
    SERVICES,
    SETTINGS,
    TRANSFER_PERIODS,
    UPLOADS,
    USUAL,
    Group,
    StoredKey,
    StoredUser,
    check_name,
)
from nacre.errors import ConfigurationError, KeyFormatError, UserStoreError
from nacre.keys.authorized_keys import parse
from nacre.limits import KIB, MIB
from nacre.sftp.filesystems.folders import parse_folders, written_folders
from nacre.sftp.filesystems.rules import parse_rules
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.daemon.store.store import UserStore

VERSION = 1
"""The version of the form ``json``, which the file says under ``nacre``."""

CHOICES = {
    "auth": AUTH_POLICIES,
    "service": SERVICES,
    "second_factor": SECOND_FACTORS,
    "record": RECORDS,
    "uploads": UPLOADS,
    "partial_uploads": PARTIAL_UPLOADS,
    "transfer_period": TRANSFER_PERIODS,
    "shared_transfer_period": TRANSFER_PERIODS,
    "role": ROLES,
}
"""Settings that are one of some words."""

_COLUMNS = (
    *("name", "password", "password_hash", "password_changed", "must_change"),
    *("groups", "keys", "disabled", *SETTINGS),
)
_TIMES: dict[str, Callable[[str], int]] = {
    "expires": expiry,
    "enrol_within": span,
    "password_expires": span,
}
NUMBERS = {
    "max_sessions": MOST_SESSIONS,
    "password_length": 128,
    "password_history": MOST_HISTORY,
    "quota_files": MOST_FILES,
    "shared_quota_files": MOST_FILES,
}
"""Settings that are numbers, and their largest."""

_KEYS_FILE = Path(".ssh/authorized_keys")
_LINES: dict[str, Callable[[str], str]] = {
    "folders": lambda text: written_folders(parse_folders([text])),
    "rights": lambda text: str(parse_rules([text])),
}
"""Settings of several lines, and what checks each."""

_RIGHTS_OF_SFTPGO = {
    **{word: word for word in ("*", "list", "download", "upload", "overwrite", "delete")},
    "rename": "rename",
    "create_dirs": "mkdir",
    "create_symlinks": "symlink",
    "chmod": "chmod",
}
_LIMITS_OF_SFTPGO = {
    "quota_size": ("quota_bytes", 1),
    "quota_files": ("quota_files", 1),
    "upload_data_transfer": ("transfer_up", MIB),
    "download_data_transfer": ("transfer_down", MIB),
    "upload_bandwidth": ("rate_up", KIB),
    "download_bandwidth": ("rate_down", KIB),
}
"""The settings by SFTPGo's names, and the unit of its numbers."""
_CAN_VERIFY = ("$argon2id$", "$2a$", "$2b$", "$2y$")
"""How hashes of passwords begin that a login can verify."""


@dataclass(slots=True)
class Incoming:
    """What a file has.

    :ivar users: each user with keys, and the password where it is not hashed.
    :ivar notes: what of the file is not taken, for the person who imports it.
    """

    users: list[tuple[StoredUser, list[StoredKey], bytes | None]] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


# --- writing ---


def write_json(store: UserStore, names: frozenset[str]) -> None:
    """Print the users with these names, or all, and all groups; a line for each."""
    groups = [_said(group) for group in store.groups.all()]
    click.echo(f'{{"nacre": {VERSION},')
    click.echo(f'"groups": [\n{_lines(groups)}],')
    users = (_user(user, keys) for user, keys in _chosen(store, names))
    click.echo(f'"users": [\n{_lines(users)}]}}')


def write_csv(store: UserStore, names: frozenset[str]) -> None:
    """Print a line for each of the users with these names, or for all; groups are not in it."""
    columns = [name for name in _COLUMNS if name != "password"]
    writer = csv.DictWriter(sys.stdout, columns, lineterminator="\n")
    writer.writeheader()
    for user, keys in _chosen(store, names):
        row = _user(user, keys) | {"groups": ";".join(user.groups)}
        row["password_hash"] = row.pop("password", "")
        row["keys"] = "\n".join(row.get("keys", ()))
        if user.expires is not None:
            row["expires"] = written_expiry(user.expires)
        if user.certificate_valid is not None:
            row["certificate_valid"] = shown_validity(user.certificate_valid)
        writer.writerow({name: _cell(row.get(name, "")) for name in columns})


def _chosen(
    store: UserStore, names: frozenset[str]
) -> Iterator[tuple[StoredUser, list[StoredKey]]]:
    return (pair for pair in store.stored() if not names or pair[0].name in names)


def _lines(rows: Iterable[Mapping[str, Any]]) -> str:
    return ",\n".join(json.dumps(row) for row in rows)


def _said(one: StoredUser | Group) -> dict[str, Any]:
    """Return what a user or a group says, and what it is besides."""
    found = {part.name: getattr(one, part.name) for part in fields(one)}
    return {
        name: value
        for name, value in found.items()
        if (value is not None if name in GROUP_SETTINGS else value)
    }


def _user(user: StoredUser, keys: list[StoredKey]) -> dict[str, Any]:
    lines = [" ".join(filter(None, (key.options, str(key.key), key.comment))) for key in keys]
    return _said(user) | ({"keys": lines} if lines else {})


def _cell(value: object) -> object:
    return ("yes" if value else "no") if isinstance(value, bool) else value


# --- reading ---


def read(path: str, form: str | None) -> Incoming:
    """Return what a file or a directory has.

    :param form: a name of :data:`READERS`, or None to go by the name of the file.
    :raises UserStoreError: it can't be read, or is not of this form; the message names the place.
    """
    if form is None:
        form = {".json": "json", ".csv": "csv"}.get(Path(path).suffix)
    if form is None:
        raise UserStoreError(f"{path}: give --format, one of {', '.join(READERS)}")
    try:
        found = READERS[form](path)
    except OSError as error:
        raise UserStoreError(f"can't read {path}: {error.strerror}") from error
    except (UnicodeDecodeError, json.JSONDecodeError, csv.Error) as error:
        raise UserStoreError(f"{path} is no {form}: {error}") from error
    if not found.users and not found.groups:
        raise UserStoreError(f"{path} has no users")
    return found


def _open(path: str) -> TextIO:
    return cast(TextIO, click.open_file(path, "r", encoding="utf-8-sig"))


def _read_json(path: str) -> Incoming:
    with _open(path) as file:
        text = json.load(file)
    if not isinstance(text, dict) or text.get("nacre") != VERSION:
        raise UserStoreError(
            f'{path} does not begin with "nacre": {VERSION}: nacre user export has written another '
            "version, or another program has (--format sftpgo)"
        )
    found = Incoming()
    for number, row in enumerate(text.get("groups", []), 1):
        with _place(path, f"group {number}"):
            found.groups.append(Group(name=_name(row, "group"), **settings_of(row, GROUP_SETTINGS)))
    for number, row in enumerate(text.get("users", []), 1):
        with _place(path, f"user {number}"):
            groups = tuple(map(str, row.get("groups", ())))
            user = StoredUser(
                name=_name(row, "user"),
                password=_hash(row.get("password")),
                groups=groups,
                disabled=_flag(row.get("disabled", False)),
                created=int(row.get("created", 0)),
                password_changed=int(row.get("password_changed", 0)),
                must_change=_flag(row.get("must_change", False)),
                **settings_of(row),
            )
            found.users.append((user, _keys(row.get("keys", ())), None))
    return found


def _read_csv(path: str) -> Incoming:
    found = Incoming()
    with _open(path) as file:
        reader = csv.DictReader(file, strict=True)
        columns = reader.fieldnames or ()
        if unknown := [name for name in columns if name not in _COLUMNS]:
            raise UserStoreError(
                f"{path}, line 1: the column {safe(str(unknown[0]), 64)!r} is none of "
                f"{', '.join(_COLUMNS)}"
            )
        if "name" not in columns:
            raise UserStoreError(f"{path}, line 1: there is no column name")
        for cells in reader:
            with _place(path, f"line {reader.line_num}"):
                if None in cells or None in cells.values():
                    raise UserStoreError("the line has more or fewer cells than the first one")
                row = {name: cell.strip() for name, cell in cells.items() if cell.strip()}
                password = cells.get("password") or None
                groups = tuple(one.strip() for one in row.get("groups", "").split(";") if one)
                user = StoredUser(
                    name=_name(row, "user"),
                    password=_hash(row.get("password_hash")),
                    groups=groups,
                    disabled=_flag(row.get("disabled", "no")),
                    password_changed=int(row.get("password_changed", 0)),
                    must_change=_flag(row.get("must_change", "no")),
                    **settings_of(row),
                )
                given = None if password is None else checked(password.encode())
                found.users.append((user, _keys(row.get("keys", "").splitlines()), given))
    return found


def _read_authorized_keys(path: str) -> Incoming:
    """Read a file with the keys of the user of its name, or a directory of such files.

    In a directory a file is ``NAME``, ``NAME.pub``, ``NAME.keys`` or ``NAME/.ssh/authorized_keys``.
    """
    found, top = Incoming(), Path(path)
    for file in sorted(top.iterdir()) if top.is_dir() else [top]:
        name = file.name.removesuffix(".pub").removesuffix(".keys")
        keys = file / _KEYS_FILE if file.is_dir() else file
        if keys.is_file():
            with _place(path, str(keys.relative_to(top) if top.is_dir() else keys.name)):
                check_name(name)
                lines = keys.read_bytes().decode("utf-8", "surrogateescape").splitlines()
                found.users.append((StoredUser(name=name), _keys(lines), None))
    return found


def _read_sftpgo(path: str) -> Incoming:
    """Read a dump of SFTPGo, or what its API gives of users and groups."""
    with _open(path) as file:
        text = json.load(file)
    if not isinstance(text, dict) or not {"users", "groups"}.intersection(text):
        raise UserStoreError(f"{path} has neither users nor groups of SFTPGo")
    found = Incoming()
    for row in text.get("groups") or ():
        with _place(path, f"group {row.get('name')}"):
            given = row.get("user_settings") or {}
            found.groups.append(
                Group(name=_name(row, "group"), **_of_sftpgo(given, row["name"], found.notes))
            )
    for row in text.get("users") or ():
        name = row.get("username")
        with _place(path, f"user {name}"):
            check_name(str(name))
            members = sorted(row.get("groups") or (), key=lambda one: int(one.get("type", 2)))
            secret = str(row.get("password") or "")
            hashed = secret if secret.startswith(_CAN_VERIFY) else None
            # A dump has hashes, which begin with a $; a file that a person wrote may not.
            password = checked(secret.encode()) if secret and secret[0] != "$" else None
            if secret and hashed is None and password is None:
                found.notes.append(f"{name}: no login can verify a password's hash of this kind")
            user = StoredUser(
                name=name,
                password=hashed,
                groups=tuple(one["name"] for one in members),
                disabled=row.get("status", 1) != 1,
                **_of_sftpgo(row, name, found.notes) | {"service": "sftp"},
            )
            found.users.append((user, _keys(row.get("public_keys") or ()), password))
    return found


def _of_sftpgo(row: Mapping[str, Any], name: str, notes: list[str]) -> dict[str, Any]:
    """Return the settings of a user, or of a group's ``user_settings``, of SFTPGo."""
    found: dict[str, Any] = {}
    if row.get("home_dir"):
        found["root"] = str(row["home_dir"]).replace("%username%", "%u")
    if row.get("expiration_date"):
        found["expires"] = int(row["expiration_date"]) // 1000
    if row.get("max_sessions"):
        found["max_sessions"] = _setting("max_sessions", row["max_sessions"])
    filters = row.get("filters") or {}
    allowed = [*(filters.get("allowed_ip") or ())]
    denied = [f"!{one}" for one in filters.get("denied_ip") or ()]
    if allowed or denied:
        found["sources"] = ",".join([*denied, *(allowed or ["*"])])
    rights = row.get("permissions") or {}
    if rights:
        everywhere = set(rights.get("/") or ())
        if len(rights) == 1 and everywhere and everywhere <= {"list", "download"}:
            found["read_only"] = True
        elif "*" not in everywhere or len(rights) > 1:
            found["rights"] = _rights_of_sftpgo(rights, name, notes)
    if filters.get("file_patterns"):
        notes.append(f"{name}: file_patterns is not taken: give them with --rights")
    found |= {
        setting: _setting(setting, int(row[kind]) * factor)
        for kind, (setting, factor) in _LIMITS_OF_SFTPGO.items()
        if row.get(kind)
    }
    if found.keys() & {"transfer_up", "transfer_down"}:
        found["transfer_period"] = "total"
    if row.get("total_data_transfer"):
        notes.append(f"{name}: total_data_transfer is not taken: give --transfer-up and -down")
    if (row.get("filesystem") or {}).get("provider"):
        notes.append(f"{name}: the storage is not taken: give its URL with --root")
    return found


def _rights_of_sftpgo(given: Mapping[str, Any], name: str, notes: list[str]) -> str:
    """Return rules; a right that is narrower in SFTPGo than any of nacre's is left out."""
    rules = []
    for directory, words in given.items():
        known = [_RIGHTS_OF_SFTPGO[word] for word in words if word in _RIGHTS_OF_SFTPGO]
        notes += [
            f"{name}: the right {word} to {directory} is not taken"
            for word in words
            if word not in _RIGHTS_OF_SFTPGO
        ]
        rules.append(f"{directory.rstrip('/') or '/'}:{','.join(known) or 'none'}")
    return str(_setting("rights", "\n".join(rules)))


READERS: dict[str, Callable[[str], Incoming]] = {
    "json": _read_json,
    "csv": _read_csv,
    "authorized_keys": _read_authorized_keys,
    "sftpgo": _read_sftpgo,
}

# --- values of a row ---


class _place:
    """A context that tells where an error is."""

    def __init__(self, path: str, where: str) -> None:
        self._where = f"{path}, {safe(where, 100)}"

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, KeyFormatError | UserStoreError):
            raise UserStoreError(f"{self._where}: {error}") from None
        if isinstance(error, TypeError | ValueError | KeyError | AttributeError):
            raise UserStoreError(f"{self._where} is of another form") from error


def _name(row: Mapping[str, Any], what: str) -> str:
    name = str(row.get("name", ""))
    check_name(name, what)
    return name


def settings_of(row: Mapping[str, Any], names: Iterable[str] = SETTINGS) -> dict[str, Any]:
    """Return what a row says of settings, as the store has it.

    :param names: the settings: those of users, or of groups.
    :raises UserStoreError: a value is not possible.
    """
    return {name: _setting(name, row[name]) for name in names if row.get(name) is not None}


def _setting(name: str, value: Any) -> Any:
    if isinstance(USUAL.get(name), bool):
        return _flag(value)
    if name in _TIMES:
        return value if isinstance(value, int) else _time(name, str(value))
    if name in NUMBERS:
        if not 0 <= int(value) <= NUMBERS[name]:
            raise UserStoreError(f"{name} is {int(value)}, and not from 0 to {NUMBERS[name]}")
        return int(value)
    if name in _PARSED:
        return _read(_PARSED[name], name, str(value))
    if name in CHOICES and value not in CHOICES[name]:
        raise UserStoreError(f"{name} is {safe(str(value), 64)!r}, and none of {CHOICES[name]}")
    if name == "hours":
        parse_hours(str(value))
    if name in _LINES:
        try:
            return _LINES[name](str(value))
        except ConfigurationError as error:
            raise UserStoreError(f"{name}: {error}") from None
    return str(value)


_PARSED: dict[str, Callable[[str], Any]] = {
    "certificate_valid": certificate_span,
    "certificate_principals": principals,
    "certificate_options": lambda text: certificate_options(text.splitlines()),
    "sources": sources,
    **{name: rate if "rate_" in name else size for name in SIZES},
}
"""Settings whose texts are those of options."""


def _time(name: str, text: str) -> int:
    # A span that was exported is a number of seconds.
    if text.isdecimal() and name != "expires":
        return int(text)
    found: int = _read(_TIMES[name], name, text)
    return found


def _read(parse: Callable[[str], Any], name: str, text: str) -> Any:
    try:
        return parse(text)
    except click.BadParameter as error:
        raise UserStoreError(f"{name}: {error.message}") from None


def _flag(value: object) -> bool:
    words = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
    if isinstance(value, bool):
        return value
    try:
        return words[str(value).lower()]
    except KeyError:
        raise UserStoreError(f"{safe(str(value), 64)!r} is neither yes nor no") from None


def _hash(text: str | None) -> str | None:
    if text and not text.startswith(_CAN_VERIFY):
        raise UserStoreError("the password's hash is neither argon2id nor bcrypt")
    return text or None


def _keys(lines: Iterable[str]) -> list[StoredKey]:
    text = "\n".join(lines).encode("utf-8", "surrogateescape")
    found = parse(text)
    for number, reason in found.rejected:
        raise UserStoreError(f"key {number}: {reason}")
    return [stored(entry) for entry in found]
