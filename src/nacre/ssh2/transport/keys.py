"""From the shared secret of a key exchange to the keys of packets (RFC 4253 section 7.2)."""

from __future__ import annotations

from nacre.crypto import registry
from nacre.crypto.kdf import derive
from nacre.crypto.registry import PacketKeys
from nacre.protocol.events import Chosen
from nacre.ssh2.transport.negotiate import IMPLICIT_MAC
from nacre.value import value


@value(repr=False)
class Secrets:
    """The result of a key exchange.

    :ivar hash_name: the method's hash, as ``hashlib`` names it.
    :ivar k: the shared secret as it is hashed.
    :ivar session_id: the exchange hash of the connection's first exchange.
    """

    hash_name: str
    k: bytes
    exchange_hash: bytes
    session_id: bytes

    def _derive(self, letter: bytes, size: int) -> bytes:
        return derive(self.hash_name, self.k, self.exchange_hash, letter, self.session_id, size)

    def keys(self, chosen: Chosen, *, to_server: bool) -> PacketKeys:
        """Return the algorithms and keys of one direction."""
        cipher = chosen.cipher_c2s if to_server else chosen.cipher_s2c
        mac = chosen.mac_c2s if to_server else chosen.mac_s2c
        iv, key, mac_key = (b"A", b"C", b"E") if to_server else (b"B", b"D", b"F")
        spec = registry.CIPHERS[cipher]
        mac_size = 0 if mac == IMPLICIT_MAC else registry.MACS[mac].key_size
        return PacketKeys(
            cipher,
            mac,
            key=self._derive(key, spec.key_size),
            iv=self._derive(iv, spec.iv_size),
            mac_key=self._derive(mac_key, mac_size) if mac_size else b"",
        )
