"""What a key is: fingerprints (``-l``, ``-B``), public half (``-y``), SSHFP records (``-r``)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nacre.cli.keygen.arguments import KeygenOptions
from nacre.cli.keygen.generate import HOST_KEYS
from nacre.cli.keygen.keyfiles import keys_in, line
from nacre.cli.keygen.questions import key_file, load_asking
from nacre.errors import ConfigurationError, KeyFormatError, StateError
from nacre.keys import PublicKey
from nacre.keys.fingerprint import bubblebabble, family, randomart
from nacre.keys.hosts.sshfp import HASHES, records
from nacre.wire.text import safe


def run(options: KeygenOptions) -> int:
    """Show what is asked for; return the exit status."""
    if not any(letter in options for letter in "lBy"):
        return _print_records(options)
    path = key_file(options, "in which the key is")
    if "y" in options:
        print(line(load_asking(path, options.value("P"))[0]))
        return 0
    found = False
    for key, comment in keys_in(path):
        found = True
        print(described(key, comment, options))
    if not found:
        raise KeyFormatError(f"{path} is not a public key file.")
    return 0


def described(key: PublicKey, comment: str, options: KeygenOptions) -> str:
    """Return what ``-l`` prints of a key: size, fingerprint, comment and family, and its picture.

    Of a certificate it is the fingerprint of the key that is certified.
    """
    mark = fingerprint_of(key, options)
    return f"{key.bits} {mark} {printable(comment)} ({family(key.type)}){drawn(key, options)}"


def fingerprint_of(key: PublicKey, options: KeygenOptions) -> str:
    """Return the fingerprint of a key, in the form that ``-E`` and ``-B`` ask for."""
    plain = key.plain
    return bubblebabble(plain.blob) if "B" in options else plain.fingerprint(options.hash_name)


def drawn(key: PublicKey, options: KeygenOptions) -> str:
    """Return the picture of a key behind a line end, if ``-v`` asks for it."""
    if "v" not in options:
        return ""
    title = f"{family(key.type)} {key.bits}"
    return f"\n{randomart(key.plain.blob, title, options.hash_name)}"


def printable(text: str) -> str:
    """Return text with escapes for what is not printable, as ssh-keygen writes them."""
    if text.isprintable():
        return text
    return "".join(
        one
        if one.isprintable() or one in "\t\r"
        else "".join(f"\\{byte:03o}" for byte in one.encode("utf-8", "surrogateescape"))
        for one in text
    )


_HASH_OPTION = "hashalg="


def _print_records(options: KeygenOptions) -> int:
    """Print the SSHFP records of a key, or of this machine's host keys."""
    hashes = _hashes(options.values("O"))
    if options.file is not None:
        _print_records_of(options.file, hashes, options)
        return 0
    present = [path for path in HOST_KEYS.values() if path.with_name(f"{path.name}.pub").exists()]
    if not present:
        raise StateError("no keys found: this machine has no host keys; nacre keygen -A makes them")
    for path in present:
        _print_records_of(path, hashes, options)
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


def _print_records_of(path: Path, hashes: Sequence[str], options: KeygenOptions) -> None:
    found = next(keys_in(path), None)
    if found is None:
        raise KeyFormatError(f'Failed to read v2 public key from "{path}".')
    for record in records(found[0], hashes):
        print(record.line(options.value("r") or "", generic="g" in options))
