"""What a key is: its fingerprint (``-l``, ``-B``), its public half (``-y``)."""

from __future__ import annotations

from nacre.cli.keygen.arguments import KeygenOptions
from nacre.cli.keygen.keyfiles import keys_in, line
from nacre.cli.keygen.questions import key_file, load_asking
from nacre.client.trust.files import family
from nacre.errors import KeyFormatError
from nacre.keys import PublicKey
from nacre.keys.fingerprint import bubblebabble, randomart


def run(options: KeygenOptions) -> int:
    """Show what is asked for; return the exit status."""
    path = key_file(options, "in which the key is")
    if "y" in options:
        print(line(load_asking(path, options.value("P"))[0]))
        return 0
    found = False
    for key, comment in keys_in(path):
        found = True
        print(described(key, comment, options))
    if not found:
        raise KeyFormatError(f"{path} is not a public key file.")
    return 0


def described(key: PublicKey, comment: str, options: KeygenOptions) -> str:
    """Return what ``-l`` prints of a key: size, fingerprint, comment and family, and its picture.

    Of a certificate it is the fingerprint of the key that is certified.
    """
    mark = fingerprint_of(key, options)
    return f"{key.bits} {mark} {printable(comment)} ({family(key.type)}){drawn(key, options)}"


def fingerprint_of(key: PublicKey, options: KeygenOptions) -> str:
    """Return the fingerprint of a key, in the form that ``-E`` and ``-B`` ask for."""
    plain = key.plain
    return bubblebabble(plain.blob) if "B" in options else plain.fingerprint(options.hash_name)


def drawn(key: PublicKey, options: KeygenOptions) -> str:
    """Return the picture of a key behind a line end, if ``-v`` asks for it."""
    if "v" not in options:
        return ""
    title = f"{family(key.type)} {key.bits}"
    return f"\n{randomart(key.plain.blob, title, options.hash_name)}"


def printable(text: str) -> str:
    """Return text with escapes for what is not printable, as ssh-keygen writes them."""
    return "".join(
        one
        if one.isprintable() or one in "\t\r"
        else "".join(f"\\{byte:03o}" for byte in one.encode("utf-8", "surrogateescape"))
        for one in text
    )
