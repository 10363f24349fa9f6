"""UpdateHostKeys: the host's announcement of all its keys brings ``known_hosts`` up to date."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

from nacre.client.trust.check import HostKeyAnnouncement
from nacre.client.trust.sources import Sources
from nacre.errors import KeyFormatError, MalformedMessage, NacreError
from nacre.keys.base import PublicKey
from nacre.keys.hosts.known_hosts import KnownHosts
from nacre.keys.hosts.rotation import HostKeyRotation, Places, edited, plan
from nacre.keys.key import decode_public
from nacre.protocol import hostkeys
from nacre.wire.codec import WireReader
from nacre.wire.text import safe

MOST_KEYS = 64
"""Keys that a host may announce; more are ignored, all of them."""

_log = logging.getLogger("nacre.client.trust")


async def learn(
    announcement: HostKeyAnnouncement,
    sources: Sources,
    places: Places,
    *,
    hashed: bool,
    confirm: Callable[[HostKeyRotation], Awaitable[bool]] | None,
) -> None:
    """Add the host's new keys to the first of the user's files, and remove its old ones from all.

    A new key must be proved. Nothing changes if the host was authenticated by a certificate, or by
    a key that is not in the user's files, or if the lines about it are a person's: see
    :func:`nacre.keys.hosts.rotation.plan`. Errors are logged: they do not concern the connection.

    :param confirm: asked whether to change anything.
    """
    try:
        keys = _announced(announcement)
        files = await asyncio.to_thread(_load, sources)
        changes = plan(files, places, announcement.shown, keys)
        if changes is None:
            return
        await _check_proofs(announcement, changes.new)
        if confirm is not None and not await confirm(changes):
            return
        await asyncio.to_thread(_write, sources.user, places, keys, hashed)
    except (OSError, NacreError) as error:
        _log.warning("the host keys on record are not updated: %s", safe(str(error), 500))
        return
    for what, some in (("learned new", changes.new), ("removed obsolete", changes.old)):
        for key in some:
            _log.info("%s host key: %s %s", what, key.type, key.fingerprint())


def _load(sources: Sources) -> list[KnownHosts]:
    return [sources.load(path) for path in sources.user]


def _announced(announcement: HostKeyAnnouncement) -> list[PublicKey]:
    """Return the plain keys among those announced that this side accepts.

    :raises MalformedMessage: they are too many, or one comes twice.
    """
    keys: list[PublicKey] = []
    for blob in hostkeys.split(announcement.keys, MOST_KEYS):
        try:
            key = decode_public(blob)
        except KeyFormatError:
            continue  # of a type that is not known here
        if key.plain is not key or not _algorithms(key, announcement):
            continue
        if key in keys:
            raise MalformedMessage(f"the server announces the key {key.fingerprint()} twice")
        keys.append(key)
    return keys


def _algorithms(key: PublicKey, announcement: HostKeyAnnouncement) -> set[str]:
    return {*key.signature_algorithms} & {*announcement.algorithms}


async def _check_proofs(announcement: HostKeyAnnouncement, keys: Sequence[PublicKey]) -> None:
    """Have the server prove that it has the private halves of keys.

    :raises KeyFormatError: it does not.
    """
    if not keys:
        return
    reply = await announcement.prove(hostkeys.join(key.blob for key in keys))
    proofs = [] if reply is None else hostkeys.split(reply, len(keys))
    if len(proofs) != len(keys):
        raise KeyFormatError("the server does not prove that it has the keys that it announces")
    for key, proof in zip(keys, proofs, strict=True):
        algorithm = safe(WireReader(proof).text(), 64)
        signed = hostkeys.signed(announcement.session_id, key.blob)
        allowed = algorithm in _algorithms(key, announcement)
        if not (allowed and key.verify(proof, signed, algorithm)):
            raise KeyFormatError(f"the server's proof for {key.fingerprint()} does not verify")


def _write(files: Iterable[Path], places: Places, keys: Sequence[PublicKey], hashed: bool) -> None:
    from nacre.client.trust import hostfile

    for number, path in enumerate(files):
        if path.exists():
            edit = partial(edited, places=places, keys=keys, add=number == 0, hashed=hashed)
            hostfile.update(path, edit)
