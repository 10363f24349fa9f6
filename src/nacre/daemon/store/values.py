"""What the store holds: users, groups and keys. Nothing here reads or writes it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, NamedTuple

from nacre.config.values import service
from nacre.daemon.store.hours import in_hours
from nacre.errors import UserStoreError
from nacre.keys import PublicKey
from nacre.keys.key_options import KeyOptions, parse_options
from nacre.sftp.filesystems.quota.limits import PERIODS, QuotaLimits
from nacre.wire.text import safe

ONE_TIME_PREFIX = "nacre_once_"
"""How passwords for one login begin; see :mod:`nacre.daemon.store.passwords`."""

AUTH_POLICIES = ("any", "password", "publickey", "password-publickey")
SERVICES = ("all", "shell", "sftp")
SECOND_FACTORS = ("none", "optional", "required")

MOST_HISTORY = 24
"""How many former passwords of a user are kept: each that counts takes 20 ms when one is set."""
RECORDS = ("no", "output", "input")
UPLOADS = ("direct", "atomic")
PARTIAL_UPLOADS = ("keep", "remove")
TRANSFER_PERIODS = PERIODS
ROLES = ("none", "user", "auditor", "admin")

_NAME = re.compile(r"(?!\.\.?\Z)[\w.@+][\w.@+-]{0,63}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a user or a group says of its own. None says nothing: the next one in line decides.

    The line is the user, the user's groups in their order, and :data:`USUAL`.

    :ivar auth: one of :data:`AUTH_POLICIES`.
    :ivar service: one of :data:`SERVICES`.
    :ivar home: an absolute path; without any, the home of the account that sessions run as.
    :ivar run_as: the account that sessions run as under a root server.
    :ivar root: a directory or URL whose files sftp and scp serve; without any, ``home``.
    :ivar read_only: whether sftp and scp refuse every change.
    :ivar unsafe_root: whether a user with files only may have a root that gives away the account
        that sessions run as, or the store.
    :ivar folders: directories and URLs that sftp and scp serve below ``root``, as the lines of
        :mod:`nacre.sftp.filesystems.folders`.
    :ivar rights: what sftp and scp may do in which directory, as the lines of
        :mod:`nacre.sftp.filesystems.rules`; None for everything.
    :ivar file_key: the absolute path of the key of encrypted files.
    :ivar expires: seconds since the epoch, from which on every login is refused; 0 for never.
    :ivar sources: patterns of addresses and names as in ``from=`` of ``authorized_keys``, separated
        by commas; a login from anywhere else is refused.
    :ivar hours: times of the week as in :mod:`nacre.daemon.store.hours`; a login at another time
        is refused.
    :ivar max_sessions: how many connections the user may have at once; 0 for any number.
    :ivar second_factor: one of :data:`SECOND_FACTORS`; ``optional`` asks users who have one.
    :ivar enrol_within: seconds since the user was added, in which a login may enrol a second factor
        that is required; 0 for never.
    :ivar password_length: the characters that a new password must have.
    :ivar password_history: how many of the last passwords a new one may not be, the one that holds
        among them; at most :data:`MOST_HISTORY`.
    :ivar password_expires: seconds after which a password has to be changed; 0 for never.
    :ivar record: what is recorded of the sessions, by a server that records some: one of
        :data:`RECORDS`.
    :ivar uploads: one of :data:`UPLOADS`; see :mod:`nacre.sftp.filesystems.uploads`.
    :ivar partial_uploads: one of :data:`PARTIAL_UPLOADS`.
    :ivar certificate_valid: seconds for which a certificate is valid that the user gets from
        :mod:`nacre.daemon.authority`; 0 for none. The user gets none by default, either.
    :ivar certificate_principals: the names in these certificates, separated by commas, with ``%u``
        for the user's name; by default that name alone.
    :ivar certificate_options: what these certificates demand and permit: a line for each option of
        ``ssh-keygen -O``.
    :ivar quota_bytes: bytes that the user's files may have; 0 for any number, as in those below.
        :mod:`nacre.sftp.filesystems.quota` has what counts them.
    :ivar quota_files: how many files and directories there may be.
    :ivar transfer_up: bytes that sftp and scp may write in a ``transfer_period``.
    :ivar transfer_down: bytes that they may read in it.
    :ivar transfer_period: one of :data:`TRANSFER_PERIODS`.
    :ivar rate_up: bytes a second that sftp and scp may write, in all sessions together.
    :ivar rate_down: bytes a second that they may read.
    :ivar role: what a person who signs in to the REST API with the user's password may do there:
        one of :data:`ROLES`.
    """

    auth: str | None = None
    service: str | None = None
    home: str | None = None
    run_as: str | None = None
    root: str | None = None
    read_only: bool | None = None
    unsafe_root: bool | None = None
    folders: str | None = None
    rights: str | None = None
    file_key: str | None = None
    expires: int | None = None
    sources: str | None = None
    hours: str | None = None
    max_sessions: int | None = None
    second_factor: str | None = None
    enrol_within: int | None = None
    password_length: int | None = None
    password_history: int | None = None
    password_expires: int | None = None
    record: str | None = None
    uploads: str | None = None
    partial_uploads: str | None = None
    certificate_valid: int | None = None
    certificate_principals: str | None = None
    certificate_options: str | None = None
    quota_bytes: int | None = None
    quota_files: int | None = None
    transfer_up: int | None = None
    transfer_down: int | None = None
    transfer_period: str | None = None
    rate_up: int | None = None
    rate_down: int | None = None
    role: str | None = None


