"""``-e``, ``-i``, ``-m`` and ``-Z`` beside ssh-keygen: the same bytes, the same refusals."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from interop.programs import NACRE, check, require, run
from nacre import dump_private, dump_public, generate
from nacre.keys import load_private
from nacre.keys.formats.openssh import CIPHERS

KEYGEN = [str(Path(NACRE[0]).with_name("nacre-ssh-keygen"))]
TYPES = ("ssh-ed25519", "ecdsa-sha2-nistp521", "ssh-rsa", "ssh-dss")
FORMATS = ("RFC4716", "PKCS8", "PEM")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A private key of each type that OpenSSH has, and its public half beside it."""
    directory = tmp_path_factory.mktemp("keys")
    known = check([require("ssh"), "-Q", "key"]).decode().split()
    made = {}
    for type in (one for one in TYPES if one in known):
        made[type] = file = directory / type
        key = generate(type, bits=2048 if type == "ssh-rsa" else None, comment="mine")
        file.write_bytes(dump_private(key))
        file.chmod(0o600)
        file.with_name(f"{type}.pub").write_bytes(dump_public(key.public, "mine"))
    return made


def both(words: Sequence[object]) -> bytes | None:
    """Return what both programs print, None if both refuse."""
    ours, theirs = (run([*program, *words]) for program in (KEYGEN, [require("ssh-keygen")]))
    assert (ours.returncode, ours.stdout) == (theirs.returncode, theirs.stdout), ours.stderr
    return None if theirs.returncode else theirs.stdout


def test_exports_are_the_same_bytes(files: dict[str, Path], tmp_path: Path) -> None:
    for type, file in files.items():
        # ssh-keygen has no PKCS#8 of Ed25519; openssl reads ours.
        for form in ("RFC4716",) if type == "ssh-ed25519" else FORMATS:
            words = ["-e", "-m", form, "-f"]
            exported = both([*words, file])
            if exported is None:
                continue
            (tmp_path / "exported").write_bytes(exported)
            # It imports PEM of RSA alone, and exports that of all.
            both(["-i", "-m", form, "-f", tmp_path / "exported"])


def test_private_files_of_either_are_read_by_the_other(
    files: dict[str, Path], tmp_path: Path
) -> None:
    file = tmp_path / "key"
    programs = (KEYGEN, [require("ssh-keygen")])
    # test_key_formats.py has all families, without the program.
    for type in ("ssh-ed25519", "ecdsa-sha2-nistp521"):
        made = files[type]
        for form in ("PKCS8", "PEM"):
            for one, other in (programs, programs[::-1]):
                file.write_bytes(made.read_bytes())
                file.chmod(0o600)
                check([*one, "-q", "-p", "-a1", "-m", form, "-P", "", "-N", "secret", "-f", file])
                begin = file.read_text().splitlines()[0]
                assert begin.startswith("-----BEGIN ")
                shown = check([*other, "-y", "-P", "secret", "-f", file]).split()[:2]
                assert shown == Path(f"{made}.pub").read_bytes().split()[:2], (type, form)


def test_each_cipher_of_ours_is_read_by_ssh_keygen(files: dict[str, Path], tmp_path: Path) -> None:
    known = check([require("ssh"), "-Q", "cipher"]).decode().split()
    assert {*known} == {*CIPHERS} - {"none"}
    file = tmp_path / "key"
    key = load_private(files["ssh-ed25519"].read_bytes())
    for cipher in known:
        file.write_bytes(dump_private(key, "secret", cipher=cipher, rounds=1))
        file.chmod(0o600)
        shown = check([require("ssh-keygen"), "-y", "-P", "secret", "-f", file])
        assert shown.decode() == f"{key.public} mine\n"


def test_a_certificate_is_exported_whole_or_as_its_key(
    files: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "key.pub").write_bytes(Path(f"{files['ssh-rsa']}.pub").read_bytes())
    sign = [require("ssh-keygen"), "-q", "-s", files["ssh-ed25519"], "-I", "id", "-n", "me"]
    check([*sign, tmp_path / "key.pub"])
    for form in FORMATS:
        assert both(["-e", "-m", form, "-f", tmp_path / "key-cert.pub"]) is not None
