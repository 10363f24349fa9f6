"""``nacre user``: the users of ``nacre serve``."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nacre.cli.help.grouped import GroupedGroup
from nacre.cli.manage.options import (
    CONTEXT,
    json_option,
    note,
    reported,
    state_option,
    store_option,
)
from nacre.cli.user.columns import LISTED_USERS, columns_option, list_rows
from nacre.cli.user.factors import totp
from nacre.cli.user.listing import SHOWN, show, shown_expiry, shown_time
from nacre.cli.user.security_keys import security_key
from nacre.cli.user.settings import (
    check_root,
    expiry_option,
    inherit,
    open_store,
    placed,
    said,
    settings,
)
from nacre.cli.user.usage import usage
from nacre.errors import AccountError, KeyFormatError, UserStoreError
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.cli.user.newcomers import Newcomer
    from nacre.daemon.accounts.accounts import Account
    from nacre.daemon.store.store import UserStore
    from nacre.daemon.store.values import Group, StoredKey, StoredUser
    from nacre.keys import PublicKey

_LIST_FLAGS = ("password", "disabled", "unsafe_root", "read_only")

_password_stdin = click.option(
    "--password-stdin", is_flag=True, help="Read the password from a line of standard input."
)
_groups = click.option(
    "--group",
    "groups",
    multiple=True,
    metavar="GROUP",
    help="A group, whose settings hold where the user has none; may be repeated. The first one "
    "that has a setting decides.",
)


@click.group("user", cls=GroupedGroup, context_settings=CONTEXT)
def command() -> None:
    """Add, change and remove the server's users.

    Changes take effect at the next login, without a restart of the server.
    """


@command.command("add")
@click.argument("names", metavar="NAME...", nargs=-1)
@state_option
@store_option
@_password_stdin
@click.option(
    "--from",
    "source",
    metavar="FILE",
    help="Add the users of a file. Its lines are NAME:PASSWORD, NAME KEY or NAME; - is standard "
    "input.",
)
@click.option(
    "--key",
    "key_files",
    multiple=True,
    metavar="FILE",
    help="A file of public keys; may be repeated. Its lines are those of authorized_keys; - is "
    "standard input.",
)
@_groups
@settings
@reported
def _add(
    names: tuple[str, ...],
    state: Path | None,
    password_stdin: bool,
    source: str | None,
    key_files: tuple[str, ...],
    groups: tuple[str, ...],
    **options: Any,
) -> None:
    """Add users: all of them, or none if one can't be added.

    Without --key and --password-stdin passwords are asked for on the terminal. Standard input has a
    line for each NAME. In DIR and URL, %u is the name of the user.
    """
    from nacre.cli.user.newcomers import Newcomer, check_fit, hashes, read_newcomers
    from nacre.daemon.store.store import effective
    from nacre.daemon.store.values import StoredUser, check_name

    if bool(names) == (source is not None):
        raise click.UsageError("give NAME, or --from FILE")
    if [password_stdin, source == "-", "-" in key_files].count(True) > 1:
        raise click.UsageError(
            "standard input can't have both the passwords and a key: give the key's file"
        )
    keys = [key for file in key_files for key in _read_keys(file)]
    for name in names:
        check_name(name)
    given = {name: Newcomer() for name in names} if source is None else read_newcomers(source)
    said_of_all = said(options)
    with open_store(state, create=True) as store:
        inherited = [store.groups.find(group) for group in groups]
        if "run_as" not in said_of_all and not any(group.run_as for group in inherited):
            account = _account(", ".join(names) or "the users", store)
            said_of_all |= {} if account is None else {"run_as": account}
        users = [
            StoredUser(name=name, groups=groups, **placed(said_of_all, name)) for name in given
        ]
        auth = effective(StoredUser(name="user", groups=groups, **said_of_all), inherited).auth
        for user in users:
            check_root(user, inherited, store)
        for user, (name, newcomer) in zip(users, given.items(), strict=True):
            newcomer.keys += keys
            if source is None and (password_stdin or not (keys or auth == "publickey")):
                newcomer.password = _password(name, password_stdin)
            check_fit(effective(user, inherited), newcomer.password)
        hashed = hashes([newcomer.password for newcomer in given.values()])
        store.add_all(
            (replace(user, password=password), newcomer.keys)
            for user, password, newcomer in zip(users, hashed, given.values(), strict=True)
        )
    for name, newcomer in given.items():
        _note_what_is_missing(name, newcomer, auth)


def _note_what_is_missing(name: str, user: Newcomer, auth: str) -> None:
    if "publickey" in auth and not user.keys:
        note(f"{name} can't log in without a key: add one with `nacre user key add {name} FILE`")
    if user.password is None and ("password" in auth or not (user.keys or auth == "publickey")):
        note(f"{name} can't log in without a password: set one with `nacre user passwd {name}`")


@command.command("set")
@click.argument("name")
@state_option
@store_option
@_groups
@click.option("--no-groups", is_flag=True, help="Take the user out of all groups.")
@settings
@inherit
@click.option(
    "--disable/--enable", "disabled", default=None, help="Whether to refuse the user's logins."
)
@reported
def _set(
    name: str,
    state: Path | None,
    groups: tuple[str, ...],
    no_groups: bool,
    inherit: tuple[str, ...],
    **options: Any,
) -> None:
    """Change a user. Settings without an option stay the same, and so do the groups."""
    if groups and no_groups:
        raise click.UsageError("--group and --no-groups exclude each other: give one of them")
    given = placed(said(options), name)
    if groups or no_groups:
        given["groups"] = groups
    given = dict.fromkeys(inherit) | given
    if not given:
        raise click.UsageError("nothing to change: give an option")
    with open_store(state) as store:
        user = replace(store.own(name), **given)
        check_root(user, [store.groups.find(group) for group in user.groups], store)
        store.change(name, **given)


@command.command("show")
@click.argument("name")
@state_option
@store_option
@json_option
@reported
def _show(name: str, state: Path | None, as_json: bool) -> None:
    """Print the settings that hold for a user, and where each comes from."""
    from nacre.daemon.store.values import SETTINGS

    with open_store(state) as store:
        found, own = store.user(name), store.own(name)
        groups = [store.groups.find(group) for group in own.groups]
        rows = []
        for setting in SETTINGS:
            sources = [(f"group {group.name}", getattr(group, setting)) for group in groups]
            said = [("user", getattr(own, setting)), *sources]
            origin = next((where for where, value in said if value is not None), "default")
            value = getattr(found, setting)
            rows.append((setting, SHOWN.get(setting, lambda one: one)(value), origin))
    show(("setting", "value", "from"), rows, as_json)


@command.command("passwd")
@click.argument("name")
@state_option
@store_option
@_password_stdin
@click.option("--delete", is_flag=True, help="Remove the password. Only keys are accepted then.")
@click.option(
    "--must-change", is_flag=True, help="Have the user choose another one at the next login."
)
@reported
def _passwd(
    name: str, state: Path | None, password_stdin: bool, delete: bool, must_change: bool
) -> None:
    """Set a user's password."""
    from nacre.cli.user.newcomers import check_fit, hashes

    for option, given in (("--password-stdin", password_stdin), ("--must-change", must_change)):
        if delete and given:
            raise click.UsageError(f"--delete and {option} exclude each other: give one of them")
    with open_store(state) as store:
        user = store.user(name)
        password = None if delete else _password(name, password_stdin)
        check_fit(user, password, store.passwords.last(user))
        (hashed,) = hashes([password])
        store.passwords.set(name, hashed, must_change=must_change)


