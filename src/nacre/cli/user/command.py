"""``nacre user``: the users of ``nacre serve``."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nacre.errors import AccountError, NacreError, UserStoreError

if TYPE_CHECKING:
    from nacre.daemon.accounts.store import StoredKey, UserStore
    from nacre.keys import PublicKey

_AUTH = click.Choice(["any", "password", "publickey", "password-publickey"])
_SERVICE = click.Choice(["all", "shell", "sftp"])
_SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"]}

_state = click.option(
    "--state",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="The server's state directory; by default that of `nacre serve`.",
)
_password_stdin = click.option(
    "--password-stdin", is_flag=True, help="Read the password from a line of standard input."
)
_home = click.option(
    "--home",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="The home directory; by default that of the account that sessions run as.",
)
_root = click.option(
    "--root",
    metavar="DIR|URL",
    help="The root of sftp and scp, which they can't leave; by default the home directory. A URL "
    "such as s3://bucket/prefix or memory://files is served by fsspec.",
)
_read_only = click.option(
    "--read-only/--read-write", default=None, help="Whether sftp and scp may change files."
)
_run_as = click.option(
    "--run-as",
    metavar="ACCOUNT",
    help="The account that sessions run as if root runs the server.",
)


def _reported(function: Callable[..., None]) -> Callable[..., None]:
    """Turn an error of nacre into a message and exit status 1."""

    @wraps(function)
    def call(*args: Any, **options: Any) -> None:
        try:
            function(*args, **options)
        except NacreError as error:
            raise click.ClickException(str(error)) from None

    return call


@contextmanager
def _store(state: Path | None) -> Iterator[UserStore]:
    from nacre.daemon.accounts.store import FILE, UserStore
    from nacre.daemon.state import open_state

    store = UserStore(open_state(state) / FILE)
    try:
        yield store
    finally:
        store.close()


@click.group("user", context_settings=_SETTINGS)
def command() -> None:
    """Add, change and remove the server's users.

    Changes take effect at the next login, without a restart of the server.
    """


@command.command("add")
@click.argument("name")
@_state
@_password_stdin
@click.option(
    "--key",
    "key_files",
    multiple=True,
    metavar="FILE",
    help="A public key file, or lines of authorized_keys; - is standard input. May be repeated.",
)
@click.option("--auth", type=_AUTH, default="any", show_default=True, help="What a login needs.")
@click.option(
    "--service", type=_SERVICE, default="all", show_default=True, help="What the user may use."
)
@_home
@_root
@_read_only
@_run_as
@_reported
def _add(
    name: str,
    state: Path | None,
    password_stdin: bool,
    key_files: tuple[str, ...],
    auth: str,
    service: str,
    home: Path | None,
    root: str | None,
    read_only: bool | None,
    run_as: str | None,
) -> None:
    """Add a user.

    Without --key and --password-stdin the password is asked for on the terminal.
    """
    from nacre.daemon.accounts.store import User

    if password_stdin and "-" in key_files:
        raise click.UsageError(
            "standard input can't have both the password and a key: give the key's file"
        )
    keys = [key for file in key_files for key in _read_keys(file)]
    with _store(state) as store:
        account = _account(name, run_as, store)
        wants_password = password_stdin or not (keys or auth == "publickey")
        password = _hashed(name, password_stdin) if wants_password else None
        user = User(
            name=name,
            password=password,
            auth=auth,
            service=service,
            home=_absolute(home),
            root=_checked(root),
            read_only=bool(read_only),
            run_as=account,
        )
        store.add(user, keys)
    if "publickey" in auth and not keys:
        _note(f"{name} can't log in without a key: add one with `nacre user key add {name} FILE`")
    if "password" in auth and password is None:
        _note(f"{name} can't log in without a password: set one with `nacre user passwd {name}`")


@command.command("set")
@click.argument("name")
@_state
@click.option("--auth", type=_AUTH, help="What a login needs.")
@click.option("--service", type=_SERVICE, help="What the user may use.")
@_home
@_root
@_read_only
@_run_as
@click.option(
    "--disable/--enable", "disabled", default=None, help="Whether to refuse the user's logins."
)
@_reported
def _set(
    name: str,
    state: Path | None,
    auth: str | None,
    service: str | None,
    home: Path | None,
    root: str | None,
    read_only: bool | None,
    run_as: str | None,
    disabled: bool | None,
) -> None:
    """Change a user. Settings without an option stay the same."""
    from nacre.daemon.accounts.accounts import find_account

    if run_as is not None:
        find_account(run_as)
    values = {
        "auth": auth,
        "service": service,
        "home": _absolute(home),
        "root": _checked(root),
        "read_only": read_only,
        "run_as": run_as,
        "disabled": disabled,
    }
    given = {field: value for field, value in values.items() if value is not None}
    if not given:
        raise click.UsageError("nothing to change: give an option")
    with _store(state) as store:
        store.change(name, **given)


@command.command("passwd")
@click.argument("name")
@_state
@_password_stdin
@click.option("--delete", is_flag=True, help="Remove the password: only keys are accepted then.")
@_reported
def _passwd(name: str, state: Path | None, password_stdin: bool, delete: bool) -> None:
    """Set a user's password."""
    if delete and password_stdin:
        raise click.UsageError("--delete and --password-stdin exclude each other: give one of them")
    with _store(state) as store:
        store.user(name)
        store.change(name, password=None if delete else _hashed(name, password_stdin))


@command.command("remove")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@_state
@_reported
def _remove(names: tuple[str, ...], state: Path | None) -> None:
    """Remove users with their passwords and keys. Open sessions continue."""
    with _store(state) as store:
        for name in names:
            store.remove(name)


