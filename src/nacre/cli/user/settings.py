"""The options for what users and groups may do, and how their values are read.

A setting that is not given is not said: the user's groups decide, or what is usual.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nacre.cli.manage import times
from nacre.cli.manage.options import STORE, note
from nacre.cli.user.limits import OPTIONS as LIMITS
from nacre.cli.user.limits import SHARED_OPTIONS, OptionOf
from nacre.daemon.store.values import GROUP_SETTINGS, SETTINGS
from nacre.errors import (
    AccountError,
    ConfigurationError,
    KeyFormatError,
    UserStoreError,
)
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.daemon.accounts.accounts import Account
    from nacre.daemon.store.store import UserStore
    from nacre.daemon.store.values import Group, StoredUser

NEVER = 0
"""The ``expires`` of those who never do, whatever their groups say."""

MOST_SESSIONS = 1_000_000
"""The largest maximum of connections that can be set."""

_DAY = 86400
_UNITS = "hdw"
"""The letters that a span of a setting may end with."""


def expiry(text: str) -> int:
    """Return seconds since the epoch, or 0 for never.

    :raises BadParameter: the text is no time.
    """
    if text == "never":
        return NEVER
    if text.startswith("+") and (seconds := times.span(text[1:], _UNITS)) is not None:
        return int(time.time()) + seconds
    if (found := times.written(text, end=True)) is not None:
        return int(found.timestamp())
    raise click.BadParameter(
        f"{text!r} is no time: write for example 2030-12-31, 2030-12-31T18:00, +30d or never"
    )


def span(text: str) -> int:
    """Return the seconds of a span such as ``90d``, or 0 for never.

    :raises BadParameter: the text is none.
    """
    seconds = NEVER if text == "never" else times.span(text.removeprefix("+"), _UNITS)
    if seconds is None:
        raise click.BadParameter(
            f"{text!r} is no span of time: write for example 90d, 12w or never"
        )
    return seconds


def written_expiry(seconds: int) -> str:
    """Return what :func:`expiry` reads as this time."""
    return times.write(seconds) if seconds else "never"


def _expiry(_context: click.Context, _parameter: click.Parameter, text: str | None) -> int | None:
    return None if text is None else expiry(text)


def _span(_context: click.Context, _parameter: click.Parameter, text: str | None) -> int | None:
    return None if text is None else span(text)


def _hours(_context: click.Context, _parameter: click.Parameter, text: str | None) -> str | None:
    from nacre.daemon.store.hours import parse_hours

    if text is not None:
        try:
            parse_hours(text)
        except UserStoreError as error:
            raise click.BadParameter(str(error)) from None
    return text


def _lines(
    read: Callable[[tuple[str, ...]], str],
) -> Callable[[click.Context, click.Parameter, tuple[str, ...]], str | None]:
    """Return a callback for an option that may be repeated.

    :param read: returns the text of all values for the store.
    """

    def callback(
        _context: click.Context, _parameter: click.Parameter, given: tuple[str, ...]
    ) -> str | None:
        if not given:
            return None
        try:
            return read(given)
        except ConfigurationError as error:
            raise click.BadParameter(str(error)) from None

    return callback


def file_key(path: str) -> str:
    """Return the absolute path of a file with the key of encrypted files.

    :raises BadParameter: there is no such key in it.
    """
    from nacre.daemon.accounts.virtual.file_key import read_file_key

    try:
        read_file_key(path)
    except AccountError as error:
        raise click.BadParameter(str(error)) from None
    return os.path.abspath(path)


def _file_key(_context: click.Context, _parameter: click.Parameter, path: str | None) -> str | None:
    return None if path is None else file_key(path)


def _rights(rules: tuple[str, ...]) -> str:
    from nacre.sftp.filesystems.rules import parse_rules

    return str(parse_rules(rules))


def _folders(folders: tuple[str, ...]) -> str:
    from nacre.sftp.filesystems.folders import parse_folders, written_folders

    return written_folders(parse_folders(folders))


def sources(text: str) -> str:
    """Return patterns of where logins may come from.

    :raises BadParameter: they can't be read.
    """
    from nacre.config.values import service
    from nacre.keys.key_options import parse_options

    quoted = text.replace('"', '\\"')
    try:
        parse_options(f'from="{quoted}"', service)
    except KeyFormatError as error:
        raise click.BadParameter(str(error)) from None
    return text


def _sources(_context: click.Context, _parameter: click.Parameter, text: str | None) -> str | None:
    return None if text is None else sources(text)


def expiry_option(text: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return the option ``--expires``, with this help."""
    return click.option("--expires", metavar="TIME", callback=_expiry, help=text)


