"""A server's host keys: their certificates, what they sign, and what clients are told of them.

Clients learn new keys from the announcement (OpenSSH's PROTOCOL, section 2.5), and forget those
that the server no longer has. So its keys can be replaced without a question to its users.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial

from nacre.aio.versions import SSH1
from nacre.crypto.signatures.certified import plain
from nacre.errors import MalformedMessage, NacreError, UnusableKey
from nacre.keys import PrivateKey, PublicKey, load_public
from nacre.keys.rsa1_text import RSA1
from nacre.protocol import hostkeys
from nacre.protocol.asks import AskGlobalRequest, AskHostSignature, Denied, GlobalGranted, Signature
from nacre.server.peer import ServerConnection
from nacre.wire.text import safe

_SIGNING = 10.0
"""Seconds that a program which holds a host key has for a signature."""

Sign = Callable[[PublicKey, bytes, str], Awaitable[bytes]]
"""Makes the signature of a key that another program holds; raises NacreError."""

_LARGEST_FILE = 64 * 1024
"""Bytes of a file with a certificate that are read."""


def load_certificates(
    names: Iterable[str], keys: Sequence[PrivateKey], report: Callable[[str], None]
) -> tuple[PrivateKey, ...]:
    """Return host keys with the certificates in the files that HostCertificate names.

    Of two certificates of a key the last counts, as in sshd.

    :param keys: the host keys; each certificate must be of one of them.
    :param report: called with the reason for each file that can't be used.
    """
    found: dict[bytes, PrivateKey] = {}
    for name in names:
        try:
            key = _certified(name, keys)
        except OSError as error:
            report(f"HostCertificate: can't read {safe(name)}: {error.strerror}")
        except UnusableKey as error:
            report(f"HostCertificate {safe(name)}: {error}")
        else:
            found[key.plain.public.blob] = key
    return tuple(found.values())


def _certified(name: str, keys: Iterable[PrivateKey]) -> PrivateKey:
    from nacre.keys.certificate import Certificate, CertifiedKey

    with open(name, "rb") as file:
        certificate, _ = load_public(file.read(_LARGEST_FILE))
    if not isinstance(certificate, Certificate):
        raise UnusableKey("the file holds a key and no certificate")
    for key in keys:
        if key.public == certificate.key:
            return CertifiedKey(certificate, key)
    raise UnusableKey(
        f"none of the host keys has this certificate, which is for {certificate.fingerprint()}: "
        "name that key with HostKey"
    )


class HostKeys:
    """The plain host keys of a server, those too that it does not sign key exchanges with.

    As with sshd: the client chooses by its own algorithms which of them to keep.

    :ivar announcement: the data of ``hostkeys-00@openssh.com``; empty if there are no keys.
    """

    __slots__ = ("_keys", "announcement")

    def __init__(self, keys: Iterable[PrivateKey]) -> None:
        """Take the keys for SSH-2 among ``keys``."""
        self._keys = {
            key.public.blob: key for key in (one.plain for one in keys) if key.public.type != RSA1
        }
        self.announcement = hostkeys.join(self._keys)

    async def prove(
        self, data: bytes, session_id: bytes, negotiated: str, sign: Sign
    ) -> bytes | None:
        """Return the reply to ``hostkeys-prove-00@openssh.com``, or None to refuse it.

        :param data: the blobs of the keys, each of which must be one of the server's.
        :param negotiated: the host key algorithm of the key exchange. A key that can sign with it
            does so, because the client knows it; others sign with their strongest algorithm.
        :param sign: signs with keys that another program holds.
        :raises NacreError: a key can't sign.
        """
        try:
            blobs = hostkeys.split(data, len(self._keys))
        except MalformedMessage:
            return None
        if not blobs or not self._keys.keys() >= set(blobs):
            return None
        proofs = []
        for blob in blobs:
            key = self._keys[blob]
            algorithms = key.public.signature_algorithms
            algorithm = plain(negotiated)
            if algorithm not in algorithms:
                algorithm = algorithms[0]
            signed = hostkeys.signed(session_id, blob)
            if key.held:
                proofs.append(await sign(key.public, signed, algorithm))
            else:
                proofs.append(key.sign(signed, algorithm))
        return hostkeys.join(proofs)


def sign_exchange(connection: ServerConnection, ask: AskHostSignature) -> None:
    """Answer a question for the signature of a key exchange."""

    async def sign() -> None:
        answer: Signature | Denied = Denied()
        try:
            answer = Signature(await _sign(connection, ask.key, ask.data, ask.algorithm))
        except NacreError as error:
            _record(connection, error)
        connection.answer(ask.ask_id, answer)

    connection.spawn(sign())


def announce(connection: ServerConnection, keys: HostKeys) -> None:
    """Tell the client all host keys, so that it can learn those that it lacks."""
    if connection.protocol != SSH1 and (blobs := keys.announcement):
        connection.driver.touch().connection.send_global_request(
            hostkeys.ANNOUNCE, blobs, want_reply=False
        )


async def prove(connection: ServerConnection, keys: HostKeys, ask: AskGlobalRequest) -> None:
    """Answer a request for the proofs of host keys."""
    proofs = None
    assert connection.algorithms is not None
    negotiated, sign = connection.algorithms.host_key, partial(_sign, connection)
    try:
        proofs = await keys.prove(ask.data, connection.session_id, negotiated, sign)
    except NacreError as error:
        _record(connection, error)
    connection.answer(ask.ask_id, Denied() if proofs is None else GlobalGranted(proofs))


async def _sign(connection: ServerConnection, key: PublicKey, data: bytes, algorithm: str) -> bytes:
    """Return the signature of a host key that another program holds.

    :raises NacreError: it makes none, or none in time.
    """
    sign = connection.terms.sign_host
    if sign is None:
        raise UnusableKey("no program holds the host key")
    try:
        async with asyncio.timeout(_SIGNING):
            return await sign(key, data, algorithm)
    except TimeoutError:
        raise UnusableKey(f"no answer within {_SIGNING:g} seconds") from None


def _record(connection: ServerConnection, error: NacreError) -> None:
    connection.record("error", what="no signature with a host key", error=safe(str(error)))
