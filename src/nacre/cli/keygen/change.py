"""Changes of a private key's file: another passphrase (``-p``), another comment (``-c``)."""

from __future__ import annotations

from nacre.cli.keygen.arguments import KeygenOptions
from nacre.cli.keygen.keyfiles import save, save_public
from nacre.cli.keygen.questions import ask_line, key_file, load_asking, new_passphrase
from nacre.wire.text import safe


def run(options: KeygenOptions) -> int:
    """Make the change; return the exit status."""
    return _passphrase(options) if "p" in options else _comment(options)


def _passphrase(options: KeygenOptions) -> int:
    path = key_file(options, "in which the key is")
    key, _ = load_asking(path, options.value("P"), "Enter old passphrase: ")
    if key.comment:
        options.inform(f"Key has comment '{safe(key.comment)}'")
    new = options.value("N")
    if new is None:
        new = new_passphrase("new passphrase", again=False)
    save(path, key, new, options)
    options.inform("Your identification has been saved with the new passphrase.")
    return 0


def _comment(options: KeygenOptions) -> int:
    path = key_file(options, "in which the key is")
    key, passphrase = load_asking(path, options.value("P"))
    options.inform(f"Old comment: {safe(key.comment)}")
    given = options.value("C")
    key.comment = ask_line("New comment: ") if given is None else given
    save(path, key, passphrase, options)
    save_public(path, key)
    options.inform(f"Comment '{safe(key.comment)}' applied" if key.comment else "Comment removed")
    return 0
