"""ProFTPD with mod_sftp, for one user whose home is a directory of the test."""

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path

from interop.daemons import Daemon, on_free_port
from interop.programs import check, require

MODULES = Path("/usr/lib/proftpd")
USER = "u"


def start_proftpd(directory: Path, home: Path, host_key: Path, key: Path) -> Daemon:
    """Start it; :data:`USER` logs in with ``key``, an RSA key."""
    uid, gid = os.getuid(), os.getgid()
    users = directory / "users"
    users.write_text(f"{USER}:!:{uid}:{gid}::{home}:/bin/sh\n")
    users.chmod(0o600)
    known = check([require("ssh-keygen"), "-e", "-f", key.with_suffix(".pub")])
    (directory / "authorized").write_bytes(known)

    # Debian 12 has the first two built in.
    modules = [
        f"LoadModule {name}.c"
        for name in ("mod_ls", "mod_xfer", "mod_sftp")
        if (MODULES / f"{name}.so").exists()
    ]

    def start(port: int) -> Daemon:
        config = directory / f"proftpd{port}.conf"
        lines = [
            f"ModulePath {MODULES}",
            *modules,
            "ServerName nacre",
            "ServerType standalone",
            "DefaultAddress 127.0.0.1",
            "SocketBindTight on",
            f"Port {port}",
            f"User {pwd.getpwuid(uid).pw_name}",
            f"Group {grp.getgrgid(gid).gr_name}",
            "RootLogin on",
            "RequireValidShell off",
            "AuthOrder mod_auth_file.c",
            f"AuthUserFile {users}",
            f"ScoreboardFile {directory / 'scoreboard'}",
            f"PidFile {directory / 'proftpd.pid'}",
            "WtmpLog off",
            "AllowOverwrite on",
            "AllowStoreRestart on",
            "SFTPEngine on",
            "SFTPLog /dev/stderr",
            f"SFTPHostKey {host_key}",
            f"SFTPAuthorizedUserKeys file:{directory / 'authorized'}",
            "SFTPAuthMethods publickey",
        ]
        config.write_text("\n".join(lines) + "\n")
        return Daemon("proftpd", [require("proftpd"), "--nodaemon", "--config", config])

    return on_free_port(start, "STARTUP")