@command.command("remove")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@state_option
@store_option
@reported
def _remove(names: tuple[str, ...], state: Path | None) -> None:
    """Remove users with their passwords and keys. Open sessions continue."""
    with open_store(state) as store:
        for name in names:
            store.remove(name)


@command.command("list")
@state_option
@store_option
@columns_option(LISTED_USERS)
@json_option
@reported
def _list(state: Path | None, columns: tuple[str, ...] | None, as_json: bool) -> None:
    """List the users.

    The state tells whether a user is disabled or has expired, and with what a login is possible.
    The directory is the root of sftp and scp, or else the home directory. What is the same for all
    users is said on standard error. JSON has all columns.
    """
    shown: dict[str, Any] = {"created": shown_time, **SHOWN, **dict.fromkeys(_LIST_FLAGS, bool)}
    if as_json:
        shown["groups"] = _names
    with open_store(state) as store:
        list_rows(LISTED_USERS, store.listing, columns, shown, as_json=as_json)


def _names(joined: str) -> list[str]:
    return joined.split(",") if joined else []


@command.command("export")
@click.argument("names", metavar="[NAME...]", nargs=-1)
@state_option
@store_option
@click.option(
    "--format",
    "form",
    type=click.Choice(["json", "csv"]),
    default="json",
    show_default=True,
    help="The form. JSON has the groups too.",
)
@reported
def _export(names: tuple[str, ...], state: Path | None, form: str) -> None:
    """Print users, or all, as `nacre user import` reads them.

    Hashes of passwords are among it: let nobody else read it.
    """
    from nacre.cli.user.exchange import write_csv, write_json

    with open_store(state) as store:
        for name in names:
            store.user(name)  # an error names the one that is missing
        (write_json if form == "json" else write_csv)(store, frozenset(names))


