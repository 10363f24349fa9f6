"""Certificates: what a user or a host gets, and under which conditions."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nacre.config.syntax.tokens import expand
from nacre.config.values import service
from nacre.daemon.authority.files import AuthorityFiles, Kind
from nacre.daemon.store.values import CertificateRecord
from nacre.errors import AccountError, ConfigurationError, UnusableKey
from nacre.keys import PublicKey
from nacre.keys.certificate import MOST_PRINCIPALS, Certificate
from nacre.keys.certificate_options import CertificateOptions
from nacre.keys.key_options import NO_OPTIONS, KeyOptions, parse_options
from nacre.keys.shown import certificate_options

if TYPE_CHECKING:
    from nacre.daemon.store.store import UserStore
    from nacre.daemon.store.values import User

USUAL_SECONDS = 8 * 3600
"""For how long a user's certificate is valid that the operator signs without ``--valid``."""

MOST_WITHIN_AN_HOUR = 30
"""Certificates that a user may get within an hour: one for each of several machines, renewed."""

_BACKDATED = 60
"""Seconds: a certificate that begins now is valid for servers whose clock is late, too."""

_BY_HAND = {"password", "keyboard-interactive"}
"""Methods by which a user shows more than a certificate of before."""

_PERMITS = {
    "permit-pty": "pty",
    "permit-user-rc": "user_rc",
    "permit-port-forwarding": "port_forwarding",
    "permit-agent-forwarding": "agent_forwarding",
    "permit-X11-forwarding": "x11_forwarding",
}
"""For each extension the field of :class:`KeyOptions` that says the same of a login."""

