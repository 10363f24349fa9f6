"""Every family of keys in every format, between nacre and ssh-keygen, puttygen and openssl.

One test reads what they write, another one has them read what nacre writes; each prints its table.
A cell is ``ok``; ``-`` if the program does not have that family in that format; else what went
wrong, which fails the test.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from interop.programs import check, require, run
from nacre import (
    PrivateKey,
    PrivateKeyFormat,
    PublicKey,
    PublicKeyFormat,
    dump_private,
    dump_public,
    load_private,
    load_public,
)
from nacre.errors import NacreError
from nacre.keys.key import KEY_TYPES, generate

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

SECRET = "secret wörds"
PRIVATE: tuple[PrivateKeyFormat, ...] = ("openssh", "pem", "pkcs8", "ppk2", "ppk3")
PUBLIC: tuple[PublicKeyFormat, ...] = ("openssh", "rfc4716", "pem", "pkcs8")
NO_OLD_FORM = ("ssh-ed25519", "ssh-ed448")
COMPOSITE = "ssh-mldsa44-ed25519@openssh.com"
"""Keys that have OpenSSH's format alone: OpenSSH 10.4 reads them, PuTTY and OpenSSL do not."""
"""Families without a form in PEM other than PKCS#8."""


class Table:
    """What happened, by row and column."""

    def __init__(self) -> None:
        self._cells: dict[tuple[str, ...], dict[str, str]] = {}

    def put(self, row: tuple[str, ...], column: str, said: str) -> None:
        self._cells.setdefault(row, {})[column] = said

    def lines(self) -> Iterator[str]:
        columns = list(dict.fromkeys(c for cells in self._cells.values() for c in cells))
        for row, cells in [(("type", "format", ""), {c: c for c in columns}), *self._cells.items()]:
            first = f"{row[0]:20} {row[1]:26} {row[2]:10}"
            yield " ".join([first, *(f"{cells.get(column, ''):10}" for column in columns)])

    def check(self, title: str, record: Callable[[str, object], None]) -> None:
        """Print the table, and check that nothing went wrong."""
        print(*self.lines(), sep="\n")
        record(f"table: {title}", "\n".join(self.lines()))
        bad = [
            (*row, column, said)
            for row, cells in self._cells.items()
            for column, said in cells.items()
            if said not in ("ok", "-")
        ]
        assert not bad


@pytest.fixture(scope="module")
def ours() -> dict[str, PrivateKey]:
    """One key of each type, with small numbers where there is a choice."""
    sizes = {"ssh-rsa": 2048}
    types = [type for type in KEY_TYPES if type != COMPOSITE]
    return {type: generate(type, bits=sizes.get(type), comment="a comment") for type in types}


@pytest.fixture(scope="module")
def openssh() -> tuple[frozenset[str], tuple[int, ...]]:
    """The key types of the installed OpenSSH, and its version."""
    ssh = require("ssh")
    types = check([ssh, "-Q", "key"]).decode().split()
    version = re.search(r"OpenSSH_(\d+)\.(\d+)", run([ssh, "-V"]).stderr.decode())
    assert version
    return frozenset(types), tuple(map(int, version.groups()))


def passphrase_file(directory: Path, passphrase: str) -> Path:
    file = directory / f"passphrase-{len(passphrase)}"
    file.write_bytes(passphrase.encode())
    return file


# --- they read what nacre writes ---


class Readers:
    """The programs, as functions that return the public key they see in a private file."""

    def __init__(self, directory: Path, types: frozenset[str], version: tuple[int, ...]) -> None:
        self._directory = directory
        self._types = types
        self._version = version

    def ssh_keygen(self, type: str, form: str, file: Path, passphrase: str) -> PublicKey | None:
        """OpenSSH reads Ed25519 in PKCS#8 since 9.6."""
        new = form == "pkcs8" and type == "ssh-ed25519" and self._version < (9, 6)
        if type not in self._types or form.startswith("ppk") or new:
            return None
        keygen = require("ssh-keygen")
        return load_public(check([keygen, "-y", "-P", passphrase, "-f", file]))[0]

    def puttygen(self, type: str, form: str, file: Path, passphrase: str) -> PublicKey | None:
        """PuTTY has no PKCS#8."""
        if form == "pkcs8":
            return None
        secret = passphrase_file(self._directory, passphrase)
        return load_public(check([require("puttygen"), file, "-L", "--old-passphrase", secret]))[0]

    def openssl(self, type: str, form: str, file: Path, passphrase: str) -> PublicKey | None:
        """OpenSSL has only the forms in ASN.1."""
        if form not in ("pem", "pkcs8"):
            return None
        command = [require("openssl"), "pkey", "-in", file, "-pubout", "-passin"]
        return load_public(check([*command, f"pass:{passphrase}"]))[0]