@command.command("import")
@click.argument("path", metavar="FILE|DIR")
@state_option
@store_option
@click.option(
    "--format",
    "form",
    type=click.Choice(["json", "csv", "authorized_keys", "sftpgo"]),
    help="The form; by default that of the name, .json or .csv. Authorized_keys is a file named as "
    "the user, or a directory of them, such as /home. Sftpgo is a dump of its users.",
)
@click.option(
    "--update",
    is_flag=True,
    help="Replace users and groups that exist. What the file does not have stays as it is.",
)
@click.option("--dry-run", is_flag=True, help="Tell what would be done, and do nothing.")
@_groups
@settings
@reported
def _import(
    path: str,
    state: Path | None,
    form: str | None,
    update: bool,
    dry_run: bool,
    groups: tuple[str, ...],
    **options: Any,
) -> None:
    """Add users and groups of a file: all of them, or none if one can't be added.

    Options hold where a user of the file says nothing. CSV has a line with the names of its
    columns: name, password, password_hash, groups and keys (several with ; or a newline between
    them), disabled, and settings such as root and expires.
    """
    from nacre.cli.user.exchange import read
    from nacre.cli.user.newcomers import check_fit, hashes
    from nacre.daemon.store.store import effective

    found = read(path, form)
    usual = {**said(options), **({"groups": groups} if groups else {})}
    with open_store(state, create=True) as store:
        known = {group.name: group for group in (*store.groups.all(), *found.groups)}
        accounts: dict[str | None, Account] = {}
        # Looked up once: it is asked of all users of the store.
        account = cache(partial(_account, "the users", store))
        users = [
            _completed(user, usual, known, store, accounts, account) for user, _, _ in found.users
        ]
        for user, (_, _, password) in zip(users, found.users, strict=True):
            inherited = [known[one] for one in user.groups if one in known]
            check_fit(effective(user, inherited), password)
        hashed = hashes([password for _, _, password in found.users])
        done = store.put(
            found.groups,
            [
                (user if new is None else replace(user, password=new), keys)
                for user, (_, keys, _), new in zip(users, found.users, hashed, strict=True)
            ],
            update=update,
            keep=not dry_run,
        )
    for remark in found.notes:
        note(safe(remark, 200))
    would = "would be " if dry_run else ""
    click.echo(
        f"{done.users} users and {done.groups} groups {would}added, "
        f"{done.replaced_users} users and {done.replaced_groups} groups {would}replaced"
    )


def _completed(
    user: StoredUser,
    usual: dict[str, Any],
    groups: dict[str, Group],
    store: UserStore,
    accounts: dict[str | None, Account],
    usual_account: Callable[[], str | None],
) -> StoredUser:
    """Return a user of a file with the usual settings where the file says nothing, checked.

    :param groups: the groups that there are, and those of the file.
    :param accounts: gets the accounts that were looked up.
    :param usual_account: returns the account of a user of whom nothing says one.
    """
    missing = {name: value for name, value in usual.items() if getattr(user, name) in (None, ())}
    found = replace(user, **placed(missing, user.name)) if missing else user
    inherited = [groups[name] for name in found.groups if name in groups]
    if found.run_as is None and not any(group.run_as for group in inherited):
        found = replace(found, run_as=usual_account())
    check_root(found, inherited, store, accounts)
    return found


command.add_command(totp)
command.add_command(security_key)
command.add_command(usage)


@command.group("key", context_settings=CONTEXT)
def _key() -> None:
    """Add, list and remove a user's keys."""


@_key.command("add")
@click.argument("name")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@state_option
@store_option
@click.option(
    "--options",
    metavar="OPTIONS",
    help="What the keys may be used for, as in authorized_keys. For example "
    'restrict,command="...". A key that exists gets these options, or none.',
)
@expiry_option("Refuse the keys from this time on, as --expires of `nacre user set` has it.")
@reported
def _key_add(
    name: str,
    files: tuple[str, ...],
    state: Path | None,
    options: str | None,
    expires: int | None,
) -> None:
    """Add public keys from FILEs, or from standard input when FILE is -.

    The lines of a FILE are those of authorized_keys, and may have options of their own.
    """
    keys = [key for file in files for key in _read_keys(file)]
    if options is not None:
        keys = _with_options(keys, options)
    if expires:
        keys = [_until(key, expires) for key in keys]
    with open_store(state) as store:
        store.add_keys(name, keys)
    for key in keys:
        click.echo(f"added {key.key.type} {key.key.fingerprint()}")


