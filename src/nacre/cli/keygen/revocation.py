"""Lists of revoked keys (KRLs): made (``-k``), changed (``-k -u``) and asked (``-Q``)."""

from __future__ import annotations

import re
import sys
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from pathlib import Path

from nacre.cli.keygen.arguments import KeygenOptions
from nacre.cli.keygen.signers import load_public_key
from nacre.client.trust.hostfile import replace
from nacre.errors import ConfigurationError, KeyFormatError, UnusableKey
from nacre.keys import PublicKey, load_public
from nacre.keys.signed.revocation import MAXIMUM_SIZE, RevocationList
from nacre.keys.signed.serials import MOST_SERIAL
from nacre.wire.text import safe

_MODE = 0o644
_NO_AUTHORITY = "none"
_REVOKED = 1


def run(options: KeygenOptions) -> int:
    """Make, change or ask a KRL; return the exit status.

    :raises ConfigurationError: an option is missing or bad.
    :raises UnusableKey: a file has no KRL, or no key.
    """
    return _make(options) if "k" in options else _query(options)


# --- queries ---


def _query(options: KeygenOptions) -> int:
    if options.file is None:
        raise ConfigurationError("KRL checking requires an input file")
    found = _load(options.file)
    if "l" in options:
        print(found)
    status = 0
    for name in options.files:
        key, comment = _public_key(name)
        revoked = found.refusal(key) is not None
        shown = f" ({safe(comment)})" if comment else ""
        print(f"{name}{shown}: {'REVOKED' if revoked else 'ok'}")
        status = _REVOKED if revoked else status
    return status


def _load(path: Path) -> RevocationList:
    try:
        with path.open("rb") as file:
            data = file.read(MAXIMUM_SIZE + 1)
    except OSError as error:
        raise UnusableKey(f"Unable to load KRL {path}: {error.strerror}") from None
    try:
        return RevocationList.decode(data)
    except KeyFormatError as error:
        raise UnusableKey(f"Invalid KRL file {path}: {error}") from None


def _public_key(name: str, what: str = "public key") -> tuple[PublicKey, str]:
    try:
        return load_public_key(Path(name).expanduser())
    except OSError as error:
        raise UnusableKey(f"Cannot load {what} {name}: {error.strerror}") from None
    except KeyFormatError as error:
        raise UnusableKey(f"Cannot load {what} {error}") from None


# --- changes ---


def _make(options: KeygenOptions) -> int:
    path = options.file
    if path is None:
        raise ConfigurationError("KRL generation requires an output file")
    changed = _Changed(options, _present(options, path))
    for name in options.files:
        changed.add_file(name)
    try:
        replace(path, changed.krl.encode(int(time.time())), _MODE)
    except OSError as error:
        raise UnusableKey(f"write {path}: {error.strerror}") from None
    return 0


def _present(options: KeygenOptions, path: Path) -> RevocationList:
    """Return the list to change, or an empty one, with its number and its comment."""
    if "u" in options and not path.exists():
        raise ConfigurationError(f'KRL "{path}" does not exist')
    krl = _load(path) if "u" in options else RevocationList()
    version = options.value("z")
    if version is not None:
        if not re.fullmatch(r"\+?[0-9]{1,20}", version, re.ASCII) or int(version) > MOST_SERIAL:
            raise ConfigurationError(f'Invalid serial number "{safe(version, 64)}"')
        krl.version = int(version)
    comment = options.value("C")
    if comment is not None:
        krl.comment = comment
    return krl


