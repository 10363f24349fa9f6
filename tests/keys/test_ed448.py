"""Ed448 keys in files of other programs; what all families have in common is in test_key.py."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from nacre.errors import KeyFormatError
from nacre.keys.ed448 import Ed448PrivateKey
from nacre.keys.files import dump_private, load_public
from nacre.wire.codec import WireReader, string


def test_halves_that_do_not_match(key_of) -> None:
    key, other = key_of("ssh-ed448"), Ed448PrivateKey.generate("ssh-ed448", None)
    public, secret = (WireReader(one.secret_fields()) for one in (other, key))
    secret.string()
    fields = string(public.string()) + string(secret.string())
    with pytest.raises(KeyFormatError, match="do not match"):
        Ed448PrivateKey.decode("ssh-ed448", WireReader(fields))


def test_puttygen_reads_ours(key_of, tmp_path: Path) -> None:
    program = shutil.which("puttygen")
    if program is None:
        pytest.skip("puttygen is not installed")
    file = tmp_path / "key"
    file.write_bytes(dump_private(key_of("ssh-ed448")))
    done = subprocess.run([program, file, "-L"], check=True, timeout=30, capture_output=True)
    assert load_public(done.stdout)[0] == key_of("ssh-ed448").public
