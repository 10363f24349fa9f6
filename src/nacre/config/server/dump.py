"""A server's configuration in the form of ``sshd -T``, and the connections of ``-C``."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from itertools import chain, takewhile
from typing import Any

from nacre.config.kinds import ALGORITHM_KINDS
from nacre.config.schema import Keyword, Shown, told
from nacre.config.server.config import ServerConfig
from nacre.config.server.rules import Connecting, ServerRules
from nacre.config.server.words import SCHEMA
from nacre.config.values import all_algorithms
from nacre.errors import ConfigurationError
from nacre.protocol.options import Profile, choose
from nacre.wire.text import safe

_DEFAULT = ServerConfig()
_SILENT = ("Match", "Include")
_FAMILIES = {"any": socket.AF_UNSPEC, "inet": socket.AF_INET, "inet6": socket.AF_INET6}


def server_lines(
    rules: ServerRules,
    specifications: Iterable[str] = (),
    *,
    profile: Profile = "default",
    origins: bool = False,
) -> Iterator[str]:
    """Yield the lines of ``-T``.

    :param specifications: those of ``-C``; see :func:`connecting`.
    :param origins: whether each line tells where its value was written.
    :raises ConfigurationError: a specification is bad, or an address to listen on is unknown.
    """
    who = connecting(specifications)
    if "localport" in rules.criteria and not who.local_port:
        raise ConfigurationError("Match localport is in the configuration: give -C lport=PORT")
    config = rules.lookup(who)
    for word in SCHEMA.words:
        found = config.settings.get(word.name, ())
        if word.name in _SILENT or (word.own and config.protocol == _DEFAULT.protocol):
            continue
        yield from told(word.name.lower(), _shown(word, config, profile), found, origins)


def _shown(word: Keyword, config: ServerConfig, profile: Profile) -> Shown:
    if word.name == "ListenAddress":
        return list(_listening(config))
    if word.name in ALGORITHM_KINDS:
        return _algorithms(word, config, profile)
    if word.default and word.name not in config.settings:
        return word.default
    if word.field:
        return word.kind.show(getattr(config, word.field))
    values = config.settings.get(word.name)
    if values is None:
        return word.default or None
    if word.gathers:
        return [line for setting in values for line in word.kind.show(setting.value) or ()]
    return word.kind.show(values[0].value)


def _algorithms(word: Keyword, config: ServerConfig, profile: Profile) -> str:
    kind = ALGORITHM_KINDS[word.name]
    found = config.settings.get(word.name)
    value = found[0].value if found else None
    return ",".join(all_algorithms(kind, value, choose(kind, None, profile)))


def _listening(config: ServerConfig) -> Iterator[str]:
    """Yield each address and port to listen on; names are looked up."""
    if not config.listen_addresses:
        for port in config.ports:
            if config.address_family != "inet":
                yield f"[::]:{port}"
            if config.address_family != "inet6":
                yield f"0.0.0.0:{port}"
    settings = config.settings.get("ListenAddress", ())
    for at, (host, own, domain) in enumerate(config.listen_addresses):
        for port in (own,) if own is not None else config.ports:
            try:
                found = list(_resolved(host, port, config))
            except ConfigurationError as error:
                raise (settings[at].origin.error(error) if settings else error) from None
            for text in found:
                yield text if domain is None else f"{text} rdomain {domain}"


def _resolved(host: str, port: int, config: ServerConfig) -> Iterator[str]:
    try:
        found = socket.getaddrinfo(host, port, _FAMILIES[config.address_family], socket.SOCK_STREAM)
    except OSError as error:
        raise ConfigurationError(
            f"ListenAddress: bad address or host {safe(host)}: {error.strerror}"
        ) from error
    for family, _, _, _, place in reversed(found):  # as sshd does
        own = str(place[0])
        yield f"[{own}]:{port}" if family == socket.AF_INET6 else f"{own}:{port}"


# --- the connections of -C ---

_NAMES = {
    "user": "user",
    "host": "host",
    "addr": "address",
    "laddr": "local_address",
    "lport": "local_port",
    "rdomain": "rdomain",
}


def connecting(specifications: Iterable[str]) -> Connecting:
    """Return the connection of ``user=NAME,host=NAME,addr=ADDRESS,laddr=ADDRESS,lport=PORT``.

    Also ``rdomain=NAME`` and ``invalid-user``; the groups are those of the user on this system.

    :raises ConfigurationError: a part is unknown, or a port is bad.
    """
    found: dict[str, Any] = {}
    parts = (takewhile(bool, text.split(",")) for text in specifications)
    for part in chain.from_iterable(parts):
        name, equals, text = part.partition("=")
        if part == "invalid-user":
            found["invalid_user"] = True
        elif equals and name in _NAMES:
            found.setdefault(_NAMES[name], text)
        else:
            raise ConfigurationError(
                f"-C: {safe(part, 100)!r} is unknown; give invalid-user, or "
                f"{', '.join(f'{one}=VALUE' for one in _NAMES)}"
            )
    if "local_port" in found:
        from nacre.config.values import port

        found["local_port"] = port("-C lport", found["local_port"])
    if "host" in found:
        found["host"] = found["host"].__str__
    if "user" in found:
        name = found["user"]
        found["groups"] = lambda: groups_of(name)
    return Connecting(**found)


def groups_of(user: str) -> tuple[str, ...]:
    """Return the names of the groups of a user of this system; none if there is no such user."""
    import grp
    import os
    import pwd

    try:
        account = pwd.getpwnam(user)
    except KeyError:
        return ()
    names = []
    for number in os.getgrouplist(user, account.pw_gid):
        try:
            names.append(grp.getgrgid(number).gr_name)
        except KeyError:
            continue
    return tuple(names)
