"""SSHFP records of a key, or of this machine's host keys (``-r``)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nacre.cli.keygen.arguments import KeygenOptions
from nacre.cli.keygen.generate import HOST_KEYS
from nacre.cli.keygen.keyfiles import keys_in
from nacre.errors import ConfigurationError, KeyFormatError, StateError
from nacre.keys.sshfp import HASHES, records
from nacre.wire.text import safe

_HASH_OPTION = "hashalg="


def run(options: KeygenOptions) -> int:
    """Print the records; return the exit status."""
    hashes = _hashes(options.values("O"))
    if options.file is not None:
        _print(options.file, hashes, options)
        return 0
    present = [path for path in HOST_KEYS.values() if path.with_name(f"{path.name}.pub").exists()]
    if not present:
        raise StateError("no keys found: this machine has no host keys; nacre keygen -A makes them")
    for path in present:
        _print(path, hashes, options)
    return 0


def _hashes(details: Sequence[str]) -> tuple[str, ...]:
    """Return the hashes of ``-O hashalg=``, by default all."""
    names = []
    for detail in details:
        name = detail.lower().removeprefix(_HASH_OPTION)
        if not detail.lower().startswith(_HASH_OPTION) or name not in HASHES:
            raise ConfigurationError(f"-O {safe(detail, 64)}: give hashalg=sha1 or hashalg=sha256")
        names.append(name)
    return tuple(names) or tuple(HASHES)


def _print(path: Path, hashes: Sequence[str], options: KeygenOptions) -> None:
    found = next(keys_in(path), None)
    if found is None:
        raise KeyFormatError(f'Failed to read v2 public key from "{path}".')
    for record in records(found[0], hashes):
        print(record.line(options.value("r") or "", generic="g" in options))