SHORTEST, LONGEST = 60, 366 * _DAY
"""Seconds for which a certificate may be valid."""


def certificate_span(text: str) -> int:
    """Return for how many seconds certificates are valid, or 0 for none.

    :raises BadParameter: the text is no such time.
    """
    from nacre.config.values import seconds

    if text in ("none", "0"):
        return NEVER
    with suppress(ConfigurationError):
        if SHORTEST <= (found := seconds("", text)) <= LONGEST:
            return found
    raise click.BadParameter(
        f"{text!r} is no time from 1m to 366d: write for example 8h, 90m or 1h30m, or none"
    )


def _certificate_span(
    _context: click.Context, _parameter: click.Parameter, text: str | None
) -> int | None:
    return None if text is None else certificate_span(text)


def principals(text: str) -> str:
    """Return principals of certificates as they are stored.

    :raises BadParameter: they can't be used.
    """
    from nacre.daemon.authority.issuing import read_principals

    try:
        read_principals(text, "user")
    except ConfigurationError as error:
        raise click.BadParameter(str(error)) from None
    return text


def _principals(
    _context: click.Context, _parameter: click.Parameter, text: str | None
) -> str | None:
    return None if text is None else principals(text)


def certificate_options(texts: Sequence[str]) -> str:
    """Return options of certificates as they are stored: a line for each.

    :raises BadParameter: one is unknown, or malformed.
    """
    from nacre.daemon.authority.issuing import read_options

    try:
        read_options(texts)
    except ConfigurationError as error:
        raise click.BadParameter(str(error)) from None
    if any("\n" in text for text in texts):
        raise click.BadParameter("an option of a certificate is one line")
    return "\n".join(texts)


def _certificate_options(
    _context: click.Context, _parameter: click.Parameter, texts: tuple[str, ...]
) -> str | None:
    return certificate_options(texts) if texts else None


