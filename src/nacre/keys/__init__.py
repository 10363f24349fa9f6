"""Keys, and the formats of key files, known_hosts, authorized_keys and the agent protocol.

Start at base.py (what a key is), then key.py (types), files.py (formats), then one of families/.
Imports crypto, wire and errors. Text and bytes in, values out: opens no file and no socket.
Use nacre.load_private, nacre.load_public, nacre.generate and the classes that ``nacre`` exports.
Modules of one family or format are loaded when it is used.
Tests: tests/keys; peers' key files: tests/interop.
"""

from typing import TYPE_CHECKING, Any

from nacre.keys.base import Presence
from nacre.keys.files import dump_private, dump_public, load_private, load_public
from nacre.keys.key import PrivateKey, PublicKey, decode_public, generate

if TYPE_CHECKING:
    from nacre.keys.certificate import Certificate as Certificate
    from nacre.keys.certificate import CertifiedKey as CertifiedKey

__all__ = [
    "Certificate",
    "CertifiedKey",
    "Presence",
    "PrivateKey",
    "PublicKey",
    "decode_public",
    "dump_private",
    "dump_public",
    "generate",
    "load_private",
    "load_public",
]


def __getattr__(name: str) -> Any:
    # Most programs use no certificates.
    if name in ("Certificate", "CertifiedKey"):
        from nacre.keys import certificate

        return getattr(certificate, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
