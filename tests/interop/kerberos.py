"""A realm of Kerberos for tests: a key distribution center of MIT's on a free port of this host."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from interop.daemons import Daemon, on_free_port
from interop.programs import check, require

REALM = "NACRE.TEST"
PASSWORD = "a-ticket-please"

_CLIENT = """\
[libdefaults]
    default_realm = {realm}
    dns_lookup_kdc = false
    dns_lookup_realm = false
    dns_canonicalize_hostname = false
    rdns = false
    forwardable = true
    udp_preference_limit = 1
    noaddresses = true
[realms]
    {realm} = {{
        kdc = 127.0.0.1:{port}
    }}
[domain_realm]
    localhost = {realm}
"""

_CENTER = """\
[kdcdefaults]
    kdc_listen = 127.0.0.1:{port}
    kdc_tcp_listen = 127.0.0.1:{port}
[realms]
    {realm} = {{
        database_name = {directory}/principal
        key_stash_file = {directory}/stash
        acl_file = {directory}/acl
        max_life = 1h
    }}
[logging]
    kdc = STDERR
"""


@dataclass(frozen=True)
class Realm:
    """A realm that runs.

    :ivar directory: its files, which every account may look into.
    :ivar environment: what programs need to know of it, a server's key tab included.
    """

    directory: Path
    environment: dict[str, str]

    def kadmin(self, *query: str) -> None:
        program = require("kadmin.local")
        check([program, "-r", REALM, "-q", " ".join(query)], **self.environment)

    def add_user(self, name: str) -> None:
        self.kadmin("addprinc", "-pw", PASSWORD, name)

    def add_service(self, host: str) -> None:
        """Make the principal ``host/HOST``, and keep its key in the key tab."""
        self.kadmin("addprinc", "-randkey", f"host/{host}")
        self.kadmin("ktadd", "-k", str(self.directory / "keytab"), f"host/{host}")

    def ticket(self, user: str, cache: Path, *options: str) -> dict[str, str]:
        """Get a ticket, and return the environment of programs that are to use it."""
        words = [require("kinit"), "-f", "-c", f"FILE:{cache}", *options, user]
        check(words, input=f"{PASSWORD}\n".encode(), **self.environment)
        return {**self.environment, "KRB5CCNAME": f"FILE:{cache}"}


@contextmanager
def realm(*hosts: str) -> Iterator[Realm]:
    """Start a realm with the service ``host`` of each name."""
    center = require("krb5kdc")
    # Other accounts can't look into pytest's directories.
    with TemporaryDirectory(prefix="realm-", dir="/tmp") as name:
        directory = Path(name)
        directory.chmod(0o755)
        environment = {
            "KRB5_CONFIG": str(directory / "krb5.conf"),
            "KRB5_KDC_PROFILE": str(directory / "kdc.conf"),
            "KRB5_KTNAME": f"FILE:{directory / 'keytab'}",
            "KRB5RCACHENAME": "none:",
        }
        made = Realm(directory, environment)

        def started(port: int) -> Daemon:
            values = {"realm": REALM, "port": port, "directory": directory}
            (directory / "krb5.conf").write_text(_CLIENT.format(**values))
            (directory / "kdc.conf").write_text(_CENTER.format(**values))
            if not (directory / "stash").exists():
                make = [require("kdb5_util"), "-r", REALM, "create", "-s", "-P", "master"]
                check(make, **environment)
            return Daemon("krb5kdc", [center, "-n", "-r", REALM], more_environment=environment)

        daemon = on_free_port(started, r"commencing operation")
        try:
            for host in (*hosts, socket.gethostname()):
                made.add_service(host)
            yield made
        finally:
            daemon.stop()
