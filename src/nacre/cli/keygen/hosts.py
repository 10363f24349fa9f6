"""Lines of ``known_hosts``: those of a host are removed (``-R``)."""

from __future__ import annotations

import sys

from nacre.cli.keygen.arguments import KeygenOptions
from nacre.cli.keygen.keyfiles import forget_host
from nacre.cli.keygen.questions import home_file
from nacre.wire.text import safe


def run(options: KeygenOptions) -> int:
    """Change the file; return the exit status."""
    path, host = options.file or home_file("known_hosts"), options.value("R") or ""
    lines = forget_host(path, host)
    if not lines:
        # That is what was asked for.
        print(f"Host {safe(host)} not found in {path}", file=sys.stderr)
        return 0
    for number in lines:
        options.inform(f"# Host {safe(host)} found: line {number}")
    options.inform(f"{path} updated.\nOriginal contents retained as {path}.old")
    return 0
