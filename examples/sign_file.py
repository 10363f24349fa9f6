"""Sign a file, and verify it: python examples/sign_file.py KEY FILE ALLOWED_SIGNERS NAME"""

import sys
import time
from pathlib import Path

import nacre
from nacre.keys.signed.allowed_signers import AllowedSigners
from nacre.keys.signed.sshsig import SSHSignature, sign


def sign_file(key: nacre.PrivateKey, path: Path) -> None:
    signature = sign(key, path.read_bytes(), "file")
    Path(f"{path}.sig").write_bytes(signature.armored())


def is_signed(path: Path, signers: Path, name: str) -> bool:
    signature = SSHSignature.parse(Path(f"{path}.sig").read_bytes())
    allowed = AllowedSigners(signers.read_bytes())
    return signature.verify(path.read_bytes(), "file") and allowed.allows(
        signature, name, at=int(time.time())
    )


if __name__ == "__main__":
    key, path, signers = map(Path, sys.argv[1:4])
    sign_file(nacre.load_private(key.read_bytes()), path)
    print(is_signed(path, signers, sys.argv[4]))
