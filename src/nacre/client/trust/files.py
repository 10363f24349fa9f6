"""Checks of host keys: against ``known_hosts`` files, to which new keys are added."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, TypedDict

from nacre.client.trust.sources import Location, Sources, expand
from nacre.crypto.signatures.certified import plain
from nacre.errors import (
    ConfigurationError,
    HostKeyChanged,
    HostKeyError,
    HostKeyRevoked,
    HostKeyUnknown,
)
from nacre.keys.base import PublicKey
from nacre.keys.fingerprint import family, fingerprint
from nacre.keys.hosts.known_hosts import DEFAULT_PORT, KnownHosts, Verdict, host_name
from nacre.protocol.options import DEFAULT_ALGORITHMS
from nacre.value import value
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.client.trust.check import HostKeyAnnouncement
    from nacre.client.trust.sshfp import InDNS
    from nacre.keys.hosts.rotation import HostKeyRotation

Strict: TypeAlias = Literal["yes", "no", "accept-new", "ask"]

USER_FILES = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2")
GLOBAL_FILES = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")

_RSA = "ssh-rsa"
_SHOWN = 8  # of many lines that an error or a question could show


@value
class NewHost:
    """An unknown key, for a human to decide on.

    :ivar name: the host as ``known_hosts`` writes it, made safe to print.
    :ivar address: the address we are connected to; empty where a jump host or a command connects.
    :ivar key: the host's key; its signature was verified.
    :ivar other_names: the lines that have this key for other hosts, or other names of this one.
    :ivar in_dns: whether the DNS has the key's fingerprint; None if it was not asked.
    """

    name: str
    address: str
    key: PublicKey
    other_names: tuple[Location, ...]
    in_dns: bool | None = None


Confirm: TypeAlias = Callable[[NewHost], Awaitable[bool]]


class AnyHostKey:
    """Trusts every key: anyone on the network path can read everything, passwords too."""

    def algorithms(self, host: str, port: int, offered: tuple[str, ...]) -> tuple[str, ...]:
        """Return ``offered`` unchanged."""
        return offered

    async def check(self, host: str, port: int, address: str, key: PublicKey) -> None:
        """Trust the key."""


class KnownHostsFile:
    """Trusts the keys in ``known_hosts`` files.

    :param paths: the user's files; new keys go into the first. ``~`` is the home directory.
    :param global_paths: files that are only read.
    :param strict: what to do with an unknown key. ``yes`` refuses it; ``accept-new`` accepts and
        adds it; ``ask`` does so if ``confirm`` returns True; ``no`` accepts it, and also a changed
        key and one that a line marks as revoked.
    :param hashed: hash the names of hosts that are added.
    :param alias: the name to look for in place of the host's; it has no port.
    :param check_address: whether the host's address must have the key too, where the files have one
        for it; the addresses of new hosts are added (CheckHostIP).
    :param trust_loopback: trust every key of a server on this machine
        (NoHostAuthenticationForLocalhost); not with ``alias``.
    :param fingerprint_hash: the hash of the fingerprints that messages show.
    :param command: returns more lines of known hosts. It may block, and gets what they are for
        (``ORDER``, ``HOSTNAME`` or ``ADDRESS``), the name to look for, and the key, unless it is
        not known yet (KnownHostsCommand).
    :param update: whether the user's files follow the host when it announces new keys, or that it
        no longer has one (UpdateHostKeys); ``ask`` does so if ``confirm_update`` returns True.
    :param dns: whether to look up fingerprints of the key in the DNS (VerifyHostKeyDNS; needs the
        package dnspython). ``yes`` trusts a key whose fingerprint DNSSEC has validated; ``ask``
        only tells ``confirm``.
    :param revoked: a file of keys that are refused, or None (RevokedHostKeys); a KRL, or public
        keys, one a line. If it can't be read, every key is refused.
    :param ca_signatures: the algorithms with which certificates of hosts may be signed
        (CASignatureAlgorithms).
    :param rsa_bits: the least size of an authority's RSA key (RequiredRSASize).
    :param confirm: asked with ``strict="ask"``; without it unknown keys are refused.
    :param confirm_update: asked with ``update="ask"``; without it nothing is updated.
    :param notice: gets text for the human, of one or more lines.
    :param alarm: gets the warning of a changed or revoked key that ``strict="no"`` accepts; by
        default ``notice`` gets it.
    :ivar mismatch: the error that ``strict="no"`` passed over. No secret may be sent to this host,
        and nothing be forwarded for it.
    """

    def __init__(
        self,
        paths: Sequence[str | os.PathLike[str]] = USER_FILES,
        *,
        global_paths: Sequence[str | os.PathLike[str]] = GLOBAL_FILES,
        strict: Strict = "yes",
        hashed: bool = False,
        alias: str | None = None,
        check_address: bool = False,
        trust_loopback: bool = False,
        fingerprint_hash: str = "sha256",
        command: Callable[[str, str, PublicKey | None], bytes] | None = None,
        update: Literal["yes", "no", "ask"] = "no",
        dns: Literal["yes", "no", "ask"] = "no",
        revoked: str | os.PathLike[str] | None = None,
        ca_signatures: Collection[str] = DEFAULT_ALGORITHMS.ca_signatures,
        rsa_bits: int = 1024,
        confirm: Confirm | None = None,
        confirm_update: Callable[[HostKeyRotation], Awaitable[bool]] | None = None,
        notice: Callable[[str], None] = lambda text: None,
        alarm: Callable[[str], None] | None = None,
    ) -> None:
        self._sources = Sources(expand(paths), expand(global_paths), command)
        self._strict = strict
        self._hashed = hashed
        self._alias = alias
        self._check_address = check_address and not alias
        self._trust_loopback = trust_loopback and not alias
        self._hash = fingerprint_hash
        self._update = update if update != "ask" or confirm_update is not None else "no"
        self._confirm_update = confirm_update if update == "ask" else None
        self._unasked: set[tuple[str, int, PublicKey]] = set()
        self._dns = dns
        self._revoked = None if revoked is None else expand([revoked])[0]
        self._ca_signatures = ca_signatures
        self._rsa_bits = rsa_bits
        self._confirm = confirm
        self._notice = notice
        self._alarm = alarm or notice
        self.mismatch: HostKeyError | None = None
        self._offered: dict[tuple[str, int], tuple[str, ...]] = {}

    def algorithms(self, host: str, port: int, offered: tuple[str, ...]) -> tuple[str, ...]:
        """Return ``offered``, with the algorithms first that lead to a key on record.

        If the best one does already, the order stays. Otherwise those of the types on record come
        first, and all of certificates if the host has an authority.
        """
        self.asks_for(host, port, offered)
        types, has_authority = self._sources.known(*self._name(host, port))
        if offered and _type_of(offered[0]) in types:
            return offered

        def other(name: str) -> bool:
            certificate = plain(name) != name
            return not (_type_of(name) in types or (certificate and has_authority))

        return tuple(sorted(offered, key=other))

    def asks_for(self, host: str, port: int, offered: tuple[str, ...]) -> None:
        """Note the algorithms that a host is asked for in the caller's own order."""
        self._offered[host, port] = offered

    async def check(self, host: str, port: int, address: str, key: PublicKey) -> None:
        """Return if ``key`` is trusted for ``host``.

        A certificate that can't be used counts as the key that it certifies, unless
        :meth:`algorithms` or :meth:`asks_for` was told of none that such a key has.

        :raises HostKeyUnknown: no line has it, and it was not accepted; or it is a certificate that
            can't be used, and its key is not asked for.
        :raises HostKeyChanged: the lines have other keys for the host.
        :raises HostKeyRevoked: a line marks it, or its authority, as revoked, or ``revoked`` does.
        """
        name, offered = host, self._offered.get((host, port), ())
        host, port = self._name(host, port)
        if self._revoked is not None:
            await self._check_not_revoked(self._revoked, host, port, key)
        if self._trust_loopback and _is_loopback(address):
            self._notice("The host key of a server on this machine is not checked.")
            return
        if key.plain is not key:
            if await self._certified(host, port, address, key):
                return
            key = key.plain
            if offered and not any(one in key.signature_algorithms for one in offered):
                raise HostKeyUnknown(
                    f"the certificate of {safe(host_name(host, port))} is not trusted, and its "
                    f"plain {family(key.type)} key ({self._shown(key)}) counts only if "
                    f"HostKeyAlgorithms has {key.signature_algorithms[0]}; add @cert-authority "
                    "with the host's authority to known_hosts, or that algorithm",
                    **_facts(host, port, key, None),
                )
        verdict, places = await asyncio.to_thread(self._sources.find, host, port, address, key)
        if verdict is Verdict.REVOKED:
            self._distrust(_revoked(host, port, key, places[0], self._shown(key)))
            return
        in_dns = None if self._dns == "no" else await self._look_up(name, key)
        if in_dns is not None and in_dns.matches and in_dns.secure and self._dns == "yes":
            return
        if verdict is Verdict.CHANGED:
            self._changed(host, port, places, key)
        elif verdict is Verdict.UNKNOWN:
            await self._unknown(host, port, address, key, in_dns)
        if self._checks(host, address):
            await self._check_the_address(address, port, key, safe(host_name(host, port)))

    async def _look_up(self, host: str, key: PublicKey) -> InDNS:
        from nacre.client.trust.sshfp import InDNS, look_up

        try:
            found = await asyncio.to_thread(look_up, host, key)
        except ConfigurationError as error:
            self._notice(f"VerifyHostKeyDNS: {error}")
            return InDNS()
        if found.found and not found.matches:
            self._alarm(
                f"WARNING: the {family(key.type)} host key {self._shown(key)} does not match the "
                f"fingerprints of {safe(host)} in the DNS: someone may be listening in, or the key "
                "was changed. Update the SSHFP records with the new key to get rid of this message."
            )
        return found

    async def _check_not_revoked(self, file: Path, host: str, port: int, key: PublicKey) -> None:
        from nacre.config.revoked import refusal

        reason = await asyncio.to_thread(refusal, file, key)
        if reason is not None:
            raise HostKeyRevoked(
                f"the {family(key.plain.type)} host key of {safe(host_name(host, port))} "
                f"({self._shown(key)}) is refused because of RevokedHostKeys {file}: {reason}",
                **_facts(host, port, key.plain, file),
            )

    async def _certified(self, host: str, port: int, address: str, key: PublicKey) -> bool:
        """Return whether a certificate is valid for the host, by an authority on record."""
        from nacre.client.trust import certificates

        verdict, places = await asyncio.to_thread(self._sources.find, host, port, address, key)
        if verdict is Verdict.REVOKED:
            authority = certificates.authority(key)
            by_authority = places[0].entry.blob == authority.blob
            revoked = authority if by_authority else key.plain
            shown = self._shown(revoked)
            error = _revoked(host, port, revoked, places[0], shown, authority=by_authority)
            self._distrust(error)
            return True
        if verdict is not Verdict.TRUSTED:
            return False
        reason = certificates.refusal(
            key,
            host.lower(),
            now=time.time(),
            ca_signatures=self._ca_signatures,
            rsa_bits=self._rsa_bits,
        )
        if reason is not None:
            self._alarm(
                f"Certificate invalid: {reason}. Its authority is trusted for "
                f"{safe(host_name(host, port))} in {places[0]}; without a valid certificate, "
                "the host's plain key counts."
            )
        return reason is None

    async def _check_the_address(self, address: str, port: int, key: PublicKey, name: str) -> None:
        """Compare the key with those that the files have for the address."""
        verdict, places = await asyncio.to_thread(
            self._sources.find, address, port, address, key, "ADDRESS"
        )
        if verdict is Verdict.CHANGED:
            if self._strict != "no":
                self._changed(address, port, places, key)
            self._alarm(
                f"Warning: the {family(key.type)} host key for '{name}' differs from the key for "
                f"the address '{address}' in {', '.join(map(str, places))}"
            )
        elif verdict is Verdict.UNKNOWN and self._strict != "yes":
            await self._keep(address, port, key, host_name(address, port))

    @property
    def waits(self) -> bool:
        """Whether :meth:`algorithms` may block for long: it runs a command."""
        return self._sources.waits

    def _shown(self, key: PublicKey) -> str:
        return key.fingerprint(self._hash)

    def _name(self, host: str, port: int) -> tuple[str, int]:
        return (self._alias, DEFAULT_PORT) if self._alias else (host, port)

    def _changed(self, host: str, port: int, places: list[Location], key: PublicKey) -> None:
        name = safe(host_name(host, port))
        known = "; ".join(
            f"{family(one.entry.key_type)} {fingerprint(one.entry.blob, self._hash)} in {one}"
            for one in places[:_SHOWN]
        )
        first, *more = dict.fromkeys(f'-f "{one.path}" -R "{name}"' for one in places)
        error = HostKeyChanged(
            f"the {family(key.type)} host key of {name} has changed: someone may be listening in, "
            f"or the host was installed anew. It shows {self._shown(key)}, and is known by "
            f"another key: {known}. When its owner confirms the new fingerprint, remove the old "
            f"key: nacre keygen {first} (or ssh-keygen {first})"
            + "".join(f", and: nacre keygen {how}" for how in more),
            **_facts(host, port, key, places[0]),
        )
        self._distrust(error)

    def _distrust(self, error: HostKeyError) -> None:
        """Refuse the host, or go on without trusting it."""
        if self._strict != "no":
            raise error
        self.mismatch = error
        self.overlooked(error)

    async def announced(
        self, host: str, port: int, address: str, announcement: HostKeyAnnouncement
    ) -> None:
        """Take what a host says of its keys after the login; errors are logged."""
        host, port = self._name(host, port)
        shown = announcement.shown
        if self._update == "no" or self.mismatch is not None or shown.plain is not shown:
            return
        if (host, port, shown) in self._unasked:
            return  # nobody has confirmed the first of its keys
        from nacre.client.trust.rotation import learn

        places = [(host, port)]
        if self._checks(host, address):
            places.append((address, port))
        await learn(
            announcement,
            self._sources,
            places,
            hashed=self._hashed,
            confirm=self._confirm_update,
        )

    @property
    def asks_updates(self) -> bool:
        """Whether a person is asked what the host announces."""
        return self._confirm_update is not None

    def _checks(self, host: str, address: str) -> bool:
        """Return whether the address counts too."""
        return self._check_address and address not in ("", host) and not _is_loopback(address)

    def overlooked(self, error: HostKeyError) -> None:
        """Warn that ``strict="no"`` goes on in spite of a changed or a revoked key."""
        self._alarm(f"WARNING: {error}")

    async def _unknown(
        self, host: str, port: int, address: str, key: PublicKey, in_dns: InDNS | None
    ) -> None:
        name = safe(host_name(host, port))
        file = self._sources.user[0] if self._sources.user else None
        if self._strict == "yes" or (self._strict == "ask" and self._confirm is None):
            shown = file or "~/.ssh/known_hosts"
            raise HostKeyUnknown(
                f"no {family(key.type)} host key is known for {name}; it shows "
                f"{self._shown(key)}. "
                f"When its owner confirms that, add it: nacre ssh -p {port} "
                f'-o UserKnownHostsFile="{shown}" {safe(host)} asks and adds it '
                f"(or ssh-keyscan -p {port} {safe(host)} >> {shown}); "
                'KnownHostsFile(strict="accept-new") adds the keys of new hosts unasked',
                **_facts(host, port, key, file),
            )
        if self._strict == "ask" and self._confirm is not None:
            others = await asyncio.to_thread(self._sources.with_key, key)
            matches = None if in_dns is None else in_dns.matches
            question = NewHost(name, safe(address), key, tuple(others), matches)
            if not await self._confirm(question):
                raise HostKeyUnknown(
                    f"the host key of {name} ({self._shown(key)}) was not accepted; "
                    "StrictHostKeyChecking=accept-new accepts keys of new hosts unasked",
                    **_facts(host, port, key, file),
                )
        else:
            self._unasked.add((host, port, key))
        await self._keep(host, port, key, name)

    async def _keep(self, host: str, port: int, key: PublicKey, name: str) -> None:
        try:
            if not self._sources.user:
                raise ConfigurationError("there is no file for it")
            edit = partial(_with_host, host=host, port=port, key=key, hashed=self._hashed)
            await asyncio.to_thread(_update, self._sources.user[0], edit)
        except (OSError, ConfigurationError) as error:
            self._notice(f"Failed to add the host to the list of known hosts: {error}")
        else:
            self._notice(
                f"Warning: Permanently added '{name}' ({family(key.type)}) "
                "to the list of known hosts."
            )


