"""An LDAP server for tests: OpenLDAP's slapd on a free port of this host, with a few entries."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from interop.daemons import Daemon, on_free_port
from interop.programs import check, require

BASE = "dc=nacre,dc=test"
ADMIN = f"cn=admin,{BASE}"
ADMIN_PASSWORD = "the directory's own"

_CONFIG = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
attributetype ( 1.3.6.1.4.1.24552.500.1.1.1.13 NAME 'sshPublicKey'
    EQUALITY octetStringMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.40 )
objectclass ( 1.3.6.1.4.1.24552.500.1.1.2.0 NAME 'ldapPublicKey' SUP top AUXILIARY
    MAY ( sshPublicKey $ roomNumber ) )
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload ppolicy
TLSCACertificateFile {directory}/cert.pem
TLSCertificateFile {directory}/cert.pem
TLSCertificateKeyFile {directory}/key.pem
# As a careless server does: it lets in, as nobody, who gives a name without a password.
allow bind_anon_cred
database mdb
suffix "{base}"
rootdn "{admin}"
rootpw "{password}"
directory {directory}/db
overlay ppolicy
"""


@dataclass
class Slapd:
    """A server that runs.

    :ivar certificate: its own, which is its authority too.
    """

    directory: Path
    daemon: Daemon

    @property
    def url(self) -> str:
        return f"ldap://127.0.0.1:{self.daemon.port}"

    @property
    def certificate(self) -> Path:
        return self.directory / "cert.pem"

    def change(self, ldif: str) -> None:
        words = ["-x", "-H", self.url, "-D", ADMIN, "-w", ADMIN_PASSWORD]
        check([require("ldapmodify"), *words], input=ldif.encode())

    def stop(self) -> None:
        self.daemon.stop()

    def start_again(self) -> None:
        """Start it on the port that it had."""
        self.daemon = _started(self.directory, self.daemon.port)
        self.daemon.wait_for("slapd starting")


def _started(directory: Path, port: int) -> Daemon:
    where = ["-h", f"ldap://127.0.0.1:{port}", "-d", "stats"]
    daemon = Daemon("slapd", [require("slapd"), "-f", directory / "slapd.conf", *where])
    daemon.port = port
    return daemon


@contextmanager
def ldap_server(entries: str) -> Iterator[Slapd]:
    """Start a server with entries of LDIF below :data:`BASE`."""
    require("slapd")
    with tempfile.TemporaryDirectory(prefix="ldap-", dir="/tmp") as name:
        directory = Path(name)
        directory.chmod(0o755)
        (directory / "db").mkdir()
        values = {
            "directory": directory,
            "base": BASE,
            "admin": ADMIN,
            "password": ADMIN_PASSWORD,
        }
        (directory / "slapd.conf").write_text(_CONFIG.format(**values))
        words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
        names = ["-subj", "/CN=ldap", "-addext", "subjectAltName=IP:127.0.0.1"]
        files = ["-keyout", directory / "key.pem", "-out", directory / "cert.pem"]
        check([require("openssl"), *words.split(), *names, *files])
        top = f"dn: {BASE}\nobjectClass: domain\ndc: nacre\n\n"
        (directory / "entries.ldif").write_text(top + entries)
        load = [require("slapadd"), "-f", directory / "slapd.conf"]
        check([*load, "-l", directory / "entries.ldif"])
        daemon = on_free_port(lambda port: _started(directory, port), "slapd starting")
        server = Slapd(directory, daemon)
        try:
            yield server
        finally:
            server.stop()