SETTINGS = tuple(field.name for field in fields(Settings))


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupSettings(Settings):
    """What a group says: what its users inherit, and what they share.

    :ivar shared_quota_bytes: bytes that the files of all users of the group may have together; 0
        and None for any number, as in those below, which are like those without ``shared_``.
    """

    shared_quota_bytes: int | None = None
    shared_quota_files: int | None = None
    shared_transfer_up: int | None = None
    shared_transfer_down: int | None = None
    shared_transfer_period: str | None = None
    shared_rate_up: int | None = None
    shared_rate_down: int | None = None


GROUP_SETTINGS = tuple(field.name for field in fields(GroupSettings))
SHARED_SETTINGS = tuple(name for name in GROUP_SETTINGS if name not in SETTINGS)
"""What the users of a group share: no user has it of its own, or inherits it."""

USUAL: dict[str, Any] = dict.fromkeys(SETTINGS) | {
    "auth": "any",
    "service": "all",
    "read_only": False,
    "unsafe_root": False,
    "second_factor": "none",
    "record": "output",
    "uploads": "direct",
    "partial_uploads": "keep",
    "transfer_period": "month",
    "role": "none",
}
"""What holds where neither the user nor a group says anything."""

_FIRST = (
    *("name", "auth", "service", "password", "keys", "disabled", "groups", "run_as", "home"),
    *("root", "unsafe_root", "read_only"),
)

LISTED = (
    *_FIRST,
    *(name for name in SETTINGS if name not in _FIRST),
    "created",
)
"""What is listed of a user: ``password`` tells whether there is one, ``keys`` is their number."""

COUNTED = frozenset(
    {"quota_bytes", "quota_files", "service", "home", "root", "folders", "read_only", "run_as"}
)
"""Settings after whose change a user's files are counted anew, if there is a quota."""

