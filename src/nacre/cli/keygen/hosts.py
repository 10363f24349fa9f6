"""Lines of ``known_hosts``: found (``-F``), removed (``-R``), or with hashed names (``-H``)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from nacre.cli.keygen.arguments import KeygenOptions, Refused
from nacre.cli.keygen.keyfiles import key_at
from nacre.cli.keygen.questions import home_file
from nacre.cli.keygen.show import drawn, fingerprint_of, printable
from nacre.client.trust.hostfile import update
from nacre.errors import StateError
from nacre.keys.fingerprint import family
from nacre.keys.hosts.known_hosts import Marker
from nacre.keys.hosts.lines import HostLine, host_lines, joined, lines_about
from nacre.wire.text import safe

_MARKS = {Marker.NONE: "", Marker.CERT_AUTHORITY: "CA", Marker.REVOKED: "REVOKED"}


def run(options: KeygenOptions) -> int:
    """Find or change the lines; return the exit status."""
    path = options.file or home_file("known_hosts")
    try:
        path.stat()
    except OSError as error:
        raise StateError(f"Cannot stat {path}: {error.strerror}") from None
    if "F" in options:
        return _find(path, options.value("F") or "", options)
    if "R" in options:
        return _remove(path, options.value("R") or "", options)
    return _hash(path)


def _find(path: Path, name: str, options: KeygenOptions) -> int:
    """Print the lines about a host; return 1 if there are none."""
    status = 1
    for line in lines_about(path.read_bytes(), name):
        if line.key is not None and line.matches(name):
            shown = _shown(line, name, options)
            if shown is not None:
                status = 0
                mark = _MARKS[line.marker]
                options.inform(f"# Host {printable(name)} found: line {line.number} {mark}")
                print(shown)
    return status


def _shown(line: HostLine, name: str, options: KeygenOptions) -> str | None:
    """Return what is printed of a line; None if that is a fingerprint, and it has no key."""
    if "H" in options:
        return "\n".join(line.with_hashes())
    if "l" not in options:
        return line.text
    found = key_at((line.key or "").encode("utf-8", "surrogateescape"))
    if found is None:
        return None
    key, after = found
    comment = after.decode("utf-8", "surrogateescape")
    words = [name, family(key.type), fingerprint_of(key, options), *([comment] if comment else [])]
    return printable(" ".join(words)) + drawn(key, options)


def _remove(path: Path, name: str, options: KeygenOptions) -> int:
    gone: list[HostLine] = []

    def edit(lines: list[HostLine]) -> list[str] | None:
        gone[:] = [
            line
            for line in lines
            if line.key is not None and line.marker is Marker.NONE and line.matches(name)
        ]
        _check_file(path, (line for line in lines if line.bad or line.damaged))
        numbers = {line.number for line in gone}
        kept = [line.text for line in lines if line.number not in numbers]
        return kept if gone else None

    try:
        changed = _change(path, edit)
    finally:
        for line in gone:
            options.inform(f"# Host {printable(name)} found: line {line.number}")
    if changed:
        _tell_updated(path)
    else:
        # That is what was asked for.
        print(f"Host {safe(name)} not found in {path}", file=sys.stderr)
    return 0


def _hash(path: Path) -> int:
    found: list[HostLine] = []

    def edit(lines: list[HostLine]) -> list[str]:
        _check_file(path, (line for line in lines if line.bad))
        found[:] = lines
        return [text for line in lines for text in line.with_hashes()]

    _change(path, edit)
    patterns = [line for line in found if line.key is not None and line.has_patterns]
    for line in patterns:
        print(
            f"{path}:{line.number}: ignoring host name with wildcard: {safe(line.hosts, 64)}",
            file=sys.stderr,
        )
    _tell_updated(path)
    if patterns or any(line.with_hashes() != [line.text] for line in found):
        print(
            f"WARNING: {_old(path)} contains unhashed entries\n"
            "Delete this file to ensure privacy of hostnames",
            file=sys.stderr,
        )
    return 0


def _old(path: Path) -> Path:
    return path.with_name(f"{path.name}.old")


def _tell_updated(path: Path) -> None:
    print(f"{path} updated.\nOriginal contents retained as {_old(path)}")


def _change(path: Path, edit: Callable[[list[HostLine]], list[str] | None]) -> bool:
    """Change a file, and keep the former one beside it; return whether it was changed."""

    def changed(content: bytes) -> bytes | None:
        after = edit([*host_lines(content)])
        return None if after is None else joined(after)

    return update(path, changed, backup=_old(path))


def _check_file(path: Path, bad: Iterable[HostLine]) -> None:
    """Check that no line is bad: the file may be another one than known hosts.

    :raises Refused: there are some.
    """
    told = "".join(f"{path}:{line.number}: invalid line\n" for line in bad)
    if told:
        raise Refused(
            f"{told}{path} is not a valid known_hosts file.\n"
            "Not replacing existing known_hosts file because of errors"
        )
