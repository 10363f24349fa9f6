"""Floor 3: keys and the texts that hold them. Text in, values out; no file is opened here."""

from nacre.keys.files import dump_private, load_private, load_public
from nacre.keys.key import PrivateKey, PublicKey, decode_public, generate

__all__ = [
    "PrivateKey",
    "PublicKey",
    "decode_public",
    "dump_private",
    "generate",
    "load_private",
    "load_public",
]
