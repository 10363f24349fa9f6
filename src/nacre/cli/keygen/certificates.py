"""What certificates say (``-L``)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from nacre.cli.keygen.arguments import KeygenOptions
from nacre.cli.keygen.keyfiles import read
from nacre.cli.keygen.questions import key_file
from nacre.errors import KeyFormatError, MalformedMessage, UnusableKey
from nacre.keys import Certificate, load_public
from nacre.keys.certificate import FOREVER, USER_EXTENSIONS, CertificateType
from nacre.keys.fingerprint import family
from nacre.keys.times import show_time
from nacre.wire.codec import WireReader
from nacre.wire.text import safe

_NOTHING_FOUND = 1
_INDENT = " " * 8
_TEXTS = ("force-command", "source-address")
_CRITICAL_FLAGS = ("verify-required",)
_EXTENSION_FLAGS = (*USER_EXTENSIONS, "no-touch-required")


def run(options: KeygenOptions) -> int:
    """Print the certificates in a file; return the exit status.

    :raises UnusableKey: the file can't be read.
    """
    path = key_file(options, "in which the key is")
    try:
        data = read(path)
    except OSError as error:
        raise UnusableKey(f"{path}: {error.strerror}") from None
    name = "(stdin)" if str(path) == "-" else str(path)
    status = _NOTHING_FOUND
    for number, line in enumerate(data.decode("utf-8", "surrogateescape").split("\n"), 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        where = f"{name}:{number}"
        try:
            found, _ = load_public(text)
        except KeyFormatError as error:
            print(f"{where}: invalid key: {error}", file=sys.stderr)
            continue
        if not isinstance(found, Certificate):
            print(f"{where} is not a certificate", file=sys.stderr)
            continue
        print(f"{name}:" if number == 1 and path != Path("-") else f"{where}:")
        print("\n".join(_lines(found, options.hash_name)))
        status = 0
    return status


def _lines(certificate: Certificate, hash_name: str) -> Iterator[str]:
    kinds = {kind.value: kind.name.lower() for kind in CertificateType}
    kind = kinds.get(certificate.kind, "unknown")
    authority = certificate.authority
    yield f"{_INDENT}Type: {certificate.type} {kind} certificate"
    yield (f"{_INDENT}Public key: {family(certificate.type)} {certificate.fingerprint(hash_name)}")
    yield (
        f"{_INDENT}Signing CA: {family(authority.type)} {authority.fingerprint(hash_name)} "
        f"(using {certificate.signature_algorithm})"
    )
    yield f'{_INDENT}Key ID: "{safe(certificate.key_id)}"'
    yield f"{_INDENT}Serial: {certificate.serial}"
    yield f"{_INDENT}Valid: {validity(certificate)}"
    yield from _listed("Principals", [safe(name) for name in certificate.principals])
    yield from _listed(
        "Critical Options",
        [
            _shown(name, data, _CRITICAL_FLAGS, _TEXTS)
            for name, data in certificate.critical_options.items()
        ],
    )
    yield from _listed(
        "Extensions",
        [_shown(name, data, _EXTENSION_FLAGS, ()) for name, data in certificate.extensions.items()],
    )


def _listed(title: str, items: list[str]) -> Iterator[str]:
    yield f"{_INDENT}{title}: {'' if items else '(none)'}"
    yield from (f"{_INDENT * 2}{item}" for item in items)


def _shown(name: str, data: bytes, flags: tuple[str, ...], texts: tuple[str, ...]) -> str:
    """Return the line of a critical option or an extension."""
    if name in flags:
        return name
    if name in texts:
        try:
            return f"{name} {safe(WireReader(data).text())}"
        except MalformedMessage:
            pass
    if not data:
        return f"{safe(name, 64)} UNKNOWN FLAG OPTION"
    return f"{safe(name, 64)} UNKNOWN OPTION: {data.hex()} (len {len(data)})"


def validity(certificate: Certificate) -> str:
    """Return from when until when a certificate is valid, in the local time zone."""
    begins, ends = certificate.valid_after, certificate.valid_before
    if ends == FOREVER:
        return f"after {show_time(begins)}" if begins else "forever"
    return (
        f"from {show_time(begins)} to {show_time(ends)}"
        if begins
        else (f"before {show_time(ends)}")
    )
