"""``nacre user``: the users of ``nacre serve``."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, timedelta
from functools import lru_cache, wraps
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nacre.cli.help.grouped import GroupedGroup
from nacre.errors import AccountError, KeyFormatError, NacreError, UserStoreError
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.cli.user.newcomers import Newcomer
    from nacre.daemon.accounts.store import StoredKey, User, UserStore
    from nacre.keys import PublicKey

_AUTH = click.Choice(["any", "password", "publickey", "password-publickey"])
_SERVICE = click.Choice(["all", "shell", "sftp"])
_LIST_FLAGS = ("password", "disabled", "unsafe_root", "read_only")
_BLOCK = 1000
"""Rows that are printed at a time."""

_SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"]}

_state = click.option(
    "--state",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="The state directory; by default that of `nacre serve`.",
)
_password_stdin = click.option(
    "--password-stdin", is_flag=True, help="Read the password from a line of standard input."
)
_home = click.option(
    "--home",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="The home directory. By default that of the account that sessions run as.",
)
_root = click.option(
    "--root",
    metavar="DIR|URL",
    help="The root of sftp and scp, which they can't leave. By default the home directory of a "
    "user with --service sftp, and the whole system for one with a shell. A URL "
    "such as s3://bucket/prefix or memory://files is served by fsspec.",
)
_unsafe_root = click.option(
    "--unsafe-root/--safe-root",
    default=None,
    help="Accept a root that gives away more. A root of a user with --service sftp gives away more "
    "than files if it holds the account's home directory or shares files with the state directory.",
)
_read_only = click.option(
    "--read-only/--read-write", default=None, help="Whether sftp and scp may change files."
)
_run_as = click.option(
    "--run-as",
    metavar="ACCOUNT",
    help="The account of sessions, if root runs the server.",
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
def _store(state: Path | None, *, create: bool = False) -> Iterator[UserStore]:
    from nacre.daemon.accounts.store import FILE, UserStore
    from nacre.daemon.state import open_state

    store = UserStore(open_state(state, create=create) / FILE, create=create)
    try:
        yield store
    finally:
        store.close()


@click.group("user", cls=GroupedGroup, context_settings=_SETTINGS)
def command() -> None:
    """Add, change and remove the server's users.

    Changes take effect at the next login, without a restart of the server.
    """


@command.command("add")
@click.argument("names", metavar="NAME...", nargs=-1)
@_state
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
@click.option("--auth", type=_AUTH, default="any", show_default=True, help="What a login needs.")
@click.option(
    "--service", type=_SERVICE, default="all", show_default=True, help="What the user may use."
)
@_home
@_root
@_unsafe_root
@_read_only
@_run_as
@_reported
def _add(
    names: tuple[str, ...],
    state: Path | None,
    password_stdin: bool,
    source: str | None,
    key_files: tuple[str, ...],
    run_as: str | None,
    **options: Any,
) -> None:
    """Add users: all of them, or none if one can't be added.

    Without --key and --password-stdin passwords are asked for on the terminal. Standard input has a
    line for each NAME. In DIR and URL, %u is the name of the user.
    """
    from nacre.cli.user.newcomers import Newcomer, hashes, read_newcomers
    from nacre.daemon.accounts.store import User, check_name

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
    with _store(state, create=True) as store:
        account = _account(", ".join(names) or "the users", run_as, store)
        settings = {
            name: _placed(name, {**options, "unsafe_root": bool(options["unsafe_root"])})
            for name in given
        }
        users = [User(name=name, run_as=account, **values) for name, values in settings.items()]
        for user in users:
            _check_root(user, store)
        for name, newcomer in given.items():
            newcomer.keys += keys
            if source is None and (password_stdin or not (keys or options["auth"] == "publickey")):
                newcomer.password = _password(name, password_stdin)
        hashed = hashes([newcomer.password for newcomer in given.values()])
        store.add_all(
            (replace(user, password=password), newcomer.keys)
            for user, password, newcomer in zip(users, hashed, given.values(), strict=True)
        )
    for name, newcomer in given.items():
        _note_what_is_missing(name, newcomer, options["auth"])


def _note_what_is_missing(name: str, user: Newcomer, auth: str) -> None:
    if "publickey" in auth and not user.keys:
        _note(f"{name} can't log in without a key: add one with `nacre user key add {name} FILE`")
    if user.password is None and ("password" in auth or not (user.keys or auth == "publickey")):
        _note(f"{name} can't log in without a password: set one with `nacre user passwd {name}`")


@command.command("set")
@click.argument("name")
@_state
@click.option("--auth", type=_AUTH, help="What a login needs.")
@click.option("--service", type=_SERVICE, help="What the user may use.")
@_home
@_root
@_unsafe_root
@_read_only
@_run_as
@click.option(
    "--disable/--enable", "disabled", default=None, help="Whether to refuse the user's logins."
)
@_reported
def _set(
    name: str,
    state: Path | None,
    **options: Any,
) -> None:
    """Change a user. Settings without an option stay the same."""
    from nacre.daemon.accounts.accounts import find_account

    given = {field: value for field, value in options.items() if value is not None}
    if not given:
        raise click.UsageError("nothing to change: give an option")
    if "run_as" in given:
        find_account(given["run_as"])
    given = _placed(name, given)
    with _store(state) as store:
        _check_root(replace(store.user(name), **given), store)
        store.change(name, **given)


@command.command("passwd")
@click.argument("name")
@_state
@_password_stdin
@click.option("--delete", is_flag=True, help="Remove the password. Only keys are accepted then.")
@_reported
def _passwd(name: str, state: Path | None, password_stdin: bool, delete: bool) -> None:
    """Set a user's password."""
    from nacre.cli.user.newcomers import hashes

    if delete and password_stdin:
        raise click.UsageError("--delete and --password-stdin exclude each other: give one of them")
    with _store(state) as store:
        store.user(name)
        passwords = [None if delete else _password(name, password_stdin)]
        (password,) = hashes(passwords)
        store.change(name, password=password)


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
    from nacre.daemon.accounts.store import LISTED

    with _store(state) as store:
        _show(LISTED, store.listing(), as_json, created=_time, **dict.fromkeys(_LIST_FLAGS, bool))