_OPTIONS: tuple[OptionOf, ...] = (
    click.option(
        "--auth",
        type=click.Choice(["any", "password", "publickey", "password-publickey"]),
        help="What a login needs; by default any of them.",
    ),
    click.option(
        "--service",
        type=click.Choice(["all", "shell", "sftp"]),
        help="What the user may use; by default all.",
    ),
    click.option(
        "--home",
        metavar="DIR",
        help="The home directory. By default that of the account that sessions run as.",
    ),
    click.option(
        "--root",
        metavar="DIR|URL",
        help="The root of sftp and scp, which they can't leave. By default the home directory of a "
        "user with --service sftp, and the whole system for one with a shell. A URL "
        "such as s3://bucket/prefix or memory://files is served by fsspec.",
    ),
    click.option(
        "--unsafe-root/--safe-root",
        default=None,
        help="Accept a root that gives away more. A root of a user with --service sftp gives away "
        "more than files if it holds the account's home directory or shares files with the state "
        "directory.",
    ),
    click.option(
        "--read-only/--read-write", default=None, help="Whether sftp and scp may change files."
    ),
    click.option(
        "--folder",
        "folders",
        multiple=True,
        metavar="POINT=DIR|URL[:ro]",
        callback=_lines(_folders),
        help="A directory or storage to show below the root; may be repeated. It is served by sftp "
        "and scp, for users with --root or --service sftp. POINT is where it is seen; with :ro "
        "nobody changes it. For example --folder /shared=/srv/shared "
        "--folder /archive=s3://bucket/prefix:ro.",
    ),
    click.option(
        "--file-key",
        metavar="FILE",
        callback=_file_key,
        help="The key of encrypted files. It is for a --root or a --folder with encrypted+ in "
        "front, such as encrypted+/srv/files. FILE has 64 hexadecimal digits, and mode 0600.",
    ),
    click.option(
        "--rights",
        multiple=True,
        metavar="DIR:WORDS",
        callback=_lines(_rights),
        help="What sftp and scp may do in a directory; may be repeated. It is for users with "
        "--service sftp, and holds for the directories below. DIR is as the user sees it. WORDS "
        "are list, download, upload, overwrite, delete, rename, mkdir, symlink and chmod, or *, "
        "or none, and allow=PATTERN and "
        "deny=PATTERN for names, with commas between them. The longest DIR decides; where there is "
        "none, nothing is allowed. For example --rights /:list,download --rights /in:list,upload.",
    ),
    click.option(
        "--run-as", metavar="ACCOUNT", help="The account of sessions, if root runs the server."
    ),
    expiry_option(
        "Refuse logins from this time on. It is a day, to the end of it, such as 2030-12-31; "
        "a time of the day with it, as in 2030-12-31T18:00; a span from now, as +12h, +30d or +4w; "
        "or never.",
    ),
    click.option(
        "--allow-from",
        "sources",
        metavar="PATTERNS",
        callback=_sources,
        help="Refuse logins from elsewhere. Networks, addresses and names with commas between "
        "them, as in from= of authorized_keys: 192.0.2.0/24,*.example.com. An * is anywhere.",
    ),
    click.option(
        "--hours",
        metavar="TIMES",
        callback=_hours,
        help="Refuse logins at other times of the week, in the server's time zone. For example "
        "'Mon-Fri 08:00-18:00, Sat 09:00-12:00'. Mon-Sun is always.",
    ),
    click.option(
        "--max-sessions",
        type=click.IntRange(0, MOST_SESSIONS),
        metavar="N",
        help="The most connections at once. One more is ended right after its login, and told why; "
        "0 is no limit.",
    ),
    click.option(
        "--second-factor",
        type=click.Choice(["none", "optional", "required"]),
        help="Whether a login needs a code of an authenticator app too. Optional asks users who "
        "have one; by default none.",
    ),
    click.option(
        "--enrol-within",
        metavar="SPAN",
        callback=_span,
        help="Let a login enrol the second factor that is required. The span begins when the user "
        "is added: 14d, 12h, 2w, or never, which is the default.",
    ),
    click.option(
        "--password-length",
        type=click.IntRange(0, 128),
        metavar="N",
        help="The characters that a new password must have.",
    ),
    click.option(
        "--password-history",
        type=click.IntRange(0, 24),
        metavar="N",
        help="Refuse a new password that is one of the last N.",
    ),
    click.option(
        "--password-expires",
        metavar="SPAN",
        callback=_span,
        help="Have passwords changed that are older: 90d, 12w, or never.",
    ),
    click.option(
        "--record",
        type=click.Choice(["no", "output", "input"]),
        help="What `nacre serve --record` records. Nothing, what sessions print, or also what "
        "the client sends; by default output.",
    ),
    click.option(
        "--uploads",
        type=click.Choice(["direct", "atomic"]),
        help="When uploads get their names. Direct, the default, is at once; atomic is when they "
        "are complete.",
    ),
    click.option(
        "--partial-uploads",
        type=click.Choice(["keep", "remove"]),
        help="What happens with uploads that break off. By default they are kept.",
    ),
    click.option(
        "--role",
        type=click.Choice(["none", "user", "auditor", "admin"]),
        help="What the user may do in `nacre console`. A user sees what is the user's own, an "
        "auditor all there is, an admin changes it; by default none, who may not sign in.",
    ),
    click.option(
        "--certificate-valid",
        metavar="SPAN",
        callback=_certificate_span,
        help="Issue certificates that are valid so long. For example 8h; by default none are "
        "issued. None says so, whatever the groups say. See `nacre ca`.",
    ),
    click.option(
        "--certificate-principals",
        metavar="NAMES",
        callback=_principals,
        help="The principals of these certificates. Names with commas between them, where %u is "
        "the user's; by default %u.",
    ),
    click.option(
        "--certificate-option",
        "certificate_options",
        multiple=True,
        metavar="OPTION",
        callback=_certificate_options,
        help="What these certificates demand or permit. As with -O of ssh-keygen, such as no-pty "
        "or source-address=192.0.2.0/24; may be repeated.",
    ),
    *LIMITS,
)


