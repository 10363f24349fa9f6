"""What a key is: its fingerprint (``-l``), its public half (``-y``)."""

from __future__ import annotations

from nacre.cli.keygen.arguments import KeygenOptions
from nacre.cli.keygen.keyfiles import keys_in, line
from nacre.cli.keygen.questions import key_file, load_asking
from nacre.client.trust.files import family
from nacre.errors import KeyFormatError
from nacre.keys import PublicKey
from nacre.wire.text import safe


def run(options: KeygenOptions) -> int:
    """Show what is asked for; return the exit status."""
    path = key_file(options, "in which the key is")
    if "y" in options:
        print(line(load_asking(path, options.value("P"))[0]))
        return 0
    keys = [*keys_in(path)]
    if not keys:
        raise KeyFormatError(f"{path} is not a public key file.")
    for key, comment in keys:
        print(described(key, comment, options.hash_name))
    return 0


def described(key: PublicKey, comment: str, hash_name: str) -> str:
    """Return the line that ``-l`` prints: size, fingerprint, comment, family."""
    mark = key.fingerprint(hash_name)
    return f"{key.bits} {mark} {safe(comment)} ({family(key.type)})"
