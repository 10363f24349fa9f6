"""From the shared secret of a key exchange to a Sealer and an Opener (RFC 4253 section 7.2)."""

from __future__ import annotations

from nacre.crypto import registry
from nacre.crypto.kdf import derive
from nacre.crypto.packets.seal import Opener, Random, Sealer
from nacre.protocol.events import Chosen
from nacre.protocol.phases import Role
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

    def _direction(self, chosen: Chosen, to_server: bool) -> tuple[str, str, dict[str, bytes]]:
        cipher = chosen.cipher_c2s if to_server else chosen.cipher_s2c
        mac = chosen.mac_c2s if to_server else chosen.mac_s2c
        iv, key, mac_key = (b"A", b"C", b"E") if to_server else (b"B", b"D", b"F")
        spec = registry.CIPHERS[cipher]
        mac_size = 0 if mac == IMPLICIT_MAC else registry.MACS[mac].key_size
        return (
            cipher,
            mac,
            {
                "iv": self._derive(iv, spec.iv_size),
                "key": self._derive(key, spec.key_size),
                "mac_key": self._derive(mac_key, mac_size),
            },
        )

    def sealer(self, chosen: Chosen, role: Role, *, sequence: int, random: Random) -> Sealer:
        """Return the Sealer of ``role``'s outgoing direction."""
        cipher, mac, keys = self._direction(chosen, to_server=role is Role.CLIENT)
        return registry.sealer(cipher, mac, **keys, sequence=sequence, random=random)

    def opener(self, chosen: Chosen, role: Role, *, sequence: int, packet_limit: int) -> Opener:
        """Return the Opener of ``role``'s incoming direction."""
        cipher, mac, keys = self._direction(chosen, to_server=role is Role.SERVER)
        return registry.opener(cipher, mac, **keys, sequence=sequence, packet_limit=packet_limit)