def settings(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of all settings, named as in the store."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def group_settings(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command these options, and those for what the users of a group share."""
    for option in reversed(SHARED_OPTIONS):
        function = option(function)
    return settings(function)


@contextmanager
def open_store(state: Path | None, *, create: bool = False) -> Iterator[UserStore]:
    """Open the store of a state directory, or that of ``--store``, and close it afterwards."""
    from nacre.daemon.state import default_path, open_state
    from nacre.daemon.store.store import FILE, UserStore

    context = click.get_current_context(silent=True)
    text = None if context is None else context.meta.get(STORE)
    if text is None:
        store = UserStore(open_state(state, create=create) / FILE, create=create)
    else:
        from nacre.daemon.store.postgres.store_url import store_url

        # Somebody who manages the users of other machines has no state directory.
        path = (state or default_path()).absolute() / FILE
        store = UserStore(path, create=create, url=store_url(text))
    try:
        yield store
    finally:
        store.close()


_NAMES = {"sources": "allow-from", "folders": "folder", "certificate_options": "certificate-option"}
INHERITED = {_NAMES.get(name, name).replace("_", "-"): name for name in SETTINGS}
"""The settings of the store by the names of their options."""

_OF_GROUPS = {_NAMES.get(name, name).replace("_", "-"): name for name in GROUP_SETTINGS}


def _inherit_option(known: dict[str, str]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return the option that removes settings.

    :param known: the settings by the names of their options.
    """

    def inherited(
        _context: click.Context, _parameter: click.Parameter, names: tuple[str, ...]
    ) -> tuple[str, ...]:
        if wrong := [name for name in names if name not in known]:
            raise click.BadParameter(f"{wrong[0]!r} is none of {', '.join(known)}")
        return tuple(known[name] for name in names)

    return click.option(
        "--inherit",
        multiple=True,
        metavar="SETTING",
        callback=inherited,
        help="Remove a setting. It has the name of its option, such as read-only. The next group "
        "of the user then decides, or what is usual; may be repeated.",
    )


inherit = _inherit_option(INHERITED)
inherit_of_group = _inherit_option(_OF_GROUPS)


def said(options: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that were given.

    :raises AccountError: there is no account of the name of ``run_as``.
    """
    from nacre.daemon.accounts.accounts import find_account

    given = {name: value for name, value in options.items() if value is not None}
    if "run_as" in given:
        find_account(given["run_as"])
    return given


def placed(values: dict[str, Any], name: str | None) -> dict[str, Any]:
    """Return settings with absolute paths and possible URLs.

    :param name: the user in place of ``%u``; None for a group, which keeps it.
    :raises UserStoreError: a token is unknown, or a URL can't be served.
    """
    from nacre.config.syntax.tokens import expand
    from nacre.sftp.filesystems.folders import ENCRYPTED

    changed = {}
    for place in values.keys() & {"home", "root"}:
        try:
            path = expand(values[place], {"u": name or "user"})
        except ConfigurationError as error:
            raise UserStoreError(f"--{place}: {error}") from None
        kept = path if name is not None else values[place]
        before = ENCRYPTED if place == "root" and path.startswith(ENCRYPTED) else ""
        path, kept = path.removeprefix(before), kept.removeprefix(before)
        if place == "root" and "://" in path:
            _check_url(path)
        else:
            kept = os.path.abspath(kept)
            if name is not None and not os.path.isdir(path):
                note(f"the directory {safe(path)} does not exist yet")
        changed[place] = before + kept
    if values.get("folders") is not None:
        changed["folders"] = _placed_folders(values["folders"], name)
    return values | changed


def _placed_folders(folders: str, name: str | None) -> str:
    from nacre.config.syntax.tokens import expand
    from nacre.sftp.filesystems.folders import parse_folders

    try:
        expanded = expand(folders, {"u": name or "user"})
        found = parse_folders([expanded])
    except ConfigurationError as error:
        raise UserStoreError(f"--folder: {error}") from None
    for folder in found:
        if folder.is_storage:
            _check_url(folder.place)
        elif name is not None and not os.path.isdir(folder.place):
            note(f"the directory {safe(folder.place)} does not exist yet")
    return expanded if name is not None else folders


def _check_url(root: str) -> None:
    from nacre.sftp.filesystems.fsspec import open_root

    try:
        open_root(root).close()
    except OSError as error:
        raise UserStoreError(f"can't serve {safe(root)}: {error}") from error


def check_root(
    user: StoredUser,
    groups: Sequence[Group],
    store: UserStore,
    accounts: dict[str | None, Account] | None = None,
) -> None:
    """Refuse a root that would give away more than files.

    :param groups: those of the user, in their order.
    :param accounts: gets the accounts that were looked up, for further users.
    :raises UserStoreError: it would; the message says why and what to do.
    """
    from nacre.daemon.accounts.accounts import find_account, own_account
    from nacre.daemon.accounts.virtual.roots import refusal
    from nacre.daemon.store.store import effective

    found = effective(user, groups)
    accounts = {} if accounts is None else accounts
    account = accounts.get(found.run_as)
    if account is None:
        account = own_account() if found.run_as is None else find_account(found.run_as)
        accounts[found.run_as] = account
    reason = refusal(found, account, store.directory)
    if reason is not None:
        raise UserStoreError(reason)
