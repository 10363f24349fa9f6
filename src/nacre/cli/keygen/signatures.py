"""Signatures of files (``-Y``): made, verified, and who may make them."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import IO

from nacre.cli.common.start import FAILURE
from nacre.cli.keygen.arguments import CommandLineError, KeygenOptions, Refused
from nacre.cli.keygen.questions import confirm_overwrite
from nacre.cli.keygen.signers import FileSigner, in_agent, in_file, load_public_key
from nacre.errors import ConfigurationError, NacreError, UnusableKey
from nacre.keys import PublicKey
from nacre.keys.fingerprint import family
from nacre.keys.signed import revocation
from nacre.keys.signed.allowed_signers import MAXIMUM_SIZE, AllowedSigners, Report
from nacre.keys.signed.sshsig import (
    DEFAULT_HASH,
    SSHSignature,
    algorithm_of,
    data_to_sign,
    new_hash,
)
from nacre.keys.signed.sshsig import MAXIMUM_SIZE as MAXIMUM_SIGNATURE
from nacre.keys.times import parse_time
from nacre.value import value
from nacre.wire.text import safe

_PART = 1024 * 1024
_NO_MATCH = 210
"""ssh-keygen's exit status if match-principals finds no line."""

_PUBLIC_SUFFIXES = ("-cert.pub", ".pub")

_NEEDED = {
    "n": "namespace",
    "s": "signature file",
    "f": "allowed keys file",
    "I": "principal identity",
}


@value
class _Operation:
    """What ``-Y`` does: the options that it needs, and how it is done."""

    needs: str
    act: Callable[[KeygenOptions], int]


def run(options: KeygenOptions) -> int:
    """Do what ``-Y`` names; return the exit status.

    :raises CommandLineError: it names nothing that there is.
    :raises Refused: an option is missing.
    """
    name = options.value("Y") or ""
    if name not in _OPERATIONS:
        raise CommandLineError(f'Unsupported operation for -Y: "{safe(name, 64)}"')
    operation = _OPERATIONS[name]
    for letter in operation.needs:
        if not options.value(letter):
            what = "key" if (name, letter) == ("sign", "f") else _NEEDED[letter]
            raise Refused(f"Too few arguments for {name}: missing {what}")
    return operation.act(options)


class _SignatureTerms:
    """The values of ``-O``.

    :raises ConfigurationError: one of them is unknown, or its value is bad.
    """

    def __init__(self, options: KeygenOptions) -> None:
        self.hash_name = DEFAULT_HASH
        self.verify_time = int(time.time())
        self.print_key = False
        for one in options.values("O"):
            name, _, text = one.partition("=")
            match name.lower():
                case "hashalg":
                    self.hash_name = text
                case "verify-time":
                    self.verify_time = _time(text)
                case "print-pubkey":
                    self.print_key = True
                case _:
                    raise ConfigurationError(f'Invalid option "{safe(one, 64)}"')


def _time(text: str) -> int:
    try:
        return parse_time(text)
    except ValueError as error:
        raise ConfigurationError(f'Invalid "verify-time" option: {error}') from None


# --- sign ---


def _sign(options: KeygenOptions) -> int:
    terms = _SignatureTerms(options)
    assert options.file is not None
    try:
        public, _ = load_public_key(options.file)
    except OSError as error:
        raise UnusableKey(f"Couldn't load public key {options.file}: {error.strerror}") from None
    signer = _signer(options, options.file, public=public)
    if not options.files:
        _note(options, "Signing data on standard input")
        made = _signed(options, terms, signer, sys.stdin.buffer)
        sys.stdout.buffer.write(made.armored())
        sys.stdout.flush()
    for name in options.files:
        _sign_file(options, terms, signer, Path(name))
    return 0


def _signer(options: KeygenOptions, path: Path, *, public: PublicKey) -> FileSigner:
    """Return the key that signs: the agent's if it holds the key, or else that of the file."""
    try:
        return in_agent(public)
    except UnusableKey:
        if "U" in options:
            raise
    suffix = next((one for one in _PUBLIC_SUFFIXES if path.name.endswith(one)), "")
    return in_file(options, path.with_name(path.name.removesuffix(suffix)), public)


def _sign_file(
    options: KeygenOptions, terms: _SignatureTerms, signer: FileSigner, path: Path
) -> None:
    target = path.with_name(f"{path.name}.sig")
    try:
        with path.open("rb") as file:
            _note(options, f"Signing file {path}")
            made = _signed(options, terms, signer, file)
    except OSError as error:
        raise UnusableKey(f"Cannot open {path} for signing: {error.strerror}") from None
    try:
        confirm_overwrite(target)
    except Refused:
        return
    _note(options, f"Write signature to {target}")
    target.write_bytes(made.armored())


