"""EdDSA keys in files of other programs; what all families have in common is in test_key.py."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from nacre.errors import KeyFormatError
from nacre.keys.families.eddsa import EdDSAPrivateKey
from nacre.keys.files import dump_private, load_public
from nacre.wire.codec import WireReader, string


@pytest.mark.parametrize("type", ["ssh-ed25519", "ssh-ed448"])
def test_halves_that_do_not_match(type: str, key_of) -> None:
    key, other = key_of(type), EdDSAPrivateKey.generate(type, None)
    public, secret = (WireReader(one.secret_fields()) for one in (other, key))
    secret.string()
    fields = string(public.string()) + string(secret.string())
    with pytest.raises(KeyFormatError, match="do not match"):
        EdDSAPrivateKey.decode(type, WireReader(fields))


def test_puttygen_reads_ours(key_of, tmp_path: Path) -> None:
    program = shutil.which("puttygen")
    if program is None:
        pytest.skip("puttygen is not installed")
    file = tmp_path / "key"
    file.write_bytes(dump_private(key_of("ssh-ed448")))
    done = subprocess.run([program, file, "-L"], check=True, timeout=30, capture_output=True)
    assert load_public(done.stdout)[0] == key_of("ssh-ed448").public
