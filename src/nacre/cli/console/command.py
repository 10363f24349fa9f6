"""``nacre console``: serve the web console."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from nacre.cli.help.grouped import Grouped
from nacre.cli.manage.options import CONTEXT, reported
from nacre.cli.serve.edge import parse_networks_option, parse_place


@click.command("console", cls=Grouped, context_settings=CONTEXT)
@click.option(
    "--listen",
    "place",
    metavar="ADDR:PORT",
    callback=parse_place,
    default="127.0.0.1:8080",
    show_default=True,
    help="Where browsers connect. An address that others can reach needs --cert.",
)
@click.option(
    "--api",
    metavar="URL",
    default="http://127.0.0.1:8022",
    show_default=True,
    help="The API of `nacre serve --api`. It is an address with http:// or https://, or the path "
    "of a Unix socket.",
)
@click.option(
    "--api-ca",
    "authority",
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE",
    help="Certificates of authorities that the API's TLS is trusted by. By default those of the "
    "system.",
)
@click.option(
    "--key-file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The file with the API key. `nacre api key create console --scope sessions:write` makes "
    "one; the file has the mode 0600.",
)
@click.option(
    "--cert",
    "certificate",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="The certificate for HTTPS, with those above it, as PEM.",
)
@click.option(
    "--cert-key",
    "certificate_key",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="The private key of the certificate, as PEM.",
)
@click.option(
    "--ssh",
    metavar="ADDR:PORT",
    callback=parse_place,
    help="Where the SSH server is, over which the console has files and shells of users. By "
    "default the address that the API names.",
)
@click.option(
    "--proxy-from",
    "proxies",
    multiple=True,
    metavar="NETWORKS",
    callback=parse_networks_option,
    help="Networks of reverse proxies, which have HTTPS. The last address of their header "
    "X-Forwarded-For is believed, and cookies are for HTTPS alone; may be repeated.",
)
@click.option(
    "--origin",
    metavar="URL",
    help="Where browsers see the console, such as https://console.example.org: security keys are "
    "for its host name. By default that of --listen; an address of the loopback is localhost.",
)
@reported
def command(key_file: Path | None, proxies: tuple[str, ...], **given: Any) -> None:
    """Serve pages where users of the server sign in, and see and do what their roles permit.

    It needs no right of the server, only the REST API, and may have an account of its own.
    """
    from nacre.cli.console.serving import ConsoleSettings, read_key, serve
    from nacre.server.admission.networks import NetworkSet, parse_networks

    key = "" if key_file is None else read_key(key_file)
    networks = NetworkSet(parse_networks(proxies))
    settings = ConsoleSettings(key=key, proxies=networks, **given)
    serve(settings, lambda url: click.echo(f"nacre console: {url}"))