@command.command("list")
@_state
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@_reported
def _list(state: Path | None, as_json: bool) -> None:
    """List the users."""
    with _store(state) as store:
        counts = store.key_counts()
        rows = [
            {
                "name": user.name,
                "auth": user.auth,
                "service": user.service,
                "password": user.password is not None,
                "keys": counts.get(user.name, 0),
                "disabled": user.disabled,
                "run_as": user.run_as,
                "home": user.home,
                "root": user.root,
                "read_only": user.read_only,
                "created": _time(user.created),
            }
            for user in store.users()
        ]
    _show(rows, as_json)


@command.group("key", context_settings=_SETTINGS)
def _key() -> None:
    """Add, list and remove a user's keys."""


@_key.command("add")
@click.argument("name")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@_state
@_reported
def _key_add(name: str, files: tuple[str, ...], state: Path | None) -> None:
    """Add public keys from FILEs, or from standard input when FILE is -."""
    keys = [key for file in files for key in _read_keys(file)]
    with _store(state) as store:
        store.add_keys(name, keys)
    for key in keys:
        click.echo(f"added {key.key.type} {key.key.fingerprint()}")


@_key.command("list")
@click.argument("name")
@_state
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@_reported
def _key_list(name: str, state: Path | None, as_json: bool) -> None:
    """List a user's keys."""
    with _store(state) as store:
        rows = [
            {
                "fingerprint": key.key.fingerprint(),
                "type": key.key.type,
                "bits": key.key.bits,
                "added": _time(key.added),
                "comment": key.comment,
            }
            for key in store.keys(name)
        ]
    _show(rows, as_json)


@_key.command("remove")
@click.argument("name")
@click.argument("keys", metavar="FINGERPRINT|FILE...", nargs=-1, required=True)
@_state
@_reported
def _key_remove(name: str, keys: tuple[str, ...], state: Path | None) -> None:
    """Remove keys, named by their SHA256 fingerprints or by their files."""
    with _store(state) as store:
        for key in keys:
            for one in _named_keys(name, key, store):
                store.remove_key(name, one)
                click.echo(f"removed {one.type} {one.fingerprint()}")


def _named_keys(name: str, key: str, store: UserStore) -> list[PublicKey]:
    if not key.startswith("SHA256:"):
        return [one.key for one in _read_keys(key)]
    found = [one.key for one in store.keys(name) if one.key.fingerprint() == key]
    if not found:
        raise UserStoreError(f"{name} has no key {key}")
    return found


def _read_keys(file: str) -> list[StoredKey]:
    from nacre.daemon.accounts.store import StoredKey
    from nacre.keys.authorized_keys import parse
    from nacre.keys.files import MAXIMUM_SIZE
    from nacre.keys.key_options import NO_OPTIONS
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
    for entry in found:
        # To drop a restriction would give the key more rights than its line does.
        if entry.options != NO_OPTIONS:
            raise UserStoreError(
                f"{file}, line {entry.line_number}: the user store has no key options; remove them"
            )
    if not found.entries:
        raise UserStoreError(f"{file} has no public key")
    return [StoredKey(entry.key, entry.comment) for entry in found]


def _account(name: str, run_as: str | None, store: UserStore) -> str | None:
    """Return the account for a new user's sessions.

    That is the named one, or with root that of all other users; None if root is not involved.
    """
    from nacre.daemon.accounts.accounts import find_account

    if run_as is not None:
        return find_account(run_as).name
    if os.geteuid() != 0:
        return None
    named = {user.run_as for user in store.users()}
    if len(named) == 1 and (only := named.pop()) is not None and find_account(only).uid != 0:
        _note(f"sessions of {name} run as {only}, like those of the other users")
        return only
    raise AccountError(
        f"a server that root runs needs an account for the sessions of {name}: give "
        "--run-as ACCOUNT (one with few rights, or root if the sessions should have all)"
    )


def _hashed(name: str, from_stdin: bool) -> str:
    from nacre.crypto.password import hash_password

    if from_stdin:
        line = sys.stdin.buffer.readline()
        password = line.removesuffix(b"\n").removesuffix(b"\r")
    elif sys.stdin.isatty():
        password = _typed(name).encode("utf-8", "surrogateescape")
    else:
        raise UserStoreError(
            f"no terminal to ask for the password of {name}: give --password-stdin or --key FILE"
        )
    if not password:
        raise UserStoreError("the password is empty: give another one")
    return hash_password(password, os.urandom)


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
        _note("Error: The two entered values do not match.")


def _absolute(home: Path | None) -> str | None:
    if home is None:
        return None
    if not home.is_dir():
        _note(f"the directory {home} does not exist yet")
    return str(home.absolute())


def _checked(root: str | None) -> str | None:
    """Return a root for the store: a directory's absolute path, or a URL.

    :raises UserStoreError: the URL can't be served.
    """
    if root is None:
        return None
    if "://" not in root:
        return _absolute(Path(root))
    from nacre.sftp.filesystems.fsspec import open_root

    try:
        open_root(root).close()
    except OSError as error:
        raise UserStoreError(f"can't serve {root}: {error}") from error
    return root


def _note(text: str) -> None:
    click.echo(text, err=True)


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _show(rows: list[dict[str, Any]], as_json: bool) -> None:
    """Print rows as a table, or as JSON. Without rows the table has no lines at all."""
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    if not rows:
        return
    table = [list(rows[0]), *([_cell(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for cells in table:
        padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        click.echo("  ".join(padded).rstrip())


def _cell(value: Any) -> str:
    from nacre.wire.text import safe

    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return safe(str(value))
