"""PerSourcePenalties of sshd_config(5): what a source's failed connections cost it."""

from __future__ import annotations

from nacre.config import values
from nacre.errors import ConfigurationError
from nacre.value import replace, value
from nacre.wire.text import safe


@value(kw_only=True)
class PenaltyRules:
    """The penalties, in seconds.

    A source is refused as long as its penalties add up to ``min`` or more. The defaults are
    OpenSSH's.

    :ivar crash: for a connection that made this program fail.
    :ivar authfail: for one that ended after failed attempts to log in.
    :ivar noauth: for one that ended without an attempt.
    :ivar grace_exceeded: for one that was not logged in within LoginGraceTime.
    :ivar refuseconnection: for one that RefuseConnection ended.
    :ivar max: the highest sum of a source's penalties.
    :ivar max_sources4: IPv4 networks that are remembered; ``max_sources6`` is that of IPv6.
    :ivar overflow: whether every other source is refused while so many are remembered
        (``deny-all``), or the one whose penalty ends first is forgotten (``permissive``).
    :ivar overflow6: the same for IPv6; "" for ``overflow``.
    """

    crash: int = 90
    authfail: int = 5
    noauth: int = 1
    grace_exceeded: int = 10
    refuseconnection: int = 10
    max: int = 600
    min: int = 15
    max_sources4: int = 65536
    max_sources6: int = 65536
    overflow: str = "permissive"
    overflow6: str = ""


DEFAULT_PENALTIES = PenaltyRules()

_TIMES = ("crash", "authfail", "noauth", "grace-exceeded", "refuseconnection", "max", "min")
_COUNTS = ("max-sources4", "max-sources6")
_MODES = ("overflow", "overflow6")
_NAMES = (*_TIMES, *_COUNTS, *_MODES)
_MOST_SOURCES = 1 << 24


def penalties(keyword: str, found: list[str]) -> PenaltyRules | None:
    """Parse ``yes``, ``no``, or ``NAME:VALUE`` once or more; None is no penalties.

    :raises ConfigurationError: a word is bad.
    """
    if len(found) == 1 and found[0].lower() in ("yes", "no"):
        return DEFAULT_PENALTIES if found[0].lower() == "yes" else None
    given: dict[str, int | str] = {}
    for word in found:
        name, colon, text = word.partition(":")
        if name.lower() in ("yes", "no"):
            raise ConfigurationError(f"{keyword}: {safe(word)} must stand alone")
        if not colon or name not in _NAMES:
            raise values.bad(keyword, word, f"yes, no, or {', '.join(_NAMES)}, each with :VALUE")
        given.setdefault(name.replace("-", "_"), _value(f"{keyword} {name}", name, text))
    return replace(DEFAULT_PENALTIES, **given)


def _value(keyword: str, name: str, text: str) -> int | str:
    if name in _TIMES:
        return values.seconds(keyword, text)
    if name in _COUNTS:
        return values.integer(keyword, text, 1, _MOST_SOURCES)
    if text not in ("deny-all", "permissive"):
        raise values.bad(keyword, text, "deny-all or permissive")
    return text


def penalties_shown(rules: PenaltyRules | None) -> str:
    """Return penalties as ``-T`` prints them."""
    if rules is None:
        return "no"
    rules = replace(rules, overflow6=rules.overflow6 or rules.overflow)
    return " ".join(f"{name}:{getattr(rules, name.replace('-', '_'))}" for name in _NAMES)