def test_they_read_what_nacre_writes(ours, openssh, tmp_path: Path, record_property) -> None:
    table = Table()
    readers = Readers(tmp_path, *openssh)
    file = tmp_path / "key"
    for type, key in ours.items():
        for form in PRIVATE:
            for passphrase in ("", SECRET):
                row = (type, form, "encrypted" if passphrase else "plain")
                if form == "pem" and type in NO_OLD_FORM:
                    table.put(row, "nacre", "-")
                    continue
                file.write_bytes(dump_private(key, passphrase, format=form, rounds=1))
                file.chmod(0o600)
                for read in (readers.ssh_keygen, readers.puttygen, readers.openssl):
                    table.put(row, read.__name__, outcome(key, read, type, form, file, passphrase))
    table.check("private keys that nacre wrote", record_property)


def outcome(key: PrivateKey, read: Callable[..., PublicKey | None], *arguments: object) -> str:
    try:
        public = read(*arguments)
    except (NacreError, AssertionError) as error:
        return str(error)
    return "-" if public is None else "ok" if public == key.public else "another key"


def test_they_read_the_public_keys_that_nacre_writes(
    ours, openssh, tmp_path: Path, record_property
) -> None:
    table = Table()
    types, _ = openssh
    file = tmp_path / "key.pub"
    imports = {"rfc4716": "RFC4716", "pem": "PEM", "pkcs8": "PKCS8"}

    def ssh_keygen(type: str, form: str) -> PublicKey | None:
        # Its -m PEM is PKCS#1, which is RSA's alone; its -m PKCS8 has neither EdDSA.
        old = form == "pem" and type != "ssh-rsa"
        if type not in types or old or (form == "pkcs8" and type in NO_OLD_FORM):
            return None
        if form == "openssh":
            mark = check([require("ssh-keygen"), "-l", "-f", file]).decode().split()[1]
            assert mark == ours[type].public.fingerprint()
            return ours[type].public
        return load_public(check([require("ssh-keygen"), "-i", "-m", imports[form], "-f", file]))[0]

    def puttygen(type: str, form: str) -> PublicKey | None:
        if form in ("pem", "pkcs8"):
            return None
        return load_public(check([require("puttygen"), file, "-L"]))[0]

    def openssl(type: str, form: str) -> PublicKey | None:
        if form not in ("pem", "pkcs8"):
            return None
        command = [require("openssl"), "rsa" if type == "ssh-rsa" else "pkey", "-in", file]
        old = form == "pem" and type == "ssh-rsa"
        pubin = "-RSAPublicKey_in" if old else "-pubin"
        return load_public(check([*command, pubin, "-pubout"]))[0]

    for type, key in ours.items():
        for form in PUBLIC:
            file.write_bytes(dump_public(key.public, "a comment", format=form))
            for read in (ssh_keygen, puttygen, openssl):
                table.put((type, form, "public"), read.__name__, outcome(key, read, type, form))
    table.check("public keys that nacre wrote", record_property)


# --- nacre reads what they write ---