class _Changed:
    """A list to which the lines of files are added.

    :ivar krl: the list.
    """

    def __init__(self, options: KeygenOptions, krl: RevocationList) -> None:
        self.krl = krl
        self._options = options
        self._where = ""
        name = options.value("s")
        self._any_authority = name is not None and name.lower() == _NO_AUTHORITY
        self._authority: PublicKey | None = None
        if name is not None and not self._any_authority:
            self._authority, _ = _public_key(name, "CA public key")

    def add_file(self, name: str) -> None:
        """Add the lines of a file; ``-`` is standard input.

        :raises UnusableKey: it can't be read, or a line is malformed.
        """
        shown = "(standard input)" if name == "-" else name
        try:
            data = sys.stdin.buffer.read() if name == "-" else Path(name).expanduser().read_bytes()
        except OSError as error:
            raise UnusableKey(f"fopen {name}: {error.strerror}") from None
        self._options.inform(f"Revoking from {shown}")
        for number, raw in enumerate(data.split(b"\n"), 1):
            line = raw.decode("utf-8", "surrogateescape").partition("#")[0].strip(" \t\r")
            if line:
                self._where = f"{shown}:{number}"
                self._add_line(line)

    def _add_line(self, line: str) -> None:
        word, colon, rest = line.partition(":")
        try:
            if colon and word.lower() in _SPECIFICATIONS:
                _SPECIFICATIONS[word.lower()](self, rest.strip(" \t"))
            else:
                self.krl.add(load_public(line)[0])
        except KeyFormatError as error:
            raise UnusableKey(f"{self._where}: invalid key: {error}") from None

    def _check_authority(self, what: str) -> None:
        if self._authority is None and not self._any_authority:
            raise ConfigurationError(
                f"revoking certificates by {what} requires specification of a CA key"
            )

    def _add_serials(self, text: str) -> None:
        self._check_authority("serial number")
        numbers = [*self._numbers(text)]
        if len(numbers) == 2 and numbers[1] <= numbers[0]:
            raise UnusableKey(f"{self._where}: invalid serial range {numbers[0]}:{numbers[1]}")
        try:
            self.krl.add_serials(self._authority, numbers[0], numbers[-1])
        except KeyFormatError as error:
            raise UnusableKey(f"{self._where}: {error}") from None

    def _numbers(self, text: str) -> Iterator[int]:
        for one in text.split("-", 1):
            found = _NUMBER.fullmatch(one)
            if found is None:
                raise UnusableKey(f'{self._where}: invalid serial "{safe(one, 64)}"')
            base = 16 if found[1] else 8 if one.startswith("0") else 10
            number = int(found[1] or found[2], base)
            if number > MOST_SERIAL:
                raise UnusableKey(f"{self._where}: serial out of range")
            yield number

    def _add_key_id(self, text: str) -> None:
        self._check_authority("key ID")
        self.krl.add_key_id(self._authority, text)

    def _add_hash(self, text: str) -> None:
        name, _, encoded = text.partition(":")
        if name != "SHA256":
            raise UnusableKey(f"{self._where}: unsupported hash algorithm: give SHA256:…")
        try:
            digest = b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
            self.krl.add_hash(digest)
        except (ValueError, KeyFormatError):
            raise UnusableKey(
                f"{self._where}: decode hash failed: it is not that of a key"
            ) from None

    def _add_key(self, text: str) -> None:
        self.krl.add_key(load_public(text)[0])

    def _add_sha1(self, text: str) -> None:
        self.krl.add_sha1(load_public(text)[0])

    def _add_sha256(self, text: str) -> None:
        self.krl.add_sha256(load_public(text)[0])


_NUMBER = re.compile(r"[ \t]*0[xX]([0-9a-fA-F]{1,32})|[ \t]*(0[0-7]{0,32}|[1-9][0-9]{0,32})")
"""A number as C writes it; anything longer is out of range."""

_SPECIFICATIONS: dict[str, Callable[[_Changed, str], None]] = {
    "serial": _Changed._add_serials,
    "id": _Changed._add_key_id,
    "key": _Changed._add_key,
    "sha1": _Changed._add_sha1,
    "sha256": _Changed._add_sha256,
    "hash": _Changed._add_hash,
}
"""What the words in front of a colon add (ssh-keygen(1), KEY REVOCATION LISTS)."""