PLACES = ("home", "root", "folders")
"""Settings of a group in which ``%u`` is the user's name, and ``%%`` a percent sign."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredUser(Settings):
    """A user as it is stored, with its own settings alone.

    :ivar password: what :func:`nacre.crypto.password.hash_password` made, or None.
    :ivar groups: the names of the user's groups; the first one that says something decides.
    :ivar created: seconds since the epoch; 0 for now.
    :ivar password_changed: when the password was set, likewise; of a user who is stored, 0 is when
        the user was added.
    :ivar must_change: whether a login by the password has to change it.
    """

    name: str
    password: str | None = None
    groups: tuple[str, ...] = ()
    disabled: bool = False
    created: int = 0
    password_changed: int = 0
    must_change: bool = False

    def __repr__(self) -> str:
        return f"<stored user {self.name}>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Group(GroupSettings):
    """A group, whose settings its users inherit, or share.

    :ivar created: seconds since the epoch; 0 for now.
    """

    name: str
    created: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A virtual user, with the settings that hold; :class:`Settings` describes them.

    :ivar shared: the limits that the users of the user's groups share, sorted by group.
    """

    name: str
    password: str | None = None
    groups: tuple[str, ...] = ()
    disabled: bool = False
    created: int = 0
    password_changed: int = 0
    must_change: bool = False
    auth: str = "any"
    service: str = "all"
    home: str | None = None
    run_as: str | None = None
    root: str | None = None
    read_only: bool = False
    unsafe_root: bool = False
    folders: str | None = None
    rights: str | None = None
    file_key: str | None = None
    expires: int | None = None
    sources: str | None = None
    hours: str | None = None
    max_sessions: int | None = None
    second_factor: str = "none"
    enrol_within: int | None = None
    password_length: int | None = None
    password_history: int | None = None
    password_expires: int | None = None
    record: str = "output"
    uploads: str = "direct"
    partial_uploads: str = "keep"
    certificate_valid: int | None = None
    certificate_principals: str | None = None
    certificate_options: str | None = None
    quota_bytes: int | None = None
    quota_files: int | None = None
    transfer_up: int | None = None
    transfer_down: int | None = None
    transfer_period: str = "month"
    rate_up: int | None = None
    rate_down: int | None = None
    role: str = "none"
    shared: tuple[QuotaLimits, ...] = ()

    def __repr__(self) -> str:
        return f"<user {self.name}>"

    def refusal(self, *, address: str, host: str | None, now: float | None = None) -> str | None:
        """Return why the user may not log in now from this client, for the log, or None.

        :param address: the client's IP address.
        :param host: the client's host name, if it was looked up.
        :param now: seconds since the epoch; None for now.
        """
        now = time.time() if now is None else now
        if self.disabled:
            return "the user is disabled"
        if self.expires and now >= self.expires:
            return "the user has expired"
        if self.sources is not None:
            allowed = KeyOptions(sources=tuple(self.sources.split(",")))
            if allowed.refusal(address=address, host=host) is not None:
                return "the user may not log in from this address"
        if self.hours is not None and not in_hours(self.hours, now):
            return "the user may not log in at this time"
        return None

    def password_expired(self, now: float | None = None) -> bool:
        """Tell whether the password, if it is right, has to be changed.

        :param now: seconds since the epoch; None for now.
        """
        now = time.time() if now is None else now
        since = self.password_changed or self.created
        old = bool(self.password_expires) and now >= since + (self.password_expires or 0)
        return self.must_change or old

    def may_enrol(self, now: float | None = None) -> bool:
        """Tell whether a login may enrol a second factor.

        :param now: seconds since the epoch; None for now.
        """
        now = time.time() if now is None else now
        return now < self.created + (self.enrol_within or 0)


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key with which a user may log in.

    :ivar added: seconds since the epoch.
    :ivar options: options as in ``authorized_keys``, or an empty text.
    """

    key: PublicKey
    comment: str
    added: int = 0
    options: str = ""

    def expires(self) -> int | None:
        """Return from when on the key is refused, in seconds since the epoch, or None. May block.

        :raises KeyFormatError: the options can't be read.
        """
        found = parse_options(self.options, service).expires if self.options else None
        return None if found is None else int(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRecord:
    """A certificate that was issued: what is known of it, without the certificate itself.

    :ivar serial: its serial number; no other certificate of the store's authorities has it.
    :ivar kind: ``user`` or ``host``.
    :ivar principals: the names of users or hosts that it is for.
    :ivar valid_after: seconds since the epoch; ``valid_before`` likewise.
    :ivar fingerprint: that of the certified key.
    :ivar user: the user of the store who has it; empty for a host's.
    :ivar issued: seconds since the epoch.
    :ivar revoked: seconds since the epoch at which it was revoked, or None.
    """

    serial: int
    kind: str
    key_id: str
    principals: tuple[str, ...]
    valid_after: int
    valid_before: int
    fingerprint: str
    user: str
    issued: int
    revoked: int | None = None


class LedgerKey(NamedTuple):
    """Whose ledger it is.

    :ivar name: that of the user, or of the group.
    """

    kind: Literal["user", "group"]
    name: str


def usage_directory(state: Path) -> Path:
    """Return the directory of a state directory that has the ledgers of users with limits."""
    return state / "usage"


@contextmanager
def changed_ledgers() -> Iterator[None]:
    """Turn the error of a ledger that can't be changed into one of the store."""
    try:
        yield
    except OSError as error:
        raise UserStoreError(f"can't change {error.filename}: {error.strerror}") from error


def is_name(name: str) -> bool:
    """Tell whether a user, or a group, may have this name."""
    return _NAME.fullmatch(name) is not None


def check_name(name: str, what: str = "user") -> None:
    """Check that a user, or a group, may have this name.

    :raises UserStoreError: it is not possible.
    """
    if not is_name(name):
        raise UserStoreError(
            f"{safe(name, 64)!r} can't be a {what}'s name: use 1 to 64 letters, digits "
            "and . _ - @ +, not beginning with -, and not . or .."
        )