class Writers:
    """The programs, as generators of the names, contents and passphrases of files of a key."""

    def __init__(self, directory: Path, types: frozenset[str]) -> None:
        self._directory = directory
        self._types = types

    def ssh_keygen(self, key: PrivateKey) -> Iterator[tuple[str, bytes, str]]:
        type = key.public.type
        if type not in self._types:
            return
        file = self._directory / "theirs"
        keygen = require("ssh-keygen")
        forms = ["RFC4716"] if type in NO_OLD_FORM else ["RFC4716", "PEM", "PKCS8"]
        for form in forms:
            for passphrase in ("", SECRET):
                file.write_bytes(dump_private(key))
                file.chmod(0o600)
                check([keygen, "-p", "-a", "1", "-m", form, "-P", "", "-N", passphrase, "-f", file])
                yield f"private {form}", file.read_bytes(), passphrase
            yield f"public {form}", check([keygen, "-e", "-m", form, "-P", SECRET, "-f", file]), ""

    def puttygen(self, key: PrivateKey) -> Iterator[tuple[str, bytes, str]]:
        ours, theirs = self._directory / "ours", self._directory / "their"
        ours.write_bytes(dump_private(key, format="ppk2"))
        ours.chmod(0o600)
        command = [require("puttygen"), ours, "-o", theirs, "--reencrypt"]
        quick = "memory=64,passes=1"
        forms = {
            "ppk 2": ["-O", "private", "--ppk-param", "version=2"],
            **{
                f"ppk 3 {kdf}": ["-O", "private", "--ppk-param", f"version=3,kdf={kdf},{quick}"]
                for kdf in ("argon2id", "argon2i", "argon2d")
            },
            "private-openssh": ["-O", "private-openssh"],
            "private-openssh-new": ["-O", "private-openssh-new"],
        }
        if key.public.type in ("ssh-rsa", "ssh-dss"):
            forms["private-sshcom"] = ["-O", "private-sshcom"]
        for name, options in forms.items():
            for passphrase in ("", SECRET):
                secret = passphrase_file(self._directory, passphrase)
                check([*command, *options, "--new-passphrase", secret])
                yield name, theirs.read_bytes(), passphrase
        for name in ("public", "public-openssh"):
            check([require("puttygen"), ours, "-O", name, "-o", theirs])
            yield name, theirs.read_bytes(), ""

    def openssl(self, key: PrivateKey) -> Iterator[tuple[str, bytes, str]]:
        ours = self._directory / "ours.pem"
        ours.write_bytes(dump_private(key, format="pkcs8"))
        forms = {
            "PKCS#8": ["-nocrypt"],
            **{f"PBES2 {it}": ["-v2", it] for it in ("aes-128-cbc", "aes-256-cbc", "des3")},
            **{f"PBES2 hmacWithSHA{n}": ["-v2prf", f"hmacWithSHA{n}"] for n in (1, 224, 384, 512)},
            "PBES2 scrypt": ["-scrypt"],
            "PBES1 PBE-SHA1-3DES": ["-v1", "PBE-SHA1-3DES"],
        }
        if key.public.type != "ecdsa-sha2-nistp256":
            # The encryption does not depend on what it encrypts.
            forms = {name: forms[name] for name in ("PKCS#8", "PBES2 aes-256-cbc")}
        command = [require("openssl"), "pkcs8", "-topk8", "-in", ours]
        for name, options in forms.items():
            passphrase = "" if name == "PKCS#8" else SECRET
            made = check([*command, *options, "-passout", f"pass:{passphrase}"])
            yield name, made, passphrase
        if key.public.type not in NO_OLD_FORM:
            ciphers = ("aes128", "aes192", "aes256", "des3")
            for cipher in ciphers[: 1 if len(forms) == 2 else 4]:
                options = [f"-{cipher}", "-traditional", "-passout", f"pass:{SECRET}"]
                made = check([require("openssl"), "pkey", "-in", ours, *options])
                yield f"PEM {cipher}", made, SECRET


def test_nacre_reads_what_they_write(ours, openssh, tmp_path: Path, record_property) -> None:
    table = Table()
    writers = Writers(tmp_path, openssh[0])
    for type, key in ours.items():
        for write in (writers.ssh_keygen, writers.puttygen, writers.openssl):
            for name, text, passphrase in write(key):
                row = (type, name, "encrypted" if passphrase else "plain")
                table.put(row, write.__name__, read_back(key, text, passphrase))
    table.check("keys that nacre reads", record_property)


def read_back(key: PrivateKey, text: bytes, passphrase: str) -> str:
    try:
        if b"PUBLIC KEY" in text or not (b"PRIVATE" in text or b"PuTTY" in text):
            public = load_public(text)[0]
        else:
            again = load_private(text, passphrase or None)
            if again.secret_fields() != key.secret_fields():
                return "another private half"
            public = again.public
    except NacreError as error:
        return str(error)
    return "ok" if public == key.public else "another key"
