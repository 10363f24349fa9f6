"""The format of an allowed signers file: who may sign with which key (ssh-keygen(1)).

A line has patterns of principals, options, and a key: ``*@example.org namespaces="git" ssh-… …``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from nacre.errors import KeyFormatError
from nacre.keys.base import PublicKey
from nacre.keys.certificate import Certificate
from nacre.keys.files import load_public
from nacre.keys.key_options import options_end, split_options
from nacre.keys.patterns import match_list
from nacre.keys.signed.sshsig import SSHSignature
from nacre.keys.times import parse_time, show_time
from nacre.value import value
from nacre.wire.text import safe, safe_name

MAXIMUM_SIZE = 16 * 1024 * 1024
"""Bytes of a file."""

_KEY_TYPES = ("ssh-", "ecdsa-", "sk-")
_WORD = re.compile(r'([^\s"]*)(?:"([^"]*)"|(?=\s|\Z))')
"""A word; what is in quotes may have blanks, and ends it."""


@value(kw_only=True)
class SignerTerms:
    """The options of a line.

    :ivar authority: the key signs certificates of signers, and is not a signer itself.
    :ivar namespaces: patterns of namespaces; None allows all.
    :ivar valid_after: seconds since the epoch from which signatures are accepted, or None.
    :ivar valid_before: seconds since the epoch until which they are accepted, or None.
    """

    authority: bool = False
    namespaces: tuple[str, ...] | None = None
    valid_after: int | None = None
    valid_before: int | None = None

    def refusal(self, namespace: str, at: int) -> str | None:
        """Return why a signature made ``at`` this time is not accepted, or None."""
        if self.namespaces is not None and not match_list(namespace, self.namespaces):
            return f'key is not permitted for use in signature namespace "{safe(namespace, 64)}"'
        return self.time_refusal(at)

    def time_refusal(self, at: int) -> str | None:
        """Return why no signature made ``at`` this time is accepted, or None."""
        if self.valid_after is not None and at < self.valid_after:
            return (
                f"key is not yet valid: verify time {show_time(at)} "
                f"< valid-after {show_time(self.valid_after)}"
            )
        if self.valid_before is not None and at > self.valid_before:
            return (
                f"key has expired: verify time {show_time(at)} "
                f"> valid-before {show_time(self.valid_before)}"
            )
        return None


@value
class AllowedSigner:
    """A line.

    :ivar principals: patterns of the names that the signer may have, as written.
    :ivar key: the signer's, or that of an authority.
    """

    principals: str
    terms: SignerTerms
    key: PublicKey
    line_number: int

    def names(self, principal: str) -> bool:
        """Return whether the line is about a principal."""
        return bool(match_list(principal, self.principals.split(",")))

    def is_of(self, key: PublicKey) -> bool:
        """Return whether the line is about signatures with this key, or this certificate."""
        if self.terms.authority:
            return isinstance(key, Certificate) and key.authority == self.key
        return key == self.key

    def refusal(self, signature: SSHSignature, principal: str, at: int) -> str | None:
        """Return why a signature is not accepted as the principal's, or None.

        :param at: the time to compare, in seconds since the epoch.
        """
        key = signature.key
        if isinstance(key, Certificate) and self.terms.authority:
            reason = key.refusal("user", principal, now=at)
            if reason is not None:
                return f"certificate not authorized: {reason}"
        return self.terms.refusal(signature.namespace, at)

    def names_of(self, key: PublicKey, at: int) -> list[str]:
        """Return the principals for whom a key of this line signs.

        Those of a certificate are names in it that match the line's patterns.

        :param at: the time at which the certificate must be valid.
        """
        if not isinstance(key, Certificate) or not self.terms.authority:
            return self.principals.split(",")
        if key.refusal("user", now=at) is not None:
            return []
        return [name for name in key.principals if self.names(name)]


Report: TypeAlias = Callable[[int, str], None]
"""Gets the number of a line that can't be used, or refuses a key, and the reason."""


def _ignore(number: int, reason: str) -> None:
    """Report nothing."""


class AllowedSigners:
    """A file of allowed signers. A malformed line is reported and skipped, as in ssh-keygen."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def allows(
        self, signature: SSHSignature, principal: str, *, at: int, report: Report = _ignore
    ) -> bool:
        """Return whether ``principal`` may have made a signature, which was verified before.

        :param at: the time to compare, in seconds since the epoch.
        """
        for signer in self._about(principal, report):
            if not signer.is_of(signature.key):
                continue
            reason = signer.refusal(signature, principal, at)
            if reason is None:
                return True
            report(signer.line_number, reason)
        return False

    def principals_of(self, key: PublicKey, *, at: int, report: Report = _ignore) -> list[str]:
        """Return the principals on the first line that is about a key; empty if there is none.

        :param at: the time at which the line and a certificate must be valid, in seconds since the
            epoch.
        """
        for signer in self._about(None, report):
            if not signer.is_of(key):
                continue
            reason = signer.terms.time_refusal(at)
            if reason is not None:
                report(signer.line_number, reason)
            elif names := signer.names_of(key, at):
                return names
        return []

    def lists_of(self, principal: str, *, report: Report = _ignore) -> list[str]:
        """Return the patterns of each line that is about a principal, as written."""
        return [signer.principals for signer in self._about(principal, report)]

    def _about(self, principal: str | None, report: Report) -> Iterator[AllowedSigner]:
        """Yield the lines about a principal, or all; others are not parsed."""
        for number, raw in enumerate(self._data.split(b"\n"), 1):
            line = raw.decode("utf-8", "surrogateescape").strip()
            if not line or line.startswith("#"):
                continue
            try:
                names, rest = _names(line)
                if principal is None or match_list(principal, names.split(",")):
                    yield _parse(number, names, rest)
            except KeyFormatError as error:
                report(number, str(error))


def _names(line: str) -> tuple[str, str]:
    """Return the patterns of principals at the start of a line, and the rest."""
    found = _WORD.match(line)
    if found is None:
        raise KeyFormatError("invalid line")
    return found[1] + (found[2] or ""), line[found.end() :].strip()


def _parse(number: int, names: str, rest: str) -> AllowedSigner:
    terms = SignerTerms()
    if not rest:
        raise KeyFormatError("missing key")
    if not rest.startswith(_KEY_TYPES):
        end = options_end(rest)
        terms, rest = _parse_terms(rest[:end]), rest[end:]
    key, _ = load_public(rest)
    return AllowedSigner(names, terms, key, number)


def _parse_terms(text: str) -> SignerTerms:
    given: dict[str, Any] = {}
    for name, argument in split_options(text):
        if name in given:
            raise KeyFormatError(f"bad options: {name} is given twice")
        if name not in _OPTIONS or (argument is None) != (_OPTIONS[name][1] is None):
            raise KeyFormatError(f"bad options: {safe_name(name)} is unknown or malformed")
        given[name] = argument
    made: dict[str, Any] = {}
    for name, argument in given.items():
        attribute, parse = _OPTIONS[name]
        made[attribute] = True if parse is None else parse(argument)
    return SignerTerms(**made)


def _time(text: str) -> int:
    try:
        return parse_time(text)
    except ValueError:
        raise KeyFormatError(f"bad options: invalid time {safe(text, 32)!r}") from None


def _patterns(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


_OPTIONS: dict[str, tuple[str, Callable[[str], Any] | None]] = {
    "cert-authority": ("authority", None),
    "namespaces": ("namespaces", _patterns),
    "valid-after": ("valid_after", _time),
    "valid-before": ("valid_before", _time),
}
"""For each option the attribute of the terms, and what parses its value, if it has one."""