@_key.command("list")
@click.argument("name")
@state_option
@store_option
@json_option
@reported
def _key_list(name: str, state: Path | None, as_json: bool) -> None:
    """List a user's keys."""
    with open_store(state) as store:
        found = store.keys(name)
    now, rows = time.time(), []
    for one in found:
        end = one.expires()
        key, expired = one.key, end is not None and now > end
        rows.append(
            (
                key.fingerprint(),
                key.type,
                key.bits,
                one.added,
                end,
                expired,
                one.options,
                one.comment,
            )
        )
    show(
        ("fingerprint", "type", "bits", "added", "expires", "expired", "options", "comment"),
        rows,
        as_json,
        added=shown_time,
        expires=shown_expiry,
    )


@_key.command("remove")
@click.argument("name")
@click.argument("keys", metavar="FINGERPRINT|FILE...", nargs=-1, required=True)
@state_option
@store_option
@reported
def _key_remove(name: str, keys: tuple[str, ...], state: Path | None) -> None:
    """Remove keys, named by their SHA256 fingerprints or by their files."""
    with open_store(state) as store:
        for key in keys:
            for one in _named_keys(name, key, store):
                store.remove_key(name, one)
                click.echo(f"removed {one.type} {one.fingerprint()}")


def _with_options(keys: list[StoredKey], options: str) -> list[StoredKey]:
    from nacre.config.values import service
    from nacre.keys.key_options import parse_options

    try:
        parse_options(options, service)
    except KeyFormatError as error:
        raise UserStoreError(f"--options: {error}") from None
    if any(key.options for key in keys):
        raise UserStoreError("the file has options of its own: remove them, or leave --options out")
    return [replace(key, options=options) for key in keys]


def _until(key: StoredKey, expires: int) -> StoredKey:
    """Return a key that is refused from a time on, or from an earlier one that it has already."""
    end = time.strftime("%Y%m%d%H%M%SZ", time.gmtime(expires))
    option = f'expiry-time="{end}"'
    return replace(key, options=f"{key.options},{option}" if key.options else option)


def _named_keys(name: str, key: str, store: UserStore) -> list[PublicKey]:
    if not key.startswith("SHA256:"):
        return [one.key for one in _read_keys(key)]
    found = [one.key for one in store.keys(name) if one.key.fingerprint() == key]
    if not found:
        raise UserStoreError(f"{name} has no key {key}")
    return found


def _read_keys(file: str) -> list[StoredKey]:
    from nacre.cli.user.newcomers import stored
    from nacre.keys.authorized_keys import parse
    from nacre.keys.files import MAXIMUM_SIZE
    from nacre.keys.rsa1_text import BEGIN

    try:
        with click.open_file(file, "rb") as stream:
            text = stream.read(MAXIMUM_SIZE)
    except OSError as error:
        raise UserStoreError(f"can't read {file}: {error.strerror}") from error
    if b"PRIVATE KEY-----" in text or text.startswith(BEGIN):
        raise UserStoreError(f"{file} is a private key: give the public key, {file}.pub")
    found = parse(text)
    for number, reason in found.rejected:
        raise UserStoreError(f"{file}, line {number}: {reason}")
    if not found.entries:
        raise UserStoreError(f"{file} has no public key")
    return [stored(entry) for entry in found]


def _account(names: str, store: UserStore) -> str | None:
    """Return the account for the sessions of new users, of which nothing says one.

    With root that is the one of all other users; None if root is not involved.
    """
    from nacre.daemon.accounts.accounts import find_account

    if os.geteuid() != 0:
        return None
    named = store.accounts()
    if len(named) == 1 and (only := named.pop()) is not None and find_account(only).uid != 0:
        note(f"sessions of {names} run as {only}, like those of the other users")
        return only
    raise AccountError(
        f"a server that root runs needs an account for the sessions of {names}: give "
        "--run-as ACCOUNT (one with few rights, or root if the sessions should have all)"
    )


def _password(name: str, from_stdin: bool) -> bytes:
    from nacre.cli.user.newcomers import checked

    if from_stdin:
        line = sys.stdin.buffer.readline()
        password = line.removesuffix(b"\n").removesuffix(b"\r")
    elif sys.stdin.isatty():
        password = _typed(name).encode("utf-8", "surrogateescape")
    else:
        raise UserStoreError(
            f"no terminal to ask for the password of {name}: give --password-stdin or --key FILE"
        )
    return checked(password)


def _typed(name: str) -> str:
    """Return a password that was typed twice."""
    from nacre.cli.common.prompts import prompt

    while True:
        answers = [
            asyncio.run(prompt(question, False))
            for question in (f"Password for {name}: ", "Repeat for confirmation: ")
        ]
        first, again = answers
        if first is None or again is None:
            raise click.Abort
        if first == again:
            return first
        note("Error: The two entered values do not match.")
