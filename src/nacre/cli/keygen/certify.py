"""Certificates made with an authority's key (``-s``)."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Literal

from nacre.cli.keygen.arguments import KeygenOptions
from nacre.cli.keygen.certificates import validity
from nacre.cli.keygen.keyfiles import PUBLIC_MODE
from nacre.cli.keygen.signers import FileSigner, in_agent, in_file, load_public_key
from nacre.client.trust.hostfile import replace
from nacre.config.values import seconds
from nacre.errors import ConfigurationError, UnusableKey
from nacre.keys import Certificate, PublicKey
from nacre.keys.certificate import FOREVER, MOST_PRINCIPALS, CertificateRequest
from nacre.keys.certificate_options import CertificateOptions
from nacre.keys.fingerprint import family
from nacre.keys.signed.serials import MOST_SERIAL
from nacre.keys.times import parse_time
from nacre.wire.text import safe

_NONCE = 32
_BACKDATED = 60
"""Seconds: a certificate that begins now is valid for hosts whose clock is late, too."""


def run(options: KeygenOptions) -> int:
    """Certify the keys in files; return the exit status.

    :raises ConfigurationError: an option is missing or bad.
    :raises UnusableKey: the authority can't sign, or a file has no key that can be certified.
    """
    if "I" not in options:
        raise ConfigurationError("Must specify key id (-I) when certifying")
    terms = _CertificateTerms(options, time.time())
    authority = _authority(options)
    algorithm = _algorithm(options.value("t"), authority.public)
    for i, name in enumerate(options.files):
        serial = terms.serial + (i if terms.serial_grows else 0)
        _certify(options, terms, authority, algorithm, Path(name).expanduser(), serial)
    return 0


def _authority(options: KeygenOptions) -> FileSigner:
    """Return the authority's key: of the file of ``-s``, or with ``-U`` of the agent."""
    path = Path(options.value("s") or "").expanduser()
    if "U" not in options:
        return in_file(options, path)
    try:
        public, _ = load_public_key(path)
    except OSError as error:
        raise UnusableKey(f"Cannot load CA public key {path}: {error.strerror}") from None
    return in_agent(public)


def _algorithm(name: str | None, authority: PublicKey) -> str:
    """Return the algorithm of the authority's signatures, by default the strongest.

    :param name: that of ``-t``: an algorithm, a type of keys, or its short name.
    """
    algorithms = authority.signature_algorithms
    if (
        name is None
        or name.upper() == family(authority.type)
        or name == authority.type != "ssh-rsa"
    ):
        return algorithms[0]
    if name not in algorithms:
        raise ConfigurationError(
            f"CA key type {authority.type} doesn't match specified {safe(name, 64)}: "
            f"it signs with {', '.join(algorithms)}"
        )
    return name


def _certify(
    options: KeygenOptions,
    terms: _CertificateTerms,
    authority: FileSigner,
    algorithm: str,
    path: Path,
    serial: int,
) -> None:
    try:
        key, comment = load_public_key(path)
    except OSError as error:
        raise UnusableKey(f'load pubkey "{path}": {error.strerror}') from None
    if isinstance(key, Certificate):
        raise UnusableKey(f'key "{path}" type {key.type} cannot be certified: it is a certificate')
    request = CertificateRequest(
        key,
        authority.public,
        kind=terms.kind,
        key_id=options.value("I") or "",
        principals=terms.principals,
        valid_after=terms.valid_after,
        valid_before=terms.valid_before,
        serial=serial,
        critical_options=terms.options.critical,
        extensions=terms.options.extensions,
        nonce=os.urandom(_NONCE),
    )
    made = request.signed(authority.sign(request.data, algorithm))
    target = path.with_name(f"{path.name.removesuffix('.pub')}-cert.pub")
    line = " ".join([str(made), comment]).rstrip()
    replace(target, f"{line}\n".encode("utf-8", "surrogateescape"), PUBLIC_MODE)
    if "q" not in options:
        names = f" for {','.join(terms.principals)}" if terms.principals else ""
        told = f'id "{made.key_id}" serial {serial}{names} valid {validity(made)}'
        print(f"Signed {terms.kind} key {target}: {safe(told, 4096)}", file=sys.stderr)


class _CertificateTerms:
    """What the certificates say, from the command line.

    :ivar serial_grows: whether each certificate has the next serial number.
    """

    kind: Literal["user", "host"]

    def __init__(self, options: KeygenOptions, now: float) -> None:
        self.kind = "host" if "h" in options else "user"
        self.principals = _principals(options.value("n"))
        self.valid_after, self.valid_before = parse_validity(options.value("V"), int(now))
        serial = options.value("z") or "0"
        self.serial_grows = serial.startswith("+")
        self.serial = _serial(serial.removeprefix("+"))
        self.options = CertificateOptions(self.kind)
        for one in options.values("O"):
            self.options.add(one)


def _principals(text: str | None) -> tuple[str, ...]:
    if text is None:
        return ()
    names = tuple(text.split(","))
    if "" in names:
        raise ConfigurationError("Empty principal name")
    if len(names) > MOST_PRINCIPALS:
        raise ConfigurationError(
            f"Too many certificate principals specified: at most {MOST_PRINCIPALS}"
        )
    return names


def _serial(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 20 and int(text) <= MOST_SERIAL):
        raise ConfigurationError(f'Invalid serial number "{safe(text, 64)}"')
    return int(text)


# --- validity ---


def parse_validity(text: str | None, now: int) -> tuple[int, int]:
    """Return from when until when a certificate is valid, in seconds since the epoch.

    :param text: the value of ``-V``: ``+LENGTH``, or ``FROM:TO``; None for always.
    :raises ConfigurationError: it has another form, or is no time at all.
    """
    if text is None:
        return 0, FOREVER
    if text.startswith("+") and ":" not in text:
        begin = (now - _BACKDATED + 1) // _BACKDATED * _BACKDATED
        return begin, _relative(text, now)
    begins, colon, ends = text.partition(":")
    if not (begins and colon and ends):
        raise ConfigurationError(
            f"Invalid certificate life specification {safe(text, 64)}: give +52w or FROM:TO"
        )
    valid_after, valid_before = (
        _moment(begins, "always", 0, "from", now),
        _moment(ends, "forever", FOREVER, "to", now),
    )
    if valid_before <= valid_after:
        raise ConfigurationError("Empty certificate validity interval")
    return valid_after, valid_before


def _moment(text: str, word: str, meaning: int, which: str, now: int) -> int:
    if text == word:
        return meaning
    if text.startswith(("+", "-")):
        return _relative(text, now)
    try:
        if text.startswith("0x"):
            moment = int(text, 16)
            if "_" in text or moment > FOREVER:
                raise ValueError
            return moment
        return parse_time(text)
    except ValueError:
        raise ConfigurationError(f'Invalid {which} time "{safe(text, 64)}"') from None


def _relative(text: str, now: int) -> int:
    try:
        length = seconds("-V", text[1:])
    except ConfigurationError:
        raise ConfigurationError(
            f"Invalid relative certificate time {safe(text, 64)}: give +52w, -1d or +1h30m"
        ) from None
    if text.startswith("-") and length > now:
        raise ConfigurationError(f"Certificate time {safe(text, 64)} cannot be represented")
    return now - length if text.startswith("-") else now + length