@command.group("key", context_settings=_SETTINGS)
def _key() -> None:
    """Add, list and remove a user's keys."""


@_key.command("add")
@click.argument("name")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@_state
@click.option(
    "--options",
    metavar="OPTIONS",
    help="What the keys may be used for, as in authorized_keys. For example "
    'restrict,command="...". A key that exists gets these options, or none.',
)
@_reported
def _key_add(name: str, files: tuple[str, ...], state: Path | None, options: str | None) -> None:
    """Add public keys from FILEs, or from standard input when FILE is -.

    The lines of a FILE are those of authorized_keys, and may have options of their own.
    """
    keys = [key for file in files for key in _read_keys(file)]
    if options is not None:
        keys = _with_options(keys, options)
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
            (one.key.fingerprint(), one.key.type, one.key.bits, one.added, one.options, one.comment)
            for one in store.keys(name)
        ]
    _show(
        ("fingerprint", "type", "bits", "added", "options", "comment"), rows, as_json, added=_time
    )


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


def _account(names: str, run_as: str | None, store: UserStore) -> str | None:
    """Return the account for the sessions of new users.

    That is the named one, or with root that of all other users; None if root is not involved.
    """
    from nacre.daemon.accounts.accounts import find_account

    if run_as is not None:
        return find_account(run_as).name
    if os.geteuid() != 0:
        return None
    named = store.accounts()
    if len(named) == 1 and (only := named.pop()) is not None and find_account(only).uid != 0:
        _note(f"sessions of {names} run as {only}, like those of the other users")
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


def _placed(name: str, values: dict[str, Any]) -> dict[str, Any]:
    """Return settings of a user with paths for the store, in which ``%u`` is the name."""
    from nacre.config.syntax.tokens import expand

    home, root = values.get("home"), values.get("root")
    changed = {
        "home": None if home is None else _absolute(Path(expand(str(home), {"u": name}))),
        "root": None if root is None else _checked(expand(root, {"u": name})),
        "read_only": bool(values.get("read_only")),
    }
    return values | {field: changed[field] for field in changed.keys() & values.keys()}


def _check_root(user: User, store: UserStore) -> None:
    """Refuse a root that would give away more than files.

    :raises UserStoreError: it would; the message says why and what to do.
    """
    from nacre.daemon.accounts.accounts import find_account, own_account
    from nacre.daemon.accounts.roots import refusal

    account = own_account() if user.run_as is None else find_account(user.run_as)
    reason = refusal(user, account, store.directory)
    if reason is not None:
        raise UserStoreError(reason)


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
    days, rest = divmod(seconds, 86400)
    return f"{_day(days)}T{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}Z"


@lru_cache(1024)
def _day(number: int) -> str:
    return (date(1970, 1, 1) + timedelta(number)).isoformat()


def _show(
    names: Sequence[str],
    rows: Iterable[Sequence[Any]],
    as_json: bool,
    **shown: Callable[[Any], Any],
) -> None:
    """Print rows as a table, or as JSON, as they come. Without rows the table has no lines.

    Each column of a block is converted at once, because a server may have a million users.

    :param names: the columns.
    :param shown: for a column, what turns a value into the one to print.
    """
    rows = iter(rows)
    widths = [0 if as_json else len(name) for name in names]
    # The form of json.dumps(…, indent=2).
    fields = ",\n".join(f'    "{name}": %s' for name in names)
    form, end, before = f"\n  {{\n{fields}\n  }}", "[]", "["
    head = [tuple(names)]
    while block := list(islice(rows, _BLOCK)):
        columns = [
            list(map(shown[name], column)) if name in shown else column
            for name, column in zip(names, zip(*block, strict=True), strict=True)
        ]
        if as_json:
            texts = zip(*([_encoded(value) for value in column] for column in columns), strict=True)
            click.echo(before + ",".join([form % text for text in texts]), nl=False)
            before, end = ",", "\n]"
            continue
        cells = [_cells(column) for column in columns]
        # A column gets wider with a later block, and never narrower.
        widths = [
            max(width, *map(len, column)) for width, column in zip(widths, cells, strict=True)
        ]
        line = "  ".join(f"%-{width}s" for width in widths)
        lines = [*head, *zip(*cells, strict=True)]
        click.echo("\n".join([(line % row).rstrip() for row in lines]))
        head = []
    if as_json:
        click.echo(end)


def _encoded(value: Any) -> str:
    if isinstance(value, str):
        return json.encoder.encode_basestring_ascii(value)
    return str(value) if type(value) is int else json.dumps(value)


def _cells(column: Iterable[Any]) -> list[str]:
    texts = [value if value and type(value) is str else _word(value) for value in column]
    together = "".join(texts)
    return texts if safe(together, len(together)) == together else [safe(text) for text in texts]


def _word(value: Any) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