_CONDITIONS = {
    "command": "command=",
    "environment": "environment=",
    "sources": "from=",
    "networks": "source-address",
    "expires": "expiry-time=",
    "permit_open": "permitopen=",
    "permit_listen": "permitlisten=",
    "tunnel": "tunnel=",
    "principals": "principals=",
}
"""Fields of :class:`KeyOptions` that a certificate can't repeat, or not as exactly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateTerms:
    """What a certificate is to say.

    :ivar seconds: for how long it is valid.
    :ivar until: seconds since the epoch at which it ends in any case; None or 0 for no such time.
    :ivar user: the user of the store who gets it; empty for a host's.
    """

    kind: Kind
    key_id: str
    principals: tuple[str, ...]
    seconds: int
    options: CertificateOptions
    until: int | None = None
    user: str = ""


def issue(
    store: UserStore,
    files: AuthorityFiles,
    key: PublicKey,
    terms: CertificateTerms,
    *,
    most: int | None = None,
) -> Certificate:
    """Certify a key, and keep a record of it. Blocks.

    :param most: how many the user may get within an hour; None for any number.
    :raises StateError: there is no authority, its key can't be used, or there were as many.
    :raises UnusableKey: the key can't be certified.
    :raises AccountError: it would end before it begins.
    """
    authority = files.private(terms.kind)
    now = int(time.time())
    begin = now - _BACKDATED
    end = min(now + terms.seconds, terms.until or now + terms.seconds)
    if end <= now:
        raise AccountError("the certificate would have ended already: the user has expired")
    if not key.plain.certifiable_algorithms:
        raise UnusableKey(f"a key of type {key.type} can't be certified")
    record = CertificateRecord(
        serial=0,
        kind=terms.kind,
        key_id=terms.key_id,
        principals=terms.principals,
        valid_after=begin,
        valid_before=end,
        fingerprint=key.fingerprint(),
        user=terms.user,
        issued=now,
    )
    # What was recorded and not signed after all does no harm; the reverse could not be revoked.
    serial = store.certificates.add(record, most=most)
    return Certificate.issue(
        key,
        authority,
        kind=terms.kind,
        key_id=terms.key_id,
        principals=terms.principals,
        valid_after=begin,
        valid_before=end,
        serial=serial,
        critical_options=terms.options.critical,
        extensions=terms.options.extensions,
    )


# --- what a user of the store gets ---


def terms_of(user: User, seconds: int | None = None) -> CertificateTerms:
    """Return what a certificate of this user says.

    :param seconds: for how long it is valid; None for what the user's settings say.
    :raises AccountError: the settings say nothing, or something that is wrong.
    """
    valid = seconds or user.certificate_valid
    if not valid:
        raise AccountError(
            f"no certificates are issued to {user.name}: `nacre user set {user.name} "
            "--certificate-valid 8h` changes that"
        )
    try:
        principals = read_principals(user.certificate_principals or "%u", user.name)
        options = read_options((user.certificate_options or "").splitlines())
    except ConfigurationError as error:
        raise AccountError(f"the certificates of {user.name}: {error}") from None
    return CertificateTerms(
        kind="user",
        key_id=user.name,
        principals=principals,
        seconds=valid,
        options=options,
        until=user.expires,
        user=user.name,
    )


def read_principals(text: str, name: str) -> tuple[str, ...]:
    """Return the names in a list with commas.

    :param name: what stands for ``%u``.
    :raises ConfigurationError: one is empty or has a blank, or there are too many.
    """
    found = tuple(dict.fromkeys(expand(text, {"u": name}).split(",")))
    if any(not one or any(c.isspace() or not c.isprintable() for c in one) for one in found):
        raise ConfigurationError("principals are names with commas between them, without blanks")
    if len(found) > MOST_PRINCIPALS:
        raise ConfigurationError(f"a certificate has at most {MOST_PRINCIPALS} principals")
    return found


def read_options(texts: Iterable[str]) -> CertificateOptions:
    """Return the options of a user's certificate in the words of ``ssh-keygen -O``.

    :raises ConfigurationError: one is unknown, or malformed.
    """
    found = CertificateOptions("user")
    for text in texts:
        found.add(text)
    return found


def certify_login(
    store: UserStore,
    user: User,
    key: PublicKey | None,
    shown: Sequence[PublicKey],
    methods: Sequence[str],
    *,
    rsa_bits: int,
) -> Certificate:
    """Certify a key of a user who has logged in. Blocks.

    The certificate permits nothing that the login does not. A login by a certificate alone gets
    no other one, unless the user may log in with the key in it: who has stolen one could keep it
    alive for ever.

    :param key: the key to certify; None for the one that the user has logged in with last.
    :param shown: the keys of the login; ``methods``: its methods.
    :param rsa_bits: how many bits an RSA key needs.
    :raises AccountError: the user gets none.
    :raises StateError: there is no authority, or the user got as many as may be.
    :raises UnusableKey: the key can't be used.
    """
    terms = terms_of(user)
    if key is None and not shown:
        raise AccountError("the login had no key, so give a public key on standard input")
    chosen = (shown[-1] if key is None else key).plain
    if chosen.rsa and chosen.bits < rsa_bits:
        raise UnusableKey(f"an RSA key needs at least {rsa_bits} bits, and this one has fewer")
    files = AuthorityFiles(store.directory)
    if (reason := files.refusal(chosen)) is not None:
        raise AccountError(reason)
    _narrow(terms.options, _limits(store, user.name, shown, methods))
    return issue(store, files, chosen, terms, most=MOST_WITHIN_AN_HOUR)


def _limits(
    store: UserStore, name: str, shown: Sequence[PublicKey], methods: Sequence[str]
) -> list[KeyOptions]:
    """Return what binds the login, for each of its keys.

    :raises AccountError: it was by a certificate alone.
    """
    found = []
    proved = bool(_BY_HAND.intersection(methods))
    for key in shown:
        if isinstance(key, Certificate):
            found.append(certificate_options(key))
            if (own := store.key_options(name, key.plain)) is not None:
                found.append(_parsed(own))
                proved = proved or not found[-1].cert_authority
            found.append(_parsed(store.key_options(name, key.authority)))
        else:
            found.append(_parsed(store.key_options(name, key)))
            proved = True
    if not proved:
        raise AccountError(
            "the login was by a certificate alone, which gets no other one: log in with a password "
            "or with a key of the store"
        )
    return found


def _parsed(options: str | None) -> KeyOptions:
    """Return the options of a key of the store, or none if it has no such key."""
    return parse_options(options, service) if options else NO_OPTIONS


def _conditions(options: KeyOptions) -> list[str]:
    usual = NO_OPTIONS
    return [
        word
        for name, word in _CONDITIONS.items()
        if getattr(options, name) != getattr(usual, name)
        # What a line demands of certificates is no condition of the login.
        and not (name == "principals" and options.cert_authority)
    ]


def _narrow(options: CertificateOptions, limits: Iterable[KeyOptions]) -> None:
    """Take from a certificate what the login does not permit.

    :raises AccountError: the login has a condition that a certificate would not have.
    """
    for limit in limits:
        if found := _conditions(limit):
            raise AccountError(
                f"the login is bound by {', '.join(found)}, which a certificate would not be: log "
                "in with another key"
            )
        for extension, permitted in _PERMITS.items():
            if not getattr(limit, permitted):
                options.extensions.pop(extension, None)
        if limit.verify_required:
            options.critical["verify-required"] = b""
