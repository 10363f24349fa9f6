"""Ciphers by name: contexts for packets, and functions on whole buffers for private-key files."""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES

from nacre.crypto.packets import chacha
from nacre.wire.codec import Buffer

_CHACHA = "chacha20-poly1305@openssh.com"
_GCM_KEY_SIZES = {"aes128-gcm@openssh.com": 16, "aes256-gcm@openssh.com": 32}
_STREAM_KEY_SIZES = {
    "aes128-ctr": 16,
    "aes192-ctr": 24,
    "aes256-ctr": 32,
    "aes128-cbc": 16,
    "aes192-cbc": 24,
    "aes256-cbc": 32,
    "3des-cbc": 24,
}


def stream_cipher(name: str, key: bytes, iv: bytes) -> Cipher[modes.CTR | modes.CBC]:
    """Return the CTR or CBC cipher ``name`` with ``key`` and ``iv``.

    :raises ValueError: there is no such cipher, or a size is not the cipher's.
    """
    _check_key(name, key, _STREAM_KEY_SIZES)
    mode = modes.CTR(iv) if name.endswith("-ctr") else modes.CBC(iv)
    return Cipher(_algorithm(name, key), mode)


def _algorithm(name: str, key: bytes) -> AES | TripleDES:
    return TripleDES(key) if name == "3des-cbc" else AES(key)


def iv_of(name: str, key: bytes, block: bytes, *, encrypts: bool) -> bytes:
    """Return the IV at which a context of CTR or CBC stood when it was given a block of zeros.

    The state of a context can't be read, but follows from what it makes of zeros. CTR, and CBC that
    encrypts, make the encrypted IV of them; CBC that decrypts makes the decrypted zeros xor the IV.

    :param block: what it made of the zeros.
    :param encrypts: whether it encrypts.
    """
    decryptor = Cipher(_algorithm(name, key), modes.ECB()).decryptor()
    if encrypts or name.endswith("-ctr"):
        return decryptor.update(block)
    zeros = decryptor.update(bytes(len(block)))
    return bytes(a ^ b for a, b in zip(block, zeros, strict=True))


def encrypt(cipher: str, key: bytes, iv: bytes, data: Buffer) -> bytes:
    """Return ``data`` encrypted; for the AEAD ciphers a tag of 16 bytes follows.

    :param cipher: a name of :data:`nacre.crypto.registry.CIPHERS`.
    :param iv: 16 bytes (8 for 3des-cbc, 12 for GCM); ignored by chacha20-poly1305.
    :raises ValueError: there is no such cipher, a size is not the cipher's, or the data of a CBC
        cipher is not a whole number of blocks.
    """
    if cipher == _CHACHA:
        _check_key(cipher, key, {_CHACHA: 64})
        return chacha.encrypt(key, data)
    if cipher in _GCM_KEY_SIZES:
        _check_key(cipher, key, _GCM_KEY_SIZES)
        return AESGCM(key).encrypt(iv, data, None)
    encryptor = stream_cipher(cipher, key, iv).encryptor()
    return encryptor.update(data) + encryptor.finalize()


def decrypt(cipher: str, key: bytes, iv: bytes, data: Buffer) -> bytes:
    """Return ``data`` decrypted; for the AEAD ciphers it ends with the tag.

    :raises ValueError: as for :func:`encrypt`, or the tag does not verify.
    """
    if cipher == _CHACHA:
        _check_key(cipher, key, {_CHACHA: 64})
        return chacha.decrypt(key, data)
    if cipher in _GCM_KEY_SIZES:
        _check_key(cipher, key, _GCM_KEY_SIZES)
        try:
            return AESGCM(key).decrypt(iv, data, None)
        except InvalidTag:
            raise ValueError("the tag does not verify") from None
    decryptor = stream_cipher(cipher, key, iv).decryptor()
    return decryptor.update(data) + decryptor.finalize()


def _check_key(cipher: str, key: bytes, sizes: dict[str, int]) -> None:
    if cipher not in sizes:
        raise ValueError(f"no cipher is named {cipher!r}")
    if len(key) != sizes[cipher]:
        raise ValueError(f"{cipher} takes a key of {sizes[cipher]} bytes, not {len(key)}")