def _signed(
    options: KeygenOptions, terms: _SignatureTerms, signer: FileSigner, file: IO[bytes]
) -> SSHSignature:
    namespace = options.value("n") or ""
    data = data_to_sign(_digest(file, terms.hash_name), namespace, terms.hash_name)
    signature = signer.sign(data, algorithm_of(signer.public))
    return SSHSignature(signer.public, namespace, terms.hash_name, signature)


def _digest(file: IO[bytes], hash_name: str) -> bytes:
    made = new_hash(hash_name)
    while part := file.read(_PART):
        made.update(part)
    return made.digest()


def _note(options: KeygenOptions, text: str) -> None:
    if "q" not in options:
        print(safe(text), file=sys.stderr)


# --- verify ---


def _verify(options: KeygenOptions) -> int:
    return _verified(options, options.value("I"))


def _check(options: KeygenOptions) -> int:
    return _verified(options, None)


def _verified(options: KeygenOptions, principal: str | None) -> int:
    """Verify the signature of standard input, and tell the outcome.

    :param principal: who must be allowed to make it; None if anybody may.
    """
    namespace = options.value("n") or ""
    try:
        terms = _SignatureTerms(options)
        signature = _read_signature(options)
        reason = signature.refusal(_digest(sys.stdin.buffer, signature.hash_name), namespace)
        if reason is not None:
            raise UnusableKey(f"Signature verification failed: {reason}")
        _check_revoked(options, signature)
        if principal is not None and not _signers(options).allows(
            signature, principal, at=terms.verify_time, report=_reporter(options)
        ):
            raise UnusableKey("")
    except NacreError as error:
        _complain(str(error))
        options.inform("Could not verify signature.")
        return FAILURE
    key = signature.key
    owner = "" if principal is None else f" for {safe(principal)}"
    with_key = f"with {family(key.type)} key {key.fingerprint(options.hash_name)}"
    options.inform(f'Good "{safe(namespace)}" signature{owner} {with_key}')
    if terms.print_key:
        print(key)
    return 0


def _check_revoked(options: KeygenOptions, signature: SSHSignature) -> None:
    """Check that the key is not revoked by the file of ``-r``.

    :raises UnusableKey: it is, or the file can't be read.
    """
    name = options.value("r")
    if name is not None:
        data = _read(Path(name), revocation.MAXIMUM_SIZE, "file of revoked keys")
        reason = revocation.load(data).refusal(signature.key)
        if reason is not None:
            raise UnusableKey(f"{name}: {reason}")


def _read_signature(options: KeygenOptions) -> SSHSignature:
    path = Path(options.value("s") or "")
    return SSHSignature.parse(_read(path, MAXIMUM_SIGNATURE, "signature file"))


def _signers(options: KeygenOptions) -> AllowedSigners:
    assert options.file is not None
    return AllowedSigners(_read(options.file, MAXIMUM_SIZE, "allowed keys file"))


def _read(path: Path, most: int, what: str) -> bytes:
    """Return the content of a file, or of standard input for ``-``.

    :raises UnusableKey: it can't be read, or is too large.
    """
    try:
        with nullcontext(sys.stdin.buffer) if str(path) == "-" else path.open("rb") as file:
            data: bytes = file.read(most + 1)
    except OSError as error:
        raise UnusableKey(f'Unable to open {what} "{path}": {error.strerror}') from None
    if len(data) > most:
        raise UnusableKey(f'The {what} "{path}" is larger than {most} bytes')
    return data


def _reporter(options: KeygenOptions) -> Report:
    def report(number: int, reason: str) -> None:
        _complain(f"{options.file}:{number}: {reason}")

    return report


def _complain(text: str) -> None:
    if text:
        print(safe(text, 4096), file=sys.stderr)


# --- principals ---


def _find(options: KeygenOptions) -> int:
    try:
        terms = _SignatureTerms(options)
        key = _read_signature(options).key
        found = _signers(options).principals_of(
            key, at=terms.verify_time, report=_reporter(options)
        )
    except NacreError as error:
        _complain(str(error))
        found = []
    return _print_all(found, FAILURE)


def _match(options: KeygenOptions) -> int:
    principal = options.value("I") or ""
    found = _signers(options).lists_of(principal, report=_reporter(options))
    return _print_all(found, _NO_MATCH)


def _print_all(found: list[str], otherwise: int) -> int:
    if not found:
        _complain("No principal matched.")
        return otherwise
    for one in found:
        print(safe(one))
    return 0


_OPERATIONS = {
    "sign": _Operation("nf", _sign),
    "verify": _Operation("nsIf", _verify),
    "check-novalidate": _Operation("ns", _check),
    "find-principals": _Operation("sf", _find),
    "match-principals": _Operation("If", _match),
}
