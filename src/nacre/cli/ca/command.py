"""``nacre ca``: issue, list and revoke certificates, and get one from a server."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nacre.cli.ca.getting import MODE, read_public, target_of
from nacre.cli.help.grouped import GroupedGroup
from nacre.cli.manage.options import CONTEXT, json_option, note, reported, state_option
from nacre.cli.user.listing import show, shown_time
from nacre.cli.user.settings import certificate_span, open_store
from nacre.errors import ConfigurationError, StateError
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.daemon.authority.files import AuthorityFiles
    from nacre.daemon.authority.issuing import CertificateTerms
    from nacre.daemon.store.store import UserStore

_LISTED = (
    *("serial", "kind", "key_id", "principals", "valid_after", "valid_before"),
    *("fingerprint", "user", "issued", "revoked"),
)
_TIMES = ("valid_after", "valid_before", "issued", "revoked")
_HOST_SPAN = "52w"


@contextmanager
def _opened(state: Path | None) -> Iterator[tuple[UserStore, AuthorityFiles]]:
    from nacre.daemon.authority.files import AuthorityFiles

    with open_store(state) as store:
        yield store, AuthorityFiles(store.directory)


def _span(_context: click.Context, _parameter: click.Parameter, text: str | None) -> int | None:
    return None if text is None else certificate_span(text)


_key = click.option(
    "--key",
    "path",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The file of the public key. The certificate is written beside it, to FILE-cert.pub "
    "without the .pub of FILE.",
)


@click.group("ca", cls=GroupedGroup, context_settings=CONTEXT)
def command() -> None:
    """Issue certificates to users and hosts, list and revoke them.

    A user whose --certificate-valid says so gets certificates from the server itself, with `nacre
    ca get`. All other commands are for the operator, and work on the state directory.
    """


@command.command("init")
@state_option
@reported
def _init(state: Path | None) -> None:
    """Make the authorities' keys: one for users and one for hosts.

    Keys that are there stay as they are.
    """
    from nacre.daemon.authority.files import AuthorityFiles

    with open_store(state, create=True) as store:
        files = AuthorityFiles(store.directory)
        if not files.make():
            note(f"there is a certificate authority in {safe(str(files.directory))} already")


@command.command("show")
@state_option
@reported
def _show(state: Path | None) -> None:
    """Print the public keys of the authorities, and the lines that trust them."""
    with _opened(state) as (_, files):
        for kind in ("user", "host"):
            public = files.public(kind)
            if public is None:
                raise StateError(
                    f"there is no certificate authority in {files.directory.parent}: "
                    "`nacre ca init` makes it"
                )
            click.echo(f"# The authority for {kind}s, {public.fingerprint()}")
            if kind == "user":
                click.echo("# In a file of the server's, such as /etc/ssh/user_ca.pub:")
                click.echo(f"{public} nacre {kind} CA")
                click.echo("# In the server's sshd_config, with what `nacre ca krl` prints:")
                click.echo("TrustedUserCAKeys /etc/ssh/user_ca.pub")
                click.echo("RevokedKeys /etc/ssh/revoked")
                click.echo()
            else:
                click.echo("# In known_hosts of the clients, with the pattern of your hosts:")
                click.echo(f"@cert-authority *.example.com {public} nacre {kind} CA")


@command.command("sign-user")
@click.argument("user")
@_key
@click.option(
    "--principal",
    "principals",
    multiple=True,
    metavar="NAME",
    help="Whom it is for. By default what the user's settings say, or the user's name; may be "
    "repeated.",
)
@click.option(
    "--valid",
    "seconds",
    callback=_span,
    metavar="SPAN",
    help="For how long it is valid. By default what the user's settings say, or 8h. It ends with "
    "the user's --expires in any case.",
)
@click.option(
    "--option",
    "options",
    multiple=True,
    metavar="OPTION",
    help="What it demands or permits, after what the user's settings say. As with -O of "
    "ssh-keygen; may be repeated.",
)
@state_option
@reported
def _sign_user(
    user: str,
    path: Path,
    principals: tuple[str, ...],
    seconds: int | None,
    options: tuple[str, ...],
    state: Path | None,
) -> None:
    """Sign a certificate for a user, who need not be in the store."""
    from nacre.daemon.authority.issuing import USUAL_SECONDS, read_principals, terms_of
    from nacre.daemon.store.values import User, check_name

    check_name(user)
    with _opened(state) as (store, files):
        found = store.find(user) or User(name=user)
        valid = seconds or found.certificate_valid or USUAL_SECONDS
        terms = terms_of(found, valid)
        try:
            if principals:
                names = read_principals(",".join(principals), user)
                terms = replace(terms, principals=names)
            for option in options:
                terms.options.add(option)
        except ConfigurationError as error:
            raise click.UsageError(str(error)) from None
        _sign(store, files, path, terms)


@command.command("sign-host")
@click.argument("names", metavar="HOST...", nargs=-1, required=True)
@_key
@click.option(
    "--valid",
    "seconds",
    default=_HOST_SPAN,
    show_default=True,
    callback=_span,
    metavar="SPAN",
    help="For how long it is valid.",
)
@state_option
@reported
def _sign_host(names: tuple[str, ...], path: Path, seconds: int, state: Path | None) -> None:
    """Sign a certificate for a host with these names, which clients connect to."""
    from nacre.daemon.authority.issuing import CertificateTerms, read_principals
    from nacre.keys.certificate_options import CertificateOptions

    try:
        principals = read_principals(",".join(names), "%u")
    except ConfigurationError as error:
        raise click.UsageError(f"HOST: {error}") from None
    terms = CertificateTerms(
        kind="host",
        key_id=principals[0],
        principals=principals,
        seconds=seconds,
        options=CertificateOptions("host"),
    )
    with _opened(state) as (store, files):
        _sign(store, files, path, terms)


def _sign(store: UserStore, files: AuthorityFiles, path: Path, terms: CertificateTerms) -> None:
    from nacre.client.trust import hostfile
    from nacre.daemon.authority.issuing import issue

    key, comment = read_public(path)
    target = target_of(path)
    made = issue(store, files, key, terms)
    line = " ".join(filter(None, (str(made), comment)))
    try:
        hostfile.replace(target, f"{line}\n".encode("utf-8", "surrogateescape"), MODE)
    except OSError as error:
        raise StateError(f"can't write {target}: {error.strerror}") from None
    note(
        f"signed {safe(str(target))}: serial {made.serial}, for {safe(','.join(made.principals))}, "
        f"until {shown_time(made.valid_before)}"
    )


@command.command("list")
@json_option
@state_option
@reported
def _list(as_json: bool, state: Path | None) -> None:
    """List the certificates that were issued, up to 90 days after their end."""
    with _opened(state) as (store, _):
        rows = [[getattr(one, name) for name in _LISTED] for one in store.certificates.all()]

    def shown(seconds: int | None) -> str | None:
        return None if seconds is None else shown_time(seconds)

    columns: dict[str, Callable[[Any], Any]] = dict.fromkeys(_TIMES, shown)
    columns["principals"] = list if as_json else ",".join
    show(_LISTED, rows, as_json, **columns)


@command.command("revoke")
@click.option("--serial", type=click.IntRange(1), metavar="N", help="The one with this number.")
@click.option("--key-id", metavar="ID", help="All with this key id.")
@click.option("--user", metavar="NAME", help="All of this user.")
@state_option
@reported
def _revoke(serial: int | None, key_id: str | None, user: str | None, state: Path | None) -> None:
    """Revoke certificates, and write the KRL anew.

    This server refuses them from then on. Other servers do so when they have the new KRL, which
    `nacre ca krl` prints. Whoever may still log in gets new ones: see --disable of `nacre user
    set`.
    """
    given = {
        name: value
        for name, value in (("serial", serial), ("key_id", key_id), ("user", user))
        if value is not None
    }
    if len(given) != 1:
        raise click.UsageError("which certificates: give one of --serial, --key-id and --user")
    with _opened(state) as (store, files):
        count = store.certificates.revoke(int(time.time()), files.write_revoked, **given)
    note(f"{count} certificates revoked")


@command.command("krl")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@state_option
@reported
def _krl(file: Path | None, state: Path | None) -> None:
    """Write the KRL to a file, or to standard output: a file for RevokedKeys of other servers."""
    from nacre.client.trust import hostfile

    with _opened(state) as (_, files):
        try:
            content = files.revoked.read_bytes()
        except OSError as error:
            raise StateError(f"can't read {files.revoked}: {error.strerror}") from None
    if file is None:
        if sys.stdout.isatty():
            raise click.UsageError("a KRL is no text: name a file, or pipe it to another program")
        sys.stdout.buffer.write(content)
        return
    try:
        hostfile.replace(file, content, MODE)
    except OSError as error:
        raise StateError(f"can't write {file}: {error.strerror}") from None


@command.command("get")
@click.argument("destination", metavar="[USER@]HOST")
@click.option(
    "-i",
    "identity",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The key to certify. By default the key id* in ~/.ssh that was changed last.",
)
@click.option("-p", "port", type=click.IntRange(1, 65535), metavar="PORT", help="The server's.")
@click.option("-F", "config_file", metavar="FILE", help="The only configuration file to read.")
@click.option(
    "-o",
    "options",
    multiple=True,
    metavar="KEYWORD=VALUE",
    help="A keyword of ssh_config; may be repeated.",
)
@click.option(
    "--if-needed",
    is_flag=True,
    help="Do nothing while the certificate that is there has more than a third of its time left.",
)
def _get(destination: str, **options: Any) -> None:
    """Log in to a server, and get a certificate from it.

    It is written beside the key, where ssh finds it. The login is by password or key, and not by
    the certificate of before.
    """
    from nacre.cli.ca.getting import get

    context = click.get_current_context()
    context.exit(get(context.command_path, destination, **options))