class _Facts(TypedDict):
    """The attributes of a :class:`HostKeyError`."""

    host: str
    port: int
    key: PublicKey
    file: str | None
    line: int | None


def _facts(host: str, port: int, key: PublicKey, place: Location | Path | None) -> _Facts:
    line = place.entry.line_number if isinstance(place, Location) else None
    path = place.path if isinstance(place, Location) else place
    return _Facts(
        host=host, port=port, key=key, file=None if path is None else str(path), line=line
    )


def _type_of(algorithm: str) -> str:
    """Return the type of the keys, or of the certified keys, of an algorithm."""
    name = plain(algorithm)
    return _RSA if name.startswith("rsa-sha2-") else name


def _revoked(
    host: str, port: int, key: PublicKey, place: Location, shown: str, *, authority: bool = False
) -> HostKeyRevoked:
    what = f"{family(key.type)} {'authority' if authority else 'host key'}"
    return HostKeyRevoked(
        f"the {what} of {safe(host_name(host, port))} ({shown}) is marked as revoked in {place}: "
        "anyone who has it can impersonate the host; don't connect",
        **_facts(host, port, key, place),
    )


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False


def _update(path: Path, edit: Callable[[bytes], bytes | None]) -> None:
    from nacre.client.trust import hostfile

    hostfile.update(path, edit)


def _with_host(text: bytes, host: str, port: int, key: PublicKey, hashed: bool) -> bytes | None:
    """Return a file's text with a host's key; None if another process has added it meanwhile."""
    if KnownHosts.parse(text).check(host, port, key).verdict is Verdict.TRUSTED:
        return None
    line = KnownHosts.line_for(host, port, key, hashed=hashed)
    start = b"" if not text or text.endswith(b"\n") else b"\n"
    return text + start + line.encode("utf-8", "surrogateescape") + b"\n"
