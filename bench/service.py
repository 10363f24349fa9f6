"""What the service costs: transfers and logins with the audit, recordings, quotas and all of it.

Files are in memory, as everywhere here. The state directory and the recordings are on the disk that
has the system's directory for temporary files: to write there is part of the cost.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.bulk import by_program, tree_by_program
from bench.ground import AES, Daemon, Ground
from bench.measure import Comparison, Workload
from interop.programs import NACRE

PLAIN = "nothing"
ALL = "all"
"""The contenders without and with everything."""

ACCOUNT = "nacre"
"""The account that records under root, if there is one."""


def _recording(directory: Path) -> list[str]:
    words = ["--record", str(directory / "recordings")]
    try:
        pwd.getpwnam(ACCOUNT)
    except KeyError:
        return words if os.geteuid() else [*words, "--record-user", "nobody"]
    return words


def _audit(_directory: Path) -> list[str]:
    return ["--audit"]


def _nothing(_directory: Path) -> list[str]:
    return []


@dataclass(frozen=True)
class Feature:
    """Something that the server may do besides.

    :ivar words: returns the words that switch it on; the directory is the server's, on the disk.
    :ivar user: the options of the user who has it; there are some for users of files alone.
    """

    words: Callable[[Path], list[str]] = _nothing
    user: tuple[str, ...] = ()


FEATURES = {
    "audit": Feature(_audit),
    "recording": Feature(_recording),
    "quotas": Feature(
        user=(
            *("--quota-bytes", "1T", "--quota-files", "10000000"),
            *("--transfer-up", "100T", "--transfer-down", "100T"),
            *("--rate-up", "100G", "--rate-down", "100G"),
        )
    ),
}
"""A row for each feature."""


@dataclass(frozen=True)
class Kind:
    """Something that is done with and without the features.

    :ivar bar: the share of the rate that must be left with all features; None for no aim.
    :ivar files: whether its user is one of files alone, and may have limits.
    """

    about: Callable[[Ground], str]
    unit: str
    measure: Callable[[Ground, Daemon], float]
    bar: float | None = None
    files: bool = True


def _transfer(kind: str, ground: Ground, server: Daemon) -> float:
    return by_program(ground, "nacre", server, kind, AES, ground.size.bulk)


def _small(ground: Ground, server: Daemon) -> float:
    return tree_by_program(ground, "OpenSSH", server, "put")


def _logins(ground: Ground, server: Daemon) -> float:
    count = ground.size.logins
    return count / ground.library("nacre", server, "login", count=count, at_once=20)


KINDS = {
    "service-sftp-get": Kind(
        lambda ground: f"a file of {ground.size.bulk >> 20} MiB by SFTP from the server",
        "MB/s",
        partial(_transfer, "sftp-get"),
        1 / 1.1,
    ),
    "service-sftp-put": Kind(
        lambda ground: f"a file of {ground.size.bulk >> 20} MiB by SFTP to the server",
        "MB/s",
        partial(_transfer, "sftp-put"),
        1 / 1.1,
    ),
    "service-tree-put": Kind(
        lambda ground: (
            f"{ground.size.files} files of 4 KiB to the server, one after another, by "
            "OpenSSH's sftp"
        ),
        "files/s",
        _small,
    ),
    "service-login-20": Kind(
        lambda ground: (
            f"{ground.size.logins} connections, each logs in with Ed25519 and runs "
            "`true`, 20 at a time"
        ),
        "logins/s",
        _logins,
        1 / 1.15,
        files=False,
    ),
}


def service(ground: Ground, name: str) -> Workload:
    """Return one of :data:`KINDS`: it is done without a feature, with each one, and with all."""
    kind = KINDS[name]
    features = [one for one, feature in FEATURES.items() if kind.files or not feature.user]
    chosen = {PLAIN: [], **{one: [one] for one in features}, ALL: features}
    return Workload(
        name,
        f"{kind.about(ground)}; the server has {PLAIN} switched on, {', '.join(features)}, or all",
        kind.unit,
        {one: partial(_measured, kind, ground, some) for one, some in chosen.items()},
        [Comparison(one, PLAIN, kind.bar if one == ALL else None) for one in (*features, ALL)],
    )


def _measured(kind: Kind, ground: Ground, features: Sequence[str]) -> float:
    return kind.measure(ground, _server(ground, kind, features))


def _server(ground: Ground, kind: Kind, features: Sequence[str]) -> Daemon:
    """Return the server that has these features, for all workloads of a run."""
    key = " ".join(("files" if kind.files else "shell", *features))
    if key not in ground.services:
        directory = ground.on_disk()
        command = [*NACRE, "serve"]
        options: list[str] = []
        if kind.files:
            # What is on the disk of the host has the same name for the user.
            (directory / "root").mkdir()
            options = ["--service", "sftp", "--root", str(directory / "root")]
            options += ["--folder", f"{ground.files}={ground.files}"]
        for one in features:
            command += FEATURES[one].words(directory)
            options += FEATURES[one].user
        ground.services[key] = ground.another(
            lambda: ground.start_nacre(command, directory / "state", options)
        )
    return ground.services[key]
